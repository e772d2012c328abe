// A guest that was written down, put into an emulator.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cpu_state.h"
#include "guest_memory.h"
#include "harness.h"
#include "snapshot_files.h"
#include "unicorn.h"

struct UsercopySnapshot {
 public:
  // Maps the memory and sets the registers. Throws a Failure.
  UsercopySnapshot(const Unicorn& unicorn, uc_engine* uc, const std::string& folder);
  ~UsercopySnapshot();
  UsercopySnapshot(const UsercopySnapshot&) = delete;
  UsercopySnapshot& operator=(const UsercopySnapshot&) = delete;

  // What was mapped as one, and where it begins in the memory of the snapshot.
  struct Region {
    uint64_t start, size;
    uint32_t permissions;
    uint64_t offset;
  };

  // Memory and CPU as they were loaded. Throws a Failure.
  void Restore();

  // By name; null: there is none.
  const SnapshotFiles::Place* Find(const std::string& name) const;
  // What was last handed out by usercopy_snapshot_unknown_registers().
  std::string unknown_text;
  // Registers of the files that this emulator does not have, or that do not take the value.
  const std::vector<std::string>& unknown_registers() const { return unknown_registers_; }

  const Unicorn& unicorn() const { return unicorn_; }
  uc_engine* uc() const { return uc_; }
  const std::vector<Region>& regions() const { return regions_; }
  GuestMemory& memory() { return memory_; }

 private:
  void ExpectMachine() const;
  void LayOut();
  void Fill();
  void Map();
  void SetRegisters();
  void DropCode(const std::vector<uint64_t>& written);
  void Drop(uint64_t start, uint64_t end);

  Unicorn unicorn_;
  uc_engine* uc_;
  RegisterFile registers_;
  SnapshotFiles files_;
  CpuState cpu_;
  std::vector<Region> regions_;
  std::vector<std::string> unknown_registers_;
  // Holds the bytes as they were loaded; what the guest writes goes into pages of its own (MAP_PRIVATE).
  int file_ = -1;
  uint64_t bytes_ = 0;
  GuestMemory memory_;
};
