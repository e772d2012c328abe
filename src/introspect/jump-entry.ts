/** `struct jump_entry`: where a branch on a static key lies, where it leads, and which key it asks. */
import type { StaticBranch } from '../../arch/driver.js';
import type { Kernel } from '../kernel/kernel.js';

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
