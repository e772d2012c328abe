/** Memory that was declared: sorted tables of ranges that do not overlap within a table. */
import { Context, Declared } from './context';

/** Ranges are seldom shorter than this: addresses of one share a hint. */
const HINT_GRAIN: u32 = 12;
/** 2^32 by the golden ratio: neighbours spread over all hints. */
const HINT_FACTOR: u32 = 0x9e3779b1;

/** The entry of a table that holds `address`; null when there is none. Nothing of the table lies outside `span` bytes from `start` on. */
@inline
function find(c: Context, start: u64, span: u64, table: u32, count: u32, hints: u32, address: u64): Declared | null {
  if (address - start >= span) return null;
  const hint = <usize>(hints + (((<u32>(address >> HINT_GRAIN) * HINT_FACTOR) >>> c.declaredHintShift) << 2));
  const at = load<u32>(hint);
  const bytes = count * <u32>offsetof<Declared>();
  if (at - table < bytes) {
    const entry = changetype<Declared>(<usize>at);
    if (address >= entry.start) {
      if (address < entry.end) return entry;
      const next = at + <u32>offsetof<Declared>();
      if (next - table == bytes || address < changetype<Declared>(<usize>next).start) return null;
    }
  }
  return search(table, count, hint, address);
}

/** The same without a hint that is right; leaves the one that would have been. */
function search(table: u32, count: u32, hint: usize, address: u64): Declared | null {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = changetype<Declared>(<usize>table + <usize>middle * offsetof<Declared>());
    if (address < entry.start) high = middle;
    else low = middle + 1;
  }
  if (!low) return null;
  const at = table + (low - 1) * <u32>offsetof<Declared>();
  store<u32>(hint, at);
  const entry = changetype<Declared>(<usize>at);
  return address < entry.end ? entry : null;
}

/** A slab, compound page or base pages. */
@inline
export function declaredObject(c: Context, address: u64): Declared | null {
  return find(
    c,
    c.declaredObjectStart,
    c.declaredObjectSpan,
    c.declaredObjects,
    c.declaredObjectCount,
    c.declaredObjectHints,
    address,
  );
}

export function isDeclaredKmap(c: Context, address: u64): bool {
  return (
    find(
      c,
      c.declaredKmapStart,
      c.declaredKmapSpan,
      c.declaredKmaps,
      c.declaredKmapCount,
      c.declaredKmapHints,
      address,
    ) != null
  );
}

@inline
export function declaredVmallocArea(c: Context, address: u64): Declared | null {
  return find(
    c,
    c.declaredVmallocAreaStart,
    c.declaredVmallocAreaSpan,
    c.declaredVmallocAreas,
    c.declaredVmallocAreaCount,
    c.declaredVmallocAreaHints,
    address,
  );
}

@inline
export function isInDeclaredVmallocSpace(c: Context, address: u64): bool {
  return address - c.declaredVmallocSpaceStart < c.declaredVmallocSpaceSpan && isInVmallocSpaces(c, address);
}

function isInVmallocSpaces(c: Context, address: u64): bool {
  return (
    find(
      c,
      c.declaredVmallocSpaceStart,
      c.declaredVmallocSpaceSpan,
      c.declaredVmallocSpaces,
      c.declaredVmallocSpaceCount,
      c.declaredVmallocSpaceHints,
      address,
    ) != null
  );
}

@inline
function stackOf(c: Context, address: u64): Declared | null {
  return find(
    c,
    c.declaredStackStart,
    c.declaredStackSpan,
    c.declaredStacks,
    c.declaredStackCount,
    c.declaredStackHints,
    address,
  );
}

/**
 * The declared stack that runs: the one that holds the stack pointer, or that it has just left empty. Where it is in
 * none and nothing else says which stack is current, the first one that the copy touches.
 */
@inline
export function declaredStack(
  c: Context,
  stackPointer: u64,
  pointer: u64,
  size: u64,
  knowsCurrent: bool,
): Declared | null {
  const running = stackOf(c, stackPointer);
  return running ? running : stackElsewhere(c, stackPointer, pointer, size, knowsCurrent);
}

function stackElsewhere(c: Context, stackPointer: u64, pointer: u64, size: u64, knowsCurrent: bool): Declared | null {
  if (stackPointer) {
    const emptied = stackOf(c, stackPointer - 1);
    if (emptied) return emptied;
  }
  if (knowsCurrent) return null;
  return firstTouched(c, pointer, pointer + (size - 1));
}

/** The first of the declared stacks, in the order of their addresses, that a copy of the bytes from `first` to `last` touches. */
function firstTouched(c: Context, first: u64, last: u64): Declared | null {
  let low: u32 = 0;
  let high = c.declaredStackCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (first < stackAt(c, middle).end) high = middle;
    else low = middle + 1;
  }
  if (low == c.declaredStackCount) return null;
  const entry = stackAt(c, low);
  return last >= entry.start ? entry : null;
}

function stackAt(c: Context, index: u32): Declared {
  return changetype<Declared>(<usize>c.declaredStacks + <usize>index * offsetof<Declared>());
}
