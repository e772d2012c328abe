#include "run.h"

namespace {

// What a slice ended with; TypeScript has the same list.
enum Outcome { kUntil, kStopped, kDue, kBlockLimit, kInstructionLimit, kCycleLimit, kError, kHalted };

// While a slice is under way, however it ends.
class SliceUnderWay {
 public:
  SliceUnderWay(Emulator& emulator, SliceTimer* timer) : emulator_(emulator), timer_(timer) { emulator_.SetRunning(true); }
  ~SliceUnderWay() {
    emulator_.SetRunning(false);
    if (timer_ != nullptr) timer_->Disarm();
  }
  SliceUnderWay(const SliceUnderWay&) = delete;
  SliceUnderWay& operator=(const SliceUnderWay&) = delete;

 private:
  Emulator& emulator_;
  SliceTimer* timer_;
};

}  // namespace

Runner::Runner(Anchor& anchor, const Napi::Value& status, Emulator& emulator, Registers& registers, TranslatedCode& code,
               GuestMemory& memory, Hooks& hooks, Counting& counting, Rings& rings, Dispatcher& dispatcher, Gate& gate,
               JavaScript& javascript)
    : emulator_(emulator),
      registers_(registers),
      code_(code),
      memory_(memory),
      hooks_(hooks),
      counting_(counting),
      rings_(rings),
      dispatcher_(dispatcher),
      gate_(gate),
      javascript_(javascript),
      status_array_(anchor, status),
      status_(status.As<Napi::BigUint64Array>().Data()) {}

// Arguments: start, until, milliseconds (0: no end), the run's options in its first slice.
Napi::Value Runner::Slice(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  emulator_.Live(env);
  emulator_.RefuseWhileRunning(env, "run");
  const uint64_t start = ReadAddress(info[0], "start");
  const uint64_t until = ReadAddress(info[1], "until");
  const double milliseconds = info[2].As<Napi::Number>().DoubleValue();
  if (info[3].IsObject()) {
    const Napi::Object options = info[3].As<Napi::Object>();
    const Napi::Value limit = options.Get("blockLimit");
    std::optional<uint64_t> blocks;
    if (limit.IsNumber()) blocks = static_cast<uint64_t>(limit.As<Napi::Number>().Int64Value());
    counting_.Start(options);
    gate_.attention.stop = false;
    dispatcher_.StartRun(blocks, options.Get("resume").ToBoolean().Value());
  }
  memory_.VerifyShared(env);
  hooks_.SetUntil(env, until);
  gate_.attention.due.store(false);
  timed_ = milliseconds > 0;
  if (timed_) {
    if (!timer_) timer_ = std::make_unique<SliceTimer>(gate_.attention.due);
    timer_->Arm(std::chrono::duration_cast<SliceTimer::Clock::duration>(
        std::chrono::duration<double, std::milli>(milliseconds < 1e9 ? milliseconds : 1e9)));
  }
  int outcome = kError;
  {
    const SliceUnderWay slice(emulator_, timed_ ? timer_.get() : nullptr);
    javascript_.NoteTurn();
    outcome = Run(env, start);
    // A judge that finds something may stop a run that would go on.
    if (!gate_.attention.failed && rings_.JudgeAll() && outcome == kDue && gate_.attention.stop) outcome = kStopped;
  }
  status_[0] = registers_.ProgramCounter();
  counting_.Publish(&status_[2]);
  if (gate_.attention.failed) return javascript_.ThrowFailure();
  return Napi::Number::New(env, outcome);
}

Napi::Value Runner::Stop(const Napi::CallbackInfo& info) {
  gate_.attention.stop = true;
  return info.Env().Undefined();
}

int Runner::Run(Napi::Env env, uint64_t start) {
  Attention& attention = gate_.attention;
  // An odd start on ARM is Thumb code; a run that goes on where the CPU is keeps its state.
  uint64_t pc = registers_.WithoutThumbBit(start);
  uint64_t entry = start == registers_.ProgramCounter() ? registers_.StartAddress(start) : start;
  for (;;) {
    dispatcher_.StartAt(pc);
    if (attention.stop) {
      registers_.SetProgramCounter(pc);
      return kStopped;
    }
    counting_.PlaceLimit(env);
    if (const std::optional<uint64_t> refused = hooks_.Upgrade()) {
      javascript_.Fail(ErrorKind::Unsupported,
                       "hook at " + Hex(*refused) +
                           ": it is in the delay slot of a SPARC jump, and this libunicorn forgets where the jump goes when "
                           "there is a hook; hook the jump before it, or use another libunicorn (UNICORN_PREFIX)");
      registers_.SetProgramCounter(pc);
      return kError;
    }
    hooks_.SetOnEveryInstruction(!hooks_.instructions().hooks.empty());
    // libunicorn tells of a block that it translates only once another one has been executed to its end: until then
    // blocks are looked at as they are entered.
    const bool untold = !dispatcher_.told_of_translations();
    attention.all_blocks = untold || dispatcher_.limits_blocks() || !hooks_.blocks().hooks.empty();
    // The end of a slice is seen by a hook on every block. Stopping libunicorn from another thread is not exact: in
    // 2.0.1 a block may be left after any load or store, with the pc of its first instruction, which is executed again.
    hooks_.SetOnEveryBlock(attention.all_blocks || counting_.on() || timed_ || hooks_.any_on_instructions() ||
                           emulator_.arch() == UC_ARCH_MIPS);
    if (attention.flush) {
      attention.flush = false;
      code_.DropAll();
    }
    dispatcher_.StartExecution();
    registers_.TakeWanted();
    code_.Start();
    const uc_err code = emulator_.Execute(entry);
    hooks_.EndExecution();
    const std::optional<uint64_t> elsewhere = registers_.TakeWanted();
    if (elsewhere) {
      registers_.WriteProgramCounter(*elsewhere);
    } else if (dispatcher_.left_at()) {
      registers_.SetProgramCounter(*dispatcher_.left_at());
    }
    if (attention.failed) return kError;
    if (dispatcher_.end() == End::kUntil) {
      registers_.SetProgramCounter(*hooks_.until());
      return kUntil;
    }
    if (code != UC_ERR_OK) {
      counting_.CountException(code);
      status_[1] = static_cast<uint64_t>(code);
      return kError;
    }
    if (attention.stop) return kStopped;
    if (dispatcher_.end() == End::kBlockLimit) return kBlockLimit;
    if (dispatcher_.end() == End::kInstructionLimit) return kInstructionLimit;
    if (dispatcher_.end() == End::kCycleLimit) return kCycleLimit;
    if (attention.due.load()) return kDue;
    if (!attention.flush && !hooks_.upgrades_due() && !counting_.limit_due() && !elsewhere) return kHalted;
    pc = registers_.ProgramCounter();
    entry = registers_.StartAddress(pc);
  }
}
