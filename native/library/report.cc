// What an attachment tells of a copy, and what it counts. The words are those of src/report/explain.ts.
#include <cstdio>

#include "attachment.h"
#include "check_layout.h"

namespace {

constexpr const char* kUnjudged = "unreadable";
constexpr uint64_t kBlindCopies = 10000;

void Warn(const std::string& text) { std::fprintf(stderr, "usercopy: warning: %s\n", text.c_str()); }

void Replace(std::string& text, const char* what, const std::string& by) {
  const size_t at = text.find(what);
  if (at != std::string::npos) text.replace(at, std::strlen(what), by);
}

std::string Bytes(uint64_t count) { return count == 1 ? "1 byte" : std::to_string(count) + " bytes"; }

// How far the copy sticks out of [start, end), in words; empty when it does not.
std::string Miss(const UsercopyViolation& copy, uint64_t start, uint64_t end) {
  const uint64_t copy_end = copy.pointer + copy.size;
  std::string text;
  if (copy.pointer < start) text = "begins " + Bytes(start - copy.pointer) + " before it";
  else if (copy.pointer >= end) text = "begins " + Bytes(copy.pointer - end) + " after its end";
  const char* const separator = text.empty() ? "" : " and ";
  if (copy_end > end) text += separator + ("ends " + Bytes(copy_end - end) + " past it");
  else if (copy_end <= start) text += separator + ("ends " + Bytes(start - copy_end) + " before it");
  return text;
}

}  // namespace

std::string UsercopyAttachment::CacheOf(uint32_t request, uint64_t* missing) const {
  const auto described = Load<uint8_t>(request + layout::RequestLayout_described);
  const auto cache = Load<uint64_t>(request + layout::RequestLayout_cache);
  if (described == layout::Described_SLAB_OBJECT || described == layout::Described_CACHE) {
    return guest_.CacheName(cache, missing).value_or("");
  }
  if (described != layout::Described_DECLARED_OBJECT) return "";
  const auto declared = prepared_.declared_caches.find(cache);
  return declared == prepared_.declared_caches.end() ? "" : declared->second;
}

std::string UsercopyAttachment::Line(const PreparedVerdict& verdict, uint32_t request, const UsercopyViolation& violation,
                                     const std::string& cache) const {
  std::string line = verdict.lines[violation.to_user != 0 ? 1 : 0];
  if (line.empty()) return line;
  // %p before it was hashed: all digits, no 0x; NULL as a word of the same width.
  const std::string hex = violation.pointer == 0 ? "(null)" : Hex(violation.pointer).substr(2);
  const size_t digits = prepared_.bits / 4;
  const std::string padding(digits > hex.size() ? digits - hex.size() : 0, violation.pointer == 0 ? ' ' : '0');
  if (cache.empty()) Replace(line, " '{cache}'", "");
  Replace(line, "{offset}", std::to_string(Load<uint64_t>(request + layout::RequestLayout_offset)));
  Replace(line, "{size}", std::to_string(Load<uint64_t>(request + layout::RequestLayout_printedSize)));
  Replace(line, "{bytes}", std::to_string(violation.size));
  Replace(line, "{pointer}", padding + hex);
  Replace(line, "{cache}", cache.empty() ? "unknown" : cache);
  return line;
}

