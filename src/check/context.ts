/** Writes `CheckParameters` into the module's context. */
import { badInput } from '../errors.js';
import { type ControlArea, KMAP_RANGE_CAPACITY, LINEAR_MAP_CAPACITY } from './control.js';
import { constantName, type Layout, Structure } from './layout.js';
import type {
  AddressRange,
  BitSlot,
  CheckParameters,
  CmaParameters,
  Introspection,
  PageValidityParameters,
  ProfileSwitches,
  SlabLists,
  Slot,
  StackParameters,
  VmapAreaSlots,
} from './parameters.js';
import { Windows } from './windows.js';

const WORD_MAX = (1n << 64n) - 1n;

function requireRange(where: string, value: number, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw badInput(where, `a whole number from ${low} to ${high}`, String(value));
  }
  return value;
}

function requireWord(where: string, value: bigint): bigint {
  if (value < 0n || value > WORD_MAX) throw badInput(where, 'an unsigned 64-bit number', String(value));
  return value;
}

/** A field as the module wants it: bytes << 24 | offset. 0: no such field. */
function packSlot(where: string, slot: Slot | null): number {
  if (!slot) return 0;
  if (![1, 2, 4, 8].includes(slot.size)) throw badInput(where, 'a field of 1, 2, 4 or 8 bytes', String(slot.size));
  return ((slot.size << 24) | requireRange(`${where}: offset`, slot.offset, 0, 0xff_ffff)) >>> 0;
}

/** Bytes from a structure's start to the end of the last of some fields. */
function fieldsEnd(slots: readonly (Slot | null)[]): number {
  return Math.max(...slots.map((slot) => (slot ? slot.offset + slot.size : 0)));
}

export class ContextWriter {
  readonly #memory: WebAssembly.Memory;
  readonly #layout: Layout;
  readonly #area: ControlArea;
  readonly #context: Structure;
  readonly #windows: Windows;
  #pageShift = 12;

  constructor(memory: WebAssembly.Memory, layout: Layout, area: ControlArea) {
    this.#memory = memory;
    this.#layout = layout;
    this.#area = area;
    this.#context = new Structure(memory, layout, 'ContextLayout', area.context);
    this.#windows = new Windows(memory, layout, area);
  }

  /** Nothing is written when an error is thrown by a bad number at the top; later ones leave the context half written. */
  write(parameters: CheckParameters): void {
    const c = this.#context;
    const bits = parameters.bits;
    if (bits !== 32 && bits !== 64) throw badInput('check: bits', '32 or 64', String(bits));
    this.#pageShift = requireRange('check: pageShift', parameters.pageShift, 12, 16);
    c.setU32('pageShift', this.#pageShift);
    c.setU64('pageSize', 1n << BigInt(parameters.pageShift));
    c.setU64('wordMask', bits === 64 ? WORD_MAX : 0xffff_ffffn);
    c.setU32('wordBytes', bits / 8);
    c.setU8('bigEndian', parameters.endian === 'big');
    this.#writeSwitches(parameters.switches);
    this.#writeRange('text', parameters.text, 0n);
    this.#writeRange('linearText', parameters.linearText, 0n);
    // A range that is not known must hold nothing, not even a copy that ends at its end.
    this.#writeRange('rodata', parameters.rodata, WORD_MAX);
    this.#writeRange('data', parameters.data, WORD_MAX);
    this.#writeRange('bss', parameters.bss, WORD_MAX);
    c.setU64('taskSize', requireWord('check: taskSize', parameters.taskSize));
    this.#writeStack(parameters.stack);
    this.#writeIntrospection(parameters.introspection);
  }

  #constant(enumeration: string, words: string): number {
    return this.#layout.get(enumeration, constantName(words));
  }

