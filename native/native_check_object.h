// The native check for JavaScript: `NativeCheck`, on the memory of a WebAssembly.Memory.
#pragma once
#include <napi.h>

#include <cstdint>

#include "native_check.h"

class Engine;

class NativeCheckObject : public Napi::ObjectWrap<NativeCheckObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The object behind a value that JavaScript gave; null when it is none.
  static NativeCheckObject* From(const Napi::Value& value);
  explicit NativeCheckObject(const Napi::CallbackInfo& info);
  ~NativeCheckObject() override;

  Napi::Value Judge(const Napi::CallbackInfo& info);
  Napi::Value JudgeOutermost(const Napi::CallbackInfo& info);
  Napi::Value JudgeBatch(const Napi::CallbackInfo& info);
  Napi::Value JudgeOutermostBatch(const Napi::CallbackInfo& info);
  Napi::Value ReadFrom(const Napi::CallbackInfo& info);

  NativeCheck* check() const { return check_; }
  // Where linear memory is now: to be asked again whenever JavaScript has run, since it may have grown. Null: detached.
  uint8_t* Memory(size_t* size);
  // After NATIVE_CHECK_TRAPPED: what the reader threw, or an error that tells the trap.
  napi_value TakeError();

 private:
  static NativeRead Read(void* object, uint64_t address, uint32_t length, uint8_t* to);
  Napi::Value Answer(uint32_t code);

  NativeCheck* check_ = nullptr;
  Napi::ObjectReference memory_;
  Napi::ObjectReference buffer_;
  // (addressLow, addressHigh, length, destination) → nonzero when the bytes are there: `host.read` of the module.
  Napi::FunctionReference read_;
  // Foreign memory is this emulator's: its bytes are read without JavaScript.
  Napi::ObjectReference engine_reference_;
  Engine* engine_ = nullptr;
  Napi::ObjectReference error_;
};
