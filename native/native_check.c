/* check.wasm in C: the runtime of wasm2c, what it wrote, and the way in and out. */
#include "native_check.h"

#include <stddef.h>
#include <stdlib.h>

/* Written by the set-up: NATIVE_CHECK_BUILT, NATIVE_CHECK_ABSENCE, NATIVE_CHECK_DIGEST. */
#include "native_check_config.h"

#if NATIVE_CHECK_BUILT

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "wasm2c keeps linear memory backwards on big-endian machines, V8 does not: they cannot share it"
#endif

/* SIGSEGV is V8's: every access is compared with the memory's size. */
#define WASM_RT_MEMCHECK_SIGNAL_HANDLER 0
#define WASM_RT_USE_STACK_DEPTH_COUNT 1
#define WASM_RT_MAX_CALL_STACK_DEPTH 64
#define WASM_RT_TRAP_HANDLER GiveUp

static _Noreturn void GiveUp(int trap);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-value"
#include <wasm-rt-impl.c>

struct Z_env_instance_t {
  wasm_rt_memory_t memory;
};

/* What the functions of the module reach beside their memory. The depth is counted here, not in the runtime's global:
 * threads of Node judge at the same time. */
struct Z_host_instance_t {
  uint32_t depth;
  NativeReader reader;
  void* data;
  wasm_rt_memory_t* memory;
};

#define wasm_rt_call_stack_depth (instance->Z_host_instance->depth)
#include "check_module.c"
#undef wasm_rt_call_stack_depth
#pragma GCC diagnostic pop

struct NativeCheck {
  Z_check_instance_t instance;
  struct Z_env_instance_t env;
  struct Z_host_instance_t host;
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

enum { kReaderFailed = -1 };

static _Noreturn void GiveUp(int trap) {
  running->trap = trap == kReaderFailed ? "the reader failed" : wasm_rt_strerror((wasm_rt_trap_t)trap);
  __builtin_longjmp(running->exit, 1);
}

wasm_rt_memory_t* Z_envZ_memory(struct Z_env_instance_t* env) { return &env->memory; }

u32 Z_hostZ_read(struct Z_host_instance_t* host, u32 low, u32 high, u32 length, u32 destination) {
  const wasm_rt_memory_t* memory = host->memory;
  if ((uint64_t)destination + length > memory->size) GiveUp(WASM_RT_TRAP_OOB);
  if (host->reader == NULL) return 0;
  NativeCheck* const mine = running;
  const NativeRead answer =
      host->reader(host->data, (uint64_t)high << 32 | low, length, memory->data + destination);
  running = mine;
  if (answer == NATIVE_READ_FAILED) GiveUp(kReaderFailed);
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
  GUARDED(check, w2c_check(&check->instance, context, request));
}

uint32_t native_check_judge_outermost(NativeCheck* check, uint32_t context, uint32_t request) {
  GUARDED(check, w2c_checkOutermost(&check->instance, context, request));
}

uint32_t native_check_judge_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count) {
  GUARDED(check, w2c_checkBatch(&check->instance, context, requests, count));
}

uint32_t native_check_judge_outermost_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count) {
  GUARDED(check, w2c_checkOutermostBatch(&check->instance, context, requests, count));
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
const char* native_check_trap(const NativeCheck* check) { return NATIVE_CHECK_ABSENCE; }

#endif
