/** The vmalloc area that an address lies in, and who asked for it. */

import type { Introspection, VmapAreaSlots } from '../check/parameters.js';
import type { MemoryReader } from '../introspect/memory-reader.js';
import type { Kernel } from '../kernel/kernel.js';

export interface VmapFacts {
  /** With its guard page; first byte and first byte after. */
  readonly start: bigint;
  readonly end: bigint;
  /** Bytes that are mapped; null for an area of vm_map_ram(). */
  readonly size: bigint | null;
  /** Address that vmalloc() was called from. */
  readonly caller: bigint | null;
}

/** A red-black tree of 2^32 areas is 64 deep. */
const MOST_STEPS = 128;
const MOST_NODES = 4096n;

export function vmapFactsOf(
  kernel: Kernel,
  read: MemoryReader,
  { vmap }: Introspection,
  address: bigint,
): VmapFacts | null {
  if (vmap.kind === 'none') return null;
  for (const root of roots(read, vmap)) {
    const area = find(read, vmap.area, root, address);
    if (area) return factsOf(kernel, read, vmap.area, area);
  }
  return null;
}

function* roots(read: MemoryReader, vmap: Exclude<Introspection['vmap'], { kind: 'none' }>): Iterable<bigint> {
  if (vmap.kind === 'tree') {
    yield vmap.root;
    return;
  }
  const nodes = read.word(vmap.nodes);
  const count = read.unsigned(vmap.count, 4) ?? 0n;
  if (nodes === null) return;
  for (let index = 0n; index < count && index < MOST_NODES; index++) {
    yield nodes + index * BigInt(vmap.nodeSize) + BigInt(vmap.busyRoot.offset);
  }
}

/** Address of the vmap_area that covers an address. */
function find(read: MemoryReader, slots: VmapAreaSlots, root: bigint, address: bigint): bigint | null {
  let node = read.word(root);
  for (let steps = 0; node !== null && node !== 0n && steps < MOST_STEPS; steps++) {
    const area: bigint = node - BigInt(slots.rbNode);
    const start = read.slot(area, slots.vaStart);
    const end = read.slot(area, slots.vaEnd);
    if (start === null || end === null) return null;
    if (address >= start && address < end) return area;
    node = read.slot(node, address < start ? slots.rbLeft : slots.rbRight);
  }
  return null;
}

function factsOf(kernel: Kernel, read: MemoryReader, slots: VmapAreaSlots, area: bigint): VmapFacts | null {
  const vm = read.slot(area, slots.vm);
  const type = kernel.types?.hasStruct('vm_struct') ? kernel.types.struct('vm_struct') : null;
  const member = (path: string): bigint | null => (vm && type?.has(path) ? read.member(vm, type, path) : null);
  const [start, end] = [read.slot(area, slots.vaStart), read.slot(area, slots.vaEnd)];
  if (start === null || end === null) return null;
  return {
    start,
    end,
    size: member('size'),
    caller: member('caller'),
  };
}
