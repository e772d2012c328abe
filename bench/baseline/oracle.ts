/**
 * The check once more, by hand, in BigInt: the judge of `assembly/` and the JavaScript baseline of the benchmark. It
 * follows mm/usercopy.c, mm/slub.c and mm/slab.c question by question, in the kernel's order, one function for each.
 * Sources: the mail "[PATCH v3 02/11] mm: Hardened usercopy" of July 2016 with 11/11 for SLUB; mm/usercopy.c of a
 * 4.9-era tree with lm_alias, of 5.10.13 and of 6.1.192.
 *
 * Declared memory takes the place of what the kernel would have found: a declared range is a page that
 * `virt_addr_valid()` accepts (slab, compound page, pages), a vmap area, a kmap slot or the current stack, and it wins over
 * the guest's structures.
 */
import type { CheckParameters, Declaration, Introspection, Slot } from '../../src/check/parameters.js';
import type { Acceptance, CheckedObject, Copy, Refusal, Verdict } from '../../src/check/verdict.js';
import { present } from '../present.js';
import { GuestMemory, type ReadMemory, Unreadable } from './oracle-memory.js';

/** Registers at the entry of the function that copies, and the one from which `current` is found. */
export interface CopyRegisters {
  readonly stackPointer: bigint;
  readonly framePointer: bigint;
  readonly currentBase: bigint;
}

type Bad = Extract<Verdict, { outcome: 'bad' }>;
type Good = Extract<Verdict, { outcome: 'good' }>;
/** What one group of rules found: a refusal, a reason to accept, or nothing. */
type Finding = Bad | Good | null;
type Declared<Kind extends Declaration['kind']> = Extract<Declaration, { kind: Kind }>;

/** Pointers up to this are NULL or a zero-size allocation (ZERO_OR_NULL_PTR). */
const ZERO_SIZE_POINTER = 16n;
/** More frames than any stack can hold (one word each on the largest stack): the chain is a loop. */
const MAXIMUM_FRAMES = 8192;

/** A head page, from either source of truth. `identity` tells pages apart, as comparing struct page pointers does. */
interface HeadPage {
  readonly identity: string;
  readonly reserved: boolean;
  readonly cma: boolean;
  readonly contents:
    | { readonly kind: 'declared slab'; readonly slab: Declared<'slab'> }
    | { readonly kind: 'slab'; readonly guest: Introspection; readonly page: bigint; readonly physical: bigint }
    | { readonly kind: 'large'; readonly start: bigint; readonly size: bigint }
    | { readonly kind: 'other' };
}

/**
 * Judges one copy as the kernel of `parameters` would, reading guest memory through `memory`. Never throws for what a
 * guest may contain: bytes that cannot be had, and structures with which no kernel could go on (a size of zero to
 * divide by, a tree that loops), are the verdict `unreadable`.
 */
export function oracle(
  parameters: CheckParameters,
  memory: ReadMemory,
  declarations: readonly Declaration[],
  copy: Copy,
  at: CopyRegisters,
): Verdict {
  try {
    return new Oracle(parameters, new GuestMemory(parameters, memory), declarations, copy, at).judge();
  } catch (error) {
    if (error instanceof Unreadable) return { outcome: 'unreadable', address: error.address };
    throw error;
  }
}

class Oracle {
  private readonly pointer: bigint;
  private readonly size: bigint;

  constructor(
    private readonly parameters: CheckParameters,
    private readonly memory: GuestMemory,
    private readonly declarations: readonly Declaration[],
    private readonly copy: Copy,
    private readonly at: CopyRegisters,
  ) {
    this.pointer = memory.word(copy.pointer);
    this.size = memory.word(copy.size);
  }

  /** `__check_object_size()` */
  judge(): Verdict {
    const { switches, introspection } = this.parameters;
    if (switches.bypass) return good('bypassed');
    if (introspection !== null && introspection.bypassKey !== null && this.memory.staticKey(introspection.bypassKey)) {
      return good('bypassed');
    }
    if (this.size === 0n) return good('empty copy');

    const bogus = this.bogusAddress();
    if (bogus !== null) return bogus;

    let heap: Finding = null;
    if (!switches.stackFirst) {
      heap = this.heapObject();
      if (heap?.outcome === 'bad') return heap;
    }
    const stack = this.stackObject();
    if (stack !== null) return stack;
    if (switches.stackFirst) {
      heap = this.heapObject();
      if (heap?.outcome === 'bad') return heap;
    }
    return this.kernelText() ?? heap ?? good('nothing objects');
  }

