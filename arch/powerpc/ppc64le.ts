/** ppc64le: Book3S in 64-bit little-endian mode, ELFv2. */
import type { Engine } from '../../src/engine/engine.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import { hasVmemmap, instructions, pageValidityOf, powerpcBranches, readWord } from '../common.js';
import type { BootTools, MemoryLayout, Variant } from '../driver.js';
import { ppc64leCycles } from './cycles.js';
import { ppc64Dump } from './dump64.js';
import { backChainFrames, stackSizeOf } from './frames.js';
import { completeMsr, enterRealMode, MSR } from './hypervisor.js';
import { staticBranchOf } from './static-branch.js';

/** MSR of a guest that runs without translation, in 64-bit mode. */
const REAL_MODE = MSR.SF | MSR.HV | MSR.ME | MSR.LE;

const KIB = 1024n;
const PAGE_OFFSET = 0xc000_0000_0000_0000n;
/** Book3S-64 with radix tables (arch/powerpc/include/asm/book3s/64/radix.h): regions of 2^49 bytes from here. */
const VMALLOC_START = 0xc008_0000_0000_0000n;
const VMALLOC_END = 0xc00a_0000_0000_0000n;
const VMEMMAP = 0xc00c_0000_0000_0000n;
/** The linear map ends where vmalloc begins; boot code sets it to the end of RAM. */
const HIGH_MEMORY = VMALLOC_START;
/** Bytes of paca that are enough where the kernel's types do not tell. */
const PACA_BYTES = 65_536n;
const PACA_CURRENT = 0x1a0n;

function pageShiftOf(kernel: Kernel): number {
  return kernel.config && !kernel.config.enabled('PPC_64K_PAGES') ? 12 : 16;
}

/**
 * MAX_PHYSMEM_BITS: 46 without a vmemmap. Since b32d5d7e920a "powerpc/mm/book3s: Split radix and hash MAX_PHYSMEM limit" (5.9) it is the
 * larger one of hash and radix tables, whichever are built in (book3s/64/pgtable.h); before, 4 KiB pages had 46, too.
 */
function physicalAddressBitsOf(kernel: Kernel, pageShift: number): number {
  const isSplit = kernel.version.banner === null || atLeast(kernel.version, 5, 9);
  return hasVmemmap(kernel) && (pageShift === 16 || isSplit) ? 51 : 46;
}

function layout(kernel: Kernel): MemoryLayout {
  const highMemory = readWord(kernel, 'high_memory', 8) || HIGH_MEMORY;
  const vmallocStart = readWord(kernel, '__vmalloc_start', 8) || VMALLOC_START;
  const pageShift = pageShiftOf(kernel);
  return {
    pageShift,
    pageOffset: PAGE_OFFSET,
    // virt_addr_valid() accepts what is below high_memory (ffa0b64e3be5, 5.18).
    linearMaps: [{ virtual: PAGE_OFFSET, size: highMemory - PAGE_OFFSET, physical: 0n }],
    vmallocStart,
    vmallocEnd: readWord(kernel, '__vmalloc_end', 8) || VMALLOC_END,
    // Modules are taken from vmalloc.
    modulesStart: vmallocStart,
    modulesEnd: vmallocStart,
    vmemmap: hasVmemmap(kernel) ? readWord(kernel, 'vmemmap', 8) || VMEMMAP : null,
    pageValidity: pageValidityOf(kernel, {
      kind: 'sparsemem',
      sectionSizeBits: 24,
      physicalAddressBits: physicalAddressBitsOf(kernel, pageShift),
    }),
    kmap: [],
    taskSize: 1n << 52n,
    imageOffset: PAGE_OFFSET,
  };
}

const LOAD_ZERO = 0x3860_0000;
const RETURN = 0x4e80_0020;
/** A clock that stands still; the code stands for global and local entry alike. */
export const clockStub64 = [LOAD_ZERO, RETURN, LOAD_ZERO, RETURN] as const;

/** The paca of the first CPU, which r13 points to; per-CPU variables are the image's own, so data_offset stays 0. */
function bootPaca({ kernel, engine, allocate, write }: BootTools): void {
  const type = kernel.types?.hasStruct('paca_struct') ? kernel.types.struct('paca_struct') : null;
  const paca = allocate(PACA_BYTES, PACA_BYTES);
  const set = (path: string, value: bigint): void => {
    const field = type?.field(path);
    if (field) write(paca + BigInt(field.offset), field.size, value);
  };
  const toc = kernel.symbols.address('.TOC.') ?? kernel.symbols.address('__toc_start');
  if (toc !== undefined) set('kernel_toc', toc);
  set('kernelbase', PAGE_OFFSET);
  set('lock_token', 0x8000n);
  engine.writeRegister('13', paca);
}

