/**
 * What the check has to know about a guest: word size, profile, where its text and stacks lie, and at which offsets its
 * kernel keeps the facts about memory. Written once into the WASM module's context (`src/check/check.ts`); the arithmetic on
 * it lives in `assembly/`. Addresses are guest virtual, zero-extended to 64 bits; ends are the first byte after.
 */
import type { LinearMap } from '../../arch/driver.js';
import type { Bits, Endian } from '../kernel/kernel.js';

export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * The switches that distinguish the check of one kernel from another's. A profile is a named set of these
 * (`src/check/profiles.ts`); each names the commit or version that moved it.
 */
export interface ProfileSwitches {
  /** Wording of the messages: `old` up to 4.15, `new` from 4.16. */
  readonly format: 'old' | 'new';
  /** Old messages without the pointer (4f5e838605c2 alone); absent: they have it. */
  readonly noAddress?: boolean;
  /** Stack before heap (5.0 on), or after it. */
  readonly stackFirst: boolean;
  /** `wrap`: `ptr + n < ptr` (true) or `ptr + (n - 1) < ptr` (false, from 951531691c4b). */
  readonly wrapCountsEnd: boolean;
  /** A range that only touches the start of the text overlaps it (July 2016 mail). */
  readonly textTouchCounts: boolean;
  /** Look at the text's linear alias too. Dead code in the July 2016 mail: HAVE_ARCH_… without CONFIG_. */
  readonly linearText: boolean;
  /** Vmalloc and module addresses are not looked at (4.8 to 5.18: before the vmalloc rule); v3 did not ask. */
  readonly skipVmalloc: 'no' | 'vmalloc' | 'vmalloc or module' | 'unless virt_addr_valid';
  /** The rodata, data, bss and page-span rules. */
  readonly pageSpan: 'off' | 'v3' | 'v3-cma' | '4.8';
  /** Whitelist of the slab cache (4.16 on). */
  readonly whitelist: boolean;
  /** Warn once and pass inside the object but outside the whitelist (HARDENED_USERCOPY_FALLBACK, 4.16 to 5.15). */
  readonly fallback: boolean;
  /** kmap rule (5.19-rc1 on); `fixmap` adds the fixmap slots of kmap_local (6.3). */
  readonly kmap: 'off' | 'pkmap' | 'fixmap';
  /** highmem aware: the page of a kmapped address (5.4 on, 314eed30ede0). */
  readonly highmem: boolean;
  /** `off`; (a) `vm_struct` 5.19-rc1 and -rc2; (b) `vmap_area`; (c) as (b) but not while page faults are disabled. */
  readonly vmalloc: 'off' | 'vm_struct' | 'vmap_area' | 'vmap_area, page faults enabled';
  /** Large folios (5.19-rc1 on). */
  readonly folio: boolean;
  /** Below the stack pointer is bad, and every bad stack prints `sp - ptr` (5.18 on, where the architecture has it). */
  readonly depth: boolean;
  /** Objects from the kfence pool are known (5.12 on). */
  readonly kfence: boolean;
  /** `hardened_usercopy=off`: nothing is looked at. */
  readonly bypass: boolean;
  /** arch_within_stack_frames() answers or not; absent: as the kernel was built. */
  readonly frames?: boolean;
  /** The allocator that messages name; absent: the guest's. */
  readonly allocator?: 'SLUB' | 'SLAB';
}

/** A field of a fixed width in guest memory, relative to its structure. */
export interface Slot {
  readonly offset: number;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
}

/** A bit field: `(value of the slot >> shift) & mask`. */
export interface BitSlot extends Slot {
  readonly shift: number;
  readonly mask: number;
}

/**
 * Where a kernel keeps which slab objects are free, and how much of one was asked for: for looks beyond the check
 * (assembly/look.ts). null is what its types do not tell, or what it has not.
 */
