/**
 * The kernel's own compressed symbol table, found in an image that has no other (scripts/kallsyms.c writes it).
 *
 *     up to 6.3   addresses | offsets, relative_base; num_syms; names; markers; [seqs_of_names]; token_table; token_index
 *     from 6.4    num_syms; names; markers; token_table; token_index; offsets, relative_base; seqs_of_names
 *                 (404bad70fcf7 "kallsyms: change the output order")
 *     from 7.0    the same without relative_base (a081b5789255): places of 64-bit and relocatable kernels, else addresses
 *
 * Absolute addresses up to 4.5 and where no relative base was configured; relative ones from 4.6 (2213e9a66bb8); from 7.0
 * an offset counts from its own place in memory, so that the table alone does not say where the image was linked.
 * Markers are words up to 4.19 and 32 bits later (80ffbaa5b1bd). Names longer than 127 have a two-byte length from 6.1
 * (73bbb94466fd). The anchor is the token table: its 256 strings hold every character that names use, so the digits stand
 * in a row, and the index behind it proves the find.
 */
import { bytesOf, occurrences } from './bytes.js';
import { type KallsymsLayout, TableReader } from './kallsyms-reader.js';
import type { Bits, Endian } from './kernel.js';

const TOKENS = 256;
const SYMBOLS_PER_MARKER = 256;
/** More symbols than any kernel has; bounds the work on a hostile image. */
const MOST_SYMBOLS = 4_000_000;
const LONGEST_NAME = 1024;
/** Rows of digits that are looked at; kernels have one to three. */
const ATTEMPTS = 32;
/** No symbol is this far from the base, bytes; and no 32-bit kernel is linked below this address. */
const FARTHEST = 0x40000000;
/** No symbol is this far from the first byte of what holds the table, bytes; words of a 32-bit kernel look farther. */
const FARTHEST_PLACE = 0x20000000;
const DIGITS = bytesOf('0\u00001\u00002\u00003\u00004\u00005\u00006\u00007\u00008\u00009\u0000');

/** Parts of the table in the order in which they are looked for. */
const PARTS = [
  'its token table (256 strings, with the digits in a row, and their index)',
  'its names, markers and count before the token table',
  'its addresses',
] as const;

/** Looks for the table in raw memory; null when there is none. */
export const findKallsyms = (bytes: Uint8Array, bits: Bits, endian: Endian): KallsymsLayout | null => {
  const found = searchKallsyms(bytes, bits, endian);
  return typeof found === 'string' ? null : found;
};

/** The same; where there is no whole table, the part that was looked for and not found, in words. */
export function searchKallsyms(bytes: Uint8Array, bits: Bits, endian: Endian): KallsymsLayout | string {
  const image = new TableReader(bytes, bits, endian);
  let attempts = 0;
  let missing = 0;
  for (const at of occurrences(bytes, DIGITS)) {
    if (attempts++ === ATTEMPTS) break;
    const tokens = tokensAround(image, at);
    if (tokens === null) continue;
    const names = namesBefore(image, tokens.table);
    missing = Math.max(missing, names === null ? 1 : 2);
    if (names === null) continue;
    const addresses = findAddresses(image, names.countAt, names.count, tokens.index + TOKENS * 2);
    if (addresses === null) continue;
    return { count: names.count, names: names.at, tokenTable: tokens.table, tokenIndex: tokens.index, addresses };
  }
  // Its index counts the parts that were found, and all three would have been a table.
  return PARTS[missing]!;
}

/** The string table whose entry for '0' is at `zero`, proven by the index that follows it. */
function tokensAround(image: TableReader, zero: number): { table: number; index: number } | null {
  const { bytes } = image;
  let end = zero;
  for (let token = 0x30; token < TOKENS; token++) {
    end = bytes.indexOf(0, end) + 1;
    if (end === 0 || end - zero > TOKENS * 64) return null;
  }
  for (const alignment of [4, 8]) {
    const index = alignUp(end, alignment);
    if (index + TOKENS * 2 > bytes.length || image.uint16(index) !== 0) continue;
    const table = zero - image.uint16(index + 0x30 * 2);
    if (table < 0) continue;
    let right = true;
    for (let token = 1; token < TOKENS && right; token++) {
      const start = table + image.uint16(index + token * 2);
      const previous = table + image.uint16(index + token * 2 - 2);
      right = start > previous && start < end && bytes[start - 1] === 0;
    }
    if (right) return { table, index };
  }
  return null;
}

/** Markers, names and the count of symbols, backwards from the token table. */
function namesBefore(image: TableReader, tokenTable: number): { at: number; countAt: number; count: number } | null {
  for (const width of image.bits === 64 ? [4, 8] : [4]) {
    // Marker k is where symbol 256 k starts: ascending, from 0. Sequence numbers, if any, are between them and the tokens.
    const read = (at: number) => (width === 4 ? image.uint32(at) : image.wordAsNumber(at));
    const lowest = Math.max(width, tokenTable - 3 * MOST_SYMBOLS);
    let run = 0;
    for (let at = (tokenTable - width) & ~(width - 1); at >= lowest; at -= width) {
      const step = read(at) - read(at - width);
      if (step >= SYMBOLS_PER_MARKER && step <= SYMBOLS_PER_MARKER * LONGEST_NAME) run++;
      else if (run > 0 && read(at) === 0) {
        const found = namesUnder(image, at, run + 1, width, read);
        if (found !== null) return found;
        run = 0;
      } else run = 0;
    }
  }
  return null;
}

