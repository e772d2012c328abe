/*
 * libusercopy: the check for Unicorn harnesses that are not written in JavaScript. A C program links it; Python has the
 * module of python/ over it. It needs nothing of Node at run time, and it is linked to no libunicorn: it works with the one
 * that the process has, 2.0.1 or later.
 *
 * What the guest's kernel is like (where its structures lie, which functions copy) is worked out beforehand by
 * `usercopy prepare`, into a JSON text that usercopy_attach() takes.
 *
 *   UsercopyAttachment* attachment = usercopy_attach(uc, prepared, on_violation);
 *   if (attachment == NULL) puts(usercopy_error());
 *   uc_emu_start(uc, …);
 *   usercopy_detach(attachment);
 *
 * An attachment and its emulator belong to one thread at a time. An attachment may be made before fork(): each process
 * goes on with its own copy. Nothing of guest memory is kept from one copy to the next, and none is written.
 *
 * NULL in the place of an attachment, a snapshot or a name is refused: what answers 0 or -1 answers -1, counts are 0, texts
 * empty, the rest does nothing, and usercopy_error() says so. Where an answer is to be written, NULL means that it is not wanted.
 *
 * Strings are ended by a NUL. Those that come from the guest (names of caches) or from its kernel's symbols are bytes as
 * found there. A byte count behind a member is its place in the structure where pointers have 8 bytes.
 */
#ifndef USERCOPY_HARNESS_H
#define USERCOPY_HARNESS_H

#include <stddef.h>
#include <stdint.h>

/* Harnesses that include this header alone have Unicorn's too; nothing here needs it. */
#if defined(__has_include)
#if __has_include(<unicorn/unicorn.h>)
#include <unicorn/unicorn.h>
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define USERCOPY_API __attribute__((visibility("default")))

/* Changes whenever a structure or a function of this header changes its meaning. */
#define USERCOPY_INTERFACE 6
/* USERCOPY_INTERFACE of the header that the library was built with. */
USERCOPY_API uint32_t usercopy_interface(void);

/* Unicorn's uc_engine. */
struct uc_struct;

typedef struct UsercopyAttachment UsercopyAttachment;

/* ---- Which libunicorn ------------------------------------------------------------------------------------------- */

/* Any function; cast to what it is before it is called. */
typedef void (*UsercopyFunction)(void);

/*
 * The libunicorn of an emulator, said one of three ways; the others are NULL. 144 bytes.
 *
 * A program that has libunicorn linked in statically, and exports none of its symbols, fills the functions in with
 * USERCOPY_UNICORN_LINKED (after including <unicorn/unicorn.h>).
 */
typedef struct UsercopyUnicorn {
  void* handle;                      /*  0: what dlopen() of libunicorn answered */
  const char* path;                  /*  8: the file of a libunicorn that is already loaded */
  UsercopyFunction uc_version;       /* 16: all of the functions, or none */
  UsercopyFunction uc_strerror;      /* 24 */
  UsercopyFunction uc_query;         /* 32 */
  UsercopyFunction uc_ctl;           /* 40 */
  UsercopyFunction uc_reg_read;      /* 48 */
  UsercopyFunction uc_reg_write;     /* 56 */
  UsercopyFunction uc_reg_read_batch;/* 64 */
  UsercopyFunction uc_mem_read;      /* 72 */
  UsercopyFunction uc_hook_add;      /* 80 */
  UsercopyFunction uc_hook_del;      /* 88 */
  UsercopyFunction uc_emu_stop;      /* 96 */
  UsercopyFunction uc_mem_map_ptr;   /* 104 */
  UsercopyFunction uc_context_alloc; /* 112 */
  UsercopyFunction uc_context_save;  /* 120 */
  UsercopyFunction uc_context_restore; /* 128 */
  UsercopyFunction uc_context_free;  /* 136 */
} UsercopyUnicorn;

