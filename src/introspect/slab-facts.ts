/** A slab object's surroundings: which one of its slab it is, whether it is in use, what lies beside it. */

import type { Introspection } from '../check/parameters.js';
import type { Kernel, StructType, TypeTable } from '../kernel/kernel.js';
import { decodeUnsigned, encodeUnsigned } from '../kernel/words.js';
import type { MemoryReader } from './memory-reader.js';

export interface SlabObject {
  /** The bytes that belong to the owner, without red zones and padding. */
  readonly start: bigint;
  readonly end: bigint;
  readonly index: number;
  /** null: not decidable from the dump. */
  readonly state: 'allocated' | 'free' | null;
}

export interface SlabFacts {
  readonly cache: string | null;
  readonly object: SlabObject;
  /** The objects before and after it in the same slab. */
  readonly neighbours: readonly SlabObject[];
  /** First byte, first byte after it, and objects. */
  readonly slab: { readonly start: bigint; readonly end: bigint; readonly objects: number };
  /** Bytes from one object to the next. */
  readonly stride: bigint;
  /** Bytes of red zone before each object; 0 without. */
  readonly redZone: bigint;
  /** Why the state of objects that are on no list of free ones is not known; null where it is. */
  readonly uncertain: string | null;
  /** Caches of the same shape share one: its name then tells no structure. */
  readonly shared: boolean;
}

/** Where a page of the dump lies: the struct page of a virtual address, and back. */
export interface PageFinder {
  /** Physical address; null when it is not mapped. */
  physical(address: bigint): bigint | null;
  readonly pageShift: number;
}

/** More objects than the smallest ones in the largest slab. */
const MOST_OBJECTS = 1 << 16;
const MOST_CPUS = 1024;

/** A slab, and what is known of its objects. */
export interface Slab {
  /** Name of its cache. */
  readonly cache: string | null;
  /** First byte of the first object's place, and first byte after the last one's. */
  readonly start: bigint;
  readonly end: bigint;
  readonly objects: number;
  readonly stride: bigint;
  readonly redZone: bigint;
  readonly uncertain: string | null;
  readonly shared: boolean;
  /** `index` is one of its objects. */
  object(index: number): SlabObject;
  /**
   * Bytes of an object's place that nobody may touch: before it, and from its size to `inuse`, SLUB's two red zones (d86bd1bece6f,
   * 4.5; check_object() of mm/slub.c). None where the cache has none; SLAB's are not known.
   */
  redZones(index: number): readonly { readonly start: bigint; readonly end: bigint }[];
}

/** `start` is the object's first byte, as the check found it. null where struct pages cannot be found. */
export function slabFactsOf(
  kernel: Kernel,
  read: MemoryReader,
  introspection: Introspection,
  pages: PageFinder,
  start: bigint,
): SlabFacts | null {
  const slab = slabAt(kernel, read, introspection, pages, start);
  if (slab === null || slab === 'no slab') return null;
  const { cache, start: first, end, objects, stride, redZone, uncertain, shared } = slab;
  const index = Number((start - first) / stride);
  if (start < first || index >= objects) return null;
  return {
    cache,
    object: slab.object(index),
    neighbours: [index - 1, index + 1].filter((other) => other >= 0 && other < objects).map((at) => slab.object(at)),
    slab: { start: first, end, objects },
    stride,
    redZone,
    uncertain,
    shared,
  };
}