  /** `check_bogus_address()`: a range that wraps, or one that begins at NULL or a zero-size allocation. */
  private bogusAddress(): Finding {
    const last = this.parameters.switches.wrapCountsEnd ? this.size : this.size - 1n;
    const end = this.memory.word(this.pointer + this.size);
    if (this.memory.word(this.pointer + last) < this.pointer) {
      return bad('wrapped address', 0n, this.parameters.switches.format === 'new' ? end : this.size);
    }
    if (this.pointer <= ZERO_SIZE_POINTER) return bad('null address', this.pointer, this.size);
    return null;
  }

  /** `check_stack_object()`: not on the stack at all, partly on it, across a frame's edge, below the stack pointer. */
  private stackObject(): Finding {
    const { stack: rules, switches } = this.parameters;
    const end = this.memory.word(this.pointer + this.size);
    const stack = this.currentStack();
    if (stack === null) return null;
    const stackEnd = this.memory.word(stack.end);
    if (end <= stack.start || stackEnd <= this.pointer) return null;

    const object = wholeObject(stack.start, stackEnd);
    const printed = switches.depth ? this.memory.word(this.at.stackPointer - rules.depthOfPrint - this.pointer) : 0n;
    if (this.pointer < stack.start || stackEnd < end) return bad('process stack', printed, this.size, object);
    if (rules.frames !== null) {
      const frame = this.frameOf(stack.start, stackEnd, end);
      // Between a record at the stack pointer (powerpc) and the header of the function itself lies nothing.
      if (frame === null || frame.start >= frame.end) return bad('process stack', printed, this.size, object);
      const window = wholeObject(frame.start, frame.end);
      return this.pointer >= frame.start
        ? good('stack frame', window)
        : bad('process stack', printed, this.size, window);
    }
    const tooDeep = switches.depth && this.pointer < this.memory.word(this.at.stackPointer - rules.depthOfCheck);
    return tooDeep ? bad('process stack', printed, this.size, object) : good('stack', object);
  }

  /**
   * The stack of the current task: the declared one that holds the stack pointer (or that it has just left empty), else
   * what the guest says, else the lowest declared one that the copy touches.
   */
  private currentStack(): { start: bigint; end: bigint } | null {
    const sp = this.memory.word(this.at.stackPointer);
    const declared = this.declarations
      .filter((one) => one.kind === 'stack')
      .sort((a, b) => (a.start < b.start ? -1 : 1));
    const running =
      declared.find((one) => contains(one, sp)) ?? declared.find((one) => sp > 0n && contains(one, sp - 1n));
    if (running !== undefined) return running;
    const { current, threadSize } = this.parameters.stack;
    let start: bigint;
    switch (current.kind) {
      case 'declared':
        return (
          declared.find(
            (one) => this.pointer < one.end && this.memory.word(this.pointer + this.size - 1n) >= one.start,
          ) ?? null
        );
      case 'masked stack pointer':
        start = sp & ~(threadSize - 1n);
        break;
      default:
        start = this.memory.field(present(this.currentTask()), current.taskStack);
    }
    return { start, end: start + threadSize };
  }

  /** Address of the current task_struct; null when nothing says where it is. */
  private currentTask(): bigint | null {
    const { current } = this.parameters.stack;
    if (current.kind === 'register') return this.memory.word(this.at.currentBase);
    if (current.kind === 'memory') return this.memory.loadWord(this.at.currentBase + current.offset);
    return null;
  }

  /**
   * x86's `arch_within_stack_frames()`: the bytes between a frame's header and the next frame, of the first frame that
   * ends above the copy; null off the chain. A chain that never ends would hang the kernel.
   */
  private frameOf(stack: bigint, stackEnd: bigint, end: bigint): { start: bigint; end: bigint } | null {
    const { frames } = this.parameters.stack;
    if (frames === null) return null;
    let lowest = this.memory.word(this.at.stackPointer + BigInt(frames.entryToCaller));
    let frame = this.memory.word(this.at.framePointer + BigInt(frames.bias));
    for (let i = 0; stack <= frame && frame < stackEnd; i++) {
      if (end <= frame) return { start: lowest, end: frame };
      if (i === MAXIMUM_FRAMES) throw new Unreadable(frame);
      lowest = this.memory.word(frame + BigInt(frames.header));
      frame = this.memory.word(this.memory.loadWord(frame + BigInt(frames.savedFrame)) + BigInt(frames.bias));
    }
    return null;
  }

