/**
 * Numbers of the verdicts. A name here is the name in `src/check/verdict.ts`, in capitals; TypeScript reads the numbers from the
 * module's exports.
 */

/** Why a copy passed. The last one is worth a warning, so `check()` does not answer 0 for it. */
export enum Acceptance {
  EMPTY_COPY = 1,
  BYPASSED = 2,
  STACK = 3,
  STACK_FRAME = 4,
  KMAP = 5,
  VMALLOC = 6,
  SLAB_OBJECT = 7,
  PAGE_ALLOC = 8,
  RODATA = 9,
  DATA = 10,
  ONE_PAGE = 11,
  RESERVED_OR_CMA_PAGES = 12,
  NOTHING_OBJECTS = 13,
  SLAB_OBJECT_BY_FALLBACK = 15,
}

export enum Refusal {
  WRAPPED_ADDRESS = 16,
  NULL_ADDRESS = 17,
  PROCESS_STACK = 18,
  KMAP = 19,
  VMALLOC = 20,
  VMALLOC_NO_AREA = 21,
  SLAB_OBJECT = 22,
  SLAB_OBJECT_IN_LEFT_RED_ZONE = 23,
  SLAB_OBJECT_NOT_IN_SLAB_PAGE = 24,
  SLAB_OBJECT_INDEX_OUT_OF_RANGE = 25,
  PAGE_ALLOC = 26,
  RODATA = 27,
  SPANS_MULTIPLE_PAGES = 28,
  SPANS_RESERVED_AND_NON_RESERVED_PAGES = 29,
  SPANS_CMA_AND_NON_CMA_PAGES = 30,
  KERNEL_TEXT = 31,
  LINEAR_KERNEL_TEXT = 32,
}

/** The check could not decide. */
export enum Unreadable {
  /** Guest bytes are not there; they may be brought in and the check run again. */
  MISSING = 40,
  /** Guest bytes are there but make no sense (a loop, a size of zero): running again would not help. */
  CORRUPT = 41,
}

/** Bounds of the numbers above. */
export enum VerdictRange {
  FIRST_NOTEWORTHY = 15,
  FIRST_REFUSAL = 16,
  FIRST_UNREADABLE = 40,
  COUNT = 42,
}
