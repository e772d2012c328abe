import type { Kernel } from '../../src/kernel/kernel.js';
import { localKmapSlots, pageValidityOf, readWord, threadSizeOf } from '../common.js';
import type { MemoryLayout, Variant } from '../driver.js';
import { i386Cycles } from './cycles.js';
import { i386Dump } from './dump32.js';
import { framePointerFrames } from './frames.js';
import { unpackX86Image } from './image.js';
import { directBranch, staticBranch } from './static-branch.js';

const KIB = 1024n;
const MIB = 1n << 20n;
const PAGE = 4096n;
/** `__FIXADDR_TOP` (arch/x86/mm/pgtable_32.c), unless `reservetop=` lowers it. */
const FIXADDR_TOP = 0xfffff000n;
/** VMALLOC_OFFSET: the hole above lowmem, bytes. */
const VMALLOC_OFFSET = 8n * MIB;
/** `__VMALLOC_RESERVE`: what lowmem leaves for vmalloc, unless `vmalloc=` says otherwise; bytes. */
const VMALLOC_RESERVE = 128n * MIB;
/** sizeof(struct cpu_entry_area), bytes, and slots of the fixmap, in 6.1: for kernels whose types are not known. */
const USUAL = { cpuEntryArea: 176_128, permanentSlots: 657n, slots: 1537n };

interface HighMemory {
  readonly fixmapStart: bigint;
  readonly kmap: MemoryLayout['kmap'];
  /** VMALLOC_END: two pages below the kmap slots, or below the LDT's where there is no highmem. */
  readonly vmallocEnd: bigint;
}

/** Without a config: only kernels with a third level of tables have a function that frees the second. */
const isPae = (kernel: Kernel): boolean =>
  kernel.config?.enabled('X86_PAE') ?? kernel.symbols.address('___pmd_free_tlb') !== undefined;

/** Without a config: a function that only kernels with slots of kmap() have; `kmap_slot` is that of the built-in guest. */
const hasHighmem = (kernel: Kernel): boolean =>
  kernel.config?.enabled('HIGHMEM') ??
  ['kmap_high', 'kmap_slot'].some((name) => kernel.symbols.address(name) !== undefined);

/** What lies above vmalloc, from the top down, as arch/x86/include/asm/pgtable_32_areas.h computes it (5.0 on). */
function highAddresses(kernel: Kernel): HighMemory {
  const pmd = isPae(kernel) ? 2n * MIB : 4n * MIB;
  const down = (address: bigint): bigint => address - (address % pmd);
  const slots = (enumerator: string, usual: bigint): bigint => kernel.types?.enumerator(enumerator) ?? usual;
  const fixmapStart = FIXADDR_TOP - slots('__end_of_permanent_fixed_addresses', USUAL.permanentSlots) * PAGE;
  const fixmapTotal = FIXADDR_TOP - slots('__end_of_fixed_addresses', USUAL.slots) * PAGE;
  const area = kernel.types?.hasStruct('cpu_entry_area')
    ? kernel.types.struct('cpu_entry_area').size
    : USUAL.cpuEntryArea;
  const processors = BigInt(kernel.config?.get('NR_CPUS') ?? 32);
  const areaPages = processors * BigInt(Math.ceil(area / Number(PAGE)));
  const cpuEntryBase = down(fixmapTotal - PAGE * (areaPages + 1n));
  const ldtBase = down(cpuEntryBase - PAGE);
  if (!hasHighmem(kernel)) return { fixmapStart, kmap: [], vmallocEnd: ldtBase - 2n * PAGE };
  const pkmap = down(ldtBase - PAGE);
  const pkmapEnd = pkmap + (isPae(kernel) ? 512n : 1024n) * PAGE;
  const kmap = [{ start: pkmap, end: pkmapEnd }, ...localKmapSlots(kernel, FIXADDR_TOP, PAGE)];
  return { fixmapStart, kmap, vmallocEnd: pkmap - 2n * PAGE };
}

const pageOffsetOf = (kernel: Kernel): bigint => BigInt(kernel.config?.get('PAGE_OFFSET') ?? 0xc0000000n);

