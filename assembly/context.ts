/**
 * The structures that the caller and the check share. All state of the check is in them; they lie in the control area,
 * outside guest memory, and hold nothing that the guest can change. Addresses of the guest are u64, zero-extended;
 * places in linear memory are u32. A "slot" is a guest field packed into a u32: bytes (1, 2, 4, 8) << 24 | offset; 0 is
 * "no such field".
 */
import { VerdictRange } from './verdict';

/**
 * Where the context lies in linear memory. Everywhere at the same place, which compilers know: reading a field of it computes
 * no address, and native code compares none with the memory's size.
 */
export enum ContextPlace {
  OFFSET = 1024,
}

/** Values of the context's fields that choose between rules; meanings are those of `ProfileSwitches` and `Introspection`. */
export enum SkipVmalloc {
  NO = 0,
  VMALLOC_OR_MODULE = 1,
  VMALLOC = 2,
}

export enum PageSpan {
  OFF = 0,
  V3 = 1,
  V3_CMA = 2,
  V4_8 = 3,
}

export enum Kmap {
  OFF = 0,
  PKMAP = 1,
  FIXMAP = 2,
}

export enum VmallocRule {
  OFF = 0,
  VM_STRUCT = 1,
  VMAP_AREA = 2,
  VMAP_AREA_PAGE_FAULTS_ENABLED = 3,
}

export enum CurrentKind {
  DECLARED = 0,
  REGISTER = 1,
  MEMORY = 2,
  MASKED_STACK_POINTER = 3,
}

export enum ValidityKind {
  SPARSEMEM = 0,
  MEMBLOCK = 1,
  FLATMEM = 2,
}

export enum PageArrayKind {
  VMEMMAP = 0,
  MEM_MAP = 1,
  SECTION_MAP = 2,
}

export enum VmapKind {
  NONE = 0,
  TREE = 1,
  NODES = 2,
}

export enum DeclaredKind {
  SLAB = 1,
  COMPOUND_PAGE = 2,
  PLAIN_PAGES = 3,
  RESERVED_PAGES = 4,
  CMA_PAGES = 5,
  /** Stacks, kmap slots, vmalloc spaces and areas: the table they stand in says what they are. */
  RANGE = 6,
}

export enum DirectionKind {
  TO_USER = 0,
  FROM_USER = 1,
  /** The low 8 bits of `direction` are a bool: true is to_user. */
  REGISTER = 2,
  /** `pointer` is the destination and `other` the source; the one at or above TASK_SIZE is the kernel's. */
  BY_ADDRESS = 3,
}

/** What the function at a hooked entry does. */
export enum EntryRole {
  /** It copies. */
  COPY = 0,
  /** It is the kernel's own check. */
  CHECK = 1,
}

/** Where a request's return address is. */
export enum ReturnPlace {
  UNKNOWN = 0,
  /** In `returnAddress`. */
  FIELD = 1,
  /** The word that `stackPointer` leads to, while the guest stands at the entry. */
  STACK = 2,
}

/** Whether the kernel's own check is asked about a copy. */
export enum KernelAsked {
  NO = 0,
  YES = 1,
  NOT_KNOWN = 2,
}

/** What a request says of the object that the copy was held against. */
export enum Described {
  NOTHING = 0,
  /** Its bounds. */
  BOUNDS = 1,
  /** Its kmem_cache, without bounds. */
  CACHE = 2,
  /** A slab object of the guest: bounds and kmem_cache. */
  SLAB_OBJECT = 3,
  /** An object of a declared slab: bounds and declaration. */
  DECLARED_OBJECT = 4,
}

/** Kinds of what is read of guest memory. One kind seldom lies in more than one region: each has a `Window` of its own. */
export enum Kind {
  PER_CPU = 0,
  TASK = 1,
  STACK = 2,
  /** The kernel's variables. */
  VARIABLE = 3,
  /** mem_section, and what leads to one. */
  SECTION = 4,
  PAGE = 5,
  CACHE = 6,
  /** vmap_area, vm_struct, vmap_node. */
  AREA = 7,
  COUNT = 8,
}

/** A range of guest addresses that lies in linear memory. */
@unmanaged
export class Region {
  start: u64;
  size: u64;
  offset: u32;
  reserved: u32;
}

