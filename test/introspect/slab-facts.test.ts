import { describe, expect, it } from 'vitest';
import type { Introspection } from '../../src/check/parameters.js';
import { MemoryReader } from '../../src/introspect/memory-reader.js';
import { slabAt, slabStateGaps } from '../../src/introspect/slab-facts.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { BASE, kernelWith } from './memory.js';

type Members = Record<string, readonly [offset: number, size: number]>;

/** A page of eight objects, the fourth of which is free by the slab's own list, on a machine with two CPUs. */
const SLAB = 0x2000;
const STRIDE = 512;
const HEAD = (SLAB >> 12) * 64;
const CACHE = 0x1000;
const TABLE = 0x1300;
const CPU_IDS = 0x1400;
/** A kmem_cache_cpu is at this offset of each CPU's area. */
const CPU_SLAB = 0x100;
const AREAS = [0x1400, 0x1500];

const COMMON: Members = { name: [0, 8], size: [8, 4], object_size: [12, 4], flags: [16, 4], offset: [20, 4] };
const at = (offset: number): bigint => BASE + BigInt(offset);

interface Changes {
  /** Members of kmem_cache beside the common ones. */
  readonly cache: Members;
  readonly allocator?: 'SLUB' | 'SLAB';
  readonly frozen?: boolean;
  /** The list of the second CPU, which has the slab for itself. */
  readonly cpuList?: bigint;
  /** Offsets of what cannot be read. */
  readonly unreadable?: readonly number[];
}

function kernelOf({ cache, frozen = false, cpuList, unreadable = [] }: Changes): Kernel {
  const bytes = new Uint8Array(0x3000);
  const view = new DataView(bytes.buffer);
  const word = (offset: number, value: bigint) => view.setBigUint64(offset, value, true);
  word(HEAD, 0x200n);
  word(HEAD + 0x18, at(CACHE));
  word(HEAD + 0x20, at(SLAB + 3 * STRIDE));
  view.setUint16(HEAD + 0x28, 8, true);
  view.setUint8(HEAD + 0x2a, frozen ? 1 : 0);
  word(CACHE, at(0x1100));
  bytes.set(Buffer.from('eight\0'), 0x1100);
  view.setUint32(CACHE + 8, STRIDE, true);
  view.setUint32(CACHE + 12, STRIDE, true);
  if (cache['num']) {
    // SLAB's list of indices, the last of which is the slab's own free object.
    view.setUint32(CACHE + 24, 8, true);
    word(HEAD + 0x20, at(0x1180));
    word(HEAD + 0x30, at(SLAB));
    view.setUint32(HEAD + 0x38, 7, true);
    bytes.set([0, 1, 2, 4, 5, 6, 7, 3], 0x1180);
  }
  word(CACHE + 0x20, BigInt(CPU_SLAB));
  for (const [cpu, area] of AREAS.entries()) word(TABLE + 8 * cpu, at(area));
  view.setUint32(CPU_IDS, 2, true);
  if (cpuList !== undefined) {
    word(AREAS[1]! + CPU_SLAB, cpuList);
    word(AREAS[1]! + CPU_SLAB + 8, at(HEAD));
  }
  const slab: Members = { slab_cache: [0x18, 8], freelist: [0x20, 8], objects: [0x28, 2], frozen: [0x2a, 1] };
  const kernel = kernelWith(bytes, {
    structs: {
      slab: { size: 64, members: { ...slab, s_mem: [0x30, 8], active: [0x38, 4] } },
      kmem_cache: { size: 0x80, members: { ...COMMON, ...cache } },
      kmem_cache_cpu: { size: 16, members: { freelist: [0, 8], slab: [8, 8] } },
    },
  });
  const symbols = new Map([
    ['__per_cpu_offset', at(TABLE)],
    ['nr_cpu_ids', at(CPU_IDS)],
  ]);
  return {
    ...kernel,
    symbols: Object.assign(Object.create(kernel.symbols), { address: (name: string) => symbols.get(name) }),
    read: (address, length) =>
      unreadable.some((hole) => at(hole) >= address && at(hole) < address + BigInt(length))
        ? undefined
        : kernel.read(address, length),
  };
}

