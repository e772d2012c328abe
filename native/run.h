// Running the guest, one slice at a time.
#pragma once
#include <napi.h>

#include <cstdint>
#include <memory>

#include "dispatch.h"
#include "memory.h"
#include "ring.h"
#include "timer.h"

class Runner {
 public:
  // `status`: five u64 words shared with TypeScript: pc, error code, instructions, how many more there may be, cycles (an
  // f64).
  Runner(Anchor& anchor, const Napi::Value& status, Emulator& emulator, Registers& registers, TranslatedCode& code, GuestMemory& memory,
         Hooks& hooks, Counting& counting, Rings& rings, Dispatcher& dispatcher, Gate& gate, JavaScript& javascript);

  // For JavaScript.
  Napi::Value Slice(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);
  // The emulator is closed.
  void Release() { timer_.reset(); }

 private:
  int Run(Napi::Env env, uint64_t start);

  Emulator& emulator_;
  Registers& registers_;
  TranslatedCode& code_;
  GuestMemory& memory_;
  Hooks& hooks_;
  Counting& counting_;
  Rings& rings_;
  Dispatcher& dispatcher_;
  Gate& gate_;
  JavaScript& javascript_;

  Kept status_array_;
  uint64_t* status_;
  bool timed_ = false;
  std::unique_ptr<SliceTimer> timer_;
};