/**
 * The region that something of a kind was last found in. From `start` on, `room` addresses have `reach` bytes behind them in the region;
 * nothing of its kind is longer than that, so that one comparison says whether it is there. `room` 0: none was found yet, or
 * regions have changed.
 */
@unmanaged
export class Window {
  start: u64;
  room: u64;
  offset: u32;
  reach: u32;
}

/** Guest virtual [virtual, virtual + size) is physical [physical, …). */
@unmanaged
export class LinearMap {
  virtual: u64;
  size: u64;
  physical: u64;
}

@unmanaged
export class Range {
  start: u64;
  end: u64;
}

/** Memory that was declared; starts as a `Range` does. */
@unmanaged
export class Declared {
  start: u64;
  end: u64;
  objectStride: u64;
  objectSize: u64;
  useroffset: u32;
  usersize: u32;
  redLeftPad: u32;
  kind: u32;
  /** The declaration's number, for the caller. */
  id: u32;
  reserved: u32;
}

/** One copy to judge. The first eight fields are registers as a hook reads them. */
@unmanaged
export class Request {
  pointer: u64;
  size: u64;
  other: u64;
  direction: u64;
  stackPointer: u64;
  framePointer: u64;
  currentBase: u64;
  /** Where the caller goes on; told by `returnPlace`. */
  returnAddress: u64;
  /** A `DirectionKind`. */
  directionKind: u8;
  /** 32: only the low half of `size` counts; else 64. */
  sizeBits: u8;
  /** Nonzero: the object is described on a good verdict too. */
  explain: u8;
  /** Which entry point the request is made at; one entry point has one number, 0 is none. */
  entry: u8;
  /** An `EntryRole`. */
  role: u8;
  /** A `ReturnPlace`. */
  returnPlace: u8;
  /** Out of the judges of whole copies: a `KernelAsked`. */
  kernelAsked: u8;
  reserved: u8;
  /** Out: a `Described`: which of the fields below say something of an object. */
  described: u8;
  /** Out: 1 when `judgedPointer` is read by the user. */
  toUser: u8;
  /** Out: the verdict's number. */
  code: u16;
  /** The entry point's function: its first byte, and the first after it; both 0 where it is not known. */
  bodyStart: u64;
  bodyEnd: u64;
  /** Out: kernel pointer that was judged; set when the verdict is not a plain pass. */
  judgedPointer: u64;
  /** Out: what the kernel prints as offset; the address, when the verdict is "unreadable". */
  offset: u64;
  /** Out: what the kernel prints as size. */
  printedSize: u64;
  /** Out: the object's bounds and window. */
  objectStart: u64;
  objectEnd: u64;
  windowStart: u64;
  windowEnd: u64;
  /** Out: address of the kmem_cache, or the declaration's number. */
  cache: u64;
}

@unmanaged
export class Context {
  wordMask: u64;
  pageSize: u64;
  pageShift: u32;
  wordBytes: u32;
  bigEndian: u8;

  oldFormat: u8;
  stackFirst: u8;
  wrapCountsEnd: u8;
  textTouchCounts: u8;
  linearText: u8;
  skipVmalloc: u8;
  pageSpan: u8;
  whitelist: u8;
  fallback: u8;
  kmap: u8;
  highmem: u8;
  vmalloc: u8;
  folio: u8;
  depth: u8;
  kfence: u8;
  bypass: u8;
  /** Whether the guest's structures may be read at all. */
  introspected: u8;
  /** SLAB instead of SLUB. */
  slabAllocator: u8;
  /** Whether `host.read` may be called for addresses outside every region. */
  hostReads: u8;

  textStart: u64;
  textEnd: u64;
  linearTextStart: u64;
  linearTextEnd: u64;
  rodataStart: u64;
  rodataEnd: u64;
  dataStart: u64;
  dataEnd: u64;
  bssStart: u64;
  bssEnd: u64;
  taskSize: u64;

  threadSize: u64;
  currentOffset: u64;
  depthOfCheck: u64;
  depthOfPrint: u64;
  frameSaved: u64;
  frameHeader: u64;
  frameEntryToCaller: u64;
  frameBias: u64;
  currentKind: u32;
  taskStack: u32;
  checksFrames: u32;

