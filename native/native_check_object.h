// The native check for JavaScript: `NativeCheck`, on the memory of a WebAssembly.Memory.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>

#include "anchor.h"
#include "gate.h"
#include "javascript.h"
#include "linear_memory.h"
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
  Napi::Value Look(const Napi::CallbackInfo& info);
  Napi::Value ReadFrom(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  // Null when it is closed.
  NativeCheck* check() const { return check_; }
  // None of these throws. Where linear memory is now: to be asked again whenever JavaScript has run, since it may have
  // grown. Null: detached.
  uint8_t* Memory(size_t* size);
  // After NATIVE_CHECK_TRAPPED: a run fails with what the reader threw, or an error that tells the trap.
  void FailWithTrap(JavaScript& javascript);

 private:
  static NativeRead Read(void* object, uint64_t address, uint32_t length, uint8_t* to) noexcept;
  NativeRead AskJavaScript(uint64_t address, uint32_t length, const uint8_t* to);
  NativeCheck* Live() const;
  Napi::Value Answer(uint32_t code);
  std::string Trap() const;

  Anchor anchor_;
  // For the reader's errors outside of a run.
  Attention attention_;
  JavaScript javascript_;
  NativeCheck* check_ = nullptr;
  // Calls of `read_` that have not come back: the judgements that made them go on afterwards.
  uint32_t asking_ = 0;
  LinearMemory memory_;
  // (addressLow, addressHigh, length, destination) → nonzero when the bytes are there: `host.read` of the module.
  Kept read_;
  // Foreign memory is this emulator's: its bytes are read without JavaScript.
  Kept engine_object_;
  Engine* engine_ = nullptr;
};
