// One emulator of libunicorn's: its handle, and whether it is executing.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "errors.h"

class Emulator {
 public:
  // Names as libunicorn spells its constants, without the prefix; `cpu` a name or undefined; `mmu`: the guest's own page
  // tables are followed. Throws a typed error.
  Emulator(Napi::Env env, const Napi::Value& arch, const Napi::Value& modes, const Napi::Value& cpu, bool mmu);
  ~Emulator() { Close(); }
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  void Close();
  bool closed() const { return uc_ == nullptr; }
  uc_engine* uc() const { return uc_; }
  // The handle, or a typed error when it has been closed.
  uc_engine* Live(Napi::Env env) const;
  uc_arch arch() const { return arch_; }
  uc_mode mode() const { return mode_; }
  bool big_endian() const { return (mode_ & UC_MODE_BIG_ENDIAN) != 0; }

  // Executes until something stops it.
  uc_err Execute(uint64_t start);
  bool executing() const { return executing_; }

  // A slice of a run is under way: `executing()`, or between two executions.
  void SetRunning(bool running) { running_ = running; }
  bool running() const { return running_; }
  // Typed error while that is so.
  void RefuseWhileRunning(Napi::Env env, const char* call) const;

 private:
  uc_engine* uc_ = nullptr;
  uc_arch arch_ = UC_ARCH_MAX;
  uc_mode mode_ = UC_MODE_LITTLE_ENDIAN;
  bool executing_ = false;
  bool running_ = false;
};
