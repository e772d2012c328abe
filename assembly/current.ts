/** The running task. */
import { Context, CurrentKind, Kind, Request } from './context';
import { readSlot, readWordHere } from './memory';

/** Address of `current`; 0 where it is not known. */
@inline
export function currentTask(c: Context, request: Request): u64 {
  const base = request.currentBase & c.wordMask;
  switch (c.currentKind) {
    case CurrentKind.REGISTER:
      return base;
    case CurrentKind.MEMORY:
      return readWordHere(c, Kind.PER_CPU, (base + c.currentOffset) & c.wordMask);
    default:
      return 0;
  }
}

/** pagefault_disabled() */
export function pagefaultDisabled(c: Context, request: Request): bool {
  if (!c.pagefaultDisabled) return false;
  const task = currentTask(c, request);
  return task != 0 && readSlot(c, Kind.TASK, task, c.pagefaultDisabled) != 0;
}
