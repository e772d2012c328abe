import { describe, expect, it } from 'vitest';
import type { MemoryLayout } from '../../arch/driver.js';
import type { Plan } from '../../src/attach/plan.js';
import { sanitizerNotes } from '../../src/attach/sanitizers.js';
import { Check } from '../../src/check/check.js';
import { UNKNOWN_STATES } from '../../src/check/look.js';
import type { CheckParameters, Introspection } from '../../src/check/parameters.js';
import { profileSwitches } from '../../src/check/profiles.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { MemoryReader } from '../../src/introspect/memory-reader.js';
import { slabLists } from '../../src/introspect/slab.js';
import { slabFactsOf } from '../../src/introspect/slab-facts.js';
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
const SLAB_RED_ZONE = 0x400;
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
  readonly asked?: readonly [index: number, bytes: number, width?: 4 | 8];
  readonly major?: number;
  readonly minor?: number;
  readonly endian?: 'little' | 'big';
  /** Bytes of red zone before each object, in a cache with SLAB_RED_ZONE. */
  readonly redLeftPad?: number;
  /** SLAB: all objects are in use, and the list lay in one of them. */
  readonly isFull?: boolean;
  /** Two members of the kmem_cache. */
  readonly cpuSheaves?: bigint;
  readonly sheafCapacity?: number;
  /** State, first byte and bytes of the record of the pool's first object. */
  readonly kfence?: readonly [state: number, start: bigint, bytes: number];
  /** Offsets of what cannot be read. */
  readonly unreadable?: readonly number[];
}

