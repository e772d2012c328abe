// The check on one emulator: hooks on entry points, a verdict for every copy, and what becomes of the guest after a bad one.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest.h"
#include "guest_memory.h"
#include "harness.h"
#include "native_check.h"
#include "prepared.h"
#include "shared_memory.h"
#include "suppression.h"
#include "tally.h"
#include "unicorn.h"

// An address with a hook.
struct Place {
  UsercopyAttachment* attachment = nullptr;
  uint64_t address = 0;
  // What is judged there; null: nothing.
  const PreparedEntry* entry = nullptr;
  // Its request in the check's memory, and the registers that go into it.
  uint32_t request = 0;
  std::vector<int> ids;
  std::vector<void*> values;
  // Where a copy can be made to fail: registers of its arguments; -1: none.
  bool copies = false;
  int kernel_pointer = -1, user_pointer = -1, size = -1;
  uint8_t size_bits = 64;
  // Nothing is to be run there, ever: see USERCOPY_CRASH.
  bool is_crash = false;
  uc_hook hook = 0;
};

// A violation with what its pointers point to.
struct Report {
  UsercopyViolation violation{};
  std::string message, cache, caller, title, explanation;
  std::vector<UsercopyFrame> backtrace;
};

// A finding with what its pointers point to.
struct FindingReport {
  UsercopyFinding finding{};
  std::string line, cache, title;
  std::vector<UsercopyFrame> backtrace;
};

struct UsercopyAttachment {
 public:
  // With a snapshot, the check reads the memory of that in place. Throws a Failure.
  UsercopyAttachment(const Unicorn& unicorn, uc_engine* uc, Prepared prepared, UsercopyCallback callback,
                     UsercopySnapshot* snapshot = nullptr);
  ~UsercopyAttachment();
  UsercopyAttachment(const UsercopyAttachment&) = delete;
  UsercopyAttachment& operator=(const UsercopyAttachment&) = delete;

  void Arrive(Place& place);
  // Now, or when the callback and what it decided are done.
  void Detach();
  // Frees it where a callback has detached, and nothing of that is under way any more.
  void Finish();
  void Reset();
  void ResumeOnce();
  void ResumeCancel();
  void SetAudit(bool audit);
  void Sanitize(uint32_t sanitizers, UsercopyFindingCallback callback);
  UsercopySanitizerStatistics SanitizerStatistics() const { return looks_; }
  bool Flush();
  UsercopyStatistics Statistics() const;
  std::vector<Tally::Row> Rows(int32_t tally) const;
  // Of a function; nothing where the prepared file has none of that name.
  std::optional<uint64_t> Symbol(const char* name) const;

  void* user_data = nullptr;
  SuppressionList suppressions;
  // What was last handed out by usercopy_notes() and usercopy_tally().
  std::string notes_text;
  std::vector<Tally::Row> rows;
  std::string Notes() const;

 private:
  using Registers = std::array<uint8_t, 64>;

  static NativeRead ReadForCheck(void* attachment, uint64_t address, uint32_t length, uint8_t* to);

  void LayOut(UsercopySnapshot* snapshot);
  // Takes hooks and memory away.
  void Release();
  // Throws a Failure where the guest has other code at the entry point.
  void ExpectCode(const PreparedEntry& entry) const;
  void AddEntry(const PreparedEntry& entry, size_t index);
  void AddCopying(const PreparedCopying& copying);
  void AddCrash();
  Place& PlaceAt(uint64_t address);
  void Hook(Place& place);

  // Whether the arrival is one to judge.
  bool Attend(Place& place);
  bool Settle(Place& place);
  void Settled(Place& place);
  void EndCopy();
  void ContinueCopy();
  bool FailArrival(Place& place);
  void ReadRequest(Place& place);
  uint32_t Judge(uint32_t request);
  // Judges once more what a code has been counted for.
  uint32_t JudgeAgain(uint32_t request, uint32_t code);
  // Where the emulator has other memory than what is read in place, says so.
  void EndComparison();
  void TellVerdict(Place& place, uint32_t code);
  int32_t Decide(Place& place, uint32_t request, uint32_t code, uint64_t caller);
  int32_t Asking(Place& place, uint32_t request, const std::function<int32_t()>& call);
  int32_t Ask(Place& place, uint32_t request, Report& report);
  void Carry(Place& place, int32_t decision);
  void Stop(Place& place);
  void Fail(Place& place);
  void Crash(Place& place);
  void Note(Place& place);

