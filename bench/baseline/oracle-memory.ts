/**
 * How the oracle reads a guest: words of the guest's size and byte order, and the kernel's structures one field at a
 * time. Slow and plain on purpose; shares nothing with `assembly/`.
 */
import type {
  CheckParameters,
  Introspection,
  PageValidityParameters,
  Slot,
  VmapAreaSlots,
} from '../../src/check/parameters.js';
import { present } from '../present.js';

/** Bytes of guest memory at a guest virtual address; undefined when not all of them can be had. */
export type ReadMemory = (address: bigint, length: number) => Uint8Array | undefined;

/** Thrown inside the oracle when a rule needs bytes that are not there, or that no kernel could work with. */
export class Unreadable extends Error {
  constructor(readonly address: bigint) {
    super(`no readable guest bytes at 0x${address.toString(16)}`);
  }
}

/** A vmap area as the vmalloc rules see it; `vm` is the address of its vm_struct, 0 when it has none. */
export interface VmapArea {
  readonly start: bigint;
  readonly end: bigint;
  readonly vm: bigint;
  readonly slots: VmapAreaSlots;
}

/** A red-black tree of 2^64 nodes is at most this high; whatever is deeper is a loop. */
const MAXIMUM_TREE_HEIGHT = 128;
/** vmap_init_nodes() makes 128 at most; what tells of many more is no count. */
const MAXIMUM_NODES = 1024n;

/** Kernels have some tens of memblock regions; a count above this is garbage. */
const MAXIMUM_MEMBLOCK_REGIONS = 65_536n;

type MemblockValidity = Extract<PageValidityParameters, { kind: 'memblock' }>;

/** log2 of SUBSECTION_SIZE, 2 MiB on every architecture (5.3 on). */
const SUBSECTION_SHIFT = 21n;

export class GuestMemory {
  readonly wordBytes: number;
  readonly pageSize: bigint;
  private readonly wordMask: bigint;

  constructor(
    private readonly parameters: CheckParameters,
    private readonly read: ReadMemory,
  ) {
    this.wordBytes = parameters.bits / 8;
    this.wordMask = (1n << BigInt(parameters.bits)) - 1n;
    this.pageSize = 1n << BigInt(parameters.pageShift);
  }

  /** A value as an `unsigned long` of the guest. */
  word(value: bigint): bigint {
    return value & this.wordMask;
  }

  /** First byte of the page that holds an address. */
  pageOf(address: bigint): bigint {
    return address & this.wordMask & ~(this.pageSize - 1n);
  }

  /** Unsigned value of `size` bytes at `address`. Throws `Unreadable`. */
  load(address: bigint, size: number): bigint {
    const at = this.word(address);
    const bytes = this.read(at, size);
    if (bytes === undefined || bytes.length < size) throw new Unreadable(at);
    let value = 0n;
    for (let i = 0; i < size; i++) {
      const byte = present(bytes[this.parameters.endian === 'big' ? i : size - 1 - i]);
      value = (value << 8n) | BigInt(byte);
    }
    return value;
  }

  loadWord(address: bigint): bigint {
    return this.load(address, this.wordBytes);
  }

  /** A field of the structure at `base`. */
  field(base: bigint, slot: Slot): bigint {
    return this.load(base + BigInt(slot.offset), slot.size);
  }

  /** A static key is on when its counter is not zero (`static_key_count()`). */
  staticKey(address: bigint): boolean {
    return this.load(address, 4) !== 0n;
  }

  /** A C string; null when it cannot be read to its end within 256 bytes. */
  string(address: bigint): string | null {
    let text = '';
    for (let i = 0n; i < 256n; i++) {
      const byte = this.read(this.word(address + i), 1)?.[0];
      if (byte === undefined) return null;
      if (byte === 0) return text;
      text += String.fromCharCode(byte);
    }
    return null;
  }

  /** Physical address behind a virtual one, or undefined outside the linear maps. The first map that holds it wins. */
  physical(guest: Introspection, address: bigint): bigint | undefined {
    for (const map of guest.linearMaps) {
      if (address >= map.virtual && address - map.virtual < map.size) return address - map.virtual + map.physical;
    }
    return undefined;
  }

