/**
 * A kernel's structures as the check reads them: one small function per structure that moved, newest shape first. Each
 * names the commit and version that moved it. Offsets come from the kernel's own types; nothing here is a table.
 */
import type { LinearMap, MemoryLayout, PageValidity } from '../../arch/driver.js';
import type {
  Introspection,
  PageValidityParameters,
  Slot,
  SparsememParameters,
  VmapAreaSlots,
} from '../check/parameters.js';
import { UsercopyError } from '../errors.js';
import type { Kernel, StructType, TypeTable } from '../kernel/kernel.js';

/** SLAB_* bits of kmem_cache.flags before they became an enum (6.9). */
const SLAB_FLAGS = {
  RED_ZONE: 0x400n,
  POISON: 0x800n,
  STORE_USER: 0x10000n,
  TYPESAFE_BY_RCU: 0x80000n,
} as const;
/** SECTION_HAS_MEM_MAP and SECTION_IS_EARLY of section_mem_map; the map itself starts above the last flag. */
const SECTION_HAS_MEM_MAP = 1n << 1n;
const SECTION_IS_EARLY = 1n << 3n;
const SECTION_FLAG_BITS = 6n;
const VM_NO_GUARD = 0x40n;
const MEMBLOCK_NOMAP = 4n;
/** KFENCE_NUM_OBJECTS where the config is not known: the default of lib/Kconfig.kfence. */
const KFENCE_DEFAULT_OBJECTS = 255;

type Types = TypeTable;

function slot(struct: StructType, path: string): Slot {
  const field = struct.field(path);
  if (!field) throw new UsercopyError('bad-input', `struct ${struct.name}: expected a member ${path}, found none`);
  return { offset: field.offset, size: field.size };
}

const slotIfAny = (struct: StructType, path: string): Slot | null => (struct.has(path) ? slot(struct, path) : null);

const shifted = (base: Slot, by: number): Slot => ({ offset: base.offset + by, size: base.size });

const flagOf = (types: Types, name: string): bigint | undefined => {
  const bit = types.enumerator(name);
  return bit === undefined || bit >= 64n ? undefined : 1n << bit;
};

function requireFlag(types: Types, name: string): bigint {
  const mask = flagOf(types, name);
  if (mask === undefined)
    throw new UsercopyError('bad-input', `kernel types: expected an enumerator ${name}, found none`);
  return mask;
}

/** How a slab page is told from others. */
function slabMark(kernel: Kernel, types: Types): Introspection['page']['slab'] {
  const page = types.struct('page');
  // 4ffca5a96678 (6.12): the top byte of page_type is the type.
  const type = types.enumerator('PGTY_slab');
  if (type !== undefined) {
    return { kind: 'type', field: slot(page, 'page_type'), mask: 0xff000000n, value: type << 24n };
  }
  // 46df8e73a4a3 (6.10): a page type; a type is set when its bit is clear, under a base that 6.11 changed.
  const { major, minor } = kernel.version;
  if (major === 6 && (minor === 10 || minor === 11)) {
    const base = minor === 10 ? 0xf0000000n : 0x80000000n;
    const bit = types.enumerator('PG_slab') ?? (minor === 10 ? 0x1000n : 0x02000000n);
    return { kind: 'type', field: slot(page, 'page_type'), mask: base | bit, value: base };
  }
  return { kind: 'flag', mask: requireFlag(types, 'PG_slab') };
}

/** Where a compound page keeps its order, counted from the head's struct page. */
function compoundOrder(types: Types): { order: Slot; orderMask: bigint } {
  if (types.hasStruct('folio')) {
    const folio = types.struct('folio');
    // Up to 6.5: a byte of struct folio, which got its first tail page's members around 6.0.
    if (folio.has('_folio_order')) return { order: slot(folio, '_folio_order'), orderMask: 0xffn };
    // 6.6 on: the low byte of the first tail page's flags.
    if (folio.has('_flags_1')) return { order: slot(folio, '_flags_1'), orderMask: 0xffn };
  }
  const page = types.struct('page');
  return { order: shifted(slot(page, 'compound_order'), page.size), orderMask: 0xffn };
}

function pageFacts(kernel: Kernel, types: Types): Introspection['page'] {
  const page = types.struct('page');
  // d122019bf061 (5.17) split struct slab from struct page.
  const slab = types.hasStruct('slab') && types.struct('slab').has('slab_cache') ? types.struct('slab') : page;
  return {
    size: page.size,
    flags: slot(page, 'flags'),
    compoundHead: slot(page, 'compound_head'),
    headMask: requireFlag(types, 'PG_head'),
    reservedMask: requireFlag(types, 'PG_reserved'),
    slab: slabMark(kernel, types),
    ...compoundOrder(types),
    slabCache: slot(slab, 'slab_cache'),
    sMem: slotIfAny(slab, 's_mem'),
  };
}