  #writeSwitches(switches: ProfileSwitches): void {
    const c = this.#context;
    c.setU8('oldFormat', switches.format === 'old');
    for (const name of [
      'stackFirst',
      'wrapCountsEnd',
      'textTouchCounts',
      'linearText',
      'whitelist',
      'fallback',
      'highmem',
      'folio',
      'depth',
      'kfence',
      'bypass',
    ] as const) {
      c.setU8(name, switches[name]);
    }
    // Where nothing is skipped, virt_addr_valid() alone decides, as it does after 517e1fbeb65f.
    const skip = switches.skipVmalloc === 'unless virt_addr_valid' ? 'no' : switches.skipVmalloc;
    c.setU8('skipVmalloc', this.#constant('SkipVmalloc', skip));
    const pageSpans = { off: 'OFF', v3: 'V3', 'v3-cma': 'V3_CMA', '4.8': 'V4_8' } as const;
    c.setU8('pageSpan', this.#layout.get('PageSpan', pageSpans[switches.pageSpan]));
    c.setU8('kmap', this.#constant('Kmap', switches.kmap));
    c.setU8('vmalloc', this.#constant('VmallocRule', switches.vmalloc));
  }

  #writeRange(name: string, range: AddressRange | null, none: bigint): void {
    const start = requireWord(`check: start of ${name}`, range ? range.start : none);
    const end = requireWord(`check: end of ${name}`, range ? range.end : 0n);
    if (range && end < start) throw badInput(`check: ${name}`, 'an end at or above the start', `${start} to ${end}`);
    this.#context.setU64(`${name}Start`, start);
    this.#context.setU64(`${name}End`, end);
  }

  #writeStack(stack: StackParameters): void {
    const c = this.#context;
    const { current, frames } = stack;
    const size = requireWord('check: threadSize', stack.threadSize);
    if (current.kind === 'masked stack pointer' && (size === 0n || size & (size - 1n))) {
      throw badInput('check: threadSize', 'a power of two, as the stack pointer is masked with it', String(size));
    }
    c.setU64('threadSize', size);
    c.setU32('currentKind', this.#constant('CurrentKind', current.kind));
    c.setU64('currentOffset', current.kind === 'memory' ? current.offset : 0n);
    c.setU32('taskStack', 'taskStack' in current ? packSlot('check: taskStack', current.taskStack) : 0);
    c.setU64('depthOfCheck', stack.depthOfCheck);
    c.setU64('depthOfPrint', stack.depthOfPrint);
    c.setU32('checksFrames', frames ? 1 : 0);
    c.setU64('frameSaved', BigInt(frames?.savedFrame ?? 0));
    c.setU64('frameHeader', BigInt(frames?.header ?? 0));
    c.setU64('frameEntryToCaller', BigInt(frames?.entryToCaller ?? 0));
    c.setU64('frameBias', BigInt(frames?.bias ?? 0));
  }

  #writeIntrospection(facts: Introspection | null): void {
    const c = this.#context;
    this.#clearLists();
    c.setU8('introspected', facts !== null);
    this.#writeRange('vmalloc', facts?.vmalloc ?? null, 0n);
    this.#writeRange('modules', facts?.modules ?? null, 0n);
    this.#writeKmaps(facts?.kmap ?? []);
    c.setU64('bypassKey', facts?.bypassKey ?? 0n);
    c.setU32('pagefaultDisabled', packSlot('pagefault_disabled', facts?.pagefaultDisabled ?? null));
    c.setU64('kfencePool', facts?.kfence?.pool ?? 0n);
    this.#writeLinearMaps(facts?.linearMaps ?? []);
    c.setU64('imageStart', facts?.imageMap?.virtual ?? 0n);
    c.setU64('imageSize', facts?.imageMap?.size ?? 0n);
    c.setU64('imagePhysical', facts?.imageMap?.physical ?? 0n);
    c.setU32('vmapKind', this.#constant('VmapKind', facts?.vmap.kind ?? 'none'));
    this.#windows.setReach({});
    if (!facts) return;
    if (!facts.linearMaps.length) throw badInput('check: linearMaps', 'at least the linear map', 'none');
    this.#windows.setReach({
      PAGE: this.#writePages(facts),
      CACHE: this.#writeSlab(facts.slab, facts.page.sMem),
      AREA: facts.vmap.kind === 'none' ? 0 : this.#writeVmap(facts.vmap),
    });
    if (facts.kfence) this.#writeKfence(facts.kfence);
    if (facts.lists) this.#writeLists(facts.lists);
  }