  /** `check_heap_object()`: kmap, vmalloc, then whatever struct page says. */
  private heapObject(): Finding {
    return this.kmapObject() ?? this.vmallocObject();
  }

  /** kmap slots (5.19-rc1 on): the copy must stay within the page. */
  private kmapObject(): Finding {
    const { switches, introspection } = this.parameters;
    if (switches.kmap === 'off') return null;
    const ranges = introspection?.kmap ?? [];
    const known = switches.kmap === 'pkmap' ? ranges.slice(0, 1) : ranges;
    const isKmap =
      this.declaredAt('kmap', this.pointer) !== undefined ||
      (this.declaredPageAt(this.pointer) === undefined && known.some((range) => contains(range, this.pointer)));
    if (!isKmap) return null;
    const page = this.memory.pageOf(this.pointer);
    const offset = this.pointer - page;
    const object = wholeObject(page, page + this.memory.pageSize);
    return this.size > this.memory.pageSize - offset ? bad('kmap', offset, this.size, object) : good('kmap', object);
  }

  /** vmalloc addresses: skipped up to 5.18, held against their area from 5.19-rc1 on. */
  private vmallocObject(): Finding {
    const { switches, introspection } = this.parameters;
    const declared = this.declaredAt('vmalloc area', this.pointer);
    const page = this.declaredPageAt(this.pointer);
    const ofGuest = page === undefined && introspection !== null;
    const isVmalloc =
      declared !== undefined ||
      this.declaredAt('vmalloc space', this.pointer) !== undefined ||
      (ofGuest && contains(introspection.vmalloc, this.pointer));
    const isModule = ofGuest && contains(introspection.modules, this.pointer);
    if (switches.skipVmalloc === 'vmalloc or module' && (isVmalloc || isModule)) return null;
    if (switches.skipVmalloc === 'vmalloc' && isVmalloc) return null;
    if (switches.vmalloc === 'off' || !isVmalloc || this.pageFaultsDisabled()) return this.pageObject();

    const area = declared ?? (introspection === null ? null : this.memory.findVmapArea(introspection, this.pointer));
    if (area === null) return bad('vmalloc, no area', 0n, this.size);
    const offset = this.pointer - area.start;
    const object = wholeObject(area.start, area.end);
    if (switches.vmalloc !== 'vm_struct' || !('vm' in area)) {
      return this.size > area.end - this.pointer ? bad('vmalloc', offset, this.size, object) : good('vmalloc', object);
    }
    if (area.vm === 0n) return bad('vmalloc, no area', 0n, this.size);
    const withGuard = this.memory.field(area.vm, area.slots.vmSize);
    const hasGuard = (this.memory.field(area.vm, area.slots.vmFlags) & area.slots.noGuard) === 0n;
    const size = this.memory.word(hasGuard ? withGuard - this.memory.pageSize : withGuard);
    const usable = wholeObject(area.start, this.memory.word(area.start + size));
    return this.memory.word(offset + this.size) > size
      ? bad('vmalloc', offset, this.size, usable)
      : good('vmalloc', usable);
  }

  /** `pagefault_disabled()`, asked by the vmalloc rule since d319f344561d. */
  private pageFaultsDisabled(): boolean {
    const { switches, introspection } = this.parameters;
    if (switches.vmalloc !== 'vmap_area, page faults enabled') return false;
    if (introspection === null || introspection.pagefaultDisabled === null) return false;
    const task = this.currentTask();
    return task !== null && this.memory.field(task, introspection.pagefaultDisabled) !== 0n;
  }

