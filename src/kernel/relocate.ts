/**
 * Relocations of position-independent kernels (arm64, s390, powerpc with CONFIG_RELOCATABLE): "base + addend", which boot
 * code applies before anything else runs. The image is taken as loaded where it was linked, so each relocated word becomes
 * its addend, or its symbol's value plus addend. In the table form RELA the words themselves may be zero; RELR keeps the
 * addends in place: nothing to do.
 */
import type { Bits, Endian } from './kernel.js';
import { Words } from './words.js';

/** A RELA table in raw memory: byte offset and number of entries. */
export interface RelaTable {
  readonly at: number;
  readonly count: number;
  /** Byte offset of the symbol table that entries refer to; without one only relative entries are applied. */
  readonly symbols?: number;
}

/** ELF types of the relocations that are applied. */
export interface RelocationTypes {
  readonly relativeRelocation: number;
  readonly symbolRelocations?: readonly number[];
}

/** Fewest entries that are taken for a table, when nothing but their pattern tells. */
const FEWEST_ENTRIES = 16;

/** The longest run of RELA entries of the type `relative` in an image without headers; null when there is none. */
export function findRelaTable(bytes: Uint8Array, bits: Bits, endian: Endian, relative: number): RelaTable | null {
  const words = new RelaReader(bytes, bits, endian);
  let best: RelaTable | null = null;
  // Every entry spans three words, so a table is noticed by looking at one place in each FEWEST_ENTRIES of them.
  const stride = words.entrySize * (FEWEST_ENTRIES - 1);
  for (let probe = 0; probe + stride <= bytes.length; probe += stride) {
    for (let at = probe; at < probe + words.entrySize; at += words.wordBytes) {
      if (!words.isEntry(at, relative)) continue;
      let first = at;
      while (words.isEntry(first - words.entrySize, relative)) first -= words.entrySize;
      let end = at;
      while (words.isEntry(end, relative)) end += words.entrySize;
      const count = (end - first) / words.entrySize;
      if (count >= FEWEST_ENTRIES && count > (best?.count ?? 0)) best = { at: first, count };
      if (end > probe + stride && count >= FEWEST_ENTRIES) probe = Math.floor(end / stride) * stride - stride;
      break;
    }
  }
  return best;
}

/** Every entry's address and addend, as long as `visit` answers true. */
export function forEachRela(
  bytes: Uint8Array,
  table: RelaTable,
  bits: Bits,
  endian: Endian,
  visit: (address: bigint, addend: bigint) => boolean,
): void {
  const words = new RelaReader(bytes, bits, endian);
  for (let entry = 0; entry < table.count; entry++) {
    const at = table.at + entry * words.entrySize;
    if (!visit(words.word(at), words.word(at + 2 * words.wordBytes))) return;
  }
}

/**
 * Applies a RELA table: writes each value at its address.
 * @param target memory to write to, whose first byte is at `address`; words outside are passed over
 * @returns how many words were written
 */
export function applyRela(
  source: Uint8Array,
  table: RelaTable,
  types: RelocationTypes,
  target: Uint8Array,
  address: bigint,
  bits: Bits,
  endian: Endian,
): number {
  const words = new RelaReader(source, bits, endian);
  const memory = new RelaReader(target, bits, endian);
  const last = BigInt(target.length - words.wordBytes);
  let written = 0;
  for (let entry = 0; entry < table.count; entry++) {
    const at = table.at + entry * words.entrySize;
    const isRelative = words.hasType(at, types.relativeRelocation);
    const to = words.word(at) - address;
    if (to < 0n || to > last) continue;
    if (isRelative) memory.copyWord(Number(to), words, at + 2 * words.wordBytes);
    else {
      const symbol = words.symbol(at, types.symbolRelocations ?? []);
      const value =
        symbol === null || table.symbols === undefined ? undefined : words.symbolValue(table.symbols, symbol);
      if (value === undefined) continue;
      memory.setWord(Number(to), value + words.word(at + 2 * words.wordBytes));
    }
    written++;
  }
  return written;
}

class RelaReader extends Words {
  readonly entrySize: number;

  constructor(bytes: Uint8Array, bits: Bits, endian: Endian) {
    super(bytes, { bits, endian });
    this.entrySize = this.wordBytes * 3;
  }

  /** Whether r_info names no symbol and the type `relative`. */
  hasType(at: number, relative: number): boolean {
    const info = at + this.wordBytes;
    return this.lowHalf(info) === relative && this.highHalf(info) === 0;
  }

  /** The same, and an aligned target that is not null: data that only looks like an entry is rare then. */
  isEntry(at: number, relative: number): boolean {
    if (at < 0 || at + this.entrySize > this.bytes.length || !this.hasType(at, relative)) return false;
    const low = this.lowHalf(at);
    return low !== 0 && low % 4 === 0;
  }

  /** Index of the symbol that an entry of one of the types names; null for other entries. */
  symbol(at: number, types: readonly number[]): number | null {
    const info = this.lowHalf(at + this.wordBytes);
    const type = this.bits === 32 ? info & 0xff : info;
    if (!types.includes(type)) return null;
    return this.bits === 32 ? info >>> 8 : this.highHalf(at + this.wordBytes);
  }

  symbolValue(table: number, symbol: number): bigint | undefined {
    const at = table + symbol * (this.bits === 64 ? 24 : 16) + this.wordBytes;
    return at + this.wordBytes > this.bytes.length ? undefined : this.word(at);
  }

  copyWord(to: number, from: RelaReader, at: number): void {
    for (let i = 0; i < this.wordBytes; i += 4) this.setUint32(to + i, from.uint32(at + i));
  }
}
