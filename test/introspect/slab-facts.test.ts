import { describe, expect, it } from 'vitest';
import type { MemoryLayout } from '../../arch/driver.js';
import { sanitizerNotes } from '../../src/attach/sanitizers.js';
import { Check } from '../../src/check/check.js';
import { UNKNOWN_STATES } from '../../src/check/look.js';
import type { CheckParameters, Introspection } from '../../src/check/parameters.js';
import { profileSwitches } from '../../src/check/profiles.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { slabLists } from '../../src/introspect/slab.js';
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
const MAX_MAPNR = 0x1f00;
/** With metadata: bytes of an object, and of a struct track, of which there are two before what was asked for. */
const INUSE = 128;
const TRACK = 32;
/** KFENCE: the word that leads to the pool, the pool, whose second pair of pages has the first object, and its record. */
const POOL_POINTER = 0x1f10;
const POOL = 0x100000;
const RECORD = 0x1f40;
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
  /** Flags of the cache, what an object's metadata say was asked for, and the version that reads it. */
  readonly flags?: number;
  readonly asked?: readonly [index: number, bytes: number];
  readonly minor?: number;
  /** State, first byte and bytes of the record of the pool's first object. */
  readonly kfence?: readonly [state: number, start: bigint, bytes: number];
  /** Offsets of what cannot be read. */
  readonly unreadable?: readonly number[];
}

function kernelOf(changes: Changes): Kernel {
  const { cache, frozen = false, cpuList, flags = 0, asked, minor = 0, kfence, unreadable = [] } = changes;
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
  view.setUint32(CACHE + 16, flags, true);
  view.setUint32(CACHE + 0x38, INUSE, true);
  if (flags !== 0) view.setUint32(CACHE + 12, INUSE, true);
  if (asked !== undefined) {
    const [index, count] = asked;
    view.setUint32(SLAB + index * STRIDE + INUSE + 2 * TRACK, count, true);
  }
  word(POOL_POINTER, at(POOL));
  if (kfence !== undefined) {
    const [state, start, count] = kfence;
    view.setUint32(RECORD, state, true);
    word(RECORD + 8, start);
    word(RECORD + 16, BigInt(count));
    word(RECORD + 24, at(CACHE));
  }
  for (const [cpu, area] of AREAS.entries()) word(TABLE + 8 * cpu, at(area));
  view.setUint32(CPU_IDS, 2, true);
  word(MAX_MAPNR, 3n);
  if (cpuList !== undefined) {
    word(AREAS[1]! + CPU_SLAB, cpuList);
    word(AREAS[1]! + CPU_SLAB + 8, at(HEAD));
  }
  const slab: Members = { slab_cache: [0x18, 8], freelist: [0x20, 8], objects: [0x28, 2], frozen: [0x2a, 1] };
  const kernel = kernelWith(bytes, {
    structs: {
      slab: { size: 64, members: { ...slab, s_mem: [0x30, 8], active: [0x38, 4] } },
      kmem_cache: { size: 0x80, members: { ...COMMON, ...cache } },
      track: { size: TRACK, members: {} },
      kfence_metadata: { size: 32, members: { state: [0, 4], addr: [8, 8], size: [16, 8], cache: [24, 8] } },
      kmem_cache_cpu: { size: 16, members: { freelist: [0, 8], slab: [8, 8] } },
    },
  });
  const symbols = new Map([
    ['__per_cpu_offset', at(TABLE)],
    ['nr_cpu_ids', at(CPU_IDS)],
  ]);
  const get = (name: string) => {
    const address = symbols.get(name);
    return address === undefined ? undefined : { name, address, size: 16n, type: 'D' };
  };
  const version = { banner: 'Linux version 6.', release: `6.${minor}`, major: 6, minor, patch: 0 };
  const states: ReadonlyMap<string, bigint> = new Map([
    ['KFENCE_OBJECT_ALLOCATED', 1n],
    ['KFENCE_OBJECT_FREED', 3n],
  ]);
  const types = { ...kernel.types!, enumerator: (name: string) => states.get(name) };
  return {
    ...kernel,
    version,
    types: Object.assign(Object.create(kernel.types), types),
    symbols: Object.assign(Object.create(kernel.symbols), { get, address: (name: string) => symbols.get(name) }),
    read: (address, length) =>
      unreadable.some((hole) => at(hole) >= address && at(hole) < address + BigInt(length))
        ? undefined
        : kernel.read(address, length),
  };
}

const PAGE_SHIFT = 12;