  /** What the head page of the pointer says: slab object, folio, or the page-span rules of the early kernels. */
  private pageObject(): Finding {
    const page = this.headPageOf(this.pointer, true);
    if (page === null) return null;
    const { contents } = page;
    switch (contents.kind) {
      case 'declared slab':
        return this.declaredSlabObject(contents.slab);
      case 'slab':
        return contents.guest.slab.allocator === 'SLUB'
          ? this.slubObject(contents.guest, contents.page, contents.physical)
          : this.slabObject(contents.guest, contents.page);
      case 'large': {
        if (!this.parameters.switches.folio) return this.pageSpan(page);
        const offset = this.memory.word(this.pointer - contents.start);
        const object = wholeObject(contents.start, contents.start + contents.size);
        return this.size > this.memory.word(contents.size - offset)
          ? bad('page alloc', offset, this.size, object)
          : good('page alloc', object);
      }
      case 'other':
        return this.pageSpan(page);
    }
  }

  /**
   * The head page behind an address; null where there is none. Only the first byte of a copy is asked for
   * `virt_addr_valid()`; the page-span rules take the others' struct pages on trust.
   */
  private headPageOf(address: bigint, asksWhetherValid: boolean): HeadPage | null {
    const declared = this.declaredPageAt(address);
    if (declared !== undefined) return this.declaredHeadPage(declared, address);
    const { highmem } = this.parameters.switches;
    if (highmem && asksWhetherValid && this.declaredAt('kmap', address) !== undefined) {
      return this.kmappedPage(address);
    }
    const guest = this.parameters.introspection;
    if (guest === null) return null;
    const physical = this.memory.physical(guest, address) ?? (asksWhetherValid ? undefined : imagePage(guest, address));
    if (physical === undefined) return null;
    if (asksWhetherValid && !this.memory.frameHasPage(guest, physical)) return null;
    if (highmem && asksWhetherValid && guest.kmap.some((range) => contains(range, address))) {
      return this.kmappedPage(address);
    }

    const page = this.memory.headPage(guest, physical);
    const flags = this.memory.field(page, guest.page.flags);
    const { slab } = guest.page;
    const isSlab =
      slab.kind === 'flag'
        ? (flags & slab.mask) !== 0n
        : (this.memory.field(page, slab.field) & slab.mask) === slab.value;
    const common = {
      identity: `struct page ${page}`,
      reserved: (flags & guest.page.reservedMask) !== 0n,
      /* The migrate type of a pageblock is not read. */
      cma: false,
    };
    if (isSlab) return { ...common, contents: { kind: 'slab', guest, page, physical } };
    if (!this.parameters.switches.folio) return { ...common, contents: { kind: 'other' } };
    const isHead = (flags & guest.page.headMask) !== 0n;
    /* PageCompound() of the page itself, from 6.19 on; page_size() of what is no head is one page. */
    const isTail = guest.page.tailsAreCompound === true && this.memory.isTail(guest, physical);
    if (!isHead && !isTail) return { ...common, contents: { kind: 'other' } };
    const order = isHead ? this.memory.field(page, guest.page.order) & guest.page.orderMask : 0n;
    const start = this.memory.pageAddress(guest, page, physical);
    return {
      ...common,
      contents: { kind: 'large', start, size: this.memory.word(this.memory.pageSize << (order & 63n)) },
    };
  }

  /**
   * `kmap_to_page()` (5.4 on, 314eed30ede0): the page behind a slot, of which nothing more is known. It is asked for the
   * first byte only; the others go through `virt_to_head_page()` as ever.
   */
  private kmappedPage(address: bigint): HeadPage {
    const identity = `page ${this.memory.pageOf(address)}`;
    return { identity, reserved: false, cma: false, contents: { kind: 'other' } };
  }

  private declaredHeadPage(
    declared: Declared<'slab'> | Declared<'compound page'> | Declared<'pages'>,
    address: bigint,
  ): HeadPage {
    const whole = { identity: `declared ${declared.start}`, reserved: false, cma: false };
    switch (declared.kind) {
      case 'slab':
        return { ...whole, contents: { kind: 'declared slab', slab: declared } };
      case 'compound page':
        return { ...whole, contents: { kind: 'large', start: declared.start, size: declared.end - declared.start } };
      case 'pages':
        return {
          identity: `page ${this.memory.pageOf(address)}`,
          reserved: declared.type === 'Reserved',
          cma: declared.type === 'CMA',
          contents: { kind: 'other' },
        };
    }
  }

