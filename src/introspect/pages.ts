/** `struct page`: its members, where the array of them lies, and which frames have one. */
import { readWord } from '../../arch/common.js';
import type { LinearMap, MemoryLayout, PageValidity } from '../../arch/driver.js';
import type {
  CmaParameters,
  Introspection,
  PageValidityParameters,
  Slot,
  SparsememParameters,
} from '../check/parameters.js';
import type { Kernel, StructType, TypeTable } from '../kernel/kernel.js';
import { atLeast } from '../kernel/version.js';
import { requireFlag, requireSymbol, shifted, slot, slotIfAny } from './fields.js';
import { slabMark } from './slab.js';

/** SECTION_HAS_MEM_MAP and SECTION_IS_EARLY of section_mem_map; the map itself starts above the last flag. */
const SECTION_HAS_MEM_MAP = 1n << 1n;
const SECTION_IS_EARLY = 1n << 3n;
const SECTION_FLAG_BITS = 6n;
const MEMBLOCK_NOMAP = 4n;

/**
 * Where a compound page keeps its order, counted from the head's struct page: in the low byte of the first tail page's
 * flags (6.6 on), in a byte of struct folio once that had its first tail page's members (6.0 to 6.5), in the tail page's
 * struct page before. The members themselves tell which it is.
 */
function compoundOrder(types: TypeTable): { order: Slot; orderMask: bigint } {
  if (types.hasStruct('folio')) {
    const folio = types.struct('folio');
    // Where both are, the order is in the older one.
    const [order] = ['_folio_order', '_flags_1'].filter((name) => folio.has(name));
    if (order !== undefined) return { order: slot(folio, order), orderMask: 0xffn };
  }
  const page = types.struct('page');
  return { order: shifted(slot(page, 'compound_order'), page.size), orderMask: 0xffn };
}

/**
 * `compound_head`, renamed in 7.1, where the kernels that free the struct pages of huge pages' tails keep a mask in it
 * (compound_info_has_mask(), include/linux/page-flags.h): those with HUGETLB_PAGE_OPTIMIZE_VMEMMAP and a struct page of a
 * power of two. Without a configuration a function of mm/hugetlb_vmemmap.c tells.
 */
function compoundHead(kernel: Kernel, page: StructType): { compoundHead: Slot; tailsHoldMask?: boolean } {
  if (!page.has('compound_info')) return { compoundHead: slot(page, 'compound_head') };
  const optimizes =
    kernel.config?.enabled('HUGETLB_PAGE_OPTIMIZE_VMEMMAP') ??
    ['hugetlb_vmemmap_optimize_folio', 'hugetlb_vmemmap_optimize_folios', 'hugetlb_vmemmap_restore_folio'].some(
      (symbol) => kernel.symbols.address(symbol) !== undefined,
    );
  const isPowerOfTwo = (page.size & (page.size - 1)) === 0;
  return { compoundHead: slot(page, 'compound_info'), tailsHoldMask: optimizes && isPowerOfTwo };
}

export function pageFacts(kernel: Kernel, types: TypeTable, layout: MemoryLayout): Introspection['page'] {
  const cma = cmaFacts(kernel, types, layout);
  const isKnown = cma !== null && typeof cma !== 'string';
  const page = types.struct('page');
  // d122019bf061 "mm: Split slab into its own type" (5.17).
  const slab = types.hasStruct('slab') && types.struct('slab').has('slab_cache') ? types.struct('slab') : page;
  return {
    size: page.size,
    flags: slot(page, 'flags'),
    ...compoundHead(kernel, page),
    // 5934b1be8dbe "usercopy: Remove folio references from check_heap_object()" (6.19) asks PageCompound() of the copy's own page, then its head's page_size().
    tailsAreCompound: atLeast(kernel.version, 6, 19),
    headMask: requireFlag(types, 'PG_head'),
    reservedMask: requireFlag(types, 'PG_reserved'),
    slab: slabMark(kernel, types),
    ...compoundOrder(types),
    slabCache: slot(slab, 'slab_cache'),
    sMem: slotIfAny(slab, 's_mem'),
    ...(isKnown ? { cma } : {}),
  };
}