/** The slab that an address lies in. null: it cannot be found, or says nothing of its objects. */
export function slabAt(
  kernel: Kernel,
  read: MemoryReader,
  introspection: Introspection,
  pages: PageFinder,
  address: bigint,
): Slab | 'no slab' | null {
  const { page, slab } = introspection;
  const { types } = kernel;
  const own = structPageOf(kernel, read, introspection, pages, address);
  if (!types || own === null) return null;
  const compound = read.slot(own, page.compoundHead);
  if (compound === null) return null;
  const head = (compound & 1n) === 0n ? own : page.tailsHoldMask ? own & compound : compound - 1n;
  const isSlab = isSlabPage(read, page, head);
  if (isSlab !== true) return isSlab === null ? null : 'no slab';
  const frames = (own - head) / BigInt(page.size);
  const within = address & ((1n << BigInt(pages.pageShift)) - 1n);
  const slabStart = BigInt.asUintN(kernel.bits, address - within - (frames << BigInt(pages.pageShift)));
  const cache = read.slot(head, page.slabCache);
  const type = types.struct('kmem_cache');
  const stride = cache === null ? null : read.slot(cache, slab.size);
  const objectSize = cache === null ? null : read.slot(cache, slab.objectSize);
  if (cache === null || stride === null || objectSize === null || stride === 0n) return null;

  const slabType =
    types.hasStruct('slab') && types.struct('slab').has('slab_cache') ? types.struct('slab') : types.struct('page');
  const flags = read.slot(cache, slab.flags) ?? 0n;
  const hasRedZones = slab.redLeftPad !== null && (flags & slab.redZone) !== 0n;
  const redZone = hasRedZones && slab.redLeftPad ? (read.slot(cache, slab.redLeftPad) ?? 0n) : 0n;
  const inuse = hasRedZones && slab.inuse ? (read.slot(cache, slab.inuse) ?? objectSize) : objectSize;
  const firstObject = slab.allocator === 'SLAB' ? read.member(head, slabType, 's_mem') : slabStart;
  const count = Number(
    (slab.allocator === 'SLAB' ? slab.num && read.slot(cache, slab.num) : read.member(head, slabType, 'objects')) ?? 0n,
  );
  if (firstObject === null || count === 0 || count > MOST_OBJECTS) return null;
  const lead = redZone + ((slab.objOffset && read.slot(cache, slab.objOffset)) ?? 0n);
  const free =
    slab.allocator === 'SLAB'
      ? freeOfSlab(read, head, slabType, type, count, pages.pageShift)
      : freeOfSlub(kernel, read, {
          head,
          cache,
          slabType,
          cacheType: type,
          start: slabStart,
          stride,
          count,
          lead: redZone,
        });
  const startOf = (index: number): bigint => firstObject + BigInt(index) * stride + lead;
  const name = read.slot(cache, slab.name);
  const references = read.member(cache, type, 'refcount');
  return {
    cache: name === null ? null : read.text(name),
    start: firstObject,
    end: firstObject + BigInt(count) * stride,
    objects: count,
    stride,
    redZone,
    uncertain: free === null ? null : free.uncertain,
    shared: references !== null && references > 1n,
    object: (index) => ({
      start: startOf(index),
      end: startOf(index) + objectSize,
      index,
      state: free === null ? null : free.objects.has(index) ? 'free' : free.uncertain === null ? 'allocated' : null,
    }),
    redZones(index) {
      const at = startOf(index);
      const zones = [
        { start: at - redZone, end: at },
        { start: at + objectSize, end: at + inuse },
      ];
      return zones.filter(({ start, end }) => start < end);
    },
  };
}

/** Why the state of a kernel's slab objects is not known, or not of all of them, in words; empty where it is. */
export function slabStateGaps(kernel: Kernel, { slab, pageArray }: Introspection): string[] {
  const { types, symbols } = kernel;
  if (pageArray.kind === 'section map') return ['struct pages are found through sections, which is not supported here'];
  if (!types) return [];
  const cache = types.struct('kmem_cache');
  if (slab.allocator === 'SLAB') {
    return cache.has('cpu_cache')
      ? [`${IN_CPU_ARRAYS}: an object that is not on its slab's own list of free ones is not known to be in use`]
      : [];
  }
  if (!cache.has('offset')) return ["the kernel's types do not tell where free pointers lie (kmem_cache.offset)"];
  const gaps: string[] = [];
  if (cache.has('cpu_slab')) {
    const place = 'of slabs that a CPU has for itself the free objects are not known: ';
    if (!types.hasStruct('kmem_cache_cpu')) gaps.push(`${place}the types lack kmem_cache_cpu`);
    else if (symbols.address('__per_cpu_offset') === undefined)
      gaps.push(`${place}there is no symbol __per_cpu_offset`);
  }
  if (cache.has('cpu_sheaves')) {
    gaps.push(
      'free objects also wait in sheaves that nothing leads to: one that is on no list is not known to be in use',
    );
  }
  return gaps;
}

