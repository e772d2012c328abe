/** Memory that was declared: sorted tables of ranges that do not overlap within a table. */
import { Context, Declared } from './context';

/** The entry of a table that holds `address`; null when there is none. */
function find(table: u32, count: u32, address: u64): Declared | null {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = changetype<Declared>(<usize>table + <usize>middle * offsetof<Declared>());
    if (address < entry.start) high = middle;
    else if (address >= entry.end) low = middle + 1;
    else return entry;
  }
  return null;
}

/** A slab, compound page or base pages. */
@inline
export function declaredObject(c: Context, address: u64): Declared | null {
  return c.declaredObjectCount ? find(c.declaredObjects, c.declaredObjectCount, address) : null;
}

@inline
export function isDeclaredKmap(c: Context, address: u64): bool {
  return c.declaredKmapCount != 0 && find(c.declaredKmaps, c.declaredKmapCount, address) != null;
}

@inline
export function declaredVmallocArea(c: Context, address: u64): Declared | null {
  return c.declaredVmallocAreaCount ? find(c.declaredVmallocAreas, c.declaredVmallocAreaCount, address) : null;
}

/** Whether `is_vmalloc_addr()` holds by declaration; an area is vmalloc space too. */
@inline
export function isDeclaredVmalloc(c: Context, address: u64): bool {
  return (c.declaredVmallocAreaCount | c.declaredVmallocSpaceCount) != 0 && isInVmallocTables(c, address);
}

function isInVmallocTables(c: Context, address: u64): bool {
  if (declaredVmallocArea(c, address)) return true;
  return (
    c.declaredVmallocSpaceCount != 0 && find(c.declaredVmallocSpaces, c.declaredVmallocSpaceCount, address) != null
  );
}

/**
 * The declared stack that runs: the one that holds the stack pointer, or that it has just left empty. Where it is in
 * none and nothing else says which stack is current, the first one that the copy touches.
 */
export function declaredStack(
  c: Context,
  stackPointer: u64,
  pointer: u64,
  size: u64,
  knowsCurrent: bool,
): Declared | null {
  const running = find(c.declaredStacks, c.declaredStackCount, stackPointer);
  if (running) return running;
  if (stackPointer) {
    const emptied = find(c.declaredStacks, c.declaredStackCount, stackPointer - 1);
    if (emptied) return emptied;
  }
  if (knowsCurrent) return null;
  const last = pointer + (size - 1);
  for (let i: u32 = 0; i < c.declaredStackCount; i++) {
    const entry = changetype<Declared>(<usize>c.declaredStacks + <usize>i * offsetof<Declared>());
    if (pointer < entry.end && last >= entry.start) return entry;
  }
  return null;
}
