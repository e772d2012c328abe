/** The kernel's structures about memory, one function for each, stored into a guest at random offsets. */
import type { Introspection, PageValidityParameters, VmapAreaSlots } from '../../../src/check/parameters.js';
import { present } from '../../present.js';
import type { GuestBuilder } from './builder.js';
import { type Layout, layOut } from './layout.js';
import type { Random } from './random.js';

/** RAM of an introspected world, in pages. */
export const RAM_PAGES = 96;

/** `reciprocal_value()` of lib/math/reciprocal_div.c, by its definition. */
export function reciprocalOf(divisor: number): { multiplier: bigint; shift1: bigint; shift2: bigint } {
  let length = 0;
  while (divisor > 2 ** length) length++;
  const wide = BigInt(divisor);
  const multiplier = ((1n << 32n) * ((1n << BigInt(length)) - wide)) / wide + 1n;
  return {
    multiplier: multiplier & 0xffff_ffffn,
    shift1: BigInt(Math.min(length, 1)),
    shift2: BigInt(Math.max(length - 1, 0)),
  };
}

interface ValiditySetting {
  readonly ramPhysical: bigint;
  readonly pageShift: number;
  readonly firstFrame: bigint;
  readonly wordBytes: number;
  /** Where the struct page of frame 0 would lie. */
  readonly origin: bigint;
  readonly pageStruct: number;
}

export function validityOf(random: Random, kernel: GuestBuilder, setting: ValiditySetting): PageValidityParameters {
  const { ramPhysical, pageShift, firstFrame, wordBytes } = setting;
  const ramBytes = BigInt(RAM_PAGES) << BigInt(pageShift);
  const kind = random.pick(['sparsemem', 'sparsemem', 'memblock', 'flatmem'] as const);
  if (kind === 'flatmem') {
    const maxMapnr = kernel.allocate(wordBytes);
    const first = random.chance(0.5) ? 0n : firstFrame;
    kernel.storeWord(maxMapnr, firstFrame - first + BigInt(RAM_PAGES));
    return { kind, maxMapnr, firstFrame: first };
  }
  if (kind === 'memblock') {
    const memory = kernel.allocate(4 * wordBytes);
    const region = layOut(random, { base: 8, length: 8, flags: 4 }, 8);
    const cuts = [0n, ramBytes / 4n, ramBytes / 2n, ramBytes];
    const regions = kernel.allocate(region.size * (cuts.length + 1));
    kernel.store(memory, wordBytes, BigInt(cuts.length - 1));
    kernel.storeWord(memory + BigInt(wordBytes), regions);
    for (let i = 0; i + 1 < cuts.length; i++) {
      const base = regions + BigInt(i * region.size);
      const start = present(cuts[i]);
      kernel.storeField(base, region.slots.base, ramPhysical + start);
      kernel.storeField(base, region.slots.length, present(cuts[i + 1]) - start);
      kernel.storeField(base, region.slots.flags, i === 1 && random.chance(0.5) ? 4n : 0n);
    }
    return {
      kind,
      memory,
      count: { offset: 0, size: wordBytes },
      regions: { offset: wordBytes, size: wordBytes },
      region: { size: region.size, base: region.slots.base, length: region.slots.length, flags: region.slots.flags },
      noMap: random.pick([0n, 4n]),
      ...(random.chance(0.3) ? { blockSize: 16n << BigInt(pageShift) } : {}),
    };
  }
  const sectionSizeBits = 24 + random.below(4);
  const physicalAddressBits = wordBytes === 8 ? random.pick([40, 46]) : 32;
  const extreme = wordBytes === 8 && random.chance(0.7);
  const section = layOut(random, { map: wordBytes, usage: wordBytes }, 1, [16, 32]);
  const perRoot = (1 << pageShift) / section.size;
  const first = Number(ramPhysical >> BigInt(sectionSizeBits));
  const last = Number((ramPhysical + ramBytes) >> BigInt(sectionSizeBits));
  const bitmap = random.pick([0, 8]);
  const withUsage = random.chance(0.8);
  let memSection: bigint;
  let sectionAt: (number: number) => bigint;
  if (extreme) {
    memSection = kernel.allocate(wordBytes);
    const rootCount = Math.floor(last / perRoot) + 1;
    const roots = kernel.allocate(wordBytes * (rootCount + 4));
    kernel.storeWord(memSection, roots);
    const root = new Map<number, bigint>();
    sectionAt = (number) => {
      const index = Math.floor(number / perRoot);
      let base = root.get(index);
      if (base === undefined) {
        base = kernel.allocate(section.size * Math.min(perRoot, 300));
        root.set(index, base);
        kernel.storeWord(roots + BigInt(index * wordBytes), base);
      }
      return base + BigInt((number % perRoot) * section.size);
    };
  } else {
    memSection = kernel.allocate(section.size * (last + 8));
    sectionAt = (number) => memSection + BigInt(number * section.size);
  }
  for (let number = first; number <= last; number++) {
    const early = random.chance(0.5);
    const at = sectionAt(number);
    kernel.storeField(at, section.slots.map, setting.origin | 2n | 1n | (early ? 8n : 0n));
    const usage = kernel.allocate(32, 8);
    kernel.storeField(at, section.slots.usage, random.chance(0.9) ? usage : 0n);
    for (let i = 0; i < 16 / wordBytes; i++) {
      kernel.storeWord(usage + BigInt(bitmap + i * wordBytes), random.chance(0.6) ? -1n : random.word());
    }
  }
  return {
    kind,
    memSection,
    extreme,
    sectionSize: section.size,
    sectionMap: section.slots.map,
    usage: withUsage ? { pointer: section.slots.usage, bitmap } : null,
    sectionSizeBits,
    physicalAddressBits,
    hasMemMap: 2n,
    isEarly: 8n,
    mapMask: 0xfn,
  };
}

