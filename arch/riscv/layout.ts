/** Where riscv64 kernels put things: arch/riscv/include/asm/{page,pgtable}.h and `kernel_map` (5.17 on, e8a62cc26ddf). */

import { UsercopyError } from '../../src/errors.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast, hasFix } from '../../src/kernel/version.js';
import { decodeUnsigned } from '../../src/kernel/words.js';
import { hasVmemmap, pageValidityOf, readWord, structPageOf } from '../common.js';
import type { MemoryLayout } from '../layout.js';

const PAGE_SHIFT = 12;
const MIB = 1n << 20n;
const GIB = 1n << 30n;
/** KERNEL_LINK_ADDR (2bfc6cd81bd1, 5.13). */
export const KERNEL_LINK_ADDRESS = 0xffff_ffff_8000_0000n;
/** The last page holds error values. */
const LAST_PAGE = (1n << 64n) - 4096n;

/**
 * Bits of an address by levels of tables: the kernel starts with the most and gives up what the CPU lacks. Four levels are of
 * e8a62cc26ddf (5.17), five of 9195c294bc58 (5.18).
 * @throws UsercopyError `unsupported` for kernels before 5.17, which lie elsewhere.
 */
export function addressBitsOf(kernel: Kernel): 39 | 48 | 57 {
  const { version } = kernel;
  if (version.major > 0 && !atLeast(version, 5, 17))
    throw new UsercopyError('unsupported', `riscv64: expected a kernel of 5.17 or later, found ${version.release}`);
  const enabled = (level: 4 | 5, usual: boolean): boolean =>
    (readWord(kernel, `pgtable_l${level}_enabled`, 1) ?? BigInt(usual)) !== 0n;
  if (!enabled(4, true)) return 39;
  return enabled(5, version.major === 0 || atLeast(version, 5, 18)) ? 57 : 48;
}

/** PAGE_OFFSET_L5, _L4 and _L3; the last was lowered by 5c8405d763dc (6.11). */
export function fixedPageOffset(kernel: Kernel, addressBits: 39 | 48 | 57): bigint {
  if (addressBits === 57) return 0xff60_0000_0000_0000n;
  if (addressBits === 48) return 0xffff_af80_0000_0000n;
  return atLeast(kernel.version, 6, 11) ? 0xffff_ffd6_0000_0000n : 0xffff_ffd8_0000_0000n;
}

/** A member of `kernel_map`; undefined where it is not there or boot code has not set it. */
function mapped(kernel: Kernel, member: string): bigint | undefined {
  const address = kernel.symbols.address('kernel_map');
  const type = kernel.types?.hasStruct('kernel_mapping') ? kernel.types.struct('kernel_mapping') : undefined;
  const field = type?.field(member);
  if (address === undefined || field === undefined) return undefined;
  const bytes = kernel.read(address + BigInt(field.offset), 8);
  return (bytes && decodeUnsigned(bytes, kernel.endian)) || undefined;
}

/**
 * a11dd49dcb93 "riscv: Sparse-Memory/vmemmap out-of-bounds fix" (6.8) in stable series, by their announcements of 6 March 2024; 5.10.258
 * took it back, which is older than what is read here. No other series from 5.17 on was maintained then.
 */
const RAM_BASE_STABLE = { '6.1': 81, '6.6': 21, '6.7': 9 };

/** First page frame of the vmemmap: VMEMMAP_START is its struct page. */
function firstFrameOf(kernel: Kernel): bigint {
  // f754f27e98f8 (6.13, and in stable series, where the variable tells): rounded down to a section.
  const rounded = readWord(kernel, 'vmemmap_start_pfn', 8);
  if (rounded !== undefined) return rounded;
  if (!hasFix(kernel.version, 6, 8, RAM_BASE_STABLE)) return 0n;
  const base = readWord(kernel, 'phys_ram_base', 8);
  if (base === undefined) {
    throw new UsercopyError(
      'unsupported',
      `riscv64 ${kernel.version.release}: expected a variable vmemmap_start_pfn or phys_ram_base, which says where struct pages lie, found neither (an image without KALLSYMS_ALL?)`,
    );
  }
  return base >> BigInt(PAGE_SHIFT);
}

export function layoutOf(kernel: Kernel): MemoryLayout {
  const addressBits = addressBitsOf(kernel);
  const pageOffset = mapped(kernel, 'page_offset') ?? fixedPageOffset(kernel, addressBits);
  // KERN_VIRT_SIZE: half of the kernel's half.
  const linearSize = 1n << BigInt(addressBits - 2);
  const vmallocStart = pageOffset - linearSize / 2n;
  const { size: structPage, shift: structPageShift } = structPageOf(kernel);
  const vmemmapStart = vmallocStart - (1n << (BigInt(addressBits - PAGE_SHIFT - 1) + structPageShift));
  const told = mapped(kernel, 'va_pa_offset');
  const physicalBase = told === undefined ? (readWord(kernel, 'phys_ram_base', 8) ?? 0n) : pageOffset - told;
  const imageOffset = mapped(kernel, 'va_kernel_pa_offset') ?? KERNEL_LINK_ADDRESS - physicalBase - 2n * MIB;
  const linked = kernel.symbols.address('_start') ?? kernel.symbols.address('_text') ?? KERNEL_LINK_ADDRESS;
  const end = kernel.symbols.address('_end') ?? linked;
  return {
    pageShift: PAGE_SHIFT,
    pageOffset,
    // __va_to_pa_nodebug(): what lies above the linear map is taken for the image's, however far from it.
    linearMaps: [
      { virtual: pageOffset, size: linearSize, physical: physicalBase },
      { virtual: imageOffset, size: LAST_PAGE - imageOffset, physical: 0n },
    ],
    vmallocStart,
    vmallocEnd: pageOffset,
    modulesStart: pageAligned(end) - 2n * GIB,
    modulesEnd: pageAligned(linked),
    vmemmap: hasVmemmap(kernel) ? BigInt.asUintN(64, vmemmapStart - firstFrameOf(kernel) * structPage) : null,
    pageValidity: pageValidityOf(kernel, { kind: 'sparsemem', sectionSizeBits: 27, physicalAddressBits: 56 }),
    kmap: [],
    taskSize: 1n << BigInt(addressBits - 1),
    imageOffset,
  };
}

/** PFN_ALIGN() */
const pageAligned = (address: bigint): bigint => (address + 4095n) & ~4095n;
