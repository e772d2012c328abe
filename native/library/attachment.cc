#include "attachment.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "check_layout.h"
#include "failure.h"
#include "siblings.h"
#include "snapshot.h"

namespace {

constexpr uint32_t kRingCapacity = 1024;
constexpr uint32_t kWasmPage = 65536;
// A judgement is repeated at most so often while memory is brought in.
constexpr int kMostRetries = 64;
constexpr uint64_t kPage = 4096;
// What the context has of the copy under way, see assembly/copies.ts.
constexpr uint32_t kCopyEnd = layout::ContextLayout_checkedRanges;

// libunicorn's frames are C's: nothing may be thrown through them.
void OnArrival(uc_engine*, uint64_t, uint32_t, void* data) noexcept {
  Place& place = *static_cast<Place*>(data);
  place.attachment->Arrive(place);
}

void GiveUpReport(const char* why) {
  SetError(std::string("the report of a violation was given up: ") + why + "; the guest was stopped");
}

[[noreturn]] void Abort(const char* why) {
  std::fprintf(stderr, "usercopy: USERCOPY_CRASH: %s\n", why);
  std::abort();
}

}  // namespace

UsercopyAttachment::UsercopyAttachment(const Unicorn& unicorn, uc_engine* uc, Prepared prepared, UsercopyCallback callback,
                                       UsercopySnapshot* snapshot)
    : unicorn_(unicorn), uc_(uc), prepared_(std::move(prepared)), guest_(unicorn_, uc, prepared_), callback_(callback) {
  pc_ = guest_.registers().Find(prepared_.pc, "attachment.call.pc");
  stops_in_place_ = unicorn_.StopsInPlace();
  guest_.registers().Compare(prepared_.compared);
  try {
    LayOut(snapshot);
    check_ = native_check_open(ReadForCheck, this);
    if (check_ == nullptr) throw Failure("the check could not be set up: no memory");
    const size_t size = lender_ == nullptr ? own_memory_.size() : lender_->LinearSize(memory_);
    native_check_set_memory(check_, memory_, static_cast<uint32_t>(size));
    for (const PreparedEntry& entry : prepared_.entries) ExpectCode(entry);
    for (size_t i = 0; i < prepared_.entries.size(); ++i) AddEntry(prepared_.entries[i], i);
    for (const PreparedCopying& copying : prepared_.copying) AddCopying(copying);
    AddCrash();
    for (const auto& place : places_) Hook(*place);
    // Code that has run before was translated without the hooks.
    unicorn_.ctl(uc_, static_cast<uc_control_type>(UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0)));
    Siblings::Add(this);
    TellWarnings();
  } catch (...) {
    Release();
    throw;
  }
}

UsercopyAttachment::~UsercopyAttachment() {
  Siblings::Remove(this);
  Release();
}

void UsercopyAttachment::Release() {
  for (const auto& place : places_) {
    if (place->hook != 0) unicorn_.hook_del(uc_, place->hook);
  }
  if (check_ != nullptr) native_check_close(check_);
  if (lender_ != nullptr) lender_->GiveBack(memory_);
}

// ---- Laying out

// The prepared memory, then a request for each entry point, those of an audit, and the regions of a snapshot.
void UsercopyAttachment::LayOut(UsercopySnapshot* snapshot) {
  const size_t regions = snapshot == nullptr ? 0 : snapshot->regions().size();
  const auto start = static_cast<uint32_t>((prepared_.memory.size() + 63) / 64 * 64);
  ring_ = start + static_cast<uint32_t>(prepared_.entries.size()) * layout::RequestLayout_BYTES;
  const uint32_t table = ring_ + kRingCapacity * layout::RequestLayout_BYTES;
  const uint32_t end = table + SharedMemory::TableBytes(regions);
  const size_t size = (size_t{end} + kWasmPage - 1) / kWasmPage * kWasmPage;
  noted_.reserve(kRingCapacity);
  if (snapshot == nullptr) {
    own_memory_ = std::move(prepared_.memory);
    own_memory_.resize(size);
    memory_ = own_memory_.data();
    return;
  }
  memory_ = snapshot->memory().Take(size);
  if (memory_ == nullptr) {
    throw Failure("expected a snapshot of less than 3.7 GiB with no more than 8 attachments of this kind, and a prepared file of "
                  "less than 32 MiB, found more: use usercopy_attach()");
  }
  lender_ = &snapshot->memory();
  std::memcpy(memory_, prepared_.memory.data(), prepared_.memory.size());
  prepared_.memory = {};
  const auto distance = static_cast<uint32_t>(lender_->bytes() - memory_);
  std::vector<SharedRegion> shared;
  for (const UsercopySnapshot::Region& region : snapshot->regions()) {
    shared.push_back({region.start, region.size, distance + static_cast<uint32_t>(region.offset)});
  }
  shared_ = SharedMemory(memory_, prepared_.context, table, std::move(shared));
}