  #writeKmaps(ranges: readonly AddressRange[]): void {
    if (ranges.length > KMAP_RANGE_CAPACITY) {
      throw badInput('check: kmap ranges', `at most ${KMAP_RANGE_CAPACITY}`, String(ranges.length));
    }
    const bytes = this.#layout.get('RangeLayout', 'BYTES');
    ranges.forEach((range, index) => {
      const entry = new Structure(this.#memory, this.#layout, 'RangeLayout', this.#area.kmapRanges + index * bytes);
      entry.setU64('start', range.start);
      entry.setU64('end', range.end);
    });
    this.#context.setU32('kmapRanges', this.#area.kmapRanges);
    this.#context.setU32('kmapRangeCount', ranges.length);
  }

  #writeLinearMaps(maps: Introspection['linearMaps']): void {
    if (maps.length > LINEAR_MAP_CAPACITY) {
      throw badInput('check: linearMaps', `at most ${LINEAR_MAP_CAPACITY}`, String(maps.length));
    }
    const bytes = this.#layout.get('LinearMapLayout', 'BYTES');
    maps.forEach((map, index) => {
      const entry = new Structure(this.#memory, this.#layout, 'LinearMapLayout', this.#area.linearMaps + index * bytes);
      entry.setU64('virtual', map.virtual);
      entry.setU64('size', map.size);
      entry.setU64('physical', map.physical);
    });
    this.#context.setU32('linearMaps', this.#area.linearMaps);
    this.#context.setU32('linearMapCount', maps.length);
  }

  /** Bytes of a struct page that are read at once. */
  #writePages(facts: Introspection): number {
    const c = this.#context;
    const { page, pageArray, pageValidity } = facts;
    if (pageArray.kind === 'section map' && pageValidity.kind !== 'sparsemem') {
      throw badInput('check: pageArray', 'sparsemem sections for a section map', pageValidity.kind);
    }
    this.#writeValidity(pageValidity);
    const firstFrame = pageArray.kind === 'mem_map' ? pageArray.firstFrame : undefined;
    c.setU64('firstFrame', pageValidity.kind === 'flatmem' ? pageValidity.firstFrame : (firstFrame ?? 0n));
    c.setU32('pageArrayKind', this.#constant('PageArrayKind', pageArray.kind));
    c.setU64(
      'pageArray',
      pageArray.kind === 'vmemmap' ? pageArray.address : pageArray.kind === 'mem_map' ? pageArray.pointer : 0n,
    );
    c.setU64('pageStructSize', BigInt(requireRange('sizeof(struct page)', page.size, 1, 4096)));
    c.setU64('headMask', page.headMask);
    c.setU64('reservedMask', page.reservedMask);
    c.setU32('pageFlags', packSlot('page.flags', page.flags));
    c.setU32('compoundHead', packSlot('page.compound_head', page.compoundHead));
    c.setU32('tailsHoldMask', page.tailsHoldMask ? 1 : 0);
    c.setU32('tailsAreCompound', page.tailsAreCompound ? 1 : 0);
    const slab = page.slab;
    c.setU32(
      'slabField',
      slab.kind === 'flag' ? packSlot('page.flags', page.flags) : packSlot('page_type', slab.field),
    );
    c.setU64('slabMask', slab.mask);
    c.setU64('slabValue', slab.kind === 'flag' ? slab.mask : slab.value);
    const fields = [page.flags, page.compoundHead, page.slabCache, ...(slab.kind === 'type' ? [slab.field] : [])];
    c.setU32('pageFieldsEnd', fieldsEnd(fields));
    c.setU32('order', packSlot('compound order', page.order));
    c.setU64('orderMask', page.orderMask);
    c.setU32('slabCache', packSlot('slab_cache', page.slabCache));
    c.setU32('slabMem', packSlot('s_mem', page.sMem));
    this.#writeCma(page.cma);
    return fieldsEnd(fields);
  }

