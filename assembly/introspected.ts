/** The guest kernel's own view of its memory: linear map, valid page frames, struct pages. */
import { Context, Kind, LinearMap, PageArrayKind, Range, ValidityKind } from './context';
import { quotient } from './division';
import { fault, readField, readSlot, readSlotHere, readWord, readWordHere, slotAddress, structure } from './memory';
import { Unreadable } from './verdict';

/** No page frame: an address outside every linear map. */
export const NO_FRAME: u64 = u64.MAX_VALUE;
/** SUBSECTION_SHIFT, include/linux/mmzone.h (5.3 on). */
const SUBSECTION_SHIFT: u32 = 21;
/** NR_PAGEBLOCK_BITS and PB_migratetype_bits, include/linux/pageblock-flags.h. */
const PAGEBLOCK_BITS: u64 = 4;
const MIGRATE_TYPE_BITS: u64 = 3;
/** A kernel has some tens of memblock regions; more than this is a corrupt count. */
const MEMBLOCK_REGION_LIMIT: u64 = 65536;

/** Page frame of a virtual address. */
@inline
export function frameOf(c: Context, address: u64): u64 {
  let at = <usize>c.linearMaps;
  const end = at + <usize>c.linearMapCount * offsetof<LinearMap>();
  for (; at < end; at += offsetof<LinearMap>()) {
    const map = changetype<LinearMap>(at);
    const delta = address - map.virtual;
    if (address >= map.virtual && delta < map.size) return (map.physical + delta) >> c.pageShift;
  }
  return NO_FRAME;
}

/**
 * The frame that virt_to_page() leads to: it translates an address of the image, which on some architectures
 * (arm64 from f9040773b7bb, 4.6) is not of the linear map and so not virt_addr_valid().
 */
export function frameOfPage(c: Context, address: u64): u64 {
  const frame = frameOf(c, address);
  if (frame != NO_FRAME) return frame;
  const delta = address - c.imageStart;
  return delta < c.imageSize ? (c.imagePhysical + delta) >> c.pageShift : NO_FRAME;
}

/** page_to_virt(): always in the first linear map, whichever alias the pointer came from. */
function frameAddress(c: Context, frame: u64): u64 {
  const map = changetype<LinearMap>(<usize>c.linearMaps);
  return (map.virtual + ((frame << c.pageShift) - map.physical)) & c.wordMask;
}

export function isIntrospectedKmap(c: Context, address: u64, count: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    const range = changetype<Range>(<usize>c.kmapRanges + <usize>i * offsetof<Range>());
    if (address >= range.start && address < range.end) return true;
  }
  return false;
}

/** Address of the struct mem_section of a frame; 0 when there is none. */
function sectionOf(c: Context, frame: u64): u64 {
  const number = frame >> (c.sectionSizeBits - c.pageShift);
  if (number >> (c.physicalAddressBits - c.sectionSizeBits)) return 0;
  if (!c.sectionExtreme) return (c.memSection + number * c.sectionStructSize) & c.wordMask;
  const roots = readWordHere(c, Kind.VARIABLE, c.memSection);
  if (!roots) return 0;
  const root = readWordHere(c, Kind.SECTION, (roots + (number >> c.sectionRootShift) * c.wordBytes) & c.wordMask);
  if (!root) return 0;
  const inRoot = number & (((<u64>1) << c.sectionRootShift) - 1);
  return (root + inRoot * c.sectionStructSize) & c.wordMask;
}

/** pfn_valid() of SPARSEMEM; subsections from 5.3 (f46edbd1b151). */
function sparsememValid(c: Context, frame: u64): bool {
  const section = sectionOf(c, frame);
  if (!section) return false;
  const map = readSlotHere(c, Kind.SECTION, section, c.sectionMap);
  if (!(map & c.hasMemMap)) return false;
  if (!c.sectionUsage || map & c.isEarly) return true;
  const usage = readSlot(c, Kind.SECTION, section, c.sectionUsage);
  if (!usage) return false;
  const frameInSection = frame & (((<u64>1) << (c.sectionSizeBits - c.pageShift)) - 1);
  const bit = frameInSection >> (SUBSECTION_SHIFT - c.pageShift);
  const bitsPerWord = <u64>c.wordBytes * 8;
  const word = readWordHere(
    c,
    Kind.SECTION,
    (usage + c.subsectionBitmap + (bit / bitsPerWord) * c.wordBytes) & c.wordMask,
  );
  return ((word >> (bit % bitsPerWord)) & 1) != 0;
}

/** memblock_is_map_memory(): a binary search, with the kernel's own idea of an empty table. */
function memblockHolds(c: Context, physical: u64, count: u64, regions: u64): bool {
  let left: u64 = 0;
  let right = count;
  do {
    const middle = (left + right) / 2;
    const region = (regions + middle * c.memblockRegionSize) & c.wordMask;
    const base = readSlot(c, Kind.VARIABLE, region, c.memblockBase);
    if (physical < base) right = middle;
    else if (physical >= base + readSlot(c, Kind.VARIABLE, region, c.memblockLength)) left = middle + 1;
    else return !(readSlot(c, Kind.VARIABLE, region, c.memblockFlags) & c.memblockNoMap);
  } while (left < right);
  return false;
}

/** memblock_overlaps_region() of the block around an address, as arm's pfn_valid() asks (5.14 on). */
function memblockTouches(c: Context, physical: u64, count: u64, regions: u64): bool {
  const start = physical & ~(c.memblockBlockSize - 1);
  const end = start + c.memblockBlockSize;
  for (let i: u64 = 0; i < count && !c.fault; i++) {
    const region = (regions + i * c.memblockRegionSize) & c.wordMask;
    const base = readSlot(c, Kind.VARIABLE, region, c.memblockBase);
    if (start < base + readSlot(c, Kind.VARIABLE, region, c.memblockLength) && base < end) return true;
  }
  return false;
}

