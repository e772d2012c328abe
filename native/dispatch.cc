#include "dispatch.h"

#include "delay_slot.h"

// Where it fails the emulation must not go on by itself: without a hook on every block nobody else would see it.
template <typename Answer, typename Work>
Answer Dispatcher::Guarded(Answer otherwise, Work work) noexcept {
  const bool failed = gate_.attention.failed;
  const Answer answer = javascript_.Guard(otherwise, work);
  if (!failed && gate_.attention.failed && !gate_.attention.leaving) libunicorn.emu_stop(emulator_.uc());
  return answer;
}

void Dispatcher::EnterGuarded(uint64_t address, uint32_t size) noexcept {
  Guarded(false, [&] {
    EnterBlock(address, size);
    return true;
  });
}

void Dispatcher::OnRecord(uc_engine*, uint64_t, uint32_t, void* data) {
  auto* record = static_cast<AddressRecord*>(data);
  Dispatcher& self = *record->dispatcher;
  // The hook on every instruction, while it is there, comes to the record itself, so that the order is ours.
  if (!record->in_block && self.hooks_.on_every_instruction()) return;
  if (self.gate_.attention.leaving) return;
  if (record->in_block && self.PassesQuickly(*record)) return;
  self.Guarded(false, [&] { return self.Arrive(*record, record->in_block); });
}

bool Dispatcher::PassesQuickly(AddressRecord& record) {
  if (record.only_copy == nullptr || gate_.attention.Any() || resume_.valid || pass_) return false;
  registers_.EnterCallback(record.address);
  const bool passes = copies_.Passes(*record.only_copy, record.address);
  registers_.LeaveCallback();
  return passes;
}

void Dispatcher::OnBlock(uc_engine*, uint64_t address, uint32_t size, void* data) {
  auto* gate = static_cast<Gate*>(data);
  // Most blocks of a run in slices end here: every nanosecond counts.
  if (!gate->Passes(address, size)) gate->dispatcher->EnterGuarded(address, size);
}

void Dispatcher::OnMipsBlock(uc_engine* uc, uint64_t address, uint32_t size, void* data) {
  auto* gate = static_cast<Gate*>(data);
  gate->last_block = address;
  gate->last_size = size;
  OnBlock(uc, address, size, data);
}

void Dispatcher::OnInstruction(uc_engine*, uint64_t address, uint32_t size, void* data) {
  auto* self = static_cast<Dispatcher*>(data);
  if (self->gate_.attention.leaving) return;
  self->Guarded(false, [&] {
    AddressRecord* record = self->hooks_.AtInstruction(address);
    if (record == nullptr || self->Arrive(*record, false)) self->TellOfInstruction(address, size);
    return true;
  });
}

void Dispatcher::StartRun(std::optional<uint64_t> block_limit, bool resumes) {
  blocks_left_ = block_limit;
  // What has fired for this arrival fires again; what was judged is not judged again only where that was asked for.
  resume_.valid = false;
  if (!resumes) pass_.reset();
}

void Dispatcher::StartAt(uint64_t pc) {
  if (resume_.address != pc) resume_.valid = false;
  if (pass_ && pass_->address != pc) pass_.reset();
}

void Dispatcher::StartExecution() {
  end_ = End::kNone;
  left_at_.reset();
  watched_end_.reset();
  gate_.attention.leaving = false;
}

Dispatcher::Resume Dispatcher::ResumeAt(uint64_t address) const {
  const bool holds = resume_.valid && resume_.address == address && resume_.changes == registers_.changes();
  return holds ? resume_ : Resume{};
}

void Dispatcher::SetResume(const Resume& done) {
  resume_ = done;
  resume_.valid = true;
  resume_.changes = registers_.changes();
}

void Dispatcher::GivePass(AddressRecord& record) {
  pass_.reset();
  if (judged_ == 0 || registers_.writes() != judged_writes_) return;
  for (const auto& hook : record.hooks) {
    if (hook->id != judged_ || hook->removed) continue;
    pass_ = Pass{record.address, judged_, copies_.Read(*hook->copy, record.address), judged_writes_};
  }
}

uint64_t Dispatcher::TakePass(AddressRecord& record) {
  if (!pass_) return 0;
  const Pass pass = *pass_;
  pass_.reset();
  if (pass.address != record.address || pass.writes != registers_.writes()) return 0;
  for (const auto& hook : record.hooks) {
    if (hook->id != pass.judged || hook->removed) continue;
    return copies_.Read(*hook->copy, record.address) == pass.values ? pass.judged : 0;
  }
  return 0;
}

