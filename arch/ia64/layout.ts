/** Where ia64 kernels keep things: an address's upper three bits are its region (arch/ia64/include/asm/page.h). */
import type { Kernel } from '../../src/kernel/kernel.js';
import { hasVmemmap, pageValidityOf, readWord } from '../common.js';
import type { MemoryLayout } from '../driver.js';

export const REGION_SHIFT = 61n;
const region = (number: bigint): bigint => number << REGION_SHIFT;
/** The gate page, the kernel image and vmalloc; above it, uncached and cached memory as it is. */
export const GATE = region(5n);
const UNCACHED = region(6n);
const PAGE_OFFSET = region(7n);
export const KERNEL_START = GATE + 0x1_0000_0000n;
const VMALLOC_START = GATE + 0x2_0000_0000n;

/** The page size that a configuration tells; null where it tells none. */
export function configuredPageShift({ config }: Kernel): number | null {
  if (config?.enabled('IA64_PAGE_SIZE_4KB')) return 12;
  if (config?.enabled('IA64_PAGE_SIZE_8KB')) return 13;
  if (config?.enabled('IA64_PAGE_SIZE_16KB')) return 14;
  return config?.enabled('IA64_PAGE_SIZE_64KB') ? 16 : null;
}

/** Distributions had 16 KiB. */
export const pageShiftOf = (kernel: Kernel): number => configuredPageShift(kernel) ?? 14;

/** arch/ia64/include/asm/pgtable.h: three levels of tables map 2^(4 * PAGE_SHIFT - 9) bytes; vmemmap takes half of them. */
export function layoutWith(kernel: Kernel, pageShift: number): MemoryLayout {
  const mapped = 1n << BigInt(4 * pageShift - 9);
  const inVmemmap = hasVmemmap(kernel);
  const vmallocEnd = readWord(kernel, 'VMALLOC_END', 8) || GATE + (inVmemmap ? mapped / 2n : mapped);
  return {
    pageShift,
    pageOffset: PAGE_OFFSET,
    // __pa() clears the region and asks no more: virt_to_page() takes addresses of region 5 for memory from 0 on too.
    linearMaps: [
      { virtual: PAGE_OFFSET, size: (1n << 64n) - PAGE_OFFSET, physical: 0n },
      { virtual: UNCACHED, size: PAGE_OFFSET - UNCACHED, physical: 0n },
      { virtual: GATE, size: UNCACHED - GATE, physical: 0n },
    ],
    vmallocStart: VMALLOC_START,
    vmallocEnd,
    // Modules are taken from vmalloc.
    modulesStart: VMALLOC_START,
    modulesEnd: VMALLOC_START,
    vmemmap: inVmemmap ? vmallocEnd : null,
    pageValidity: pageValidityOf(kernel, { kind: 'sparsemem', sectionSizeBits: 30, physicalAddressBits: 50 }),
    kmap: [],
    // DEFAULT_TASK_SIZE
    taskSize: GATE,
    // By __pa(), as lm_alias() has it: not where the image lies, for that a translation register says.
    imageOffset: GATE,
  };
}
