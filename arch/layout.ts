/** Where things lie in a kernel's virtual memory. */

/** Virtual addresses [virtual, virtual + size) that are physical [physical, …) by adding a constant. */
export interface LinearMap {
  readonly virtual: bigint;
  readonly size: bigint;
  readonly physical: bigint;
}

/** SECTION_SIZE_BITS and MAX_PHYSMEM_BITS. */
export interface SectionBits {
  readonly sectionSizeBits: number;
  readonly physicalAddressBits: number;
}

/** How `virt_addr_valid()` tells whether a page frame has a struct page. */
export type PageValidity =
  /** SPARSEMEM: `mem_section[]`, with the bits that the architecture gives. */
  | ({ readonly kind: 'sparsemem' } & SectionBits)
  /**
   * `memblock.memory` has the address (arm, arm64); with `sections` they are asked before. With `blockSize`, a power of
   * two in bytes, the block of that size around the frame must touch a region, not the frame itself be in one.
   */
  | { readonly kind: 'memblock'; readonly sections?: SectionBits; readonly blockSize?: bigint }
  /** FLATMEM: frames below `max_mapnr`. */
  | { readonly kind: 'flatmem' };

/** Where things lie in kernel virtual memory; all ends are the first byte after. */
export interface MemoryLayout {
  readonly pageShift: number;
  /** First address of the linear map. */
  readonly pageOffset: bigint;
  /** First the linear map, then others (the kernel image's own mapping). The first match wins. */
  readonly linearMaps: readonly LinearMap[];
  /** What `is_vmalloc_addr()` accepts. */
  readonly vmallocStart: bigint;
  readonly vmallocEnd: bigint;
  readonly modulesStart: bigint;
  readonly modulesEnd: bigint;
  /** Address of page frame 0's struct page, where the kernel has a vmemmap; else null. */
  readonly vmemmap: bigint | null;
  /** ARCH_PFN_OFFSET: the page frame of `mem_map`'s first entry; 0 when absent. */
  readonly firstFrame?: bigint;
  readonly pageValidity: PageValidity;
  /** Slots of kmap(); empty where there is no highmem. */
  readonly kmap: readonly { readonly start: bigint; readonly end: bigint }[];
  /** First address that is not user space. */
  readonly taskSize: bigint;
  /** HPAGE_SHIFT, where it is no variable: log2 of the bytes of a page block in kernels with HUGETLB_PAGE. Absent: not known. */
  readonly hugePageShift?: number;
  /** The kernel image's virtual address minus its physical one. */
  readonly imageOffset: bigint;
  /** Whether lm_alias() of the image is where the linear map shows it; true when absent. */
  readonly imageHasLinearAlias?: boolean;
}
