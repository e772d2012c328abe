/**
 * The guest of the benchmark: an x86-64 kernel's memory with structures shaped as in 6.1 (16 MiB of slabs, folios and
 * plain pages, 64 vmalloc areas, one task), and 65 536 copies of the kinds that a kernel makes, good and bad.
 */
import type { CheckParameters, Declaration, Introspection, Slot } from '../src/check/parameters.js';
import type { Copy } from '../src/check/verdict.js';
import type { CopyRegisters } from './baseline/oracle.js';
import { GuestBuilder } from './baseline/worlds/builder.js';
import { ERAS } from './baseline/worlds/eras.js';
import { Random } from './baseline/worlds/random.js';
import type { Region } from './baseline/worlds/world.js';
import { present } from './present.js';

export interface BenchRequest {
  readonly copy: Copy;
  readonly registers: CopyRegisters;
}

/** An address at which a copy may begin, and the bytes of its object from there on. */
export interface Target {
  readonly pointer: bigint;
  readonly size: bigint;
}

export type Kind = 'slab' | 'folio' | 'page' | 'vmalloc' | 'stack' | 'text' | 'bogus';

export interface BenchGuest {
  readonly parameters: CheckParameters;
  readonly declarations: readonly Declaration[];
  readonly regions: readonly Region[];
  readonly requests: readonly BenchRequest[];
}

/** A guest with what there is to copy from and to. */
export interface TargetGuest extends BenchGuest {
  readonly targets: ReadonlyMap<Kind, readonly Target[]>;
  /** Those of every request. */
  readonly registers: CopyRegisters;
}

export interface IntrospectedGuest extends TargetGuest {
  /** First bytes of the vmalloc areas. */
  readonly areas: readonly bigint[];
}

export const BATCH = 65_536;

const PAGE = 4096n;
const PAGES = 4096;
const LINEAR = 0xffff_8880_0000_0000n;
const VMALLOC = 0xffff_c900_0000_0000n;
const VMEMMAP = 0xffff_ea00_0000_0000n;
const IMAGE = 0xffff_ffff_8100_0000n;
const STRUCTURES = 0xffff_ffff_8200_0000n;
/** The first frame of RAM that the guest uses: 16 MiB. */
const FIRST_FRAME = 4096n;
const STRUCT_PAGE = 64;
const PG_HEAD = 1n << 16n;
const PG_SLAB = 1n << 9n;
const PG_RESERVED = 1n << 12n;

const word = (offset: number): Slot => ({ offset, size: 8 });
const half = (offset: number): Slot => ({ offset, size: 4 });

/** How often each kind of memory is copied from or to, in percent. */
const MIX: readonly (readonly [Kind, number])[] = [
  ['slab', 55],
  ['stack', 15],
  ['vmalloc', 10],
  ['folio', 8],
  ['page', 6],
  ['text', 4],
  ['bogus', 2],
];

const AREAS = 64;

