/*
 * The check of assembly/ as native code: check.wasm, translated to C by wasm2c when the project is set up, on a linear
 * memory that somebody else owns. Knows nothing of Node, of Unicorn or of guests; a harness in C can use it as it is.
 *
 * Where in memory the context and the requests lie, and what their fields are, says the caller: the layout is exported
 * by check.wasm. One NativeCheck must not be used by two threads at once; two NativeChecks may.
 */
#ifndef NATIVE_CHECK_H
#define NATIVE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct NativeCheck NativeCheck;

typedef enum {
  /* The bytes are there. */
  NATIVE_READ_DONE,
  /* They cannot be had: the verdict may become "missing". */
  NATIVE_READ_MISSING,
  /* The reader failed: the judgement is given up (NATIVE_CHECK_TRAPPED). */
  NATIVE_READ_FAILED,
} NativeRead;

/* Copies `length` guest bytes at `address` to `to`, for addresses that no region of the context covers. */
typedef NativeRead (*NativeReader)(void* data, uint64_t address, uint32_t length, uint8_t* to);

/* What a judgement answers when it was given up; native_check_trap() says why. No verdict has this number. */
#define NATIVE_CHECK_TRAPPED UINT32_MAX

/* Null when it was built, else one sentence: why not. */
const char* native_check_absence(void);
/* SHA-256 of the check.wasm that was translated, in lower-case hexadecimal; empty when nothing was. */
const char* native_check_digest(void);

/* Null when it was not built, or memory ran out. `reader` may be null: then nothing can be had outside the regions. */
NativeCheck* native_check_open(NativeReader reader, void* data);
void native_check_close(NativeCheck* check);

/* Linear memory: `size` bytes, less than 4 GiB. To be said again whenever it has moved or grown, which it must not during a judgement. */
void native_check_set_memory(NativeCheck* check, uint8_t* bytes, uint32_t size);

/* The exports of check.wasm; offsets in linear memory. 0: go on; else the verdict's number. */
uint32_t native_check_judge(NativeCheck* check, uint32_t context, uint32_t request);
uint32_t native_check_judge_outermost(NativeCheck* check, uint32_t context, uint32_t request);
/* How many of `count` consecutive requests deserve a look. */
uint32_t native_check_judge_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count);

uint32_t native_check_judge_outermost_batch(NativeCheck* check, uint32_t context, uint32_t requests, uint32_t count);

/*
 * A look at the slab objects of a copy that was judged, beyond what the check asks; `look` is a Look in linear memory. Gives a
 * LookResult, or NATIVE_CHECK_TRAPPED.
 */
uint32_t native_check_look(NativeCheck* check, uint32_t context, uint32_t look, uint32_t request);

/* Why the last judgement was given up, as WebAssembly names its traps; "the reader failed" for NATIVE_READ_FAILED. */
const char* native_check_trap(const NativeCheck* check);

#ifdef __cplusplus
}
#endif
#endif
