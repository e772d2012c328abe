/**
 * Memory objects in a kernel's own structures, as if its allocators had made them: slabs with their kmem_cache, compound
 * and plain pages, vmalloc areas. The kernel's own check reads them as it reads real ones; so does ours. Nothing here is
 * an allocator: memory is taken and never given back. `docs/guests.md` lists what is faked.
 */

import type {
  CmaParameters,
  Introspection,
  PageValidityParameters,
  Slot,
  SparsememParameters,
  VmapAreaSlots,
} from '../check/parameters.js';
import { hex, UsercopyError } from '../errors.js';
import { slot } from '../introspect/fields.js';
import { introspectionOf } from '../introspect/structures.js';
import { bytesOf } from '../kernel/bytes.js';
import { requireTypes } from '../kernel/require-types.js';
import { aGuest, requireValue } from '../options.js';
import type { Guest } from './guest.js';
import { enableStaticKey } from './static-key.js';

const ARENA_BYTES = 1n << 20n;
/** Vmalloc areas begin this far into the vmalloc space, or a quarter of it: above the image, where that lies in it. */
const VMALLOC_SKIP = 1n << 32n;
const NODES = 4n;
/** NR_PAGEBLOCK_BITS and PB_migratetype_bits, include/linux/pageblock-flags.h. */
const PAGEBLOCK_BITS = 4n;
const MIGRATE_TYPE_BITS = 3n;
const NODE_ZONE_BYTES = 1n << 24n;
/** SECTION_MARKED_PRESENT, HAS_MEM_MAP, IS_ONLINE, IS_EARLY. */
const EARLY_SECTION = 0xfn;

export interface SlabSpec {
  readonly name: string;
  /** Bytes the caller asked for, and bytes from one object to the next. */
  readonly objectSize: number;
  readonly size: number;
  readonly useroffset: number;
  readonly usersize: number;
  /** With a left pad the cache is red-zoned. */
  readonly redLeftPad?: number;
  /** log2 of the slab's pages; default 0. */
  readonly order?: number;
}

export interface SlabObjects {
  readonly cache: bigint;
  /** First byte of the slab, and first byte after it. */
  readonly start: bigint;
  readonly end: bigint;
  /** Address of object `index`. */
  object(index: number): bigint;
}

export class KernelObjects {
  readonly #guest: Guest;
  readonly #facts: Introspection;
  readonly #pageBytes: bigint;
  #arena = 0n;
  #arenaEnd = 0n;
  #nextArea: bigint;
  /** Classic SPARSEMEM: where the struct page of frame 0 would lie; sections point there, all alike. */
  #sectionMap: bigint | null = null;
  /** The sections of RAM by number. */
  readonly #sections = new Map<bigint, bigint>();
  /** Address of the word that points to the top of each tree of vmap areas. */
  #trees: bigint[] = [];

