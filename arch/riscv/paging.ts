/**
 * Page-table walks of riscv64: Sv39, Sv48 and Sv57, with leaves at every level and Svnapot's pages of 64 KiB (The RISC-V
 * Instruction Set Manual, volume II, "Supervisor-Level ISA").
 */

import { decodeWord, LITTLE } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

const VALID = 1n;
/** R, W and X: an entry with none of them points to the next table. */
const PERMISSIONS = 0b1110n;
const FRAME_BITS = (1n << 44n) - 1n;
const FRAME_SHIFT = 10n;
const NAPOT = 1n << 63n;
const NAPOT_BITS = 16n;
const PAGE_SHIFT = 12n;
const INDEX_BITS = 9n;

/** Physical address of a virtual one; null when it is not mapped, not canonical, or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  const bits = BigInt(tables.addressBits);
  // The bits above repeat the highest that is translated.
  if (BigInt.asUintN(64, BigInt.asIntN(tables.addressBits, address)) !== address) return null;
  let table = tables.root;
  for (let shift = bits - INDEX_BITS; shift >= PAGE_SHIFT; shift -= INDEX_BITS) {
    const index = (address >> shift) & ((1n << INDEX_BITS) - 1n);
    const bytes = read(table + index * 8n, 8);
    const entry = bytes === undefined ? 0n : decodeWord(bytes, LITTLE);
    if ((entry & VALID) === 0n) return null;
    const frame = ((entry >> FRAME_SHIFT) & FRAME_BITS) << PAGE_SHIFT;
    if ((entry & PERMISSIONS) !== 0n) {
      const size = 1n << ((entry & NAPOT) !== 0n && shift === PAGE_SHIFT ? NAPOT_BITS : shift);
      return { physical: (frame & ~(size - 1n)) | (address & (size - 1n)), size };
    }
    table = frame;
  }
  return null;
}
