#include "counter.h"

#include <algorithm>
#include <cmath>

namespace {

constexpr int kFirstBits = 12;

uint64_t Hash(const std::vector<uint8_t>& bytes) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

// The index of the instruction that begins at an address; nothing when none does, or that is not known.
std::optional<uint32_t> IndexAt(const Block& block, uint64_t address) {
  const auto& lengths = block.detail->lengths;
  if (address == block.address) return 0;
  uint64_t at = block.address;
  for (uint32_t i = 0; i < lengths.size(); ++i) {
    if (at == address) return i;
    at += lengths[i];
  }
  return std::nullopt;
}

}  // namespace

Counter::Counter() : blocks_(size_t{1} << kFirstBits), shift_(64 - kFirstBits) {}

Block* Counter::Find(uint64_t address, uint32_t size) {
  const size_t mask = blocks_.size() - 1;
  for (size_t slot = Slot(address);; slot = (slot + 1) & mask) {
    Block& block = blocks_[slot];
    if (block.size == Block::kEmptySlot) return nullptr;
    if (block.address == address && block.size == size) return &block;
  }
}

Block& Counter::Insert(uint64_t address, uint32_t size) {
  if (2 * (used_ + 1) > blocks_.size()) Grow();
  ++used_;
  const size_t mask = blocks_.size() - 1;
  size_t slot = Slot(address);
  while (blocks_[slot].size != Block::kEmptySlot) slot = (slot + 1) & mask;
  Block& block = blocks_[slot];
  block.address = address;
  block.size = size;
  block.special = kUnpriced;
  block.detail = std::make_unique<Block::Detail>();
  return block;
}

void Counter::Grow() {
  std::vector<Block> old(2 * blocks_.size());
  old.swap(blocks_);
  --shift_;
  const size_t mask = blocks_.size() - 1;
  const Block* const current = current_;
  const Block* const wound = wound_block_;
  for (Block& block : old) {
    if (block.size == Block::kEmptySlot) continue;
    size_t slot = Slot(block.address);
    while (blocks_[slot].size != Block::kEmptySlot) slot = (slot + 1) & mask;
    blocks_[slot] = std::move(block);
    if (&block == current) current_ = &blocks_[slot];
    if (&block == wound) wound_block_ = &blocks_[slot];
  }
}

Block& Counter::Learn(uint64_t address, uint32_t size, std::optional<uint16_t> instructions, CodeKind kind,
                      bool big_endian, const std::vector<uint8_t>& code) {
  const bool thumb = kind == CodeKind::kThumb;
  const uint64_t hash = Hash(code);
  Block* found = Find(address, size);
  Block& block = found != nullptr ? *found : Insert(address, size);
  Block::Detail& detail = *block.detail;
  if (found != nullptr && detail.code_hash != hash) {
    block.special = static_cast<uint16_t>(kUnpriced | (block.special & kHooked));
  } else if (found != nullptr && detail.thumb != thumb) {
    block.special |= kTwofold | kUnpriced;
  }
  detail.code_hash = hash;
  detail.thumb = thumb;
  if (kind == CodeKind::kFixed4) {
    detail.lengths.assign(size / 4, 4);
  } else {
    detail.lengths = SplitInstructions(kind, big_endian, code.data(), code.size());
  }
  block.instructions = instructions.value_or(static_cast<uint16_t>(std::max<size_t>(detail.lengths.size(), 1)));
  if (detail.lengths.size() != block.instructions) detail.lengths.clear();
  if (kind >= CodeKind::kX86_16 && block.instructions == 1) block.special |= kSingle;
  return block;
}

void Counter::Start(uint64_t instruction_limit, bool careful, double cycle_limit, bool priced) {
  instructions_ = 0;
  cycles_ = 0;
  slack_ = 0;
  instruction_limit_ = instruction_limit;
  quick_limit_ = instruction_limit - (careful && instruction_limit > 0 ? 1 : 0);
  cycle_limit_ = Parts(cycle_limit);
  heeded_ = static_cast<uint16_t>(kSingle | kTwofold | kHooked | (priced ? kUnpriced : 0));
  current_ = wound_block_ = nullptr;
  passed_block_ = 0;
}

void Counter::MarkHooked(uint64_t address) {
  const size_t mask = blocks_.size() - 1;
  for (size_t slot = Slot(address); blocks_[slot].size != Block::kEmptySlot; slot = (slot + 1) & mask) {
    if (blocks_[slot].address == address) blocks_[slot].special |= kHooked;
  }
}

void Counter::Release() {
  std::vector<Block> fewest(2);
  fewest.swap(blocks_);
  used_ = 0;
  shift_ = 63;
  current_ = wound_block_ = nullptr;
}

uint64_t Counter::Parts(double cycles) {
  constexpr double kMost = 0x1p62;
  return cycles * kPartsOfCycle < kMost ? static_cast<uint64_t>(std::llround(cycles * kPartsOfCycle)) : 1ull << 62;
}

void Counter::ForgetPrices() {
  for (Block& block : blocks_) {
    if (block.size != Block::kEmptySlot) block.special |= kUnpriced;
  }
}

void Counter::EnterWhole(Block& block) {
  instructions_ += block.instructions;
  cycles_ += block.price;
  current_ = &block;
}

void Counter::KeepFirst(uint32_t executed) {
  const uint32_t all = current_->instructions;
  const uint32_t kept = std::min(executed, all);
  wound_instructions_ = all - kept;
  wound_cycles_ = current_->price / all * wound_instructions_ + current_->price % all * wound_instructions_ / all;
  wound_slack_ = 0;
  instructions_ -= wound_instructions_;
  cycles_ -= wound_cycles_;
  wound_block_ = current_;
  current_ = nullptr;
}

void Counter::KeepBetween(uint32_t least, uint32_t most) {
  KeepFirst(least);
  wound_slack_ = std::min(most - least, wound_instructions_);
  slack_ += wound_slack_;
}

void Counter::WindBackTo(uint64_t address) {
  if (current_ == nullptr) return;
  passed_ = address;
  passed_block_ = instructions_;
  if (const auto index = IndexAt(*current_, address)) {
    KeepFirst(*index);
  } else {
    KeepBetween(0, current_->instructions);
  }
}

void Counter::WindBackToAccess(uint64_t end) {
  if (current_ == nullptr) return;
  const uint32_t first = IndexAt(*current_, passed()).value_or(0);
  KeepBetween(first + 1, IndexAt(*current_, end).value_or(current_->instructions));
}

void Counter::WindForward() {
  if (wound_block_ == nullptr) return;
  instructions_ += wound_instructions_;
  cycles_ += wound_cycles_;
  slack_ -= wound_slack_;
  current_ = wound_block_;
  wound_block_ = nullptr;
}

void Counter::EndAfter(uint64_t address) {
  if (!InCurrent(address)) return;
  if (const auto index = IndexAt(*current_, address)) {
    KeepFirst(*index + 1);
  } else {
    KeepBetween(1, current_->instructions);
  }
}