void UsercopyAttachment::Describe(Report& report, const Place& place, uint32_t request, uint32_t code,
                                  uint64_t caller) const {
  namespace l = layout;
  UsercopyViolation& violation = report.violation;
  if (code < l::VerdictRange_FIRST_REFUSAL) return;
  const bool is_given_up = code == NATIVE_CHECK_TRAPPED;
  const bool is_bad = code < l::VerdictRange_FIRST_UNREADABLE;
  const auto verdict = prepared_.verdicts.find(code);
  violation.attachment = const_cast<UsercopyAttachment*>(this);
  violation.user_data = user_data;
  violation.entry = place.entry->symbol.c_str();
  violation.entry_address = place.address;
  violation.resume_address = guest_.registers().CodeAddress(place.address);
  const auto asked = Load<uint8_t>(request + l::RequestLayout_kernelAsked);
  violation.kernel_judges = place.entry->is_judge || asked == l::KernelAsked_YES ? 1
                            : asked == l::KernelAsked_NOT_KNOWN                   ? -1
                                                                                  : 0;
  violation.judged_afterwards = audit_ ? 1 : 0;
  violation.outcome = is_bad                             ? USERCOPY_BAD
                      : code == l::Unreadable_MISSING ? USERCOPY_UNREADABLE
                                                         : USERCOPY_UNJUDGED;
  violation.region = is_bad && verdict != prepared_.verdicts.end() ? verdict->second.by.c_str() : kUnjudged;
  if (is_given_up) {
    // The check has written no verdict: what the hook read is what is known.
    violation.pointer = Load<uint64_t>(request + l::RequestLayout_pointer) & guest_.mask();
    violation.size = Load<uint64_t>(request + l::RequestLayout_size) & guest_.mask();
    violation.to_user = place.entry->direction_kind == l::DirectionKind_TO_USER ? 1 : 0;
  } else {
    violation.pointer = Load<uint64_t>(request + l::RequestLayout_judgedPointer);
    violation.size = Load<uint64_t>(request + l::RequestLayout_size);
    violation.to_user = Load<uint8_t>(request + l::RequestLayout_toUser) != 0 ? 1 : 0;
    if (violation.outcome == USERCOPY_UNREADABLE) violation.missing = Load<uint64_t>(request + l::RequestLayout_offset);
  }
  const auto described = Load<uint8_t>(request + l::RequestLayout_described);
  if (is_bad && described != l::Described_NOTHING) {
    report.cache = CacheOf(request, &violation.missing);
    violation.has_object = described != l::Described_CACHE ? 1 : 0;
  }
  if (violation.has_object != 0) {
    violation.object_start = Load<uint64_t>(request + l::RequestLayout_objectStart);
    violation.object_end = Load<uint64_t>(request + l::RequestLayout_objectEnd);
    violation.window_start = Load<uint64_t>(request + l::RequestLayout_windowStart);
    violation.window_end = Load<uint64_t>(request + l::RequestLayout_windowEnd);
  }
  if (is_bad && verdict != prepared_.verdicts.end()) {
    report.message = Line(verdict->second, request, violation, report.cache);
  }

  const UsercopyFrame from = guest_.FrameAt(caller, true);
  violation.caller_address = caller;
  violation.caller_offset = from.offset;
  report.caller = from.symbol == nullptr ? "" : from.symbol;
  if (!audit_) report.backtrace = guest_.Backtrace();
  violation.backtrace_method = guest_.BacktraceMethod();
  Explain(report, code);

  violation.message = report.message.empty() ? nullptr : report.message.c_str();
  violation.cache = report.cache.empty() ? nullptr : report.cache.c_str();
  violation.caller = from.symbol;
  report.title = "BUG: bad usercopy in " + Culprit(report.backtrace, from);
  violation.title = report.title.c_str();
  violation.explanation = report.explanation.c_str();
  violation.backtrace = report.backtrace.data();
  violation.backtrace_count = static_cast<uint32_t>(report.backtrace.size());
}

void UsercopyAttachment::Explain(Report& report, uint32_t code) const {
  const UsercopyViolation& v = report.violation;
  std::string& text = report.explanation;
  const auto add = [&text](const std::string& line) { text += (text.empty() ? "" : "\n") + line; };
  add(std::string("copy ") + (v.to_user != 0 ? "to user: " : "from user: ") + Range(v.pointer, v.pointer + v.size) + ", " +
      Bytes(v.size));
  if (v.outcome == USERCOPY_UNREADABLE) add("cannot be judged: the guest's memory at " + Hex(v.missing) + " is not readable");
  if (v.outcome == USERCOPY_UNJUDGED) {
    add(code == NATIVE_CHECK_TRAPPED ? std::string("cannot be judged: the check was given up: ") + native_check_trap(check_)
                                     : "cannot be judged: the guest's structures make no sense");
  }
  if (v.outcome == USERCOPY_BAD) add(std::string("refused: ") + v.region);
  if (v.has_object != 0) {
    const std::string name = report.cache.empty() ? "object" : "object of cache " + report.cache;
    add(name + ": " + Range(v.object_start, v.object_end) + ", " + Bytes(v.object_end - v.object_start));
    const bool is_whole = v.window_start == v.object_start && v.window_end == v.object_end;
    const bool has_window = v.window_end > v.window_start;
    if (!is_whole) {
      add("user copies may touch: " + (has_window ? Range(v.window_start, v.window_end) : std::string("nothing")));
    }
    const std::string miss = Miss(v, v.object_start, v.object_end);
    if (!miss.empty()) {
      add("the copy " + miss);
    } else if (!is_whole && has_window) {
      const std::string window = Miss(v, v.window_start, v.window_end);
      if (!window.empty()) add("inside the object, but outside what user copies may touch: it " + window);
    }
  }
  if (audit_) add("the copy was judged after it had happened");
  else if (code == layout::Refusal_PROCESS_STACK) add("the copy begins " + guest_.DescribeStackAddress(v.pointer));
}

void UsercopyAttachment::Count(const Report& report) {
  const UsercopyViolation& violation = report.violation;
  by_direction_.Add(violation.to_user != 0 ? "to_user" : "from_user");
  by_region_.Add(violation.region);
  if (!report.cache.empty()) by_cache_.Add(report.cache);
  by_caller_.Add(!report.caller.empty() ? report.caller : Hex(violation.caller_address));
}

// ---- Counts

uint32_t UsercopyAttachment::StatisticsAt(uint32_t code, bool to_user) const {
  return prepared_.context + layout::ContextLayout_BYTES + (2 * code + (to_user ? 1 : 0)) * 8;
}

uint64_t UsercopyAttachment::StatisticsOf(uint32_t code) const {
  return Load<uint64_t>(StatisticsAt(code, false)) + Load<uint64_t>(StatisticsAt(code, true));
}