// A kernel that was moved (KASLR), or another one, would run past the hooks without a word. Where nothing is loaded yet nothing
// is known; a few bytes may have been patched (ftrace, alternatives, a harness's own).
void UsercopyAttachment::ExpectCode(const PreparedEntry& entry) const {
  std::vector<uint8_t> found(entry.code.size());
  if (found.empty() || !guest_.Read(entry.address, found.data(), found.size())) return;
  if (std::all_of(found.begin(), found.end(), [](uint8_t byte) { return byte == 0; })) return;
  size_t same = 0;
  for (size_t i = 0; i < found.size(); ++i) same += found[i] == entry.code[i];
  if (same * 2 >= found.size()) return;
  char address[20];
  std::snprintf(address, sizeof address, "0x%llx", static_cast<unsigned long long>(entry.address));
  throw Failure("expected " + entry.symbol + " at " + address + ", as the file was prepared, found other code there: the guest "
                "runs another kernel, or has moved it (boot it with nokaslr); prepare the file for the kernel that it runs");
}

Place& UsercopyAttachment::PlaceAt(uint64_t address) {
  for (const auto& place : places_) {
    if (place->address == address) return *place;
  }
  places_.push_back(std::make_unique<Place>());
  Place& place = *places_.back();
  place.attachment = this;
  place.address = address;
  return place;
}

void UsercopyAttachment::AddEntry(const PreparedEntry& entry, size_t index) {
  Place& place = PlaceAt(entry.address);
  place.entry = &entry;
  place.request = ring_ - static_cast<uint32_t>(prepared_.entries.size() - index) * layout::RequestLayout_BYTES;
  Store<uint8_t>(place.request + layout::RequestLayout_directionKind, entry.direction_kind);
  Store<uint8_t>(place.request + layout::RequestLayout_sizeBits, entry.size_bits);
  Store<uint8_t>(place.request + layout::RequestLayout_entry, static_cast<uint8_t>(index + 1));
  Store<uint8_t>(place.request + layout::RequestLayout_role,
                 entry.is_judge ? layout::EntryRole_CHECK : layout::EntryRole_COPY);
  const uint32_t return_place = !entry.registers.back().empty() ? layout::ReturnPlace_FIELD
                                : prepared_.link.empty()        ? layout::ReturnPlace_STACK
                                                                : layout::ReturnPlace_UNKNOWN;
  Store<uint8_t>(place.request + layout::RequestLayout_returnPlace, static_cast<uint8_t>(return_place));
  Store<uint64_t>(place.request + layout::RequestLayout_bodyStart, entry.body_start);
  Store<uint64_t>(place.request + layout::RequestLayout_bodyEnd, entry.body_end);
  for (size_t slot = 0; slot < entry.registers.size(); ++slot) {
    if (entry.registers[slot].empty()) continue;
    const std::string where =
        "attachment.entries[" + std::to_string(index) + "].registers[" + std::to_string(slot) + "]";
    place.ids.push_back(guest_.registers().Find(entry.registers[slot], where));
    // No register that was found stores more than the 8 bytes of its slot.
    place.values.push_back(memory_ + place.request + 8 * slot);
  }
}

void UsercopyAttachment::AddCopying(const PreparedCopying& copying) {
  Place& place = PlaceAt(copying.address);
  const RegisterFile& registers = guest_.registers();
  place.copies = true;
  place.kernel_pointer = registers.Find(copying.kernel_pointer, "attachment.copying, kernelPointer");
  if (!copying.user_pointer.empty()) {
    place.user_pointer = registers.Find(copying.user_pointer, "attachment.copying, userPointer");
  }
  place.size = registers.Find(copying.size, "attachment.copying, size");
  place.size_bits = copying.size_bits;
}

