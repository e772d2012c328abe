/** riscv64: kernels of 5.17 on, in pages of 4 KiB. */
import type { Engine } from '../../src/engine/engine.js';
import { UsercopyError } from '../../src/errors.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { encodeUnsigned } from '../../src/kernel/words.js';
import { instructions, threadSizeOf, uncheckedFrames } from '../common.js';
import type { ArchDriver, BootTools, BootVariable, FrameLayout, Variant } from '../driver.js';
import { unpackFlatImage } from '../flat-image.js';
import { directBranch, jumpAndLink } from './branches.js';
import { riscv64Cycles } from './cycles.js';
import { riscv64Dump } from './dump.js';
import { addressBitsOf, fixedPageOffset, KERNEL_LINK_ADDRESS, layoutOf } from './layout.js';
import { GENERAL_REGISTERS } from './registers.js';

const MIB = 1n << 20n;
const PAGE_SHIFT = 12n;

/** The image may lie at any 2 MiB boundary of RAM; an ELF may say where (vmlinux repeats the virtual address there). */
function bootVariables(kernel: Kernel, physicalBase: bigint): BootVariable[] {
  const first = kernel.segments[0];
  const told =
    first && first.physical !== null && first.physical !== first.address ? first.address - first.physical : null;
  const imageOffset = told ?? KERNEL_LINK_ADDRESS - (physicalBase + 2n * MIB);
  const pageOffset = fixedPageOffset(kernel, addressBitsOf(kernel));
  const mapping = (path: string, value: bigint): BootVariable => ({
    symbol: 'kernel_map',
    member: ['kernel_mapping', path],
    value: BigInt.asUintN(64, value),
  });
  const text = kernel.symbols.address('_start') ?? KERNEL_LINK_ADDRESS;
  return [
    mapping('page_offset', pageOffset),
    mapping('virt_addr', text),
    mapping('phys_addr', text - imageOffset),
    mapping('size', (kernel.symbols.address('_end') ?? text) - text),
    mapping('va_pa_offset', pageOffset - physicalBase),
    mapping('va_kernel_pa_offset', imageOffset),
    { symbol: 'phys_ram_base', value: physicalBase },
    // VMEMMAP_ADDR_ALIGN: a section.
    { symbol: 'vmemmap_start_pfn', value: (physicalBase & ~((1n << 27n) - 1n)) >> PAGE_SHIFT },
  ];
}

/** THREAD_SIZE_ORDER is 2, and an option of the configuration since a7555f6b62e7 "riscv: stack: Add config of thread stack size" (6.5). */
function threadSize(kernel: Kernel): bigint {
  const order = Number(kernel.config?.get('THREAD_SIZE_ORDER') ?? 2);
  return threadSizeOf(kernel, 4096n << BigInt(order >= 0 && order <= 8 ? order : 2), 2n);
}

/** Small data is reached through gp, which the first instructions of head.S set. */
function setGlobalPointer({ kernel, engine }: BootTools): void {
  if (kernel.config?.enabled('SHADOW_CALL_STACK'))
    throw new UsercopyError(
      'unsupported',
      'riscv64: expected a kernel without CONFIG_SHADOW_CALL_STACK, found one whose gp is the shadow stack',
    );
  const pointer = kernel.symbols.address('__global_pointer$');
  if (pointer !== undefined) engine.writeRegister('gp', pointer);
}

/** Frame pointers lead to the end of { caller's s0, ra } (arch/riscv/kernel/stacktrace.c). */
const FRAMES: FrameLayout = {
  kind: 'frame pointers',
  recordAt: 'top',
  savedFrame: 0,
  returnAddress: 8,
  bias: -16,
  header: 16,
};

/** FRAME_POINTER is on unless somebody switches it off. */
const framesOf = ({ config }: Kernel): FrameLayout | null =>
  config === null || config.enabled('FRAME_POINTER') ? FRAMES : null;

const instruction = (encoding: number): Uint8Array => instructions('little', encoding);

export const riscv64: Variant = {
  name: 'riscv64',
  cycles: riscv64Cycles,
  bits: 64,
  endian: 'little',
  elfMachine: 243,
  // R_RISCV_RELATIVE
  relativeRelocation: 3,
  // R_RISCV_64
  symbolRelocations: [2],
  pageShifts: [Number(PAGE_SHIFT)],
  engine: { arch: 'RISCV', mode: ['RISCV64'] },
  note: 'runs in machine mode, without page tables; no vector copies; kernels of 5.17 on',
  registers: {
    pc: 'pc',
    sp: 'sp',
    fp: 's0',
    link: 'ra',
    arguments: ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7'],
    returnValue: 'a0',
    all: ['pc', ...GENERAL_REGISTERS],
  },
  call: { stackAlignment: 16, reservedBytes: 0, pushesReturnAddress: false },
  current: { kind: 'register', register: 'tp' },
  frames: { ...uncheckedFrames(FRAMES), layout: framesOf },
  staticBranch: {
    // Since jump labels are there (ebc00dde8a97, 5.9).
    relativeEntries: () => true,
    jump: (code, target) => instruction(jumpAndLink(target - code)),
    nop: () => instruction(0x00000013),
  },
  directBranch,
  // fdecfea09328 (5.18)
  hasCurrentStackPointer: true,
  // c.ebreak and ebreak: Unicorn 2.0.1 to 2.1.4 end the run as at an invalid instruction, with the pc on it.
  bug: { kind: 'invalid instruction', encodings: [encodeUnsigned(0x9002n, 2, 'little'), instruction(0x00100073)] },
  dump: riscv64Dump,
  debianKernel: { architecture: 'riscv64', metaPackage: 'linux-image-riscv64' },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    // One routine under two names; those of the second line leave sstatus.SUM as it is: a4348546332c "riscv: make unsafe user copy
    // routines use existing assembly routines" (6.16).
    ...(
      [
        ...['__asm_copy_to_user', '__asm_copy_from_user'],
        ...['__asm_copy_to_user_sum_enabled', '__asm_copy_from_user_sum_enabled'],
      ] as const
    ).map((symbol) => ({
      symbol,
      role: 'raw' as const,
      kernelPointer: 0,
      userPointer: 1,
      size: 2,
      direction: 'by address' as const,
    })),
  ],
  threadSize,
  layout: layoutOf,
  // "RSC\x05"; the head is a section of its own before _text.
  unpackImage: async (bytes) =>
    unpackFlatImage(bytes, { magic: 0x05435352, format: 'riscv Image', firstSymbol: '_start' }),
  bootVariables,
  prepare(_engine: Engine) {},
  boot: setGlobalPointer,
};

export const riscv: ArchDriver = { linuxArch: 'riscv', variants: [riscv64] };