void Dispatcher::TellOfInstruction(uint64_t address, uint32_t size) {
  const CallbackScope scope(javascript_.env());
  gate_.counter.WindBackTo(address);
  const napi_value arguments[] = {javascript_.BigInt(address), javascript_.Number(size)};
  auto& hooks = hooks_.instructions().hooks;
  const size_t count = hooks.size();
  for (size_t i = 0; i < count && !gate_.attention.failed; ++i) {
    EventHook& hook = *hooks[i];
    if (!hook.removed) javascript_.Call(hook.callback, 2, arguments, nullptr);
  }
  gate_.counter.WindForward();
}

void Dispatcher::EnterBlock(uint64_t address, uint32_t size) {
  if (gate_.attention.leaving || (!told_ && !Meet(address, size))) return;
  const Counting::Spent spent = counting_.on() ? counting_.SpentBefore(address, size) : Counting::Spent::kNothing;
  if (counting_.on()) {
    end_ = spent == Counting::Spent::kInstructions ? End::kInstructionLimit
           : spent == Counting::Spent::kCycles     ? End::kCycleLimit
                                                   : End::kNone;
  }
  AddressRecord* record = hooks_.AtBlock(address);
  if (record != nullptr && record->until) {
    Leave(address, End::kUntil);
    return;
  }
  if (record != nullptr && !counting_.on() && PassesQuickly(*record)) return;
  // What has been judged is told before the run is left.
  const bool is_judged = record != nullptr && record->is_judged();
  if (!is_judged && (spent != Counting::Spent::kNothing || gate_.attention.Interrupted()) && MayLeaveAt(address, size)) {
    Leave(address);
    return;
  }
  Resume done = ResumeAt(address);
  if (!done.block_done && hooks_.until() != address) {
    if (blocks_left_) {
      if (*blocks_left_ == 0) {
        Leave(address, End::kBlockLimit);
        return;
      }
      --*blocks_left_;
    }
    if (!hooks_.blocks().hooks.empty() && !TellOfBlock(address, size, done)) return;
  }
  if (record != nullptr) {
    if (!Arrive(*record, true)) return;
  } else {
    resume_.valid = false;
  }
  if (!counting_.on()) return;
  switch (counting_.Enter(address, size)) {
    case Counting::Entry::kEntered: return;
    case Counting::Entry::kFailed: break;
    case Counting::Entry::kLimit: end_ = End::kInstructionLimit; [[fallthrough]];
    case Counting::Entry::kPlaceLimit:
      // All hooks for this arrival have fired.
      SetResume(Resume{true, address, true, hooks_.newest()});
      if (record != nullptr) GivePass(*record);
      break;
  }
  Leave(address);
}

bool Dispatcher::Meet(uint64_t address, uint32_t size) {
  if (met_after_ != code_.drops()) met_.clear();
  met_after_ = code_.drops();
  if (!met_.insert(address).second) return true;
  code_.Note(address, size);
  if (counting_.on()) counting_.Learn(address, size);
  if (!hooks_.FindCrossed(address, size)) return true;
  Leave(address);
  return false;
}

bool Dispatcher::TellOfBlock(uint64_t address, uint32_t size, Resume& done) {
  const CallbackScope scope(javascript_.env());
  registers_.EnterCallback(address);
  const napi_value arguments[] = {javascript_.BigInt(address), javascript_.Number(size)};
  auto& hooks = hooks_.blocks().hooks;
  const size_t count = hooks.size();
  const Attention& attention = gate_.attention;
  for (size_t i = 0; i < count && !attention.failed && !attention.stop && !registers_.wants_elsewhere(); ++i) {
    EventHook& hook = *hooks[i];
    if (!hook.removed) javascript_.Call(hook.callback, 2, arguments, nullptr);
  }
  done.address = address;
  done.block_done = true;
  return FinishArrival(done, true);
}

