/**
 * Page-table walks of ia64 (arch/ia64/include/asm/pgtable.h, the miss handlers of kernel/ivt.S): regions 6 and 7 are memory
 * as it is, region 5 has tables of three or four levels. What translation registers map is in no table.
 */
import { decodeWord, LITTLE } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';
import { REGION_SHIFT } from './layout.js';

/** IA64_MAX_PHYS_BITS */
const PHYSICAL_BITS = 50n;
/** _PFN_MASK */
const FRAME = ((1n << PHYSICAL_BITS) - 1n) & ~0xfffn;
const PRESENT = 1n;

/** Physical address of a kernel's virtual one; null when it is a user's, not mapped, or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  const pageShift = BigInt(tables.pageShift);
  const size = 1n << pageShift;
  const region = address >> REGION_SHIFT;
  const offset = address & ((1n << REGION_SHIFT) - 1n);
  if (region >= 6n) return offset >> PHYSICAL_BITS === 0n ? { physical: offset, size } : null;
  if (region !== 5n || offset >> BigInt(tables.addressBits) !== 0n) return null;
  const indexBits = pageShift - 3n;
  let table = tables.root;
  for (let shift = BigInt(tables.addressBits) - indexBits; ; shift -= indexBits) {
    const index = (offset >> shift) & ((1n << indexBits) - 1n);
    const bytes = read(table + index * 8n, 8);
    const entry = bytes === undefined ? 0n : decodeWord(bytes, LITTLE);
    if (shift <= pageShift) {
      return (entry & PRESENT) === 0n ? null : { physical: (entry & FRAME & -size) | (offset & (size - 1n)), size };
    }
    if (entry === 0n) return null;
    table = entry & FRAME & -size;
  }
}
