import { UsercopyError } from '../../src/errors.js';
import type { Kernel } from '../../src/kernel/kernel.js';
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
import { prepareCpu, SEGMENT_MASK } from './machine.js';

const KIB = 1024n;
const PAGE = 4n * KIB;
const SEGMENT = 0x20000000n;
/** Both show the first 512 MiB of memory, the second past the caches. */
const KSEG0 = 0x80000000n;
const KSEG1 = KSEG0 + SEGMENT;
/** MAP_BASE: translated. */
const KSEG2 = KSEG1 + SEGMENT;
/** arch/mips/include/asm/mach-generic/spaces.h */
const FIXADDR_TOP = 0xfffe0000n;
/** Slots below it: of 6.1 with two for each of 8 colours (arch/mips/include/asm/fixmap.h). */
const USUAL_FIXED_SLOTS = 17n;

/** arch/mips/include/asm/pgtable-32.h; virt_addr_valid() takes kseg1 for memory, too (arch/mips/mm/mmap.c). */
function layout(kernel: Kernel): MemoryLayout {
  if (kernel.config?.enabled('HIGHMEM') || kernel.symbols.address('kmap_high') !== undefined)
    throw new UsercopyError('unsupported', 'mipsel: expected a kernel without CONFIG_HIGHMEM, found one with it');
  const slots = kernel.types?.enumerator('__end_of_fixed_addresses') ?? USUAL_FIXED_SLOTS;
  const vmallocEnd = FIXADDR_TOP - slots * PAGE - 2n * PAGE;
  return {
    pageShift: 12,
    pageOffset: KSEG0,
    linearMaps: [KSEG0, KSEG1].map((virtual) => ({ virtual, size: SEGMENT, physical: 0n })),
    vmallocStart: KSEG2,
    vmallocEnd,
    modulesStart: KSEG2,
    modulesEnd: vmallocEnd,
    vmemmap: null,
    pageValidity: pageValidityOf(kernel, { kind: 'flatmem' }),
    kmap: [],
    taskSize: KSEG0,
    imageOffset: KSEG0,
  };
}

export const mipsel: Variant = {
  name: 'mipsel',
  bits: 32,
  endian: 'little',
  elfMachine: 8,
  // R_MIPS_REL32
  relativeRelocation: 3,
  pageShifts: [12],
  engine: { arch: 'MIPS', mode: ['MIPS32', 'LITTLE_ENDIAN'], cpu: 'MIPS32_24KC', mmu: true },
  note: 'no highmem, no dumps, no snapshots, no cycle estimates; copies are seen where the kernel judges them and in out-of-line _copy_*_user()',
  registers: {
    pc: 'pc',
    sp: '29',
    fp: '30',
    link: '31',
    arguments: ['4', '5', '6', '7'],
    returnValue: '2',
    all: ALL_REGISTERS,
  },
  // o32: the callee may store its four register arguments above its caller's stack pointer.
  call: { stackAlignment: 8, reservedBytes: 16, pushesReturnAddress: false },
  current,
  frames,
  staticBranch,
  directBranch,
  hasCurrentStackPointer: true,
  bug,
  dump: null,
  debianKernel: { architecture: 'mipsel', metaPackage: 'linux-image-4kc-malta' },
  uaccess,
  threadSize: (kernel) => threadSizeOf(kernel, 8n * KIB, 1n),
  layout,
  wrapsInElf: true,
  unpackImage: (bytes, tools) => unpackMipsImage(bytes, 32, tools),
  bootVariables: () => [],
  prepare: (engine, { kernel }) => prepareCpu(engine, kernel, 32),
  addressMask: SEGMENT_MASK,
  stopCode,
  unsavable,
};
