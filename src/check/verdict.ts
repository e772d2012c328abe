import { aWord, type OptionRule, requireFields } from '../options.js';

/** Who receives the bytes. `to_user` exposes kernel memory, `from_user` overwrites it. */
export type Direction = 'to_user' | 'from_user';

/** One copy between user and kernel memory, as `__check_object_size(ptr, n, to_user)` is asked about it. */
export interface Copy {
  /** Kernel virtual address of the first byte, zero-extended to 64 bits. */
  readonly pointer: bigint;
  /** Bytes; an unsigned word of the guest. */
  readonly size: bigint;
  readonly direction: Direction;
}

const COPY_RULES = {
  pointer: aWord,
  size: aWord,
  direction: { words: ['to_user', 'from_user'] },
} satisfies Record<keyof Copy, OptionRule>;

/** @throws UsercopyError `bad-input` for a copy that lacks something, or says what no copy does. */
export function requireCopy(where: string, copy: unknown): void {
  requireFields(where, copy, COPY_RULES);
}

/**
 * The rules that refuse a copy: one name for each place where a kernel gives up, of any era. How the kernel words it
 * is `src/report/format.ts`'s affair. The numbers that the check gives them stand in assembly/verdict.ts.
 */
export const REFUSALS = [
  'wrapped address',
  'null address',
  'process stack',
  'kmap',
  'vmalloc',
  'vmalloc, no area',
  'slab object',
  'slab object in left red zone',
  'slab object not in slab page',
  'slab object index out of range',
  'page alloc',
  'rodata',
  'spans multiple pages',
  'spans Reserved and non-Reserved pages',
  'spans CMA and non-CMA pages',
  'kernel text',
  'linear kernel text',
] as const;

export type Refusal = (typeof REFUSALS)[number];

/** Where the question was settled for a copy that passed. */
export const ACCEPTANCES = [
  'empty copy',
  'bypassed',
  'stack',
  'stack frame',
  'kmap',
  'vmalloc',
  'slab object',
  /** Inside the object, outside its whitelist, let through by HARDENED_USERCOPY_FALLBACK with a warning (4.16 to 5.15). */
  'slab object by fallback',
  'page alloc',
  'rodata',
  'data',
  'one page',
  'Reserved or CMA pages',
  /** No rule objected; nothing is known of the memory beyond that. */
  'nothing objects',
] as const;

export type Acceptance = (typeof ACCEPTANCES)[number];

/** The object that the copy was held against: a slab object, a folio, a vmalloc area, a stack, the kernel text. */
export interface CheckedObject {
  /** First byte and first byte after it. */
  readonly start: bigint;
  readonly end: bigint;
  /** The part that user copies may touch; the whole object where there is no whitelist. */
  readonly windowStart: bigint;
  readonly windowEnd: bigint;
  /** Name of the slab cache; null for anything else and where the name cannot be read. */
  readonly cache: string | null;
}

export type Verdict =
  | { readonly outcome: 'good'; readonly by: Acceptance; readonly object: CheckedObject | null }
  | {
      readonly outcome: 'bad';
      readonly by: Refusal;
      /** What the kernel prints as "offset" (bytes, an unsigned word; huge when it means a negative number). */
      readonly offset: bigint;
      /** What the kernel prints as "size" (bytes; for a wrapped address it is pointer + size). */
      readonly size: bigint;
      readonly object: CheckedObject | null;
    }
  /** The check needed guest bytes that cannot be had: a corrupt pointer, or a page that is not there. */
  | { readonly outcome: 'unreadable'; readonly address: bigint };
