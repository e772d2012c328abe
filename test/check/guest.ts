/**
 * A made-up guest for the tests: kernel structures written byte by byte at offsets of our choice, in either byte order
 * and word size. Structures lie at round addresses so that every expected number can be worked out by hand.
 *
 * Physical memory is 64 pages from physical 0. Virtual addresses (64 bits; 32-bit guests have the low half):
 *   LINEAR   + p   the linear map of physical p
 *   IMAGE    + p   the kernel image's own mapping of the same
 *   PAGES          struct page of frame 0, 64 bytes each
 *   DATA           everything else: caches, names, trees, tasks
 */
import { Check, type ExecutorName } from '../../src/check/check.js';
import type {
  CheckParameters,
  Introspection,
  PageValidityParameters,
  ProfileSwitches,
} from '../../src/check/parameters.js';
import { parseProfile } from '../../src/check/profiles.js';
import type { Direction, Verdict } from '../../src/check/verdict.js';
import { builtCheck } from '../../src/engine/built-check.js';

export const PG_RESERVED = 1n << 10n;
export const PG_SLAB = 1n << 9n;
export const PG_HEAD = 1n << 16n;
const PAGE_COUNT = 64;

export interface GuestShape {
  readonly bits: 32 | 64;
  readonly endian: 'little' | 'big';
  readonly pageShift: number;
}

export const SHAPES: readonly GuestShape[] = [
  { bits: 64, endian: 'little', pageShift: 12 },
  { bits: 64, endian: 'big', pageShift: 16 },
  { bits: 32, endian: 'little', pageShift: 12 },
  { bits: 32, endian: 'big', pageShift: 12 },
];

export interface CacheFacts {
  readonly name: string;
  readonly size: number;
  readonly objectSize: number;
  readonly useroffset: number;
  readonly usersize: number;
  readonly flags?: bigint;
  readonly redLeftPad?: number;
  readonly inuse?: number;
  /** SLAB */
  readonly num?: number;
  readonly reciprocal?: readonly [multiplier: number, shift1: number, shift2: number];
  readonly objOffset?: number;
}

export const FLAG = { redZone: 0x400n, poison: 0x800n, storeUser: 0x10000n, typesafeByRcu: 0x80000n };

export class Guest {
  readonly check: Check;
  readonly shape: GuestShape;
  readonly LINEAR: bigint;
  readonly IMAGE: bigint;
  readonly PAGES: bigint;
  readonly DATA: bigint;
  readonly STACK: bigint;
  readonly VMALLOC: bigint;
  readonly pageSize: bigint;
  readonly at: { stackPointer: bigint; framePointer: bigint; currentBase: bigint };
  readonly introspection: Introspection;
  #next = 0x4000n;

  private constructor(check: Check, shape: GuestShape) {
    this.check = check;
    this.shape = shape;
    const half = (high: bigint, low: bigint): bigint => (shape.bits === 64 ? high : low);
    this.LINEAR = half(0xffff_8880_0000_0000n, 0xc000_0000n);
    this.IMAGE = half(0xffff_ffff_8000_0000n, 0xe000_0000n);
    this.PAGES = half(0xffff_ea00_0000_0000n, 0xd000_0000n);
    this.DATA = half(0xffff_9990_0000_0000n, 0xd800_0000n);
    this.VMALLOC = half(0xffff_c900_0000_0000n, 0xf000_0000n);
    this.STACK = this.VMALLOC + 0x10_0000n;
    this.pageSize = 1n << BigInt(shape.pageShift);
    const frames = BigInt(PAGE_COUNT) * this.pageSize;
    let offset = check.guestOffset;
    const map = (address: bigint, size: bigint): void => {
      check.mapRegion(address, size, offset);
      offset += Number(size);
    };
    const ram = offset;
    map(this.LINEAR, frames);
    check.mapRegion(this.IMAGE, frames, ram);
    map(this.PAGES, 0x1000n);
    map(this.DATA, 0x2_0000n);
    map(this.STACK, 0x4000n);
    this.at = { stackPointer: this.STACK + 0x3000n, framePointer: this.STACK + 0x3040n, currentBase: this.DATA };
    // current: task_struct at DATA, its stack pointer at offset 0x20.
    this.word(this.DATA + 0x20n, this.STACK);
    this.introspection = this.#introspect();
  }

