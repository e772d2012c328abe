/**
 * How much stack the kernel's own check uses before it looks at the stack pointer. The kernel compares with the stack
 * pointer inside check_stack_object() and prints the one inside __check_object_size(); at the entry point it is higher.
 * Both differences are learnt by asking the kernel's own code about bytes of the stack.
 */

import type { Variant } from '../../arch/driver.js';
import type { Engine } from '../engine/engine.js';
import type { Kernel } from '../kernel/kernel.js';
import { requireTypes } from '../kernel/require-types.js';
import { aGuest, requireValue } from '../options.js';
import { entryPointOf } from './entry-point.js';

export interface StackDepth {
  /** Bytes between sp at the entry of __check_object_size and sp inside check_stack_object(). */
  readonly check: bigint;
  /** Bytes between sp at the entry and sp inside __check_object_size(), as printed. */
  readonly print: bigint;
}

/** What the measuring needs of a guest: one whose kernel can be called on the stack of a current task. */
export interface DepthGuest {
  readonly kernel: Kernel;
  readonly variant: Variant;
  readonly engine: Pick<Engine, 'hookAddress' | 'stop'>;
  /** The stack pointer that a called function sees at its first instruction, as an address. */
  readonly stackPointerAtEntry: bigint;
  /** Argument of the function at whose first instruction the guest stands. */
  argument(index: number): bigint;
  /** Calls a function at `stackPointerAtEntry`. @throws UsercopyError `guest` when it faults or does not end. */
  call(symbol: string, args: readonly bigint[]): Promise<unknown>;
}

/** More than the frames of the check together. */
const DEEPEST = 4096n;
/** usercopy_abort(name, detail, to_user, offset, len), afcc90f8621e (4.16) */
const OFFSET_ARGUMENT = 3;

/**
 * Runs the kernel's `__check_object_size` a dozen times on bytes of the current stack. Gives null where the kernel has no
 * such rule (before 5.18, or no ARCH_HAS_CURRENT_STACK_POINTER): it then accepts all of the stack.
 * The guest's registers change; its memory changes only below the stack pointer.
 * @throws UsercopyError `bad-input` without the types that lead to the stack, `guest` when the check's code runs into
 *   something unexpected.
 */
export async function measureStackDepth(guest: DepthGuest): Promise<StackDepth | null> {
  requireValue('measureStackDepth: guest', guest, aGuest);
  const { kernel, variant, engine } = guest;
  const abort = entryPointOf(kernel, variant, 'usercopy_abort');
  if (abort === undefined || kernel.symbols.address('__check_object_size') === undefined) return null;
  requireTypes(kernel, 'depth of the stack');
  let printed: bigint | null = null;
  const hook = engine.hookAddress(abort, () => {
    printed = guest.argument(OFFSET_ARGUMENT);
    engine.stop();
  });
  /**
   * What the check prints as offset for one byte at `pointer`; null when it does not object, or refuses without an offset
   * as it did before usercopy_abort(): not for the stack pointer then.
   */
  const offsetOf = async (pointer: bigint): Promise<bigint | null> => {
    printed = null;
    await guest.call('__check_object_size', [pointer, 1n, 1n]);
    return printed;
  };
  try {
    const entry = guest.stackPointerAtEntry;
    const deepest = entry - DEEPEST;
    const offset = await offsetOf(deepest);
    if (offset === null) return null;
    const print = BigInt.asUintN(variant.bits, entry - deepest - offset);
    // With frame checks no byte is judged by the stack pointer.
    if ((await offsetOf(entry)) !== null) return { check: print, print };
    let bad = deepest;
    let good = entry;
    while (good - bad > 1n) {
      const middle = (good + bad) / 2n;
      if ((await offsetOf(middle)) !== null) bad = middle;
      else good = middle;
    }
    return { check: entry - good, print };
  } finally {
    hook.remove();
  }
}
