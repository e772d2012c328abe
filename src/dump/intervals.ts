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

/** Whether intervals that are sorted by their starts share nothing. */
export function lieApart<Address extends number | bigint>(
  sorted: readonly { readonly start: Address; readonly end: Address }[],
): boolean {
  let before: Address | null = null;
  for (const { start, end } of sorted) {
    if (before !== null && start < before) return false;
    before = end;
  }
  return true;
}

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
  for (const [index, start] of points.entries()) {
    const end = points[index + 1];
    if (end === undefined) break;
    for (let next = byStart[opened]; next !== undefined && next.start <= start; next = byStart[++opened]) {
      pushByRank(open, next);
    }
    for (let next = ends[closed]; next !== undefined && next <= start; ) next = ends[++closed];
    let [owner] = open;
    while (owner !== undefined && owner.end <= start) {
      popByRank(open);
      [owner] = open;
    }
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
    const above = heap[parent];
    if (above === undefined || above.rank <= claim.rank) break;
    heap[at] = above;
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
    const [one, other] = [heap[left], heap[left + 1]];
    if (one === undefined) break;
    const [child, below] = other !== undefined && other.rank < one.rank ? [left + 1, other] : [left, one];
    if (below.rank >= last.rank) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
}
