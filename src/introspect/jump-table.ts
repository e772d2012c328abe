/**
 * Static keys that no symbol names: the jump table says which branch asks which key (`struct jump_entry` of
 * include/linux/jump_label.h). It lies between two marks of the linker, or is told by its own shape.
 */
import type { Kernel, Segment } from '../kernel/kernel.js';
import { Words } from '../kernel/words.js';
import { type JumpBranch, type JumpEntry, jumpBranches, LARGEST_JUMP_TABLE } from './jump-entry.js';

/** As many entries in a row no accident makes. */
const SHORTEST_JUMP_TABLE = 128;
/** Bytes of a function in a section that is discarded. */
const LARGEST_FUNCTION = 0x1_0000;

export interface JumpTable {
  readonly start: bigint;
  readonly end: bigint;
  readonly branches: readonly JumpBranch[];
}

/** The jump table of a kernel whose entries have the shape `entry`; null where none is found. */
export const jumpTableOf = (kernel: Kernel, entry: JumpEntry): JumpTable | null =>
  listedJumpTable(kernel, entry) ?? findJumpTable(kernel, entry);

/** Keys that the check's own functions ask, by the names that they have in kernels which list variables. */
export function* hiddenKeys(kernel: Kernel, table: JumpTable): Iterable<readonly [string, bigint]> {
  const { symbols } = kernel;
  const isMissing = (name: string): boolean => symbols.address(name) === undefined;
  // From 6.15 on it is the callers that ask, and a key that is exported: what the check asks then is another's.
  if (isMissing('bypass_usercopy_checks') && isMissing('validate_usercopy_range')) {
    const bypass = keyAskedOnlyBy(kernel, table, '__check_object_size');
    if (bypass !== null) yield ['bypass_usercopy_checks', bypass];
  }
  if (isMissing('slub_debug_enabled')) {
    const debug = keyAskedBy(kernel, table, '__check_heap_object');
    if (debug !== null) yield ['slub_debug_enabled', debug];
  }
}

/** The table between the linker's marks, where the image names them. */
function listedJumpTable(kernel: Kernel, entry: JumpEntry): JumpTable | null {
  const start = kernel.symbols.address('__start___jump_table');
  const end = kernel.symbols.address('__stop___jump_table');
  if (start === undefined || end === undefined || end <= start || end - start > LARGEST_JUMP_TABLE) return null;
  const bytes = kernel.read(start, Number(end - start));
  return bytes === undefined ? null : { start, end, branches: [...jumpBranches(bytes, start, entry, kernel)] };
}

/**
 * The longest run of entries that all point where jump entries must: { s32 code, s32 target, long key } as distances, or
 * three words that hold addresses.
 */
export function findJumpTable(kernel: Kernel, entry: JumpEntry): JumpTable | null {
  const runs = kernel.segments.map((segment) => ({ segment, ...longestRun(kernel, segment, entry) }));
  const [longest] = runs.sort((left, right) => right.inText - left.inText);
  if (longest === undefined || longest.inText < SHORTEST_JUMP_TABLE) return null;
  const { segment, at, count } = longest;
  const start = segment.address + BigInt(at);
  const bytes = segment.bytes.subarray(at, at + count * entry.size);
  return { start, end: start + BigInt(bytes.length), branches: [...jumpBranches(bytes, start, entry, kernel)] };
}

interface Run {
  /** Offset of the first entry in its segment. */
  readonly at: number;
  readonly count: number;
  /** Small numbers look like distances to data near by: what counts are entries whose code is text that stays. */
  readonly inText: number;
}