// A page that is not there. Should the harness map it all the same, the hook is reached.
void UsercopyAttachment::AddCrash() {
  for (uint64_t distance = 16; distance < 256; ++distance) {
    const uint64_t address = (guest_.mask() - distance * distance * kPage + 1) & guest_.mask();
    char byte = 0;
    if (guest_.Read(address, &byte, 1)) continue;
    PlaceAt(address).is_crash = true;
    return;
  }
}

void UsercopyAttachment::Hook(Place& place) {
  const uc_err added = unicorn_.hook_add(uc_, &place.hook, UC_HOOK_CODE, reinterpret_cast<void*>(OnArrival), &place,
                                         place.address, place.address);
  if (added == UC_ERR_OK) return;
  place.hook = 0;
  throw Failure("uc_hook_add: " + std::string(unicorn_.strerror(added)));
}

// ---- A copy arrives

void UsercopyAttachment::ReadRequest(Place& place) {
  unicorn_.reg_read_batch(uc_, place.ids.data(), place.values.data(), static_cast<int>(place.ids.size()));
}

UsercopyAttachment::Registers UsercopyAttachment::RequestRegisters(const Place& place) const {
  Registers registers{};
  static_assert(layout::RequestLayout_directionKind == sizeof(Registers), "eight registers begin a request");
  std::memcpy(registers.data(), memory_ + place.request, registers.size());
  return registers;
}

NativeRead UsercopyAttachment::ReadForCheck(void* attachment, uint64_t address, uint32_t length, uint8_t* to) {
  auto* const mine = static_cast<UsercopyAttachment*>(attachment);
  const bool is_there = mine->guest_.Read(address, to, length);
  if (mine->shared_.is_comparing()) mine->shared_.Compare(address, length, is_there ? to : nullptr);
  return is_there ? NATIVE_READ_DONE : NATIVE_READ_MISSING;
}

uint32_t UsercopyAttachment::Judge(uint32_t request) {
  const bool compares = shared_.IsDue();
  if (compares) shared_.BeginComparison();
  const uint32_t code = prepared_.judges_all ? native_check_judge_outermost(check_, prepared_.context, request)
                                             : native_check_judge(check_, prepared_.context, request);
  if (compares) {
    EndComparison();
  } else if (code != 0 && code != NATIVE_CHECK_TRAPPED && shared_.is_open()) {
    shared_.BeginComparison();
    const uint32_t again = JudgeAgain(request, code);
    EndComparison();
    return again;
  }
  return code;
}

uint32_t UsercopyAttachment::JudgeAgain(uint32_t request, uint32_t code) {
  const uint32_t counter = StatisticsAt(code, Load<uint8_t>(request + layout::RequestLayout_toUser) != 0);
  Store<uint64_t>(counter, Load<uint64_t>(counter) - 1);
  code = native_check_judge(check_, prepared_.context, request);
  // It is the same arrival: the copy that it began has this verdict now.
  const uint32_t verdict = Load<uint16_t>(request + layout::RequestLayout_code);
  if (prepared_.judges_all) Store<uint32_t>(prepared_.context + layout::ContextLayout_copyCode, verdict);
  return code;
}

void UsercopyAttachment::Arrive(Place& place) {
  if (place.entry != nullptr) ReadRequest(place);
  // May free the attachment: nothing of it is touched then.
  if (attention_ && !Attend(place)) return;
  if (place.entry == nullptr) {
    if (place.is_crash) Abort("the harness mapped memory where nothing was, and ran on");
    return;
  }
  if (++arrivals_ > next_look_) LookAtCounts();
  if (!is_plain_) {
    if (audit_) Note(place);
    else ArriveSanitized(place);
  } else {
    const uint32_t code = Judge(place.request);
    if (code == 0) return;
    TellVerdict(place, code);
  }
  Finish();
}

void UsercopyAttachment::Finish() {
  if (doomed_ && settling_ == nullptr && asking_ == nullptr) delete this;
}