/** Of the parts that slabs are found by. */
function introspectionOf({ allocator = 'SLUB', cache }: Changes): Introspection {
  const slot = (offset: number, size = 8) => ({ offset, size });
  return {
    pageArray: { kind: 'vmemmap', address: BASE },
    page: {
      ...{ size: 64, flags: slot(0), compoundHead: slot(8), slabCache: slot(0x18) },
      slab: { kind: 'flag', mask: 0x200n },
    },
    slab: {
      ...{ allocator, name: slot(0), size: slot(8, 4), objectSize: slot(12, 4), flags: slot(16, 4) },
      ...{ redLeftPad: null, inuse: null, redZone: 0x400n, objOffset: null },
      num: cache['num'] ? slot(24, 4) : null,
    },
  } as unknown as Introspection;
}

/** The state of each object, and why it is not known. */
function statesOf(changes: Changes) {
  const kernel = kernelOf(changes);
  const pages = { pageShift: 12, physical: (address: bigint) => address - BASE };
  const slab = slabAt(kernel, new MemoryReader(kernel), introspectionOf(changes), pages, at(SLAB + STRIDE));
  if (slab === null || slab === 'no slab') throw new Error('no slab');
  const states = Array.from({ length: slab.objects }, (_, index) => slab.object(index).state);
  return { states, uncertain: slab.uncertain, gaps: slabStateGaps(kernel, introspectionOf(changes)) };
}

const freeAre = (free: readonly number[], other: 'allocated' | null) =>
  Array.from({ length: 8 }, (_, index) => (free.includes(index) ? 'free' : other));
const UNKNOWN = freeAre([], null);

describe('objects of SLUB', () => {
  const cache: Members = { cpu_slab: [0x20, 8] };
  const cpuList = at(SLAB + 5 * STRIDE);

  it('are free by the list of the slab and that of the CPU that owns it', () => {
    expect(statesOf({ cache }).states).toEqual(freeAre([3], 'allocated'));
    expect(statesOf({ cache, frozen: true, cpuList }).states).toEqual(freeAre([3, 5], 'allocated'));
  });

  it.each([
    ['data of a CPU', AREAS[1]! + CPU_SLAB + 8],
    ['list of the CPU', AREAS[1]! + CPU_SLAB],
    ['number of CPUs', CPU_IDS],
    ['first offset of the CPUs', TABLE],
    ['second offset of the CPUs', TABLE + 8],
  ])('are not known where some CPU owns the slab and the %s cannot be read', (_, hole) => {
    expect(statesOf({ cache, frozen: true, cpuList, unreadable: [hole] }).states).toEqual(UNKNOWN);
  });

  it.each([
    ['data of a CPU', AREAS[1]! + CPU_SLAB + 8],
    ['number of CPUs', CPU_IDS],
  ])('are known where no CPU owns the slab, though the %s cannot be read', (_, hole) => {
    expect(statesOf({ cache, unreadable: [hole] }).states).toEqual(freeAre([3], 'allocated'));
  });

  it('may wait in sheaves where it cannot be read whether there are any', () => {
    const sheaves: Members = { cpu_sheaves: [0x28, 8] };
    expect(statesOf({ cache: sheaves })).toMatchObject({ states: freeAre([3], 'allocated'), uncertain: null });
    const { states, uncertain } = statesOf({ cache: sheaves, unreadable: [CACHE + 0x28] });
    expect(states).toEqual(freeAre([3], null));
    expect(uncertain).toMatch(/sheaves/);
  });
});

describe('objects of SLAB', () => {
  it('may wait in arrays of the CPUs, which the state and the gaps say', () => {
    const { states, uncertain, gaps } = statesOf({ allocator: 'SLAB', cache: { num: [24, 4], cpu_cache: [0x30, 8] } });
    expect(states).toEqual(freeAre([3], null));
    expect(uncertain).toMatch(/array_cache/);
    expect(gaps.join()).toMatch(/array_cache/);
  });

  it('are known where there are no such arrays', () => {
    const { states, uncertain, gaps } = statesOf({ allocator: 'SLAB', cache: { num: [24, 4] } });
    expect([states, uncertain, gaps]).toEqual([freeAre([3], 'allocated'), null, []]);
  });
});
