/**
 * Page-table walks of Book3S-64. With the radix MMU the tables are the processor's (Power ISA 3.0, book III, 5.7.10). With
 * the hash MMU they are Linux's own, which have vmalloc's pages and not the linear map
 * (arch/powerpc/include/asm/book3s/64/hash.h). Entries are big endian either way.
 */

import { BIG, decodeWord } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

/** `PageTables.format` */
export const RADIX = 'radix';
export const HASH = 'hash';

const VALID = 1n << 63n;
const LEAF = 1n << 62n;
const FRAME = 0x01ff_ffff_ffff_f000n;
const NEXT_TABLE = 0x0fff_ffff_ffff_ff00n;
const NEXT_SIZE = 0x1fn;
const KERNEL_REGION = 0xcn;
const RADIX_TOP_BITS = 13n;
const RADIX_LEVELS = 4;
/** H_KERN_VIRT_START: below it an address is a physical one with 0xc before it. */
const HASH_VIRTUAL_START = { 16: 0xc008_0000_0000_0000n, 12: 0xc000_3d00_0000_0000n } as const;
/** H_PGD_INDEX_SIZE and the sizes below it, by page shift. */
const HASH_INDEX_BITS = { 16: [8n, 10n, 10n, 8n], 12: [9n, 9n, 7n, 9n] } as const;
const LINEAR_PAGE = 1n << 24n;

function entry(read: ReadPhysical, table: bigint, index: bigint): bigint | undefined {
  const bytes = read(table + index * 8n, 8);
  const found = bytes && decodeWord(bytes, BIG);
  return found === undefined || (found & VALID) === 0n ? undefined : found;
}

const leaf = (found: bigint, address: bigint, shift: bigint): Translation => {
  const size = 1n << shift;
  return { physical: (found & FRAME & ~(size - 1n)) | (address & (size - 1n)), size };
};

/** Physical address of a kernel virtual one; null when it is not mapped or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  if (address >> 60n !== KERNEL_REGION) return null;
  return tables.format === HASH ? walkHash(read, tables, address) : walkRadix(read, tables, address);
}

function walkRadix(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  let table = tables.root;
  let shift = BigInt(tables.addressBits);
  let bits = RADIX_TOP_BITS;
  if ((address & ((1n << 60n) - 1n)) >> shift !== 0n) return null;
  for (let level = 0; level < RADIX_LEVELS; level++) {
    shift -= bits;
    if (shift < 12n) return null;
    const found = entry(read, table, (address >> shift) & ((1n << bits) - 1n));
    if (found === undefined) return null;
    if ((found & LEAF) !== 0n) return leaf(found, address, shift);
    table = found & NEXT_TABLE;
    bits = found & NEXT_SIZE;
    if (bits === 0n) return null;
  }
  return null;
}

function walkHash(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  const pageShift = tables.pageShift === 12 ? 12 : 16;
  if (address < HASH_VIRTUAL_START[pageShift]) {
    const within = address & (LINEAR_PAGE - 1n);
    return { physical: (address & 0x0fff_ffff_ffff_ffffn & ~(LINEAR_PAGE - 1n)) | within, size: LINEAR_PAGE };
  }
  let table = tables.root;
  let shift = BigInt(tables.addressBits);
  for (const bits of HASH_INDEX_BITS[pageShift]) {
    shift -= bits;
    const found = entry(read, table, (address >> shift) & ((1n << bits) - 1n));
    if (found === undefined) return null;
    if ((found & LEAF) !== 0n) return leaf(found, address, shift);
    table = found & NEXT_TABLE;
  }
  return null;
}
