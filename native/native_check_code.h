/* Read by check_module.c where its code begins, behind the last header: headers must not meet these. native_check.c takes them back. */
#ifdef NATIVE_CHECK_CODE
#error "expected once, behind the last header of check_module.c"
#endif
#define NATIVE_CHECK_CODE

/* wasm2c has an empty piece of assembly after each load, for those who have no comparisons: it keeps loads that nobody needs, and
 * the compiler from loading where it computes. */
#define __asm__(...)
/* A load or a store is an instruction or two, and a call of one three times that: large functions are no reason. */
#define inline inline __attribute__((always_inline))