/** Where migrate types are kept; null where the kernel has no CMA. A text where what is known of it does not say: what is missing. */
export function cmaFacts(kernel: Kernel, types: TypeTable, layout: MemoryLayout): CmaParameters | string | null {
  const type = types.enumerator('MIGRATE_CMA');
  if (type === undefined) return kernel.config?.enabled('CMA') ? 'its types have no MIGRATE_CMA' : null;
  if (!types.hasStruct('zone')) return 'its types have no struct zone';
  const zone = types.struct('zone');
  const order = pageblockOrder(kernel, types, layout);
  const where = layout.pageValidity.kind === 'flatmem' ? zoneMap(kernel, types, zone) : sectionMap(types);
  if (order === null)
    return 'neither a variable pageblock_order nor its configuration says how large a block of pages is';
  if (where === null) return 'its types and symbols do not say where the types of blocks are kept';
  // d93d5ab9ca01 "mm/page_alloc.c: simplify pageblock bitmap access" (5.9).
  return { type, order, reversed: !atLeast(kernel.version, 5, 9), ...where };
}

/** `pageblock_order`: a variable where the sizes of huge pages vary; else a huge page's, or the buddy allocator's largest. */
function pageblockOrder(kernel: Kernel, types: TypeTable, layout: MemoryLayout): number | null {
  const variable = readWord(kernel, 'pageblock_order', 4);
  if (variable) return Number(variable);
  const areas = types.struct('zone').field('free_area');
  if (areas === undefined || !types.hasStruct('free_area') || kernel.config === null) return null;
  const largest = areas.size / types.struct('free_area').size - 1;
  if (!kernel.config.enabled('HUGETLB_PAGE')) return largest;
  return layout.hugePageShift === undefined ? null : Math.min(layout.hugePageShift - layout.pageShift, largest);
}

/** In `usage` since f1eca35a0dc7 (5.3), in the section itself before. */
function sectionMap(types: TypeTable): Pick<CmaParameters, 'map' | 'offset' | 'zones'> | null {
  if (!types.hasStruct('mem_section')) return null;
  const section = types.struct('mem_section');
  if (section.has('pageblock_flags')) return { map: slot(section, 'pageblock_flags'), offset: 0, zones: null };
  if (!section.has('usage') || !types.hasStruct('mem_section_usage')) return null;
  return {
    map: slot(section, 'usage'),
    offset: types.struct('mem_section_usage').offset('pageblock_flags'),
    zones: null,
  };
}

/** FLATMEM: one node, whose zones the highest flags of a struct page tell apart (ZONES_PGSHIFT). */
function zoneMap(
  kernel: Kernel,
  types: TypeTable,
  zone: StructType,
): Pick<CmaParameters, 'map' | 'offset' | 'zones'> | null {
  const node = kernel.symbols.address('contig_page_data');
  const count = types.enumerator('__MAX_NR_ZONES');
  if (node === undefined || count === undefined || !types.hasStruct('pglist_data')) return null;
  const width = Math.ceil(Math.log2(Number(count)));
  return {
    map: slot(zone, 'pageblock_flags'),
    offset: 0,
    zones: {
      address: node + BigInt(types.struct('pglist_data').offset('node_zones')),
      size: zone.size,
      start: slot(zone, 'zone_start_pfn'),
      shift: kernel.bits - width,
      mask: (1n << BigInt(width)) - 1n,
    },
  };
}

function sparsemem(
  kernel: Kernel,
  types: TypeTable,
  bits: { readonly sectionSizeBits: number; readonly physicalAddressBits: number },
): SparsememParameters {
  const memSection = requireSymbol(kernel, 'mem_section');
  const section = types.struct('mem_section');
  // f1eca35a0dc7 (July 2019, 5.3) made valid sections of 2 MiB pieces, told by a bitmap in `usage`; only where the struct
  // pages lie in a vmemmap: else a section is there as a whole.
  const pieces = types.hasStruct('mem_section_usage')
    ? types.struct('mem_section_usage').field('subsection_map')
    : null;
  const usage = section.has('usage') && pieces ? { pointer: slot(section, 'usage'), bitmap: pieces.offset } : null;
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
  types: TypeTable,
  kind: Extract<PageValidity, { kind: 'memblock' }>,
): PageValidityParameters {
  const address = requireSymbol(kernel, 'memblock');
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
    blockSize: kind.blockSize,
    ...(kind.sections ? { sections: sparsemem(kernel, types, kind.sections) } : {}),
  };
}

export function pageValidity(kernel: Kernel, types: TypeTable, layout: MemoryLayout): PageValidityParameters {
  const kind = layout.pageValidity;
  switch (kind.kind) {
    case 'sparsemem':
      return sparsemem(kernel, types, kind);
    case 'memblock':
      return memblock(kernel, types, kind);
    case 'flatmem':
      return { kind: 'flatmem', maxMapnr: requireSymbol(kernel, 'max_mapnr'), firstFrame: layout.firstFrame ?? 0n };
  }
}

export function pageArray(kernel: Kernel, layout: MemoryLayout): Introspection['pageArray'] {
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
export function imageMap(kernel: Kernel, layout: MemoryLayout): { readonly imageMap?: LinearMap } {
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