  // See sanitizers.cc.
  void ArriveSanitized(Place& place);
  uint32_t Look(Place& place);
  uint32_t LookOnce(uint32_t request);
  bool AskForMissing(Place& place, uint64_t missing);
  void TellFinding(Place& place, uint32_t sanitizer);
  void DescribeFinding(FindingReport& report, const Place& place) const;

  void TellWarnings() const;
  void LookAtCounts();

  // `report` stays where it is: its violation points into it. No outcome: the copy passed.
  void Describe(Report& report, const Place& place, uint32_t request, uint32_t code, uint64_t caller) const;
  void Explain(Report& report, uint32_t code) const;
  std::string Line(const PreparedVerdict& verdict, uint32_t request, const UsercopyViolation& violation,
                   const std::string& cache) const;
  std::string CacheOf(uint32_t request, uint64_t* missing) const;
  void Count(const Report& report);

  template <typename Value>
  Value Load(uint32_t offset) const {
    Value value;
    std::memcpy(&value, memory_ + offset, sizeof value);
    return value;
  }

  template <typename Value>
  void Store(uint32_t offset, Value value) {
    std::memcpy(memory_ + offset, &value, sizeof value);
  }

  Registers RequestRegisters(const Place& place) const;
  uint32_t StatisticsAt(uint32_t code, bool to_user) const;
  uint64_t StatisticsOf(uint32_t code) const;

  Unicorn unicorn_;
  uc_engine* uc_;
  Prepared prepared_;
  Guest guest_;
  UsercopyCallback callback_;
  NativeCheck* check_ = nullptr;
  // The control area of the check and what is behind it: of one's own, or of a snapshot.
  std::vector<uint8_t> own_memory_;
  GuestMemory* lender_ = nullptr;
  uint8_t* memory_ = nullptr;
  SharedMemory shared_;
  std::vector<std::unique_ptr<Place>> places_;
  int pc_ = 0;
  bool stops_in_place_ = false;

  // Something below needs a look at the next arrival.
  bool attention_ = false;
  // Copies are judged before they happen, and nothing else is done: neither audit nor sanitizers.
  bool is_plain_ = true;
  bool audit_ = false;
  // A sum of UsercopySanitizer.
  uint32_t sanitizers_ = 0;
  UsercopyFindingCallback on_finding_ = nullptr;
  UsercopySanitizerStatistics looks_{};
  // By the number in the Look.
  std::vector<uint64_t> unknown_;
  // Requests that an audit has noted: offset of the first, how many, and where they were made.
  uint32_t ring_ = 0;
  std::vector<std::pair<Place*, uint64_t>> noted_;

  // The emulation is about to be stopped here: see Stop().
  Place* settling_ = nullptr;
  Registers settling_registers_{};
  std::vector<uint64_t> before_;
  // The copy that was stopped last, and the registers then; null: none, or another copy has arrived since.
  Place* stopped_ = nullptr;
  // The one that was let pass since; null: none, or another copy has arrived since.
  Place* passed_ = nullptr;
  std::vector<uint64_t> stopped_registers_;
  // The check's entry points of the copy that was under way then, see assembly/copies.ts.
  uint32_t copy_entry_ = 0, last_entry_ = 0;
  // The stopped copy passes at its next arrival.
  bool pass_ = false;
  // The callback is being asked about this copy.
  Place* asking_ = nullptr;
  bool pass_after_asking_ = false;
  // The copy that the kernel's check was asked about is to fail when it arrives.
  bool failing_ = false;
  uint64_t failing_start_ = 0, failing_end_ = 0;
  // To be freed.
  bool doomed_ = false;

  // Other attachments on the same emulator: an arrival that one of them repeats is no new one to the others.
  bool has_siblings_ = false;
  Place* seen_ = nullptr;
  Registers seen_registers_{};
  bool repeats_ = false;

  Tally by_direction_, by_region_, by_cache_, by_caller_;
  uint64_t suppressed_ = 0, resumed_ = 0;
  uint64_t arrivals_ = 0;
  // After so many arrivals LookAtCounts() is due.
  uint64_t next_look_ = 10000;
  std::vector<std::string> late_notes_;

  friend class Siblings;
};

// Says what went wrong in a place that can only stop the guest.
void SetError(const std::string& text);