bool Dispatcher::Arrive(AddressRecord& record, bool at_block) {
  const uint64_t address = record.address;
  const Attention& attention = gate_.attention;
  if (!at_block) gate_.counter.WindBackTo(address);
  if (record.until) {
    Leave(address, End::kUntil);
    return false;
  }
  if (record.limit && counting_.LimitReached()) {
    Leave(address, End::kInstructionLimit);
    return false;
  }
  if (attention.Interrupted() && !record.is_judged() && MayLeaveInside(address, at_block)) {
    Leave(address);
    return false;
  }
  const Resume before = ResumeAt(address);
  resume_.valid = false;
  Resume done = before;
  done.address = address;
  done.block_done = true;
  const uint64_t passed = TakePass(record);
  judged_ = passed;
  judged_writes_ = registers_.writes();
  registers_.EnterCallback(address);
  const size_t count = record.hooks.size();
  for (size_t i = 0; i < count; ++i) {
    AddressHook& hook = *record.hooks[i];
    if (hook.removed || hook.id <= before.fired || (hook.copy && hook.id <= passed)) continue;
    if (hook.copy) {
      judged_ = hook.id;
      judged_writes_ = registers_.writes();
    }
    const bool go_on = Fire(record, hook);
    done.fired = hook.id;
    if (!go_on || attention.failed || attention.stop || registers_.wants_elsewhere()) break;
  }
  const bool elsewhere = registers_.wants_elsewhere();
  if (!FinishArrival(done, at_block)) {
    if (!attention.failed && !elsewhere) GivePass(record);
    return false;
  }
  if (!at_block) gate_.counter.WindForward();
  return true;
}

// After the callbacks of one arrival: on, elsewhere, or out of the emulation.
bool Dispatcher::FinishArrival(const Resume& done, bool at_block) {
  registers_.LeaveCallback();
  const bool elsewhere = registers_.wants_elsewhere();
  if (gate_.attention.Interrupted() && (elsewhere || MayLeaveInside(done.address, at_block))) {
    SetResume(done);
    resume_.valid = !gate_.attention.failed && !elsewhere;
    Leave(done.address);
    return false;
  }
  if (!elsewhere) return true;
  resume_.valid = false;
  if (emulator_.arch() == UC_ARCH_SPARC) {
    // 2.0.1: a 64-bit SPARC executes the rest of the block whatever its pc says; the run goes on there instead.
    gate_.attention.leaving = true;
    libunicorn.emu_stop(emulator_.uc());
    return false;
  }
  registers_.WriteProgramCounter(*registers_.TakeWanted());  // Unicorn goes on there
  return false;
}

bool Dispatcher::Fire(AddressRecord& record, AddressHook& hook) {
  if (hook.copy) return copies_.Judge(*hook.copy, record.address);
  const CallbackScope scope(javascript_.env());
  const napi_value pc = javascript_.BigInt(record.address);
  return javascript_.Call(hook.callback, 1, &pc, nullptr);
}

// Ends the emulation before the instruction at `address`.
void Dispatcher::Leave(uint64_t address) {
  gate_.attention.leaving = true;
  left_at_ = address;
  libunicorn.emu_stop(emulator_.uc());
}

void Dispatcher::Leave(uint64_t address, End end) {
  end_ = end;
  Leave(address);
}

// libunicorn keeps the next pc of SPARC to itself: in a delay slot the run is left at the next block instead. Reads guest
// memory there: to be asked when the run is to be left.
bool Dispatcher::MayLeaveInside(uint64_t address, bool at_block) const {
  return at_block || !HasDelaySlots(emulator_) || !JumpsLate(emulator_, address - 4);
}

// Whether the run may end at the start of a block: on SPARC not in the delay slot of an annulled branch. Where the block
// before is not known it says no, and knows at the next one.
bool Dispatcher::MayLeaveAt(uint64_t address, uint32_t size) {
  if (emulator_.arch() != UC_ARCH_SPARC || gate_.attention.failed) return true;
  const std::optional<uint64_t> before = watched_end_;
  watched_end_ = address + size;
  return before && !(*before == address && HasDelaySlot(emulator_.uc(), address - 4));
}

bool Dispatcher::OnFault(uc_engine*, uc_mem_type type, uint64_t address, int size, int64_t, void* data) {
  auto* self = static_cast<Dispatcher*>(data);
  return self->Guarded(false, [&] { return self->TellOfFault(type, address, size); });
}

