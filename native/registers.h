// Registers by name, and the program counter as callbacks see it.
#pragma once
#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "emulator.h"
#include "names.h"

class Registers {
 public:
  Registers(Napi::Env env, Emulator& emulator);

  // For JavaScript. Written in a callback, the pc is where the guest goes on when the callback has ended.
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value ReadMany(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  // context.cc: a CPU state as bytes, and back.
  Napi::Value Save(const Napi::CallbackInfo& info);
  Napi::Value Restore(const Napi::CallbackInfo& info);

  uint64_t ReadRaw(int id) const;
  uc_err WriteRaw(int id, uint64_t value);
  // A register of at most 64 bits: others would be stored beyond their slot.
  int FindWord(Napi::Env env, const std::string& name) const;

  int pc() const { return pc_; }
  uint64_t ProgramCounter() const { return ReadRaw(pc_); }
  // Sets the pc as Unicorn wants it: with the Thumb bit where the CPU is in that state.
  void SetProgramCounter(uint64_t address) { WriteRaw(pc_, StartAddress(address)); }
  // Sets it as a callback wanted it.
  void WriteProgramCounter(uint64_t address) { WriteRaw(pc_, address); }
  uint64_t StartAddress(uint64_t address) const { return address | (InThumbState() ? 1 : 0); }
  bool InThumbState() const;
  uint64_t WithoutThumbBit(uint64_t address) const;

  // While a callback runs Unicorn's own pc may be stale: this is where the guest is, …
  void EnterCallback(uint64_t pc) { callback_pc_ = pc; }
  void LeaveCallback() { callback_pc_.reset(); }
  // … and where the callback wants it to go on.
  bool wants_elsewhere() const { return wanted_pc_.has_value(); }
  std::optional<uint64_t> TakeWanted();

  // Grows when registers change outside of a run, or a context is restored.
  uint64_t changes() const { return changes_; }
  // Grows whenever JavaScript writes a register or restores a context, also in a callback.
  uint64_t writes() const { return writes_; }

 private:
  bool IsProgramCounter(int id) const;
  // The pc that a callback sees, where it is not Unicorn's.
  std::optional<uint64_t> SeenProgramCounter() const { return wanted_pc_ ? wanted_pc_ : callback_pc_; }

  Emulator& emulator_;
  const RegisterNames& names_;
  int pc_ = -1;
  std::optional<uint64_t> callback_pc_;
  std::optional<uint64_t> wanted_pc_;
  uint64_t changes_ = 0;
  uint64_t writes_ = 0;
  // Bytes behind the state in a saved context; not known before the first one.
  std::optional<size_t> context_padding_;
};