void UsercopyAttachment::TellVerdict(Place& place, uint32_t code) {
  try {
    Carry(place, Decide(place, place.request, code, guest_.ReturnAddress().value_or(0)));
  } catch (const std::exception& error) {
    GiveUpReport(error.what());
    Stop(place);
  }
}

bool UsercopyAttachment::Attend(Place& place) {
  if (doomed_) {
    // The callback that has detached runs the guest itself: it still has to come back.
    if (asking_ != nullptr) return false;
    if (settling_ == &place) unicorn_.emu_stop(uc_);
    delete this;
    return false;
  }
  if (settling_ != nullptr && Settle(place)) return false;
  if (repeats_ && &place == seen_ && RequestRegisters(place) == seen_registers_) {
    repeats_ = false;
    // It was let pass, and can be once more.
    stopped_ = passed_;
    return false;
  }
  repeats_ = false;
  passed_ = nullptr;
  if (has_siblings_ && place.entry != nullptr) {
    seen_ = &place;
    seen_registers_ = RequestRegisters(place);
  }
  const bool passes = pass_ && stopped_ == &place &&
                      guest_.registers().Same(stopped_registers_, guest_.registers().Snapshot());
  pass_ = false;
  stopped_ = nullptr;
  if (failing_ && !passes && FailArrival(place)) return false;
  attention_ = has_siblings_ || failing_;
  if (!passes) return true;
  ++resumed_;
  ContinueCopy();
  passed_ = &place;
  return false;
}

// The arrival that Stop() has asked for: whether it is that one.
bool UsercopyAttachment::Settle(Place& place) {
  Place* const expected = settling_;
  settling_ = nullptr;
  Siblings::Settle(this, place.address);
  // Somebody has moved the guest meanwhile: it is another arrival.
  if (expected != &place || RequestRegisters(place) != settling_registers_) return false;
  Settled(place);
  unicorn_.emu_stop(uc_);
  return true;
}

// The guest stands at the copy, and will be stopped there.
void UsercopyAttachment::Settled(Place& place) {
  settling_ = nullptr;
  stopped_ = &place;
  stopped_registers_ = guest_.registers().Snapshot();
  guest_.registers().Calibrate(before_, stopped_registers_);
  EndCopy();
}

// What arrives in a run to come is no part of this copy, unless the guest goes on with it: see ContinueCopy().
void UsercopyAttachment::EndCopy() {
  copy_entry_ = Load<uint32_t>(prepared_.context + layout::ContextLayout_copyEntry);
  last_entry_ = Load<uint32_t>(prepared_.context + layout::ContextLayout_lastEntry);
  Store<uint32_t>(prepared_.context + layout::ContextLayout_copyEntry, 0);
  Store<uint32_t>(prepared_.context + layout::ContextLayout_lastEntry, 0);
}

void UsercopyAttachment::ContinueCopy() {
  Store<uint32_t>(prepared_.context + layout::ContextLayout_copyEntry, copy_entry_);
  Store<uint32_t>(prepared_.context + layout::ContextLayout_lastEntry, last_entry_);
}

// Whether this is the copy that is to fail: it returns to its caller then.
bool UsercopyAttachment::FailArrival(Place& place) {
  const bool is_judge = place.entry != nullptr && place.entry->is_judge;
  if (!place.copies && !is_judge) return false;
  failing_ = false;
  if (!place.copies) return false;
  const RegisterFile& registers = guest_.registers();
  const auto is_inside = [this](uint64_t address) { return address >= failing_start_ && address < failing_end_; };
  const bool is_ours = is_inside(registers.Read(place.kernel_pointer) & guest_.mask()) ||
                       (place.user_pointer >= 0 && is_inside(registers.Read(place.user_pointer) & guest_.mask()));
  if (!is_ours) return false;
  const uint64_t size = registers.Read(place.size) & guest_.mask();
  attention_ = has_siblings_;
  if (guest_.Return(place.size_bits == 32 ? size & UINT32_MAX : size)) return true;
  SetError("USERCOPY_FAIL: the return address of the copy cannot be read; the guest was stopped");
  Stop(place);
  return true;
}

// ---- What becomes of the guest