function structPageOf(
  kernel: Kernel,
  read: MemoryReader,
  introspection: Introspection,
  pages: PageFinder,
  address: bigint,
): bigint | null {
  const { page, pageArray } = introspection;
  const physical = pages.physical(address);
  if (physical === null) return null;
  const base =
    pageArray.kind === 'vmemmap'
      ? pageArray.address
      : pageArray.kind === 'mem_map'
        ? read.word(pageArray.pointer)
        : null;
  if (base === null) return null;
  // A mem_map counts from the first frame that there is, which only FLATMEM's own variable tells.
  const first = pageArray.kind === 'mem_map' ? firstFrame(kernel, introspection, pages) : 0n;
  return BigInt.asUintN(kernel.bits, base + ((physical >> BigInt(pages.pageShift)) - first) * BigInt(page.size));
}

/** Whether a head page is a slab; null where that cannot be read. */
function isSlabPage(read: MemoryReader, { slab, flags }: Introspection['page'], head: bigint): boolean | null {
  const value = read.slot(head, slab.kind === 'flag' ? flags : slab.field);
  if (value === null) return null;
  return slab.kind === 'flag' ? (value & slab.mask) !== 0n : (value & slab.mask) === slab.value;
}

/** The free objects of a slab by their index, and why those that are not among them may be free too. */
interface FreeObjects {
  readonly objects: ReadonlySet<number>;
  readonly uncertain: string | null;
}

const IN_CPU_ARRAYS =
  'free objects of SLAB also wait in arrays of the CPUs and nodes (array_cache), which are not read';

function firstFrame(kernel: Kernel, { linearMaps }: Introspection, pages: PageFinder): bigint {
  const first = kernel.symbols.address('__pv_phys_pfn_offset');
  const bytes = first === undefined ? undefined : kernel.read(first, 4);
  if (bytes) return decodeUnsigned(bytes, kernel.endian);
  return (linearMaps[0]?.physical ?? 0n) >> BigInt(pages.pageShift);
}

/**
 * SLAB: a list of indices, of which the first `active` are not free for the slab; bytes while a page holds few enough objects.
 * What kfree() takes back goes into the CPU's array first (___cache_free() of mm/slab.c), and still is among those.
 */
function freeOfSlab(
  read: MemoryReader,
  head: bigint,
  type: StructType,
  cacheType: StructType,
  count: number,
  pageShift: number,
): FreeObjects | null {
  const list = read.member(head, type, 'freelist');
  const active = read.member(head, type, 'active');
  if (list === null || list === 0n || active === null || active > BigInt(count)) return null;
  // FREELIST_BYTE_INDEX of mm/slab.c: PAGE_SIZE >> 8 at most the smallest object.
  const size = (1 << pageShift) >> 8 <= 32 ? 1 : 2;
  const free = new Set<number>();
  for (let position = Number(active); position < count; position++) {
    const index = read.unsigned(list + BigInt(position * size), size);
    if (index === null || index >= BigInt(count)) return null;
    free.add(Number(index));
  }
  return { objects: free, uncertain: cacheType.has('cpu_cache') ? IN_CPU_ARRAYS : null };
}

interface SlubSlab {
  readonly head: bigint;
  readonly cache: bigint;
  readonly slabType: StructType;
  readonly cacheType: StructType;
  readonly start: bigint;
  readonly stride: bigint;
  readonly count: number;
  readonly lead: bigint;
}

/**
 * SLUB: the slab's own chain of free objects and, where a CPU allocates from this slab, that CPU's. From 6.18 on
 * (2d517aa09bbc) free objects wait in sheaves, too: of CPUs, of nodes, and of RCU callbacks that nothing leads to. Who is in
 * none that is found may still be free.
 */