  /** The rodata, data, bss and page-span rules: v3 always, later kernels with HARDENED_USERCOPY_PAGESPAN. */
  private pageSpan(page: HeadPage): Finding {
    const { switches, rodata, data, bss } = this.parameters;
    if (switches.pageSpan === 'off') return null;
    const last = this.memory.word(this.pointer + this.size - 1n);
    /* The kernel compares the last byte with the end of the region, so one byte beyond it passes too. */
    const inside = (range: { start: bigint; end: bigint } | null) =>
      range !== null && this.pointer >= range.start && last <= range.end;
    if (rodata !== null && inside(rodata)) {
      if (this.copy.direction === 'to_user') return good('rodata');
      return bad('rodata', 0n, this.size, wholeObject(rodata.start, rodata.end));
    }
    if (inside(data) || inside(bss)) return good('data');
    if (this.memory.pageOf(this.pointer) === this.memory.pageOf(last)) return good('one page');
    if (this.headPageOf(last, false)?.identity === page.identity) return good('page alloc');
    if (!page.reserved && (!page.cma || switches.pageSpan === 'v3')) return bad('spans multiple pages', 0n, this.size);

    /* Steps from the unaligned pointer: the last page is skipped when the end lies lower in its page. */
    for (let next = this.pointer + this.memory.pageSize; next <= last; next += this.memory.pageSize) {
      const here = this.headPageOf(next, false);
      const separate = switches.pageSpan === '4.8';
      if (page.reserved && here?.reserved !== true) {
        return bad(separate ? 'spans Reserved and non-Reserved pages' : 'spans multiple pages', 0n, this.size);
      }
      if (page.cma && here?.cma !== true) {
        return bad(separate ? 'spans CMA and non-CMA pages' : 'spans multiple pages', 0n, this.size);
      }
    }
    return good('Reserved or CMA pages');
  }

  private declaredSlabObject(slab: Declared<'slab'>): Finding {
    const pad = slab.redLeftPad ?? 0n;
    const offset = (this.pointer - slab.start) % slab.objectStride;
    const facts: SlabFacts = {
      start: this.pointer - offset + pad,
      objectSize: () => slab.objectSize,
      usableSize: () => slab.objectSize,
      useroffset: () => slab.useroffset ?? 0n,
      usersize: () => slab.usersize ?? slab.objectSize,
      cache: slab.cache,
    };
    return offset < pad ? this.redZone(offset, facts) : this.window(offset - pad, facts);
  }

  /** SLUB's `__check_heap_object()` */
  private slubObject(guest: Introspection, page: bigint, physical: bigint): Finding {
    const { slab } = guest;
    const cache = this.memory.field(page, guest.page.slabCache);
    const start = this.memory.pageAddress(guest, page, physical);
    if (this.pointer < start) {
      /* The old message names the cache here too. */
      const isOld = this.parameters.switches.format === 'old';
      const object = isOld ? this.describe(this.slabFacts(guest, cache, start)) : null;
      return bad('slab object not in slab page', 0n, this.size, object);
    }

    const kfenceObject = this.kfenceObject(guest);
    let offset: bigint;
    if (kfenceObject !== null) {
      offset = this.memory.word(this.pointer - kfenceObject);
    } else {
      const stride = this.memory.field(cache, slab.size);
      if (stride === 0n) throw new Unreadable(this.memory.word(cache + BigInt(slab.size.offset)));
      offset = (this.pointer - start) % stride;
    }
    const slot = this.pointer - offset;
    /* `unsigned int offset` since 4.17. */
    offset &= 0xffff_ffffn;

    let pad = 0n;
    if (kfenceObject === null && slab.redLeftPad !== null && this.debugFlagSet(guest, cache, slab.redZone)) {
      pad = this.memory.field(cache, slab.redLeftPad);
      if (offset < pad) return this.redZone(offset, this.slabFacts(guest, cache, slot + pad));
      offset -= pad;
    }
    return this.window(offset, this.slabFacts(guest, cache, slot + pad));
  }

  /** `kmem_cache_debug_flags()`: no cache has debug flags while the static key is off (5.9 on). */
  private debugFlagSet(guest: Introspection, cache: bigint, flag: bigint): boolean {
    const { debugEnabled, flags } = guest.slab;
    if (debugEnabled !== null && !this.memory.staticKey(debugEnabled)) return false;
    return (this.memory.field(cache, flags) & flag) !== 0n;
  }