int32_t UsercopyAttachment::Decide(Place& place, uint32_t request, uint32_t code, uint64_t caller) {
  uint64_t last_missing = 0;
  for (int retries = 0;; ++retries) {
    Report report;
    Describe(report, place, request, code, caller);
    // A copy that passed with a warning.
    if (report.violation.outcome == 0) return USERCOPY_CONTINUE;
    SuppressionFacts facts{report.caller, report.cache, report.violation.region,
                           report.violation.to_user != 0 ? "to_user" : "from_user", report.violation.entry};
    if (suppressions.Silences(facts)) {
      ++suppressed_;
      Count(report);
      return USERCOPY_CONTINUE;
    }
    const int32_t decision = Ask(place, request, report);
    if (decision != USERCOPY_RETRY) {
      Count(report);
      return decision;
    }
    const uint64_t missing = report.violation.missing;
    const bool is_whole = report.violation.outcome != USERCOPY_UNREADABLE && missing == 0;
    if (is_whole || (retries > 0 && missing == last_missing) || retries == kMostRetries) {
      Count(report);
      SetError(is_whole
                   ? "USERCOPY_RETRY: expected a violation with missing memory; the guest was stopped"
                   : "USERCOPY_RETRY: expected the callback to map the memory at " + Hex(missing) +
                         ", found it still missing; the guest was stopped");
      return USERCOPY_STOP;
    }
    last_missing = missing;
    code = JudgeAgain(request, code);
    if (code == 0) return USERCOPY_CONTINUE;
  }
}

// The callback may run the guest: other arrivals are judged meanwhile, and this one is to be what it was.
int32_t UsercopyAttachment::Asking(Place& place, uint32_t request, const std::function<int32_t()>& call) {
  std::array<uint8_t, layout::RequestLayout_BYTES> before{};
  std::memcpy(before.data(), memory_ + request, before.size());
  std::array<uint8_t, kCopyEnd - layout::ContextLayout_copyEntry> copy{};
  std::memcpy(copy.data(), memory_ + prepared_.context + layout::ContextLayout_copyEntry, copy.size());
  Place* const asking_before = asking_;
  const uint64_t arrivals = arrivals_;
  asking_ = &place;
  pass_after_asking_ = false;
  const int32_t decision = call();
  asking_ = asking_before;
  if (arrivals_ == arrivals) return decision;
  std::memcpy(memory_ + request, before.data(), before.size());
  std::memcpy(memory_ + prepared_.context + layout::ContextLayout_copyEntry, copy.data(), copy.size());
  return decision;
}

int32_t UsercopyAttachment::Ask(Place& place, uint32_t request, Report& report) {
  const int32_t decision = Asking(place, request, [&] { return callback_(&report.violation); });
  if (decision >= USERCOPY_CONTINUE && decision <= USERCOPY_RETRY) return decision;
  SetError("the callback: expected a UsercopyDecision, found " + std::to_string(decision) + "; the guest was stopped");
  return USERCOPY_STOP;
}

void UsercopyAttachment::Carry(Place& place, int32_t decision) {
  if (decision == USERCOPY_STOP) Stop(place);
  if (decision == USERCOPY_FAIL) Fail(place);
  if (decision == USERCOPY_CRASH) Crash(place);
}

// Where Unicorn does not stop in place, writing the pc enters the block once more with the pc right; it is stopped then.
void UsercopyAttachment::Stop(Place& place) {
  pass_ = pass_after_asking_;
  attention_ = true;
  before_ = guest_.registers().Snapshot();
  if (stops_in_place_) {
    Settled(place);
    Siblings::Settle(this, place.address);
    unicorn_.emu_stop(uc_);
    return;
  }
  settling_ = &place;
  settling_registers_ = RequestRegisters(place);
  Siblings::ExpectRepeat(this, place.address);
  guest_.registers().Write(pc_, guest_.registers().CodeAddress(place.address));
}

// At a function that copies the copy itself fails. At the check, the check is passed over, and the copy that it stands before
// fails when it arrives: see FailArrival().
void UsercopyAttachment::Fail(Place& place) {
  const uint64_t pointer = Load<uint64_t>(place.request + layout::RequestLayout_judgedPointer);
  const uint64_t size = Load<uint64_t>(place.request + layout::RequestLayout_size);
  const bool is_judge = place.entry->is_judge;
  if (is_judge && prepared_.copying.empty()) {
    SetError("USERCOPY_FAIL: the kernel has no function that copies under a name of its own; the guest was stopped");
    return Stop(place);
  }
  if (!guest_.Return(is_judge ? std::nullopt : std::optional(size))) {
    SetError("USERCOPY_FAIL: the return address cannot be read; the guest was stopped");
    return Stop(place);
  }
  if (!is_judge) return;
  failing_ = attention_ = true;
  failing_start_ = pointer;
  failing_end_ = pointer + size < pointer ? UINT64_MAX : pointer + size;
}

