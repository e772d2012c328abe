/** s390x: 64-bit z/Architecture. */
import { badInput, hex } from '../../src/errors.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { BIG, decodeUnsigned, Words } from '../../src/kernel/words.js';
import { hasVmemmap, pageValidityOf, prologueOf, readWord, threadSizeOf } from '../common.js';
import type { ArchDriver, BootVariable, FrameLayout, MemoryLayout, Variant } from '../driver.js';
import { s390xCycles } from './cycles.js';
import { s390xDump } from './dump.js';
import { unpackS390Image } from './image.js';
import { enterPrimarySpace, preparedRegisters } from './translation.js';

const KIB = 1024n;
const GIB = 1n << 30n;

/**
 * Where setup_kernel_memory_layout() (arch/s390/boot/startup.c, 6.1) puts things on a machine of a few GiB: three levels
 * of tables, 4 TiB of addresses.
 */
const MODULES_END = (1n << 42n) - (1n << 20n);
const MODULES_START = MODULES_END - 2n * GIB;
const VMALLOC_START = MODULES_START - 512n * GIB;
const VMEMMAP = 3n << 40n;

/**
 * `vm_layout` (6.10 on, arch/s390/include/asm/page.h): by how much boot code moved the image, where it put it in memory, and where
 * memory is mapped. All zero before booting; older kernels have none.
 * @throws UsercopyError `bad-input` where a dump lacks it: nothing else says where that kernel's memory is mapped.
 */
function placesOf(kernel: Kernel): { moved: bigint; placed: bigint; identity: bigint } {
  const address = kernel.symbols.address('vm_layout');
  if (address === undefined) return { moved: 0n, placed: 0n, identity: 0n };
  const bytes = kernel.read(address, 24);
  if (bytes === undefined) throw badInput('s390x', `vm_layout in memory at ${hex(address)}`, 'no bytes there');
  const words = new Words(bytes, BIG);
  return { moved: words.uint64(0), placed: words.uint64(8), identity: words.uint64(16) };
}

function layout(kernel: Kernel): MemoryLayout {
  const { moved, placed, identity } = placesOf(kernel);
  const imageOffset = BigInt.asUintN(64, moved - placed);
  // __pa_nodebug(): what lies below the image is memory as it is mapped.
  const image = { virtual: moved, size: (1n << 64n) - 4096n - moved, physical: placed };
  const vmallocEnd = readWord(kernel, 'VMALLOC_END', 8) || MODULES_START;
  return {
    pageShift: 12,
    pageOffset: identity,
    linearMaps: moved === 0n ? [image] : [{ virtual: identity, size: moved - identity, physical: 0n }, image],
    vmallocStart: readWord(kernel, 'VMALLOC_START', 8) || VMALLOC_START,
    vmallocEnd,
    modulesStart: readWord(kernel, 'MODULES_VADDR', 8) || vmallocEnd,
    modulesEnd: readWord(kernel, 'MODULES_END', 8) || vmallocEnd + 2n * GIB,
    vmemmap: hasVmemmap(kernel) ? readWord(kernel, 'vmemmap', 8) || VMEMMAP : null,
    pageValidity: pageValidityOf(kernel, {
      kind: 'sparsemem',
      sectionSizeBits: 28,
      physicalAddressBits: Number(kernel.config?.get('MAX_PHYSMEM_BITS') ?? 46),
    }),
    kmap: [],
    // TASK_SIZE_MAX: user and kernel space are apart, every address may be a user's.
    taskSize: (1n << 64n) - 4096n,
    imageOffset,
  };
}

/** brcl <mask>,<target>: distances in halfwords. */
function branchRelative(opcode: number, distance: bigint): Uint8Array {
  const words = new Words(new Uint8Array(6), BIG);
  words.setUint16(0, opcode);
  words.setUint32(2, Number(BigInt.asUintN(32, distance >> 1n)));
  return words.bytes;
}

/**
 * -mbackchain: the caller's stack pointer is stored at the bottom of a frame, the callee's return address in the register
 * save area above it (ELF ABI s390x supplement).
 */
const BACK_CHAIN = {
  kind: 'back chain',
  recordAt: 'bottom',
  savedFrame: 0,
  returnAddress: 112,
  bias: 0,
  header: 160,
} as const satisfies FrameLayout;
/**
 * With -mpacked-stack, as kernels are built, the save area ends in the back chain, at 152; the 72 bytes below the area are
 * the callee's (`struct stack_frame`, arch/s390/include/asm/stacktrace.h).
 */
