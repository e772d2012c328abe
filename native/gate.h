// What every block of a run looks at before it is passed over, in one place: nothing else is on that way.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "counter.h"

// A quick "surely not" for a set of addresses.
class AddressFilter {
 public:
  void Clear() { words_.fill(0); }
  void Add(uint64_t address) { words_[Bit(address) / 64] |= uint64_t{1} << (Bit(address) % 64); }
  bool MayHold(uint64_t address) const { return (words_[Bit(address) / 64] >> (Bit(address) % 64) & 1) != 0; }

 private:
  static size_t Bit(uint64_t address) { return (address >> 1 ^ address >> 12) % kBits; }
  static constexpr size_t kBits = 4096;
  std::array<uint64_t, kBits / 64> words_{};
};

// What a block must not be passed over quickly for, in one word.
struct alignas(8) Attention {
  // The slice is over; set by the timer's thread.
  std::atomic<bool> due{false};
  bool stop = false;
  bool failed = false;
  // Translated code is wrong.
  bool flush = false;
  // The emulation has been told to end.
  bool leaving = false;
  // Every block is told to a callback, or limited.
  bool all_blocks = false;
  bool unused[2] = {};

  bool Any() const {
    uint64_t word;
    static_assert(sizeof word == sizeof *this);
    std::memcpy(&word, static_cast<const void*>(this), sizeof word);
    return word != 0;
  }
  // The run must be left before the next instruction.
  bool Interrupted() const { return due.load(std::memory_order_relaxed) || stop || failed || flush; }
};

class Dispatcher;

struct Gate {
  Attention attention;
  // Blocks are counted.
  bool counting = false;
  Counter counter;
  // Addresses with a hook that fires at the start of a block.
  AddressFilter hooked;
  // Who takes that look.
  Dispatcher* dispatcher = nullptr;
  // The block that was entered last; kept on MIPS alone.
  uint64_t last_block = 0;
  uint32_t last_size = 0;

  // Whether a block can be entered without another look; it has been counted then.
  bool Passes(uint64_t address, uint32_t size) {
    return !attention.Any() && (counting ? counter.Enter(address, size) : !hooked.MayHold(address));
  }
};
