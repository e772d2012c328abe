// The callbacks of libunicorn, and in which order hooks of JavaScript's are told. Nothing here throws; nothing makes an
// object on the way of a good copy.
#pragma once
#include <cstdint>
#include <optional>
#include <set>

#include "code.h"
#include "copies.h"
#include "counting.h"
#include "gate.h"
#include "hooks.h"
#include "javascript.h"
#include "registers.h"

// Why an execution was left, where it is an end of the run.
enum class End { kNone, kUntil, kBlockLimit, kInstructionLimit, kCycleLimit };

class Dispatcher {
 public:
  Dispatcher(Emulator& emulator, Registers& registers, TranslatedCode& code, Hooks& hooks, Counting& counting,
             Copies& copies, Gate& gate, JavaScript& javascript)
      : emulator_(emulator),
        registers_(registers),
        code_(code),
        hooks_(hooks),
        counting_(counting),
        copies_(copies),
        gate_(gate),
        javascript_(javascript) {}

  static void OnRecord(uc_engine*, uint64_t address, uint32_t size, void* record);
  static void OnBlock(uc_engine*, uint64_t address, uint32_t size, void* gate);
  // On MIPS, where nothing else tells where an exception was raised.
  static void OnMipsBlock(uc_engine*, uint64_t address, uint32_t size, void* gate);
  static void OnInstruction(uc_engine*, uint64_t address, uint32_t size, void* dispatcher);
  static bool OnFault(uc_engine*, uc_mem_type type, uint64_t address, int size, int64_t value, void* dispatcher);
  static void OnInterrupt(uc_engine*, uint32_t number, void* dispatcher);
  static void OnRead(uc_engine*, uc_mem_type, uint64_t address, int size, int64_t, void* dispatcher);
  static void OnTranslated(uc_engine*, uc_tb* current, uc_tb* previous, void* dispatcher);

  // A run begins; with the blocks that it may enter, and whether it goes on from where the one before ended.
  void StartRun(std::optional<uint64_t> block_limit, bool resumes);
  // It goes on from `pc`: what was done for the arrival there counts only there.
  void StartAt(uint64_t pc);
  void StartExecution();
  // Blocks are told of as they are translated; before the first one is, they must be looked at as they are entered.
  bool told_of_translations() const { return told_; }
  // The emulator is closed.
  void Release() { met_.clear(); }
  bool limits_blocks() const { return blocks_left_.has_value(); }
  // Why the last execution was left, …
  End end() const { return end_; }
  // … and before which instruction, when a callback left it. 2.0.1: the pc is that of an earlier block when any
  // UC_HOOK_CODE exists, and on s390x that of the block when it was left in its middle.
  std::optional<uint64_t> left_at() const { return left_at_; }

 private:
  // What has been done already for the arrival at the address where a run goes on.
  struct Resume {
    bool valid = false;
    uint64_t address = 0;
    // The block that starts here has been counted and its callbacks called.
    bool block_done = false;
    // Hooks up to this id have fired.
    uint64_t fired = 0;
    // Registers as they were (`Registers::changes()`).
    uint64_t changes = 0;
  };

  // What every callback of libunicorn's runs in: nothing leaves it.
  template <typename Answer, typename Work>
  Answer Guarded(Answer otherwise, Work work) noexcept;
  void EnterGuarded(uint64_t address, uint32_t size) noexcept;
  // What a run that resumes need not judge again: the copy hooks of one arrival, the one at which the run ended. Any
  // arrival at a hook uses it up.
  struct Pass {
    uint64_t address;
    // Copy hooks up to this id have judged; it is the last one's.
    uint64_t judged;
    // That one's registers, and `Registers::writes()`.
    Copies::Values values;
    uint64_t writes;
  };

  // Most arrivals at a copy end here: nothing else is hooked at the place or has to be heeded, and the copy passes. Where not, the
  // arrival is told of as if nobody had looked.
  bool PassesQuickly(AddressRecord& record);
  void EnterBlock(uint64_t address, uint32_t size);
  // Whether a block that nobody was told of may be entered: it has no hook in its middle.
  bool Meet(uint64_t address, uint32_t size);
  // False when the run leaves this place: the instruction at the address will not be executed now.
  bool TellOfBlock(uint64_t address, uint32_t size, Resume& done);
  void TellOfInstruction(uint64_t address, uint32_t size);
  bool TellOfFault(uc_mem_type type, uint64_t address, int size);
  void TellOfInterrupt(uint32_t number);
  void TellOfRead(uint64_t address, int size);
  // The same.
  bool Arrive(AddressRecord& record, bool at_block);
  bool Fire(AddressRecord& record, AddressHook& hook);
  bool FinishArrival(const Resume& done, bool at_block);
  void Leave(uint64_t address);
  void Leave(uint64_t address, End end);
  bool MayLeaveInside(uint64_t address, bool at_block) const;
  bool MayLeaveAt(uint64_t address, uint32_t size);
  Resume ResumeAt(uint64_t address) const;
  void SetResume(const Resume& done);
  // The run ends at an arrival whose copies have been judged.
  void GivePass(AddressRecord& record);
  // Copy hooks of this arrival up to the answer are not to judge again.
  uint64_t TakePass(AddressRecord& record);

  Emulator& emulator_;
  Registers& registers_;
  TranslatedCode& code_;
  Hooks& hooks_;
  Counting& counting_;
  Copies& copies_;
  Gate& gate_;
  JavaScript& javascript_;

  Resume resume_;
  std::optional<Pass> pass_;
  // Of the last arrival: the last copy hook that has judged (0: none), and the writes before it did.
  uint64_t judged_ = 0;
  uint64_t judged_writes_ = 0;
  bool told_ = false;
  // Before that: blocks that have been looked at since code was last dropped.
  std::set<uint64_t> met_;
  uint64_t met_after_ = 0;
  End end_ = End::kNone;
  std::optional<uint64_t> left_at_;
  std::optional<uint64_t> blocks_left_;
  // The end of the block before, while the run looks for a place to end at.
  std::optional<uint64_t> watched_end_;
};
