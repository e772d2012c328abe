// Counts guest instructions, and adds up estimated cycles, one translated block at a time.
//
// One instruction is one firing of a UC_HOOK_CODE on it. A block is counted whole when it is entered: libunicorn says
// how many instructions it holds when it translates it. Where a block is left before its end, or a callback looks at the
// count in the middle of one, the count is wound back to that instruction; a data fault does not say which instruction
// it was, and leaves a range.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "instruction_lengths.h"

struct Block {
  static constexpr uint32_t kEmptySlot = UINT32_MAX;
  uint64_t address = 0;
  // In bytes. An undefined instruction may have none.
  uint32_t size = kEmptySlot;
  uint16_t instructions = 0;
  // Why entering it takes more than two additions (Counter::Why).
  uint16_t special = 0;
  // In parts of a cycle (Counter::kPartsOfCycle).
  uint64_t price = 0;
  struct Detail {
    uint64_t code_hash = 0;
    bool thumb = false;
    // Of each instruction; empty when the code could not be read or does not split into as many as were translated.
    std::vector<uint8_t> lengths;
  };
  std::unique_ptr<Detail> detail;
};

class Counter {
 public:
  enum Why : uint16_t {
    kUnpriced = 1,
    // A block of one instruction: the block before it may have been left there, because it wrote into itself (x86).
    kSingle = 2,
    // The same bytes have run as ARM and as Thumb code.
    kTwofold = 4,
    // Some address hook may be at its start.
    kHooked = 8,
  };
  // Cycles are added up as integers, which takes half the time of doubles.
  static constexpr double kPartsOfCycle = 1 << 20;

  Counter();

  // A block as it is translated, or (without `instructions`) as its bytes say. `code` is empty when it cannot be read.
  Block& Learn(uint64_t address, uint32_t size, std::optional<uint16_t> instructions, CodeKind kind, bool big_endian,
               const std::vector<uint8_t>& code);
  Block* Find(uint64_t address, uint32_t size);

  // `careful`: a block that ends exactly at the limit is not passed quickly either.
  void Start(uint64_t instruction_limit, bool careful, double cycle_limit, bool priced);
  // Blocks that begin at an address are not passed quickly any more.
  void MarkHooked(uint64_t address);
  // The emulator is closed: the blocks are given back, which are most of what it leaves behind.
  void Release();
  // Prices of blocks are another pricer's.
  void ForgetPrices();

  // The quick way. False, and nothing is counted, where more must be looked at: a new block, a limit.
  bool Enter(uint64_t address, uint32_t size) {
    Block* block = &blocks_[Slot(address)];
    if (block->address != address || block->size != size) {
      block = Find(address, size);
      if (block == nullptr) return false;
    }
    const uint64_t after = instructions_ + block->instructions;
    const uint16_t reasons = block->special & heeded_;
    // A kernel has many blocks of one instruction: calls of __fentry__, return thunks. Few lie in the block before.
    if (reasons != 0 && (reasons != kSingle || InCurrent(address))) return false;
    if (after > quick_limit_ || cycles_ >= cycle_limit_) return false;
    instructions_ = after;
    cycles_ += block->price;
    current_ = block;
    return true;
  }
  void EnterWhole(Block& block);
  bool SpentInstructions() const { return instructions_ >= instruction_limit_; }
  bool SpentCycles() const { return cycles_ >= cycle_limit_; }
  // Instructions left up to the limit.
  uint64_t room() const { return SpentInstructions() ? 0 : instruction_limit_ - instructions_; }

  // For callbacks in the middle of the block that was entered last: back to before the instruction at `address`, or into
  // an instruction that accesses memory, one of those from where it was wound to last up to `end`; and forward again when
  // the block goes on.
  void WindBackTo(uint64_t address);
  void WindBackToAccess(uint64_t end);
  void WindForward();
  // The instruction at `address` was the last one executed of the block that was entered last, if it is one of it.
  void EndAfter(uint64_t address);

  void Charge(double cycles) { cycles_ += Parts(cycles); }
  // Of a finite number of cycles, 0 or more.
  static uint64_t Parts(double cycles);
  uint64_t instructions() const { return instructions_; }
  // As many more may have been executed.
  uint64_t slack() const { return slack_; }
  double cycles() const { return static_cast<double>(cycles_) / kPartsOfCycle; }
  const Block* current() const { return current_; }
  // Where the block that was entered last was wound back to last, else its start.
  uint64_t passed() const { return passed_block_ == instructions_ ? passed_ : current_->address; }

 private:
  // Whether an address lies in the block that was entered last.
  bool InCurrent(uint64_t address) const {
    return current_ != nullptr && address - current_->address < current_->size;
  }
  size_t Slot(uint64_t address) const { return (address * 0x9e3779b97f4a7c15u) >> shift_; }
  void Grow();
  Block& Insert(uint64_t address, uint32_t size);
  // Takes off what comes after the first `executed` instructions of the current block, which ends there.
  void KeepFirst(uint32_t executed);
  // The same where it ended after `least` to `most` instructions.
  void KeepBetween(uint32_t least, uint32_t most);

  // Open addressing, linear probing; the size is a power of two. Nothing is ever taken out.
  std::vector<Block> blocks_;
  size_t used_ = 0;
  int shift_ = 0;

  uint64_t instructions_ = 0;
  uint64_t cycles_ = 0;
  uint64_t slack_ = 0;
  uint64_t instruction_limit_ = std::numeric_limits<uint64_t>::max();
  uint64_t quick_limit_ = std::numeric_limits<uint64_t>::max();
  uint64_t cycle_limit_ = std::numeric_limits<uint64_t>::max();
  uint16_t heeded_ = kSingle | kTwofold | kHooked;
  Block* current_ = nullptr;
  // What WindForward() gives back.
  Block* wound_block_ = nullptr;
  uint32_t wound_instructions_ = 0;
  uint64_t wound_cycles_ = 0;
  uint32_t wound_slack_ = 0;
  // With the count of all instructions up to the end of the block that was meant.
  uint64_t passed_ = 0;
  uint64_t passed_block_ = 0;
};
