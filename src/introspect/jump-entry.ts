/** `struct jump_entry`: where a branch on a static key lies, where it leads, and which key it asks. */
import type { StaticBranch } from '../../arch/driver.js';
import type { Kernel } from '../kernel/kernel.js';
import { type WordFormat, Words } from '../kernel/words.js';

/** Bytes. `code` is at 0. */
export interface JumpEntry {
  /** { s32 code, s32 target, long key } hold distances from themselves; else all three are addresses. */
  readonly relative: boolean;
  readonly size: number;
  /** Of `code` and of `target`, which follows it. */
  readonly addressBytes: number;
  readonly keyAt: number;
  readonly keyBytes: number;
}

/** The entries of a kernel's jump table. */
export function jumpEntryOf(kernel: Kernel, branch: StaticBranch): JumpEntry {
  const relative = branch.relativeEntries(kernel);
  const word = kernel.bits / 8;
  const addressBytes = relative ? 4 : (branch.entryAddressBytes ?? word);
  const keyBytes = relative ? word : addressBytes;
  const keyAt = 2 * addressBytes;
  return { relative, size: keyAt + keyBytes, addressBytes, keyAt, keyBytes };
}

/** What an entry says; all three are addresses. */
export interface JumpBranch {
  readonly code: bigint;
  readonly target: bigint;
  readonly key: bigint;
  /** JUMP_TYPE_TRUE: the branch was compiled for a key that is on. */
  readonly likely: boolean;
}

/** Bytes; a kernel's table has some hundred kilobytes. */
export const LARGEST_JUMP_TABLE = 16n << 20n;

const KEY_FLAGS = 3n;
const TYPE_TRUE = 1n;

/** The entries in `bytes`, which lie at `start`. */
export function* jumpBranches(
  bytes: Uint8Array,
  start: bigint,
  { relative, size, addressBytes, keyAt, keyBytes }: JumpEntry,
  format: WordFormat,
): Iterable<JumpBranch> {
  const words = new Words(bytes, format);
  const field = (at: number, length: number): bigint => (length === 8 ? words.uint64(at) : BigInt(words.uint32(at)));
  const address = (at: number, value: bigint, length: number): bigint =>
    relative ? BigInt.asUintN(format.bits, start + BigInt(at) + BigInt.asIntN(8 * length, value)) : value;
  for (let at = 0; at + size <= bytes.length; at += size) {
    const key = field(at + keyAt, keyBytes);
    yield {
      code: address(at, field(at, addressBytes), addressBytes),
      target: address(at + addressBytes, field(at + addressBytes, addressBytes), addressBytes),
      // A distance counts from the key's word, whose two low bits are flags.
      key: address(at + keyAt, key & ~KEY_FLAGS, keyBytes),
      likely: (key & TYPE_TRUE) !== 0n,
    };
  }
}
