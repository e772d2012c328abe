/* check.wasm in C: the runtime of wasm2c, what it wrote, and the way in and out. */
#include "native_check.h"

#include <stddef.h>
#include <stdlib.h>

/* Written by the set-up: NATIVE_CHECK_BUILT, NATIVE_CHECK_ABSENCE, NATIVE_CHECK_DIGEST, and the names that wasm2c gave
 * to what is used here, for they change from release to release: the types NATIVE_CHECK_INSTANCE, _ENV, _HOST,
 * the instance's field _HOST_FIELD, the functions _MEMORY, _READ (imports) and _EXPORT_name. */
#include "native_check_config.h"

#if NATIVE_CHECK_BUILT

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "wasm2c keeps linear memory backwards on big-endian machines, V8 does not: they cannot share it"
#endif

/* SIGSEGV is V8's: every access is compared with the memory's size. Releases after 1.0.32 have other names for this, take
 * this one too, and warn of it. */
#define WASM_RT_MEMCHECK_SIGNAL_HANDLER 0
#define WASM_RT_USE_STACK_DEPTH_COUNT 1
#define WASM_RT_MAX_CALL_STACK_DEPTH 64
#define WASM_RT_TRAP_HANDLER GiveUp

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcpp"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-value"
#include <wasm-rt.h>

static _Noreturn void GiveUp(wasm_rt_trap_t trap);

#include <wasm-rt-impl.c>

/* No function of the module reaches itself: its stack has a depth that is known, and counting calls would find nothing. */
#undef WASM_RT_USE_STACK_DEPTH_COUNT
#define WASM_RT_USE_STACK_DEPTH_COUNT 0
#undef WASM_RT_STACK_DEPTH_COUNT
#define WASM_RT_STACK_DEPTH_COUNT 0

/* No judgement is made in a memory of less than this. The context lies in it, at a place that the module knows: an access there needs no
 * comparison. The set-up lets this stand for wasm2c's own. */
#define LEAST_MEMORY 65536
#define RANGE_CHECK(mem, offset, length)                                                  \
  if (!(__builtin_constant_p(offset) && (offset) + (uint64_t)(length) <= LEAST_MEMORY) && \
      UNLIKELY((offset) + (uint64_t)(length) > (mem)->size))                              \
    TRAP(OOB);

struct NATIVE_CHECK_ENV {
  wasm_rt_memory_t memory;
};

/* What the functions of the module reach beside their memory. The depth is counted here, not in the runtime's global:
 * threads of Node judge at the same time. */
struct NATIVE_CHECK_HOST {
  uint32_t depth;
  NativeReader reader;
  void* data;
  wasm_rt_memory_t* memory;
};

#define wasm_rt_call_stack_depth (instance->NATIVE_CHECK_HOST_FIELD->depth)
#include "check_module.c"
#ifndef NATIVE_CHECK_CODE
#error "check_module.c is as wasm2c wrote it: the set-up puts native_check_code.h behind the last of its headers"
#endif
#undef wasm_rt_call_stack_depth
#undef inline
#undef __asm__
#pragma GCC diagnostic pop

struct NativeCheck {
  NATIVE_CHECK_INSTANCE instance;
  struct NATIVE_CHECK_ENV env;
  struct NATIVE_CHECK_HOST host;
  /* Where a trap leaves to: __builtin_setjmp() needs five words. */
  void** exit;
  const char* trap;
};

/* The judgement that this thread is making. Only frames of the module's own C lie between a trap and its exit. Where the
 * C library leaves room for it, eight bytes at a fixed place of the thread save two calls a judgement. */
#ifdef __GLIBC__
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local NativeCheck* running;

static _Noreturn void Leave(const char* why) {
  running->trap = why;
  __builtin_longjmp(running->exit, 1);
}

static _Noreturn void GiveUp(wasm_rt_trap_t trap) { Leave(wasm_rt_strerror(trap)); }

wasm_rt_memory_t* NATIVE_CHECK_MEMORY(struct NATIVE_CHECK_ENV* env) { return &env->memory; }

u32 NATIVE_CHECK_READ(struct NATIVE_CHECK_HOST* host, u32 low, u32 high, u32 length, u32 destination) {
  const wasm_rt_memory_t* memory = host->memory;
  if ((uint64_t)destination + length > memory->size) GiveUp(WASM_RT_TRAP_OOB);
  if (host->reader == NULL) return 0;
  NativeCheck* const mine = running;
  const wasm_rt_memory_t before = *memory;
  const NativeRead answer =
      host->reader(host->data, (uint64_t)high << 32 | low, length, memory->data + destination);
  running = mine;
  /* The functions of the module have copies of it. */
  if (memory->data != before.data || memory->size != before.size) Leave("linear memory has moved");
  if (answer == NATIVE_READ_FAILED) Leave("the reader failed");
  return answer == NATIVE_READ_DONE;
}

