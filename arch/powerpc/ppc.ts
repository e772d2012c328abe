import type { Kernel } from '../../src/kernel/kernel.js';
import { instructions, pageValidityOf, powerpcBranches, readWord } from '../common.js';
import type { MemoryLayout, Variant } from '../driver.js';
import { ppcCycles } from './cycles.js';
import { backChainFrames, stackSizeOf } from './frames.js';
import { staticBranchOf } from './static-branch.js';

const KIB = 1024n;
const MIB = 1n << 20n;
/** CONFIG_PAGE_OFFSET and CONFIG_TASK_SIZE as they are unless somebody changed them. */
const PAGE_OFFSET = 0xc0000000n;
const TASK_SIZE = 0xb0000000n;
/** VMALLOC_OFFSET: vmalloc starts at a multiple of this above the end of lowmem; bytes. */
const VMALLOC_OFFSET = 16n * MIB;
const LARGEST_LOWMEM = 768n * MIB;
/** Where our own guest, and a kernel that is not booted, ends its vmalloc space. */
const DEFAULT_VMALLOC_END = 0xff000000n;

/** arch/powerpc/include/asm/{page.h,book3s/32/pgtable.h} of 6.1, without highmem. */
function layout(kernel: Kernel): MemoryLayout {
  const highMemory = readWord(kernel, 'high_memory', 4) || PAGE_OFFSET + LARGEST_LOWMEM;
  const vmallocStart = (highMemory + VMALLOC_OFFSET) & ~(VMALLOC_OFFSET - 1n);
  const vmallocEnd = readWord(kernel, 'ioremap_bot', 4) || DEFAULT_VMALLOC_END;
  return {
    pageShift: 12,
    pageOffset: PAGE_OFFSET,
    // virt_addr_valid() wants lowmem since ffa0b64e3be5 (5.18).
    linearMaps: [{ virtual: PAGE_OFFSET, size: highMemory - PAGE_OFFSET, physical: 0n }],
    vmallocStart,
    vmallocEnd,
    modulesStart: TASK_SIZE,
    modulesEnd: PAGE_OFFSET,
    vmemmap: null,
    pageValidity: pageValidityOf(kernel, { kind: 'flatmem' }),
    kmap: [],
    taskSize: TASK_SIZE,
    imageOffset: PAGE_OFFSET,
  };
}

export const ppc: Variant = {
  name: 'ppc',
  cycles: ppcCycles,
  bits: 32,
  endian: 'big',
  elfMachine: 20,
  relativeRelocation: 22,
  pageShifts: [12],
  engine: { arch: 'PPC', mode: ['PPC32', 'BIG_ENDIAN'] },
  note: 'judged by a 6.1 kernel built from source, since Debian has none; sched_clock is a stub, because mftb ends Unicorn 2.0.1 and reads 0 from 2.1.1 on',
  registers: {
    pc: 'pc',
    sp: '1',
    fp: '1',
    link: 'lr',
    arguments: ['3', '4', '5', '6', '7', '8', '9', '10'],
    returnValue: '3',
    all: ['pc', 'lr', 'ctr', ...Array.from({ length: 32 }, (_, index) => `${index}`)],
  },
  // System V ABI, PowerPC supplement: back chain and the word for the callee's link register, then parameters.
  call: { stackAlignment: 16, reservedBytes: 16, firstStackArgument: 8, pushesReturnAddress: false },
  current: { kind: 'register', register: '2' },
  frames: backChainFrames(4, 8),
  staticBranch: staticBranchOf('big'),
  directBranch: powerpcBranches('big'),
  hasCurrentStackPointer: true,
  // twi 31,0,0: a program check.
  bug: { kind: 'interrupt', number: 6 },
  dump: null,
  debianKernel: null,
  kernelBuild: {
    makeArchitecture: 'powerpc',
    sourceFolder: 'powerpc',
    triplet: 'powerpc-linux-gnu',
    config: `
CONFIG_PPC_BOOK3S_32=y
CONFIG_PPC_DISABLE_WERROR=y
`,
    optional: ['PPC_DISABLE_WERROR'],
  },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: '__copy_tofrom_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'by address' },
  ],
  threadSize: (kernel) => stackSizeOf(kernel, 8n * KIB, 12),
  layout,
  unpackImage: async () => null,
  bootVariables: () => [
    { symbol: 'high_memory', value: PAGE_OFFSET + LARGEST_LOWMEM },
    { symbol: 'ioremap_bot', value: DEFAULT_VMALLOC_END },
  ],
  prepare() {},
  // mftb, as on 64 bits (ppc64le.ts). li r3,0; li r4,0; blr: both halves of what it returns.
  stubs: [{ symbol: 'sched_clock', code: instructions('big', 0x3860_0000, 0x3880_0000, 0x4e80_0020) }],
};
