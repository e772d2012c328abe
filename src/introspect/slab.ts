/** Slab pages, `kmem_cache` and the objects of kfence. */
import type { MemoryLayout } from '../../arch/driver.js';
import type { BitSlot, Introspection, SlabLists } from '../check/parameters.js';
import type { Kernel, KernelVersion, StructType, TypeTable } from '../kernel/kernel.js';
import { atLeast, hasFix } from '../kernel/version.js';
import { flagOf, requireFlag, slot, slotIfAny } from './fields.js';

/** SLAB_* bits of kmem_cache.flags up to 6.8; later kernels have them as an enumeration, which their types tell. */
const SLAB_FLAGS = {
  RED_ZONE: 0x400n,
  POISON: 0x800n,
  STORE_USER: 0x10000n,
  TYPESAFE_BY_RCU: 0x80000n,
  KMALLOC: 0x1000n,
} as const;
/** KFENCE_NUM_OBJECTS where the config is not known: the default of lib/Kconfig.kfence. */
const KFENCE_DEFAULT_OBJECTS = 255;

/**
 * The name of the general cache for objects of `size` bytes, a power of two: kmalloc-1k, kmalloc-1M since f0d77874143f "mm, slab: shorten kmalloc cache names
 * for large sizes" (4.20), kmalloc-1024 before. A guest without a version gets the newest.
 */
export function kmallocName(size: number, version: KernelVersion): string {
  const isShort = version.banner === null || atLeast(version, 4, 20);
  if (isShort && size >= 1 << 20) return `kmalloc-${size >> 20}M`;
  return `kmalloc-${isShort && size >= 1024 ? `${size >> 10}k` : size}`;
}

/**
 * How a slab page is told from others: by the top byte of page_type since 4ffca5a96678 "mm: support only one page_type
 * per page" (6.12), by a bit of page_type, clear when it is set, since 46df8e73a4a3 "mm: free up PG_slab" (6.10), by a
 * page flag before.
 */
export function slabMark(kernel: Kernel, types: TypeTable): Introspection['page']['slab'] {
  const page = types.struct('page');
  const type = types.enumerator('PGTY_slab');
  if (type !== undefined) {
    return { kind: 'type', field: slot(page, 'page_type'), mask: 0xff000000n, value: type << 24n };
  }
  // 6.11 moved the base that the bits lie under.
  const { version } = kernel;
  if (atLeast(version, 6, 10) && !atLeast(version, 6, 12)) {
    const is610 = !atLeast(version, 6, 11);
    const base = is610 ? 0xf0000000n : 0x80000000n;
    const bit = types.enumerator('PG_slab') ?? (is610 ? 0x1000n : 0x02000000n);
    return { kind: 'type', field: slot(page, 'page_type'), mask: base | bit, value: base };
  }
  return { kind: 'flag', mask: requireFlag(types, 'PG_slab') };
}

/** Without SLUB_DEBUG the check asks no cache for red zones (kmem_cache_debug_flags() is false, mm/slab.h). */
const hasSlubDebug = ({ config }: Kernel): boolean =>
  config === null || !config.enabled('SLUB') || config.enabled('SLUB_DEBUG');

const slabFlag = (types: TypeTable, name: keyof typeof SLAB_FLAGS): bigint =>
  flagOf(types, `_SLAB_${name}`) ?? SLAB_FLAGS[name];

export function slabFacts(kernel: Kernel, types: TypeTable): Introspection['slab'] {
  const cache = types.struct('kmem_cache');
  const flag = (name: keyof typeof SLAB_FLAGS): bigint => slabFlag(types, name);
  // SLAB alone counts a slab's objects in the cache; 16a1d968358a "mm/slab: remove mm/slab.c and slab_def.h" (6.8).
  const allocator = cache.has('num') && !cache.has('cpu_slab') ? 'SLAB' : 'SLUB';
  const reciprocal = cache.field('reciprocal_buffer_size');
  return {
    allocator,
    name: slot(cache, 'name'),
    size: slot(cache, 'size'),
    objectSize: slot(cache, 'object_size'),
    // Since 8eb8284b4129 "usercopy: Prepare for usercopy whitelisting" (4.16); only under HARDENED_USERCOPY since
    // 346907ceb9d1 "mm, slab: ignore hardened usercopy parameters when disabled" (6.2).
    useroffset: slotIfAny(cache, 'useroffset'),
    usersize: slotIfAny(cache, 'usersize'),
    flags: slot(cache, 'flags'),
    redLeftPad: slotIfAny(cache, 'red_left_pad'),
    inuse: slotIfAny(cache, 'inuse'),
    redZone: hasSlubDebug(kernel) ? flag('RED_ZONE') : 0n,
    poison: flag('POISON'),
    storeUser: flag('STORE_USER'),
    typesafeByRcu: flag('TYPESAFE_BY_RCU'),
    // ca0cab65ea2b "mm, slub: introduce static key for slub_debug()" (5.9).
    debugEnabled: kernel.symbols.address('slub_debug_enabled') ?? null,
    num: slotIfAny(cache, 'num'),
    reciprocal: reciprocal ? { offset: reciprocal.offset } : null,
    objOffset: slotIfAny(cache, 'obj_offset'),
  };
}

