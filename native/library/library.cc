// The C interface of harness.h: nothing that is thrown leaves it.
#include <cstddef>
#include <exception>

#include "attachment.h"
#include "failure.h"

namespace {

thread_local std::string last_error;

static_assert(sizeof(void*) != 8 || (sizeof(UsercopyUnicorn) == 104 && offsetof(UsercopyUnicorn, uc_emu_stop) == 96),
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

const char* usercopy_error(void) { return last_error.c_str(); }