#define USERCOPY_UNICORN_LINKED                                                                           \
  {                                                                                                       \
    NULL, NULL, (UsercopyFunction)uc_version, (UsercopyFunction)uc_strerror, (UsercopyFunction)uc_query,  \
        (UsercopyFunction)uc_ctl, (UsercopyFunction)uc_reg_read, (UsercopyFunction)uc_reg_write,          \
        (UsercopyFunction)uc_reg_read_batch, (UsercopyFunction)uc_mem_read, (UsercopyFunction)uc_hook_add, \
        (UsercopyFunction)uc_hook_del, (UsercopyFunction)uc_emu_stop, (UsercopyFunction)uc_mem_map_ptr,   \
        (UsercopyFunction)uc_context_alloc, (UsercopyFunction)uc_context_save,                            \
        (UsercopyFunction)uc_context_restore, (UsercopyFunction)uc_context_free                           \
  }

/* ---- Violations ------------------------------------------------------------------------------------------------- */

/* A function that was left by a call. 40 bytes. */
typedef struct UsercopyFrame {
  uint64_t address;   /*  0: where it goes on */
  const char* symbol; /*  8: NULL where the prepared file has no symbol for it */
  uint64_t offset;    /* 16: bytes from the symbol's start */
  uint64_t size;      /* 24: bytes of the function; 0 where not known */
  /* 32: 1: found by the chain of frames; 0: a word on the stack that looks like a return address ("?" in an oops). */
  int32_t reliable;
  int32_t reserved;   /* 36 */
} UsercopyFrame;

typedef enum UsercopyOutcome {
  /* The kernel would refuse the copy. */
  USERCOPY_BAD = 1,
  /* The copy could not be judged. `missing` is the guest address whose bytes are not there; see USERCOPY_RETRY. */
  USERCOPY_UNREADABLE = 2,
  /* The copy could not be judged: structures of the guest make no sense, or the check was given up (`explanation`). */
  USERCOPY_UNJUDGED = 3,
} UsercopyOutcome;

/* A copy that the check refused, or could not judge. It and its strings live until the callback returns. 224 bytes. */
typedef struct UsercopyViolation {
  UsercopyAttachment* attachment; /*   0 */
  void* user_data;                /*   8: what usercopy_set_user_data() was given */
  /*  16: The kernel's line, without the log prefix; NULL where it prints none or the copy could not be judged. */
  const char* message;
  /*  24: The rule: "slab object", "process stack", …; "unreadable" where the copy could not be judged. */
  const char* region;
  const char* cache;      /*  32: slab cache; NULL for anything else */
  const char* entry;      /*  40: the entry point at which the guest was caught */
  uint64_t entry_address; /*  48 */
  /*  56: The kernel's side of the copy: first byte; and bytes. */
  uint64_t pointer;
  uint64_t size;          /*  64 */
  int32_t to_user;        /*  72: 1: the user reads it, 0: the user writes it */
  int32_t has_object;     /*  76: nonzero: the object below is known */
  uint64_t object_start;  /*  80: first byte */
  uint64_t object_end;    /*  88: first byte after it */
  /*
   *  96: The guest address whose bytes could not be had: with USERCOPY_UNREADABLE those that the check needs, with USERCOPY_BAD
   * those of the cache's name, which the message lacks then. 0: none. See USERCOPY_RETRY.
   */
  uint64_t missing;
  uint64_t window_start;  /* 104: what user copies may touch of the object: first byte */
  uint64_t window_end;    /* 112: first byte after it */
  /* 120: Where to go on after USERCOPY_STOP: the `begin` of uc_emu_start(). Odd where the guest runs Thumb code. */
  uint64_t resume_address;
  /* 128: Where the function that copies returns to; its symbol (NULL where not known) and the bytes from its start. */
  uint64_t caller_address;
  const char* caller;     /* 136 */
  uint64_t caller_offset; /* 144 */
  /*
   * 152: To deduplicate by, as syzbot titles it: "BUG: bad usercopy in FUNC", FUNC the innermost function that is no part
   * of the check; its address where it has no symbol.
   */
  const char* title;
  const char* explanation;        /* 160: a few lines for a person, '\n' between them */
  const UsercopyFrame* backtrace; /* 168: from the caller outwards; empty in an audit */
  uint32_t backtrace_count;       /* 176 */
  int32_t outcome;                /* 180: a UsercopyOutcome */
  /* 184: 1: the kernel's own check is asked about this copy too; 0: it is not; -1: not known. */
  int32_t kernel_judges;
  /* 188: nonzero: an audit found it after the copy had happened. */
  int32_t judged_afterwards;
  /* 192: How reliable frames were found: "frame pointers", "back chain", "register windows", or "stack scan" (none). */
  const char* backtrace_method;
  uint64_t reserved[3];           /* 200 */
} UsercopyViolation;