void UsercopyAttachment::Crash(Place&) {
  for (const auto& place : places_) {
    char byte = 0;
    if (!place->is_crash || guest_.Read(place->address, &byte, 1)) continue;
    attention_ = true;
    guest_.registers().Write(pc_, place->address);
    return;
  }
  Abort("no address was found where no memory is");
}

// ---- Going on, starting over

void UsercopyAttachment::ResumeOnce() {
  pass_ = false;
  if (asking_ != nullptr) {
    pass_after_asking_ = true;
    return;
  }
  if (stopped_ == nullptr) {
    throw Failure("usercopy_resume_once: expected a copy that was stopped, found none, or another has arrived since");
  }
  const uint64_t pc = guest_.registers().Read(pc_) & guest_.mask();
  if ((pc & ~uint64_t{1}) != (stopped_->address & ~uint64_t{1})) {
    throw Failure("usercopy_resume_once: expected the pc at " + Hex(stopped_->address) +
                  ", where the copy was stopped, found " + Hex(pc));
  }
  pass_ = attention_ = true;
}

void UsercopyAttachment::ResumeCancel() { pass_ = pass_after_asking_ = false; }

void UsercopyAttachment::Reset() {
  settling_ = nullptr;
  stopped_ = passed_ = nullptr;
  pass_ = pass_after_asking_ = false;
  failing_ = false;
  repeats_ = false;
  seen_ = nullptr;
  EndCopy();
  copy_entry_ = last_entry_ = 0;
  const auto ranges = Load<uint32_t>(prepared_.context + layout::ContextLayout_checkedRanges);
  for (uint32_t i = 0; i < layout::CheckedRanges_COUNT; ++i) {
    Store<uint64_t>(ranges + i * layout::CheckedRangeLayout_BYTES + layout::CheckedRangeLayout_size, 0);
  }
}

void UsercopyAttachment::Detach() {
  if (asking_ != nullptr) {
    doomed_ = attention_ = true;
    return;
  }
  Flush();
  delete this;
}

// ---- Audit

void UsercopyAttachment::SetAudit(bool audit) {
  if (audit && sanitizers_ != 0) {
    throw Failure("expected no sanitizers: an audit would look when objects may have been freed; end them with "
                  "usercopy_sanitize(…, 0, NULL)");
  }
  if (!audit) Flush();
  audit_ = audit;
  is_plain_ = !audit_ && sanitizers_ == 0;
}

void UsercopyAttachment::Note(Place& place) {
  if (noted_.size() == kRingCapacity && Flush()) return Stop(place);
  const auto at = ring_ + static_cast<uint32_t>(noted_.size()) * layout::RequestLayout_BYTES;
  std::memcpy(memory_ + at, memory_ + place.request, layout::RequestLayout_judgedPointer);
  noted_.emplace_back(&place, guest_.ReturnAddress().value_or(0));
}

bool UsercopyAttachment::Flush() {
  if (asking_ != nullptr) return false;
  bool stops = false;
  for (size_t i = 0; i < noted_.size() && !doomed_; ++i) {
    const uint32_t request = ring_ + static_cast<uint32_t>(i) * layout::RequestLayout_BYTES;
    const uint32_t code = Judge(request);
    if (code == 0) continue;
    int32_t decision = USERCOPY_STOP;
    try {
      decision = Decide(*noted_[i].first, request, code, noted_[i].second);
    } catch (const std::exception& error) {
      GiveUpReport(error.what());
    }
    if (decision == USERCOPY_FAIL) {
      SetError("USERCOPY_FAIL: expected another decision in an audit: the copy has happened; the guest was stopped");
      decision = USERCOPY_STOP;
    }
    stops = stops || decision != USERCOPY_CONTINUE;
  }
  noted_.clear();
  return stops;
}