  /** `pfn_valid()` of the guest's memory model. */
  frameHasPage(guest: Introspection, physical: bigint): boolean {
    const frame = physical >> BigInt(this.parameters.pageShift);
    const validity = guest.pageValidity;
    switch (validity.kind) {
      case 'flatmem':
        return frame >= validity.firstFrame && frame - validity.firstFrame < this.loadWord(validity.maxMapnr);
      case 'memblock':
        return this.memblockHas(guest, frame << BigInt(this.parameters.pageShift));
      case 'sparsemem': {
        const section = this.memorySection(guest, physical);
        if (section === null) return false;
        const map = this.field(section, validity.sectionMap);
        if ((map & validity.hasMemMap) === 0n) return false;
        if (validity.usage === null || (map & validity.isEarly) !== 0n) return true;
        const usage = this.field(section, validity.usage.pointer);
        if (usage === 0n) return false;
        const subsection = (physical & ((1n << BigInt(validity.sectionSizeBits)) - 1n)) >> SUBSECTION_SHIFT;
        const wordBits = BigInt(this.parameters.bits);
        const word = this.loadWord(
          usage + BigInt(validity.usage.bitmap) + (subsection / wordBits) * BigInt(this.wordBytes),
        );
        return ((word >> (subsection % wordBits)) & 1n) === 1n;
      }
    }
  }

  /** Address of the mem_section of a physical address; null where there is none. */
  private memorySection(guest: Introspection, physical: bigint): bigint | null {
    const validity = guest.pageValidity;
    if (validity.kind !== 'sparsemem') return null;
    if (physical >> BigInt(validity.physicalAddressBits) !== 0n) return null;
    const number = physical >> BigInt(validity.sectionSizeBits);
    const size = BigInt(validity.sectionSize);
    if (!validity.extreme) return this.word(validity.memSection + number * size);
    const roots = this.loadWord(validity.memSection);
    if (roots === 0n) return null;
    const perRoot = this.pageSize / size;
    const root = this.loadWord(roots + (number / perRoot) * BigInt(this.wordBytes));
    return root === 0n ? null : this.word(root + (number % perRoot) * size);
  }

  /** `memblock_is_map_memory()`: a binary search that looks at one region even when there are none. */
  private memblockHas(guest: Introspection, address: bigint): boolean {
    const memblock = guest.pageValidity;
    if (memblock.kind !== 'memblock') return false;
    let left = 0n;
    let right = this.field(memblock.memory, memblock.count);
    if (right > MAXIMUM_MEMBLOCK_REGIONS) throw new Unreadable(memblock.memory + BigInt(memblock.count.offset));
    const regions = this.field(memblock.memory, memblock.regions);
    if (memblock.blockSize !== undefined && memblock.blockSize > this.pageSize) {
      return this.memblockTouches(memblock, regions, right, address & ~(memblock.blockSize - 1n));
    }
    do {
      const middle = (left + right) / 2n;
      const region = regions + middle * BigInt(memblock.region.size);
      const base = this.field(region, memblock.region.base);
      if (address < base) right = middle;
      else if (address >= base + this.field(region, memblock.region.length)) left = middle + 1n;
      else return (this.field(region, memblock.region.flags) & memblock.noMap) === 0n;
    } while (left < right);
    return false;
  }

  /** `memblock_overlaps_region()` of the block at `block`, as arm's `pfn_valid()` asks (5.14 on). */
  private memblockTouches(memblock: MemblockValidity, regions: bigint, count: bigint, block: bigint): boolean {
    for (let i = 0n; i < count; i++) {
      const region = regions + i * BigInt(memblock.region.size);
      const base = this.field(region, memblock.region.base);
      const end = base + this.field(region, memblock.region.length);
      if (block < end && base < block + (memblock.blockSize ?? 0n)) return true;
    }
    return false;
  }