typedef enum UsercopyDecision {
  /* The copy happens. */
  USERCOPY_CONTINUE = 0,
  /* uc_emu_start() returns UC_ERR_OK before the copy happens, the pc at the entry point. See usercopy_resume_once(). */
  USERCOPY_STOP = 1,
  /* The copy is not made, and its caller is told so, as after -EFAULT. Not in an audit. */
  USERCOPY_FAIL = 2,
  /*
   * uc_emu_start() returns an error (the pc is made to point to memory that is not there), which fuzzers take for a crash.
   * Where the harness would map even that memory, the process ends by abort().
   */
  USERCOPY_CRASH = 3,
  /* The callback has mapped `missing`: the copy is judged again. */
  USERCOPY_RETRY = 4,
} UsercopyDecision;

/*
 * Called in the middle of uc_emu_start(), before the copy. Answers a UsercopyDecision; anything else stops, and
 * usercopy_error() says so. It may detach, reset, map memory and write registers. It may run the guest, and puts the CPU back
 * then (uc_context_restore()): what it answers is about this copy. It must not throw.
 */
typedef int32_t (*UsercopyCallback)(const UsercopyViolation* violation);

/* ---- Attaching -------------------------------------------------------------------------------------------------- */

/*
 * Hooks the entry points that `prepared` names (the text of a file of `usercopy prepare`). Guest memory is read with
 * uc_mem_read(). Code that the guest has run before is translated anew, so that it meets the hooks.
 * Where the guest has other code at an entry point than the file was prepared with (another kernel, or one that was moved), it is a
 * failure. Memory that is not mapped or empty yet is not compared: load the kernel first.
 *
 * The libunicorn is the one that the process has loaded; failing that, the one whose symbols the program exports. None, or
 * more than one, is a failure: say which with usercopy_attach_with().
 *
 * NULL on failure: usercopy_error() says why, in one sentence. Several attachments on one emulator each judge every copy.
 */
USERCOPY_API UsercopyAttachment* usercopy_attach(struct uc_struct* uc, const char* prepared, UsercopyCallback callback);

/* The same, with the libunicorn that `uc` is of. `unicorn` is needed during the call only. */
USERCOPY_API UsercopyAttachment* usercopy_attach_with(const UsercopyUnicorn* unicorn, struct uc_struct* uc,
                                                      const char* prepared, UsercopyCallback callback);

/*
 * Judges what an audit has noted, takes the hooks away and frees the attachment; before uc_close(). NULL is harmless.
 * Inside the callback it takes effect when the guest has gone on or stopped as the callback decided.
 */
USERCOPY_API void usercopy_detach(UsercopyAttachment* attachment);

USERCOPY_API void usercopy_set_user_data(UsercopyAttachment* attachment, void* data);

/*
 * The address of a function, by its name in the prepared file. Of several of one name the first. 0, or -1 when the file has
 * none: `address` is not written.
 */
USERCOPY_API int usercopy_symbol(const UsercopyAttachment* attachment, const char* name, uint64_t* address);

/* ---- Going on, starting over ------------------------------------------------------------------------------------ */

/*
 * The copy that USERCOPY_STOP stopped last will not be judged at its next arrival. Without this, every arrival is judged.
 * To be called when uc_emu_start() has returned (or in the callback that answers USERCOPY_STOP), right before the
 * uc_emu_start() that goes on from `resume_address`.
 *
 * It holds for one arrival: at the same address and entry point, with the same registers, all of them. It is void after the
 * arrival of any other copy, a changed register, usercopy_reset(), usercopy_detach(), and when it is called again.
 * 0, or -1 when no copy is stopped or the pc is elsewhere: usercopy_error() says which.
 */
USERCOPY_API int usercopy_resume_once(UsercopyAttachment* attachment);

/* Takes usercopy_resume_once() back: to be called when that run did not get to the copy. */
USERCOPY_API void usercopy_resume_cancel(UsercopyAttachment* attachment);