export interface SlabLists {
  /** Members of struct slab (5.17 on) or struct page. */
  readonly freelist: Slot | null;
  readonly objects: BitSlot | null;
  readonly frozen: BitSlot | null;
  /** SLAB: how many objects are in use, and bytes of an index in its list. */
  readonly active: Slot | null;
  readonly indexBytes: 1 | 2;
  /** SLAB: whether CPUs have arrays of free objects, too. */
  readonly arrays: boolean;
  /** kmem_cache: where free pointers lie, what they are xored with, and what CPUs have. */
  readonly freePointer: Slot | null;
  readonly random: Slot | null;
  readonly cpuSlab: Slot | null;
  readonly cpuSheaves: Slot | null;
  /** kmem_cache: 0 in a cache without sheaves. */
  readonly sheafCapacity: Slot | null;
  /** kmem_cache_cpu. */
  readonly cpu: { readonly page: Slot; readonly freelist: Slot | null } | null;
  /** Addresses of `__per_cpu_offset` and `nr_cpu_ids`. */
  readonly perCpuOffset: bigint | null;
  readonly cpuCount: bigint | null;
  /** Words of `__per_cpu_offset`. */
  readonly mostCpus: number;
  /** From 6.18 on. */
  readonly sheaves: {
    /** slub_percpu_sheaves. */
    readonly main: Slot | null;
    readonly spare: Slot | null;
    readonly rcuFree: Slot | null;
    /** slab_sheaf: how many objects; offsets of the first one and of its entry in a barn's list. */
    readonly size: Slot;
    readonly objects: number;
    readonly barnList: number;
    /** [nodes, end) of kmem_cache, from one node's member to the next; whether they hold the barn or point to who does. */
    readonly nodes: number;
    readonly nodesEnd: number;
    readonly nodeStride: number;
    readonly nodesInline: boolean;
    readonly nodeBarn: Slot | null;
    /** node_barn: offset of the list of full sheaves. */
    readonly barnFull: number;
  } | null;
  /** kfence_metadata, and two values of its `state`. */
  readonly kfence: {
    readonly state: Slot;
    readonly size: Slot;
    readonly cache: Slot | null;
    readonly allocated: number;
    readonly freed: number;
  } | null;
  /** Caches with all of `flags` keep what was asked for, at an offset from the start of an object's metadata; null: none do. */
  readonly asked: { readonly flags: bigint; readonly size: Slot } | null;
  /** Whether KASAN's quarantine holds free objects. */
  readonly quarantine: boolean;
}

/** Where `current` and its stack are found. The request carries `currentBase`, the register that the driver names. */
export interface StackParameters {
  /** THREAD_SIZE, bytes. */
  readonly threadSize: bigint;
  readonly current: /** `currentBase` is the task_struct. */
    | { readonly kind: 'register'; readonly taskStack: Slot }
    /** The word at `currentBase + offset` is the task_struct. */
    | { readonly kind: 'memory'; readonly offset: bigint; readonly taskStack: Slot }
    /** thread_info at the bottom of the stack: `sp & ~(threadSize - 1)`. */
    | { readonly kind: 'masked stack pointer' }
    /** Only the stacks that were declared. */
    | { readonly kind: 'declared' };
  /**
   * Bytes between sp at the entry of `__check_object_size` and sp inside `check_stack_object()` (what the depth rule
   * compares with), and sp inside `__check_object_size()` (what is printed). Learnt from the kernel itself.
   */
  readonly depthOfCheck: bigint;
  readonly depthOfPrint: bigint;
  /** arch_within_stack_frames(); null where the kernel does not check frames. */
  readonly frames: {
    /** Bytes from a frame's address to the word that links to the caller's frame. */
    readonly savedFrame: number;
    /** Bytes above a linked frame at which that frame's caller may own bytes (2 words on x86). */
    readonly header: number;
    /** The first lower bound is sp at the entry plus this: the return address on x86, the frame's own record where one lies at sp. */
    readonly entryToCaller: number;
    /** Added to a saved frame register to get a frame's address; may be below zero. */
    readonly bias: number;
  } | null;
}