function slabFacts(kernel: Kernel, types: Types): Introspection['slab'] {
  const cache = types.struct('kmem_cache');
  const flag = (name: keyof typeof SLAB_FLAGS): bigint => flagOf(types, `_SLAB_${name}`) ?? SLAB_FLAGS[name];
  // SLAB alone counts a slab's objects in the cache; it went away in 6.8 (16a1d968358a).
  const allocator = cache.has('num') && !cache.has('cpu_slab') ? 'SLAB' : 'SLUB';
  const reciprocal = cache.field('reciprocal_buffer_size');
  return {
    allocator,
    name: slot(cache, 'name'),
    size: slot(cache, 'size'),
    objectSize: slot(cache, 'object_size'),
    // 8eb8284b4129 (4.16); only under HARDENED_USERCOPY from 346907ceb9d1 (6.2).
    useroffset: slotIfAny(cache, 'useroffset'),
    usersize: slotIfAny(cache, 'usersize'),
    flags: slot(cache, 'flags'),
    redLeftPad: slotIfAny(cache, 'red_left_pad'),
    inuse: slotIfAny(cache, 'inuse'),
    redZone: flag('RED_ZONE'),
    poison: flag('POISON'),
    storeUser: flag('STORE_USER'),
    typesafeByRcu: flag('TYPESAFE_BY_RCU'),
    // ca0cab65ea2b (5.9)
    debugEnabled: kernel.symbols.address('slub_debug_enabled') ?? null,
    num: slotIfAny(cache, 'num'),
    reciprocal: reciprocal ? { offset: reciprocal.offset } : null,
    objOffset: slotIfAny(cache, 'obj_offset'),
  };
}

function vmapAreaSlots(types: Types): VmapAreaSlots {
  const area = types.struct('vmap_area');
  const node = types.struct('rb_node');
  const vm = types.struct('vm_struct');
  return {
    vaStart: slot(area, 'va_start'),
    vaEnd: slot(area, 'va_end'),
    rbNode: area.offset('rb_node'),
    rbLeft: slot(node, 'rb_left'),
    rbRight: slot(node, 'rb_right'),
    vm: slot(area, 'vm'),
    vmSize: slot(vm, 'size'),
    vmFlags: slot(vm, 'flags'),
    noGuard: VM_NO_GUARD,
  };
}

function vmapFacts(kernel: Kernel, types: Types): Introspection['vmap'] {
  const address = (symbol: string): bigint | undefined => kernel.symbols.address(symbol);
  // d093602919ad (6.9): areas are spread over nodes by address.
  const nodes = address('vmap_nodes');
  const count = address('nr_vmap_nodes');
  const zoneSize = address('vmap_zone_size');
  if (nodes !== undefined && count !== undefined && zoneSize !== undefined && types.hasStruct('vmap_node')) {
    const node = types.struct('vmap_node');
    return {
      kind: 'nodes',
      nodes,
      count,
      zoneSize,
      nodeSize: node.size,
      busyRoot: slot(node, 'busy.root.rb_node'),
      area: vmapAreaSlots(types),
    };
  }
  const root = address('vmap_area_root');
  return root === undefined ? { kind: 'none' } : { kind: 'tree', root, area: vmapAreaSlots(types) };
}

function sparsemem(
  kernel: Kernel,
  types: Types,
  bits: { readonly sectionSizeBits: number; readonly physicalAddressBits: number },
): SparsememParameters {
  const memSection = kernel.symbols.address('mem_section');
  if (memSection === undefined) {
    throw new UsercopyError(
      'bad-input',
      'kernel symbols: expected mem_section, found none (an image without KALLSYMS_ALL?)',
    );
  }
  const section = types.struct('mem_section');
  // f1eca35a0dc7 (5.3) made valid sections of 2 MiB pieces, told by a bitmap in `usage`.
  const usage = section.has('usage')
    ? { pointer: slot(section, 'usage'), bitmap: types.struct('mem_section_usage').offset('subsection_map') }
    : null;
  return {
    kind: 'sparsemem',
    memSection,
    extreme: kernel.config ? kernel.config.enabled('SPARSEMEM_EXTREME') : kernel.bits === 64,
    sectionSize: section.size,
    sectionMap: slot(section, 'section_mem_map'),
    usage,
    sectionSizeBits: bits.sectionSizeBits,
    physicalAddressBits: bits.physicalAddressBits,
    hasMemMap: SECTION_HAS_MEM_MAP,
    isEarly: SECTION_IS_EARLY,
    mapMask: (1n << SECTION_FLAG_BITS) - 1n,
  };
}

