import type { Engine } from '../../src/engine/engine.js';
import { atLeast } from '../../src/kernel/version.js';
import { instructions, threadSizeOf, wordBranches } from '../common.js';
import type { ArchDriver, MachineState, Variant } from '../driver.js';
import { unpackFlatImage } from '../flat-image.js';
import { arm64Cycles } from './cycles.js';
import { arm64Dump } from './dump.js';
import { frames } from './frames.js';
import { addressBitsOf, layout, pageShiftOf } from './layout.js';

const KIB = 1024n;
const MIB = 1n << 20n;

/** Where a few instructions run before anything else is mapped; unmapped again at once. */
const SCRATCH = 0x10000n;

/**
 * Kernels of 6.9 on compute `vabits_actual` from TCR_EL1.T1SZ (9684ec186f8f), which is 0 in a fresh emulator: 64 bits.
 * Unicorn 2.0.1 has no name for the register, so the guest writes it: as many bits on both sides as the hardware has for
 * which the kernel is laid out, or as the tables of a dump have.
 */
function setAddressBits(engine: Engine, { kernel, addressBits }: MachineState): void {
  const unusedBits = BigInt(64 - (addressBits ?? addressBitsOf(kernel)));
  engine.map(SCRATCH, 4096n, 'rwx');
  // msr tcr_el1, x0
  engine.write(SCRATCH, instruction(0xd5182040));
  engine.writeRegister('x0', (unusedBits << 16n) | unusedBits);
  engine.runSync({ start: SCRATCH, until: SCRATCH + 4n });
  engine.unmap(SCRATCH, 4096n);
}

const instruction = (encoding: number): Uint8Array => instructions('little', encoding);

export const variant: Variant = {
  name: 'arm64',
  cycles: arm64Cycles,
  bits: 64,
  endian: 'little',
  elfMachine: 183,
  relativeRelocation: 0x403,
  pageShifts: [12, 14, 16],
  // Kernels that ran on hardware of 8.1 and later have its atomic instructions in place of loops (LSE): Unicorn's default, a Cortex-A57, has none.
  engine: { arch: 'ARM64', mode: ['ARM'], cpu: 'ARM64_MAX' },
  dumperName: 'arm64le',
  note: "KASAN's pointer tags are not read",
  registers: {
    pc: 'pc',
    sp: 'sp',
    fp: 'x29',
    link: 'x30',
    arguments: ['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7'],
    returnValue: 'x0',
    all: ['pc', 'sp', ...Array.from({ length: 31 }, (_, index) => `x${index}`)],
  },
  call: { stackAlignment: 16, reservedBytes: 0, pushesReturnAddress: false },
  // ARM64_PTR_AUTH_KERNEL: what signs a saved address stands in the bits that all addresses of the kernel's half have set; bit 55 tells the half.
  savedAddress: (address, kernel) =>
    (address & (1n << 55n)) === 0n ? address : BigInt.asUintN(64, address | -(1n << BigInt(addressBitsOf(kernel)))),
  current: { kind: 'register', register: 'sp_el0' },
  frames,
  staticBranch: {
    // c296146c058c (4.20)
    relativeEntries: (kernel) => atLeast(kernel.version, 4, 20),
    // b <target>
    jump: (code, target) => instruction(0x14000000 | Number(BigInt.asUintN(26, (target - code) >> 2n))),
    nop: () => instruction(0xd503201f),
  },
  // b and bl.
  directBranch: wordBranches('little', {
    mask: 0x7c000000,
    value: 0x14000000,
    distance: [0, 26],
    unit: 4n,
    from: 0n,
  }),
  hasCurrentStackPointer: true,
  // Unicorn 2.0.1 reports brk as interrupt 7.
  bug: { kind: 'interrupt', number: 7 },
  dump: arm64Dump,
  debianKernel: { architecture: 'arm64', metaPackage: 'linux-image-cloud-arm64' },
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: '__arch_copy_to_user', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '__arch_copy_from_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
  ],
  threadSize(kernel) {
    // VMAP_STACK needs whole pages: 64 KiB pages make 64 KiB stacks.
    const usual = pageShiftOf(kernel) === 16 && kernel.config?.enabled('VMAP_STACK') ? 64n * KIB : 16n * KIB;
    return threadSizeOf(kernel, usual, 2n);
  },
  layout,
  // "ARM\x64"
  unpackImage: async (bytes) => unpackFlatImage(bytes, { magic: 0x644d5241, format: 'arm64 Image' }),
  bootVariables(kernel, physicalBase) {
    const text = kernel.symbols.address('_text') ?? kernel.segments[0]?.address ?? 0n;
    const first = kernel.segments[0];
    // An Image may lie at any 2 MiB boundary of RAM; an ELF may say where (vmlinux repeats the virtual address there).
    const physical =
      first && first.physical !== null && first.physical !== first.address
        ? first.physical + (text - first.address)
        : physicalBase + 2n * MIB;
    return [
      { symbol: 'memstart_addr', value: physicalBase },
      { symbol: 'kimage_voffset', value: BigInt.asUintN(64, text - physical) },
      { symbol: 'vabits_actual', value: BigInt(addressBitsOf(kernel)) },
    ];
  },
  prepare: setAddressBits,
  unsavedState: 'TCR_EL1',
};

export const arm64: ArchDriver = { linuxArch: 'arm64', variants: [variant] };
