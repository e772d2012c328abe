/**
 * Static keys that no symbol names: the jump table says which branch asks which key (`struct jump_entry` of
 * include/linux/jump_label.h). It lies between two marks of the linker, or is told by its own shape.
 */
import type { Kernel, Segment } from '../kernel/kernel.js';
import { decodeUnsigned, Words } from '../kernel/words.js';
import type { JumpEntry } from './jump-entry.js';

/** As many entries in a row no accident makes. */
const SHORTEST_JUMP_TABLE = 128;
/** Bytes of a function in a section that is discarded. */
const LARGEST_FUNCTION = 0x1_0000;
/** Bytes; a kernel's has some hundred kilobytes. */
const LARGEST_JUMP_TABLE = 16n << 20n;

export interface JumpTable {
  readonly start: bigint;
  readonly end: bigint;
  /** For each entry: the branch's address and the key's. */
  readonly entries: readonly { readonly code: bigint; readonly key: bigint }[];
}

/** The jump table of a kernel whose entries have the shape `entry`; null where none is found. */
export const jumpTableOf = (kernel: Kernel, entry: JumpEntry): JumpTable | null =>
  listedJumpTable(kernel, entry) ?? findJumpTable(kernel, entry);

/** Keys that the check's own functions ask, by the names that they have in kernels which list variables. */
export function* hiddenKeys(kernel: Kernel, table: JumpTable): Iterable<readonly [string, bigint]> {
  const { symbols } = kernel;
  const asked = (name: string, by: string): [string, bigint] | null => {
    const address = symbols.address(name) === undefined ? keyAskedBy(kernel, table, by) : null;
    return address === null ? null : [name, address];
  };
  // From 6.15 on it is the callers that ask, and a key that is exported: what the check asks then is another's.
  const bypass =
    symbols.address('validate_usercopy_range') === undefined
      ? asked('bypass_usercopy_checks', '__check_object_size')
      : null;
  if (bypass !== null) yield bypass;
  const debug = asked('slub_debug_enabled', '__check_heap_object');
  if (debug !== null) yield debug;
}

/**
 * The longest run of entries that all point where jump entries must: { s32 code, s32 target, long key } as distances, or
 * three words that hold addresses.
 */
function findJumpTable(kernel: Kernel, entry: JumpEntry): JumpTable | null {
  let longest: JumpTable | null = null;
  for (const segment of kernel.segments) {
    const found = longestRun(kernel, segment, entry);
    if (found && found.entries.length > (longest?.entries.length ?? 0)) longest = found;
  }
  return longest;
}

function longestRun(
  kernel: Kernel,
  segment: Segment,
  { relative, size, addressBytes, keyAt, keyBytes }: JumpEntry,
): JumpTable | null {
  const { bytes, address } = segment;
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
  /** Where in the segment the field at `at` points; null where it holds nothing. */
  const targetOf = (at: number, bytesOfField: number): number | null => {
    const value = bytesOfField === 8 ? words.int64(at) : BigInt(words.int32(at));
    if (value === 0n) return null;
    return relative ? at + Number(value) : Number(BigInt.asUintN(8 * bytesOfField, value) - address);
  };
  const isEntry = (at: number): boolean => {
    const code = targetOf(at, addressBytes);
    const target = targetOf(at + addressBytes, addressBytes);
    const key = targetOf(at + keyAt, keyBytes);
    if (code === null || target === null || key === null) return false;
    if (key < textEnd || key >= imageEnd) return false;
    // A label may lie in the function's cold part, at the other end of the text.
    return isText(code)
      ? isText(target)
      : isDiscarded(code) && isDiscarded(target) && Math.abs(target - code) <= LARGEST_FUNCTION;
  };
  // Small numbers look like distances to data near by: what counts are entries whose code is text that stays.
  let best = { at: 0, count: 0, inText: 0 };
  for (let at = 0; at + size <= bytes.length; at += keyBytes) {
    if (!isEntry(at)) continue;
    let count = 0;
    let inText = 0;
    do {
      if (isText(targetOf(at + count * size, addressBytes) ?? -1)) inText++;
      count++;
    } while (at + (count + 1) * size <= bytes.length && isEntry(at + count * size));
    if (inText > best.inText) best = { at, count, inText };
    at += count * size - keyBytes;
  }
  if (best.inText < SHORTEST_JUMP_TABLE) return null;
  const entries = Array.from({ length: best.count }, (_, index) => {
    const at = best.at + index * size;
    // isEntry() has found a target for both.
    const key = BigInt(targetOf(at + keyAt, keyBytes)!) & ~3n;
    const code = BigInt(targetOf(at, addressBytes)!); // as above
    return { code: address + code, key: address + key };
  });
  const start = address + BigInt(best.at);
  return { start, end: start + BigInt(best.count * size), entries };
}

/** The table between the linker's marks, where the image names them. */
function listedJumpTable(
  kernel: Kernel,
  { relative, size, addressBytes, keyAt, keyBytes }: JumpEntry,
): JumpTable | null {
  const start = kernel.symbols.address('__start___jump_table');
  const end = kernel.symbols.address('__stop___jump_table');
  if (start === undefined || end === undefined || end <= start || end - start > LARGEST_JUMP_TABLE) return null;
  const bytes = kernel.read(start, Number(end - start));
  if (bytes === undefined) return null;
  const field = (at: number, length: number): bigint => {
    const value = decodeUnsigned(bytes.subarray(at, at + length), kernel.endian);
    const target = relative ? start + BigInt(at) + BigInt.asIntN(length * 8, value) : value;
    return BigInt.asUintN(kernel.bits, target);
  };
  const entries = Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => {
    const at = index * size;
    // The two low bits of the key's word are flags, which a distance from it carries along.
    const flags = decodeUnsigned(bytes.subarray(at + keyAt, at + keyAt + keyBytes), kernel.endian) & 3n;
    return { code: field(at, addressBytes), key: field(at + keyAt, keyBytes) - flags };
  });
  return { start, end, entries };
}

/** The only static key that a function's code asks, or the only one of several that no other code asks; null without such a key. */
export function keyAskedBy(kernel: Kernel, table: JumpTable, symbol: string): bigint | null {
  const found = kernel.symbols.get(symbol);
  if (!found) return null;
  const isInside = (code: bigint): boolean => code >= found.address && code < found.address + found.size;
  const keys = new Set(table.entries.filter(({ code }) => isInside(code)).map(({ key }) => key));
  if (keys.size > 1) for (const { code, key } of table.entries) if (!isInside(code)) keys.delete(key);
  const [key] = keys;
  return keys.size === 1 && key !== undefined ? key : null;
}
