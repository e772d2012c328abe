// Looks beyond the check, at copies that it let pass. The words are those of src/attach/sanitizers.ts.
#include "attachment.h"
#include "check_layout.h"
#include "failure.h"

namespace {

constexpr uint32_t kKnown = USERCOPY_FREED | USERCOPY_RED_ZONE;
// A look is repeated at most so often while memory is brought in.
constexpr int kMostRetries = 64;

}  // namespace

void UsercopyAttachment::Sanitize(uint32_t sanitizers, UsercopyFindingCallback callback) {
  if (sanitizers != 0) {
    if ((sanitizers & kKnown) == 0 || (sanitizers & ~(kKnown | USERCOPY_ASK_MISSING)) != 0) {
      throw Failure("expected a sum of USERCOPY_FREED and USERCOPY_RED_ZONE, with USERCOPY_ASK_MISSING or without, found " +
                    std::to_string(sanitizers));
    }
    if (callback == nullptr) throw Failure("expected a callback, found NULL");
    if (!prepared_.sanitizers) throw Failure("expected a file prepared of a kernel whose types are known: nothing says what is free");
    if (audit_) throw Failure("expected no audit: it would look when objects may have been freed");
    unknown_.resize(layout::Unknown_COUNT);
  }
  sanitizers_ = sanitizers;
  on_finding_ = callback;
  is_plain_ = !audit_ && sanitizers == 0;
  // A look begins with what the check says of copies that pass.
  for (const auto& place : places_) {
    if (place->entry != nullptr) Store<uint8_t>(place->request + layout::RequestLayout_explain, sanitizers != 0 ? 1 : 0);
  }
}

void UsercopyAttachment::ArriveSanitized(Place& place) {
  const uint64_t before = prepared_.judges_all ? Statistics().checks : 0;
  const uint32_t code = Judge(place.request);
  if (code != 0) TellVerdict(place, code);
  if (doomed_ || sanitizers_ == 0 || code == NATIVE_CHECK_TRAPPED) return;
  // What a callback has made good passes, too.
  if (Load<uint16_t>(place.request + layout::RequestLayout_code) >= layout::VerdictRange_FIRST_REFUSAL) return;
  // A copy inside a copy was passed over: it was looked at with the outer one.
  if (prepared_.judges_all && Statistics().checks == before) return;
  if (Load<uint64_t>(place.request + layout::RequestLayout_size) == 0) return;
  const uint32_t sanitizer = Look(place);
  if ((sanitizer & sanitizers_ & kKnown) == 0) return;
  try {
    TellFinding(place, sanitizer);
  } catch (const std::exception& error) {
    SetError(std::string("the report of a finding was given up: ") + error.what() + "; the guest was stopped");
    Stop(place);
  }
}

// What is found in memory that is read in place is looked for once more in what the emulator has.
uint32_t UsercopyAttachment::LookOnce(uint32_t request) {
  const auto look = [&] { return native_check_look(check_, prepared_.context, prepared_.sanitizers->look, request); };
  const uint32_t result = look();
  const bool is_quiet = result == layout::LookResult_ALLOCATED || result == layout::LookResult_ELSEWHERE;
  if (is_quiet || result == NATIVE_CHECK_TRAPPED || !shared_.is_open()) return result;
  shared_.BeginComparison();
  const uint32_t again = look();
  EndComparison();
  return again;
}

// Counts what it comes to; gives the sanitizer that it is an affair of, or 0.
uint32_t UsercopyAttachment::Look(Place& place) {
  namespace l = layout;
  const uint32_t at = prepared_.sanitizers->look;
  ++looks_.looks;
  uint64_t last = 0;
  for (int retries = 0;; ++retries) {
    const uint32_t result = LookOnce(place.request);
    if (result == l::LookResult_FREED) {
      ++looks_.freed;
      return USERCOPY_FREED;
    }
    if (result == l::LookResult_RED_ZONE) {
      ++looks_.red_zone;
      return USERCOPY_RED_ZONE;
    }
    if (result == l::LookResult_ALLOCATED || result == l::LookResult_ELSEWHERE) {
      ++(result == l::LookResult_ALLOCATED ? looks_.allocated : looks_.elsewhere);
      return 0;
    }
    const bool is_given_up = result == NATIVE_CHECK_TRAPPED;
    const uint32_t why = is_given_up ? l::Unknown_MAKES_NO_SENSE : Load<uint32_t>(at + l::LookLayout_unknown);
    const uint64_t missing = Load<uint64_t>(at + l::LookLayout_missing);
    const bool may_retry = !is_given_up && why == l::Unknown_NOT_READABLE && missing != last && retries < kMostRetries;
    if (may_retry && AskForMissing(place, missing)) {
      last = missing;
      continue;
    }
    ++looks_.unknown;
    if (why < unknown_.size()) ++unknown_[why];
    return 0;
  }
}

