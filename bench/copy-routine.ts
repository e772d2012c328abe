/** The routine of a kernel that copies to the user, and how it is called. */
import { entriesOf } from '../src/attach/plan.js';
import { UsercopyError } from '../src/errors.js';
import type { Guest } from '../src/guest/guest.js';

export interface CopyRoutine {
  readonly symbol: string;
  readonly address: bigint;
  /** Arguments that copy `size` bytes of kernel memory to the guest's user page. */
  arguments(pointer: bigint, size: bigint): readonly bigint[];
}

/** @throws UsercopyError `guest` when the kernel has none. */
export function copyRoutine(guest: Guest): CopyRoutine {
  const routine = findCopyRoutine(guest);
  if (routine !== null) return routine;
  throw new UsercopyError(
    'guest',
    `kernel ${guest.kernel.version.release}: expected a routine that copies to the user, found none`,
  );
}

/** null when the kernel has none: s390x's of 7.2 copies inline. */
export function findCopyRoutine(guest: Guest): CopyRoutine | null {
  const { kernel, variant } = guest;
  const routine = entriesOf(kernel, variant).find(
    ({ direction, userPointer }) =>
      userPointer !== undefined && (direction === 'to_user' || direction === 'by address'),
  );
  if (routine?.userPointer === undefined) return null;
  const { kernelPointer, userPointer, size: sizeAt } = routine;
  return {
    symbol: routine.symbol,
    address: guest.symbol(routine.symbol),
    arguments(pointer, size) {
      const args: bigint[] = [0n, 0n, 0n];
      args[kernelPointer] = pointer;
      args[userPointer] = guest.user.address;
      args[sizeAt] = size;
      return args;
    },
  };
}