function freeOfSlub(kernel: Kernel, read: MemoryReader, slab: SlubSlab): FreeObjects | null {
  const own = read.member(slab.head, slab.slabType, 'freelist');
  const cpus = cpuFreelists(kernel, read, slab);
  if (own === null || cpus === null) return null;
  const heads = [own, ...cpus];
  for (const decode of decoders(kernel, read, slab)) {
    const free = new Set<number>();
    if (!heads.every((head) => follow(read, slab, head, decode, free))) continue;
    // One that cannot be read may lead to some.
    const sheaves = slab.cacheType.has('cpu_sheaves') ? read.member(slab.cache, slab.cacheType, 'cpu_sheaves') : 0n;
    if (sheaves === 0n) return { objects: free, uncertain: null };
    for (const object of objectsInSheaves(kernel, read, slab)) {
      const distance = object - slab.start - slab.lead;
      if (distance < 0n || distance % slab.stride !== 0n || distance / slab.stride >= BigInt(slab.count)) continue;
      free.add(Number(distance / slab.stride));
    }
    return {
      objects: free,
      uncertain: 'free objects of this cache also wait in sheaves, not all of which can be found',
    };
  }
  return null;
}

type Decode = (stored: bigint, at: bigint) => bigint;

/**
 * CONFIG_SLAB_FREELIST_HARDENED: next pointers are stored xored with a number of the cache and their own address, whose
 * bytes are swapped in later kernels. Which it is tells the chain itself: only one of them stays in the slab.
 */
function decoders(kernel: Kernel, read: MemoryReader, { cache, cacheType }: SlubSlab): Decode[] {
  const plain: Decode = (stored) => stored;
  const random = read.member(cache, cacheType, 'random');
  if (random === null) return [plain];
  const swap = (address: bigint): bigint => decodeUnsigned(encodeUnsigned(address, read.wordBytes, 'little'), 'big');
  const word = (value: bigint): bigint => BigInt.asUintN(kernel.bits, value);
  return [(stored, at) => word(stored ^ random ^ swap(at)), (stored, at) => word(stored ^ random ^ at), plain];
}

/** Adds the objects of a chain; false when it leaves the slab or does not end. */
function follow(read: MemoryReader, slab: SlubSlab, head: bigint, decode: Decode, free: Set<number>): boolean {
  const pointerOffset = read.member(slab.cache, slab.cacheType, 'offset');
  if (pointerOffset === null) return false;
  for (let object = head; object !== 0n; ) {
    const distance = object - slab.start - slab.lead;
    const index = Number(distance / slab.stride);
    if (distance < 0n || distance % slab.stride !== 0n || index >= slab.count || free.has(index)) return false;
    free.add(index);
    const at = object + pointerOffset;
    const stored = read.word(at);
    if (stored === null) return false;
    object = decode(stored, at);
  }
  return true;
}

/**
 * Free objects that CPUs have taken over from this slab; null when it is one of a CPU's and not all of the CPUs' own data is
 * found.
 */
function cpuFreelists(kernel: Kernel, read: MemoryReader, slab: SlubSlab): bigint[] | null {
  const { types, symbols } = kernel;
  // Gone in 7.0: sheaves took its place.
  if (!slab.cacheType.has('cpu_slab')) return [];
  const perCpu = read.member(slab.cache, slab.cacheType, 'cpu_slab');
  if (perCpu === null || !types?.hasStruct('kmem_cache_cpu')) return null;
  const type = types.struct('kmem_cache_cpu');
  const page = type.has('slab') ? 'slab' : 'page';
  const lists: bigint[] = [];
  const found = cpuOffsets(symbols.address('__per_cpu_offset'), symbols.address('nr_cpu_ids'), read);
  if (found === null) return frozen(read, slab) ? null : [];
  for (const offset of found) {
    const cpu = BigInt.asUintN(kernel.bits, perCpu + offset);
    const current = read.member(cpu, type, page);
    if (current === null && frozen(read, slab)) return null;
    if (current !== slab.head) continue;
    const list = read.member(cpu, type, 'freelist');
    if (list === null) return null;
    lists.push(list);
  }
  return lists;
}

const MOST_SHEAVES = 4096;

