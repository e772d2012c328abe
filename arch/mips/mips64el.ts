import type { Kernel } from '../../src/kernel/kernel.js';
import { decodeUnsigned } from '../../src/kernel/words.js';
import { pageValidityOf, threadSizeOf } from '../common.js';
import type { MemoryLayout, Variant } from '../driver.js';
import {
  ALL_REGISTERS,
  bug,
  current,
  directBranch,
  frames,
  staticBranch,
  stopCode,
  uaccess,
  unsavable,
} from './common.js';
import { unpackMipsImage } from './image.js';
import { prepareCpu } from './machine.js';

const KIB = 1024n;
/** Shows the first 512 MiB of memory; kernels are linked for it, so that their addresses are made by two instructions. */
const CKSEG0 = 0xffffffff80000000n;
const CKSEG2 = 0xffffffffc0000000n;
/** Shows all memory, once for each of eight ways to cache it. */
const XKPHYS = 0x8000000000000000n;
const XKPHYS_PART = 1n << 59n;
/** The way that boot code chooses where devices do not see the caches. */
const CACHED = 3n;
/** MAP_BASE: translated. */
const XKSEG = 0xc000000000000000n;
/** TO_PHYS_MASK */
const PHYSICAL_BITS = 48n;
/** arch/mips/include/asm/mach-generic/spaces.h */
const FIXADDR_TOP = 0xfffffffffffe0000n;
/** ckseg0 and xkphys show the same memory: as far as both reach, with the bit that is set in the image's addresses left out. */
const MEMORY_MASK = 0x7fffffffn;
/** What a 5KEF's EntryHi has of an address. */
const ADDRESS_BITS = 42n;

/**
 * arch/mips/include/asm/pgtable-64.h. PAGE_OFFSET is the part of xkphys that the CPU's Config register names; virt_addr_valid() takes
 * those above for memory, too (arch/mips/mm/mmap.c).
 */
function layout(kernel: Kernel): MemoryLayout {
  const pageShift = pageShiftOf(kernel);
  const page = 1n << BigInt(pageShift);
  const parts = Array.from(
    { length: Number(8n - CACHED) },
    (_, part) => XKPHYS + (CACHED + BigInt(part)) * XKPHYS_PART,
  );
  return {
    pageShift,
    pageOffset: XKPHYS + CACHED * XKPHYS_PART,
    linearMaps: parts.map((virtual) => ({ virtual, size: 1n << PHYSICAL_BITS, physical: 0n })),
    vmallocStart: XKSEG + 2n * page,
    vmallocEnd: XKSEG + reachOf(kernel, pageShift) - (1n << 32n),
    modulesStart: CKSEG2,
    modulesEnd: FIXADDR_TOP,
    vmemmap: null,
    pageValidity: pageValidityOf(kernel, { kind: 'sparsemem', sectionSizeBits: 28, physicalAddressBits: 48 }),
    kmap: [],
    taskSize: 1n << 40n,
    imageOffset: CKSEG0,
  };
}

/** Bits that page tables translate, by the page's: three levels, two with pages of 64 KiB (PGTABLE_LEVELS, arch/mips/Kconfig). */
const USUAL_BITS: ReadonlyMap<number, number> = new Map([
  [12, 40],
  [14, 47],
  [16, 42],
]);
const VA_BITS_48: ReadonlyMap<number, number> = new Map([
  [12, 48],
  [14, 48],
  [16, 55],
]);

function pageShiftOf({ config }: Kernel): number {
  if (config?.enabled('PAGE_SIZE_64KB')) return 16;
  return config?.enabled('PAGE_SIZE_16KB') ? 14 : 12;
}

/**
 * Bytes that page tables of the configured levels translate, and the CPU's addresses reach (`cpu_vmbits`: of the first CPU, as it was
 * found when booting).
 */
function reachOf(kernel: Kernel, pageShift: number): bigint {
  const levels = kernel.config?.enabled('MIPS_VA_BITS_48') ? VA_BITS_48 : USUAL_BITS;
  const bits = BigInt(levels.get(pageShift) ?? 40);
  const cpu = cpuBitsOf(kernel);
  return 1n << (cpu < bits ? cpu : bits);
}

function cpuBitsOf(kernel: Kernel): bigint {
  const address = kernel.symbols.address('cpu_data');
  const type = kernel.types?.hasStruct('cpuinfo_mips') ? kernel.types.struct('cpuinfo_mips') : undefined;
  const field = type?.field('vmbits');
  const bytes =
    address === undefined || field === undefined ? undefined : kernel.read(address + BigInt(field.offset), 4);
  return (bytes && decodeUnsigned(bytes, 'little')) || ADDRESS_BITS;
}

export const mips64el: Variant = {
  name: 'mips64el',
  bits: 64,
  endian: 'little',
  elfMachine: 8,
  // R_MIPS_REL32
  relativeRelocation: 3,
  pageShifts: [12, 14, 16],
  engine: { arch: 'MIPS', mode: ['MIPS64', 'LITTLE_ENDIAN'], cpu: 'MIPS64_5KEF', mmu: true },
  note: 'kernels with pages of 4 KiB have judged; no dumps, no snapshots, no cycle estimates; copies are seen where the kernel judges them and in out-of-line _copy_*_user(); needs libunicorn 2.1.4',
  registers: {
    pc: 'pc',
    sp: '29',
    fp: '30',
    link: '31',
    arguments: ['4', '5', '6', '7', '8', '9', '10', '11'],
    returnValue: '2',
    all: ALL_REGISTERS,
  },
  call: { stackAlignment: 16, reservedBytes: 0, pushesReturnAddress: false },
  current,
  frames,
  staticBranch,
  directBranch,
  hasCurrentStackPointer: true,
  bug,
  dump: null,
  debianKernel: { architecture: 'mips64el', metaPackage: 'linux-image-5kc-malta' },
  uaccess,
  threadSize: (kernel) => threadSizeOf(kernel, 16n * KIB, 1n),
  layout,
  wrapsInElf: true,
  unpackImage: (bytes, tools) => unpackMipsImage(bytes, 64, tools),
  bootVariables: () => [{ symbol: 'cpu_data', member: ['cpuinfo_mips', 'vmbits'], value: ADDRESS_BITS }],
  prepare: (engine, { kernel }) => prepareCpu(engine, kernel, 64),
  addressMask: MEMORY_MASK,
  stopCode,
  unsavable,
};