/** SPARSEMEM: which sections of memory have struct pages. */
export interface SparsememParameters {
  readonly kind: 'sparsemem';
  /** `mem_section`: with EXTREME the address of a pointer to an array of pointers to roots, else of the array itself. */
  readonly memSection: bigint;
  readonly extreme: boolean;
  /** sizeof(struct mem_section), bytes. */
  readonly sectionSize: number;
  /** Offset of section_mem_map. */
  readonly sectionMap: Slot;
  /** Offset of `usage` and of `subsection_map` in it; null before 5.3. */
  readonly usage: { readonly pointer: Slot; readonly bitmap: number } | null;
  readonly sectionSizeBits: number;
  readonly physicalAddressBits: number;
  /** SECTION_HAS_MEM_MAP and SECTION_IS_EARLY as masks. */
  readonly hasMemMap: bigint;
  readonly isEarly: bigint;
  /** The bits of section_mem_map that are flags, `~SECTION_MAP_MASK` (classic sparsemem: the rest is the map). */
  readonly mapMask: bigint;
}

/** How a page frame is known to have a struct page, with the addresses that the kernel's own `pfn_valid` reads. */
export type PageValidityParameters =
  | SparsememParameters
  | {
      readonly kind: 'memblock';
      /** Address of `memblock.memory`; regions are { base, size, flags }. */
      readonly memory: bigint;
      readonly count: Slot;
      readonly regions: Slot;
      readonly region: { readonly size: number; readonly base: Slot; readonly length: Slot; readonly flags: Slot };
      /** MEMBLOCK_NOMAP; 0 where the kernel does not ask. */
      readonly noMap: bigint;
      /**
       * arm, 5.14 on: a frame is valid when the block of this many bytes around it (pageblock_nr_pages pages, a power of
       * two) touches a region. Absent: the frame itself must lie in a region.
       */
      readonly blockSize?: bigint | undefined;
      /**
       * arm64 before 5.14: the kernel asks the frame's section first, and memblock only of early ones. Not for our check, which
       * asks memblock alone: guests lay the sections out, so that their own check finds them valid. Absent: not asked.
       */
      readonly sections?: SparsememParameters;
    }
  /** Frames in [firstFrame, firstFrame + *maxMapnr). */
  | { readonly kind: 'flatmem'; readonly maxMapnr: bigint; readonly firstFrame: bigint };