/** Whether a kernel was built with KFENCE: a function of it that the check calls, and that even kernels which hide variables list. */
export const hasKfence = ({ config, symbols }: Kernel): boolean =>
  symbols.address('kfence_object_start') !== undefined || (config?.enabled('KFENCE') ?? false);

const kfenceObjects = ({ config }: Kernel): number =>
  Number(config?.get('KFENCE_NUM_OBJECTS') ?? KFENCE_DEFAULT_OBJECTS);

/**
 * Whether `kfence_metadata` is a pointer, which keeps another beside it, and no array any more: "mm: kfence: allocate kfence_metadata at
 * runtime" (posted in July 2023, so 6.6 at the earliest). Where the symbol table says how large it is, that tells.
 */
export function isIndirect(kernel: Kernel): boolean {
  const { symbols, types } = kernel;
  if (symbols.address('kfence_metadata_init') !== undefined) return true;
  const size = symbols.get('kfence_metadata')?.size ?? 0n;
  if (size > 0n && types?.hasStruct('kfence_metadata')) {
    return size < BigInt(kfenceObjects(kernel) * types.struct('kfence_metadata').size);
  }
  return atLeast(kernel.version, 6, 6);
}

export function kfenceFacts(kernel: Kernel, types: TypeTable, layout: MemoryLayout): Introspection['kfence'] {
  const pool = kernel.symbols.address('__kfence_pool');
  const metadata = kernel.symbols.address('kfence_metadata');
  if (pool === undefined || metadata === undefined || !types.hasStruct('kfence_metadata')) return null;
  const objects = kfenceObjects(kernel);
  const record = types.struct('kfence_metadata');
  return {
    pool,
    // KFENCE_POOL_SIZE: a page and a guard page for each object, and one more pair.
    poolSize: BigInt(objects + 1) * 2n * (1n << BigInt(layout.pageShift)),
    metadata,
    indirect: isIndirect(kernel),
    metadataSize: record.size,
    objectAddress: slot(record, 'addr'),
  };
}

/** A member, of a bit field its bits; null where the structure has none. */
function bitSlotIfAny(kernel: Kernel, struct: StructType, path: string): BitSlot | null {
  const field = struct.field(path);
  if (!field) return null;
  const { offset, size, bits } = field;
  if (bits === null) return { offset, size, shift: 0, mask: 0xffff_ffff };
  // Bits are counted from the end that comes first in memory.
  const shift = kernel.endian === 'little' ? bits.offset : size * 8 - bits.offset - bits.size;
  return { offset, size, shift, mask: 2 ** bits.size - 1 };
}

/** Of NR_CPUS, where nothing says how many there are. */
const MOST_CPUS = 1024;
/** FREELIST_BYTE_INDEX of mm/slab.c: bytes while a page holds few enough of the smallest objects. */
const MOST_BYTE_INDICES = 16;

/** Where the allocator keeps its free objects. */
export function slabLists(kernel: Kernel, types: TypeTable, layout: MemoryLayout): SlabLists {
  const cache = types.struct('kmem_cache');
  const slab =
    types.hasStruct('slab') && types.struct('slab').has('slab_cache') ? types.struct('slab') : types.struct('page');
  const { symbols } = kernel;
  const perCpu = symbols.get('__per_cpu_offset');
  return {
    freelist: slotIfAny(slab, 'freelist'),
    objects: bitSlotIfAny(kernel, slab, 'objects'),
    frozen: bitSlotIfAny(kernel, slab, 'frozen'),
    active: slotIfAny(slab, 'active'),
    indexBytes: 2 ** (layout.pageShift - 8) <= MOST_BYTE_INDICES ? 1 : 2,
    // What kfree() takes back goes there first (___cache_free() of mm/slab.c).
    arrays: cache.has('cpu_cache'),
    freePointer: slotIfAny(cache, 'offset'),
    random: slotIfAny(cache, 'random'),
    cpuSlab: slotIfAny(cache, 'cpu_slab'),
    cpuSheaves: slotIfAny(cache, 'cpu_sheaves'),
    sheafCapacity: slotIfAny(cache, 'sheaf_capacity'),
    cpu: cpuLists(types),
    perCpuOffset: perCpu?.address ?? null,
    // A constant with CONFIG_FORCE_NR_CPUS.
    cpuCount: symbols.address('nr_cpu_ids') ?? null,
    mostCpus: Math.min(Math.floor((8 * Number(perCpu?.size ?? 0n)) / kernel.bits) || MOST_CPUS, MOST_CPUS),
    sheaves: sheafLists(kernel, types),
    kfence: kfenceStates(types),
    asked: askedSizes(kernel, types),
    quarantine: ['kasan_quarantine_put', 'quarantine_put'].some((name) => symbols.address(name) !== undefined),
  };
}