function kernelOf(changes: Changes): Kernel {
  const { cache, frozen = false, cpuList, flags = 0, asked, kfence, unreadable = [] } = changes;
  const { major = 6, minor = 0, endian = 'little', redLeftPad = 0, isFull = false } = changes;
  const isLittle = endian === 'little';
  const bytes = new Uint8Array(0x3000);
  const view = new DataView(bytes.buffer);
  const word = (offset: number, value: bigint) => view.setBigUint64(offset, value, isLittle);
  word(HEAD, 0x200n);
  word(HEAD + 0x18, at(CACHE));
  word(HEAD + 0x20, at(SLAB + 3 * STRIDE + redLeftPad));
  view.setUint32(CACHE + 0x3c, redLeftPad, isLittle);
  // Two caches of one shape share it.
  view.setUint32(CACHE + 0x40, 2, isLittle);
  word(CACHE + 0x28, changes.cpuSheaves ?? 0n);
  view.setUint32(CACHE + 0x30, changes.sheafCapacity ?? 0, isLittle);
  view.setUint16(HEAD + 0x28, 8, isLittle);
  view.setUint8(HEAD + 0x2a, frozen ? 1 : 0);
  word(CACHE, at(0x1100));
  bytes.set(Buffer.from('eight\0'), 0x1100);
  view.setUint32(CACHE + 8, STRIDE, isLittle);
  view.setUint32(CACHE + 12, STRIDE, isLittle);
  if (cache['num']) {
    // SLAB's list of indices, the last of which is the slab's own free object.
    view.setUint32(CACHE + 24, 8, isLittle);
    word(HEAD + 0x20, isFull ? 0n : at(0x1180));
    word(HEAD + 0x30, at(SLAB));
    view.setUint32(HEAD + 0x38, isFull ? 8 : 7, isLittle);
    bytes.set([0, 1, 2, 4, 5, 6, 7, 3], 0x1180);
  }
  word(CACHE + 0x20, BigInt(CPU_SLAB));
  view.setUint32(CACHE + 16, flags, isLittle);
  view.setUint32(CACHE + 0x38, INUSE, isLittle);
  if (flags !== 0) view.setUint32(CACHE + 12, INUSE, isLittle);
  if (asked !== undefined) {
    const [index, count, width = 4] = asked;
    const place = SLAB + index * STRIDE + INUSE + 2 * TRACK;
    if (width === 4) view.setUint32(place, count, isLittle);
    else word(place, BigInt(count));
  }
  word(POOL_POINTER, at(POOL));
  if (kfence !== undefined) {
    const [state, start, count] = kfence;
    view.setUint32(RECORD, state, isLittle);
    word(RECORD + 8, start);
    word(RECORD + 16, BigInt(count));
    word(RECORD + 24, at(CACHE));
  }
  for (const [cpu, area] of AREAS.entries()) word(TABLE + 8 * cpu, at(area));
  view.setUint32(CPU_IDS, 2, isLittle);
  word(MAX_MAPNR, 3n);
  if (cpuList !== undefined) {
    word(AREAS[1]! + CPU_SLAB, cpuList);
    word(AREAS[1]! + CPU_SLAB + 8, at(HEAD));
  }
  const slab: Members = { slab_cache: [0x18, 8], freelist: [0x20, 8], objects: [0x28, 2], frozen: [0x2a, 1] };
  const kernel = kernelWith(bytes, {
    endian,
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
  const version = { banner: 'Linux version', release: `${major}.${minor}`, major, minor, patch: 0 };
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
        redLeftPad: cache['red_left_pad'] ? slot(0x3c, 4) : null,
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
async function open(changes: Changes) {
  const kernel = kernelOf(changes);
  const check = await Check.create({ source: builtCheck, guestBytes: 0 });
  const introspection = introspectionOf(kernel, changes);
  const parameters: CheckParameters = {
    ...{ bits: 64, endian: kernel.endian, pageShift: PAGE_SHIFT, switches: profileSwitches('6.1') },
    ...{ text: null, linearText: null, rodata: null, data: null, bss: null, taskSize: 0x1000n },
    stack: {
      ...{ threadSize: 0x4000n, current: { kind: 'declared' }, depthOfCheck: 0n, depthOfPrint: 0n, frames: null },
    },
    introspection,
  };
  check.configure(parameters);
  check.foreignReader = (address, length) => kernel.read(address, length);
  return { check, parameters, kernel };
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

/** Commit f3421f8d154c of 7.0: each cache has its cpu_sheaves, and cache_has_sheaves() of mm/slab.h asks for the capacity alone. */
describe('objects of a cache with one empty sheaf to start with', () => {
  const cache: Members = { cpu_sheaves: [0x28, 8], sheaf_capacity: [0x30, 4] };
  const cpuSheaves = at(0x1600);

  it('are known where its sheaves hold nothing', async () => {
    expect(await statesOf({ cache, cpuSheaves })).toMatchObject({ states: freeAre([3], 'allocated'), uncertain: null });
  });

  it.each([
    ['its sheaves hold some', { sheafCapacity: 32 }],
    ['that cannot be read', { unreadable: [CACHE + 0x30] }],
  ])('may wait in one where %s', async (_, changes) => {
    const { states, uncertain } = await statesOf({ cache, cpuSheaves, ...changes });
    expect(states).toEqual(freeAre([3], null));
    expect(uncertain).toMatch(/sheaves/);
  });

  it('have red zones with debugging flags, which take the sheaves away', async () => {
    const zoned: Members = { ...cache, red_left_pad: [0x3c, 4], inuse: [0x38, 4] };
    const { check } = await open({ cache: zoned, cpuSheaves, redLeftPad: 64, flags: SLAB_RED_ZONE });
    const start = at(SLAB + 5 * STRIDE + 64);
    expect(check.lookAt(start - 1n)).toMatchObject({ result: 'red zone', redZone: { start: start - 64n, end: start } });
    expect(check.lookAt(start)).toMatchObject({ result: 'allocated' });
    check.close();
  });
});

describe("what is told of a slab's object", () => {
  const cache: Members = { cpu_slab: [0x20, 8], red_left_pad: [0x3c, 4], inuse: [0x38, 4], refcount: [0x40, 4] };
  const PAD = 64;
  const start = (index: number): bigint => at(SLAB + index * STRIDE + PAD);
  const facts = async (changes: Partial<Changes>) => {
    const { check, kernel } = await open({ cache, redLeftPad: PAD, flags: SLAB_RED_ZONE, ...changes });
    const found = slabFactsOf(check, kernel, new MemoryReader(kernel), start(4));
    check.close();
    return found;
  };
  const object = (index: number, state: 'allocated' | 'free' | null) => ({
    ...{ start: start(index), end: start(index) + BigInt(INUSE), index, state },
  });
  const surroundings = {
    ...{ cache: 'eight', shared: true, stride: BigInt(STRIDE), redZone: BigInt(PAD) },
    slab: { start: at(SLAB), end: at(SLAB + 8 * STRIDE), objects: 8 },
  };

  it('are its neighbours, its slab and its red zone', async () => {
    const known = { object: object(4, 'allocated'), neighbours: [object(3, 'free'), object(5, 'allocated')] };
    expect(await facts({})).toEqual({ ...surroundings, ...known, uncertain: null });
  });

  it('are the same without states, and why, where a list of the allocator cannot be read', async () => {
    const unknown = { object: object(4, null), neighbours: [object(3, null), object(5, null)] };
    const found = await facts({ frozen: true, unreadable: [AREAS[1]! + CPU_SLAB + 8] });
    expect(found).toEqual({ ...surroundings, ...unknown, uncertain: UNKNOWN_STATES['not readable'] });
  });

  it('is nothing where its cache cannot be read', async () => {
    expect(await facts({ unreadable: [CACHE + 8] })).toBeNull();
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

  // fixup_slab_list() of mm/slab.c: `page->freelist = NULL` where OBJFREELIST_SLAB and active == num.
  it('are in use where there is no list because all of them are', async () => {
    const { states, uncertain } = await statesOf({ allocator: 'SLAB', cache: { num: [24, 4] }, isFull: true });
    expect([states, uncertain]).toEqual([freeAre([], 'allocated'), null]);
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
      minor: 2,
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

  // set_orig_size() of mm/slub.c: `*(unsigned int *)p`, and `*(unsigned long *)p` from 7.0 on.
  it.each([
    [6, 'little', 4],
    [6, 'big', 4],
    [7, 'little', 8],
    [7, 'big', 8],
  ] as const)('ends there in %s.2, %s-endian: the size has %s bytes', async (major, endian, width) => {
    const { result, size } = await lookAt({ major, endian, asked: [2, 65, width] }, 65n);
    expect([result, size]).toEqual(['red zone', 65n]);
  });

  it.each([
    ['another cache than of kmalloc()', { flags: SLAB_STORE_USER }],
    ['a cache without tracks', { flags: SLAB_KMALLOC }],
    // ksize() gave owners the rest until 6.2.
    ['a kernel before 6.2', { minor: 1 }],
    ['a size that no object has', { asked: [2, 4096] as const }],
    ['no size at all', { asked: [2, 0] as const }],
  ])('is the whole object with %s', async (_, changes) => {
    expect(await lookAt(changes, 100n)).toMatchObject({ result: 'allocated', redZone: null });
  });
});

/** Without SLUB_DEBUG kmem_cache_debug_flags() is false, though the cache has its red_left_pad. */
it('a kernel that asks no cache for red zones has none, which the notes say', async () => {
  const { check, parameters } = await open({ cache: { cpu_slab: [0x20, 8], red_left_pad: [0x3c, 4] } });
  check.close();
  const notes = (redZone: bigint): string => {
    const introspection = { ...parameters.introspection!, slab: { ...parameters.introspection!.slab, redZone } };
    return sanitizerNotes({ parameters: { ...parameters, introspection } } as Plan, ['redzone']).join();
  };
  expect(notes(0n)).toMatch(/has no red zones \(SLUB_DEBUG\)$/);
  expect(notes(0x400n)).toMatch(/only caches with SLAB_RED_ZONE/);
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
