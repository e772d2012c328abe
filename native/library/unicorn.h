// The libunicorn of the process: which one it is, its functions, and what an emulator of it can be asked.
#pragma once
#include <unicorn/unicorn.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

// Functions of one libunicorn, with the types of its header. Nothing here is linked.
struct Unicorn {
  decltype(&::uc_version) version = nullptr;
  decltype(&::uc_strerror) strerror = nullptr;
  decltype(&::uc_query) query = nullptr;
  decltype(&::uc_ctl) ctl = nullptr;
  decltype(&::uc_reg_read) reg_read = nullptr;
  decltype(&::uc_reg_write) reg_write = nullptr;
  decltype(&::uc_reg_read_batch) reg_read_batch = nullptr;
  decltype(&::uc_mem_read) mem_read = nullptr;
  decltype(&::uc_hook_add) hook_add = nullptr;
  decltype(&::uc_hook_del) hook_del = nullptr;
  decltype(&::uc_emu_stop) emu_stop = nullptr;
  decltype(&::uc_mem_map_ptr) mem_map_ptr = nullptr;
  decltype(&::uc_context_alloc) context_alloc = nullptr;
  decltype(&::uc_context_save) context_save = nullptr;
  decltype(&::uc_context_restore) context_restore = nullptr;
  decltype(&::uc_context_free) context_free = nullptr;

  // Whether uc_emu_stop() in a hook stops before its instruction, with the pc there. 2.0.1 may go on, or leave the pc of an
  // earlier block; 2.1.1 and 2.1.4 stop in place.
  bool StopsInPlace() const;

  // The loaded one. Throws a Failure when there is none, or more than one.
  static Unicorn Loaded();
  // The one that somebody names. Throws a Failure when it is none.
  static Unicorn Given(const UsercopyUnicorn& given);
};

// Mode bits that tell one machine of an architecture from another.
int MachineBits(int arch, int mode);

// Registers of an emulator by name, as numbers of its libunicorn that were tried.
class RegisterFile {
 public:
  // Throws a Failure when `uc` is no emulator of `unicorn`, or its registers are not known.
  RegisterFile(const Unicorn& unicorn, uc_engine* uc);

  uc_arch arch() const { return arch_; }
  int mode() const { return mode_; }

  // The register's number. Throws a Failure where the architecture has none of this name, or it has more than 8 bytes.
  int Find(const std::string& name, const std::string& where) const;
  // The same; -1 where there is no such register.
  int Look(const std::string& name) const;
  uint64_t Read(int id) const;
  void Write(int id, uint64_t value) const;
  // Of the registers that have no more than 8 bytes: number and value, each once.
  std::vector<std::pair<int, uint64_t>> All() const;
  // An address in code as uc_emu_start() and the pc take it: odd where the guest runs Thumb code.
  uint64_t CodeAddress(uint64_t address) const;

  // The registers that tell one arrival from another; those of no more than 8 bytes count.
  void Compare(const std::vector<std::string>& names);
  std::vector<uint64_t> Snapshot() const;
  // Two snapshots between which no instruction was executed: what differs is not looked at from now on.
  void Calibrate(const std::vector<uint64_t>& before, const std::vector<uint64_t>& after);
  bool Same(const std::vector<uint64_t>& one, const std::vector<uint64_t>& other) const;

 private:
  int NumberOf(const std::string& name) const;
  size_t Width(int id) const;

  const Unicorn& unicorn_;
  uc_engine* uc_;
  uc_arch arch_ = UC_ARCH_MAX;
  int mode_ = 0;
  int status_ = -1;
  std::vector<int> compared_;
  std::vector<bool> is_steady_;
};