  regions: u32;
  regionCount: u32;
  declaredStacks: u32;
  declaredStackCount: u32;
  declaredKmaps: u32;
  declaredKmapCount: u32;
  declaredVmallocSpaces: u32;
  declaredVmallocSpaceCount: u32;
  declaredVmallocAreas: u32;
  declaredVmallocAreaCount: u32;
  declaredObjects: u32;
  declaredObjectCount: u32;
  /** Where the first entry of each table starts, and the bytes from there to the end of its last; 0 where it has none. */
  declaredStackStart: u64;
  declaredStackSpan: u64;
  declaredKmapStart: u64;
  declaredKmapSpan: u64;
  declaredVmallocSpaceStart: u64;
  declaredVmallocSpaceSpan: u64;
  declaredVmallocAreaStart: u64;
  declaredVmallocAreaSpan: u64;
  declaredObjectStart: u64;
  declaredObjectSpan: u64;
  /**
   * For each of these tables `2^(32 - declaredHintShift)` of u32, where the entry lies that was found last for an address of the same
   * hash. A hint is believed when the entry's own addresses prove it, so that changes of a table leave them alone.
   */
  declaredStackHints: u32;
  declaredKmapHints: u32;
  declaredVmallocSpaceHints: u32;
  declaredVmallocAreaHints: u32;
  declaredObjectHints: u32;
  declaredHintShift: u32;

  linearMaps: u32;
  linearMapCount: u32;
  /** The image's own mapping, where only virt_to_page() follows it. */
  imageStart: u64;
  imageSize: u64;
  imagePhysical: u64;
  kmapRanges: u32;
  kmapRangeCount: u32;
  vmallocStart: u64;
  vmallocEnd: u64;
  modulesStart: u64;
  modulesEnd: u64;
  bypassKey: u64;
  pagefaultDisabled: u32;

  validityKind: u32;
  memSection: u64;
  sectionStructSize: u64;
  hasMemMap: u64;
  isEarly: u64;
  sectionMapFlags: u64;
  sectionMap: u32;
  sectionExtreme: u32;
  /** log2 of SECTIONS_PER_ROOT. */
  sectionRootShift: u32;
  sectionSizeBits: u32;
  physicalAddressBits: u32;
  sectionUsage: u32;
  subsectionBitmap: u32;
  memblockMemory: u64;
  memblockRegionSize: u64;
  memblockNoMap: u64;
  memblockBlockSize: u64;
  memblockCount: u32;
  memblockRegions: u32;
  memblockBase: u32;
  memblockLength: u32;
  memblockFlags: u32;
  pageArrayKind: u32;
  maxMapnr: u64;
  firstFrame: u64;
  pageArray: u64;

  pageStructSize: u64;
  headMask: u64;
  reservedMask: u64;
  slabMask: u64;
  slabValue: u64;
  orderMask: u64;
  /** Where the fields of a head page that are always read end. */
  pageFieldsEnd: u32;
  pageFlags: u32;
  compoundHead: u32;
  /** Nonzero: a tail's `compoundHead` is a mask that leads from its own address to the head's. */
  tailsHoldMask: u32;
  /** Nonzero: a tail is part of a compound page whatever its head is. */
  tailsAreCompound: u32;
  /** MIGRATE_CMA; 0: the types of page blocks are not read. */
  cmaType: u32;
  /** log2 of the pages in a page block. */
  pageblockShift: u32;
  /** In a section or zone: the pointer to what holds the bitmap of types, which begins so many bytes behind. */
  pageblockMap: u32;
  pageblockOffset: u32;
  /** Nonzero: a block's bits count from a word's highest. */
  pageblockReversed: u32;
  /** FLATMEM: the first zone, 0 with sections; the bytes of each, where a struct page's flags name one, and its first frame. */
  zones: u64;
  zoneSize: u64;
  zoneMask: u64;
  zoneShift: u32;
  zoneStart: u32;
  /** The field that says "slab": the flags, or `page_type`. */
  slabField: u32;
  order: u32;
  slabCache: u32;
  slabMem: u32;

  /** Where the fields of a kmem_cache end. */
  cacheFieldsEnd: u32;
  cacheSize: u32;
  cacheObjectSize: u32;
  cacheUseroffset: u32;
  cacheUsersize: u32;
  cacheFlags: u32;
  cacheRedLeftPad: u32;
  cacheInuse: u32;
  cacheNum: u32;
  cacheReciprocal: u32;
  cacheObjOffset: u32;
  flagRedZone: u64;
  flagPoison: u64;
  flagStoreUser: u64;
  flagTypesafeByRcu: u64;
  slubDebugEnabled: u64;