/** Of the parts that slabs are found by. */
function introspectionOf(kernel: Kernel, { allocator = 'SLUB', cache }: Changes): Introspection {
  const slot = (offset: number, size = 8) => ({ offset, size });
  const none = { start: 0n, end: 0n };
  return {
    linearMaps: [{ virtual: BASE, size: 0x3000n, physical: 0n }],
    ...{ vmalloc: none, modules: none, kmap: [], vmap: { kind: 'none' } },
    kfence: {
      ...{ pool: at(POOL_POINTER), poolSize: 0x8000n, metadata: at(RECORD), indirect: false },
      ...{ metadataSize: 32, objectAddress: slot(8) },
    },
    ...{ pagefaultDisabled: null, bypassKey: null },
    pageValidity: { kind: 'flatmem', maxMapnr: at(MAX_MAPNR), firstFrame: 0n },
    pageArray: { kind: 'vmemmap', address: BASE },
    page: {
      ...{ size: 64, flags: slot(0), compoundHead: slot(8), headMask: 0x10000n, reservedMask: 0x400n },
      ...{ order: slot(0x50, 1), orderMask: 0xffn, slabCache: slot(0x18), sMem: slot(0x30) },
      slab: { kind: 'flag', mask: 0x200n },
    },
    slab: {
      ...{ allocator, name: slot(0), size: slot(8, 4), objectSize: slot(12, 4), flags: slot(16, 4) },
      ...{
        useroffset: null,
        usersize: null,
        redLeftPad: null,
        inuse: slot(0x38, 4),
        objOffset: null,
        debugEnabled: null,
      },
      ...{ redZone: 0x400n, poison: 0n, storeUser: 0n, typesafeByRcu: 0n, reciprocal: { offset: 0x40 } },
      num: cache['num'] ? slot(24, 4) : null,
    },
    lists: slabLists(kernel, kernel.types!, { pageShift: PAGE_SHIFT } as MemoryLayout),
  };
}

/** A check of such a kernel. */
async function open(changes: Changes): Promise<{ readonly check: Check; readonly parameters: CheckParameters }> {
  const kernel = kernelOf(changes);
  const check = await Check.create({ source: builtCheck, guestBytes: 0 });
  const introspection = introspectionOf(kernel, changes);
  const parameters: CheckParameters = {
    ...{ bits: 64, endian: 'little', pageShift: PAGE_SHIFT, switches: profileSwitches('6.1') },
    ...{ text: null, linearText: null, rodata: null, data: null, bss: null, taskSize: 0x1000n },
    stack: {
      ...{ threadSize: 0x4000n, current: { kind: 'declared' }, depthOfCheck: 0n, depthOfPrint: 0n, frames: null },
    },
    introspection,
  };
  check.configure(parameters);
  check.foreignReader = (address, length) => kernel.read(address, length);
  return { check, parameters };
}

/** The state of each object, and why it is not known. */
async function statesOf(changes: Changes) {
  const { check, parameters } = await open(changes);
  const looks = Array.from({ length: 8 }, (_, index) => check.lookAt(at(SLAB + index * STRIDE)));
  const states = looks.map(({ result }) =>
    result === 'freed' ? 'free' : result === 'allocated' ? 'allocated' : result === 'unknown' ? null : result,
  );
  const unknown = looks.find((look) => look.unknown !== null)?.unknown ?? null;
  const gaps = sanitizerNotes({ parameters } as Parameters<typeof sanitizerNotes>[0], []);
  check.close();
  return { states, uncertain: unknown && UNKNOWN_STATES[unknown], gaps };
}

const freeAre = (free: readonly number[], other: 'allocated' | null) =>
  Array.from({ length: 8 }, (_, index) => (free.includes(index) ? 'free' : other));
const UNKNOWN = freeAre([], null);

describe('objects of SLUB', () => {
  const cache: Members = { cpu_slab: [0x20, 8] };
  const cpuList = at(SLAB + 5 * STRIDE);

  it('are free by the list of the slab and that of the CPU that owns it', async () => {
    expect((await statesOf({ cache })).states).toEqual(freeAre([3], 'allocated'));
    expect((await statesOf({ cache, frozen: true, cpuList })).states).toEqual(freeAre([3, 5], 'allocated'));
  });

  it.each([
    ['data of a CPU', AREAS[1]! + CPU_SLAB + 8],
    ['list of the CPU', AREAS[1]! + CPU_SLAB],
    ['number of CPUs', CPU_IDS],
    ['first offset of the CPUs', TABLE],
    ['second offset of the CPUs', TABLE + 8],
  ])('are not known where some CPU owns the slab and the %s cannot be read', async (_, hole) => {
    expect((await statesOf({ cache, frozen: true, cpuList, unreadable: [hole] })).states).toEqual(UNKNOWN);
  });

  it.each([
    ['data of a CPU', AREAS[1]! + CPU_SLAB + 8],
    ['number of CPUs', CPU_IDS],
  ])('are known where no CPU owns the slab, though the %s cannot be read', async (_, hole) => {
    expect((await statesOf({ cache, unreadable: [hole] })).states).toEqual(freeAre([3], 'allocated'));
  });

  it('may wait in sheaves where it cannot be read whether there are any', async () => {
    const sheaves: Members = { cpu_sheaves: [0x28, 8] };
    expect(await statesOf({ cache: sheaves })).toMatchObject({ states: freeAre([3], 'allocated'), uncertain: null });
    const { states, uncertain } = await statesOf({ cache: sheaves, unreadable: [CACHE + 0x28] });
    expect(states).toEqual(freeAre([3], null));
    expect(uncertain).toMatch(/sheaves/);
  });
});

