/**
 * Page-table walks of 32-bit arm: the short-descriptor format (1 MiB sections, 16 MiB supersections, pages of 4 and
 * 64 KiB) and the long one of LPAE (Arm ARM for Armv7-A, B3.5 and B3.6).
 */

import { decodeUnsigned } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

/** `PageTables.format` of long descriptors; short ones have none. */
export const LPAE = 'lpae';

const VALID = 1n;
const TABLE_OR_PAGE = 2n;
const SUPERSECTION = 1n << 18n;
/** Bits 12 to 39 of a long descriptor. */
const LONG_FRAME = 0xff_ffff_f000n;

function entry(read: ReadPhysical, table: bigint, index: bigint, size: 4 | 8): bigint | undefined {
  const bytes = read(table + index * BigInt(size), size);
  return bytes && decodeUnsigned(bytes, 'little');
}

const leaf = (frame: bigint, address: bigint, shift: bigint): Translation => {
  const size = 1n << shift;
  return { physical: (frame & ~(size - 1n)) | (address & (size - 1n)), size };
};

/** Physical address of a virtual one; null when it is not mapped or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  if (address >> 32n !== 0n) return null;
  return tables.format === LPAE ? walkLong(read, tables.root, address) : walkShort(read, tables.root, address);
}

function walkShort(read: ReadPhysical, root: bigint, address: bigint): Translation | null {
  const first = entry(read, root & ~0x3fffn, address >> 20n, 4);
  if (first === undefined || (first & 3n) === 0n) return null;
  if ((first & TABLE_OR_PAGE) !== 0n) {
    if ((first & SUPERSECTION) === 0n) return leaf(first & 0xfff0_0000n, address, 20n);
    // Bits 20 to 23 are bits 32 to 35 of the address, bits 5 to 8 are bits 36 to 39.
    const high = (((first >> 20n) & 0xfn) << 32n) | (((first >> 5n) & 0xfn) << 36n);
    return leaf((first & 0xff00_0000n) | high, address, 24n);
  }
  const second = entry(read, first & 0xffff_fc00n, (address >> 12n) & 0xffn, 4);
  if (second === undefined || (second & 3n) === 0n) return null;
  return (second & TABLE_OR_PAGE) !== 0n
    ? leaf(second & 0xffff_f000n, address, 12n)
    : leaf(second & 0xffff_0000n, address, 16n);
}

/** Linux's own top table has an entry for each of the four GiB, those of user space too. */
function walkLong(read: ReadPhysical, root: bigint, address: bigint): Translation | null {
  let table = root & ~31n;
  for (let shift = 30n; shift >= 12n; shift -= 9n) {
    const found = entry(read, table, (address >> shift) & 511n, 8);
    if (found === undefined || (found & VALID) === 0n) return null;
    const isLeaf = shift === 12n || (found & TABLE_OR_PAGE) === 0n;
    if (shift === 12n && (found & TABLE_OR_PAGE) === 0n) return null;
    if (isLeaf) return leaf(found & LONG_FRAME, address, shift);
    table = found & LONG_FRAME;
  }
  return null;
}
