// Guest memory: mapped, read and written.
#pragma once
#include <napi.h>

#include <cstdint>
#include <vector>

#include "code.h"
#include "emulator.h"

class GuestMemory {
 public:
  GuestMemory(Emulator& emulator, TranslatedCode& code) : emulator_(emulator), code_(code) {}

  // For JavaScript.
  Napi::Value Map(const Napi::CallbackInfo& info);
  Napi::Value MapShared(const Napi::CallbackInfo& info);
  Napi::Value Unmap(const Napi::CallbackInfo& info);
  Napi::Value Regions(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value DropCode(const Napi::CallbackInfo& info);

  // Guest bytes as they are; false when not all are mapped, or the emulator is closed.
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
    Napi::ObjectReference memory;
    Napi::ObjectReference buffer;
  };

  bool IsMapped(Napi::Env env, uint64_t address, uint64_t length);

  Emulator& emulator_;
  TranslatedCode& code_;
  std::vector<SharedRegion> shared_;
};