  /** SLAB's `__check_heap_object()`: the index comes out of a reciprocal division of the low 32 bits. */
  private slabObject(guest: Introspection, page: bigint): Finding {
    const { slab } = guest;
    if (guest.page.sMem === null || slab.reciprocal === null || slab.num === null) throw new Unreadable(page);
    const cache = this.memory.field(page, guest.page.slabCache);
    const first = this.memory.field(page, guest.page.sMem);
    const reciprocal = cache + BigInt(slab.reciprocal.offset);
    const multiplier = this.memory.load(reciprocal, 4);
    /* No kernel shifts by more; of what the processors would make of it, this is x86's. */
    const shift1 = this.memory.load(reciprocal + 4n, 1) & 31n;
    const shift2 = this.memory.load(reciprocal + 5n, 1) & 31n;
    const distance = BigInt.asUintN(32, this.pointer - first);
    const high = (distance * multiplier) >> 32n;
    const index = BigInt.asUintN(32, high + (BigInt.asUintN(32, distance - high) >> shift1)) >> shift2;
    if (index >= this.memory.field(cache, slab.num)) {
      const nowhere = wholeObject(this.pointer, this.pointer);
      return bad('slab object index out of range', 0n, this.size, { ...nowhere, cache: this.cacheName(cache, guest) });
    }

    const padding = slab.objOffset === null ? 0n : this.memory.field(cache, slab.objOffset);
    const slot = this.memory.word(first + BigInt.asUintN(32, index * this.memory.field(cache, slab.size)));
    const start = this.kfenceObject(guest) ?? this.memory.word(slot + padding);
    return this.window(this.memory.word(this.pointer - start), this.slabFacts(guest, cache, start));
  }

  /** What a kmem_cache says of the object that starts at `start`. */
  private slabFacts(guest: Introspection, cache: bigint, start: bigint): SlabFacts {
    const { objectSize, useroffset, usersize } = guest.slab;
    const hasWindow = useroffset !== null && usersize !== null;
    const read = (slot: Slot) => this.memory.field(cache, slot);
    return {
      start: this.memory.word(start),
      objectSize: () => read(objectSize),
      usableSize: () => (guest.slab.allocator === 'SLUB' ? this.usableSize(guest, cache) : read(objectSize)),
      useroffset: () => (hasWindow ? read(useroffset) : 0n),
      usersize: () => (hasWindow ? read(usersize) : read(objectSize)),
      cache: this.cacheName(cache, guest),
    };
  }

  private cacheName(cache: bigint, guest: Introspection): string | null {
    try {
      return this.memory.string(this.memory.field(cache, guest.slab.name));
    } catch (error) {
      if (error instanceof Unreadable) return null;
      throw error;
    }
  }

  /** `slab_ksize()` of SLUB: what the early rule and the fallback take for the object's size. */
  private usableSize(guest: Introspection, cache: bigint): bigint {
    const { slab } = guest;
    const flags = this.memory.field(cache, slab.flags);
    if ((flags & (slab.redZone | slab.poison)) !== 0n) return this.memory.field(cache, slab.objectSize);
    if (slab.inuse !== null && (flags & (slab.typesafeByRcu | slab.storeUser)) !== 0n) {
      return this.memory.field(cache, slab.inuse);
    }
    return this.memory.field(cache, slab.size);
  }

  /** Start of the KFENCE object behind the pointer (0 where the pool has none); null outside the pool. */
  private kfenceObject(guest: Introspection): bigint | null {
    const { kfence } = guest;
    if (kfence === null || !this.parameters.switches.kfence) return null;
    const pool = this.memory.loadWord(kfence.pool);
    const distance = this.memory.word(this.pointer - pool);
    if (distance >= kfence.poolSize || pool === 0n) return null;
    const pair = 2n * this.memory.pageSize;
    const index = distance / pair - 1n;
    if (index < 0n || index >= kfence.poolSize / pair - 1n) return 0n;
    const metadata = kfence.indirect ? this.memory.loadWord(kfence.metadata) : kfence.metadata;
    return this.memory.field(metadata + index * BigInt(kfence.metadataSize), kfence.objectAddress);
  }

  private redZone(offset: bigint, facts: SlabFacts): Finding {
    return bad('slab object in left red zone', offset, this.size, this.describe(facts));
  }

