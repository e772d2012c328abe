import type { Engine } from '../../src/engine/engine.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { hasVmemmap, pageValidityOf, readWord, threadSizeOf } from '../common.js';
import type { MemoryLayout, Variant } from '../driver.js';
import { x86_64Cycles } from './cycles.js';
import { x86_64Dump } from './dump.js';
import { framePointerFrames } from './frames.js';
import { unpackX86Image } from './image.js';
import { directBranch, staticBranch } from './static-branch.js';

/** `__START_KERNEL_map`: where the kernel image's own mapping begins (arch/x86/include/asm/page_64_types.h). */
const START_KERNEL_MAP = 0xffffffff80000000n;
const MODULES_END = 0xffffffffff000000n;
const KIB = 1024n;
const GIB = 1n << 30n;
const TIB = 1n << 40n;

/** Addresses of four- and five-level page tables (Documentation/arch/x86/x86_64/mm.rst). */
const FOUR_LEVEL = {
  pageOffset: 0xffff888000000000n,
  vmallocStart: 0xffffc90000000000n,
  vmallocSize: 32n * TIB,
  vmemmap: 0xffffea0000000000n,
  physicalAddressBits: 46,
  taskSize: (1n << 47n) - 4096n,
};
const FIVE_LEVEL = {
  pageOffset: 0xff11000000000000n,
  vmallocStart: 0xffa0000000000000n,
  vmallocSize: 12800n * TIB,
  vmemmap: 0xffd4000000000000n,
  physicalAddressBits: 52,
  taskSize: (1n << 56n) - 4096n,
};
/** PAGE_OFFSET before d52888aa2753 (4.20; also in 4.14.84 and 4.19.3) made room for the LDT remap. */
const PAGE_OFFSET_BEFORE_4_20 = 0xffff880000000000n;

function layout(kernel: Kernel): MemoryLayout {
  const levels = (readWord(kernel, '__pgtable_l5_enabled', 4) ?? 0n) !== 0n ? FIVE_LEVEL : FOUR_LEVEL;
  const fixedPageOffset =
    levels === FOUR_LEVEL && !atLeast(kernel.version, 4, 20) ? PAGE_OFFSET_BEFORE_4_20 : levels.pageOffset;
  // With RANDOMIZE_MEMORY (4.8 on) these are variables; their initial values are the fixed addresses of four levels.
  const pageOffset = readWord(kernel, 'page_offset_base', 8) ?? fixedPageOffset;
  const vmallocStart = readWord(kernel, 'vmalloc_base', 8) ?? levels.vmallocStart;
  const vmemmap = readWord(kernel, 'vmemmap_base', 8) ?? levels.vmemmap;
  const physBase = readWord(kernel, 'phys_base', 8) ?? 0n;
  // KERNEL_IMAGE_SIZE: 1 GiB with RANDOMIZE_BASE, else 512 MiB.
  const randomized = kernel.config
    ? kernel.config.enabled('RANDOMIZE_BASE')
    : kernel.symbols.address('kernel_randomize_memory') !== undefined;
  const imageSize = randomized ? GIB : GIB / 2n;
  // __virt_addr_valid() takes what lies in the image's mapping for that first.
  const allPhysical = 1n << BigInt(levels.physicalAddressBits);
  const belowImage = START_KERNEL_MAP - pageOffset;
  const directSize = allPhysical < belowImage ? allPhysical : belowImage;
  return {
    pageShift: 12,
    pageOffset,
    linearMaps: [
      { virtual: pageOffset, size: directSize, physical: 0n },
      { virtual: START_KERNEL_MAP, size: imageSize, physical: physBase },
    ],
    vmallocStart,
    // VMALLOC_END is the last byte, and is_vmalloc_addr() wants less than that.
    vmallocEnd: vmallocStart + levels.vmallocSize - 1n,
    modulesStart: START_KERNEL_MAP + imageSize,
    modulesEnd: MODULES_END,
    vmemmap: hasVmemmap(kernel) ? vmemmap : null,
    pageValidity: pageValidityOf(kernel, {
      kind: 'sparsemem',
      sectionSizeBits: 27,
      physicalAddressBits: levels.physicalAddressBits,
    }),
    kmap: [],
    taskSize: levels.taskSize,
    hugePageShift: 21,
    imageOffset: START_KERNEL_MAP - physBase,
  };
}