/*
 * Forgets everything about copies under way: stops, copies that are to fail, copies inside copies. To be called once an
 * iteration, and whenever registers or memory have been put back (uc_context_restore()). Counts and lists stay.
 */
USERCOPY_API void usercopy_reset(UsercopyAttachment* attachment);

/* ---- Audit ------------------------------------------------------------------------------------------------------ */

/*
 * Nonzero: from now on copies are noted and happen; they are judged later, by the memory that the guest has then: when 1024
 * have been noted, by usercopy_flush(), and when the attachment is detached. USERCOPY_STOP then stops where the guest is;
 * USERCOPY_FAIL is refused. 0: copies are judged before they happen again; what was noted is judged now. Refused while there are
 * sanitizers: nothing changes, and usercopy_error() says so. 0, or -1 with an error.
 */
USERCOPY_API int usercopy_set_audit(UsercopyAttachment* attachment, int audit);

/* Judges what an audit has noted so far. 1 when a callback answered USERCOPY_STOP or USERCOPY_CRASH, else 0. */
USERCOPY_API int usercopy_flush(UsercopyAttachment* attachment);

/* ---- Sanitizers: what the kernel's check lets pass --------------------------------------------------------------- */

/*
 * The kernel's check knows where an object begins and ends, not whether it is in use. Sanitizers look at every copy that it let
 * pass: at the state of the slab objects that the copy touches, and at their red zones. What they find is no violation: it is
 * told apart, in words that no kernel prints, and counted apart. A look reads the guest's lists anew; nothing of them is kept.
 */
typedef enum UsercopySanitizer {
  /* The object is free: by the lists of its slab, of the CPU that owns the slab, of sheaves (6.18 on), by KFENCE's record. */
  USERCOPY_FREED = 1,
  /*
   * Over a red zone of an object in use (caches with SLAB_RED_ZONE; KFENCE objects), or past what kmalloc() was asked for, where
   * the object tells that (6.2 on, slub_debug=U).
   */
  USERCOPY_RED_ZONE = 2,
  /*
   * With any of the others: bytes of the guest that a look needs and that are not there are asked for. The finding has
   * `sanitizer` 0 and `missing` then; USERCOPY_RETRY says that they are there now, anything else that the guest goes on.
   */
  USERCOPY_ASK_MISSING = 4,
} UsercopySanitizer;

/* A copy that the check let pass and a sanitizer did not like. It and its strings live until the callback returns. 208 bytes. */
typedef struct UsercopyFinding {
  UsercopyAttachment* attachment; /*   0 */
  void* user_data;                /*   8: what usercopy_set_user_data() was given */
  /*  16: Our own words, "sanitizer freed: copy to user of …"; NULL where memory is missing. */
  const char* line;
  const char* cache;      /*  24: slab cache; NULL where its name cannot be read */
  const char* entry;      /*  32: the entry point at which the guest was caught */
  uint64_t entry_address; /*  40 */
  uint64_t pointer;       /*  48: the kernel's side of the copy: first byte; and bytes */
  uint64_t size;          /*  56 */
  int32_t to_user;        /*  64: 1: the user reads it, 0: the user writes it */
  int32_t sanitizer;      /*  68: USERCOPY_FREED or USERCOPY_RED_ZONE; 0: `missing` is asked for */
  uint64_t object_start;  /*  72: the first object that it is about: first byte */
  uint64_t object_end;    /*  80: first byte after it */
  uint64_t zone_start;    /*  88: the red zone that the copy touches: first byte; 0 for USERCOPY_FREED */
  uint64_t zone_end;      /*  96: first byte after it */
  uint64_t missing;       /* 104: the guest address whose bytes are not there; 0: none */
  uint64_t resume_address; /* 112: where to go on after USERCOPY_STOP, as in a violation */
  uint64_t caller_address; /* 120: where the function that copies returns to, its symbol (NULL where not known), bytes from its start */
  const char* caller;     /* 128 */
  uint64_t caller_offset; /* 136 */
  const char* title;      /* 144: to deduplicate by: "sanitizer freed in FUNC", "sanitizer redzone in FUNC" */
  const UsercopyFrame* backtrace; /* 152: from the caller outwards */
  uint32_t backtrace_count; /* 160 */
  uint32_t object_index;  /* 164: which one of its slab the object is, counted from 0 */
  const char* backtrace_method; /* 168: as in a violation */
  uint64_t reserved[4];   /* 176 */
} UsercopyFinding;