describe('objects of SLAB', () => {
  it('may wait in arrays of the CPUs, which the state and the gaps say', async () => {
    const { states, uncertain, gaps } = await statesOf({
      allocator: 'SLAB',
      cache: { num: [24, 4], cpu_cache: [0x30, 8] },
    });
    expect(states).toEqual(freeAre([3], null));
    expect(uncertain).toMatch(/array_cache/);
    expect(gaps.join()).toMatch(/array_cache/);
  });

  it('are known where there are no such arrays', async () => {
    const { states, uncertain, gaps } = await statesOf({ allocator: 'SLAB', cache: { num: [24, 4] } });
    expect([states, uncertain, gaps]).toEqual([freeAre([3], 'allocated'), null, []]);
  });
});

describe('an object whose metadata tell what was asked for', () => {
  const cache: Members = { cpu_slab: [0x20, 8], inuse: [0x38, 4] };
  const SLAB_KMALLOC = 0x1000;
  const SLAB_STORE_USER = 0x10000;
  const at3 = at(SLAB + 2 * STRIDE);
  const lookAt = async (changes: Partial<Changes>, offset: bigint) => {
    const { check } = await open({
      cache,
      asked: [2, 65],
      minor: 1,
      flags: SLAB_KMALLOC | SLAB_STORE_USER,
      ...changes,
    });
    const { result, object, redZone } = check.lookAt(at3 + offset);
    check.close();
    return { result, size: object && object.end - object.start, redZone };
  };

  it('ends there: what lies behind it is red zone', async () => {
    expect(await lookAt({}, 64n)).toMatchObject({ result: 'allocated', redZone: null });
    const redZone = { start: at3 + 65n, end: at3 + BigInt(INUSE) };
    expect(await lookAt({}, 65n)).toEqual({ result: 'red zone', size: 65n, redZone });
    expect(await lookAt({}, BigInt(INUSE) - 1n)).toMatchObject({ result: 'red zone' });
  });

  it.each([
    ['another cache than of kmalloc()', { flags: SLAB_STORE_USER }],
    ['a cache without tracks', { flags: SLAB_KMALLOC }],
    ['a kernel before 6.1', { minor: 0 }],
    ['a size that no object has', { asked: [2, 4096] as const }],
    ['no size at all', { asked: [2, 0] as const }],
  ])('is the whole object with %s', async (_, changes) => {
    expect(await lookAt(changes, 100n)).toMatchObject({ result: 'allocated', redZone: null });
  });
});

describe('an object of the KFENCE pool', () => {
  const PAGE = at(POOL + 0x2000);
  const start = PAGE + 4096n - 72n;
  const lookAt = async (state: number, address: bigint, first = start) => {
    const { check } = await open({ cache: {}, kfence: [state, first, 72] });
    const { result, unknown, object, redZone } = check.lookAt(address);
    check.close();
    return { result, unknown, start: object?.start ?? null, redZone };
  };

  it('is in use or free by its record', async () => {
    expect(await lookAt(1, start)).toEqual({ result: 'allocated', unknown: null, start, redZone: null });
    expect(await lookAt(3, start)).toEqual({ result: 'freed', unknown: null, start, redZone: null });
  });

  it('has the rest of its page for a red zone', async () => {
    const redZone = { start: PAGE, end: start };
    expect(await lookAt(1, start - 1n)).toEqual({ result: 'red zone', unknown: null, start, redZone });
  });

  it("is not known where it waits for a grace period, or its record is no object's", async () => {
    expect(await lookAt(2, start)).toMatchObject({ result: 'unknown', unknown: 'of kfence' });
    expect(await lookAt(0, start, 0n)).toMatchObject({ result: 'unknown', unknown: 'of kfence' });
    expect(await lookAt(1, at(POOL))).toMatchObject({ result: 'unknown', unknown: 'of kfence' });
  });
});
