// Guest memory: mapped, read and written.
#pragma once
#include <napi.h>

#include <cstdint>
#include <vector>

#include "code.h"
#include "emulator.h"
#include "linear_memory.h"

class GuestMemory {
 public:
  GuestMemory(Anchor& anchor, Emulator& emulator, TranslatedCode& code)
      : anchor_(anchor), emulator_(emulator), code_(code) {}

  // For JavaScript.
  Napi::Value Map(const Napi::CallbackInfo& info);
  Napi::Value MapShared(const Napi::CallbackInfo& info);
  Napi::Value Unmap(const Napi::CallbackInfo& info);
  Napi::Value Regions(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value DropCode(const Napi::CallbackInfo& info);

  // Guest bytes as they are, without a throw; false when not all are mapped, or the emulator is closed.
  bool ReadBytes(uint64_t address, uint32_t length, uint8_t* to);
  // Throws when memory that is mapped out of a WebAssembly.Memory has moved.
  void VerifyShared(Napi::Env env);
  // The emulator is closed: nothing of JavaScript's is mapped any more.
  void Release() { shared_.clear(); }

 private:
  struct SharedRegion {
    uint64_t address;
    uint64_t size;
    uint64_t offset;
    uint8_t* pointer;
    LinearMemory memory;
  };

  bool IsMapped(Napi::Env env, uint64_t address, uint64_t length);

  Anchor& anchor_;
  Emulator& emulator_;
  TranslatedCode& code_;
  std::vector<SharedRegion> shared_;
};