/*
 * Called in the middle of uc_emu_start(), before the copy. Answers a UsercopyDecision, as a UsercopyCallback does; USERCOPY_RETRY
 * is none for what was found.
 */
typedef int32_t (*UsercopyFindingCallback)(const UsercopyFinding* finding);

/*
 * From now on looks are made, and what these sanitizers (a sum of UsercopySanitizer) find is told to `callback`. 0: none are
 * made, as at the start; the way of a copy is as it was. usercopy_notes() says what cannot be seen in this kernel.
 * 0, or -1 and usercopy_error(): where the prepared file has no types, in an audit (objects may have been freed since), for
 * what is no sanitizer, and without a callback.
 */
USERCOPY_API int usercopy_sanitize(UsercopyAttachment* attachment, uint32_t sanitizers, UsercopyFindingCallback callback);

/* Copies of some bytes that the check let pass, by what a look at them came to; the last five are all of them. 48 bytes. */
typedef struct UsercopySanitizerStatistics {
  uint64_t looks;     /*  0 */
  uint64_t elsewhere; /*  8: no slab: nothing that a sanitizer knows */
  uint64_t allocated; /* 16: in objects that are in use, their red zones untouched */
  uint64_t freed;     /* 24 */
  uint64_t red_zone;  /* 32 */
  uint64_t unknown;   /* 40: the state of an object is not known; USERCOPY_BY_UNKNOWN says why */
} UsercopySanitizerStatistics;

USERCOPY_API UsercopySanitizerStatistics usercopy_sanitizer_statistics(const UsercopyAttachment* attachment);

/* ---- Lists and counts ------------------------------------------------------------------------------------------- */

/*
 * Violations that a rule matches are counted and otherwise passed over: the guest goes on. `rules` has one rule a line,
 * `part=value` in any order, '#' begins a comment; parts are caller, cache, region, direction (to_user, from_user) and
 * entry; '*' in a value stands for any characters, double quotes keep blanks together. Replaces the list before it; NULL
 * or "" is an empty one. 0, or -1 for a text that is none: usercopy_error() says which line.
 *
 *   caller=proc_* cache=task_struct
 *   region="process stack" direction=to_user   # known
 */
USERCOPY_API int usercopy_suppress(UsercopyAttachment* attachment, const char* rules);

/* Violations that the rule silenced, rules counted from 0 in the order of the text; 0 beyond the last. */
USERCOPY_API uint64_t usercopy_suppressed(const UsercopyAttachment* attachment, size_t rule);

/* Copies since the attachment was made. 48 bytes. */
typedef struct UsercopyStatistics {
  uint64_t checks;     /*  0: judged: good, bad and unreadable ones */
  uint64_t good;       /*  8 */
  uint64_t bad;        /* 16 */
  uint64_t unreadable; /* 24: could not be judged */
  uint64_t suppressed; /* 32: of the bad and the unreadable: those that a rule silenced */
  uint64_t resumed;    /* 40: arrivals that usercopy_resume_once() let pass, not judged again */
} UsercopyStatistics;

USERCOPY_API UsercopyStatistics usercopy_statistics(const UsercopyAttachment* attachment);

typedef enum UsercopyTally {
  /* Violations, suppressed ones among them: by direction, rule, slab cache, function that the copy returns to. */
  USERCOPY_BY_DIRECTION = 0,
  USERCOPY_BY_REGION = 1,
  USERCOPY_BY_CACHE = 2,
  USERCOPY_BY_CALLER = 3,
  /* Every judged copy, by verdict: "good: slab object", "bad: process stack", …, "unreadable". */
  USERCOPY_BY_VERDICT = 4,
  /* Looks of sanitizers that came to nothing, by why: "not readable", "may be in a sheaf", … */
  USERCOPY_BY_UNKNOWN = 5,
} UsercopyTally;

/*
 * A row of a tally, the most frequent first; `tally` is a UsercopyTally. Gives the number of rows. Beyond the last one
 * `name` and `count` are not written. The name lives until the guest runs on or the attachment is freed.
 */
