/**
 * Dynamic address translation of z/Architecture: region, segment and page tables, pages of 4 KiB, 1 MiB and 2 GiB
 * (Principles of Operation, chapter 3; arch/s390/include/asm/pgtable.h).
 */

import { BIG, decodeWord } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

const PAGE_SHIFT = 12n;
const SEGMENT_SHIFT = 20n;
const REGION_THIRD_SHIFT = 31n;
/** Regions and segments: invalid, and "this entry maps memory itself" (format control). */
const INVALID = 0x20n;
const FORMAT_CONTROL = 0x400n;
const PAGE_INVALID = 0x400n;

function entry(read: ReadPhysical, address: bigint): bigint | undefined {
  const bytes = read(address, 8);
  return bytes && decodeWord(bytes, BIG);
}

/** Real address of a virtual one; null when it is not mapped or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  if (address >> BigInt(tables.addressBits) !== 0n) return null;
  let table = tables.root;
  // The highest table covers addressBits, and each region or segment table 11 bits.
  for (let shift = BigInt(tables.addressBits) - 11n; shift >= SEGMENT_SHIFT; shift -= 11n) {
    const index = (address >> shift) & 0x7ffn;
    const found = entry(read, table + index * 8n);
    if (found === undefined || (found & INVALID) !== 0n) return null;
    if (shift <= REGION_THIRD_SHIFT && (found & FORMAT_CONTROL) !== 0n) return leaf(found, address, shift);
    table = found & (shift === SEGMENT_SHIFT ? ~0x7ffn : ~0xfffn);
  }
  const found = entry(read, table + ((address >> PAGE_SHIFT) & 0xffn) * 8n);
  if (found === undefined || (found & PAGE_INVALID) !== 0n) return null;
  return leaf(found, address, PAGE_SHIFT);
}

function leaf(found: bigint, address: bigint, shift: bigint): Translation {
  const size = 1n << shift;
  return { physical: (found & ~(size - 1n)) | (address & (size - 1n)), size };
}