/** Objects in the sheaves of each CPU and in the full ones of each node's barn. */
function objectsInSheaves(kernel: Kernel, read: MemoryReader, { cache, cacheType }: SlubSlab): bigint[] {
  const { types, symbols } = kernel;
  const perCpu = read.member(cache, cacheType, 'cpu_sheaves');
  if (!perCpu || !types?.hasStruct('slub_percpu_sheaves') || !types.hasStruct('slab_sheaf')) return [];
  const cpu = types.struct('slub_percpu_sheaves');
  const sheaf = types.struct('slab_sheaf');
  const found: bigint[] = [];
  const add = (at: bigint | null): void => {
    const size = at ? read.member(at, sheaf, 'size') : null;
    if (!at || size === null || size > BigInt(MOST_SHEAVES)) return;
    for (let index = 0n; index < size; index++) {
      const object = read.word(at + BigInt(sheaf.offset('objects')) + index * BigInt(read.wordBytes));
      if (object !== null) found.push(object);
    }
  };
  for (const offset of cpuOffsets(symbols.address('__per_cpu_offset'), symbols.address('nr_cpu_ids'), read) ?? []) {
    const own = BigInt.asUintN(kernel.bits, perCpu + offset);
    for (const name of ['main', 'spare', 'rcu_free']) add(read.member(own, cpu, name));
  }
  for (const barn of barnsOf(types, read, cache, cacheType)) {
    const list = barn + BigInt(types.struct('node_barn').offset('sheaves_full'));
    let entry = read.word(list);
    for (let count = 0; entry !== null && entry !== list && entry !== 0n && count < MOST_SHEAVES; count++) {
      add(entry - BigInt(sheaf.offset('barn_list')));
      entry = read.word(entry);
    }
  }
  return found;
}

/** A barn is a member of its node's kmem_cache_node, from 7.1 on a pointer beside it (`per_node`). */
function barnsOf(types: TypeTable, read: MemoryReader, cache: bigint, cacheType: StructType): bigint[] {
  if (!types.hasStruct('node_barn')) return [];
  const word = read.wordBytes;
  const array = cacheType.field('per_node') ?? cacheType.field('node');
  if (!array) return [];
  const isPair = cacheType.has('per_node') && types.hasStruct('kmem_cache_per_node_ptrs');
  const stride = isPair ? types.struct('kmem_cache_per_node_ptrs').size : word;
  const barns: bigint[] = [];
  for (let at = 0; at + stride <= array.size; at += stride) {
    const element = cache + BigInt(array.offset + at);
    const node = isPair ? element : read.word(element);
    if (!node) continue;
    const type = types.struct(isPair ? 'kmem_cache_per_node_ptrs' : 'kmem_cache_node');
    const barn = read.member(node, type, 'barn');
    if (barn) barns.push(barn);
  }
  return barns;
}

/** Each once: those of CPUs that are not there all lead to the same data. null: they cannot be read. */
function cpuOffsets(table: bigint | undefined, count: bigint | undefined, read: MemoryReader): bigint[] | null {
  if (table === undefined) return null;
  const cpus = count === undefined ? BigInt(MOST_CPUS) : read.unsigned(count, 4);
  if (cpus === null) return null;
  const size = read.wordBytes;
  const bytes = tableBytes(table, Math.min(Number(cpus), MOST_CPUS) * size, count !== undefined, read);
  if (bytes === null) return null;
  const offsets = new Set<bigint>();
  for (let at = 0; at < bytes.length; at += size) {
    const offset = decodeUnsigned(bytes.subarray(at, at + size), read.endian);
    if (offset !== 0n || at === 0) offsets.add(offset);
  }
  return [...offsets];
}

/** Where it is not known how long the table is, memory may end before as many bytes: half as many are tried then. */
function tableBytes(table: bigint, length: number, known: boolean, read: MemoryReader): Uint8Array | null {
  for (let most = length; most >= read.wordBytes; most /= 2) {
    const bytes = read.bytes(table, most);
    if (bytes !== null || known) return bytes;
  }
  return null;
}

/** A slab that some CPU has for itself. */
function frozen(read: MemoryReader, { head, slabType }: SlubSlab): boolean {
  return read.member(head, slabType, 'frozen') !== 0n;
}