const char* native_check_absence(void) { return NULL; }
const char* native_check_digest(void) { return NATIVE_CHECK_DIGEST; }

NativeCheck* native_check_open(NativeReader reader, void* data) {
  NativeCheck* check = calloc(1, sizeof *check);
  if (check == NULL) return NULL;
  check->host.reader = reader;
  check->host.data = data;
  check->host.memory = &check->env.memory;
  check->trap = "";
  init_instance_import(&check->instance, &check->env, &check->host);
  init_globals(&check->instance);
  return check;
}

void native_check_close(NativeCheck* check) { free(check); }

void native_check_set_memory(NativeCheck* check, uint8_t* bytes, uint32_t size) {
  wasm_rt_memory_t* memory = &check->env.memory;
  memory->data = bytes;
  memory->size = size;
  memory->pages = memory->max_pages = size / 65536;
}

/* Runs `call` where a trap ends in NATIVE_CHECK_TRAPPED. A reader may come back in here: what it finds is put back. */
#define GUARDED(check, call)                              \
  do {                                                    \
    void* exit_here[5];                                   \
    void** const exit_before = (check)->exit;             \
    NativeCheck* const running_before = running;          \
    const uint32_t depth_before = (check)->host.depth;    \
    uint32_t answer;                                      \
    if (__builtin_setjmp(exit_here) == 0) {               \
      (check)->exit = exit_here;                          \
      running = (check);                                  \
      if (UNLIKELY((check)->env.memory.size < LEAST_MEMORY)) GiveUp(WASM_RT_TRAP_OOB); \
      answer = (call);                                    \
    } else {                                              \
      (check)->host.depth = depth_before;                 \
      answer = NATIVE_CHECK_TRAPPED;                      \
    }                                                     \
    (check)->exit = exit_before;                          \
    running = running_before;                             \
    return answer;                                        \
  } while (0)

uint32_t native_check_judge(NativeCheck* check, uint32_t context, uint32_t request) {
  GUARDED(check, NATIVE_CHECK_EXPORT_check(&check->instance, context, request));
}

uint32_t native_check_judge_outermost(NativeCheck* check, uint32_t context, uint32_t request) {
  GUARDED(check, NATIVE_CHECK_EXPORT_checkOutermost(&check->instance, context, request));
}

uint32_t native_check_judge_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count) {
  GUARDED(check, NATIVE_CHECK_EXPORT_checkBatch(&check->instance, context, requests, count));
}

uint32_t native_check_judge_outermost_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count) {
  GUARDED(check, NATIVE_CHECK_EXPORT_checkOutermostBatch(&check->instance, context, requests, count));
}

uint32_t native_check_look(NativeCheck* check, uint32_t context, uint32_t look, uint32_t request) {
  GUARDED(check, NATIVE_CHECK_EXPORT_look(&check->instance, context, look, request));
}

const char* native_check_trap(const NativeCheck* check) { return check->trap; }

#else

const char* native_check_absence(void) { return NATIVE_CHECK_ABSENCE; }
const char* native_check_digest(void) { return ""; }
NativeCheck* native_check_open(NativeReader reader, void* data) { return NULL; }
void native_check_close(NativeCheck* check) {}
void native_check_set_memory(NativeCheck* check, uint8_t* bytes, uint32_t size) {}
uint32_t native_check_judge(NativeCheck* check, uint32_t context, uint32_t request) { return NATIVE_CHECK_TRAPPED; }
uint32_t native_check_judge_outermost(NativeCheck* check, uint32_t context, uint32_t request) {
  return NATIVE_CHECK_TRAPPED;
}
uint32_t native_check_judge_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count) {
  return NATIVE_CHECK_TRAPPED;
}
uint32_t native_check_judge_outermost_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count) {
  return NATIVE_CHECK_TRAPPED;
}
uint32_t native_check_look(NativeCheck* check, uint32_t context, uint32_t look, uint32_t request) {
  return NATIVE_CHECK_TRAPPED;
}
const char* native_check_trap(const NativeCheck* check) { return NATIVE_CHECK_ABSENCE; }

#endif
