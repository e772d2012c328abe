import { UsercopyError } from '../../src/errors.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import { instructions, localKmapSlots, pageValidityOf, readWord, threadSizeOf, wordBranches } from '../common.js';
import type { ArchDriver, BootTools, MemoryLayout, Variant } from '../driver.js';
import { armCycles } from './cycles.js';
import { armDump } from './dump.js';
import { frames } from './frames.js';
import { unpackArmImage } from './image.js';

const KIB = 1024n;
const MIB = 1n << 20n;
const PAGE = 4096n;
/** VMALLOC_END (arch/arm/include/asm/pgtable.h of 5.10 and 6.1). */
const VMALLOC_END = 0xff800000n;
const VMALLOC_OFFSET = 8n * MIB;
/** What lowmem leaves for vmalloc unless `vmalloc=` says otherwise (arch/arm/mm/mmu.c), bytes. */
const VMALLOC_RESERVE = 240n * MIB;
/** PMD_SIZE of both page table formats, as Linux folds them. */
const PMD_SIZE = 2n * MIB;
const PKMAP_SLOTS = 512n;
/** arch/arm/include/asm/fixmap.h: a page below FIXADDR_END. */
const FIXADDR_TOP = 0xffeff000n;

const pageOffsetOf = (kernel: Kernel): bigint => {
  const text = kernel.symbols.address('_stext') ?? kernel.segments[0]?.address ?? 0xc0000000n;
  // CONFIG_VMSPLIT_*: the image lies at the start of lowmem.
  return BigInt(kernel.config?.get('PAGE_OFFSET') ?? text & 0xf0000000n);
};

/** `arm_lowmem_limit` of a machine with more RAM than lowmem can show, as a virtual address. */
const mostLowMemory = VMALLOC_END - VMALLOC_RESERVE - VMALLOC_OFFSET;

/** pageblock_nr_pages pages: the largest block of the buddy allocator (no HUGETLB_PAGE without LPAE); bytes. */
function pageBlock(kernel: Kernel): bigint {
  // ARCH_FORCE_MAX_ORDER was one more than the order until 23baf831a32c (6.4).
  const configured = Number(kernel.config?.get('ARCH_FORCE_MAX_ORDER') ?? (atLeast(kernel.version, 6, 4) ? 10 : 11));
  const largest = configured - (atLeast(kernel.version, 6, 4) ? 0 : 1);
  const order = kernel.config?.enabled('HUGETLB_PAGE') ? Math.min(9, largest) : largest;
  return PAGE << BigInt(order);
}

function layout(kernel: Kernel): MemoryLayout {
  const pageOffset = pageOffsetOf(kernel);
  const highMemory = readWord(kernel, 'high_memory', 4) || mostLowMemory;
  const physicalBase = (readWord(kernel, '__pv_phys_pfn_offset', 4) ?? 0n) * PAGE;
  const hasHighmem = kernel.config?.enabled('HIGHMEM') ?? kernel.symbols.address('kmap_high') !== undefined;
  const pkmap = pageOffset - PMD_SIZE;
  return {
    pageShift: 12,
    pageOffset,
    linearMaps: [{ virtual: pageOffset, size: highMemory - pageOffset, physical: physicalBase }],
    vmallocStart: ((highMemory + VMALLOC_OFFSET) / VMALLOC_OFFSET) * VMALLOC_OFFSET,
    vmallocEnd: VMALLOC_END,
    modulesStart: pageOffset - (kernel.config?.enabled('THUMB2_KERNEL') ? 8n : 16n) * MIB,
    modulesEnd: hasHighmem ? pkmap : pageOffset,
    vmemmap: null,
    firstFrame: physicalBase / PAGE,
    pageValidity: atLeast(kernel.version, 5, 14)
      ? // a4d5613c4dc6 (5.14): a page block that touches memory has struct pages throughout.
        { kind: 'memblock', blockSize: pageBlock(kernel) }
      : // HAVE_ARCH_PFN_VALID: memblock tells in FLATMEM too, where the architecture has a function of its own.
        kernel.symbols.address('pfn_valid') === undefined
        ? pageValidityOf(kernel, { kind: 'memblock' })
        : { kind: 'memblock' },
    kmap: hasHighmem
      ? [{ start: pkmap, end: pkmap + PKMAP_SLOTS * PAGE }, ...localKmapSlots(kernel, FIXADDR_TOP, PAGE)]
      : [],
    taskSize: pageOffset - 16n * MIB,
    imageOffset: pageOffset - physicalBase,
  };
}

/**
 * Instructions whose immediates boot code replaces by bits 31 to 24 and 23 to 16 of the distance. Up to 5.10 the first stands
 * alone: the distance was a multiple of 16 MiB ("ARM: p2v: reduce p2v alignment requirement to 2 MiB", 5.11).
 */
const PATCHED_PAIRS = [
  // add rd, rn, #0x81000000; add rd, rd, #0x810000
  { high: 0xe2800481, low: 0xe2800881 },
  // sub
  { high: 0xe2400481, low: 0xe2400881 },
] as const;
const OPCODE_AND_IMMEDIATE = 0xfff00fff;

/** LPAE's way from virtual to physical addresses: movw rn, #0; adds rd, rs, rn, lsl #20; mov rn, #0x81; adc rn, rn, #0 */
const LONG_SEQUENCE = [
  { mask: 0xfff00fff, value: 0xe3000000 },
  { mask: 0xfff00ff0, value: 0xe0900a00 },
  { mask: 0xffff0fff, value: 0xe3a00081 },
  { mask: 0xfff00fff, value: 0xe2a00000 },
] as const;
const MOVE_NOT = 0xe3e00000;
const DESTINATION = 0xf000;