const PACKED = {
  ...BACK_CHAIN,
  savedFrame: 80,
  returnAddress: 64,
  bias: 72,
  header: 88,
} as const satisfies FrameLayout;

const PROLOGUE_BYTES = 64;

/** stg %r…,<displacement>(%r15), as far as the register: e3 .0 f. .. .. 24 */
const storesOnStack = (code: Uint8Array, displacement: number): boolean => {
  const words = new Words(code, BIG);
  for (let at = 0; at + 6 <= code.length; at += 2) {
    if ((words.uint16(at) & 0xff0f) !== 0xe300 || words.uint8(at + 5) !== 0x24) continue;
    if (words.uint16(at + 2) === (0xf000 | displacement) && words.uint8(at + 4) === 0) return true;
  }
  return false;
};

/** The check's own prologue tells; a kernel without a check is taken to be built as all are. */
function frameLayout(kernel: Kernel): FrameLayout | null {
  const code = prologueOf(kernel, PROLOGUE_BYTES);
  if (code === null || storesOnStack(code, 152)) return PACKED;
  return storesOnStack(code, 0) ? BACK_CHAIN : null;
}

const general = (count: number): string[] => Array.from({ length: count }, (_, index) => `r${index}`);

export const s390x: Variant = {
  name: 's390x',
  cycles: s390xCycles,
  bits: 64,
  endian: 'big',
  elfMachine: 22,
  // R_390_RELATIVE
  relativeRelocation: 12,
  // R_390_64, R_390_GLOB_DAT
  symbolRelocations: [22, 10],
  pageShifts: [12],
  engine: { arch: 'S390X', mode: ['BIG_ENDIAN'] },
  note: 'copies are mvcos between two spaces',
  registers: {
    pc: 'pc',
    sp: 'r15',
    fp: 'r15',
    link: 'r14',
    arguments: ['r2', 'r3', 'r4', 'r5', 'r6'],
    returnValue: 'r2',
    all: ['pswm', 'pc', ...general(16)],
  },
  // STACK_FRAME_OVERHEAD: callees save registers in their caller's frame.
  call: { stackAlignment: 8, reservedBytes: 160, pushesReturnAddress: false },
  // struct lowcore lies at address 0; 0x340 in 5.10 to 6.12.
  current: { kind: 'memory', base: null, symbols: [], offset: 0x340n, member: ['lowcore', 'current_task'] },
  frames: { linked: true, layout: frameLayout, checkedByKernel: () => false },
  staticBranch: {
    // 13ddb52c165b (4.20)
    relativeEntries: ({ version }) => atLeast(version, 4, 20),
    jump: (code, target) => branchRelative(0xc0f4, target - code),
    nop: () => branchRelative(0xc004, 0n),
  },
  directBranch: {
    step: 2,
    // brasl and brcl.
    target(code, at, address) {
      const [first, second = 0] = code.subarray(at, at + 2);
      if (at + 6 > code.length || first !== 0xc0 || ![4, 5].includes(second & 15)) return null;
      return address + BigInt(at) + 2n * BigInt.asIntN(32, decodeUnsigned(code.subarray(at + 2, at + 6), 'big'));
    },
  },
  hasCurrentStackPointer: true,
  // The kernel has an address space of its own, which begins at 0.
  hasLowAddresses: true,
  // Unicorn 2.0.1 reports every program exception, a monitor call's among them, as interrupt 3; mc 0,0.
  bug: { kind: 'interrupt', number: 3, encodings: [Uint8Array.of(0xaf, 0, 0, 0)] },
  dump: s390xDump,
  debianKernel: { architecture: 's390x', metaPackage: 'linux-image-s390x' },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: 'raw_copy_to_user', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: 'raw_copy_from_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: '_copy_to_user_key', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user_key', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
  ],
  threadSize: (kernel) => threadSizeOf(kernel, 16n * KIB, 4n),
  layout,
  unpackImage: unpackS390Image,
  bootVariables: (): BootVariable[] => [
    { symbol: 'VMALLOC_START', value: VMALLOC_START },
    { symbol: 'VMALLOC_END', value: MODULES_START },
    { symbol: 'MODULES_VADDR', value: MODULES_START },
    { symbol: 'MODULES_END', value: MODULES_END },
    { symbol: 'vmemmap', value: VMEMMAP },
  ],
  prepare: enterPrimarySpace,
  preparedRegisters,
};

export const s390: ArchDriver = { linuxArch: 's390', variants: [s390x] };
