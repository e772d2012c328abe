import type { Kernel } from '../../src/kernel/kernel.js';
import { localKmapSlots, pageValidityOf, readWord, threadSizeOf } from '../common.js';
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
import { sparcCycles } from './cycles.js';

const KIB = 1024n;
const PAGE = 4n * KIB;
const PAGE_OFFSET = 0xf0000000n;

/** `rd %psr, rd` and `wr rs1, x, %psr`. */
const PROCESSOR_STATE = {
  read: { mask: 0xc1f80000, value: 0x81480000 },
  write: { mask: 0xfff80000, value: 0x81880000 },
} as const;

/** arch/sparc/include/asm/highmem.h: 1024 slots above the memory that SRMMU does not cache, at a multiple of 256 KiB (6.1). */
const PKMAP = { start: 0xfc500000n, end: 0xfc900000n };
/** arch/sparc/include/asm/vaddrs.h */
const FIXADDR_TOP = 0xfcfff000n;

/** Every 32-bit kernel has highmem; our own guest does without. */
function kmapOf(kernel: Kernel): MemoryLayout['kmap'] {
  if (!(kernel.config?.enabled('HIGHMEM') ?? kernel.symbols.address('kmap_high') !== undefined)) return [];
  return [PKMAP, ...localKmapSlots(kernel, FIXADDR_TOP, PAGE)];
}

/** arch/sparc/include/asm/{page,pgtable}_32.h. */
function layout(kernel: Kernel): MemoryLayout {
  const physicalBase = readWord(kernel, 'phys_base', 4) ?? 0n;
  return {
    pageShift: 12,
    pageOffset: PAGE_OFFSET,
    linearMaps: [{ virtual: PAGE_OFFSET, size: (1n << 32n) - PAGE_OFFSET, physical: physicalBase }],
    vmallocStart: 0xfe600000n,
    vmallocEnd: 0xffc00000n,
    modulesStart: 0xfe600000n,
    modulesEnd: 0xffc00000n,
    vmemmap: null,
    pageValidity: pageValidityOf(kernel, { kind: 'flatmem' }),
    kmap: kmapOf(kernel),
    taskSize: PAGE_OFFSET,
    imageOffset: PAGE_OFFSET - physicalBase,
  };
}

export const sparc: Variant = {
  name: 'sparc',
  cycles: sparcCycles,
  bits: 32,
  endian: 'big',
  elfMachine: 2,
  relativeRelocation: 22,
  pageShifts: [12],
  engine: { arch: 'SPARC', mode: ['SPARC32', 'BIG_ENDIAN'] },
  note: 'our guest and the 6.1 kernel that judged it are built with -mflat, because Unicorn (2.0.1 to 2.1.4) silently overwrites the oldest of eight register windows',
  registers: {
    pc: 'pc',
    sp: 'o6',
    fp: 'i6',
    link: 'o7',
    arguments: ARGUMENTS,
    returnValue: 'o0',
    all: ALL_REGISTERS,
  },
  // The register save area (16 words), the hidden return address and the six arguments' own places.
  // System V ABI, SPARC supplement: the window, a word for a returned structure, six words for register arguments.
  call: { stackAlignment: 8, reservedBytes: 96, firstStackArgument: 92, pushesReturnAddress: false, returnOffset: 8 },
  // %g6 holds the thread_info, which lies at the bottom of the stack (no THREAD_INFO_IN_TASK here).
  current: { kind: 'masked stack pointer' },
  frames: registerWindows(4, 0),
  staticBranch,
  directBranch,
  hasCurrentStackPointer: false,
  bug: bugTrap(0x80),
  dump: null,
  debianKernel: null,
  kernelBuild: {
    makeArchitecture: 'sparc',
    sourceFolder: 'sparc',
    triplet: 'sparc64-linux-gnu',
    compilerOptions: ['-mflat'],
    config: '# CONFIG_64BIT is not set\n',
  },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: '__copy_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'by address' },
  ],
  threadSize: (kernel) => threadSizeOf(kernel, 8n * KIB, 1n),
  layout,
  unpackImage: async () => null,
  bootVariables: () => [],
  prepare() {},
  stubs: [clockStub],
  boot: (tools) => bootWithoutPrivileges(PROCESSOR_STATE, tools),
};