function memblockValid(c: Context, frame: u64): bool {
  const count = readSlot(c, Kind.VARIABLE, c.memblockMemory, c.memblockCount);
  if (count > MEMBLOCK_REGION_LIMIT) {
    fault(c, Unreadable.CORRUPT, slotAddress(c, c.memblockMemory, c.memblockCount));
    return false;
  }
  const regions = readSlot(c, Kind.VARIABLE, c.memblockMemory, c.memblockRegions);
  const physical = frame << c.pageShift;
  return c.memblockBlockSize > c.pageSize
    ? memblockTouches(c, physical, count, regions)
    : memblockHolds(c, physical, count, regions);
}

/** pfn_valid(): whether the kernel keeps a struct page for the frame. */
export function frameValid(c: Context, frame: u64): bool {
  if (frame == NO_FRAME) return false;
  switch (c.validityKind) {
    case ValidityKind.SPARSEMEM:
      return sparsememValid(c, frame);
    case ValidityKind.MEMBLOCK:
      return memblockValid(c, frame);
    default:
      return frame >= c.firstFrame && frame - c.firstFrame < readWord(c, Kind.VARIABLE, c.maxMapnr);
  }
}

/** Address of the struct page of a frame, valid or not. It also notes from where on the pages are counted. */
@inline
export function pageOf(c: Context, frame: u64): u64 {
  if (c.pageArrayKind == PageArrayKind.VMEMMAP) return (c.pageArray + frame * c.pageStructSize) & c.wordMask;
  return pageElsewhere(c, frame);
}

function pageElsewhere(c: Context, frame: u64): u64 {
  if (c.pageArrayKind == PageArrayKind.MEM_MAP) {
    c.pageBase = readWord(c, Kind.VARIABLE, c.pageArray);
    c.pageBaseFrame = c.firstFrame;
  } else {
    c.pageBase = readSlot(c, Kind.SECTION, sectionOf(c, frame), c.sectionMap) & ~c.sectionMapFlags;
    c.pageBaseFrame = 0;
  }
  return (c.pageBase + (frame - c.pageBaseFrame) * c.pageStructSize) & c.wordMask;
}

/** Place of a struct page in linear memory, for `readField()`. */
@inline
export function pageAt(c: Context, page: u64): usize {
  return structure(c, Kind.PAGE, page, c.pageFieldsEnd);
}

/**
 * compound_head() of the struct page that `pageOf()` gave, from its field: bit 0 of `compound_head` marks a tail page. The rest is
 * the head's address, or in `compound_info` (7.1) a mask for its own; struct pages lie at even addresses.
 */
@inline
export function headFrom(c: Context, page: u64, compoundHead: u64): u64 {
  if (!(compoundHead & 1)) return page;
  return c.tailsHoldMask ? page & compoundHead : compoundHead - 1;
}

export function headOf(c: Context, page: u64): u64 {
  return headFrom(c, page, readField(c, Kind.PAGE, pageAt(c, page), page, c.compoundHead));
}

/** Page frame of the head of `page`, which `pageOf()` has just given for `frame`. */
export function headFrame(c: Context, head: u64, page: u64, frame: u64): u64 {
  if (head == page) return frame;
  const isVmemmap = c.pageArrayKind == PageArrayKind.VMEMMAP;
  const base = isVmemmap ? c.pageArray : c.pageBase;
  const index = quotient((head - base) & c.wordMask, c.pageStructSize);
  return (isVmemmap ? 0 : c.pageBaseFrame) + index;
}

/** page_address() of the same. */
export function headAddress(c: Context, head: u64, page: u64, frame: u64): u64 {
  return frameAddress(c, headFrame(c, head, page, frame));
}

/** is_migrate_cma_page(): the type of the block that the page of a frame lies in (get_pfnblock_flags_mask(), mm/page_alloc.c). */
export function isCmaPage(c: Context, page: u64, frame: u64): bool {
  if (!c.cmaType) return false;
  let map: u64;
  let index: u64;
  if (c.zones) {
    const flags = readSlot(c, Kind.PAGE, page, c.pageFlags);
    const zone = (c.zones + ((flags >> c.zoneShift) & c.zoneMask) * c.zoneSize) & c.wordMask;
    const start = readSlot(c, Kind.VARIABLE, zone, c.zoneStart);
    map = readSlot(c, Kind.VARIABLE, zone, c.pageblockMap);
    index = (frame >> c.pageblockShift) - (start >> c.pageblockShift);
  } else {
    const section = sectionOf(c, frame);
    if (!section) return false;
    map = readSlot(c, Kind.SECTION, section, c.pageblockMap);
    index = (frame & (((<u64>1) << (c.sectionSizeBits - c.pageShift)) - 1)) >> c.pageblockShift;
  }
  if (!map) return false;
  const bit = index * PAGEBLOCK_BITS;
  const bitsPerWord = <u64>c.wordBytes * 8;
  const word = readWord(c, Kind.SECTION, (map + c.pageblockOffset + (bit / bitsPerWord) * c.wordBytes) & c.wordMask);
  const low = bit % bitsPerWord;
  const type = word >> (c.pageblockReversed ? bitsPerWord - low - MIGRATE_TYPE_BITS : low);
  return (type & ((1 << MIGRATE_TYPE_BITS) - 1)) == c.cmaType;
}