export function pageArrayOf(
  random: Random,
  kernel: GuestBuilder,
  validity: PageValidityParameters,
  origin: bigint,
  firstStructPage: bigint,
): Introspection['pageArray'] {
  if (validity.kind === 'flatmem') {
    const pointer = kernel.allocate(8);
    kernel.storeWord(pointer, validity.firstFrame === 0n ? origin : firstStructPage);
    return { kind: 'mem_map', pointer };
  }
  /* The flags share the low bits of section_mem_map, so the map itself must be aligned. */
  if (validity.kind === 'sparsemem' && (origin & validity.mapMask) === 0n && random.chance(0.4)) {
    return { kind: 'section map' };
  }
  return { kind: 'vmemmap', address: origin };
}

interface KfenceSetting {
  readonly ram: bigint;
  readonly pageBytes: number;
  readonly wordBytes: number;
  readonly boundaries: bigint[];
  /** Makes the page of that index of RAM a slab page whose object starts at `start`. */
  mark(index: number, start: bigint, objectBytes: number): void;
}

/** A pool of four objects in the last pages of RAM: every second page carries one, shifted to an edge of its page. */
export function kfencePool(random: Random, kernel: GuestBuilder, setting: KfenceSetting): Introspection['kfence'] {
  const objects = 4;
  const pages = 2 * (objects + 1);
  const firstPage = RAM_PAGES - pages;
  const start = setting.ram + BigInt(firstPage * setting.pageBytes);
  const metadata = layOut(random, { address: setting.wordBytes }, 8);
  const array = kernel.allocate(metadata.size * objects, 8);
  for (let i = 0; i < objects; i++) {
    const page = start + BigInt((2 + 2 * i) * setting.pageBytes);
    const object = page + BigInt(random.pick([0, setting.pageBytes - 200]));
    kernel.storeField(array + BigInt(i * metadata.size), metadata.slots.address, object);
    setting.boundaries.push(page, object, object + 200n, page + BigInt(setting.pageBytes));
    setting.mark(firstPage + 2 + 2 * i, page, 200);
  }
  const indirect = random.chance(0.5);
  const pool = kernel.allocate(setting.wordBytes);
  kernel.storeWord(pool, random.chance(0.9) ? start : 0n);
  const pointer = kernel.allocate(setting.wordBytes);
  kernel.storeWord(pointer, array);
  return {
    pool,
    poolSize: BigInt(pages * setting.pageBytes),
    metadata: indirect ? pointer : array,
    indirect,
    metadataSize: metadata.size,
    objectAddress: metadata.slots.address,
  };
}

