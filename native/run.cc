// Running the guest, one slice at a time.
#include "engine.h"

namespace {

// What a slice ended with; TypeScript has the same list.
enum Outcome { kUntil, kStopped, kDue, kBlockLimit, kInstructionLimit, kCycleLimit, kError, kHalted };

}  // namespace

// libunicorn tells of new blocks only once some block has been executed: enter the first one and leave before its
// first instruction.
uc_err Engine::Prime(uint64_t start) {
  uc_hook handle = 0;
  const uint64_t pc = WithoutThumbBit(start);
  const uc_err added =
      uc_hook_add(uc_, &handle, UC_HOOK_BLOCK, reinterpret_cast<void*>(OnPrime), this, pc, pc);
  if (added != UC_ERR_OK) return added;
  attention_.leaving = true;
  const uc_err code = uc_emu_start(uc_, start, 0, 0, 0);
  attention_.leaving = false;
  uc_hook_del(uc_, handle);
  NoteCode(pc, 1);
  DropAll();
  primed_ = code == UC_ERR_OK;
  return code;
}

// Arguments: start, until, milliseconds (0: no end), the run's options in its first slice.
Napi::Value Engine::Slice(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Live(env);
  RefuseWhileRunning("run");
  const uint64_t start = ReadAddress(info[0], "start");
  const uint64_t until = ReadAddress(info[1], "until");
  const double milliseconds = info[2].As<Napi::Number>().DoubleValue();
  if (info[3].IsObject()) {
    const Napi::Object options = info[3].As<Napi::Object>();
    const Napi::Value limit = options.Get("blockLimit");
    blocks_left_.reset();
    if (limit.IsNumber()) blocks_left_ = static_cast<uint64_t>(limit.As<Napi::Number>().Int64Value());
    StartCounting(options);
    attention_.stop = false;
    // What has fired for this arrival fires again for a run that a person starts; what was judged is not judged again.
    resume_.fired = 0;
    resume_.block_done = false;
  }
  VerifySharedMemory(env);
  SetUntil(env, until);
  attention_.due.store(false);
  timed_ = milliseconds > 0;
  if (timed_) {
    if (!timer_) timer_ = std::make_unique<SliceTimer>(attention_.due);
    timer_->Arm(std::chrono::duration_cast<SliceTimer::Clock::duration>(
        std::chrono::duration<double, std::milli>(milliseconds < 1e9 ? milliseconds : 1e9)));
  }
  running_ = true;
  ++javascript_turns_;
  int outcome = Run(env, start);
  // A judge that finds something may stop a run that would go on.
  if (!attention_.failed && JudgeRings() && outcome == kDue && attention_.stop) outcome = kStopped;
  running_ = false;
  if (timed_) timer_->Disarm();
  status_[0] = ProgramCounter();
  PublishCounts();
  if (attention_.failed) return ThrowFailure(env);
  return Napi::Number::New(env, outcome);
}

Napi::Value Engine::ThrowFailure(Napi::Env env) {
  attention_.failed = false;
  const Napi::Value error = failure_.Value().Get("error");
  failure_.Reset();
  napi_throw(env, error);
  return Napi::Value();
}

int Engine::Run(Napi::Env env, uint64_t start) {
  // An odd start on ARM is Thumb code; a run that goes on where the CPU is keeps its state.
  uint64_t pc = WithoutThumbBit(start);
  uint64_t entry = start == ProgramCounter() ? StartAddress(start) : start;
  for (;;) {
    if (resume_.address != pc) resume_.valid = false;
    if (attention_.stop) {
      SetProgramCounter(pc);
      return kStopped;
    }
    PlaceLimit();
    UpgradeRecords();
    SetInstructionHook(!instructions_.hooks.empty());
    const bool code_hooks = code_records_ != 0 || instruction_hook_ != 0 || code_hook_lingers_;
    attention_.all_blocks = blocks_left_ || !blocks_.hooks.empty();
    // The end of a slice is seen by a hook on every block. Stopping libunicorn from another thread is not exact: in
    // 2.0.1 a block may be left after any load or store, with the pc of its first instruction, which is executed again.
    SetBlockHook(attention_.all_blocks || counting_ || timed_ || code_hooks);
    if (attention_.flush) {
      attention_.flush = false;
      if (translated_) DropAll();
    }
    reached_until_ = reached_block_limit_ = reached_instruction_limit_ = reached_cycle_limit_ = false;
    attention_.leaving = false;
    wanted_pc_.reset();
    left_at_.reset();
    watched_end_.reset();
    in_emulation_ = true;
    translated_ = true;
    uc_err code = primed_ ? UC_ERR_OK : Prime(entry);
    if (code == UC_ERR_OK) code = uc_emu_start(uc_, entry, 0, 0, 0);
    in_emulation_ = false;
    code_hook_lingers_ = false;
    SweepHooks();
    const bool elsewhere = wanted_pc_.has_value();
    if (elsewhere) {
      WriteRaw(pc_, *wanted_pc_);
      wanted_pc_.reset();
    } else if (left_at_) {
      SetProgramCounter(*left_at_);
    }
    if (attention_.failed) return kError;
    if (reached_until_) {
      SetProgramCounter(*until_);
      return kUntil;
    }
    if (code != UC_ERR_OK) {
      CountException(code);
      status_[1] = static_cast<uint64_t>(code);
      return kError;
    }
    if (attention_.stop) return kStopped;
    if (reached_block_limit_) return kBlockLimit;
    if (reached_instruction_limit_) return kInstructionLimit;
    if (reached_cycle_limit_) return kCycleLimit;
    if (attention_.due.load()) return kDue;
    if (!attention_.flush && to_upgrade_.empty() && !limit_wanted_ && !elsewhere) return kHalted;
    pc = ProgramCounter();
    entry = StartAddress(pc);
  }
}