  #writeCma(cma: CmaParameters | undefined): void {
    const c = this.#context;
    c.setU32('cmaType', Number(cma?.type ?? 0n));
    c.setU32('pageblockShift', cma === undefined ? 0 : requireRange('pageblock_order', cma.order, 1, 40));
    c.setU32('pageblockMap', packSlot('pageblock_flags', cma?.map ?? null));
    c.setU32('pageblockOffset', cma?.offset ?? 0);
    c.setU32('pageblockReversed', cma?.reversed ? 1 : 0);
    c.setU64('zones', cma?.zones?.address ?? 0n);
    c.setU64('zoneSize', BigInt(cma?.zones?.size ?? 0));
    c.setU32('zoneStart', packSlot('zone_start_pfn', cma?.zones?.start ?? null));
    c.setU32('zoneShift', cma?.zones?.shift ?? 0);
    c.setU64('zoneMask', cma?.zones?.mask ?? 0n);
  }

  #writeValidity(validity: PageValidityParameters): void {
    const c = this.#context;
    c.setU32('validityKind', this.#constant('ValidityKind', validity.kind));
    if (validity.kind === 'flatmem') {
      c.setU64('maxMapnr', validity.maxMapnr);
    } else if (validity.kind === 'memblock') {
      const blockSize = validity.blockSize ?? 0n;
      if (blockSize & (blockSize - 1n)) throw badInput('memblock: blockSize', 'a power of two', String(blockSize));
      c.setU64('memblockMemory', validity.memory);
      c.setU32('memblockCount', packSlot('memblock count', validity.count));
      c.setU32('memblockRegions', packSlot('memblock regions', validity.regions));
      c.setU64('memblockRegionSize', BigInt(requireRange('sizeof(memblock_region)', validity.region.size, 1, 4096)));
      c.setU32('memblockBase', packSlot('memblock base', validity.region.base));
      c.setU32('memblockLength', packSlot('memblock size', validity.region.length));
      c.setU32('memblockFlags', packSlot('memblock flags', validity.region.flags));
      c.setU64('memblockNoMap', validity.noMap);
      c.setU64('memblockBlockSize', blockSize);
    } else {
      c.setU64('memSection', validity.memSection);
      c.setU32('sectionExtreme', validity.extreme ? 1 : 0);
      const perRoot = 2 ** this.#pageShift / requireRange('sizeof(mem_section)', validity.sectionSize, 1, 4096);
      if (validity.extreme && !Number.isInteger(Math.log2(perRoot))) {
        // The kernel takes its remainder with a mask (SECTION_ROOT_MASK).
        throw badInput('sizeof(mem_section)', 'a power of two with SPARSEMEM_EXTREME', String(validity.sectionSize));
      }
      c.setU32('sectionRootShift', validity.extreme ? Math.log2(perRoot) : 0);
      c.setU64('sectionStructSize', BigInt(validity.sectionSize));
      c.setU32('sectionMap', packSlot('section_mem_map', validity.sectionMap));
      c.setU32('sectionUsage', packSlot('mem_section.usage', validity.usage?.pointer ?? null));
      c.setU32('subsectionBitmap', validity.usage?.bitmap ?? 0);
      const sectionBits = requireRange('SECTION_SIZE_BITS', validity.sectionSizeBits, 17, 40);
      c.setU32('sectionSizeBits', sectionBits);
      c.setU32(
        'physicalAddressBits',
        requireRange('MAX_PHYSMEM_BITS', validity.physicalAddressBits, sectionBits, sectionBits + 63),
      );
      c.setU64('hasMemMap', validity.hasMemMap);
      c.setU64('isEarly', validity.isEarly);
      c.setU64('sectionMapFlags', validity.mapMask);
    }
  }

  /** Bytes of a kmem_cache that are read at once. */
  #writeSlab(slab: Introspection['slab'], sMem: Slot | null): number {
    const c = this.#context;
    const isSlab = slab.allocator === 'SLAB';
    if (isSlab && !(sMem && slab.num && slab.reciprocal)) {
      throw badInput('check: SLAB', 's_mem, num and reciprocal_buffer_size', 'not all of them');
    }
    c.setU8('slabAllocator', isSlab);
    const slots = {
      cacheSize: slab.size,
      cacheObjectSize: slab.objectSize,
      cacheUseroffset: slab.usersize && slab.useroffset,
      cacheUsersize: slab.useroffset && slab.usersize,
      cacheFlags: slab.flags,
      cacheRedLeftPad: slab.redLeftPad,
      cacheInuse: slab.inuse ?? slab.objectSize,
      cacheNum: slab.num,
      cacheReciprocal: slab.reciprocal && { offset: slab.reciprocal.offset, size: 4 },
      cacheObjOffset: slab.objOffset,
    };
    for (const [field, slot] of Object.entries(slots)) c.setU32(field, packSlot(`kmem_cache: ${field}`, slot));
    c.setU32('cacheFieldsEnd', fieldsEnd(Object.values(slots)));
    c.setU64('flagRedZone', slab.redZone);
    c.setU64('flagPoison', slab.poison);
    c.setU64('flagStoreUser', slab.storeUser);
    c.setU64('flagTypesafeByRcu', slab.typesafeByRcu);
    c.setU64('slubDebugEnabled', slab.debugEnabled ?? 0n);
    return fieldsEnd(Object.values(slots));
  }

  /** Bytes of a vmap_area that are read at once. */
  #writeVmap(vmap: Exclude<Introspection['vmap'], { kind: 'none' }>): number {
    const c = this.#context;
    c.setU64('vmapRoot', vmap.kind === 'tree' ? vmap.root : vmap.nodes);
    if (vmap.kind === 'nodes') {
      c.setU64('vmapNodeCount', vmap.count);
      c.setU64('vmapZoneSize', vmap.zoneSize);
      c.setU32('vmapNodeSize', requireRange('sizeof(vmap_node)', vmap.nodeSize, 1, 0xff_ffff));
      c.setU32('vmapBusyRoot', packSlot('vmap_node.busy.root', vmap.busyRoot));
    }
    return this.#writeVmapArea(vmap.area);
  }

  #writeVmapArea(area: VmapAreaSlots): number {
    const c = this.#context;
    c.setU64('vmapRbNode', BigInt(area.rbNode));
    c.setU64('vmapNoGuard', area.noGuard);
    c.setU32('vaStart', packSlot('vmap_area.va_start', area.vaStart));
    c.setU32('vaEnd', packSlot('vmap_area.va_end', area.vaEnd));
    c.setU32('rbLeft', packSlot('rb_left', area.rbLeft));
    c.setU32('rbRight', packSlot('rb_right', area.rbRight));
    c.setU32('vmStruct', packSlot('vmap_area.vm', area.vm));
    c.setU32('vmSize', packSlot('vm_struct.size', area.vmSize));
    c.setU32('vmFlags', packSlot('vm_struct.flags', area.vmFlags));
    const inNode = fieldsEnd([area.rbLeft, area.rbRight]);
    const end = Math.max(fieldsEnd([area.vaStart, area.vaEnd]), area.rbNode + inNode);
    c.setU32('areaFieldsEnd', end);
    return end;
  }

  #writeKfence(kfence: NonNullable<Introspection['kfence']>): void {
    const c = this.#context;
    c.setU64('kfencePoolSize', kfence.poolSize);
    c.setU64('kfenceMetadata', kfence.metadata);
    c.setU32('kfenceIndirect', kfence.indirect ? 1 : 0);
    c.setU64('kfenceMetadataSize', BigInt(requireRange('sizeof(kfence_metadata)', kfence.metadataSize, 1, 65536)));
    c.setU32('kfenceObjectAddress', packSlot('kfence_metadata.addr', kfence.objectAddress));
  }

  get #look(): Structure {
    return new Structure(this.#memory, this.#layout, 'LookLayout', this.#area.look);
  }

  /** Then nothing is known of any slab's objects. */
  #clearLists(): void {
    const { look } = this.#area;
    new Uint8Array(this.#memory.buffer, look, this.#layout.get('LookLayout', 'BYTES')).fill(0);
    this.#look.setU32('bits', this.#area.lookBits);
  }

  #writeLists(lists: SlabLists): void {
    const l = this.#look;
    const { cpu, sheaves, kfence, asked } = lists;
    const slots: Readonly<Record<string, Slot | null | undefined>> = {
      freelist: lists.freelist,
      objects: lists.objects,
      frozen: lists.frozen,
      active: lists.active,
      freePointer: lists.freePointer,
      random: lists.random,
      cpuSlab: lists.cpuSlab,
      cpuSheaves: lists.cpuSheaves,
      sheafCapacity: lists.sheafCapacity,
      cpuSlabPage: cpu?.page,
      cpuFreelist: cpu?.freelist,
      sheafMain: sheaves?.main,
      sheafSpare: sheaves?.spare,
      sheafRcuFree: sheaves?.rcuFree,
      sheafSize: sheaves?.size,
      nodeBarn: sheaves?.nodeBarn,
      kfenceState: kfence?.state,
      kfenceSize: kfence?.size,
      kfenceCache: kfence?.cache,
      asked: asked?.size,
    };
    for (const [field, slot] of Object.entries(slots)) l.setU32(field, packSlot(`slab lists: ${field}`, slot ?? null));
    const bits = ({ shift }: BitSlot): number => requireRange('slab lists: bits', shift, 0, 63);
    l.setU32('objectsShift', lists.objects ? bits(lists.objects) : 0);
    l.setU32('objectsMask', lists.objects?.mask ?? 0);
    l.setU32('frozenShift', lists.frozen ? bits(lists.frozen) : 0);
    l.setU32('indexBytes', lists.indexBytes);
    l.setU32('arrays', Number(lists.arrays));
    l.setU64('perCpuOffset', lists.perCpuOffset ?? 0n);
    l.setU64('cpuCount', lists.cpuCount ?? 0n);
    l.setU32('mostCpus', requireRange('slab lists: mostCpus', lists.mostCpus, 0, 65536));
    const numbers = {
      sheafObjects: sheaves?.objects,
      sheafBarnList: sheaves?.barnList,
      nodes: sheaves?.nodes,
      nodesEnd: sheaves?.nodesEnd,
      barnFull: sheaves?.barnFull,
    };
    for (const [field, value] of Object.entries(numbers))
      l.setU32(field, requireRange(`slab lists: ${field}`, value ?? 0, 0, 0xff_ffff));
    l.setU32('nodeStride', requireRange('slab lists: nodeStride', sheaves?.nodeStride ?? 1, 1, 0xff_ffff));
    l.setU32('nodesInline', Number(sheaves?.nodesInline ?? false));
    l.setU32('kfenceAllocated', kfence?.allocated ?? 0);
    l.setU32('kfenceFreed', kfence?.freed ?? 0);
    l.setU64('flagsOfAsked', asked?.flags ?? 0n);
    l.setU32('quarantine', Number(lists.quarantine));
  }
}