USERCOPY_API size_t usercopy_tally(UsercopyAttachment* attachment, int32_t tally, size_t row, const char** name,
                                   uint64_t* count);

/*
 * What a person should know of this attachment, '\n' between sentences: what cannot be judged, and why. That hardly anything
 * is judged comes first, and is written to stderr when it is attached. It grows when 10 000 copies have arrived and not one
 * was held against anything that the check knows: that is also written to stderr, once.
 */
USERCOPY_API const char* usercopy_notes(UsercopyAttachment* attachment);

/* ---- Snapshots -------------------------------------------------------------------------------------------------- */

typedef struct UsercopySnapshot UsercopySnapshot;

/*
 * Puts a guest that was written down into an emulator that was just opened: maps its memory and sets its registers. `folder`
 * is what `usercopy run … --snapshot` writes, or one of Unicorn's dumpers (unicorn_dumper_*.py). Needs zlib (libz.so.1).
 *
 *   uc_open(UC_ARCH_X86, UC_MODE_64, &uc);
 *   UsercopySnapshot* guest = usercopy_snapshot_load(uc, "guest");
 *   UsercopyAttachment* attachment = usercopy_attach(uc, prepared, on_violation);
 *   usercopy_snapshot_place(guest, "return_address", &until, NULL);
 *   uc_emu_start(uc, …, until, 0, 0);
 *
 * NULL on failure: usercopy_error() says why, in one sentence; nothing may be done with the emulator then but uc_close().
 */
USERCOPY_API UsercopySnapshot* usercopy_snapshot_load(struct uc_struct* uc, const char* folder);
USERCOPY_API UsercopySnapshot* usercopy_snapshot_load_with(const UsercopyUnicorn* unicorn, struct uc_struct* uc,
                                                           const char* folder);

/*
 * The first byte of what the snapshot has a name for, and the first byte after it: `return_address`, `user`, `stack`, `task`,
 * the scenario's objects. `end` may be NULL. 0, or -1 when there is none of that name.
 */
USERCOPY_API int usercopy_snapshot_place(const UsercopySnapshot* snapshot, const char* name, uint64_t* start,
                                         uint64_t* end);

/*
 * Puts the memory and the whole CPU back as they were loaded, without a copy of what was not written: once an iteration, or
 * after a crash; not inside a hook. Code that was translated from bytes that differ is dropped, the rest is kept. What the
 * harness has mapped itself stays as it is. Each process of a fork has memory of its own. Call usercopy_reset() too. 0, or
 * -1: usercopy_error().
 */
USERCOPY_API int usercopy_snapshot_restore(UsercopySnapshot* snapshot);

/*
 * As usercopy_attach(), for the emulator that the snapshot was loaded into, and faster: the check reads the snapshot's memory in
 * place, where usercopy_attach() asks libunicorn for every word. For that, this memory has to stay mapped as it was loaded until
 * the attachment is detached: no uc_mem_unmap() of it, and no contexts of libunicorn 2.1 that hold memory
 * (UC_CTL_CONTEXT_MEMORY); restore it with usercopy_snapshot_restore(). What the harness maps besides is read as ever.
 *
 * Whatever the check refuses, and every 256th copy, is judged by what libunicorn says of the memory; once that is something else,
 * stderr and usercopy_notes() say so, and nothing is read in place any more. Up to 8 such attachments on a snapshot.
 */
USERCOPY_API UsercopyAttachment* usercopy_attach_snapshot(UsercopySnapshot* snapshot, const char* prepared,
                                                          UsercopyCallback callback);

/* Registers of the files that the emulator does not have or does not take, a blank between them; empty: none. */
USERCOPY_API const char* usercopy_snapshot_unknown_registers(UsercopySnapshot* snapshot);

/*
 * Frees the memory: after uc_close() and while its libunicorn is loaded; or before, when nothing is done with the emulator any
 * more but uc_close(), which touches no guest memory. Attachments are detached before. NULL is harmless.
 */
USERCOPY_API void usercopy_snapshot_free(UsercopySnapshot* snapshot);

/* One sentence on this thread's last failure; empty when there was none. */
USERCOPY_API const char* usercopy_error(void);

#ifdef __cplusplus
}
#endif
#endif
