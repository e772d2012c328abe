// A guest that was written down as Unicorn's dumpers do (src/guest/snapshot.ts has the format), put into an emulator.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness.h"
#include "unicorn.h"

struct UsercopySnapshot {
 public:
  // Maps the memory and sets the registers. Throws a Failure.
  UsercopySnapshot(const Unicorn& unicorn, uc_engine* uc, const std::string& folder);
  ~UsercopySnapshot();
  UsercopySnapshot(const UsercopySnapshot&) = delete;
  UsercopySnapshot& operator=(const UsercopySnapshot&) = delete;

  // Memory and registers as they were loaded. Throws a Failure.
  void Restore();

  struct Place {
    uint64_t start, end;
  };
  // By name; null: there is none.
  const Place* Find(const std::string& name) const;
  // What was last handed out by usercopy_snapshot_unknown_registers().
  std::string unknown_text;
  // Registers of the files that this emulator does not have, or that do not take the value.
  const std::vector<std::string>& unknown_registers() const { return unknown_registers_; }

 private:
  // Pages of the guest, and where they begin in the memory of the snapshot.
  struct Segment {
    uint64_t start, size;
    uint32_t permissions;
    std::string content;
    bool shares;
    uint64_t offset;
  };

  void Read(const std::string& folder);
  void LayOut();
  void Fill(const std::string& folder);
  void Map();
  void SetRegisters();

  Unicorn unicorn_;
  uc_engine* uc_;
  RegisterFile registers_;
  std::vector<Segment> segments_;
  std::map<std::string, uint64_t> values_;
  std::map<std::string, Place> places_;
  std::vector<std::string> unknown_registers_;
  // Holds the bytes as they were loaded; what the guest writes goes into pages of its own (MAP_PRIVATE).
  int file_ = -1;
  uint64_t bytes_ = 0;
  uint8_t* memory_ = nullptr;
};
