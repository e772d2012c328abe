/**
 * Random guests for the differential test: kernel structures laid out in byte buffers at random offsets, in either byte
 * order and word size, with pages of 4 to 64 KiB; and declared worlds without any structures. Every world lists the
 * addresses at which verdicts change, so that copies can be aimed at them.
 */
import type {
  AddressRange,
  CheckParameters,
  Declaration,
  Introspection,
  PageValidityParameters,
  ProfileSwitches,
  Slot,
  StackParameters,
  VmapAreaSlots,
} from '../src/parameters.js';
import type { Copy } from '../src/verdict.js';
import type { CopyRegisters } from './oracle.js';
import type { ReadMemory } from './oracle-memory.js';
import type { Random } from './random.js';
import { layOut } from './random-layout.js';

/** Guest bytes that exist; everything else is unreadable. */
export interface Region {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export interface World {
  readonly parameters: CheckParameters;
  readonly declarations: readonly Declaration[];
  readonly regions: readonly Region[];
  /** Addresses at which a verdict may change, in order; those of slab objects apart, since they are the most. */
  readonly boundaries: readonly bigint[];
  readonly objectBoundaries: readonly bigint[];
  readonly registers: CopyRegisters;
}

export function readerOf(world: Pick<World, 'regions'>): ReadMemory {
  return (address, length) => {
    for (const region of world.regions) {
      const offset = address - region.address;
      if (offset >= 0n && offset + BigInt(length) <= BigInt(region.bytes.length)) {
        return region.bytes.subarray(Number(offset), Number(offset) + length);
      }
    }
    return undefined;
  };
}

const V3: ProfileSwitches = {
  format: 'old',
  stackFirst: false,
  wrapCountsEnd: true,
  textTouchCounts: true,
  linearText: false,
  skipVmalloc: 'no',
  pageSpan: 'v3',
  whitelist: false,
  fallback: false,
  kmap: 'off',
  highmem: false,
  vmalloc: 'off',
  folio: false,
  depth: false,
  kfence: false,
  bypass: false,
};
const V4_8: ProfileSwitches = {
  ...V3,
  textTouchCounts: false,
  linearText: true,
  skipVmalloc: 'vmalloc or module',
  pageSpan: '4.8',
};
const V4_16: ProfileSwitches = {
  ...V4_8,
  format: 'new',
  skipVmalloc: 'unless virt_addr_valid',
  whitelist: true,
};
const V5_0: ProfileSwitches = { ...V4_16, stackFirst: true, wrapCountsEnd: false, highmem: true, pageSpan: 'off' };
const V5_18: ProfileSwitches = {
  ...V5_0,
  skipVmalloc: 'no',
  kmap: 'pkmap',
  vmalloc: 'vm_struct',
  folio: true,
  depth: true,
  kfence: true,
};
const V6_1: ProfileSwitches = { ...V5_18, vmalloc: 'vmap_area, page faults enabled' };

/** The switches of each era, written from the history of mm/usercopy.c and not taken from the program under test. */
export const ERAS: Readonly<Record<string, ProfileSwitches>> = {
  v3: V3,
  'v3-cma': { ...V3, pageSpan: 'v3-cma' },
  '4.8': V4_8,
  '4.8 without PAGESPAN': { ...V4_8, pageSpan: 'off' },
  '4.16': V4_16,
  '4.16 with fallback': { ...V4_16, fallback: true, pageSpan: 'off' },
  '5.0': V5_0,
  '5.0 with PAGESPAN and fallback': { ...V5_0, pageSpan: '4.8', fallback: true },
  '5.18': V5_18,
  '6.1 before d319f344561d': { ...V6_1, vmalloc: 'vmap_area' },
  '6.1': V6_1,
  '6.12': { ...V6_1, kmap: 'fixmap' },
};

/** Mostly an era as it was, sometimes with switches turned at random: the rules must not depend on their company. */
export function randomSwitches(random: Random): ProfileSwitches {
  const era = ERAS[random.pick(Object.keys(ERAS))] as ProfileSwitches;
  const turn = (value: boolean) => (random.chance(0.1) ? !value : value);
  if (random.chance(0.6)) return era;
  return {
    ...era,
    stackFirst: turn(era.stackFirst),
    wrapCountsEnd: turn(era.wrapCountsEnd),
    textTouchCounts: turn(era.textTouchCounts),
    linearText: turn(era.linearText),
    whitelist: turn(era.whitelist),
    fallback: turn(era.fallback),
    folio: turn(era.folio),
    depth: turn(era.depth),
    kfence: turn(era.kfence),
    bypass: random.chance(0.02),
  };
}

/** A copy that begins within 64 bytes of a boundary, and mostly ends within 64 bytes of one soon after. */
export function randomCopy(random: Random, world: World): Copy {
  const { bits, pageShift } = world.parameters;
  const mask = (1n << BigInt(bits)) - 1n;
  const nudge = () => BigInt(random.pick([0, 0, 0, -1, 1, random.between(-64, 64)]));
  const boundaries =
    world.objectBoundaries.length > 0 && random.chance(0.4) ? world.objectBoundaries : world.boundaries;
  const at = random.below(boundaries.length);
  const pointer = (random.chance(0.97) ? (boundaries[at] as bigint) + nudge() : random.word()) & mask;
  let size: bigint;
  if (random.chance(0.5)) {
    const later = boundaries[Math.min(boundaries.length - 1, at + random.below(8))] as bigint;
    size = (later + nudge() - pointer) & mask;
  } else if (random.chance(0.7)) {
    size = BigInt(random.between(0, 300));
  } else if (random.chance(0.9)) {
    size = BigInt(random.between(0, 5) << pageShift) + BigInt(random.between(0, 130));
  } else {
    size = random.word() & mask;
  }
  return { pointer, size, direction: random.chance(0.5) ? 'to_user' : 'from_user' };
}

function inOrder(addresses: bigint[]): bigint[] {
  return addresses.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** A bump allocator over one region of guest memory, that stores words as the guest would. */
class Builder {
  readonly bytes: Uint8Array;
  private used = 0;

  constructor(
    readonly address: bigint,
    size: number,
    private readonly wordBytes: number,
    private readonly bigEndian: boolean,
  ) {
    this.bytes = new Uint8Array(size);
  }

  allocate(size: number, alignment = 8): bigint {
    this.used = Math.ceil(this.used / alignment) * alignment;
    const address = this.address + BigInt(this.used);
    this.used += size;
    if (this.used > this.bytes.length) throw new Error('the test world is too small for its structures');
    return address;
  }

  store(address: bigint, size: number, value: bigint): void {
    const offset = Number(address - this.address);
    if (offset < 0 || offset + size > this.bytes.length) throw new Error('a store outside the test world');
    let rest = BigInt.asUintN(size * 8, value);
    for (let i = 0; i < size; i++) {
      this.bytes[offset + (this.bigEndian ? size - 1 - i : i)] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }

  storeWord(address: bigint, value: bigint): void {
    this.store(address, this.wordBytes, value);
  }

  storeField(base: bigint, slot: Slot, value: bigint): void {
    this.store(base + BigInt(slot.offset), slot.size, value);
  }

  string(text: string): bigint {
    const address = this.allocate(text.length + 1, 1);
    for (let i = 0; i < text.length; i++) this.store(address + BigInt(i), 1, BigInt(text.charCodeAt(i)));
    return address;
  }
}

interface Layout {
  readonly linear: bigint;
  readonly linearSize: bigint;
  readonly vmalloc: bigint;
  readonly vmallocSize: bigint;
  readonly modules: AddressRange;
  readonly kmap: bigint;
  readonly structures: bigint;
  readonly structPages: bigint;
  /** Start of the kernel image's own mapping; null where the image lies in the linear map. */
  readonly image: bigint | null;
}

const LAYOUTS_64: readonly Layout[] = [
  {
    linear: 0xffff_8880_0000_0000n,
    linearSize: 1n << 40n,
    vmalloc: 0xffff_c900_0000_0000n,
    vmallocSize: 1n << 32n,
    modules: { start: 0xffff_ffff_a000_0000n, end: 0xffff_ffff_ff00_0000n },
    kmap: 0xffff_fff0_0000_0000n,
    structures: 0xffff_f000_0000_0000n,
    structPages: 0xffff_ea00_1000_0000n,
    image: 0xffff_ffff_8100_0000n,
  },
  {
    linear: 0x0n,
    linearSize: 1n << 36n,
    vmalloc: 0x37f_0000_0000n,
    vmallocSize: 1n << 31n,
    modules: { start: 0x3ff_8000_0000n, end: 0x400_0000_0000n },
    kmap: 0x500_0000_0000n,
    structures: 0x600_0000_0000n,
    structPages: 0x372_0000_0000n,
    image: null,
  },
];
const LAYOUTS_32: readonly Layout[] = [
  {
    linear: 0xc000_0000n,
    linearSize: 0x2000_0000n,
    vmalloc: 0xe080_0000n,
    vmallocSize: 0x0f00_0000n,
    modules: { start: 0xbf00_0000n, end: 0xbfe0_0000n },
    kmap: 0xffa0_0000n,
    structures: 0xf800_0000n,
    structPages: 0xf600_0000n,
    image: null,
  },
];

/** RAM of an introspected world, in pages. */
const RAM_PAGES = 96;

/** A guest with kernel structures; with `corrupt`, some of their bytes are overwritten with garbage afterwards. */
export function introspectedWorld(random: Random, corrupt = false): World {
  const bits = random.pick([32, 64] as const);
  const endian = random.pick(['little', 'big'] as const);
  const pageShift = random.pick([12, 12, 13, 14, 16]);
  const wordBytes = bits / 8;
  const pageBytes = 1 << pageShift;
  const pageSize = BigInt(pageBytes);
  const mask = (1n << BigInt(bits)) - 1n;
  const switches = randomSwitches(random);
  const layout = random.pick(bits === 64 ? LAYOUTS_64 : LAYOUTS_32);
  const kernel = new Builder(layout.structures, 1 << 17, wordBytes, endian === 'big');
  const boundaries: bigint[] = [0n, 16n, mask + 1n, layout.linear + layout.linearSize];
  const objectBoundaries: bigint[] = [];

  /* RAM: some frames at a random physical address, the linear map shifted by it or not. */
  const firstFrame = BigInt(random.between(1, 0x1000_0000 >> pageShift));
  const ramPhysical = firstFrame << BigInt(pageShift);
  const linearPhysical = random.chance(0.5) ? 0n : ramPhysical & ~0x1f_ffffn;
  const ram = layout.linear + ramPhysical - linearPhysical;
  const ramEnd = ram + BigInt(RAM_PAGES) * pageSize;
  boundaries.push(ram, ramEnd);

  /* struct page: fields at random places; the order of a compound page lies in the first tail. */
  const page = layOut(
    random,
    { flags: wordBytes, compoundHead: wordBytes, slabCache: wordBytes, pageType: 4, sMem: wordBytes, order: 1 },
    16,
  );
  const pageStruct = page.size;
  const structPages = new Builder(layout.structPages, pageStruct * (RAM_PAGES + 2), wordBytes, endian === 'big');
  const pageAt = (index: number) => structPages.address + BigInt(index * pageStruct);
  const flagBits = random.pick([
    { head: 1n << 16n, reserved: 1n << 12n, slab: 1n << 9n },
    { head: 1n << 14n, reserved: 1n << 10n, slab: 1n << 7n },
  ]);
  const slabByType = random.chance(0.3);
  const allocator = random.chance(0.35) ? 'SLAB' : 'SLUB';

  const origin = structPages.address - firstFrame * BigInt(pageStruct);
  const pageValidity = validityOf(random, kernel, {
    ramPhysical,
    pageShift,
    firstFrame,
    wordBytes,
    origin,
    pageStruct,
  });
  const pageArray = pageArrayOf(random, kernel, pageValidity, origin & mask, structPages.address);

  /* kmem_cache */
  const cacheLayout = layOut(
    random,
    {
      name: wordBytes,
      size: 4,
      objectSize: 4,
      useroffset: 4,
      usersize: 4,
      flags: random.pick([4, wordBytes]),
      redLeftPad: 4,
      inuse: 4,
      num: 4,
      reciprocal: 8,
      objOffset: 4,
    },
    8,
  );
  const cacheSlot = cacheLayout.slots;
  const hasWindow = random.chance(0.9);
  const debugEnabled = random.chance(0.5) ? kernel.allocate(4, 4) : null;
  if (debugEnabled !== null) kernel.store(debugEnabled, 4, random.chance(0.7) ? 1n : 0n);
  const RED_ZONE = 0x400n;
  const POISON = 0x800n;
  const STORE_USER = 0x1_0000n;
  const TYPESAFE_BY_RCU = 0x8_0000n;
  const hasObjOffset = random.chance(0.5);

  interface Cache {
    readonly address: bigint;
    readonly stride: number;
    readonly objectSize: number;
    readonly pad: number;
    readonly useroffset: number;
    readonly usersize: number;
    readonly num: number;
  }
  const makeCache = (index: number, slabBytes: number): Cache => {
    const address = kernel.allocate(cacheLayout.size, 8);
    const objectSize = random.pick(
      [1, 8, 24, 64, 96, 192, 200, 700, 1024, 2048].filter((size) => size * 2 <= slabBytes),
    );
    const redZoned = random.chance(0.3);
    const pad = redZoned ? random.pick([0, 8, 64]) : random.pick([0, 0, 16]);
    const inuse = objectSize + random.pick([0, 8]);
    const stride = inuse + pad + random.pick([0, 0, 8, 40]);
    const useroffset = random.pick([0, 0, random.below(objectSize + 1)]);
    const usersize = random.pick([objectSize - useroffset, 0, random.below(objectSize - useroffset + 1)]);
    const num = Math.max(1, Math.floor(slabBytes / stride));
    let flags = redZoned ? RED_ZONE : 0n;
    if (random.chance(0.15)) flags |= POISON;
    if (random.chance(0.15)) flags |= STORE_USER;
    if (random.chance(0.15)) flags |= TYPESAFE_BY_RCU;
    kernel.storeField(address, cacheSlot.name, random.chance(0.95) ? kernel.string(`cache-${index}`) : 0n);
    kernel.storeField(address, cacheSlot.size, BigInt(stride));
    kernel.storeField(address, cacheSlot.objectSize, BigInt(objectSize));
    kernel.storeField(address, cacheSlot.useroffset, BigInt(useroffset));
    kernel.storeField(address, cacheSlot.usersize, BigInt(usersize));
    kernel.storeField(address, cacheSlot.flags, flags);
    kernel.storeField(address, cacheSlot.redLeftPad, BigInt(pad));
    kernel.storeField(address, cacheSlot.inuse, BigInt(inuse));
    kernel.storeField(address, cacheSlot.num, BigInt(num));
    kernel.storeField(address, cacheSlot.objOffset, BigInt(hasObjOffset ? pad : 0));
    const reciprocal = address + BigInt(cacheSlot.reciprocal.offset);
    const { multiplier, shift1, shift2 } = reciprocalOf(stride);
    kernel.store(reciprocal, 4, multiplier);
    kernel.store(reciprocal + 4n, 1, shift1);
    kernel.store(reciprocal + 5n, 1, shift2);
    return { address, stride, objectSize, pad, useroffset, usersize, num };
  };

  /* Fill RAM with slabs, compound pages, reserved and plain pages. */
  const markSlab = (index: number, order: number, cache: Cache, start: bigint) => {
    const head = pageAt(index);
    structPages.storeField(
      head,
      page.slots.flags,
      (order > 0 ? flagBits.head : 0n) | (slabByType ? 0n : flagBits.slab),
    );
    structPages.storeField(head, page.slots.pageType, slabByType ? 0xf500_0001n : 0xffff_ffffn);
    structPages.storeField(head, page.slots.slabCache, cache.address);
    structPages.storeField(head, page.slots.sMem, start);
    for (let object = 0; object < cache.num; object += object < 3 ? 1 : Math.max(1, cache.num - 4)) {
      const slot = start + BigInt(object * cache.stride);
      const first = slot + BigInt(cache.pad);
      objectBoundaries.push(slot, first, first + BigInt(cache.objectSize), slot + BigInt(cache.stride));
      objectBoundaries.push(first + BigInt(cache.useroffset), first + BigInt(cache.useroffset + cache.usersize));
    }
  };
  const makeCompound = (index: number, order: number) => {
    const head = pageAt(index);
    for (let tail = 1; tail < 1 << order; tail++) {
      structPages.storeField(pageAt(index + tail), page.slots.compoundHead, head + 1n);
    }
    structPages.storeField(pageAt(index + 1), page.slots.order, BigInt(order));
    const start = ram + BigInt(index) * pageSize;
    boundaries.push(start, start + pageSize, start + (pageSize << BigInt(order)));
  };
  const reservedBits = () => (random.chance(0.9) ? flagBits.reserved : 0n);
  for (let index = 0; index < RAM_PAGES; ) {
    const order = Math.min(random.pick([0, 0, 1, 2, 3]), Math.floor(Math.log2(RAM_PAGES - index)));
    const start = ram + BigInt(index) * pageSize;
    const kind = random.pick(['slab', 'slab', 'compound', 'plain', 'reserved'] as const);
    for (let each = index; each < index + (1 << order); each++) {
      structPages.storeField(pageAt(each), page.slots.pageType, 0xffff_ffffn);
    }
    if (kind === 'slab') {
      if (order > 0) makeCompound(index, order);
      const colour = allocator === 'SLAB' ? random.pick([0, 64]) : 0;
      const cache = makeCache(index, (pageBytes << order) - colour);
      markSlab(index, order, cache, start + BigInt(colour));
    } else if (kind === 'compound' && order > 0) {
      makeCompound(index, order);
      structPages.storeField(
        pageAt(index),
        page.slots.flags,
        flagBits.head | (random.chance(0.2) ? flagBits.reserved : 0n),
      );
    } else {
      boundaries.push(start, start + pageSize);
      for (let each = index; each < index + (1 << order); each++) {
        structPages.storeField(pageAt(each), page.slots.flags, kind === 'reserved' ? reservedBits() : 0n);
      }
    }
    index += 1 << order;
  }

  const kfence = random.chance(0.3)
    ? kfencePool(random, kernel, {
        ram,
        pageBytes,
        wordBytes,
        boundaries,
        mark: (index, start, objectBytes) => {
          const cache = makeCache(1000 + index, Math.max(pageBytes, objectBytes));
          structPages.storeField(pageAt(index), page.slots.compoundHead, 0n);
          markSlab(index, 0, cache, start);
        },
      })
    : null;

  const vmap = vmapOf(random, kernel, { layout, pageSize, wordBytes, boundaries });
  const kmap: AddressRange[] = [];
  if (random.chance(0.4)) {
    kmap.push({ start: layout.kmap, end: layout.kmap + 4n * pageSize });
    kmap.push({ start: layout.kmap + 8n * pageSize, end: layout.kmap + 10n * pageSize });
    for (const range of kmap) boundaries.push(range.start, range.start + pageSize, range.end);
  }

  /* The kernel image: the first pages of RAM, in the linear map or also in a mapping of its own. */
  const imageBase = layout.image ?? ram;
  const imageSize = 8n * pageSize;
  const linearMaps = [{ virtual: layout.linear, size: layout.linearSize, physical: linearPhysical }];
  if (layout.image !== null) linearMaps.push({ virtual: layout.image, size: imageSize, physical: ramPhysical });
  const text = {
    start: imageBase + BigInt(random.below(100)),
    end: imageBase + 2n * pageSize + BigInt(random.below(100)),
  };
  const linearText =
    layout.image === null ? null : { start: text.start - imageBase + ram, end: text.end - imageBase + ram };
  const section = (from: number, to: number): AddressRange | null =>
    random.chance(0.15)
      ? null
      : { start: imageBase + BigInt(from) * pageSize + 40n, end: imageBase + BigInt(to) * pageSize + 24n };
  const rodata = section(2, 4);
  const data = section(4, 6);
  const bss = section(6, 7);
  for (const range of [text, linearText, rodata, data, bss])
    if (range !== null) boundaries.push(range.start, range.end);

  const {
    stack,
    registers,
    regions: stackRegions,
  } = stackOf(random, kernel, { layout, wordBytes, mask, boundaries, ram, pageBytes });
  const pagefaultDisabled = random.chance(0.7) && stack.current.kind !== 'declared' ? { offset: 0, size: 4 } : null;
  const bypassKey = random.chance(0.3) ? kernel.allocate(4, 4) : null;
  if (bypassKey !== null && random.chance(0.05)) kernel.store(bypassKey, 4, 1n);

  const introspection: Introspection = {
    linearMaps,
    vmalloc: { start: layout.vmalloc, end: layout.vmalloc + layout.vmallocSize },
    modules: layout.modules,
    kmap,
    pageValidity,
    pageArray,
    page: {
      size: pageStruct,
      flags: page.slots.flags,
      compoundHead: page.slots.compoundHead,
      headMask: flagBits.head,
      reservedMask: flagBits.reserved,
      slab: slabByType
        ? { kind: 'type', field: page.slots.pageType, mask: 0xff00_0000n, value: 0xf500_0000n }
        : { kind: 'flag', mask: flagBits.slab },
      order: { offset: page.slots.order.offset + pageStruct, size: 1 },
      orderMask: random.pick([0xffn, 0x1fn]),
      slabCache: page.slots.slabCache,
      sMem: allocator === 'SLAB' ? page.slots.sMem : null,
    },
    slab: {
      allocator,
      name: cacheSlot.name,
      size: cacheSlot.size,
      objectSize: cacheSlot.objectSize,
      useroffset: hasWindow ? cacheSlot.useroffset : null,
      usersize: hasWindow ? cacheSlot.usersize : null,
      flags: cacheSlot.flags,
      redLeftPad: random.chance(0.85) ? cacheSlot.redLeftPad : null,
      inuse: cacheSlot.inuse,
      redZone: RED_ZONE,
      poison: POISON,
      storeUser: STORE_USER,
      typesafeByRcu: TYPESAFE_BY_RCU,
      debugEnabled,
      num: allocator === 'SLAB' ? cacheSlot.num : null,
      reciprocal: allocator === 'SLAB' ? { offset: cacheSlot.reciprocal.offset } : null,
      objOffset: allocator === 'SLAB' && hasObjOffset ? cacheSlot.objOffset : null,
    },
    vmap,
    kfence,
    pagefaultDisabled,
    bypassKey,
  };
  const parameters: CheckParameters = {
    bits,
    endian,
    pageShift,
    switches,
    text: random.chance(0.95) ? text : null,
    linearText,
    rodata,
    data,
    bss,
    taskSize: layout.linear === 0n ? mask : layout.linear,
    stack,
    introspection,
  };
  const regions = [kernel, structPages, ...stackRegions].map(({ address, bytes }) => ({ address, bytes }));
  if (corrupt) for (const region of regions) spoil(random, region.bytes);
  return {
    parameters,
    declarations: [],
    regions,
    boundaries: inOrder(boundaries),
    objectBoundaries: inOrder(objectBoundaries),
    registers,
  };
}

/** Overwrites bytes with garbage: single ones, and runs of words that may look like pointers. */
function spoil(random: Random, bytes: Uint8Array): void {
  for (let i = random.between(1, bytes.length >> 5); i > 0; i--) {
    const at = random.below(bytes.length);
    const run = random.chance(0.2) ? 8 : 1;
    for (let j = at; j < Math.min(bytes.length, at + run); j++) {
      bytes[j] = random.pick([0, 0, 0xff, random.below(256), bytes[random.below(bytes.length)] as number]);
    }
  }
}

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

function validityOf(random: Random, kernel: Builder, setting: ValiditySetting): PageValidityParameters {
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
      const start = cuts[i] as bigint;
      kernel.storeField(base, region.slots.base, ramPhysical + start);
      kernel.storeField(base, region.slots.length, (cuts[i + 1] as bigint) - start);
      kernel.storeField(base, region.slots.flags, i === 1 && random.chance(0.5) ? 4n : 0n);
    }
    return {
      kind,
      memory,
      count: { offset: 0, size: wordBytes },
      regions: { offset: wordBytes, size: wordBytes },
      region: { size: region.size, base: region.slots.base, length: region.slots.length, flags: region.slots.flags },
      noMap: 4n,
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

function pageArrayOf(
  random: Random,
  kernel: Builder,
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
function kfencePool(random: Random, kernel: Builder, setting: KfenceSetting): Introspection['kfence'] {
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

function vmapOf(random: Random, kernel: Builder, setting: VmapSetting): Introspection['vmap'] {
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
    const top = from[middle] as Area;
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

interface StackSetting {
  readonly layout: Layout;
  readonly wordBytes: number;
  readonly mask: bigint;
  readonly boundaries: bigint[];
  readonly ram: bigint;
  readonly pageBytes: number;
}

interface StackOfWorld {
  readonly stack: StackParameters;
  readonly registers: CopyRegisters;
  readonly regions: readonly Region[];
}

/** A task with its stack and a chain of frames on it; the stack lies in vmalloc space or in RAM. */
function stackOf(random: Random, kernel: Builder, setting: StackSetting): StackOfWorld {
  const { layout, wordBytes, boundaries } = setting;
  const threadSize = BigInt(random.pick([8192, 16384, 32768]));
  const inRam = random.chance(0.3);
  const unaligned = inRam ? setting.ram + BigInt(20 * setting.pageBytes) : layout.vmalloc + 0x80_0000n;
  const start = (unaligned + threadSize - 1n) & ~(threadSize - 1n);
  const end = start + threadSize;
  const memory = new Builder(start, Number(threadSize), wordBytes, false);
  const stackPointer = start + BigInt(random.between(64, Number(threadSize) / 2) & ~7);
  boundaries.push(start, start, end, end, stackPointer, stackPointer);

  const frames: bigint[] = [];
  for (let at = stackPointer + BigInt(random.pick([0, 16, 64])); at < end - 64n && frames.length < 6; ) {
    frames.push(at);
    at += BigInt(random.between(4, 40) * wordBytes);
  }
  boundaries.push(...frames, ...frames.map((frame) => frame + BigInt(2 * wordBytes)));

  const taskStack: Slot = { offset: random.pick([8, 24, 64]), size: wordBytes };
  const task = kernel.allocate(128, 8);
  kernel.storeField(task, taskStack, start);
  kernel.store(task, 4, random.chance(0.2) ? 1n : 0n);
  const kind = random.pick(['register', 'memory', 'masked stack pointer', 'declared'] as const);
  let current: StackParameters['current'];
  let currentBase = task;
  if (kind === 'memory') {
    const offset = random.pick([0n, 0x40n]);
    const cell = kernel.allocate(64 + wordBytes + 8, 8);
    kernel.storeWord(cell + offset, task);
    current = { kind, offset, taskStack };
    currentBase = cell;
  } else if (kind === 'register') {
    current = { kind, taskStack };
  } else {
    current = { kind };
  }
  const framePointer =
    frames.length > 0 && random.chance(0.9) ? random.pick(frames.slice(0, 2)) : random.word() & setting.mask;
  return {
    stack: {
      threadSize,
      current,
      depthOfCheck: BigInt(random.pick([0, 0, 64, 136])),
      depthOfPrint: BigInt(random.pick([0, 0, 48])),
      frames: random.chance(0.35)
        ? { savedFrame: 0, header: 2 * wordBytes, entryToCaller: random.pick([0, wordBytes]), bias: 0 }
        : null,
    },
    registers: { stackPointer, framePointer, currentBase },
    regions: [chain(memory, frames, wordBytes, kernel)],
  };
}

/** Links each frame to the next and ends the chain with 0, in the byte order of `kernel`. */
function chain(stack: Builder, frames: readonly bigint[], wordBytes: number, kernel: Builder): Region {
  frames.forEach((frame, i) => {
    const scratch = kernel.allocate(wordBytes, wordBytes);
    kernel.storeWord(scratch, frames[i + 1] ?? 0n);
    const from = Number(scratch - kernel.address);
    stack.bytes.set(kernel.bytes.subarray(from, from + wordBytes), Number(frame - stack.address));
  });
  return { address: stack.address, bytes: stack.bytes };
}

/** A guest without any kernel structures: only what somebody declares about its memory. */
export function declaredWorld(random: Random): World {
  const bits = random.pick([32, 64] as const);
  const endian = random.pick(['little', 'big'] as const);
  const pageShift = random.pick([12, 12, 13, 14, 16]);
  const pageSize = 1n << BigInt(pageShift);
  const mask = (1n << BigInt(bits)) - 1n;
  const boundaries: bigint[] = [0n, 16n, mask + 1n];
  const objectBoundaries: bigint[] = [];
  const declarations: Declaration[] = [];
  let next = bits === 64 ? random.pick([0x10_0000n, 0xffff_8000_0010_0000n]) : random.pick([0x10_0000n, 0xc010_0000n]);
  const take = (pages: number): AddressRange => {
    const start = next;
    const end = start + BigInt(pages) * pageSize;
    /* Sometimes side by side, so that ranges reach from one into the other. */
    next = end + BigInt(random.pick([0, 0, 1, 2])) * pageSize;
    boundaries.push(start, end);
    if (pages > 1) boundaries.push(start + pageSize, end - pageSize);
    return { start, end };
  };

  const image = take(8);
  const text = { start: image.start + BigInt(random.below(64)), end: image.start + 2n * pageSize };
  const rodata = { start: image.start + 2n * pageSize, end: image.start + 4n * pageSize };
  const data = { start: image.start + 4n * pageSize + 8n, end: image.start + 6n * pageSize - 8n };
  const bss = { start: image.start + 6n * pageSize, end: image.start + 7n * pageSize };
  const alias = random.chance(0.5) ? take(2) : null;
  for (const range of [text, rodata, data, bss]) boundaries.push(range.start, range.end);
  if (random.chance(0.7)) declarations.push({ kind: 'pages', type: random.pick(['plain', 'Reserved']), ...image });

  for (let i = 0; i < 14; i++) {
    const kind = random.pick(['slab', 'slab', 'compound page', 'pages', 'pages', 'vmalloc', 'kmap'] as const);
    if (kind === 'slab') {
      const range = take(random.between(1, 4));
      const redLeftPad = random.pick([0, 0, 8, 64]);
      const objectSize = random.pick([1, 8, 64, 96, 192, 700, 1024]);
      const objectStride = objectSize + redLeftPad + random.pick([0, 8, 56]);
      const useroffset = random.pick([0, random.below(objectSize + 1)]);
      const usersize = random.pick([objectSize - useroffset, 0, random.below(objectSize - useroffset + 1)]);
      declarations.push({
        kind: 'slab',
        cache: `cache-${i}`,
        objectStride: BigInt(objectStride),
        objectSize: BigInt(objectSize),
        ...(redLeftPad > 0 ? { redLeftPad: BigInt(redLeftPad) } : {}),
        ...(random.chance(0.7) ? { useroffset: BigInt(useroffset), usersize: BigInt(usersize) } : {}),
        ...range,
      });
      for (let object = 0; object < 3; object++) {
        const slot = range.start + BigInt(object * objectStride);
        const first = slot + BigInt(redLeftPad);
        objectBoundaries.push(slot, first, first + BigInt(objectSize), first + BigInt(useroffset));
        objectBoundaries.push(first + BigInt(useroffset + usersize));
      }
    } else if (kind === 'compound page') {
      declarations.push({ kind, ...take(1 << random.between(1, 3)) });
    } else if (kind === 'pages') {
      declarations.push({ kind, type: random.pick(['plain', 'Reserved', 'CMA']), ...take(random.between(1, 4)) });
    } else if (kind === 'kmap') {
      declarations.push({ kind, ...take(random.between(1, 3)) });
    } else {
      const space = take(random.between(3, 6));
      declarations.push({ kind: 'vmalloc space', ...space });
      const area = { start: space.start + pageSize, end: space.end - pageSize };
      if (random.chance(0.8)) declarations.push({ kind: 'vmalloc area', ...area });
    }
  }
  const threadSize = 16384n;
  next = (next + threadSize - 1n) & ~(threadSize - 1n);
  const start = next;
  next += threadSize;
  const kind = random.pick(['declared', 'declared', 'masked stack pointer'] as const);
  if (kind === 'declared') declarations.push({ kind: 'stack', start, end: start + threadSize });
  const stackPointer = start + BigInt(random.between(0, Number(threadSize)) & ~7);
  boundaries.push(start, start + threadSize, stackPointer, start, start + threadSize, stackPointer);

  return {
    parameters: {
      bits,
      endian,
      pageShift,
      switches: randomSwitches(random),
      text: random.chance(0.9) ? text : null,
      linearText: alias,
      rodata: random.chance(0.8) ? rodata : null,
      data: random.chance(0.8) ? data : null,
      bss: random.chance(0.8) ? bss : null,
      taskSize: 0x1000n,
      stack: {
        threadSize,
        current: { kind },
        depthOfCheck: BigInt(random.pick([0, 64])),
        depthOfPrint: BigInt(random.pick([0, 48])),
        frames: null,
      },
      introspection: null,
    },
    declarations,
    regions: [],
    boundaries: inOrder(boundaries),
    objectBoundaries: inOrder(objectBoundaries),
    registers: { stackPointer, framePointer: 0n, currentBase: 0n },
  };
}