  /**
   * Gives the kernel a page array and tells it which page frames exist; with `booted` it has its own already.
   * @throws UsercopyError `bad-input` when the kernel's types are not known.
   */
  constructor(guest: Guest, options: { readonly booted?: boolean } = {}) {
    requireValue('KernelObjects: guest', guest, aGuest);
    const facts = introspectionOf(guest.kernel, guest.layout);
    if (facts === null) {
      throw new UsercopyError(
        'bad-input',
        'memory objects: expected a kernel with types (BTF), found none; give them with --btf',
      );
    }
    this.#guest = guest;
    this.#facts = facts;
    this.#pageBytes = 1n << BigInt(guest.layout.pageShift);
    const { vmallocStart, vmallocEnd } = guest.layout;
    const quarter = (vmallocEnd - vmallocStart) / 4n;
    const skip = quarter < VMALLOC_SKIP ? quarter - (quarter % this.#pageBytes) : VMALLOC_SKIP;
    this.#nextArea = vmallocStart + skip;
    if (options.booted) {
      if (facts.vmap.kind === 'tree') this.#trees = [facts.vmap.root];
      return;
    }
    this.#mapPageArray();
    this.#declareFrames(facts.pageValidity);
    this.#prepareVmap();
  }

  /** Address of the struct page of a linear-map address. */
  structPage(address: bigint): bigint {
    return this.#structPageOfFrame(this.#physical(address) / this.#pageBytes);
  }

  /** Where the struct pages of the guest's RAM lie. */
  structPages(): { readonly start: bigint; readonly end: bigint } {
    const { first, end } = this.#frames();
    return { start: this.#structPageOfFrame(first), end: this.#structPageOfFrame(end) };
  }

  /** A slab of one cache, all of whose objects are in use. */
  makeSlab(spec: SlabSpec): SlabObjects {
    const order = spec.order ?? 0;
    const start = this.#compound(order);
    const end = start + (this.#pageBytes << BigInt(order));
    const cache = this.#describe(start, spec, end - start, (end - start) / BigInt(spec.size));
    const first = start + BigInt(spec.redLeftPad ?? 0);
    return { cache, start, end, object: (index) => first + BigInt(index) * BigInt(spec.size) };
  }

  /** Gives pages to a cache of their own; its address. */
  #describe(start: bigint, spec: SlabSpec, bytes: bigint, objects: bigint): bigint {
    const { slab, page } = this.#facts;
    const cache = this.#take(BigInt(this.#struct('kmem_cache').size));
    const left = spec.redLeftPad ?? 0;
    this.#set(cache, slab.name, this.#string(spec.name));
    this.#set(cache, slab.size, BigInt(spec.size));
    this.#set(cache, slab.objectSize, BigInt(spec.objectSize));
    this.#setIfAny(cache, slab.inuse, BigInt(spec.objectSize));
    this.#setIfAny(cache, slab.useroffset, BigInt(spec.useroffset));
    this.#setIfAny(cache, slab.usersize, BigInt(spec.usersize));
    this.#set(cache, slab.flags, left > 0 ? slab.redZone : 0n);
    this.#setIfAny(cache, slab.redLeftPad, BigInt(left));
    const struct = this.structPage(start);
    this.#markSlab(struct);
    this.#set(struct, page.slabCache, cache);
    if (slab.allocator === 'SLAB') this.#describeSlab(cache, struct, start, spec, bytes);
    else this.#countObjects(struct, objects);
    return cache;
  }

  /**
   * An object of KFENCE's pool, which is made around it: alone on its page, at the end of it as half of them are (mm/kfence/core.c).
   * null where the kernel has no KFENCE, or it is not known where it keeps its records. A second one takes the first one's place.
   */
  makeKfenceObject(spec: Omit<SlabSpec, 'size' | 'order'>): { start: bigint; page: bigint } | null {
    const { kfence } = this.#facts;
    if (kfence === null) return null;
    const { memory } = this.#guest;
    const pool = memory.allocateAligned(kfence.poolSize, this.#pageBytes);
    // The first two pages hold none; behind each object's page is one that nobody may touch.
    const page = pool + 2n * this.#pageBytes;
    const start = page + this.#pageBytes - BigInt(spec.objectSize);
    this.#describe(page, { ...spec, size: spec.objectSize }, this.#pageBytes, 1n);
    const bytes = (kfence.poolSize / this.#pageBytes / 2n) * BigInt(kfence.metadataSize);
    const records = kfence.indirect ? memory.allocate(bytes) : kfence.metadata;
    memory.writeWord(kfence.pool, pool);
    if (kfence.indirect) memory.writeWord(kfence.metadata, records);
    this.#set(records, kfence.objectAddress, start);
    return { start, page };
  }

  /** A compound page of 2^order pages. */
  makeCompoundPage(order: number): { start: bigint; end: bigint } {
    const start = this.#compound(order);
    return { start, end: start + (this.#pageBytes << BigInt(order)) };
  }

  /** Pages that no allocator has put together. */
  makePages(count: number): { start: bigint; end: bigint } {
    const size = this.#pageBytes * BigInt(count);
    const start = this.#guest.memory.allocateAligned(size, this.#pageBytes);
    return { start, end: start + size };
  }

  setReserved(start: bigint, count: number): void {
    for (let index = 0; index < count; index++) {
      const struct = this.structPage(start + this.#pageBytes * BigInt(index));
      this.#set(
        struct,
        this.#facts.page.flags,
        this.#get(struct, this.#facts.page.flags) | this.#facts.page.reservedMask,
      );
    }
  }

  /** A page block of CMA's; null where the kernel has none, or it is not known where it keeps their types. */
  makeCmaBlock(): { start: bigint; end: bigint } | null {
    const { cma } = this.#facts.page;
    if (cma === undefined) return null;
    const size = this.#pageBytes << BigInt(cma.order);
    const start = this.#guest.memory.allocateAligned(size, size);
    const frame = this.#physical(start) / this.#pageBytes;
    const holder = this.#typesHolder(cma, frame);
    const index = (frame - holder.firstFrame) >> BigInt(cma.order);
    const word = BigInt(this.#guest.kernel.bits / 8);
    const bit = index * PAGEBLOCK_BITS;
    const low = bit % (word * 8n);
    const place = this.#get(holder.structure, cma.map) + BigInt(cma.offset) + (bit / (word * 8n)) * word;
    const shift = cma.reversed ? word * 8n - low - MIGRATE_TYPE_BITS : low;
    const { memory } = this.#guest;
    memory.writeWord(place, memory.readWord(place) | (cma.type << shift));
    return { start, end: start + size };
  }

  /** The section or zone that keeps the type of a frame's block, and the frame that it counts from. */
  #typesHolder(cma: CmaParameters, frame: bigint): { structure: bigint; firstFrame: bigint } {
    if (cma.zones !== null)
      return { structure: cma.zones.address, firstFrame: this.#get(cma.zones.address, cma.zones.start) };
    const validity = this.#facts.pageValidity;
    const sections = validity.kind === 'memblock' ? validity.sections : validity;
    if (sections?.kind !== 'sparsemem')
      throw new UsercopyError('guest', 'CMA: expected sections that keep the types of page blocks, found none');
    const perSection = (1n << BigInt(sections.sectionSizeBits)) / this.#pageBytes;
    const section = this.#sections.get(frame / perSection);
    if (section === undefined)
      throw new UsercopyError('guest', `CMA: expected a section of page frame ${frame}, found none`);
    return { structure: section, firstFrame: frame - (frame % perSection) };
  }

  /** A vmalloc area of `pages` pages and its guard page; no memory lies behind it. */
  makeVmallocArea(pages: number): { start: bigint; end: bigint; guardEnd: bigint } {
    const start = this.#nextArea;
    const end = start + this.#pageBytes * BigInt(pages);
    const guardEnd = end + this.#pageBytes;
    // Half of the areas leave a hole behind them.
    this.#nextArea = guardEnd + this.#pageBytes * BigInt(pages % 2);
    this.#insertArea(start, guardEnd, pages);
    return { start, end, guardEnd };
  }

  /** Address of the word that points to the top of the tree with areas that begin at `start`; null where there is none. */
  treeOf(start: bigint): bigint | null {
    const index = this.#facts.vmap.kind === 'nodes' ? Number((start / NODE_ZONE_BYTES) % NODES) : 0;
    return this.#trees[index] ?? null;
  }

  /** Switches on the static key that kmem_cache_debug_flags() asks first, in memory and in the code that was compiled for it. */
  enableSlubDebug(): void {
    const key = this.#facts.slab.debugEnabled;
    if (key !== null) enableStaticKey(this.#guest, key);
  }

  get facts(): Introspection {
    return this.#facts;
  }

  #struct(name: string): { size: number } {
    return requireTypes(this.#guest.kernel, 'objects').struct(name);
  }

  #physical(address: bigint): bigint {
    const map = this.#facts.linearMaps.find(
      (candidate) => address >= candidate.virtual && address < candidate.virtual + candidate.size,
    );
    if (!map) throw new UsercopyError('guest', `${hex(address)}: expected an address of the linear map`);
    return address - map.virtual + map.physical;
  }

  #structPageOfFrame(frame: bigint): bigint {
    const { pageArray, page } = this.#facts;
    const size = BigInt(page.size);
    if (pageArray.kind === 'vmemmap') return BigInt.asUintN(64, pageArray.address + frame * size);
    if (pageArray.kind === 'mem_map') {
      return this.#guest.memory.readWord(pageArray.pointer) + (frame - (pageArray.firstFrame ?? 0n)) * size;
    }
    if (this.#sectionMap !== null) return BigInt.asUintN(64, this.#sectionMap + frame * size);
    throw new UsercopyError('unsupported', 'memory objects: a booted kernel with classic SPARSEMEM is not supported');
  }

  /** Frames of RAM, rounded out to what the kernel takes to exist. */
  #frames(): { first: bigint; end: bigint } {
    const { ram } = this.#guest.memory;
    const validity = this.#facts.pageValidity;
    const sections = validity.kind === 'sparsemem' ? validity : null;
    const unit = sections ? 1n << BigInt(sections.sectionSizeBits) : this.#pageBytes;
    const end = ram.physicalBase + ram.bytes;
    return {
      first: (ram.physicalBase - (ram.physicalBase % unit)) / this.#pageBytes,
      end: (((end + unit - 1n) / unit) * unit) / this.#pageBytes,
    };
  }

  #mapPageArray(): void {
    const { pageArray, page } = this.#facts;
    const { first, end } = this.#frames();
    const bytes = (end - first) * BigInt(page.size);
    const { memory } = this.#guest;
    const array = memory.allocate(bytes);
    if (pageArray.kind === 'mem_map') {
      memory.writeWord(pageArray.pointer, array - (first - (pageArray.firstFrame ?? 0n)) * BigInt(page.size));
    } else if (pageArray.kind === 'section map') {
      this.#sectionMap = BigInt.asUintN(64, array - first * BigInt(page.size));
      this.#nameSections(first, end);
    } else memory.mapRam(this.#structPageOfFrame(first), this.#physical(array), ((bytes + 4095n) / 4096n) * 4096n);
    this.#placePages();
  }

  /** With WANT_PAGE_VIRTUAL (sparc64) a struct page says where its page lies, and page_address() believes it. */
  #placePages(): void {
    const page = requireTypes(this.#guest.kernel, 'objects').struct('page');
    if (!page.has('virtual')) return;
    const place = slot(page, 'virtual');
    const { ram, linearAddress } = this.#guest.memory;
    for (let offset = 0n; offset < ram.bytes; offset += this.#pageBytes)
      this.#set(this.structPage(linearAddress + offset), place, linearAddress + offset);
  }

  /** Without a vmemmap a struct page says in its highest flags which section it is of (SECTION_IN_PAGE_FLAGS). */
  #nameSections(first: bigint, end: bigint): void {
    const { pageValidity, page } = this.#facts;
    if (pageValidity.kind !== 'sparsemem') return;
    const bits = pageValidity.physicalAddressBits - pageValidity.sectionSizeBits;
    const framesPerSection = (1n << BigInt(pageValidity.sectionSizeBits)) / this.#pageBytes;
    for (let frame = first; frame < end; frame++)
      this.#set(
        this.#structPageOfFrame(frame),
        page.flags,
        (frame / framesPerSection) << BigInt(this.#guest.kernel.bits - bits),
      );
  }

  #declareFrames(validity: PageValidityParameters): void {
    const { memory } = this.#guest;
    const { first, end } = this.#frames();
    switch (validity.kind) {
      case 'flatmem':
        memory.writeWord(validity.maxMapnr, end - first);
        if (this.#facts.page.cma?.zones) this.#giveTypes(this.#facts.page.cma.zones.address, end - first);
        return;
      case 'memblock': {
        const regions = this.#get(validity.memory, validity.regions);
        this.#set(validity.memory, validity.count, 1n);
        this.#set(regions, validity.region.base, memory.ram.physicalBase);
        this.#set(regions, validity.region.length, memory.ram.bytes);
        this.#set(regions, validity.region.flags, 0n);
        if (validity.sections) this.#declareSections(validity.sections, first, end);
        return;
      }
      case 'sparsemem':
        this.#declareSections(validity, first, end);
    }
  }

  /** `mem_section` with EXTREME: roots of a page each; every section of RAM is early. */
  #declareSections(sections: SparsememParameters, first: bigint, end: bigint): void {
    const { memory } = this.#guest;
    const word = BigInt(this.#guest.kernel.bits / 8);
    const perRoot = this.#pageBytes / BigInt(sections.sectionSize);
    const count = 1n << BigInt(sections.physicalAddressBits - sections.sectionSizeBits);
    const roots = sections.extreme ? memory.allocate((count / perRoot + 1n) * word) : null;
    if (roots !== null) memory.writeWord(sections.memSection, roots);
    const framesPerSection = (1n << BigInt(sections.sectionSizeBits)) / this.#pageBytes;
    for (let number = first / framesPerSection; number * framesPerSection < end; number++) {
      let section: bigint;
      if (roots === null) section = sections.memSection + number * BigInt(sections.sectionSize);
      else {
        const slot = roots + (number / perRoot) * word;
        if (memory.readWord(slot) === 0n)
          memory.writeWord(slot, memory.allocateAligned(this.#pageBytes, this.#pageBytes));
        section = memory.readWord(slot) + (number % perRoot) * BigInt(sections.sectionSize);
      }
      this.#sections.set(number, section);
      this.#giveTypes(section, framesPerSection);
      // The map itself is not read with a vmemmap; it must only not be zero.
      this.#set(section, sections.sectionMap, this.#structPageOfFrame(0n) | EARLY_SECTION);
    }
  }

  /** A bitmap for the types of `frames` frames' blocks; all are unmovable at first. */
  #giveTypes(structure: bigint, frames: bigint): void {
    const { cma } = this.#facts.page;
    if (cma === undefined) return;
    const bits = ((frames >> BigInt(cma.order)) + 1n) * PAGEBLOCK_BITS;
    this.#set(structure, cma.map, this.#guest.memory.allocate(BigInt(cma.offset) + bits / 8n + 8n));
  }

  #prepareVmap(): void {
    const { vmap } = this.#facts;
    const { memory, kernel } = this.#guest;
    if (vmap.kind === 'none') return;
    if (vmap.kind === 'tree') this.#trees = [vmap.root];
    else {
      const nodes = this.#take(BigInt(vmap.nodeSize) * NODES);
      memory.writeWord(vmap.nodes, nodes);
      this.#write(vmap.count, 4, NODES);
      this.#write(vmap.zoneSize, 4, NODE_ZONE_BYTES);
      for (let index = 0n; index < NODES; index++) {
        this.#trees.push(nodes + index * BigInt(vmap.nodeSize) + BigInt(vmap.busyRoot.offset));
      }
    }
    const initialized = kernel.symbols.address('vmap_initialized');
    if (initialized !== undefined) memory.write(initialized, Uint8Array.of(1));
    const text = kernel.symbols.address('_stext');
    const image = kernel.segments.find(
      (segment) => text !== undefined && text >= segment.address && text < segment.address + segment.size,
    );
    const end = kernel.symbols.address('_end') ?? (image && image.address + image.size);
    const { vmalloc } = this.#facts;
    // Where the image lies in the vmalloc space the kernel registers it (map_kernel, arm64).
    if (text !== undefined && end !== undefined && text >= vmalloc.start && text < vmalloc.end) {
      const start = text - (text % this.#pageBytes);
      const stop = ((end + this.#pageBytes - 1n) / this.#pageBytes) * this.#pageBytes;
      this.#insertArea(start, stop, Number((stop - start) / this.#pageBytes));
    }
  }

  #insertArea(start: bigint, end: bigint, pages: number): void {
    const { vmap } = this.#facts;
    if (vmap.kind === 'none') return;
    const slots = vmap.area;
    const area = this.#take(BigInt(this.#struct('vmap_area').size));
    const vm = this.#take(BigInt(this.#struct('vm_struct').size));
    this.#set(area, slots.vaStart, start);
    this.#set(area, slots.vaEnd, end);
    this.#set(area, slots.vm, vm);
    this.#set(vm, slots.vmSize, BigInt(pages + 1) * this.#pageBytes);
    const tree = this.treeOf(start);
    if (tree === null)
      throw new UsercopyError('guest', `vmalloc: expected a tree for the area at ${hex(start)}, found none`);
    this.#insertNode(tree, slots, area, start);
  }

  /** A plain search tree: who looks areas up does not look at colours. */
  #insertNode(root: bigint, slots: VmapAreaSlots, area: bigint, start: bigint): void {
    const { memory } = this.#guest;
    const rbNode = BigInt(slots.rbNode);
    let link = root;
    for (let node = memory.readWord(link); node !== 0n; node = memory.readWord(link)) {
      const side = start < this.#get(node - rbNode, slots.vaStart) ? slots.rbLeft : slots.rbRight;
      link = node + BigInt(side.offset);
    }
    memory.writeWord(link, area + rbNode);
  }

  #compound(order: number): bigint {
    const size = this.#pageBytes << BigInt(order);
    const start = this.#guest.memory.allocateAligned(size, size);
    if (order === 0) return start;
    const { page } = this.#facts;
    const head = this.structPage(start);
    this.#set(head, page.flags, this.#get(head, page.flags) | page.headMask);
    this.#set(head, page.order, (this.#get(head, page.order) & ~page.orderMask) | BigInt(order));
    const mask = BigInt.asUintN(64, -(BigInt(page.size) << BigInt(order)));
    const info = (page.tailsHoldMask ? mask : head) | 1n;
    for (let index = 1n; index < size / this.#pageBytes; index++) {
      this.#set(head + index * BigInt(page.size), page.compoundHead, info);
    }
    return start;
  }

  #markSlab(struct: bigint): void {
    const { page } = this.#facts;
    if (page.slab.kind === 'flag') this.#set(struct, page.flags, this.#get(struct, page.flags) | page.slab.mask);
    else this.#set(struct, page.slab.field, page.slab.value);
  }

  /** SLAB keeps the first object's address in the page, the count and the reciprocal of the size in the cache. */
  #describeSlab(cache: bigint, struct: bigint, start: bigint, spec: SlabSpec, bytes: bigint): void {
    const { slab, page } = this.#facts;
    if (page.sMem) this.#set(struct, page.sMem, start);
    if (slab.num) this.#set(cache, slab.num, bytes / BigInt(spec.size));
    if (slab.reciprocal) {
      // reciprocal_value(), lib/math/reciprocal_div.c: m = ((2^32 * (2^l - d)) / d) + 1 with l = fls(d - 1).
      const divisor = BigInt(spec.size);
      const length = BigInt((divisor - 1n).toString(2).length);
      const multiplier = ((1n << 32n) * ((1n << length) - divisor)) / divisor + 1n;
      const at = cache + BigInt(slab.reciprocal.offset);
      this.#write(at, 4, multiplier);
      this.#write(at + 4n, 1, length < 1n ? length : 1n);
      this.#write(at + 5n, 1, length > 1n ? length - 1n : 0n);
    }
  }

  /** SLUB counts a slab's objects, and those in use, in bits of one word; nothing is on its list of free ones. */
  #countObjects(struct: bigint, objects: bigint): void {
    const types = requireTypes(this.#guest.kernel, 'objects');
    const isOwnStruct = types.hasStruct('slab') && types.struct('slab').has('slab_cache');
    const slab = types.struct(isOwnStruct ? 'slab' : 'page');
    const isLittle = this.#guest.kernel.endian === 'little';
    for (const name of ['inuse', 'objects']) {
      const field = slab.field(name);
      if (!field) continue;
      const at = { offset: field.offset, size: field.size };
      const { offset, size } = field.bits ?? { offset: 0, size: field.size * 8 };
      const shift = BigInt(isLittle ? offset : field.size * 8 - offset - size);
      const mask = ((1n << BigInt(size)) - 1n) << shift;
      this.#set(struct, at, (this.#get(struct, at) & ~mask) | ((objects << shift) & mask));
    }
  }

  #take(bytes: bigint): bigint {
    const size = ((bytes + 63n) / 64n) * 64n;
    if (this.#arena + size > this.#arenaEnd) {
      const room = size > ARENA_BYTES ? size : ARENA_BYTES;
      this.#arena = this.#guest.memory.allocate(room);
      this.#arenaEnd = this.#arena + room;
    }
    const address = this.#arena;
    this.#arena += size;
    return address;
  }

  #string(text: string): bigint {
    const bytes = bytesOf(`${text}\0`);
    const address = this.#take(BigInt(bytes.length));
    this.#guest.memory.write(address, bytes);
    return address;
  }

  #setIfAny(struct: bigint, slot: Slot | null, value: bigint): void {
    if (slot) this.#set(struct, slot, value);
  }

  #set(struct: bigint, slot: Slot, value: bigint): void {
    this.#write(struct + BigInt(slot.offset), slot.size, value);
  }

  #get(struct: bigint, slot: Slot): bigint {
    return this.#guest.memory.readUnsigned(struct + BigInt(slot.offset), slot.size);
  }

  #write(address: bigint, size: number, value: bigint): void {
    this.#guest.memory.writeUnsigned(address, size, value);
  }
}
