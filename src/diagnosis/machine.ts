/** What of a machine the printed numbers depend on, as far as a report tells it. */
import type { Variant } from '../../arch/driver.js';
import type { UsercopyMessage } from '../report/report.js';

export interface Machine {
  readonly bits: 32 | 64;
  /** Bytes of a page: all that its kernels are built with. */
  readonly pageSizes: readonly bigint[];
  /** Whether its stack check knows the stack pointer (5.18 on); null where that is not known here. */
  readonly knowsStackPointer: boolean | null;
  /** Whether kernels with highmem exist. */
  readonly highmem: boolean;
}

/** More than any THREAD_SIZE, with KASAN and 64 KiB pages. */
export const LARGEST_STACK = 1n << 17n;

/** `bits` are those of a report whose architecture is no variant of this project; 64 where it does not tell them. */
export function machineOf(bits: 32 | 64 | null, variant: Variant | null): Machine {
  if (variant !== null) {
    return {
      bits: variant.bits,
      pageSizes: variant.pageShifts.map((shift) => 1n << BigInt(shift)),
      knowsStackPointer: variant.hasCurrentStackPointer,
      highmem: variant.bits === 32,
    };
  }
  return {
    bits: bits ?? 64,
    pageSizes: [12n, 13n, 14n, 16n].map((shift) => 1n << shift),
    knowsStackPointer: null,
    highmem: bits !== 64,
  };
}

/**
 * The offset that a line about a slab object prints, as what it says: 0 for none, and below 0 where the copy begins before its
 * object, which only KFENCE's objects allow, up to a page. It is unsigned: of 32 bits in SLUB, of a word in SLAB
 * (`__check_heap_object()` of mm/slub.c and mm/slab.c).
 */
export function objectOffset({ offset, regionKind }: UsercopyMessage, { bits, highmem, pageSizes }: Machine): bigint {
  if (offset === null) return 0n;
  const page = pageSizes.reduce((largest, size) => (size > largest ? size : largest), 0n);
  // A 64-bit machine with highmem is one of which the width is not known.
  const widths = regionKind === 'SLUB object' ? [32] : highmem && bits === 64 ? [64, 32] : [bits];
  for (const width of widths) {
    const signed = BigInt.asIntN(width, offset);
    if (BigInt.asUintN(width, signed) === offset && signed < 0n && signed > -page) return signed;
  }
  return offset;
}

/** Whether a page size that the machine may have divides a number. */
export const isPageMultiple = (value: bigint, machine: Machine): boolean =>
  machine.pageSizes.some((page) => value % page === 0n);
