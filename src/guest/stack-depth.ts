/**
 * How much stack the kernel's own check uses before it looks at the stack pointer. The kernel compares with the stack
 * pointer inside check_stack_object() and prints the one inside __check_object_size(); at the entry point it is higher.
 * Both differences are learnt by asking the kernel's own code about bytes of the stack.
 */

import { requireTypes } from '../kernel/require-types.js';
import { entryPointOf } from '../stack/entry-point.js';
import type { Guest } from './guest.js';

export interface StackDepth {
  /** Bytes between sp at the entry of __check_object_size and sp inside check_stack_object(). */
  readonly check: bigint;
  /** Bytes between sp at the entry and sp inside __check_object_size(), as printed. */
  readonly print: bigint;
}

/** More than any frame of the check. */
const DEEPEST = 4096n;
/** usercopy_abort(name, detail, to_user, offset, len) */
const OFFSET_ARGUMENT = 3;

/**
 * Runs the kernel's `__check_object_size` a dozen times on bytes of the current stack. Gives null where the kernel has no
 * such rule (before 5.18, or no ARCH_HAS_CURRENT_STACK_POINTER): it then accepts all of the stack.
 * The guest's registers change; its memory changes only below the stack pointer.
 */
export async function measureStackDepth(guest: Guest): Promise<StackDepth | null> {
  const { symbols } = guest.kernel;
  const abort = entryPointOf(guest.kernel, guest.variant, 'usercopy_abort');
  if (abort === undefined || symbols.address('__check_object_size') === undefined) return null;
  requireTypes(guest.kernel, 'depth of the stack');
  const { bits } = guest.variant;
  let printed = 0n;
  const hook = guest.engine.hookAddress(abort, () => {
    printed = guest.argument(OFFSET_ARGUMENT);
    guest.engine.stop();
  });
  try {
    const entry = guest.stackPointerAtEntry;
    const isBad = async (pointer: bigint): Promise<boolean> => {
      const outcome = await guest.call('__check_object_size', [pointer, 1n, 1n]);
      return outcome.kind !== 'returned';
    };
    let bad = entry - DEEPEST;
    let good = entry;
    if (!(await isBad(bad))) return null;
    const print = BigInt.asUintN(bits, entry - (printed + bad));
    while (good - bad > 1n) {
      const middle = (good + bad) / 2n;
      if (await isBad(middle)) bad = middle;
      else good = middle;
    }
    return { check: entry - good, print };
  } finally {
    hook.remove();
  }
}