bool UsercopyAttachment::AskForMissing(Place& place, uint64_t missing) {
  if ((sanitizers_ & USERCOPY_ASK_MISSING) == 0) return false;
  FindingReport report;
  DescribeFinding(report, place);
  report.finding.missing = missing;
  const int32_t decision = Asking(place, place.request, [&] { return on_finding_(&report.finding); });
  return decision == USERCOPY_RETRY && sanitizers_ != 0 && !doomed_;
}

void UsercopyAttachment::TellFinding(Place& place, uint32_t sanitizer) {
  namespace l = layout;
  FindingReport report;
  DescribeFinding(report, place);
  UsercopyFinding& finding = report.finding;
  const uint32_t at = prepared_.sanitizers->look;
  const bool is_freed = sanitizer == USERCOPY_FREED;
  const std::string name = is_freed ? "freed" : "redzone";
  finding.sanitizer = static_cast<int32_t>(sanitizer);
  finding.object_start = Load<uint64_t>(at + l::LookLayout_objectStart);
  finding.object_end = Load<uint64_t>(at + l::LookLayout_objectEnd);
  finding.object_index = Load<uint32_t>(at + l::LookLayout_index);
  finding.zone_start = Load<uint64_t>(at + l::LookLayout_zoneStart);
  finding.zone_end = Load<uint64_t>(at + l::LookLayout_zoneEnd);
  uint64_t missing = 0;
  const auto cache = Load<uint64_t>(at + l::LookLayout_cache);
  if (cache != 0) report.cache = guest_.CacheName(cache, &missing).value_or("");
  const std::string copy = "sanitizer " + name + ": copy " + (finding.to_user != 0 ? "to user" : "from user") + " of " +
                           Range(finding.pointer, finding.pointer + finding.size);
  const std::string object = "object " + std::to_string(finding.object_index) + " of its slab" +
                             (report.cache.empty() ? "" : " of " + report.cache) + ", " +
                             Range(finding.object_start, finding.object_end);
  report.line = is_freed ? copy + " touches a free object: " + object
                         : copy + " goes over the red zone " + Range(finding.zone_start, finding.zone_end) + " of " + object;
  report.backtrace = guest_.Backtrace();
  report.title = "sanitizer " + name + " in " + Culprit(report.backtrace, guest_.FrameAt(finding.caller_address, true));
  finding.line = report.line.c_str();
  finding.cache = report.cache.empty() ? nullptr : report.cache.c_str();
  finding.title = report.title.c_str();
  finding.backtrace = report.backtrace.data();
  finding.backtrace_count = static_cast<uint32_t>(report.backtrace.size());

  const int32_t decision = Asking(place, place.request, [&] { return on_finding_(&finding); });
  if (decision >= USERCOPY_CONTINUE && decision < USERCOPY_RETRY) return Carry(place, decision);
  SetError("the callback of sanitizers: expected USERCOPY_CONTINUE, _STOP, _FAIL or _CRASH, found " + std::to_string(decision) +
           "; the guest was stopped");
  Stop(place);
}

void UsercopyAttachment::DescribeFinding(FindingReport& report, const Place& place) const {
  namespace l = layout;
  UsercopyFinding& finding = report.finding;
  finding.attachment = const_cast<UsercopyAttachment*>(this);
  finding.user_data = user_data;
  finding.entry = place.entry->symbol.c_str();
  finding.entry_address = place.address;
  finding.pointer = Load<uint64_t>(place.request + l::RequestLayout_judgedPointer);
  finding.size = Load<uint64_t>(place.request + l::RequestLayout_size);
  finding.to_user = Load<uint8_t>(place.request + l::RequestLayout_toUser) != 0 ? 1 : 0;
  finding.resume_address = guest_.registers().CodeAddress(place.address);
  finding.caller_address = guest_.ReturnAddress().value_or(0);
  const UsercopyFrame from = guest_.FrameAt(finding.caller_address, true);
  finding.caller = from.symbol;
  finding.caller_offset = from.offset;
  finding.backtrace_method = guest_.BacktraceMethod();
}
