// The C interface of harness.h: nothing that is thrown leaves it.
#include <cstddef>
#include <exception>

#include "attachment.h"
#include "failure.h"
#include "snapshot.h"

namespace {

thread_local std::string last_error;

static_assert(sizeof(void*) != 8 || (sizeof(UsercopyUnicorn) == 112 && offsetof(UsercopyUnicorn, uc_mem_map_ptr) == 104),
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

// Answers what `work` does, or `otherwise` with an error that begins with the function's name.
template <typename Answer, typename Work>
Answer Guarded(const char* name, Answer otherwise, Work work) {
  last_error.clear();
  try {
    return work();
  } catch (const Failure& failure) {
    const std::string text = failure.what();
    last_error = text.rfind("usercopy_", 0) == 0 ? text : std::string(name) + ": " + text;
  } catch (const std::exception& error) {
    last_error = std::string(name) + ": " + error.what();
  }
  return otherwise;
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

void usercopy_detach(UsercopyAttachment* attachment) {
  if (attachment != nullptr) attachment->Detach();
}

void usercopy_set_user_data(UsercopyAttachment* attachment, void* data) { attachment->user_data = data; }

int usercopy_resume_once(UsercopyAttachment* attachment) {
  return Guarded("usercopy_resume_once", -1, [&] {
    attachment->ResumeOnce();
    return 0;
  });
}

void usercopy_resume_cancel(UsercopyAttachment* attachment) { attachment->ResumeCancel(); }

void usercopy_reset(UsercopyAttachment* attachment) { attachment->Reset(); }

void usercopy_set_audit(UsercopyAttachment* attachment, int audit) { attachment->SetAudit(audit != 0); }

int usercopy_flush(UsercopyAttachment* attachment) { return attachment->Flush() ? 1 : 0; }

int usercopy_suppress(UsercopyAttachment* attachment, const char* rules) {
  return Guarded("usercopy_suppress", -1, [&] {
    attachment->suppressions = SuppressionList(rules == nullptr ? "" : rules);
    return 0;
  });
}

uint64_t usercopy_suppressed(const UsercopyAttachment* attachment, size_t rule) {
  return attachment->suppressions.Count(rule);
}

UsercopyStatistics usercopy_statistics(const UsercopyAttachment* attachment) { return attachment->Statistics(); }

size_t usercopy_tally(UsercopyAttachment* attachment, int32_t tally, size_t row, const char** name, uint64_t* count) {
  attachment->rows = attachment->Rows(tally);
  if (row < attachment->rows.size()) {
    *name = attachment->rows[row].first.c_str();
    *count = attachment->rows[row].second;
  }
  return attachment->rows.size();
}

const char* usercopy_notes(UsercopyAttachment* attachment) {
  attachment->notes_text = attachment->Notes();
  return attachment->notes_text.c_str();
}

int usercopy_symbol(const UsercopyAttachment* attachment, const char* name, uint64_t* address) {
  const std::optional<uint64_t> found = attachment->Symbol(name);
  if (found) *address = *found;
  return found ? 0 : -1;
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
  const UsercopySnapshot::Place* const place = snapshot->Find(name);
  if (place == nullptr) return -1;
  *start = place->start;
  if (end != nullptr) *end = place->end;
  return 0;
}

int usercopy_snapshot_restore(UsercopySnapshot* snapshot) {
  return Guarded("usercopy_snapshot_restore", -1, [&] {
    snapshot->Restore();
    return 0;
  });
}

const char* usercopy_snapshot_unknown_registers(UsercopySnapshot* snapshot) {
  snapshot->unknown_text.clear();
  for (const std::string& name : snapshot->unknown_registers()) {
    snapshot->unknown_text += (snapshot->unknown_text.empty() ? "" : " ") + name;
  }
  return snapshot->unknown_text.c_str();
}

void usercopy_snapshot_free(UsercopySnapshot* snapshot) { delete snapshot; }

const char* usercopy_error(void) { return last_error.c_str(); }
