// Counting instructions and cycles of a run: blocks are learnt as they are translated, priced when they first run, and
// stopped before a limit is passed. Nothing that runs in a callback of libunicorn throws.
#pragma once
#include <napi.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "gate.h"
#include "hooks.h"
#include "javascript.h"
#include "registers.h"

class Counting {
 public:
  Counting(Emulator& emulator, Registers& registers, Hooks& hooks, Gate& gate, JavaScript& javascript)
      : emulator_(emulator), registers_(registers), hooks_(hooks), gate_(gate), javascript_(javascript) {}

  // For JavaScript.
  Napi::Value InstructionCount(const Napi::CallbackInfo& info);
  Napi::Value CycleCount(const Napi::CallbackInfo& info);
  Napi::Value ChargeCycles(const Napi::CallbackInfo& info);

  // The options of a run that begins.
  void Start(const Napi::Object& options);
  bool on() const { return gate_.counting; }
  // A block as it is translated.
  void Learn(const uc_tb& block) { Learn(block.pc, block.size, block.icount); }
  // One that may have been translated anew.
  void Learn(uint64_t address, uint32_t size) { Learn(address, size, std::nullopt); }

  enum class Spent { kNothing, kInstructions, kCycles };
  // Before a block, when it is known how the one before it was left: whether a limit is reached.
  Spent SpentBefore(uint64_t address, uint32_t size);

  enum class Entry {
    kEntered,
    // The pricer failed.
    kFailed,
    // The limit of instructions ends the run before this block …
    kLimit,
    // … or within it: the execution must end, so that the limit can be placed.
    kPlaceLimit,
  };
  // Counts a block that is about to be executed, or does not let it in.
  Entry Enter(uint64_t address, uint32_t size);

  // The record that a limit was placed at was reached.
  bool LimitReached() const { return limit_ && gate_.counter.instructions() >= limit_->instructions; }
  bool limit_due() const { return limit_wanted_.has_value(); }
  // Between two executions: the instruction at which the limit will be reached gets a hook.
  void PlaceLimit(Napi::Env env);

  // The guest raised an exception, or the emulator gave up at an instruction, with the pc right.
  void CountException(uc_err code, std::optional<uint64_t> pc = std::nullopt);
  // For a callback in the middle of an instruction that accesses memory.
  void WindBackToAccess();
  // Instructions, how many more there may be, cycles (an f64).
  void Publish(uint64_t* status) const;

 private:
  // The run ends before the instruction at the address when so many have been executed there.
  struct Limit {
    uint64_t address;
    uint64_t instructions;
    bool operator==(const Limit& other) const {
      return address == other.address && instructions == other.instructions;
    }
    bool operator!=(const Limit& other) const { return !(*this == other); }
  };

  Block& Learn(uint64_t address, uint32_t size, std::optional<uint16_t> instructions);
  std::vector<uint8_t> ReadCode(uint64_t address, uint32_t size);
  Block& Known(uint64_t address, uint32_t size);
  bool Price(Block& block);
  std::optional<Limit> LimitFor(const Block& block);
  Limit BeforeItBlock(const Block& block, Limit limit);
  void DropLimit();

  Emulator& emulator_;
  Registers& registers_;
  Hooks& hooks_;
  Gate& gate_;
  JavaScript& javascript_;
  bool pricing_ = false;
  Kept pricer_;
  // Inside a block: where the hook for the instruction limit is, and where it must be put.
  std::optional<Limit> limit_;
  std::optional<Limit> limit_wanted_;
};