  vmapKind: u32;
  vmapNodeSize: u32;
  vmapRoot: u64;
  vmapNodeCount: u64;
  vmapZoneSize: u64;
  vmapNoGuard: u64;
  vmapRbNode: u64;
  vmapBusyRoot: u32;
  vaStart: u32;
  vaEnd: u32;
  rbLeft: u32;
  rbRight: u32;
  vmStruct: u32;
  vmSize: u32;
  vmFlags: u32;
  /** Where the fields of a vmap_area that are always read end. */
  areaFieldsEnd: u32;

  kfencePool: u64;
  kfencePoolSize: u64;
  kfenceMetadata: u64;
  kfenceMetadataSize: u64;
  kfenceIndirect: u32;
  kfenceObjectAddress: u32;

  /** 0, or the `Unreadable` that ended the check, and its address. The first one is kept. */
  fault: u32;
  /** Set by `pageOf()`: the struct page of page frame `pageBaseFrame` is at `pageBase`. */
  pageBaseFrame: u64;
  faultAddress: u64;
  pageBase: u64;
  /** Set by `lookUpPage()`. */
  pageHead: u64;
  pageFrame: u64;
  pageOrigin: u32;
  pageReserved: u8;
  pageCma: u8;
  /** Where `host.read` puts its bytes. */
  scratch: u64;

  /** Starts of the kernel's functions, sorted: u32 each, counted from `functionBase`. */
  functions: u32;
  functionCount: u32;
  functionBase: u64;

  /** The copy that is under way, see copies.ts. Its first arrival: entry point (0: none), role, where its caller goes on, stack pointer, … */
  copyEntry: u32;
  copyRole: u32;
  copyReturn: u64;
  copyStackPointer: u64;
  /** … the kernel's and the user's first byte, bytes, direction, and its function's bounds. */
  copyKernel: u64;
  copyUser: u64;
  copySize: u64;
  copyToUser: u32;
  /** Its verdict. */
  copyCode: u32;
  copyBodyStart: u64;
  copyBodyEnd: u64;
  /** Bytes at the start of a checked range that copies have passed through. */
  copyDone: u64;
  /** Whether the kernel's own check is asked about it (a `KernelAsked`). */
  copyAsked: u32;
  /** The last arrival: entry point, stack pointer, where its caller goes on, and its function's bounds. */
  lastEntry: u32;
  lastStackPointer: u64;
  lastReturn: u64;
  lastBodyStart: u64;
  lastBodyEnd: u64;
  /** The last ranges that the kernel's check was asked about: `CheckedRanges.COUNT` of them, and which is the next to be written over. */
  checkedRanges: u32;
  checkedNext: u32;
}

/** A range that the kernel's check was asked about, and the stack pointer then. `size` 0: none. */
@unmanaged
export class CheckedRange {
  kernel: u64;
  size: u64;
  stackPointer: u64;
  toUser: u64;
}

export enum CheckedRanges {
  COUNT = 8,
}

/** What a look at a copy that the check let pass came to. */
export enum LookResult {
  /** No slab: nothing that a look knows. */
  ELSEWHERE = 1,
  /** In objects that are in use, over none of their red zones. */
  ALLOCATED = 2,
  FREED = 3,
  RED_ZONE = 4,
  /** `Look.unknown` says why. */
  UNKNOWN = 5,
}

/** Why the state of a slab object is not known. */
export enum Unknown {
  /** Guest memory is not there: `Look.missing`. */
  NOT_READABLE = 1,
  /** A list leaves its slab or does not end, or a structure makes no sense. */
  MAKES_NO_SENSE = 2,
  /** The types do not tell where free pointers lie. */
  NO_FREE_POINTERS = 3,
  /** A CPU has the slab for itself, and its list of free objects is not found. */
  SLAB_OF_A_CPU = 4,
  /** On no list, and free objects of the cache also wait in sheaves, not all of which can be found. */
  MAY_BE_IN_A_SHEAF = 5,
  /** On no list, and SLAB also keeps free objects in arrays of its CPUs and nodes, which are not read. */
  MAY_BE_IN_AN_ARRAY = 6,
  /** On no list, and KASAN's quarantine holds free objects, which are not read. */
  MAY_BE_IN_QUARANTINE = 7,
  /** A KFENCE object that waits for a grace period, or a page of the pool without one; or the types lack KFENCE's states. */
  OF_KFENCE = 8,
  COUNT = 9,
}

