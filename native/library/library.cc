// The C interface of harness.h: nothing that is thrown leaves it.
#include <cstddef>
#include <cstring>
#include <exception>
#include <utility>

#include "attachment.h"
#include "failure.h"
#include "snapshot.h"

namespace {

thread_local std::string last_error;

static_assert(sizeof(void*) != 8 || (sizeof(UsercopyUnicorn) == 144 && offsetof(UsercopyUnicorn, uc_context_free) == 136),
              "as harness.h says");
static_assert(sizeof(void*) != 8 || (sizeof(UsercopyFrame) == 40 && offsetof(UsercopyFrame, reliable) == 32),
              "as harness.h says");
static_assert(sizeof(void*) != 8 ||
                  (sizeof(UsercopyViolation) == 224 && offsetof(UsercopyViolation, entry_address) == 48 &&
                   offsetof(UsercopyViolation, missing) == 96 && offsetof(UsercopyViolation, resume_address) == 120 &&
                   offsetof(UsercopyViolation, title) == 152 && offsetof(UsercopyViolation, backtrace_count) == 176 &&
                   offsetof(UsercopyViolation, backtrace_method) == 192),
              "as harness.h says");
static_assert(sizeof(UsercopyStatistics) == 48, "as harness.h says");
static_assert(sizeof(void*) != 8 ||
                  (sizeof(UsercopyFinding) == 208 && offsetof(UsercopyFinding, sanitizer) == 68 &&
                   offsetof(UsercopyFinding, missing) == 104 && offsetof(UsercopyFinding, title) == 144 &&
                   offsetof(UsercopyFinding, backtrace_method) == 168),
              "as harness.h says");
static_assert(sizeof(UsercopySanitizerStatistics) == 48, "as harness.h says");

// Where there is no memory for the sentence itself, there is none.
void Remember(const char* name, const char* what) noexcept {
  try {
    last_error = std::strncmp(what, "usercopy_", 9) == 0 ? what : std::string(name) + ": " + what;
  } catch (const std::exception&) {
    last_error.clear();
  }
}

// Answers what `work` does, or `otherwise` with an error that begins with the function's name. What is only asked, or cannot
// fail but by its arguments, leaves the last error as it is.
template <typename Answer, typename Work>
Answer Asked(const char* name, Answer otherwise, Work work) noexcept {
  try {
    return work();
  } catch (const std::exception& error) {
    Remember(name, error.what());
  }
  return otherwise;
}

// The same for what can fail: the error is about this call, empty when it has not failed.
template <typename Answer, typename Work>
Answer Guarded(const char* name, Answer otherwise, Work work) noexcept {
  last_error.clear();
  return Asked(name, otherwise, work);
}

template <typename Work>
void Done(const char* name, Work work) noexcept {
  Asked(name, 0, [&] {
    work();
    return 0;
  });
}

void ExpectNamed(const void* given, const char* what) {
  if (given == nullptr) throw Failure(std::string("expected ") + what + ", found NULL");
}

// What every function needs that takes an attachment.
template <typename Attachment>
Attachment& Of(Attachment* attachment) {
  ExpectNamed(attachment, "an attachment");
  return *attachment;
}

UsercopyAttachment* Attach(const Unicorn& unicorn, uc_engine* uc, const char* prepared, UsercopyCallback callback) {
  return new UsercopyAttachment(unicorn, uc, ReadPrepared(prepared), callback);
}

void ExpectAll(const void* uc, const void* prepared, UsercopyCallback callback) {
  if (uc == nullptr || prepared == nullptr || callback == nullptr) {
    throw Failure("expected an emulator, a prepared file's text and a callback, found NULL");
  }
}

}  // namespace

void SetError(const std::string& text) { last_error = text; }

uint32_t usercopy_interface(void) { return USERCOPY_INTERFACE; }

UsercopyAttachment* usercopy_attach(uc_struct* uc, const char* prepared, UsercopyCallback callback) {
  return Guarded<UsercopyAttachment*>("usercopy_attach", nullptr, [&] {
    ExpectAll(uc, prepared, callback);
    return Attach(Unicorn::Loaded(), uc, prepared, callback);
  });
}

UsercopyAttachment* usercopy_attach_with(const UsercopyUnicorn* unicorn, uc_struct* uc, const char* prepared,
                                         UsercopyCallback callback) {
  return Guarded<UsercopyAttachment*>("usercopy_attach_with", nullptr, [&] {
    ExpectAll(uc, prepared, callback);
    if (unicorn == nullptr) throw Failure("expected a UsercopyUnicorn, found NULL");
    return Attach(Unicorn::Given(*unicorn), uc, prepared, callback);
  });
}

UsercopyAttachment* usercopy_attach_snapshot(UsercopySnapshot* snapshot, const char* prepared, UsercopyCallback callback) {
  return Guarded<UsercopyAttachment*>("usercopy_attach_snapshot", nullptr, [&] {
    ExpectNamed(snapshot, "a snapshot");
    ExpectAll(snapshot, prepared, callback);
    return new UsercopyAttachment(snapshot->unicorn(), snapshot->uc(), ReadPrepared(prepared), callback, snapshot);
  });
}

void usercopy_detach(UsercopyAttachment* attachment) {
  if (attachment == nullptr) return;
  Done("usercopy_detach", [&] { attachment->Detach(); });
}

void usercopy_set_user_data(UsercopyAttachment* attachment, void* data) {
  Done("usercopy_set_user_data", [&] { Of(attachment).user_data = data; });
}

int usercopy_resume_once(UsercopyAttachment* attachment) {
  return Guarded("usercopy_resume_once", -1, [&] {
    Of(attachment).ResumeOnce();
    return 0;
  });
}

