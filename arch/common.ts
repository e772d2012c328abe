/** What several drivers say in the same words. */
import type { Endian, Kernel } from '../src/kernel/kernel.js';
import { atLeast } from '../src/kernel/version.js';
import { decodeUnsigned, encodeUnsigned } from '../src/kernel/words.js';
import type { DirectBranch, FrameConvention, FrameLayout, MemoryLayout, PageValidity } from './driver.js';

/** Value of a kernel variable of `size` bytes; undefined when the symbol or its bytes are not there. */
export function readWord(kernel: Kernel, symbol: string, size: 1 | 4 | 8): bigint | undefined {
  const address = kernel.symbols.address(symbol);
  const bytes = address === undefined ? undefined : kernel.read(address, size);
  return bytes && decodeUnsigned(bytes, kernel.endian);
}

/**
 * THREAD_SIZE in bytes: the distance that the linker script keeps for the first task's stack (0500871f21b2, 4.16);
 * where those symbols are not in the image, `usual`, times `kasanFactor` under KASAN.
 */
export function threadSizeOf(kernel: Kernel, usual: bigint, kasanFactor: bigint): bigint {
  const start = kernel.symbols.address('__start_init_task');
  const end = kernel.symbols.address('__end_init_task');
  if (start !== undefined && end !== undefined && end > start) {
    const size = end - start;
    if (size >= 4096n && size <= 1n << 20n && (size & (size - 1n)) === 0n) return size;
  }
  return kernel.config?.enabled('KASAN') ? usual * kasanFactor : usual;
}

/** Bytes of a struct page, and STRUCT_PAGE_MAX_SHIFT: of 64 where the types are not known. */
export function structPageOf({ types }: Kernel): { readonly size: bigint; readonly shift: bigint } {
  const size = BigInt(types?.hasStruct('page') ? types.struct('page').size : 64);
  return { size, shift: BigInt((size - 1n).toString(2).length) };
}

/** A kernel with one `mem_map` is FLATMEM, whatever is usual on its architecture. */
export function pageValidityOf(kernel: Kernel, usual: PageValidity): PageValidity {
  const { symbols } = kernel;
  return symbols.address('mem_section') === undefined && symbols.address('mem_map') !== undefined
    ? { kind: 'flatmem' }
    : usual;
}

/**
 * Slots of kmap_local_page(), which count downwards from `top` (FIXADDR_TOP): is_kmap_addr() knows them since f3837ab7adbc (6.3). None
 * where the kernel's types do not tell.
 */
export function localKmapSlots({ types, version }: Kernel, top: bigint, pageBytes: bigint): MemoryLayout['kmap'] {
  const first = types?.enumerator('FIX_KMAP_BEGIN');
  const last = types?.enumerator('FIX_KMAP_END');
  if (!atLeast(version, 6, 3) || first === undefined || last === undefined) return [];
  return [{ start: top - last * pageBytes, end: top - first * pageBytes }];
}

/**
 * Whether struct pages lie in a vmemmap: neither in FLATMEM nor in classic SPARSEMEM, where they are found through sections, which the
 * configuration alone tells. `mem_map` alone does not tell of FLATMEM: kernels without NUMA all have it.
 */
export function hasVmemmap({ config, symbols }: Kernel): boolean {
  if (config?.enabled('SPARSEMEM')) return config.enabled('SPARSEMEM_VMEMMAP');
  return symbols.address('mem_section') !== undefined || symbols.address('mem_map') === undefined;
}

/** First bytes of the check itself: every function with a frame begins alike. Null where the kernel has no check. */
export function prologueOf(kernel: Kernel, length: number): Uint8Array | null {
  const check = kernel.symbols.address('__check_object_size');
  const code = check === undefined ? undefined : kernel.read(check, length);
  return code ?? null;
}

/** Frames of an ABI that links all of them alike, and of which mainline's arch_within_stack_frames() knows nothing. */
export const uncheckedFrames = (layout: FrameLayout): FrameConvention => ({
  linked: true,
  layout: () => layout,
  checkedByKernel: () => false,
});

/** Frames of an ABI without a chain. */
export const unlinkedFrames: FrameConvention = { linked: false, layout: () => null, checkedByKernel: () => false };

/** The bytes of instructions of 32 bits each. */
export function instructions(endian: Endian, ...encodings: number[]): Uint8Array {
  const bytes = encodings.map((encoding) => encodeUnsigned(BigInt(encoding >>> 0), 4, endian));
  return Uint8Array.from(bytes.flatMap((word) => [...word]));
}

/** A branch of 32 bits: which bits tell it, which hold the distance, and how that counts. */
export interface WordBranch {
  readonly mask: number;
  readonly value: number;
  /** Lowest and first unused bit of the distance. */
  readonly distance: readonly [number, number];
  /** Bytes for each unit of it. */
  readonly unit: bigint;
  /** Bytes from the instruction to where the distance counts from. */
  readonly from: bigint;
}

/** Direct branches of an architecture whose instructions are words. */
export const wordBranches = (endian: Endian, { mask, value, distance, unit, from }: WordBranch): DirectBranch => ({
  step: 4,
  target(code, at, address) {
    if (at + 4 > code.length) return null;
    const word = decodeUnsigned(code.subarray(at, at + 4), endian);
    if ((word & BigInt(mask)) !== BigInt(value)) return null;
    const bits = distance[1] - distance[0];
    return address + BigInt(at) + from + BigInt.asIntN(bits, word >> BigInt(distance[0])) * unit;
  },
});

/** b and bl of powerpc (I-form), relative. */
export const powerpcBranches = (endian: Endian): DirectBranch =>
  wordBranches(endian, { mask: 0xfc000002, value: 0x48000000, distance: [2, 26], unit: 4n, from: 0n });