/**
 * Where a kernel keeps which slab objects are free; behind it, what the last look found. Members are slots as the context has
 * them; those of bit fields with the bits to shift by and the mask to take then. Addresses are 0 where there is no such symbol.
 */
@unmanaged
export class Look {
  /** struct slab, or struct page before 5.17. `objects` is SLUB's, `active` is SLAB's. */
  freelist: u32;
  objects: u32;
  objectsShift: u32;
  objectsMask: u32;
  frozen: u32;
  frozenShift: u32;
  active: u32;
  /** SLAB: bytes of an index in the list; nonzero: CPUs have arrays of free objects, too. */
  indexBytes: u32;
  arrays: u32;
  /** kmem_cache. */
  freePointer: u32;
  random: u32;
  cpuSlab: u32;
  cpuSheaves: u32;
  sheafCapacity: u32;
  /** kmem_cache_cpu: which slab the CPU has for itself, and its list of free objects. */
  cpuSlabPage: u32;
  cpuFreelist: u32;
  perCpuOffset: u64;
  cpuCount: u64;
  /** More words `__per_cpu_offset` does not have. */
  mostCpus: u32;
  /** slub_percpu_sheaves: three of them, 0 for one that is not there. */
  sheafMain: u32;
  sheafSpare: u32;
  sheafRcuFree: u32;
  /** slab_sheaf: how many objects, where they begin, and its place on the list of a barn. */
  sheafSize: u32;
  sheafObjects: u32;
  sheafBarnList: u32;
  /** kmem_cache: the nodes' members, from the first to the end, and from one to the next. */
  nodes: u32;
  nodesEnd: u32;
  nodeStride: u32;
  /** Nonzero: the members themselves hold `nodeBarn`; 0: they point to what does. */
  nodesInline: u32;
  nodeBarn: u32;
  /** node_barn: the list of full sheaves. */
  barnFull: u32;
  /** kfence_metadata, and two values of its state; `kfenceState` 0: not known. */
  kfenceState: u32;
  kfenceSize: u32;
  kfenceCache: u32;
  kfenceAllocated: u32;
  kfenceFreed: u32;
  /** Flags of a cache whose objects tell what was asked for; 0: none. Where they tell it, counted from the metadata's start. */
  asked: u32;
  flagsOfAsked: u64;
  /** KASAN's quarantine exists. */
  quarantine: u32;
  /** A bit for each object of a slab, set where it is free: `Looks.OBJECTS` of them. */
  bits: u32;

  /** Out: a `LookResult`, and an `Unknown` or 0. */
  result: u32;
  unknown: u32;
  /** The first address whose bytes were not there. */
  missing: u64;
  /** The object that decided: of which cache, which one of its slab, and its bytes. */
  cache: u64;
  index: u32;
  count: u32;
  objectStart: u64;
  objectEnd: u64;
  /** The red zone that the copy touches; both 0 without. */
  zoneStart: u64;
  zoneEnd: u64;
  /** The slab's objects: first byte of the first one's place, first byte after the last one's, and from one to the next. */
  slabStart: u64;
  slabEnd: u64;
  stride: u64;
  /** Bytes of red zone before each object. */
  leftZone: u64;
  /** Bytes from a place's start to the object, and of an object; bytes until its metadata begin. */
  lead: u64;
  objectSize: u64;
  inuse: u64;
}

export enum Looks {
  /** More than the smallest objects in the largest slab. */
  OBJECTS = 65536,
}

/** Behind the context: a u64 for each verdict and direction (from_user first). */
export enum Statistics {
  BYTES = VerdictRange.COUNT * 2 * <i32>sizeof<u64>(),
}

/** Behind those: a `Window` for each `Kind`. Bytes from the context's start. */
export enum WindowPlace {
  OFFSET = <i32>offsetof<Context>() + Statistics.BYTES,
}
