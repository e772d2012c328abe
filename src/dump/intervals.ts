/** Intervals that lie on top of each other, cut so that each point belongs to one of them. */

export interface Claim<Address extends number | bigint> {
  /** First byte, and first byte after. */
  readonly start: Address;
  readonly end: Address;
  /** Of several claims the one with the least rank has the bytes. */
  readonly rank: number;
}

export interface OwnedInterval<Address extends number | bigint, C extends Claim<Address>> {
  readonly start: Address;
  readonly end: Address;
  readonly owner: C;
  /** Whether others claim it too. */
  readonly contested: boolean;
}

const ascending = <T extends number | bigint>(left: T, right: T): number => (left < right ? -1 : left > right ? 1 : 0);

/** Disjoint, in order. Takes n log n steps for n claims, however they overlap; empty claims own nothing. */
export function disjointIntervals<Address extends number | bigint, C extends Claim<Address>>(
  claims: readonly C[],
): OwnedInterval<Address, C>[] {
  const byStart = claims.filter(({ start, end }) => start < end).sort((a, b) => ascending(a.start, b.start));
  const ends = byStart.map(({ end }) => end).sort(ascending);
  const points = [...new Set(byStart.flatMap(({ start, end }) => [start, end]))].sort(ascending);
  const result: OwnedInterval<Address, C>[] = [];
  const open: C[] = [];
  let opened = 0;
  let closed = 0;
  for (let index = 0; index + 1 < points.length; index++) {
    const start = points[index]!;
    const end = points[index + 1]!;
    while (opened < byStart.length && byStart[opened]!.start <= start) pushByRank(open, byStart[opened++]!);
    while (closed < ends.length && ends[closed]! <= start) closed++;
    while (open.length > 0 && open[0]!.end <= start) popByRank(open);
    const owner = open[0];
    if (owner !== undefined) result.push({ start, end, owner, contested: opened - closed > 1 });
  }
  return result;
}

/** A binary heap: the claim of the least rank comes first. */
function pushByRank<C extends { readonly rank: number }>(heap: C[], claim: C): void {
  let at = heap.length;
  heap.push(claim);
  while (at > 0) {
    const parent = (at - 1) >>> 1;
    if (heap[parent]!.rank <= claim.rank) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = claim;
}

function popByRank<C extends { readonly rank: number }>(heap: C[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    if (left >= heap.length) break;
    const child = left + 1 < heap.length && heap[left + 1]!.rank < heap[left]!.rank ? left + 1 : left;
    if (heap[child]!.rank >= last.rank) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}