/** A global entry computes the TOC from r12: addis r2,r12,…; addi r2,r2,…. Calls from inside the kernel pass it by. */
function entryOffset(code: Uint8Array): bigint {
  const words = new Words(code, LITTLE);
  const computesToc = words.uint16(2) === 0x3c4c && words.uint16(6) === 0x3842;
  return computesToc ? 8n : 0n;
}

const general = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);

export const ppc64le: Variant = {
  name: 'ppc64le',
  cycles: ppc64leCycles,
  bits: 64,
  endian: 'little',
  elfMachine: 21,
  // R_PPC64_RELATIVE
  relativeRelocation: 22,
  // R_PPC64_ADDR64
  symbolRelocations: [38],
  pageShifts: [16, 12],
  // Unicorn 2.0.1 refuses PPC64 without BIG_ENDIAN; MSR.LE makes it little.
  engine: { arch: 'PPC', mode: ['PPC64', 'BIG_ENDIAN'] },
  note: 'MSR.HV is patched into a saved CPU state, because real mode needs it; sched_clock is a stub, because mftb ends Unicorn 2.0.1 and reads 0 from 2.1.1 on',
  registers: {
    pc: 'pc',
    sp: '1',
    fp: '1',
    link: 'lr',
    arguments: general(3, 10),
    returnValue: '3',
    all: ['pc', 'msr', 'lr', 'ctr', 'xer', ...general(0, 31)],
    machineState: ['msr'],
  },
  // ELFv2: a header of 32 bytes, and room for eight parameters.
  call: { stackAlignment: 16, reservedBytes: 96, pushesReturnAddress: false, entryRegister: '12' },
  current: { kind: 'memory', base: '13', symbols: [], offset: PACA_CURRENT, member: ['paca_struct', '__current'] },
  // ELFv2: back chain, CR, the callee's return address, TOC.
  frames: backChainFrames(16, 32),
  staticBranch: staticBranchOf('little'),
  directBranch: powerpcBranches('little'),
  hasCurrentStackPointer: true,
  // Unicorn 2.0.1 reports program exceptions as interrupt 6, with the pc behind the instruction.
  bug: { kind: 'interrupt', number: 6, pcOffset: 4 },
  dump: ppc64Dump,
  debianKernel: { architecture: 'ppc64el', metaPackage: 'linux-image-powerpc64le' },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    ...(['__copy_tofrom_user', '__copy_tofrom_user_base', '__copy_tofrom_user_power7', 'copy_mc_generic'] as const).map(
      (symbol) => ({
        symbol,
        role: 'raw' as const,
        kernelPointer: 0,
        userPointer: 1,
        size: 2,
        direction: 'by address' as const,
      }),
    ),
  ],
  threadSize(kernel) {
    const pageShift = pageShiftOf(kernel);
    const usual = pageShift === 16 && kernel.config?.enabled('VMAP_STACK') ? 64n * KIB : 16n * KIB;
    return stackSizeOf(kernel, usual, pageShift);
  },
  layout,
  unpackImage: async () => null,
  bootVariables: () => [
    { symbol: 'high_memory', value: HIGH_MEMORY },
    { symbol: '__vmalloc_start', value: VMALLOC_START },
    { symbol: '__vmalloc_end', value: VMALLOC_END },
    { symbol: '__kernel_virt_start', value: VMALLOC_START },
    { symbol: 'vmemmap', value: VMEMMAP },
  ],
  prepare(engine: Engine) {
    enterRealMode(engine, REAL_MODE);
  },
  completeRegisters: completeMsr,
  boot: bootPaca,
  // Real mode ignores the upper four bits of an address.
  addressMask: 0x0fff_ffff_ffff_ffffn,
  // mftb ends the process in Unicorn 2.0.1, so that it cannot be tried at open; from 2.1.1 on it reads 0, as the stub answers.
  stubs: [{ symbol: 'sched_clock', code: instructions('little', ...clockStub64) }],
  entryOffset,
};