interface VmapSetting {
  readonly layout: Layout;
  readonly pageSize: bigint;
  readonly wordBytes: number;
  readonly boundaries: bigint[];
}

export function vmapOf(random: Random, kernel: GuestBuilder, setting: VmapSetting): Introspection['vmap'] {
  const { layout, pageSize, wordBytes, boundaries } = setting;
  if (random.chance(0.05)) return { kind: 'none' };
  const node = layOut(random, { left: wordBytes, right: wordBytes }, 1);
  const area = layOut(random, { start: wordBytes, end: wordBytes, vm: wordBytes, node: node.size }, 8);
  const vm = layOut(random, { size: wordBytes, flags: wordBytes }, 8);
  const slots: VmapAreaSlots = {
    vaStart: area.slots.start,
    vaEnd: area.slots.end,
    rbNode: area.slots.node.offset,
    rbLeft: node.slots.left,
    rbRight: node.slots.right,
    vm: area.slots.vm,
    vmSize: vm.slots.size,
    vmFlags: vm.slots.flags,
    noGuard: 0x40n,
  };
  interface Area {
    readonly start: bigint;
    readonly address: bigint;
  }
  const areas: Area[] = [];
  let next = layout.vmalloc + BigInt(random.below(4)) * pageSize;
  for (let i = 0; i < 12; i++) {
    const pages = BigInt(random.between(1, 6));
    const end = next + pages * pageSize;
    const address = kernel.allocate(area.size, wordBytes);
    kernel.storeField(address, slots.vaStart, next);
    kernel.storeField(address, slots.vaEnd, end);
    if (random.chance(0.85)) {
      const structure = kernel.allocate(vm.size, wordBytes);
      kernel.storeField(structure, slots.vmSize, end - next);
      kernel.storeField(structure, slots.vmFlags, random.pick([2n, 0x42n]));
      kernel.storeField(address, slots.vm, structure);
    }
    areas.push({ start: next, address });
    boundaries.push(next, end - pageSize, end);
    next = end + BigInt(random.pick([0, 0, 1, 3])) * pageSize;
  }
  const plant = (from: readonly Area[]): bigint => {
    if (from.length === 0) return 0n;
    const middle = random.below(from.length);
    const top = present(from[middle]);
    const rbNode = top.address + BigInt(slots.rbNode);
    kernel.storeField(rbNode, slots.rbLeft, plant(from.slice(0, middle)));
    kernel.storeField(rbNode, slots.rbRight, plant(from.slice(middle + 1)));
    return rbNode;
  };
  if (random.chance(0.5)) {
    const root = kernel.allocate(wordBytes);
    kernel.storeWord(root, plant(areas));
    return { kind: 'tree', root, area: slots };
  }
  const count = random.between(1, 4);
  const zoneSize = pageSize * BigInt(random.pick([1, 4, 16]));
  const vmapNode = layOut(random, { root: wordBytes }, 16);
  const array = kernel.allocate(vmapNode.size * count, 8);
  for (let i = 0; i < count; i++) {
    const own = areas.filter(({ start }) => Number((start / zoneSize) % BigInt(count)) === i);
    kernel.storeField(array + BigInt(i * vmapNode.size), vmapNode.slots.root, plant(own));
  }
  const nodes = kernel.allocate(wordBytes);
  const countAt = kernel.allocate(4, 4);
  const zoneAt = kernel.allocate(4, 4);
  kernel.storeWord(nodes, array);
  kernel.store(countAt, 4, BigInt(count));
  kernel.store(zoneAt, 4, zoneSize);
  return {
    kind: 'nodes',
    nodes,
    count: countAt,
    zoneSize: zoneAt,
    nodeSize: vmapNode.size,
    busyRoot: vmapNode.slots.root,
    area: slots,
  };
}
