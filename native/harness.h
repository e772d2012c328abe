/*
 * libusercopy: the check for Unicorn harnesses that are not written in JavaScript. A C program links it; Python loads it
 * with ctypes. Nothing of Node is needed at run time.
 *
 * What the guest's kernel is like (where its structures lie, which functions copy) is worked out beforehand by
 * `usercopy prepare`, into a JSON text that usercopy_attach() takes.
 */
#ifndef USERCOPY_HARNESS_H
#define USERCOPY_HARNESS_H

#include <stdint.h>
#include <unicorn/unicorn.h>

#ifdef __cplusplus
extern "C" {
#endif

#define USERCOPY_API __attribute__((visibility("default")))

typedef struct UsercopyAttachment UsercopyAttachment;

/* A copy that the check refused, or could not judge. Strings live until the callback returns. */
typedef struct UsercopyViolation {
  UsercopyAttachment* attachment;
  /* What usercopy_set_user_data() was given. */
  void* user_data;
  /* The kernel's line, without the log prefix; NULL where it prints none or the copy could not be judged. */
  const char* message;
  /* The rule: "slab object", "process stack", …; "unreadable" where the copy could not be judged. */
  const char* region;
  /* Slab cache; NULL for anything else. */
  const char* cache;
  /* The entry point at which the guest was caught. */
  const char* entry;
  uint64_t entry_address;
  /* The kernel's side of the copy: first byte, bytes; 1: the user reads it, 0: the user writes it. */
  uint64_t pointer;
  uint64_t size;
  int32_t to_user;
  /* Nonzero: the object below is known. */
  int32_t has_object;
  /* First byte, and first byte after it. */
  uint64_t object_start;
  uint64_t object_end;
  /* "unreadable": the guest address whose bytes could not be had. */
  uint64_t missing;
} UsercopyViolation;

typedef enum UsercopyDecision {
  /* The copy happens. */
  USERCOPY_CONTINUE = 0,
  /* uc_emu_start() returns before the copy happens, the pc at the entry point. Running on does not judge it again. */
  USERCOPY_STOP = 1,
} UsercopyDecision;

/* Called in the middle of uc_emu_start(). Answers a UsercopyDecision. */
typedef int32_t (*UsercopyCallback)(const UsercopyViolation* violation);

typedef struct UsercopyStatistics {
  uint64_t checks;
  uint64_t good;
  uint64_t bad;
  uint64_t unreadable;
} UsercopyStatistics;

/*
 * Hooks the entry points that `scenario_json` names. Guest memory is read through uc_mem_read(). Attach before the guest
 * first runs, or after uc_ctl_flush_tlb(): Unicorn keeps code that it has translated without the hooks.
 * NULL on failure; usercopy_error() says why.
 */
USERCOPY_API UsercopyAttachment* usercopy_attach(uc_engine* uc, const char* scenario_json, UsercopyCallback callback);

/* Takes the hooks away and frees the attachment; before uc_close(). NULL is harmless. */
USERCOPY_API void usercopy_detach(UsercopyAttachment* attachment);

USERCOPY_API void usercopy_set_user_data(UsercopyAttachment* attachment, void* data);

/* Copies judged since the attachment was made. */
USERCOPY_API UsercopyStatistics usercopy_statistics(const UsercopyAttachment* attachment);

/* One sentence on this thread's last failure; empty when there was none. */
USERCOPY_API const char* usercopy_error(void);

#ifdef __cplusplus
}
#endif
#endif
