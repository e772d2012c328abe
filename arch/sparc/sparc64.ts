import type { Kernel } from '../../src/kernel/kernel.js';
import { hasVmemmap, pageValidityOf, readWord, threadSizeOf } from '../common.js';
import type { MemoryLayout, Variant } from '../driver.js';
import {
  ALL_REGISTERS,
  ARGUMENTS,
  bootWithoutPrivileges,
  bugTrap,
  clockStub,
  directBranch,
  registerWindows,
  staticBranch,
} from './common.js';
import { sparc64Cycles } from './cycles.js';

const KIB = 1024n;
/** The stack pointer register holds the address less this. */
const STACK_BIAS = 2047;
/** KERNBASE: where the image lies, whatever its physical address. */
const KERNBASE = 0x400000n;
/** Where our own guest, and a kernel that is not booted, has its linear map, and the end of its vmalloc space. */
const DEFAULT_PAGE_OFFSET = 0xfff8000000000000n;
const DEFAULT_VMALLOC_END = 0x10000000000n;

/** `rdpr %pil, rd` and `wrpr rs1, x, %pil`. */
const INTERRUPT_LEVEL = {
  read: { mask: 0xc1ffc000, value: 0x81520000 },
  write: { mask: 0xfff80000, value: 0x91900000 },
} as const;

/** arch/sparc/include/asm/{page,pgtable}_64.h; PAGE_OFFSET and VMALLOC_END are variables in 6.1. */
function layout(kernel: Kernel): MemoryLayout {
  const pageOffset = readWord(kernel, 'PAGE_OFFSET', 8) || DEFAULT_PAGE_OFFSET;
  const vmallocEnd = readWord(kernel, 'VMALLOC_END', 8) || DEFAULT_VMALLOC_END;
  const physicalImage = readWord(kernel, 'kern_base', 8) || KERNBASE;
  return {
    pageShift: 13,
    pageOffset,
    // __pa() subtracts PAGE_OFFSET from anything: the image's own addresses come out as frames that nothing has.
    linearMaps: [{ virtual: pageOffset, size: (1n << 64n) - pageOffset, physical: 0n }],
    vmallocStart: 0x100000000n,
    vmallocEnd,
    modulesStart: 0x10000000n,
    modulesEnd: 0xf0000000n,
    vmemmap: hasVmemmap(kernel) ? vmallocEnd : null,
    pageValidity: pageValidityOf(kernel, { kind: 'sparsemem', sectionSizeBits: 30, physicalAddressBits: 53 }),
    kmap: [],
    taskSize: 1n << 43n,
    imageOffset: KERNBASE - physicalImage,
    imageHasLinearAlias: false,
  };
}

export const sparc64: Variant = {
  name: 'sparc64',
  cycles: sparc64Cycles,
  bits: 64,
  endian: 'big',
  elfMachine: 43,
  relativeRelocation: 22,
  pageShifts: [13],
  engine: { arch: 'SPARC', mode: ['SPARC64', 'BIG_ENDIAN'] },
  note: 'our guest and the 6.1 kernel that judged it are built with -mflat, because Unicorn (2.0.1 to 2.1.4) traps at the first save of a register window',
  registers: {
    pc: 'pc',
    sp: 'o6',
    fp: 'i6',
    link: 'o7',
    arguments: ARGUMENTS,
    returnValue: 'o0',
    all: ALL_REGISTERS,
  },
  // The register save area (16 words) and the six arguments' own places.
  call: { stackAlignment: 16, reservedBytes: 176, stackBias: STACK_BIAS, pushesReturnAddress: false, returnOffset: 8 },
  current: { kind: 'register', register: 'g4' },
  frames: registerWindows(8, STACK_BIAS),
  staticBranch,
  directBranch,
  hasCurrentStackPointer: false,
  // Text and modules: KERNBASE, MODULES_VADDR of arch/sparc/include/asm/{page,pgtable}_64.h.
  hasLowAddresses: true,
  bug: bugTrap(0x100),
  dump: null,
  debianKernel: null,
  kernelBuild: {
    makeArchitecture: 'sparc64',
    sourceFolder: 'sparc',
    triplet: 'sparc64-linux-gnu',
    compilerOptions: ['-mflat'],
    config: `
CONFIG_SMP=y
CONFIG_NR_CPUS=2
CONFIG_SPARSEMEM_VMEMMAP=y
`,
  },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: 'raw_copy_to_user', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: 'raw_copy_from_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    // 4.8 has them under these names.
    { symbol: '___copy_to_user', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '___copy_from_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
  ],
  threadSize: (kernel) => threadSizeOf(kernel, 16n * KIB, 1n),
  layout,
  unpackImage: async () => null,
  bootVariables: () => [
    { symbol: 'PAGE_OFFSET', value: DEFAULT_PAGE_OFFSET },
    { symbol: 'VMALLOC_END', value: DEFAULT_VMALLOC_END },
    { symbol: 'kern_base', value: KERNBASE },
  ],
  prepare() {},
  stubs: [clockStub],
  boot: (tools) => bootWithoutPrivileges(INTERRUPT_LEVEL, tools),
  // With the MMU off, Unicorn 2.0.1 takes the low 41 bits of an address.
  addressMask: (1n << 41n) - 1n,
};