UsercopyStatistics UsercopyAttachment::Statistics() const {
  UsercopyStatistics sums{};
  for (uint32_t code = 0; code < layout::VerdictRange_COUNT; ++code) {
    const uint64_t count = StatisticsOf(code);
    sums.checks += count;
    if (code < layout::VerdictRange_FIRST_REFUSAL) sums.good += count;
    else if (code < layout::VerdictRange_FIRST_UNREADABLE) sums.bad += count;
    else sums.unreadable += count;
  }
  sums.suppressed = suppressed_;
  sums.resumed = resumed_;
  return sums;
}

std::vector<Tally::Row> UsercopyAttachment::Rows(int32_t tally) const {
  switch (tally) {
    case USERCOPY_BY_DIRECTION:
      return by_direction_.Rows();
    case USERCOPY_BY_REGION:
      return by_region_.Rows();
    case USERCOPY_BY_CACHE:
      return by_cache_.Rows();
    case USERCOPY_BY_CALLER:
      return by_caller_.Rows();
    default:
      break;
  }
  std::vector<Tally::Row> rows;
  if (tally == USERCOPY_BY_UNKNOWN) {
    for (size_t i = 0; i < unknown_.size(); ++i) {
      const auto words = prepared_.sanitizers->unknown.find(static_cast<uint32_t>(i));
      if (unknown_[i] == 0) continue;
      rows.emplace_back(words == prepared_.sanitizers->unknown.end() ? std::to_string(i) : words->second, unknown_[i]);
    }
    Tally::Sort(rows);
    return rows;
  }
  if (tally != USERCOPY_BY_VERDICT) return rows;
  uint64_t unreadable = 0;
  for (uint32_t code = 0; code < layout::VerdictRange_COUNT; ++code) {
    const uint64_t count = StatisticsOf(code);
    if (count == 0) continue;
    if (code >= layout::VerdictRange_FIRST_UNREADABLE) {
      unreadable += count;
      continue;
    }
    const auto verdict = prepared_.verdicts.find(code);
    const char* const outcome = code < layout::VerdictRange_FIRST_REFUSAL ? "good: " : "bad: ";
    rows.emplace_back(outcome + (verdict == prepared_.verdicts.end() ? std::to_string(code) : verdict->second.by), count);
  }
  if (unreadable > 0) rows.emplace_back(kUnjudged, unreadable);
  Tally::Sort(rows);
  return rows;
}

std::optional<uint64_t> UsercopyAttachment::Symbol(const char* name) const {
  const PreparedSymbols& symbols = prepared_.symbols;
  for (size_t i = 0; i < symbols.starts.size(); ++i) {
    if (std::strcmp(symbols.names.c_str() + symbols.starts[i], name) == 0) return symbols.addresses[i];
  }
  return std::nullopt;
}

// An attachment that can judge nothing must not look like one that finds nothing.
void UsercopyAttachment::TellWarnings() const {
  for (const std::string& warning : prepared_.warnings) Warn(warning);
}

// As src/attach/blind-spots.ts has it: copies of no bytes do not count.
void UsercopyAttachment::LookAtCounts() {
  const uint64_t bypassed = StatisticsOf(layout::Acceptance_BYPASSED);
  const uint64_t unknown = StatisticsOf(layout::Acceptance_NOTHING_OBJECTS);
  if (Statistics().checks > bypassed + unknown + StatisticsOf(layout::Acceptance_EMPTY_COPY)) {
    next_look_ = UINT64_MAX;
    return;
  }
  // Copies inside copies are not counted, and those of an audit are judged later.
  if (bypassed + unknown < kBlindCopies) {
    next_look_ = arrivals_ + kBlindCopies / 16;
    return;
  }
  next_look_ = UINT64_MAX;
  const std::string off = "the guest's kernel ";
  if (unknown == 0) {
    late_notes_.push_back("none of " + std::to_string(bypassed) + " copies was judged: " + off + "has its check switched off");
  } else {
    const std::string others =
        bypassed == 0 ? "" : "; " + std::to_string(bypassed) + " more passed while " + off + "had its check switched off";
    late_notes_.push_back(
        "none of " + std::to_string(unknown) + " copies met anything that the check knows (a stack, a slab object, pages of "
        "several, a vmalloc area, the kernel's text)" + others + ": this happens if a guest copies only single pages or "
        "static data, or if its memory is not what its kernel describes, or was never set up");
  }
  Warn(late_notes_.back());
}

void UsercopyAttachment::EndComparison() {
  uint64_t difference = 0;
  if (!shared_.EndComparison(&difference)) return;
  late_notes_.push_back("the emulator no longer has the snapshot's memory at " + Hex(difference) +
                        ": from now on the check asks libunicorn; copies before may have been judged by what was there when it was "
                        "loaded");
  Warn(late_notes_.back());
}

std::string UsercopyAttachment::Notes() const {
  std::string text;
  static const std::vector<std::string> none;
  const auto* const unseen = sanitizers_ != 0 ? &prepared_.sanitizers->notes : &none;
  for (const auto* list : {&prepared_.warnings, &prepared_.notes, unseen, &late_notes_}) {
    for (const std::string& note : *list) text += (text.empty() ? "" : "\n") + note;
  }
  return text;
}
