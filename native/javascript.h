// The way from callbacks of libunicorn into JavaScript. Between them and the run lies C code compiled at run time: no
// C++ exception may cross it, so an error is kept here, and thrown by the run. Nothing throws but ThrowFailure().
#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "anchor.h"
#include "callback_scope.h"
#include "errors.h"
#include "gate.h"

class JavaScript {
 public:
  JavaScript(Anchor& anchor, Attention& attention) : anchor_(anchor), env_(anchor.env()), attention_(attention) {}

  Anchor& anchor() { return anchor_; }
  napi_env env() const { return env_; }
  napi_value BigInt(uint64_t value) const;
  napi_value Number(double value) const;
  napi_value Index(uint32_t value) const;
  napi_value Boolean(bool value) const;

  // False, and a failed run, when it throws or cannot be called.
  bool Call(const Kept& function, size_t count, const napi_value* arguments, napi_value* result) noexcept;
  // Whether the guest goes on in this arrival: `function` answers 'stop' (the run ends then) or 'continue'.
  bool AskHowToGoOn(const Kept& function, napi_value argument) noexcept;
  // The run ends and throws the first error that was given: what JavaScript threw, …
  void FailWith(napi_value thrown) noexcept;
  // … or one of our own.
  void Fail(ErrorKind kind, const char* message) noexcept;
  void Fail(ErrorKind kind, const std::string& message) noexcept { Fail(kind, message.c_str()); }
  // `work` must not throw, and if it does (memory that runs out), the run fails; answers `otherwise` then.
  template <typename Answer, typename Work>
  Answer Guard(Answer otherwise, Work work) noexcept {
    try {
      return work();
    } catch (...) {
      Fail(ErrorKind::Engine, "a callback of the emulator ran out of memory");
      return otherwise;
    }
  }
  // Another run fails with what this one failed with.
  void PassFailureTo(JavaScript& other) noexcept;
  // Throws what made the run fail.
  Napi::Value ThrowFailure();

  // Grows whenever JavaScript may have run: a WebAssembly.Memory may have grown then.
  uint64_t turns() const { return turns_; }
  void NoteTurn() { ++turns_; }

 private:
  Anchor& anchor_;
  napi_env env_;
  Attention& attention_;
  uint64_t turns_ = 1;
  // What was thrown; null when it was none of JavaScript's.
  napi_value TakeThrown() noexcept;

  // What was thrown, as the property of an object: anything can be thrown, only objects can be kept.
  Kept thrown_;
  ErrorKind kind_ = ErrorKind::Engine;
  std::string message_;
};