/** The guest with kernel structures; every eighth copy reaches beyond its object. */
export function introspectedGuest(options: { readonly areas?: number } = {}): IntrospectedGuest {
  const areas = options.areas ?? AREAS;
  const random = new Random(20160715);
  const kernel = new GuestBuilder(STRUCTURES, (1 << 17) + areas * 64, 8, false);
  const pages = new GuestBuilder(VMEMMAP + FIRST_FRAME * 64n, PAGES * STRUCT_PAGE, 8, false);
  const targets = new Map<Kind, Target[]>(MIX.map(([kind]) => [kind, []]));
  const aim = (kind: Kind, pointer: bigint, size: bigint) => targets.get(kind)?.push({ pointer, size });

  const caches = [32, 96, 192, 256, 512, 1024].map((size, i) => {
    const cache = kernel.allocate(256, 64);
    kernel.storeField(cache, word(96), kernel.string(`kmalloc-${size}`));
    kernel.store(cache + 8n, 4, i === 1 ? 0x400n : 0n);
    kernel.store(cache + 24n, 4, BigInt(size + (i === 1 ? 32 : 0)));
    kernel.store(cache + 28n, 4, BigInt(size));
    kernel.store(cache + 100n, 4, i === 1 ? 16n : 0n);
    kernel.store(cache + 120n, 4, i === 3 ? 64n : 0n);
    kernel.store(cache + 124n, 4, i === 3 ? 128n : BigInt(size));
    return {
      cache,
      size,
      stride: size + (i === 1 ? 32 : 0),
      pad: i === 1 ? 16 : 0,
      first: i === 3 ? 64 : 0,
      usable: i === 3 ? 128 : size,
    };
  });

  const physical = FIRST_FRAME * PAGE;
  for (let index = 0; index < PAGES; ) {
    const order = Math.min(random.pick([0, 1, 2, 3]), Math.floor(Math.log2(PAGES - index)));
    const head = pages.address + BigInt(index * STRUCT_PAGE);
    const start = LINEAR + physical + BigInt(index) * PAGE;
    const bytes = PAGE << BigInt(order);
    const kind = random.pick(['slab', 'slab', 'folio', 'page'] as const);
    if (kind === 'page' || (kind === 'folio' && order === 0)) {
      aim('page', start, PAGE);
      index += 1;
      continue;
    }
    for (let tail = 1; tail < 1 << order; tail++) pages.store(head + BigInt(tail * STRUCT_PAGE + 8), 8, head + 1n);
    if (order > 0) pages.store(head + BigInt(STRUCT_PAGE + 17), 1, BigInt(order));
    pages.store(head, 8, (order > 0 ? PG_HEAD : 0n) | (kind === 'slab' ? PG_SLAB : 0n));
    if (kind === 'slab') {
      const { cache, stride, pad, first, usable } = random.pick(caches);
      pages.store(head + 24n, 8, cache);
      const object = BigInt(random.below(Math.floor(Number(bytes) / stride)) * stride + pad + first);
      aim('slab', start + object, BigInt(usable));
    } else {
      aim('folio', start, bytes);
    }
    index += 1 << order;
  }

  const vmapRoot = plantAreas(kernel, random, areas, (start, size) => aim('vmalloc', start, size));
  const memSection = sections(kernel);
  const stack = VMALLOC + 0x10_0000n;
  const task = kernel.allocate(4096, 64);
  kernel.store(task + 24n, 8, stack);
  const stackPointer = stack + 0x3800n;
  aim('stack', stackPointer + 256n, 512n);
  aim('text', IMAGE + 0x1000n, 64n);
  aim('bogus', 16n, 64n);
  aim('bogus', 0xffff_ffff_ffff_fff0n, 64n);

  const introspection: Introspection = {
    linearMaps: [
      { virtual: LINEAR, size: 1n << 46n, physical: 0n },
      { virtual: 0xffff_ffff_8000_0000n, size: 0x2000_0000n, physical: 0n },
    ],
    vmalloc: { start: VMALLOC, end: VMALLOC + (1n << 45n) },
    modules: { start: 0xffff_ffff_a000_0000n, end: 0xffff_ffff_ff00_0000n },
    kmap: [],
    pageValidity: {
      kind: 'sparsemem',
      memSection,
      extreme: true,
      sectionSize: 32,
      sectionMap: word(0),
      usage: { pointer: word(8), bitmap: 16 },
      sectionSizeBits: 27,
      physicalAddressBits: 46,
      hasMemMap: 2n,
      isEarly: 8n,
      mapMask: 0x1fn,
    },
    pageArray: { kind: 'vmemmap', address: VMEMMAP },
    page: {
      size: STRUCT_PAGE,
      flags: word(0),
      compoundHead: word(8),
      headMask: PG_HEAD,
      reservedMask: PG_RESERVED,
      slab: { kind: 'flag', mask: PG_SLAB },
      order: { offset: STRUCT_PAGE + 17, size: 1 },
      orderMask: 0xffn,
      slabCache: word(24),
      sMem: null,
    },
    slab: {
      allocator: 'SLUB',
      name: word(96),
      size: half(24),
      objectSize: half(28),
      useroffset: half(120),
      usersize: half(124),
      flags: half(8),
      redLeftPad: half(100),
      inuse: half(104),
      redZone: 0x400n,
      poison: 0x800n,
      storeUser: 0x1_0000n,
      typesafeByRcu: 0x8_0000n,
      debugEnabled: debugKey(kernel),
      num: null,
      reciprocal: null,
      objOffset: null,
    },
    vmap: {
      kind: 'tree',
      root: vmapRoot,
      area: {
        vaStart: word(0),
        vaEnd: word(8),
        rbNode: 16,
        rbLeft: word(16),
        rbRight: word(8),
        vm: word(56),
        vmSize: word(16),
        vmFlags: word(24),
        noGuard: 0x40n,
      },
    },
    kfence: null,
    pagefaultDisabled: null,
    bypassKey: null,
  };
  const parameters: CheckParameters = {
    bits: 64,
    endian: 'little',
    pageShift: 12,
    // The era has every switch of this profile.
    switches: ERAS['6.1'] as CheckParameters['switches'],
    text: { start: IMAGE, end: IMAGE + 0xc0_0000n },
    linearText: {
      start: LINEAR + 0x100_0000n + BigInt(PAGES) * PAGE,
      end: LINEAR + 0x1c0_0000n + BigInt(PAGES) * PAGE,
    },
    rodata: null,
    data: null,
    bss: null,
    taskSize: 0x7fff_ffff_f000n,
    stack: {
      threadSize: 0x4000n,
      current: { kind: 'register', taskStack: word(24) },
      depthOfCheck: 40n,
      depthOfPrint: 32n,
      frames: null,
    },
    introspection,
  };
  const registers = { stackPointer, framePointer: 0n, currentBase: task };
  return {
    parameters,
    declarations: [],
    regions: [kernel, pages].map(({ address, bytes }) => ({ address, bytes })),
    requests: mix(random, targets, registers),
    ...{ targets, registers },
    areas: Array.from({ length: areas }, (_, index) => areaStart(index)),
  };
}