  /** The whitelist (4.16 on), the whole object before it, and the fallback between the two. */
  private window(offset: bigint, facts: SlabFacts): Finding {
    const { whitelist, fallback } = this.parameters.switches;
    const withinObject = () => {
      const usable = facts.usableSize();
      return offset <= usable && this.size <= usable - offset;
    };
    if (!whitelist) {
      return withinObject()
        ? good('slab object', this.describe(facts))
        : bad('slab object', offset, this.size, this.describe(facts));
    }
    const useroffset = facts.useroffset();
    const usersize = facts.usersize();
    const withinWindow =
      offset >= useroffset && offset - useroffset <= usersize && this.size <= useroffset - offset + usersize;
    const object = this.describe(facts);
    if (withinWindow) return good('slab object', object);
    if (fallback && withinObject()) return good('slab object by fallback', object);
    return bad('slab object', offset, this.size, object);
  }

  /** The object for the report: what the kernel itself does not read must not keep it from its verdict. */
  private describe(facts: SlabFacts): CheckedObject {
    const known = (read: () => bigint): bigint => {
      try {
        return read();
      } catch (error) {
        if (error instanceof Unreadable) return 0n;
        throw error;
      }
    };
    const { whitelist } = this.parameters.switches;
    const windowStart = whitelist ? facts.start + known(facts.useroffset) : facts.start;
    return {
      start: facts.start,
      end: this.memory.word(facts.start + known(facts.objectSize)),
      windowStart: this.memory.word(windowStart),
      windowEnd: this.memory.word(windowStart + known(whitelist ? facts.usersize : facts.objectSize)),
      cache: facts.cache,
    };
  }

  /** `check_kernel_text_object()`: the text, then its alias in the linear map. */
  private kernelText(): Finding {
    const { text, linearText, switches } = this.parameters;
    const overlaps = (low: bigint, high: bigint) => {
      const end = this.memory.word(this.pointer + this.size);
      return !(this.pointer >= high || (switches.textTouchCounts ? end < low : end <= low));
    };
    const refuse = (by: Refusal, range: { start: bigint; end: bigint }) =>
      bad(by, this.memory.word(this.pointer - range.start), this.size, wholeObject(range.start, range.end));
    if (text !== null && overlaps(text.start, text.end)) return refuse('kernel text', text);
    if (!switches.linearText || linearText === null || linearText.start === text?.start) return null;
    return overlaps(linearText.start, linearText.end) ? refuse('linear kernel text', linearText) : null;
  }

  private declaredAt<Kind extends Declaration['kind']>(kind: Kind, address: bigint): Declared<Kind> | undefined {
    return this.declarations.find((one): one is Declared<Kind> => one.kind === kind && contains(one, address));
  }

  private declaredPageAt(
    address: bigint,
  ): Declared<'slab'> | Declared<'compound page'> | Declared<'pages'> | undefined {
    return (
      this.declaredAt('slab', address) ?? this.declaredAt('compound page', address) ?? this.declaredAt('pages', address)
    );
  }
}

/** A slab object as the rules need it; sizes in bytes, read when a rule asks. */
interface SlabFacts {
  readonly start: bigint;
  readonly objectSize: () => bigint;
  readonly usableSize: () => bigint;
  readonly useroffset: () => bigint;
  readonly usersize: () => bigint;
  readonly cache: string | null;
}

/** Physical address behind one of the image, which `virt_to_page()` follows although `virt_addr_valid()` says no. */
function imagePage({ imageMap }: Introspection, address: bigint): bigint | undefined {
  if (imageMap === undefined || address < imageMap.virtual || address >= imageMap.virtual + imageMap.size)
    return undefined;
  return address - imageMap.virtual + imageMap.physical;
}

function contains(range: { start: bigint; end: bigint }, address: bigint): boolean {
  return address >= range.start && address < range.end;
}

function good(by: Acceptance, object: CheckedObject | null = null): Good {
  return { outcome: 'good', by, object };
}

function bad(by: Refusal, offset: bigint, size: bigint, object: CheckedObject | null = null): Bad {
  return { outcome: 'bad', by, offset, size, object };
}

function wholeObject(start: bigint, end: bigint): CheckedObject {
  return { start, end, windowStart: start, windowEnd: end, cache: null };
}