/** A shrunk dump has no more members than were read: `freelist` where the slab was some CPU's. */
function cpuLists(types: TypeTable): SlabLists['cpu'] {
  if (!types.hasStruct('kmem_cache_cpu')) return null;
  const cpu = types.struct('kmem_cache_cpu');
  // d122019bf061 "mm: Split slab into its own type" (5.17).
  const page = slotIfAny(cpu, cpu.has('slab') ? 'slab' : 'page');
  const freelist = slotIfAny(cpu, 'freelist');
  return page && { page, freelist };
}

/** Since 2d517aa09bbc "slab: add opt-in caching layer of percpu sheaves" (6.18). */
function sheafLists(kernel: Kernel, types: TypeTable): SlabLists['sheaves'] {
  if (!types.hasStruct('slub_percpu_sheaves') || !types.hasStruct('slab_sheaf')) return null;
  const cache = types.struct('kmem_cache');
  const own = types.struct('slub_percpu_sheaves');
  const sheaf = types.struct('slab_sheaf');
  // A barn is a member of its node's kmem_cache_node, or a pointer beside it (`per_node`): 5ba6bc27b1f9 "slab: decouple pointer to barn
  // from kmem_cache_node" (7.1).
  const isPair = cache.has('per_node') && types.hasStruct('kmem_cache_per_node_ptrs');
  const nodes = cache.field(isPair ? 'per_node' : 'node');
  const element = isPair ? 'kmem_cache_per_node_ptrs' : 'kmem_cache_node';
  const hasBarns = nodes !== undefined && types.hasStruct('node_barn') && types.hasStruct(element);
  return {
    main: slotIfAny(own, 'main'),
    spare: slotIfAny(own, 'spare'),
    rcuFree: slotIfAny(own, 'rcu_free'),
    size: slot(sheaf, 'size'),
    objects: sheaf.offset('objects'),
    barnList: sheaf.has('barn_list') ? sheaf.offset('barn_list') : 0,
    nodes: nodes?.offset ?? 0,
    nodesEnd: nodes ? nodes.offset + nodes.size : 0,
    nodeStride: isPair ? types.struct(element).size : kernel.bits / 8,
    nodesInline: isPair,
    nodeBarn: hasBarns ? slotIfAny(types.struct(element), 'barn') : null,
    barnFull: hasBarns ? types.struct('node_barn').offset('sheaves_full') : 0,
  };
}

function kfenceStates(types: TypeTable): SlabLists['kfence'] {
  const allocated = types.enumerator('KFENCE_OBJECT_ALLOCATED');
  const freed = types.enumerator('KFENCE_OBJECT_FREED');
  if (allocated === undefined || freed === undefined || !types.hasStruct('kfence_metadata')) return null;
  const record = types.struct('kfence_metadata');
  if (!record.has('state') || !record.has('size')) return null;
  return {
    state: slot(record, 'state'),
    size: slot(record, 'size'),
    cache: slotIfAny(record, 'cache'),
    allocated: Number(allocated),
    freed: Number(freed),
  };
}

/**
 * b85f369b81ae "mm/slab: use unsigned long for orig_size to ensure proper metadata align" (7.0), in stable series; it was refused by
 * 6.12 and older ones.
 */
const LONG_SIZE_STABLE = { '6.18': 16, '6.19': 6 };

/**
 * What a kmalloc() asked for, behind an object's two tracks in kmalloc caches with SLAB_STORE_USER (slub_debug=U). It is there since
 * 6edf2576a6cc "mm/slub: enable debugging memory wasting of kmalloc" (6.1), and binding since 946fa0dbf2d8 "mm/slub: extend redzone
 * check to extra allocated kmalloc space than requested" (6.2): until then ksize() lets an owner use the whole object.
 */
function askedSizes(kernel: Kernel, types: TypeTable): SlabLists['asked'] {
  const { version } = kernel;
  if (!types.hasStruct('track') || version.banner === null || !atLeast(version, 6, 2)) return null;
  return {
    flags: slabFlag(types, 'KMALLOC') | slabFlag(types, 'STORE_USER'),
    size: {
      offset: 2 * types.struct('track').size,
      size: hasFix(version, 7, 0, LONG_SIZE_STABLE) ? kernel.bits / 8 : 4,
    },
  };
}