bool Dispatcher::TellOfFault(uc_mem_type type, uint64_t address, int size) {
  const Attention& attention = gate_.attention;
  if (attention.failed) return false;
  const bool fetch = type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT;
  if (fetch && hooks_.until() == address) {
    end_ = End::kUntil;
    return false;
  }
  if (!fetch) counting_.WindBackToAccess();
  auto& hooks = hooks_.faults().hooks;
  if (hooks.empty()) return false;
  const CallbackScope scope(javascript_.env());
  const bool protection = type == UC_MEM_READ_PROT || type == UC_MEM_WRITE_PROT || type == UC_MEM_FETCH_PROT;
  const double kind = fetch ? 2 : type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT ? 1 : 0;
  const napi_value arguments[] = {javascript_.Number(kind), javascript_.Boolean(protection), javascript_.BigInt(address),
                                  javascript_.Number(size)};
  bool mapped = false;
  const size_t count = hooks.size();
  for (size_t i = 0; i < count && !mapped && !attention.failed; ++i) {
    EventHook& hook = *hooks[i];
    napi_value answer = nullptr;
    if (hook.removed || !javascript_.Call(hook.callback, 4, arguments, &answer)) continue;
    napi_get_value_bool(javascript_.env(), answer, &mapped);
  }
  if (attention.failed) return false;
  if (mapped && registers_.wants_elsewhere()) {
    registers_.WriteProgramCounter(*registers_.TakeWanted());
  } else if (mapped && !fetch) {
    gate_.counter.WindForward();
  }
  if (mapped && fetch) code_.NoteOrphan();
  // Without a hook on every block nothing else would look at the request. Unicorn leaves right after the access then.
  if (mapped && attention.stop && !hooks_.on_every_block()) libunicorn.emu_stop(emulator_.uc());
  return mapped;
}

void Dispatcher::OnInterrupt(uc_engine*, uint32_t number, void* data) {
  auto* self = static_cast<Dispatcher*>(data);
  self->Guarded(false, [&] {
    self->TellOfInterrupt(number);
    return true;
  });
}

void Dispatcher::TellOfInterrupt(uint32_t number) {
  Attention& attention = gate_.attention;
  if (attention.failed || attention.leaving) return;
  // 2.0.1 to 2.1.4 give MIPS a pc that only system calls set. What raises an exception by itself (break, what is no instruction) ends
  // its block; of any other the pc is stale.
  std::optional<uint64_t> behind;
  if (emulator_.arch() == UC_ARCH_MIPS) {
    behind = gate_.last_block + gate_.last_size;
    registers_.EnterCallback(*behind);
  }
  counting_.CountException(UC_ERR_EXCEPTION, behind);
  const CallbackScope scope(javascript_.env());
  const napi_value argument = javascript_.Number(number);
  auto& hooks = hooks_.interrupts().hooks;
  const size_t count = hooks.size();
  for (size_t i = 0; i < count && !attention.failed; ++i) {
    EventHook& hook = *hooks[i];
    if (!hook.removed) javascript_.Call(hook.callback, 1, &argument, nullptr);
  }
  if (behind) registers_.LeaveCallback();
  if (attention.Interrupted()) {
    // Between two blocks: the pc is right here. Where it is not it is set behind the run: 2.0.1 forgets a stop when it is written before.
    attention.leaving = true;
    if (behind) left_at_ = behind;
    libunicorn.emu_stop(emulator_.uc());
  } else if (registers_.wants_elsewhere()) {
    registers_.WriteProgramCounter(*registers_.TakeWanted());
  } else if (behind) {
    registers_.WriteProgramCounter(*behind);
  }
}

void Dispatcher::OnRead(uc_engine*, uc_mem_type, uint64_t address, int size, int64_t, void* data) {
  auto* self = static_cast<Dispatcher*>(data);
  self->Guarded(false, [&] {
    self->TellOfRead(address, size);
    return true;
  });
}

void Dispatcher::TellOfRead(uint64_t address, int size) {
  const Attention& attention = gate_.attention;
  if (attention.failed || attention.leaving) return;
  const CallbackScope scope(javascript_.env());
  counting_.WindBackToAccess();
  const napi_value arguments[] = {javascript_.BigInt(address), javascript_.Number(size)};
  auto& hooks = hooks_.reads().hooks;
  const size_t count = hooks.size();
  for (size_t i = 0; i < count && !attention.failed; ++i) {
    EventHook& hook = *hooks[i];
    if (!hook.removed) javascript_.Call(hook.callback, 2, arguments, nullptr);
  }
  gate_.counter.WindForward();
  if ((attention.failed || attention.stop) && !hooks_.on_every_block()) libunicorn.emu_stop(emulator_.uc());
}

// A block that runs across a hooked address has been translated, but not executed yet.
void Dispatcher::OnTranslated(uc_engine*, uc_tb* current, uc_tb*, void* data) {
  auto* self = static_cast<Dispatcher*>(data);
  // The run is left once, so that nothing looks at every block without need.
  if (!self->told_) self->gate_.attention.flush = true;
  self->told_ = true;
  const bool crossed = self->Guarded(true, [&] {
    self->code_.Note(current->pc, current->size);
    self->counting_.Learn(*current);
    return self->hooks_.FindCrossed(current->pc, current->size);
  });
  if (!crossed || self->gate_.attention.leaving) return;
  self->gate_.attention.leaving = true;
  libunicorn.emu_stop(self->emulator_.uc());
}
