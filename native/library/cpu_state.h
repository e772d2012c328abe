// The whole state of an emulator's CPU, kept and put back: also what no register shows.
#pragma once
#include <cstddef>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optional>
#include <utility>
#include <vector>

#include "unicorn.h"

class CpuState {
 public:
  CpuState(const Unicorn& unicorn, uc_engine* uc, const RegisterFile& registers)
      : unicorn_(unicorn), uc_(uc), registers_(registers) {}
  ~CpuState();
  CpuState(const CpuState&) = delete;
  CpuState& operator=(const CpuState&) = delete;

  // Throw a Failure.
  void Save();
  void Restore() const;

  // Sets powerpc's MSR with HV, which a write of the register leaves as it is; without it, real mode reaches a few megabytes
  // only. As arch/powerpc/hypervisor.ts does. Throws a Failure.
  void WriteHypervisorMode(int msr, uint64_t value);

 private:
  bool HoldsRegisters() const;
  // Of the context that was saved. Throws a Failure.
  size_t StateSize() const;

  const Unicorn& unicorn_;
  uc_engine* uc_;
  const RegisterFile& registers_;
  uc_context* context_ = nullptr;
  // Whether libunicorn's contexts bring registers back; nothing: not tried yet.
  std::optional<bool> holds_registers_;
  // Where libunicorn's contexts are empty: registers by number.
  std::vector<std::pair<int, uint64_t>> values_;
};
