/** Where an arm64 kernel's memory lies. */
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { hasVmemmap, pageValidityOf, readWord, structPageOf } from '../common.js';
import type { MemoryLayout } from '../driver.js';

const KIB = 1024n;
const MIB = 1n << 20n;
const GIB = 1n << 30n;

/**
 * VA_BITS_MIN of a kernel that is built for 52 bits: hardware that has 48 must be able to run it, or 47 where pages of
 * 16 KiB make that the next size (arch/arm64/include/asm/memory.h).
 */
export const largestMinimumBits = (pageShift: number): number => (pageShift === 14 ? 47 : 48);

/** log2 of the page size. */
export function pageShiftOf(kernel: Kernel): number {
  if (kernel.config?.enabled('ARM64_64K_PAGES')) return 16;
  if (kernel.config?.enabled('ARM64_16K_PAGES')) return 14;
  return 12;
}

/**
 * VA_BITS_MIN, from where the image lies: the upper half of the kernel's addresses begins at -(1 << (VA_BITS_MIN - 1))
 * and holds modules, image and vmalloc in its first gigabytes (since 14c127c957c1, 5.4). KASLR moves the image far up, so
 * the configuration is asked first.
 */
export function addressBitsOf(kernel: Kernel): number {
  const configured = kernel.config?.get('ARM64_VA_BITS');
  if (configured !== undefined) return Math.min(Number(configured), largestMinimumBits(pageShiftOf(kernel)));
  const text = kernel.symbols.address('_text') ?? kernel.symbols.address('_stext') ?? kernel.segments[0]?.address;
  return text === undefined ? 48 : (~text & 0xffffffffffffffffn).toString(2).length + 1;
}

/**
 * VA_BITS where no configuration tells: a kernel for 52 bits on hardware that has fewer lowers memstart_addr by the distance of the
 * two linear maps (arm64_memblock_init()), further than any random shift of a map of `bits` goes.
 */
function builtForBits(kernel: Kernel, bits: number): number {
  const start = BigInt.asIntN(64, readWord(kernel, 'memstart_addr', 8) ?? 0n);
  return start < -(1n << BigInt(bits)) ? 52 : bits;
}

/**
 * Addresses of the kernel's half, as arch/arm64/include/asm/{memory,pgtable}.h of the version compute them. `actualBits`: of the tables that the
 * hardware was given, where they are known: no more than those that the kernel was built for.
 */
export function layout(kernel: Kernel, actualBits?: number): MemoryLayout {
  const pageShift = pageShiftOf(kernel);
  const minimumBits = addressBitsOf(kernel);
  const atLeastBits = Math.max(minimumBits, actualBits ?? 0);
  const configuredBits = Number(kernel.config?.get('ARM64_VA_BITS') ?? builtForBits(kernel, atLeastBits));
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
    // A variable before 9684ec186f8f (6.9).
    const bits = actualBits ?? Number(readWord(kernel, 'vabits_actual', 8) ?? minimumBits);
    if (configuredBits > minimumBits && bits < configuredBits) {
      const unusedPages = (word(-(1n << BigInt(bits))) - pageOffset) >> BigInt(pageShift);
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
