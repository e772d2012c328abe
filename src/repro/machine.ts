/** What of a machine the printed numbers depend on, as far as a report tells it. */
import type { Variant } from '../../arch/driver.js';

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

export function machineOf(arch: string | null, variant: Variant | null): Machine {
  if (variant !== null) {
    return {
      bits: variant.bits,
      pageSizes: variant.pageShifts.map((shift) => 1n << BigInt(shift)),
      knowsStackPointer: variant.hasCurrentStackPointer,
      highmem: variant.bits === 32,
    };
  }
  const narrow = arch !== null && /^(?:riscv32|mips|arc|parisc|m68k)$/.test(arch);
  return {
    bits: narrow ? 32 : 64,
    pageSizes: [12n, 13n, 14n, 16n].map((shift) => 1n << shift),
    knowsStackPointer: null,
    highmem: arch === null || narrow,
  };
}

/** Whether a page size that the machine may have divides a number. */
export const isPageMultiple = (value: bigint, machine: Machine): boolean =>
  machine.pageSizes.some((page) => value % page === 0n);