  static async create(shape: GuestShape, executor: 'auto' | ExecutorName = 'auto'): Promise<Guest> {
    return new Guest(await Check.create({ source: builtCheck, guestBytes: 0x60_0000, executor }), shape);
  }

  get wordBytes(): number {
    return this.shape.bits / 8;
  }

  bytes(address: bigint, bytes: readonly number[]): void {
    const region = this.check.regions.find((r) => address >= r.address && address < r.address + r.size);
    if (!region) throw new Error(`test: nothing is mapped at ${address.toString(16)}`);
    new Uint8Array(this.check.memory.buffer).set(bytes, region.offset + Number(address - region.address));
  }

  /** `size` bytes in the guest's order. */
  field(address: bigint, size: number, value: bigint): void {
    const bytes = Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
    this.bytes(address, this.shape.endian === 'little' ? bytes : bytes.reverse());
  }

  word(address: bigint, value: bigint): void {
    this.field(address, this.wordBytes, BigInt.asUintN(this.shape.bits, value));
  }

  /** A piece of DATA that is not used yet. */
  allocate(size: bigint): bigint {
    const address = this.DATA + this.#next;
    this.#next += (size + 63n) & ~63n;
    return address;
  }

  string(text: string): bigint {
    const address = this.allocate(BigInt(text.length + 1));
    this.bytes(address, [...Buffer.from(`${text}\0`, 'latin1')]);
    return address;
  }

  page(frame: number): bigint {
    return this.PAGES + BigInt(frame) * 64n;
  }

  setPage(frame: number, flags: bigint): void {
    this.word(this.page(frame), flags);
  }

  /** Frames [first, first + 2^order) as a compound page. */
  compound(first: number, order: number, flags: bigint): void {
    this.setPage(first, flags | PG_HEAD);
    this.bytes(this.page(first + 1) + 0x21n, [order]);
    for (let frame = first + 1; frame < first + (1 << order); frame++) {
      this.word(this.page(frame) + 8n, this.page(first) + 1n);
    }
  }

  /** A kmem_cache: name +0, size +8, object_size +12, useroffset +16, usersize +20, flags +24, red_left_pad +28, inuse +32, … */
  cache(facts: CacheFacts): bigint {
    const cache = this.allocate(0x60n);
    this.word(cache, this.string(facts.name));
    const [multiplier, shift1, shift2] = facts.reciprocal ?? [0, 0, 0];
    const fields: [bigint, number | bigint][] = [
      [8n, facts.size],
      [12n, facts.objectSize],
      [16n, facts.useroffset],
      [20n, facts.usersize],
      [24n, facts.flags ?? 0n],
      [28n, facts.redLeftPad ?? 0],
      [32n, facts.inuse ?? facts.objectSize],
      [36n, facts.num ?? 0],
      [40n, multiplier],
      [48n, facts.objOffset ?? 0],
    ];
    for (const [offset, value] of fields) this.field(cache + offset, 4, BigInt(value));
    this.bytes(cache + 44n, [shift1, shift2]);
    return cache;
  }

  /** Makes the compound page of `order` at `frame` a slab of `cache`. */
  slab(frame: number, order: number, cache: bigint, sMem = 0n): void {
    if (order) this.compound(frame, order, PG_SLAB);
    else this.setPage(frame, PG_SLAB);
    this.word(this.page(frame) + 0x18n, cache);
    this.word(this.page(frame) + 0x28n, sMem);
  }

