/** Page-table walks of x86_64: 4 and 5 levels, 4 KiB, 2 MiB and 1 GiB pages (Intel SDM volume 3, 4.5). */

import { decodeWord, LITTLE } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

const PRESENT = 1n;
const PAGE_SIZE_BIT = 1n << 7n;
/** Bits 12 to 51 of an entry; memory encryption and protection keys use the ones above. */
const FRAME = 0x000f_ffff_ffff_f000n;
const LARGEST_LEAF_SHIFT = 30n;

/** Entry `index` of the table at a physical address; undefined when the dump does not have it. */
function entry(read: ReadPhysical, table: bigint, index: bigint): bigint | undefined {
  const bytes = read(table + index * 8n, 8);
  return bytes && decodeWord(bytes, LITTLE);
}

/** Physical address of a virtual one; null when it is not mapped, not canonical, or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  const bits = tables.addressBits;
  if (BigInt.asUintN(64, BigInt.asIntN(bits, address)) !== address) return null;
  let table = tables.root & FRAME;
  for (let shift = BigInt(bits - 9); ; shift -= 9n) {
    const found = entry(read, table, (address >> shift) & 511n);
    if (found === undefined || (found & PRESENT) === 0n) return null;
    if (shift === 12n || ((found & PAGE_SIZE_BIT) !== 0n && shift <= LARGEST_LEAF_SHIFT)) {
      const size = 1n << shift;
      return { physical: (found & FRAME & ~(size - 1n)) | (address & (size - 1n)), size };
    }
    if ((found & PAGE_SIZE_BIT) !== 0n) return null;
    table = found & FRAME;
  }
}
