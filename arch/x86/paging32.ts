/**
 * Page-table walks of i386: two levels of 4-byte entries with pages of 4 KiB and 4 MiB, or with PAE three levels of 8-byte
 * entries with pages of 4 KiB and 2 MiB (Intel SDM volume 3, 4.3 and 4.4).
 */

import { decodeUnsigned } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

/** `PageTables.format` of PAE tables; tables without it have none. */
export const PAE = 'pae';

const PRESENT = 1n;
const PAGE_SIZE_BIT = 1n << 7n;
/** Bits 12 to 51 of a PAE entry; execute-disable is above. */
const PAE_FRAME = 0x000f_ffff_ffff_f000n;

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
  return tables.format === PAE ? walkPae(read, tables.root, address) : walk(read, tables.root, address);
}

function walk(read: ReadPhysical, root: bigint, address: bigint): Translation | null {
  const directory = entry(read, root & ~0xfffn, address >> 22n, 4);
  if (directory === undefined || (directory & PRESENT) === 0n) return null;
  // PSE-36: bits 13 to 20 are bits 32 to 39 of the address.
  if ((directory & PAGE_SIZE_BIT) !== 0n) {
    return leaf((directory & 0xffc0_0000n) | (((directory >> 13n) & 0xffn) << 32n), address, 22n);
  }
  const page = entry(read, directory & 0xffff_f000n, (address >> 12n) & 1023n, 4);
  return page === undefined || (page & PRESENT) === 0n ? null : leaf(page & 0xffff_f000n, address, 12n);
}

/** The top table has four entries and is aligned to 32 bytes. */
function walkPae(read: ReadPhysical, root: bigint, address: bigint): Translation | null {
  const pointer = entry(read, root & ~31n, address >> 30n, 8);
  if (pointer === undefined || (pointer & PRESENT) === 0n) return null;
  const directory = entry(read, pointer & PAE_FRAME, (address >> 21n) & 511n, 8);
  if (directory === undefined || (directory & PRESENT) === 0n) return null;
  if ((directory & PAGE_SIZE_BIT) !== 0n) return leaf(directory & PAE_FRAME, address, 21n);
  const page = entry(read, directory & PAE_FRAME, (address >> 12n) & 511n, 8);
  return page === undefined || (page & PRESENT) === 0n ? null : leaf(page & PAE_FRAME, address, 12n);
}