/** Offsets and addresses with which the check reads the guest kernel's own structures. */
export interface Introspection {
  /** First match wins; `virt_addr_valid` also asks `pageValidity`. */
  readonly linearMaps: readonly LinearMap[];
  /**
   * The image's own mapping, where it lies outside the linear maps and virt_to_page() goes by its physical address: such
   * an address is not virt_addr_valid(), but has a struct page. Absent: none.
   */
  readonly imageMap?: LinearMap;
  readonly vmalloc: AddressRange;
  readonly modules: AddressRange;
  /** `is_kmap_addr()`: PKMAP first, fixmap slots (6.3) after. */
  readonly kmap: readonly AddressRange[];
  readonly pageValidity: PageValidityParameters;
  /**
   * struct page of page frame n: `vmemmap + n * size`; FLATMEM: the array that the word at `pointer` names, which begins
   * with `firstFrame` (0 when absent; flatmem's validity says the same); classic sparsemem: the section's map.
   */
  readonly pageArray:
    | { readonly kind: 'vmemmap'; readonly address: bigint }
    | { readonly kind: 'mem_map'; readonly pointer: bigint; readonly firstFrame?: bigint }
    | { readonly kind: 'section map' };
  readonly page: {
    /** sizeof(struct page). */
    readonly size: number;
    readonly flags: Slot;
    readonly compoundHead: Slot;
    /** Whether tails hold a mask for their own address in it (`compound_info`, 7.1), not the head's address; absent: no. */
    readonly tailsHoldMask?: boolean;
    /** Whether a tail counts as part of a compound page when its head does not (5934b1be8dbe, 6.19); absent: no. */
    readonly tailsAreCompound?: boolean;
    /** PG_head and PG_reserved as masks on flags. */
    readonly headMask: bigint;
    readonly reservedMask: bigint;
    /** Slab pages: a flag (to 6.9), or the value of `page_type & mask` (6.10 on, 46df8e73a4a3). */
    readonly slab:
      | { readonly kind: 'flag'; readonly mask: bigint }
      | { readonly kind: 'type'; readonly field: Slot; readonly mask: bigint; readonly value: bigint };
    /** Order of a compound page, counted from the head's struct page (it lies in the first tail), and the mask to take of it. */
    readonly order: Slot;
    readonly orderMask: bigint;
    /** `slab_cache` in struct slab (5.17 on) or struct page. */
    readonly slabCache: Slot;
    /** SLAB: `s_mem`. null with SLUB. */
    readonly sMem: Slot | null;
    /** Which pages are CMA; absent: none but those that are declared. */
    readonly cma?: CmaParameters;
  };
  readonly slab: {
    readonly allocator: 'SLUB' | 'SLAB';
    /** Offsets in kmem_cache; `useroffset` and `usersize` are null where the kernel has none: the whole object is the window. */
    readonly name: Slot;
    readonly size: Slot;
    readonly objectSize: Slot;
    readonly useroffset: Slot | null;
    readonly usersize: Slot | null;
    readonly flags: Slot;
    /** SLUB with SLUB_DEBUG. */
    readonly redLeftPad: Slot | null;
    readonly inuse: Slot | null;
    /** Bits of `flags`. */
    readonly redZone: bigint;
    /** SLAB_POISON; with KASAN also SLAB_KASAN, which has the same effect on `slab_ksize()`. */
    readonly poison: bigint;
    readonly storeUser: bigint;
    readonly typesafeByRcu: bigint;
    /** Static key that `kmem_cache_debug_flags()` asks first (5.9 on); null: not asked. */
    readonly debugEnabled: bigint | null;
    /** SLAB: `num`, `reciprocal_buffer_size` { m u32, sh1 u8, sh2 u8 } and, with DEBUG_SLAB, `obj_offset`. */
    readonly num: Slot | null;
    readonly reciprocal: { readonly offset: number } | null;
    readonly objOffset: Slot | null;
  };
  /** For looks at what the check lets pass; absent: the state of no object is known. */
  readonly lists?: SlabLists;
  /** Where vmap areas are found. */
  readonly vmap:
    | { readonly kind: 'none' }
    | {
        /** One tree (to 6.8). `root` is the address of the word that points to the top node. */
        readonly kind: 'tree';
        readonly root: bigint;
        readonly area: VmapAreaSlots;
      }
    | {
        /** `vmap_nodes` (6.9 on): address of the pointer to the array, of `nr_vmap_nodes` and of `vmap_zone_size`. */
        readonly kind: 'nodes';
        readonly nodes: bigint;
        readonly count: bigint;
        readonly zoneSize: bigint;
        /** sizeof(struct vmap_node), and the offset of `busy.root.rb_node` in it. */
        readonly nodeSize: number;
        readonly busyRoot: Slot;
        readonly area: VmapAreaSlots;
      };
  /** KFENCE: address of the word `__kfence_pool`, pool size, and where object starts are kept; null without. */
  readonly kfence: {
    readonly pool: bigint;
    readonly poolSize: bigint;
    /** Address of `kfence_metadata` (an array up to 6.4, `indirect` a pointer from 6.5). */
    readonly metadata: bigint;
    readonly indirect: boolean;
    readonly metadataSize: number;
    readonly objectAddress: Slot;
  } | null;
  /** `task_struct.pagefault_disabled`, for the vmalloc rule (c). */
  readonly pagefaultDisabled: Slot | null;
  /** Address of the static key `bypass_usercopy_checks`; null where there is none. */
  readonly bypassKey: bigint | null;
}