function memblock(
  kernel: Kernel,
  types: Types,
  kind: Extract<PageValidity, { kind: 'memblock' }>,
): PageValidityParameters {
  const address = kernel.symbols.address('memblock');
  if (address === undefined) {
    throw new UsercopyError(
      'bad-input',
      'kernel symbols: expected memblock, found none (an image without KALLSYMS_ALL?)',
    );
  }
  const block = types.struct('memblock');
  const list = types.struct('memblock_type');
  const region = types.struct('memblock_region');
  return {
    kind: 'memblock',
    memory: address + BigInt(block.offset('memory')),
    count: slot(list, 'cnt'),
    regions: slot(list, 'regions'),
    region: {
      size: region.size,
      base: slot(region, 'base'),
      length: slot(region, 'size'),
      flags: slot(region, 'flags'),
    },
    noMap: types.enumerator('MEMBLOCK_NOMAP') ?? MEMBLOCK_NOMAP,
    ...(kind.blockSize === undefined ? {} : { blockSize: kind.blockSize }),
    ...(kind.sections ? { sections: sparsemem(kernel, types, kind.sections) } : {}),
  };
}

function pageValidity(kernel: Kernel, types: Types, layout: MemoryLayout): PageValidityParameters {
  const kind = layout.pageValidity;
  switch (kind.kind) {
    case 'sparsemem':
      return sparsemem(kernel, types, kind);
    case 'memblock':
      return memblock(kernel, types, kind);
    case 'flatmem': {
      const maxMapnr = kernel.symbols.address('max_mapnr');
      if (maxMapnr === undefined) {
        throw new UsercopyError('bad-input', 'kernel symbols: expected max_mapnr, found none');
      }
      return { kind: 'flatmem', maxMapnr, firstFrame: layout.firstFrame ?? 0n };
    }
  }
}

function pageArray(kernel: Kernel, layout: MemoryLayout): Introspection['pageArray'] {
  if (layout.vmemmap !== null) return { kind: 'vmemmap', address: layout.vmemmap };
  const pointer = kernel.symbols.address('mem_map');
  return pointer === undefined
    ? { kind: 'section map' }
    : { kind: 'mem_map', pointer, firstFrame: layout.firstFrame ?? 0n };
}

/**
 * The image where no linear map shows it. A vmemmap makes virt_to_page() arithmetic on the linear map (9f2875912dac on
 * arm64, 4.6): what it gives for an address of the image is not a struct page.
 */
function imageMap(kernel: Kernel, layout: MemoryLayout): { readonly imageMap?: LinearMap } {
  const start = kernel.symbols.address('_text');
  const end = kernel.symbols.address('_end');
  if (start === undefined || end === undefined || end <= start || layout.vmemmap !== null) return {};
  const covers = (map: LinearMap): boolean => start >= map.virtual && start - map.virtual < map.size;
  if (layout.linearMaps.some(covers)) return {};
  return {
    imageMap: {
      virtual: start,
      size: end - start,
      physical: BigInt.asUintN(kernel.bits, start - layout.imageOffset),
    },
  };
}

function kfenceFacts(kernel: Kernel, types: Types, layout: MemoryLayout): Introspection['kfence'] {
  const pool = kernel.symbols.address('__kfence_pool');
  const metadata = kernel.symbols.address('kfence_metadata');
  if (pool === undefined || metadata === undefined || !types.hasStruct('kfence_metadata')) return null;
  const objects = Number(kernel.config?.get('KFENCE_NUM_OBJECTS') ?? KFENCE_DEFAULT_OBJECTS);
  const record = types.struct('kfence_metadata');
  const { major, minor } = kernel.version;
  return {
    pool,
    // KFENCE_POOL_SIZE: a page and a guard page for each object, and one more pair.
    poolSize: BigInt(objects + 1) * 2n * (1n << BigInt(layout.pageShift)),
    metadata,
    // 6.5 on: allocated at boot instead of an array in bss.
    indirect: major > 6 || (major === 6 && minor >= 5),
    metadataSize: record.size,
    objectAddress: slot(record, 'addr'),
  };
}

/**
 * Where and how this kernel keeps what it knows of memory; null when its types are not known, so that only declared
 * memory can be judged.
 * @throws UsercopyError `bad-input` when the types or symbols lack something that this kernel's check reads.
 */
export function introspectionOf(kernel: Kernel, layout: MemoryLayout): Introspection | null {
  const { types } = kernel;
  if (types === null) return null;
  const task = types.struct('task_struct');
  return {
    linearMaps: layout.linearMaps,
    ...imageMap(kernel, layout),
    vmalloc: { start: layout.vmallocStart, end: layout.vmallocEnd },
    modules: { start: layout.modulesStart, end: layout.modulesEnd },
    kmap: layout.kmap,
    pageValidity: pageValidity(kernel, types, layout),
    pageArray: pageArray(kernel, layout),
    page: pageFacts(kernel, types),
    slab: slabFacts(kernel, types),
    vmap: vmapFacts(kernel, types),
    kfence: kfenceFacts(kernel, types, layout),
    pagefaultDisabled: slotIfAny(task, 'pagefault_disabled'),
    bypassKey: kernel.symbols.address('bypass_usercopy_checks') ?? null,
  };
}