  #introspect(): Introspection {
    const size = this.wordBytes;
    const frames = BigInt(PAGE_COUNT) * this.pageSize;
    const maxMapnr = this.DATA + 0x100n;
    this.word(maxMapnr, BigInt(PAGE_COUNT));
    return {
      linearMaps: [
        { virtual: this.LINEAR, size: frames * 2n, physical: 0n },
        { virtual: this.IMAGE, size: frames, physical: 0n },
      ],
      vmalloc: { start: this.VMALLOC, end: this.VMALLOC + 0x100_0000n },
      modules: { start: this.VMALLOC + 0x200_0000n, end: this.VMALLOC + 0x300_0000n },
      kmap: [
        { start: this.VMALLOC + 0x400_0000n, end: this.VMALLOC + 0x400_0000n + 4n * this.pageSize },
        { start: this.VMALLOC + 0x500_0000n, end: this.VMALLOC + 0x500_0000n + 4n * this.pageSize },
      ],
      pageValidity: { kind: 'flatmem', maxMapnr, firstFrame: 0n },
      pageArray: { kind: 'vmemmap', address: this.PAGES },
      page: {
        size: 64,
        flags: { offset: 0, size },
        compoundHead: { offset: 8, size },
        headMask: PG_HEAD,
        reservedMask: PG_RESERVED,
        slab: { kind: 'flag', mask: PG_SLAB },
        order: { offset: 64 + 0x21, size: 1 },
        orderMask: 0xffn,
        slabCache: { offset: 0x18, size },
        sMem: { offset: 0x28, size },
      },
      slab: {
        allocator: 'SLUB',
        name: { offset: 0, size },
        size: { offset: 8, size: 4 },
        objectSize: { offset: 12, size: 4 },
        useroffset: { offset: 16, size: 4 },
        usersize: { offset: 20, size: 4 },
        flags: { offset: 24, size: 4 },
        redLeftPad: { offset: 28, size: 4 },
        inuse: { offset: 32, size: 4 },
        ...FLAG,
        debugEnabled: null,
        num: { offset: 36, size: 4 },
        reciprocal: { offset: 40 },
        objOffset: { offset: 48, size: 4 },
      },
      vmap: { kind: 'none' },
      kfence: null,
      pagefaultDisabled: null,
      bypassKey: null,
    };
  }

  /** What `configure()` takes, with the given profile and changes. */
  parameters(profile: string, changes: ParameterChanges = {}): CheckParameters {
    const switches = { ...parseProfile(profile).switches, ...changes.switches };
    const introspection = changes.introspection === null ? null : { ...this.introspection, ...changes.introspection };
    const base: CheckParameters = {
      bits: this.shape.bits,
      endian: this.shape.endian,
      pageShift: this.shape.pageShift,
      switches,
      text: null,
      linearText: null,
      rodata: null,
      data: null,
      bss: null,
      taskSize: this.shape.bits === 64 ? 1n << 47n : 0xc000_0000n,
      stack: {
        threadSize: 0x4000n,
        current: { kind: 'register', taskStack: { offset: 0x20, size: this.wordBytes } },
        depthOfCheck: 0n,
        depthOfPrint: 0n,
        frames: null,
      },
      introspection,
    };
    return { ...base, ...changes.parameters };
  }

  configure(profile: string, changes: ParameterChanges = {}): void {
    this.check.configure(this.parameters(profile, changes));
  }

  judge(pointer: bigint, size: bigint, direction: Direction = 'to_user', at = this.at): Verdict {
    return this.check.judge({ pointer, size, direction }, at);
  }
}

export interface ParameterChanges {
  readonly switches?: Partial<ProfileSwitches>;
  readonly introspection?: Partial<Introspection> | null;
  readonly parameters?: Partial<Omit<CheckParameters, 'switches' | 'introspection'>>;
}

export type SparsememParameters = Extract<PageValidityParameters, { kind: 'sparsemem' }>;

/** The verdict in one line: `bad: slab object (offset 16, size 49)`. */
export function line(verdict: Verdict): string {
  switch (verdict.outcome) {
    case 'good':
      return `good: ${verdict.by}`;
    case 'bad':
      return `bad: ${verdict.by} (offset ${verdict.offset}, size ${verdict.size})`;
    default:
      return `unreadable: ${verdict.address.toString(16)}`;
  }
}
