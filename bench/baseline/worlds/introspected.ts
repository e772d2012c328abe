/**
 * Random guests with kernel structures, laid out in byte buffers at random offsets, in either byte order and word size, with
 * pages of 4 to 64 KiB.
 */
import type { AddressRange, CheckParameters, Declaration, Introspection } from '../../../src/check/parameters.js';
import { present } from '../../present.js';
import { GuestBuilder } from './builder.js';
import { randomSwitches } from './eras.js';
import { type Layout, layOut } from './layout.js';
import type { Random } from './random.js';
import { stackOf } from './stack.js';
import { kfencePool, pageArrayOf, RAM_PAGES, reciprocalOf, validityOf, vmapOf } from './structures.js';
import { inOrder, type World } from './world.js';

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
  const kernel = new GuestBuilder(layout.structures, 1 << 17, wordBytes, endian === 'big');
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
  const structPages = new GuestBuilder(layout.structPages, pageStruct * (RAM_PAGES + 2), wordBytes, endian === 'big');
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
  /* 7.1: a tail clears low bits of its own address; where its head is not aligned that leads elsewhere. */
  const tailsHoldMask = (pageStruct & (pageStruct - 1)) === 0 && random.chance(0.5);
  const makeCompound = (index: number, order: number) => {
    const head = pageAt(index);
    const info = tailsHoldMask ? mask & -(BigInt(pageStruct) << BigInt(order)) : head;
    for (let tail = 1; tail < 1 << order; tail++) {
      structPages.storeField(pageAt(index + tail), page.slots.compoundHead, info + 1n);
    }
    structPages.storeField(pageAt(index + 1), page.slots.order, BigInt(order));
    const start = ram + BigInt(index) * pageSize;
    boundaries.push(start, start + pageSize, start + (pageSize << BigInt(order)));
  };
  const slabs: number[] = [];
  const reservedBits = () => (random.chance(0.9) ? flagBits.reserved : 0n);
  for (let index = 0; index < RAM_PAGES; ) {
    const order = Math.min(random.pick([0, 0, 1, 2, 3]), Math.floor(Math.log2(RAM_PAGES - index)));
    const start = ram + BigInt(index) * pageSize;
    const kind = random.pick(['slab', 'slab', 'compound', 'plain', 'reserved'] as const);
    for (let each = index; each < index + (1 << order); each++) {
      structPages.storeField(pageAt(each), page.slots.pageType, 0xffff_ffffn);
    }
    if (kind === 'slab') {
      slabs.push(index);
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

  /* A page that claims to be the tail of a slab above it: its objects lie before the slab. */
  if (slabs.length > 0 && random.chance(0.2)) {
    const slab = random.pick(slabs);
    const stray = random.below(slab + 1);
    structPages.storeField(pageAt(stray), page.slots.compoundHead, pageAt(slab) + (stray === slab ? 0n : 1n));
    boundaries.push(ram + BigInt(stray) * pageSize, ram + BigInt(stray + 1) * pageSize);
  }

  /* One that claims to be the tail of any page, a head or none. */
  const tailsAreCompound = random.chance(0.5);
  if (random.chance(0.3)) {
    const [stray, claimed] = [random.below(RAM_PAGES), random.below(RAM_PAGES)];
    structPages.storeField(pageAt(stray), page.slots.compoundHead, pageAt(claimed) + 1n);
    boundaries.push(ram + BigInt(stray) * pageSize, ram + BigInt(stray + 1) * pageSize);
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
    /* With enough memory x86-32's kmap slots look like lowmem pages to virt_addr_valid(). */
    const first = random.chance(0.5) ? layout.kmap : ram + BigInt(random.below(RAM_PAGES - 4)) * pageSize;
    kmap.push({ start: first, end: first + 4n * pageSize });
    kmap.push({ start: layout.kmap + 8n * pageSize, end: layout.kmap + 10n * pageSize });
    for (const range of kmap) boundaries.push(range.start, range.start + pageSize, range.end);
  }

  /* The kernel image: the first pages of RAM, in the linear map or also in a mapping of its own. */
  const imageBase = layout.image ?? ram;
  const imageSize = 8n * pageSize;
  const linearMaps = [{ virtual: layout.linear, size: layout.linearSize, physical: linearPhysical }];
  /* x86 has the image in a linear map of its own; arm64's only virt_to_page() knows. */
  const image = layout.image === null ? null : { virtual: layout.image, size: imageSize, physical: ramPhysical };
  const imageIsLinear = random.chance(0.5);
  if (image !== null && imageIsLinear) linearMaps.push(image);
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
    ...(image === null || imageIsLinear ? {} : { imageMap: image }),
    vmalloc: { start: layout.vmalloc, end: layout.vmalloc + layout.vmallocSize },
    modules: layout.modules,
    kmap,
    pageValidity,
    pageArray,
    page: {
      size: pageStruct,
      flags: page.slots.flags,
      compoundHead: page.slots.compoundHead,
      tailsHoldMask,
      tailsAreCompound,
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
  const declarations = random.chance(0.3)
    ? declareSome(random, { layout, ram, pageSize, boundaries, objectBoundaries, stackPointer: registers.stackPointer })
    : [];
  const regions = [kernel, structPages, ...stackRegions].map(({ address, bytes }) => ({ address, bytes }));
  if (corrupt) for (const region of regions) spoil(random, region.bytes);
  return {
    parameters,
    declarations,
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
      bytes[j] = random.pick([0, 0, 0xff, random.below(256), present(bytes[random.below(bytes.length)])]);
    }
  }
}

interface DeclaringSetting {
  readonly layout: Layout;
  readonly ram: bigint;
  readonly pageSize: bigint;
  readonly boundaries: bigint[];
  readonly objectBoundaries: bigint[];
  readonly stackPointer: bigint;
}

/** Declarations on top of the structures: over pages of RAM, in vmalloc space, beside both; with a stack or not. */
function declareSome(random: Random, setting: DeclaringSetting): Declaration[] {
  const { layout, ram, pageSize, boundaries, stackPointer } = setting;
  const declarations: Declaration[] = [];
  const range = (start: bigint, pages: number): AddressRange => {
    const end = start + BigInt(pages) * pageSize;
    boundaries.push(start, end);
    return { start, end };
  };
  const slab = range(ram + 12n * pageSize, 2);
  const objectSize = random.pick([24n, 64n, 200n]);
  declarations.push({ kind: 'slab', cache: 'declared', objectStride: objectSize + 8n, objectSize, ...slab });
  setting.objectBoundaries.push(
    slab.start + objectSize,
    slab.start + objectSize + 8n,
    slab.start + 2n * objectSize + 8n,
  );
  const type = random.pick(['plain', 'Reserved', 'CMA'] as const);
  declarations.push({ kind: 'pages', type, ...range(ram + 14n * pageSize, random.between(1, 3)) });
  declarations.push({ kind: 'compound page', ...range(ram + 40n * pageSize, 2) });
  const space = layout.vmalloc + layout.vmallocSize / 2n;
  declarations.push({ kind: 'vmalloc area', ...range(space, 3) });
  declarations.push({ kind: 'pages', type, ...range(space + 4n * pageSize, 2) });
  if (random.chance(0.5)) declarations.push({ kind: 'kmap', ...range(space + 8n * pageSize, 2) });
  if (random.chance(0.5)) {
    const start = random.chance(0.5) ? stackPointer - 0x1000n : space + 16n * pageSize;
    declarations.push({ kind: 'stack', start, end: start + 0x4000n });
    boundaries.push(start, start + 0x4000n);
  }
  return declarations;
}
