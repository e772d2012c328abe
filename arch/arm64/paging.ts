/**
 * Page-table walks of arm64's kernel half (TTBR1): granules of 4, 16 and 64 KiB, 36 to 52 bits of address, blocks, and
 * the 52-bit physical addresses of 64 KiB tables (Arm ARM D8.3).
 */

import { decodeWord, LITTLE } from '../../src/kernel/words.js';
import type { PageTables, ReadPhysical, Translation } from '../dump.js';

const VALID = 1n;
const TABLE_OR_PAGE = 2n;

function entry(read: ReadPhysical, table: bigint, index: bigint): bigint | undefined {
  const bytes = read(table + index * 8n, 8);
  return bytes && decodeWord(bytes, LITTLE);
}

/** Output address of a descriptor, `shift` low bits cleared. */
function outputAddress(descriptor: bigint, pageShift: bigint, shift: bigint): bigint {
  let address = descriptor & 0x0000_ffff_ffff_f000n;
  // With 64 KiB pages bits 12 to 15 of a descriptor are bits 48 to 51 of the address (FEAT_LPA).
  if (pageShift === 16n) address = (address & ~0xf000n) | ((descriptor & 0xf000n) << 36n);
  return address & ~((1n << shift) - 1n);
}

/** Physical address of a kernel virtual one; null when it is not mapped, a user address, or its tables are not in the dump. */
export function translate(read: ReadPhysical, tables: PageTables, address: bigint): Translation | null {
  const pageShift = BigInt(tables.pageShift);
  const bits = BigInt(tables.addressBits);
  // Bits 56 to 63 may carry a tag; bit 55 tells the halves apart, and the bits in between repeat it.
  const upper = (1n << (56n - bits)) - 1n;
  if (((address >> bits) & upper) !== upper) return null;
  const stride = pageShift - 3n;
  const levels = (bits - pageShift + stride - 1n) / stride;
  const top = pageShift + stride * (levels - 1n);
  // 52-bit kernels on hardware with 48 keep their 48-bit table at the end of a larger one; the root already points there.
  let table = tables.root;
  for (let shift = top; ; shift -= stride) {
    const indexBits = shift === top ? bits - top : stride;
    const found = entry(read, table, (address >> shift) & ((1n << indexBits) - 1n));
    if (found === undefined || (found & VALID) === 0n) return null;
    const last = shift === pageShift;
    const leaf = (found & TABLE_OR_PAGE) === 0n;
    if (last && leaf) return null;
    if (last || leaf) {
      const size = 1n << shift;
      return { physical: outputAddress(found, pageShift, shift) | (address & (size - 1n)), size };
    }
    table = outputAddress(found, pageShift, pageShift);
  }
}