function longestRun(kernel: Kernel, { bytes, address }: Segment, entry: JumpEntry): Run {
  const { relative, size, addressBytes, keyAt, keyBytes } = entry;
  const words = new Words(bytes, kernel);
  const textStart = Number((kernel.symbols.address('_stext') ?? address) - address);
  const textEnd = Number((kernel.symbols.address('_etext') ?? address) - address);
  const imageEnd = Number(
    kernel.segments.reduce((end, other) => (other.address + other.size > end ? other.address + other.size : end), 0n) -
      address,
  );
  const initStart = Number((kernel.symbols.address('_sinittext') ?? address + BigInt(textEnd)) - address);
  const isText = (at: number): boolean => at >= textStart && at < textEnd;
  // .exit.text follows .init.text, with data between the two, and no mark is where it ends.
  const isDiscarded = (at: number): boolean => at >= initStart && at < imageEnd;
  const base = Number(address);
  /** Where in the segment the field at `at` points; NaN, which is nowhere, where it holds nothing. Every word of an image is asked: hence numbers. */
  const targetOf = (at: number, bytesOfField: number): number => {
    if (bytesOfField === 4) {
      const value = words.int32(at);
      if (value === 0) return Number.NaN;
      return relative ? at + value : (value >>> 0) - base;
    }
    const value = words.int64(at);
    if (value === 0n) return Number.NaN;
    return relative ? at + Number(value) : Number(BigInt.asUintN(64, value) - address);
  };
  const isKey = (at: number): boolean => {
    const key = targetOf(at + keyAt, keyBytes);
    return key >= textEnd && key < imageEnd;
  };
  const isEntry = (at: number): boolean => {
    const code = targetOf(at, addressBytes);
    const target = targetOf(at + addressBytes, addressBytes);
    const isDropped = !isText(code);
    // From 333522447063 "jump_label: Explicitly disable jump labels in __init code" (4.16) until 19483677684b "jump_label: Annotate entries that
    // operate on __init code earlier" (4.20) booting clears the address of code that is discarded. Entries held addresses then.
    const isCleared = !relative && Number.isNaN(code) && (isText(target) || isDiscarded(target));
    if (isCleared) return isKey(at);
    if (isDropped && !isDiscarded(code)) return false;
    // A label may lie in the function's cold part, at the other end of the text.
    if (isDropped ? !isDiscarded(target) || Math.abs(target - code) > LARGEST_FUNCTION : !isText(target)) return false;
    return isKey(at);
  };
  let best: Run = { at: 0, count: 0, inText: 0 };
  for (let at = 0; at + size <= bytes.length; at += keyBytes) {
    if (!isEntry(at)) continue;
    let count = 0;
    let inText = 0;
    do {
      if (isText(targetOf(at + count * size, addressBytes))) inText++;
      count++;
    } while (at + (count + 1) * size <= bytes.length && isEntry(at + count * size));
    if (inText > best.inText) best = { at, count, inText };
    at += count * size - keyBytes;
  }
  return best;
}

/** Keys that are asked inside of a function, or outside of it. */
function keysAsked(kernel: Kernel, table: JumpTable, symbol: string, where: 'inside' | 'outside'): Set<bigint> {
  const found = kernel.symbols.get(symbol);
  if (!found) return new Set();
  const isInside = (code: bigint): boolean => code >= found.address && code < found.address + found.size;
  const branches = table.branches.filter(({ code }) => isInside(code) === (where === 'inside'));
  return new Set(branches.map(({ key }) => key));
}

const onlyOne = ([key, ...others]: readonly bigint[]): bigint | null => (others.length > 0 ? null : (key ?? null));

/** The only static key that a function's code asks; null when there are several or none. */
export const keyAskedBy = (kernel: Kernel, table: JumpTable, symbol: string): bigint | null =>
  onlyOne([...keysAsked(kernel, table, symbol, 'inside')]);

/** The only static key that a function's code asks and no other code does; null when there are several or none. */
export function keyAskedOnlyBy(kernel: Kernel, table: JumpTable, symbol: string): bigint | null {
  const elsewhere = keysAsked(kernel, table, symbol, 'outside');
  return onlyOne([...keysAsked(kernel, table, symbol, 'inside')].filter((key) => !elsewhere.has(key)));
}