/** The migrate types of page blocks, as the page-span rules of 4.8 to 5.17 ask for them. */
export interface CmaParameters {
  /** MIGRATE_CMA. */
  readonly type: bigint;
  /** `pageblock_order`: log2 of a block's pages. */
  readonly order: number;
  /** The pointer, in a section or in a zone, to what holds the bitmap, and the bytes from there to it. */
  readonly map: Slot;
  readonly offset: number;
  /** Before 5.9 a block's bits count from the highest of a word. */
  readonly reversed: boolean;
  /** FLATMEM: `contig_page_data.node_zones`, which the flags of a struct page name one of; null with sections. */
  readonly zones: {
    readonly address: bigint;
    /** sizeof(struct zone). */
    readonly size: number;
    /** `zone_start_pfn`. */
    readonly start: Slot;
    readonly shift: number;
    readonly mask: bigint;
  } | null;
}

export interface VmapAreaSlots {
  readonly vaStart: Slot;
  readonly vaEnd: Slot;
  /** Offset of `rb_node` in vmap_area, and of `rb_left`, `rb_right` in rb_node. */
  readonly rbNode: number;
  readonly rbLeft: Slot;
  readonly rbRight: Slot;
  /** Pointer to vm_struct, its `size` and `flags`, and VM_NO_GUARD, for the vmalloc rule (a). */
  readonly vm: Slot;
  readonly vmSize: Slot;
  readonly vmFlags: Slot;
  readonly noGuard: bigint;
}

/** Memory that somebody declares, for code that has no Linux around it; a declared range wins over the guest's structures. */
export type Declaration =
  | ({ readonly kind: 'stack' } & AddressRange)
  /** A slab: objects of `objectStride` bytes from `start`, each with `redLeftPad` bytes before the object. */
  | ({
      readonly kind: 'slab';
      readonly cache: string;
      readonly objectStride: bigint;
      readonly objectSize: bigint;
      readonly redLeftPad?: bigint;
      readonly useroffset?: bigint | undefined;
      readonly usersize?: bigint | undefined;
    } & AddressRange)
  /** A compound page (folio). */
  | ({ readonly kind: 'compound page' } & AddressRange)
  /** Base pages with no compound page: of plain, Reserved or CMA type. */
  | ({ readonly kind: 'pages'; readonly type: 'plain' | 'Reserved' | 'CMA' } & AddressRange)
  /** The bytes that may be copied: a declared area has no guard page. */
  | ({ readonly kind: 'vmalloc area' } & AddressRange)
  /** Addresses for which `is_vmalloc_addr()` holds: outside every area of it is "no area". */
  | ({ readonly kind: 'vmalloc space' } & AddressRange)
  | ({ readonly kind: 'kmap' } & AddressRange);

export interface CheckParameters {
  readonly bits: Bits;
  readonly endian: Endian;
  readonly pageShift: number;
  readonly switches: ProfileSwitches;
  /** [_stext, _etext); null: no text rule. */
  readonly text: AddressRange | null;
  /** The text's address in the linear map, when it is another one; else null. */
  readonly linearText: AddressRange | null;
  /** [__start_rodata, __end_rodata), [_sdata, _edata), [__bss_start, __bss_stop): the page-span rules look at them. */
  readonly rodata: AddressRange | null;
  readonly data: AddressRange | null;
  readonly bss: AddressRange | null;
  /** First address that is not user space: tells the direction of copies by address. */
  readonly taskSize: bigint;
  readonly stack: StackParameters;
  /** null: only declared memory is known. */
  readonly introspection: Introspection | null;
}