export const x86_64: Variant = {
  name: 'x86_64',
  cycles: x86_64Cycles,
  bits: 64,
  endian: 'little',
  elfMachine: 62,
  relativeRelocation: 8,
  pageShifts: [12],
  engine: { arch: 'X86', mode: ['64'] },
  dumperName: 'x64',
  note: "frames only in kernels with frame pointers: Debian's have none",
  registers: {
    pc: 'rip',
    sp: 'rsp',
    fp: 'rbp',
    link: null,
    arguments: ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'],
    returnValue: 'rax',
    all: [
      ...['rip', 'rsp', 'rbp', 'rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi'],
      ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
    ],
  },
  call: { stackAlignment: 16, reservedBytes: 0, pushesReturnAddress: true },
  // pcpu_hot from 6.2 (e57ef2ed97c1) to 6.14, a variable of its own before.
  current: { kind: 'memory', base: 'gs_base', symbols: ['pcpu_hot', 'current_task'], offset: 0n },
  frames: framePointerFrames(8, [0x48, 0x89, 0xe5]),
  staticBranch,
  directBranch,
  hasCurrentStackPointer: true,
  // ud2
  bug: { kind: 'invalid instruction', encodings: [Uint8Array.of(0x0f, 0x0b)] },
  dump: x86_64Dump,
  debianKernel: { architecture: 'amd64', metaPackage: 'linux-image-cloud-amd64' },
  kernelBuild: {
    makeArchitecture: 'x86_64',
    sourceFolder: 'x86',
    // It compiles for 64 bits too (-m64), and Debian has it on every machine; amd64 has no cross compiler to itself.
    triplet: 'i686-linux-gnu',
    config: `
CONFIG_SMP=y
CONFIG_NR_CPUS=2
CONFIG_SPARSEMEM_VMEMMAP=y
`,
    // objtool looks at every object of an x86_64 kernel that has jump labels.
    hostLibraries: ['libelf-dev'],
  },
  uaccess: [
    {
      symbol: '__check_object_size',
      role: 'judge',
      kernelPointer: 0,
      size: 1,
      direction: { argument: 2 },
    },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    ...(
      [
        // Up to 6.3 the CPU's features choose one of these; rep_movs_alternative (427fda2c8a49, 6.4) replaced them.
        'copy_user_generic_unrolled',
        'copy_user_generic_string',
        'copy_user_enhanced_fast_string',
      ] as const
    ).map((symbol) => ({
      symbol,
      role: 'raw' as const,
      kernelPointer: 0,
      userPointer: 1,
      size: 2,
      sizeBits: 32 as const,
      direction: 'by address' as const,
    })),
    {
      symbol: 'rep_movs_alternative',
      role: 'raw',
      kernelPointer: 0,
      userPointer: 1,
      size: 3,
      direction: 'by address',
    },
    ...(['__copy_user_nocache', '__copy_user_flushcache', 'copy_to_nontemporal'] as const).map((symbol) => ({
      symbol,
      role: 'raw' as const,
      kernelPointer: 0,
      userPointer: 1,
      size: 2,
      direction: 'by address' as const,
    })),
  ],
  threadSize: (kernel) => threadSizeOf(kernel, 16n * KIB, 2n),
  layout,
  unpackImage: unpackX86Image,
  // phys_addr_valid() asks it; setup_arch() sets it first of all.
  bootVariables: () => [
    {
      symbol: 'boot_cpu_data',
      member: ['cpuinfo_x86', 'x86_phys_bits'],
      value: BigInt(FOUR_LEVEL.physicalAddressBits),
    },
  ],
  prepare(_engine: Engine) {},
};