/** The same copies against the same objects, declared one by one as far as a user would: sixteen ranges and no structures. */
export function declaredGuest(): TargetGuest {
  const random = new Random(20160715);
  const guest = introspectedGuest();
  const targets = new Map<Kind, Target[]>(MIX.map(([kind]) => [kind, []]));
  const declarations: Declaration[] = [];
  let next = LINEAR;
  const range = (pages: bigint) => {
    const start = next;
    next += pages * PAGE;
    return { start, end: next };
  };
  for (const size of [32n, 64n, 96n, 128n, 192n, 256n, 512n, 1024n]) {
    const at = range(4n);
    declarations.push({ kind: 'slab', cache: `kmalloc-${size}`, objectStride: size, objectSize: size, ...at });
    for (let i = 0n; i < 8n; i++) targets.get('slab')?.push({ pointer: at.start + i * size, size });
  }
  for (let i = 0; i < 3; i++) {
    const folio = range(4n);
    declarations.push({ kind: 'compound page', ...folio });
    targets.get('folio')?.push({ pointer: folio.start, size: 4n * PAGE });
    const page = range(1n);
    declarations.push({ kind: 'pages', type: 'plain', ...page });
    targets.get('page')?.push({ pointer: page.start, size: PAGE });
  }
  const area = { start: VMALLOC, end: VMALLOC + 8n * PAGE };
  declarations.push({ kind: 'vmalloc area', ...area });
  targets.get('vmalloc')?.push({ pointer: area.start, size: 8n * PAGE });
  const stack = VMALLOC + 0x10_0000n;
  declarations.push({ kind: 'stack', start: stack, end: stack + 0x4000n });
  const stackPointer = stack + 0x3800n;
  targets.get('stack')?.push({ pointer: stackPointer + 256n, size: 512n });
  targets.get('text')?.push({ pointer: IMAGE + 0x1000n, size: 64n });
  targets.get('bogus')?.push({ pointer: 16n, size: 64n });
  const registers = { stackPointer, framePointer: 0n, currentBase: 0n };
  return {
    parameters: {
      ...guest.parameters,
      introspection: null,
      stack: { ...guest.parameters.stack, current: { kind: 'declared' } },
    },
    declarations,
    regions: [],
    requests: mix(random, targets, registers),
    ...{ targets, registers },
  };
}

function mix(random: Random, targets: ReadonlyMap<Kind, readonly Target[]>, registers: CopyRegisters): BenchRequest[] {
  const kinds = MIX.flatMap(([kind, percent]) => Array.from({ length: percent }, () => kind));
  return Array.from({ length: BATCH }, () => {
    const { pointer, size } = random.pick(targets.get(random.pick(kinds)) ?? []);
    const beyond = random.below(8) === 0;
    const inside = BigInt(random.between(1, Number(size)));
    return {
      copy: {
        pointer,
        size: beyond ? size + BigInt(random.between(1, 64)) : inside,
        direction: random.chance(0.5) ? 'to_user' : 'from_user',
      },
      registers,
    };
  });
}

/** `slub_debug_enabled`, on: the red-zoned cache needs it. */
function debugKey(kernel: GuestBuilder): bigint {
  const key = kernel.allocate(8, 8);
  kernel.store(key, 4, 1n);
  return key;
}

const areaStart = (index: number): bigint => VMALLOC + 0x20_0000n + BigInt(index) * 8n * PAGE;

/** A balanced tree of vmalloc areas of three pages and a guard page each; returns the address of its root. */
function plantAreas(
  kernel: GuestBuilder,
  random: Random,
  count: number,
  found: (start: bigint, size: bigint) => void,
): bigint {
  const areas = Array.from({ length: count }, (_, i) => {
    const start = areaStart(i);
    const address = kernel.allocate(64, 64);
    kernel.store(address, 8, start);
    kernel.store(address + 8n, 8, start + 4n * PAGE);
    found(start + BigInt(random.below(100)), 3n * PAGE);
    return address;
  });
  const plant = (from: number, to: number): bigint => {
    if (from >= to) return 0n;
    const middle = (from + to) >> 1;
    const node = present(areas[middle]) + 16n;
    kernel.store(node + 16n, 8, plant(from, middle));
    kernel.store(node + 8n, 8, plant(middle + 1, to));
    return node;
  };
  const root = kernel.allocate(8, 8);
  kernel.store(root, 8, plant(0, areas.length));
  return root;
}

/** One present section of 128 MiB; returns the address of the `mem_section` pointer. */
function sections(kernel: GuestBuilder): bigint {
  const root = kernel.allocate(32, 64);
  const usage = kernel.allocate(64, 64);
  kernel.store(root, 8, VMEMMAP | 3n);
  kernel.store(root + 8n, 8, usage);
  kernel.store(usage + 16n, 8, -1n);
  const roots = kernel.allocate(64, 64);
  kernel.store(roots, 8, root);
  const pointer = kernel.allocate(8, 8);
  kernel.store(pointer, 8, roots);
  return pointer;
}