/** The names that end before the markers at `markers`, checked against every marker. */
function namesUnder(
  image: TableReader,
  markers: number,
  markerCount: number,
  width: number,
  read: (at: number) => number,
): { at: number; countAt: number; count: number } | null {
  const lastMarker = read(markers + (markerCount - 1) * width);
  const highest = markers - lastMarker;
  const lowest = Math.max(8, highest - SYMBOLS_PER_MARKER * 132);
  for (let at = highest & ~3; at >= lowest; at -= 4) {
    for (const countAt of [at - 8, at - 4]) {
      const count = image.uint32(countAt);
      if (
        count > MOST_SYMBOLS ||
        count <= (markerCount - 1) * SYMBOLS_PER_MARKER ||
        count > markerCount * SYMBOLS_PER_MARKER
      )
        continue;
      if (namesFit(image, at, count, markers, width, read)) {
        const quad = image.bits === 64 && countAt === at - 4 && image.uint32(at - 8) === 0;
        return { at, countAt: quad ? at - 8 : countAt, count };
      }
    }
  }
  return null;
}

function namesFit(
  image: TableReader,
  names: number,
  count: number,
  markers: number,
  width: number,
  read: (at: number) => number,
): boolean {
  let at = names;
  for (let symbol = 0; symbol < count; symbol++) {
    if (symbol % SYMBOLS_PER_MARKER === 0 && at - names !== read(markers + (symbol / SYMBOLS_PER_MARKER) * width))
      return false;
    const { length, start } = image.nameLength(at);
    at = start + length;
    if (length === 0 || at > markers) return false;
  }
  return markers - at < 8;
}

function findAddresses(
  image: TableReader,
  countAt: number,
  count: number,
  tokensEnd: number,
): KallsymsLayout['addresses'] | null {
  const word = image.bits / 8;
  const before = countAt - word;
  const candidates: KallsymsLayout['addresses'][] = [];
  for (const [offsets, relativeBase] of [
    [alignUp(tokensEnd, word), alignUp(alignUp(tokensEnd, word) + count * 4, word)],
    [before - alignUp(count * 4, word), before],
    // Up to 4.19 num_syms could follow without padding of its own.
    [(before & ~(word - 1)) - alignUp(count * 4, word), before & ~(word - 1)],
  ] as const) {
    if (offsets < 0 || relativeBase + word > image.bytes.length) continue;
    for (const absolutePerCpu of [false, true])
      candidates.push({ kind: 'relative', offsets, relativeBase, absolutePerCpu });
  }
  const behindTokens = [...new Set([alignUp(tokensEnd, 4), alignUp(tokensEnd, word)])];
  for (const offsets of behindTokens) {
    if (offsets + count * 4 <= image.bytes.length) candidates.push({ kind: 'place-relative', offsets });
  }
  for (const at of [(countAt & ~(word - 1)) - count * word, ...behindTokens]) {
    if (at >= 0 && at + count * word <= image.bytes.length) candidates.push({ kind: 'absolute', at });
  }
  let best: KallsymsLayout['addresses'] | null = null;
  // Symbols are written in address order; a few strays are allowed, a wrong guess has tens of thousands.
  let fewest = count / 100;
  for (const candidate of candidates) {
    const disorder = countDisorder(image, candidate, count, fewest);
    if (disorder < fewest) {
      best = candidate;
      fewest = disorder;
    }
  }
  return best;
}

/**
 * How often an address is below the one before it or not where kernels are; relative to a base of 0, or to the image's
 * first byte. Distances from a base are in order as distances from their places too, but then lie behind the table.
 */
function countDisorder(
  image: TableReader,
  addresses: KallsymsLayout['addresses'],
  count: number,
  most: number,
): number {
  let disorder = 0;
  let previous = Number.NEGATIVE_INFINITY;
  let different = 0;
  for (let symbol = 0; symbol < count && disorder <= most; symbol++) {
    let value: number;
    let isFar: boolean;
    if (addresses.kind === 'absolute') {
      value = image.wordAsNumber(addresses.at + symbol * (image.bits / 8));
      isFar = image.bits === 32 && value < FARTHEST;
    } else if (addresses.kind === 'place-relative') {
      const at = addresses.offsets + symbol * 4;
      value = at + (image.uint32(at) | 0);
      isFar = value < -FARTHEST_PLACE || value >= FARTHEST_PLACE;
    } else {
      value = image.uint32(addresses.offsets + symbol * 4);
      if (addresses.absolutePerCpu && value >= 0x80000000) value = 2 ** 33 - value;
      isFar = value % 2 ** 32 >= FARTHEST;
    }
    if (isFar) disorder++;
    if (value < previous) disorder++;
    else if (value > previous) different++;
    previous = value;
  }
  // A run of zeros is in order too.
  return different < count / 4 ? count : disorder;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
