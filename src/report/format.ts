/** A verdict in the kernel's own words. Addresses and numbers are formatted as printk does. */

import { type Copy, type Refusal, requireCopy, type Verdict } from '../check/verdict.js';
import type { Bits } from '../kernel/kernel.js';
import { type OptionRule, requireFields } from '../options.js';

/** What the wording depends on, besides the verdict. */
export interface MessageStyle {
  /** `old`: report_usercopy() up to 4.15. `new`: usercopy_abort(), b394d468e7d7 (4.16) on. */
  readonly format: 'old' | 'new';
  readonly bits: Bits;
  readonly allocator: 'SLUB' | 'SLAB';
  /**
   * Old messages without the pointer: report_usercopy() after 4f5e838605c2 "usercopy: Remove pointer from overflow report", whose
   * series mainline took as a whole (4.16), and trees of Android 4.14 took alone.
   */
  readonly noAddress?: boolean | undefined;
}

const STYLE = {
  format: { words: ['old', 'new'] },
  bits: { accepts: (value: unknown) => value === 32 || value === 64, expected: '32 or 64' },
  allocator: { words: ['SLUB', 'SLAB'] },
  noAddress: {
    accepts: (value: unknown) => value === undefined || typeof value === 'boolean',
    expected: 'true or false',
  },
} satisfies Record<keyof MessageStyle, OptionRule>;

/** Type in brackets of the old format; slab refusals print the cache's name there. */
const OLD_TYPE: Readonly<Record<Refusal, string | null>> = {
  'wrapped address': '<wrapped address>',
  'null address': '<null>',
  'process stack': '<process stack>',
  kmap: '<kmap>',
  vmalloc: '<vmalloc>',
  'vmalloc, no area': '<vmalloc>',
  'slab object': null,
  'slab object in left red zone': null,
  'slab object not in slab page': null,
  'slab object index out of range': null,
  'page alloc': '<page alloc>',
  rodata: '<rodata>',
  'spans multiple pages': '<spans multiple pages>',
  'spans Reserved and non-Reserved pages': '<spans Reserved and non-Reserved pages>',
  'spans CMA and non-CMA pages': '<spans CMA and non-CMA pages>',
  'kernel text': '<kernel text>',
  'linear kernel text': '<linear kernel text>',
};

/** `%p` before 4.15 hashed it: all digits, no 0x; NULL as a word of the same width (lib/vsprintf.c, pointer()). */
function formatPointer(pointer: bigint, bits: Bits): string {
  const width = bits / 4;
  return pointer === 0n ? '(null)'.padStart(width) : pointer.toString(16).padStart(width, '0');
}

const ATTEMPTS = { to_user: 'exposure attempt detected from', from_user: 'overwrite attempt detected to' } as const;

/** Name and quoted detail of the new format. */
function newName(by: Refusal, cache: string | null, allocator: 'SLUB' | 'SLAB'): [name: string, detail: string | null] {
  switch (by) {
    case 'slab object':
      return [`${allocator} object`, cache];
    case 'slab object in left red zone':
      return ['SLUB object in left red zone', cache];
    case 'slab object not in slab page':
      return ['SLUB object not in SLUB page?!', null];
    case 'vmalloc, no area':
      return ['vmalloc', 'no area'];
    default:
      return [by, null];
  }
}

/**
 * The line that the kernel prints for a refused copy, without the log prefix; null when it prints none: for a good copy,
 * for an unreadable one, and for SLAB's `BUG_ON(objnr >= cachep->num)`.
 */
export function formatMessage(verdict: Verdict, copy: Copy, style: MessageStyle): string | null {
  requireCopy('formatMessage: copy', copy);
  requireFields('formatMessage: style', style, STYLE);
  return messageOf(verdict, copy, style);
}

/** The same for who has a verdict, its copy and a plan's style of our own making, and makes many. */
export function messageOf(verdict: Verdict, copy: Copy, style: MessageStyle): string | null {
  if (verdict.outcome !== 'bad' || verdict.by === 'slab object index out of range') return null;
  const cache = verdict.object?.cache ?? null;
  const attempt = ATTEMPTS[copy.direction];
  if (style.format === 'old') {
    const type = OLD_TYPE[verdict.by] ?? cache ?? 'unknown';
    if (style.noAddress) return `usercopy: kernel memory ${attempt} '${type}' (${copy.size} bytes)`;
    return `usercopy: kernel memory ${attempt} ${formatPointer(copy.pointer, style.bits)} (${type}) (${copy.size} bytes)`;
  }
  const { by, offset, size } = verdict;
  return `usercopy: Kernel memory ${attempt} ${quoted(newName(by, cache, style.allocator))} (offset ${offset}, size ${size})!`;
}

/**
 * The line that the kernel prints, once, for a copy that HARDENED_USERCOPY_FALLBACK lets pass (usercopy_warn(), 4.16
 * to 5.15); null for every other copy.
 */
export function formatWarning(verdict: Verdict, copy: Copy, style: MessageStyle): string | null {
  requireCopy('formatWarning: copy', copy);
  requireFields('formatWarning: style', style, STYLE);
  if (verdict.outcome !== 'good' || verdict.by !== 'slab object by fallback' || verdict.object === null) return null;
  const { start, cache } = verdict.object;
  const offset = BigInt.asUintN(style.bits, copy.pointer - start);
  const what = quoted([`${style.allocator} object`, cache]);
  return `Bad or missing usercopy whitelist? Kernel memory ${ATTEMPTS[copy.direction]} ${what} (offset ${offset}, size ${copy.size})!`;
}

const quoted = ([name, detail]: readonly [string, string | null]): string =>
  detail === null ? name : `${name} '${detail}'`;