  /** Address of the struct page of frame 0 as the arithmetic of `pfn_to_page()` has it. */
  private pageArrayOrigin(guest: Introspection, physical: bigint): bigint {
    const array = guest.pageArray;
    switch (array.kind) {
      case 'vmemmap':
        return array.address;
      case 'mem_map': {
        const first = guest.pageValidity.kind === 'flatmem' ? guest.pageValidity.firstFrame : 0n;
        return this.loadWord(array.pointer) - first * BigInt(guest.page.size);
      }
      case 'section map': {
        if (guest.pageValidity.kind !== 'sparsemem') throw new Unreadable(physical);
        /* Where there is no section the kernel goes through a null pointer. */
        const section = this.memorySection(guest, physical) ?? 0n;
        return this.field(section, guest.pageValidity.sectionMap) & ~guest.pageValidity.mapMask;
      }
    }
  }

  /** `virt_to_page()` */
  private structPage(guest: Introspection, physical: bigint): bigint {
    const frame = physical >> BigInt(this.parameters.pageShift);
    return this.word(this.pageArrayOrigin(guest, physical) + frame * BigInt(guest.page.size));
  }

  /** `PageTail()` */
  isTail(guest: Introspection, physical: bigint): boolean {
    return (this.field(this.structPage(guest, physical), guest.page.compoundHead) & 1n) === 1n;
  }

  /** `virt_to_page()` then `compound_head()`: the head's struct page. */
  headPage(guest: Introspection, physical: bigint): bigint {
    const page = this.structPage(guest, physical);
    const head = this.field(page, guest.page.compoundHead);
    if ((head & 1n) === 0n) return page;
    /* From 7.1 on a tail may say how many low bits of its own address to clear. */
    return guest.page.tailsHoldMask ? page & head : head - 1n;
  }

  /** `page_address()` of a struct page: its frame in the linear map. `near` is a physical address of the same section. */
  pageAddress(guest: Introspection, page: bigint, near: bigint): bigint {
    const linear = guest.linearMaps[0];
    if (linear === undefined) throw new Unreadable(page);
    const distance = this.word(page - this.pageArrayOrigin(guest, near));
    const signed = BigInt.asIntN(this.parameters.bits, distance);
    const physical = (signed / BigInt(guest.page.size)) << BigInt(this.parameters.pageShift);
    return this.word(physical - linear.physical + linear.virtual);
  }

  /** `find_vmap_area()`: in one tree, or in the trees of all nodes beginning with the address's own (6.9 on). */
  findVmapArea(guest: Introspection, address: bigint): VmapArea | null {
    const vmap = guest.vmap;
    switch (vmap.kind) {
      case 'none':
        return null;
      case 'tree':
        return this.searchTree(this.loadWord(vmap.root), vmap.area, address);
      case 'nodes': {
        const nodes = this.loadWord(vmap.nodes);
        const count = this.load(vmap.count, 4);
        const zoneSize = this.load(vmap.zoneSize, 4);
        if (count === 0n || count > MAXIMUM_NODES) throw new Unreadable(vmap.count);
        if (zoneSize === 0n) throw new Unreadable(vmap.zoneSize);
        const first = (address / zoneSize) % count;
        for (let i = 0n; i < count; i++) {
          const node = nodes + ((first + i) % count) * BigInt(vmap.nodeSize);
          const area = this.searchTree(this.field(node, vmap.busyRoot), vmap.area, address);
          if (area !== null) return area;
        }
        return null;
      }
    }
  }

  private searchTree(top: bigint, slots: VmapAreaSlots, address: bigint): VmapArea | null {
    let node = top;
    for (let height = 0; node !== 0n; height++) {
      if (height === MAXIMUM_TREE_HEIGHT) throw new Unreadable(node);
      const area = this.word(node - BigInt(slots.rbNode));
      const start = this.field(area, slots.vaStart);
      if (address < start) {
        node = this.field(node, slots.rbLeft);
        continue;
      }
      const end = this.field(area, slots.vaEnd);
      if (address < end) return { start, end, vm: this.field(area, slots.vm), slots };
      node = this.field(node, slots.rbRight);
    }
    return null;
  }
}
