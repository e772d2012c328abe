import type { Engine } from '../../src/engine/engine.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import {
  hasVmemmap,
  instructions,
  pageValidityOf,
  readWord,
  structPageOf,
  threadSizeOf,
  uncheckedFrames,
  wordBranches,
} from '../common.js';
import type { ArchDriver, MachineState, MemoryLayout, Variant } from '../driver.js';
import { unpackFlatImage } from '../flat-image.js';
import { arm64Cycles } from './cycles.js';
import { arm64Dump, largestMinimumBits } from './dump.js';

const KIB = 1024n;
const MIB = 1n << 20n;
const GIB = 1n << 30n;

function pageShiftOf(kernel: Kernel): number {
  if (kernel.config?.enabled('ARM64_64K_PAGES')) return 16;
  if (kernel.config?.enabled('ARM64_16K_PAGES')) return 14;
  return 12;
}

/**
 * VA_BITS_MIN, from where the image lies: the upper half of the kernel's addresses begins at -(1 << (VA_BITS_MIN - 1))
 * and holds modules, image and vmalloc in its first gigabytes (since 14c127c957c1, 5.4). KASLR moves the image far up, so
 * the configuration is asked first.
 */
function addressBitsOf(kernel: Kernel): number {
  const configured = kernel.config?.get('ARM64_VA_BITS');
  if (configured !== undefined) return Math.min(Number(configured), largestMinimumBits(pageShiftOf(kernel)));
  const text = kernel.symbols.address('_text') ?? kernel.symbols.address('_stext') ?? kernel.segments[0]?.address;
  return text === undefined ? 48 : (~text & 0xffffffffffffffffn).toString(2).length + 1;
}

/**
 * VA_BITS where no configuration tells: a kernel for 52 bits on hardware that has fewer lowers memstart_addr by the distance of the
 * two linear maps (arm64_memblock_init()), further than any random shift of a map of `minimumBits` goes.
 */
function builtForBits(kernel: Kernel, minimumBits: number): number {
  const start = BigInt.asIntN(64, readWord(kernel, 'memstart_addr', 8) ?? 0n);
  return start < -(1n << BigInt(minimumBits)) ? 52 : minimumBits;
}

/** Addresses of the kernel's half, as arch/arm64/include/asm/{memory,pgtable}.h of the version compute them. */
function layout(kernel: Kernel): MemoryLayout {
  const pageShift = pageShiftOf(kernel);
  const minimumBits = addressBitsOf(kernel);
  const configuredBits = Number(kernel.config?.get('ARM64_VA_BITS') ?? builtForBits(kernel, minimumBits));
  const word = (value: bigint): bigint => BigInt.asUintN(64, value);
  const pageOffset = word(-(1n << BigInt(configuredBits)));
  const pageEnd = word(-(1n << BigInt(minimumBits - 1)));
  const { size: structPage, shift: structPageShift } = structPageOf(kernel);

  let vmemmapStart: bigint;
  let vmallocEnd: bigint;
  if (atLeast(kernel.version, 6, 9)) {
    // 32697ff38287 and its series (6.9): the vmemmap ends a gigabyte below the top, vmalloc right under it.
    vmemmapStart = word(-GIB) - ((pageEnd - pageOffset) >> BigInt(pageShift)) * structPage;
    vmallocEnd = vmemmapStart - 8n * MIB;
    const actualBits = readWord(kernel, 'vabits_actual', 8) ?? BigInt(minimumBits);
    if (configuredBits > minimumBits && actualBits < BigInt(configuredBits)) {
      const unusedPages = (word(-(1n << actualBits)) - pageOffset) >> BigInt(pageShift);
      vmallocEnd += unusedPages * structPage;
    }
  } else {
    const vmemmapShift = BigInt(pageShift) - structPageShift;
    const vmemmapSize = (pageEnd - pageOffset) >> vmemmapShift;
    if (atLeast(kernel.version, 5, 11)) {
      // 9ad7c6d5e75b (5.11)
      vmemmapStart = word(-(1n << (BigInt(configuredBits) - vmemmapShift)));
      vmallocEnd = vmemmapStart - 256n * MIB;
    } else {
      vmemmapStart = word(-vmemmapSize - 2n * MIB);
      const pudSize = 1n << BigInt(pageShift + 2 * (pageShift - 3));
      vmallocEnd = word(-pudSize - vmemmapSize - 64n * KIB);
    }
  }
  // BPF had 128 MiB before the modules until b89ddf4cca43 (5.16); modules got 2 GiB in 6.5 (3e35d303ab7d).
  const modulesStart = atLeast(kernel.version, 5, 16) ? pageEnd : pageEnd + 128n * MIB;
  const modulesEnd = modulesStart + (atLeast(kernel.version, 6, 5) ? 2n * GIB : 128n * MIB);

  const physicalBase = readWord(kernel, 'memstart_addr', 8) ?? 0n;
  const imageOffset = readWord(kernel, 'kimage_voffset', 8) ?? modulesEnd;
  return {
    pageShift,
    pageOffset,
    linearMaps: [{ virtual: pageOffset, size: pageEnd - pageOffset, physical: physicalBase }],
    vmallocStart: modulesEnd,
    vmallocEnd,
    modulesStart,
    modulesEnd,
    vmemmap: hasVmemmap(kernel)
      ? // memstart_addr is signed, and negative with a randomised linear map.
        word(vmemmapStart - (BigInt.asIntN(64, physicalBase) >> BigInt(pageShift)) * structPage)
      : null,
    pageValidity: pageValidityOf(kernel, {
      kind: 'memblock',
      // 873ba463914c (5.14) asks memblock alone. Sections became smaller in 5.12 (f0b13ee23241).
      ...(atLeast(kernel.version, 5, 14)
        ? {}
        : {
            sections: {
              sectionSizeBits: atLeast(kernel.version, 5, 12) ? (pageShift === 16 ? 29 : 27) : 30,
              physicalAddressBits: 48,
            },
          }),
    }),
    kmap: [],
    taskSize: 1n << BigInt(configuredBits),
    imageOffset,
  };
}

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
  engine: { arch: 'ARM64', mode: ['ARM'] },
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
  current: { kind: 'register', register: 'sp_el0' },
  // AAPCS64 frame record: { caller's fp, lr }, below the frame's own bytes. All kernels keep frame pointers.
  frames: uncheckedFrames({
    kind: 'frame pointers',
    recordAt: 'bottom',
    savedFrame: 0,
    returnAddress: 8,
    bias: 0,
    header: 16,
  }),
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
