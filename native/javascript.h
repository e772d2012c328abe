// The way from callbacks of libunicorn into JavaScript. Between them and the run lies C code compiled at run time: no
// C++ exception may cross it, so an error is kept here, and thrown by the run.
#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "errors.h"
#include "gate.h"

// A handle scope per callback: a run may see millions of them.
class CallbackScope {
 public:
  explicit CallbackScope(napi_env env) : env_(env) { napi_open_handle_scope(env, &scope_); }
  ~CallbackScope() { napi_close_handle_scope(env_, scope_); }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};

class JavaScript {
 public:
  JavaScript(Napi::Env env, Attention& attention) : env_(env), attention_(attention) {}

  Napi::Env env() const { return env_; }
  napi_value BigInt(uint64_t value) const;
  napi_value Number(double value) const;

  // False, and a failed run, when it throws or cannot be called.
  bool Call(napi_value function, size_t count, const napi_value* arguments, napi_value* result);
  // Whether the guest goes on in this arrival: `function` answers 'stop' (the run ends then) or 'continue'.
  bool AskHowToGoOn(napi_value function, napi_value argument);
  // The run ends and throws the first error that was given.
  void Fail(napi_value error);
  void Fail(ErrorKind kind, const std::string& message);
  // Throws what made the run fail.
  Napi::Value ThrowFailure();

  // Grows whenever JavaScript may have run: a WebAssembly.Memory may have grown then.
  uint64_t turns() const { return turns_; }
  void NoteTurn() { ++turns_; }

 private:
  Napi::Env env_;
  Attention& attention_;
  uint64_t turns_ = 1;
  Napi::ObjectReference failure_;
};
