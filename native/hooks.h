// Hooks of JavaScript's, and the few of libunicorn's behind them.
#pragma once
#include <napi.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "code.h"
#include "copies.h"
#include "emulator.h"
#include "gate.h"

class Dispatcher;

struct AddressHook {
  // Grows with every hook of an engine: hooks at one address fire in this order.
  uint64_t id = 0;
  bool removed = false;
  // Called with the pc; empty for a copy hook.
  Kept callback;
  std::unique_ptr<CopyRequest> copy;
};

// All hooks at one address: one hook of Unicorn's.
//
// As long as the address is only reached as the start of a translation block it is a *block* hook: then no
// UC_HOOK_CODE exists, and Unicorn gets the pc right when it is stopped there (2.0.1: cpu_tb_exec() leaves the pc of an
// earlier block otherwise). A block that runs across the address turns it into a *code* hook for good.
struct AddressRecord {
  Dispatcher* dispatcher = nullptr;
  uint64_t address = 0;
  uc_hook handle = 0;
  bool in_block = false;
  // The run ends here …
  bool until = false;
  // … or here, once its instructions are spent.
  bool limit = false;
  std::vector<std::unique_ptr<AddressHook>> hooks;
  // The copy that is judged here, where that is all that there is to do: one hook, and no end of a run.
  CopyRequest* only_copy = nullptr;
  void FindOnlyCopy();
  // It has been judged at this arrival, and waits to be told.
  bool is_judged() const { return only_copy != nullptr && only_copy->known != CopyRequest::kNotAsked; }
};

// A callback for blocks, memory faults or interrupts.
struct EventHook {
  uint64_t id = 0;
  bool removed = false;
  Kept callback;
};

// Callbacks of one kind behind one hook of Unicorn's.
struct EventList {
  std::vector<std::unique_ptr<EventHook>> hooks;
  uc_hook handle = 0;
};

// Code that was translated before a hook is added or removed is dropped, so that a new hook fires and a removed one costs
// nothing.
class Hooks {
 public:
  // Every hook of libunicorn's calls the dispatcher.
  Hooks(Anchor& anchor, Emulator& emulator, TranslatedCode& code, Gate& gate, Copies& copies, Dispatcher& dispatcher);

  // For JavaScript: each answers the hook's id.
  Napi::Value AddAddress(const Napi::CallbackInfo& info);
  Napi::Value AddCopy(const Napi::CallbackInfo& info);
  Napi::Value AddBlock(const Napi::CallbackInfo& info);
  Napi::Value AddFault(const Napi::CallbackInfo& info);
  Napi::Value AddInterrupt(const Napi::CallbackInfo& info);
  Napi::Value AddRead(const Napi::CallbackInfo& info);
  Napi::Value AddInstruction(const Napi::CallbackInfo& info);
  Napi::Value RemoveAddress(const Napi::CallbackInfo& info);
  Napi::Value RemoveEvent(const Napi::CallbackInfo& info);

  EventList& blocks() { return blocks_; }
  EventList& faults() { return faults_; }
  EventList& interrupts() { return interrupts_; }
  EventList& reads() { return reads_; }
  EventList& instructions() { return instructions_; }
  // The newest hook's id.
  uint64_t newest() const { return next_ - 1; }

  // Null when there is none.
  AddressRecord* At(uint64_t address);
  // The one that fires at the start of a block.
  AddressRecord* AtBlock(uint64_t address);
  // The one that fires before an instruction.
  AddressRecord* AtInstruction(uint64_t address);
  bool MayHoldBlock(uint64_t address) const { return gate_.hooked.MayHold(address); }
  // Of the first instruction with a hook of its own after an address.
  std::optional<uint64_t> NextInstruction(uint64_t address) const;
  // Some instruction has a hook, or had one in this execution: libunicorn unlinks it only at its end.
  bool any_on_instructions() const { return on_instructions_ != 0 || instruction_hook_ != 0 || instruction_lingers_; }
  bool on_every_block() const { return block_hook_ != 0; }
  bool on_every_instruction() const { return instruction_hook_ != 0; }

  // Where a run ends.
  void SetUntil(Napi::Env env, uint64_t address);
  std::optional<uint64_t> until() const { return until_; }
  // Where it ends once its instructions are spent; for the instruction, not the block.
  void SetLimit(Napi::Env env, uint64_t address);
  void DropLimit(uint64_t address);

  // A block was translated that runs across hooked addresses: whether there are any. They are due for an upgrade.
  bool FindCrossed(uint64_t address, uint64_t size);
  bool upgrades_due() const { return !to_upgrade_.empty(); }

  // Between two executions. Answers an address that cannot have a hook of its own: in a delay slot, where libunicorn would
  // forget the jump.
  std::optional<uint64_t> Upgrade();
  void SetOnEveryBlock(bool on);
  void SetOnEveryInstruction(bool on);
  void EndExecution();
  // The emulator is closed.
  void Release();

 private:
  AddressRecord& RecordAt(Napi::Env env, uint64_t address);
  void AddHook(Napi::Env env, uint64_t address, std::unique_ptr<AddressHook> hook);
  uc_err AttachToBlock(AddressRecord& record);
  void Uninstall(AddressRecord& record);
  void ReleaseIfEmpty(uint64_t address);
  Napi::Value AddEvent(const Napi::CallbackInfo& info, EventList& list, int type, void* callback);
  std::array<EventList*, 5> lists() { return {&blocks_, &faults_, &interrupts_, &reads_, &instructions_}; }
  void Sweep();

  Anchor& anchor_;
  Emulator& emulator_;
  TranslatedCode& code_;
  Gate& gate_;
  Copies& copies_;
  Dispatcher& dispatcher_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<AddressRecord>> records_;
  std::vector<std::unique_ptr<AddressRecord>> retired_;
  std::vector<uint64_t> to_upgrade_;
  // Records with a hook on the instruction.
  size_t on_instructions_ = 0;
  bool instruction_lingers_ = false;
  EventList blocks_;
  EventList faults_;
  EventList interrupts_;
  EventList reads_;
  EventList instructions_;
  uc_hook block_hook_ = 0;
  uc_hook instruction_hook_ = 0;
  uc_hook translation_hook_ = 0;
  std::optional<uint64_t> until_;
};