/**
 * CONFIG_ARM_PATCH_PHYS_VIRT: the instructions by which virtual and physical addresses differ hold placeholders, which
 * boot code replaces (arch/arm/kernel/phys2virt.S of 5.11 on, head.S before; ARM code).
 */
function patchPhysicalOffset({ kernel, ram, write }: BootTools): void {
  const start = kernel.symbols.address('_stext');
  const end = kernel.symbols.address('_etext');
  const code = start === undefined || end === undefined ? undefined : kernel.read(start, Number(end - start));
  if (start === undefined || code === undefined) return;
  const view = new Words(code, LITTLE);
  const pageOffset = pageOffsetOf(kernel);
  const distance = Number(BigInt.asUintN(32, ram.physicalBase - pageOffset));
  for (let at = 0; at + 8 <= code.length; at += 4) {
    const high = view.uint32(at);
    const low = view.uint32(at + 4);
    if (at + 16 <= code.length && isLongSequence(view, at)) {
      const third = view.uint32(at + 8);
      // The upper word of the distance: all ones below 0.
      const upper = ram.physicalBase < pageOffset ? MOVE_NOT | (third & DESTINATION) : third & ~0xff;
      write(start + BigInt(at), 4, BigInt((high | (distance >>> 20)) >>> 0));
      write(start + BigInt(at + 8), 4, BigInt(upper >>> 0));
      continue;
    }
    const pair = PATCHED_PAIRS.find((pair) => (high & OPCODE_AND_IMMEDIATE) >>> 0 === pair.high);
    if (pair === undefined) continue;
    write(start + BigInt(at), 4, BigInt(((high & ~0xff) | (distance >>> 24)) >>> 0));
    if ((low & OPCODE_AND_IMMEDIATE) >>> 0 !== pair.low) continue;
    write(start + BigInt(at + 4), 4, BigInt(((low & ~0xff) | ((distance >>> 16) & 0xff)) >>> 0));
  }
}

const isLongSequence = (view: Words, at: number): boolean =>
  LONG_SEQUENCE.every(({ mask, value }, index) => (view.uint32(at + 4 * index) & mask) >>> 0 === value);

/** Functions are entered, their branches are read and their addresses are patched as ARM code. An attachment to a guest of somebody else's does none of that. */
function requireArmCode({ config, symbols }: Kernel): void {
  const check = symbols.address('__check_object_size') ?? 0n;
  if (!config?.enabled('THUMB2_KERNEL') && (check & THUMB) === 0n) return;
  throw new UsercopyError(
    'unsupported',
    'arm: expected a kernel of ARM code, found Thumb-2 code (CONFIG_THUMB2_KERNEL): no guest is made of such a kernel and no dump of it replayed; attach to an emulator that runs it, or judge its dump without a replay',
  );
}

const instruction = (encoding: number): Uint8Array => instructions('little', encoding);

/** Of a function's address: Thumb code (ELF for the Arm Architecture, 5.5.3). */
const THUMB = 1n;

export const arm32: Variant = {
  name: 'arm',
  cycles: armCycles,
  bits: 32,
  endian: 'little',
  elfMachine: 40,
  relativeRelocation: 23,
  pageShifts: [12],
  engine: { arch: 'ARM', mode: ['ARM'] },
  dumperName: 'armle',
  note: "frames only in ARM code with frame pointers: Debian's have none",
  registers: {
    pc: 'pc',
    sp: 'sp',
    fp: 'r11',
    link: 'lr',
    arguments: ['r0', 'r1', 'r2', 'r3'],
    returnValue: 'r0',
    all: ['pc', 'sp', 'lr', ...Array.from({ length: 13 }, (_, index) => `r${index}`)],
  },
  call: { stackAlignment: 8, reservedBytes: 0, pushesReturnAddress: false },
  // TPIDRURO
  current: { kind: 'register', register: 'c13_c0_3' },
  frames,
  staticBranch: {
    relativeEntries: () => false,
    // b <target>
    jump: (code, target) => instruction(0xea000000 | Number(BigInt.asUintN(24, (target - code - 8n) >> 2n))),
    nop: () => instruction(0xe1a00000),
  },
  // b and bl.
  directBranch: wordBranches('little', {
    mask: 0x0e000000,
    value: 0x0a000000,
    distance: [0, 24],
    unit: 4n,
    from: 8n,
  }),
  hasCurrentStackPointer: true,
  marksCodeSymbols: true,
  // udf #0x12 in ARM code, udf #2 in Thumb-2 code (arch/arm/include/asm/bug.h).
  bug: { kind: 'invalid instruction', encodings: [instruction(0xe7f001f2), Uint8Array.of(0x02, 0xde)] },
  dump: armDump,
  debianKernel: { architecture: 'armhf', metaPackage: 'linux-image-armmp' },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    // A weak alias of __copy_to_user_std; with UACCESS_WITH_MEMCPY it stands before it and calls it for short copies.
    { symbol: 'arm_copy_to_user', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: 'arm_copy_from_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
  ],
  threadSize: (kernel) => threadSizeOf(kernel, 8n * KIB, 2n),
  layout,
  unpackImage: unpackArmImage,
  bootVariables: (_kernel, physicalBase) => [
    { symbol: 'high_memory', value: mostLowMemory },
    { symbol: '__pv_phys_pfn_offset', value: physicalBase / PAGE },
  ],
  prepare: (_engine, { kernel }) => requireArmCode(kernel),
  boot: patchPhysicalOffset,
  stateBits: THUMB,
};

export const arm: ArchDriver = { linuxArch: 'arm', variants: [arm32] };