void usercopy_resume_cancel(UsercopyAttachment* attachment) {
  Done("usercopy_resume_cancel", [&] { Of(attachment).ResumeCancel(); });
}

void usercopy_reset(UsercopyAttachment* attachment) {
  Done("usercopy_reset", [&] { Of(attachment).Reset(); });
}

int usercopy_set_audit(UsercopyAttachment* attachment, int audit) {
  return Guarded("usercopy_set_audit", -1, [&] {
    Of(attachment).SetAudit(audit != 0);
    attachment->Finish();
    return 0;
  });
}

int usercopy_flush(UsercopyAttachment* attachment) {
  return Asked("usercopy_flush", 0, [&] {
    const bool stops = Of(attachment).Flush();
    attachment->Finish();
    return stops ? 1 : 0;
  });
}

int usercopy_sanitize(UsercopyAttachment* attachment, uint32_t sanitizers, UsercopyFindingCallback callback) {
  return Guarded("usercopy_sanitize", -1, [&] {
    Of(attachment).Sanitize(sanitizers, callback);
    return 0;
  });
}

UsercopySanitizerStatistics usercopy_sanitizer_statistics(const UsercopyAttachment* attachment) {
  return Asked("usercopy_sanitizer_statistics", UsercopySanitizerStatistics{},
               [&] { return Of(attachment).SanitizerStatistics(); });
}

int usercopy_suppress(UsercopyAttachment* attachment, const char* rules) {
  return Guarded("usercopy_suppress", -1, [&] {
    Of(attachment).suppressions = SuppressionList(rules == nullptr ? "" : rules);
    return 0;
  });
}

uint64_t usercopy_suppressed(const UsercopyAttachment* attachment, size_t rule) {
  return Asked("usercopy_suppressed", uint64_t{0}, [&] { return Of(attachment).suppressions.Count(rule); });
}

UsercopyStatistics usercopy_statistics(const UsercopyAttachment* attachment) {
  return Asked("usercopy_statistics", UsercopyStatistics{}, [&] { return Of(attachment).Statistics(); });
}

size_t usercopy_tally(UsercopyAttachment* attachment, int32_t tally, size_t row, const char** name, uint64_t* count) {
  return Asked("usercopy_tally", size_t{0}, [&] {
    UsercopyAttachment& given = Of(attachment);
    std::vector<Tally::Row>& rows = given.rows;
    rows = given.Rows(tally);
    if (row < rows.size()) {
      if (name != nullptr) *name = rows[row].first.c_str();
      if (count != nullptr) *count = rows[row].second;
    }
    return rows.size();
  });
}

const char* usercopy_notes(UsercopyAttachment* attachment) {
  return Asked("usercopy_notes", "", [&] {
    UsercopyAttachment& given = Of(attachment);
    given.notes_text = given.Notes();
    return given.notes_text.c_str();
  });
}

int usercopy_symbol(const UsercopyAttachment* attachment, const char* name, uint64_t* address) {
  return Asked("usercopy_symbol", -1, [&] {
    ExpectNamed(name, "a name");
    const std::optional<uint64_t> found = Of(attachment).Symbol(name);
    if (found && address != nullptr) *address = *found;
    return found ? 0 : -1;
  });
}

UsercopySnapshot* usercopy_snapshot_load(uc_struct* uc, const char* folder) {
  return Guarded<UsercopySnapshot*>("usercopy_snapshot_load", nullptr, [&] {
    if (uc == nullptr || folder == nullptr) throw Failure("expected an emulator and a folder, found NULL");
    return new UsercopySnapshot(Unicorn::Loaded(), uc, folder);
  });
}

UsercopySnapshot* usercopy_snapshot_load_with(const UsercopyUnicorn* unicorn, uc_struct* uc, const char* folder) {
  return Guarded<UsercopySnapshot*>("usercopy_snapshot_load_with", nullptr, [&] {
    if (unicorn == nullptr || uc == nullptr || folder == nullptr) {
      throw Failure("expected a UsercopyUnicorn, an emulator and a folder, found NULL");
    }
    return new UsercopySnapshot(Unicorn::Given(*unicorn), uc, folder);
  });
}

int usercopy_snapshot_place(const UsercopySnapshot* snapshot, const char* name, uint64_t* start, uint64_t* end) {
  return Asked("usercopy_snapshot_place", -1, [&] {
    ExpectNamed(snapshot, "a snapshot");
    ExpectNamed(name, "a name");
    const SnapshotFiles::Place* const place = snapshot->Find(name);
    if (place == nullptr) return -1;
    if (start != nullptr) *start = place->start;
    if (end != nullptr) *end = place->end;
    return 0;
  });
}

int usercopy_snapshot_restore(UsercopySnapshot* snapshot) {
  return Guarded("usercopy_snapshot_restore", -1, [&] {
    ExpectNamed(snapshot, "a snapshot");
    snapshot->Restore();
    return 0;
  });
}

const char* usercopy_snapshot_unknown_registers(UsercopySnapshot* snapshot) {
  return Asked("usercopy_snapshot_unknown_registers", "", [&] {
    ExpectNamed(snapshot, "a snapshot");
    std::string text;
    for (const std::string& name : snapshot->unknown_registers()) text += (text.empty() ? "" : " ") + name;
    snapshot->unknown_text = std::move(text);
    return snapshot->unknown_text.c_str();
  });
}

void usercopy_snapshot_free(UsercopySnapshot* snapshot) { delete snapshot; }

const char* usercopy_error(void) { return last_error.c_str(); }