/** `high_memory` of a machine with more RAM than lowmem can show: PAGE_OFFSET + MAXMEM. */
const mostLowMemory = (kernel: Kernel): bigint => highAddresses(kernel).vmallocEnd - VMALLOC_RESERVE;

function layout(kernel: Kernel): MemoryLayout {
  const pageOffset = pageOffsetOf(kernel);
  const { fixmapStart, kmap, vmallocEnd } = highAddresses(kernel);
  const highMemory = readWord(kernel, 'high_memory', 4) || mostLowMemory(kernel);
  const vmallocStart = highMemory + VMALLOC_OFFSET;
  return {
    pageShift: 12,
    pageOffset,
    // __virt_addr_valid() asks about all of it; what lies in vmalloc was told apart before.
    linearMaps: [{ virtual: pageOffset, size: fixmapStart - pageOffset, physical: 0n }],
    vmallocStart,
    vmallocEnd,
    modulesStart: vmallocStart,
    modulesEnd: vmallocEnd,
    vmemmap: null,
    pageValidity: pageValidityOf(
      kernel,
      isPae(kernel)
        ? { kind: 'sparsemem', sectionSizeBits: 29, physicalAddressBits: 36 }
        : { kind: 'sparsemem', sectionSizeBits: 26, physicalAddressBits: 32 },
    ),
    kmap,
    taskSize: pageOffset,
    hugePageShift: isPae(kernel) ? 21 : 22,
    imageOffset: pageOffset,
  };
}

export const i386: Variant = {
  name: 'i386',
  cycles: i386Cycles,
  bits: 32,
  endian: 'little',
  elfMachine: 3,
  relativeRelocation: 8,
  pageShifts: [12],
  engine: { arch: 'X86', mode: ['32'] },
  dumperName: 'x86',
  note: "frames only in kernels with frame pointers, as Debian's have",
  registers: {
    pc: 'eip',
    sp: 'esp',
    fp: 'ebp',
    link: null,
    // -mregparm=3; what follows would be on the stack.
    arguments: ['eax', 'edx', 'ecx'],
    returnValue: 'eax',
    all: ['eip', 'esp', 'ebp', 'eax', 'ebx', 'ecx', 'edx', 'esi', 'edi'],
  },
  call: { stackAlignment: 16, reservedBytes: 0, pushesReturnAddress: true, asmlinkageOnStack: true },
  // Unicorn 2.0.1 starts with flat segments: %fs:symbol is the per-cpu template itself, at the symbol's own address.
  current: { kind: 'memory', base: null, symbols: ['pcpu_hot', 'current_task'], offset: 0n },
  frames: framePointerFrames(4, [0x89, 0xe5]),
  staticBranch,
  directBranch,
  hasCurrentStackPointer: true,
  // ud2
  bug: { kind: 'invalid instruction', encodings: [Uint8Array.of(0x0f, 0x0b)] },
  dump: i386Dump,
  debianKernel: { architecture: 'i386', metaPackage: 'linux-image-686' },
  kernelBuild: {
    makeArchitecture: 'i386',
    sourceFolder: 'x86',
    triplet: 'i686-linux-gnu',
    config: `
CONFIG_SMP=y
CONFIG_NR_CPUS=2
CONFIG_HIGHMEM4G=y
`,
  },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: '__copy_user_ll', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'by address' },
    {
      symbol: '__copy_from_user_ll_nocache_nozero',
      role: 'raw',
      kernelPointer: 0,
      userPointer: 1,
      size: 2,
      direction: 'from_user',
    },
    // Before beba3a20bf90 (4.12) each direction had its own.
    { symbol: '__copy_to_user_ll', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '__copy_from_user_ll', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
  ],
  threadSize: (kernel) => threadSizeOf(kernel, 8n * KIB, 2n),
  layout,
  unpackImage: unpackX86Image,
  bootVariables: (kernel) => [{ symbol: 'high_memory', value: mostLowMemory(kernel) }],
  prepare() {},
};
