/** Decodes the kernel's compressed symbol table, once `kallsyms.ts` has found its parts. */
import { badInput } from '../errors.js';
import { type KallsymsLayout, TableReader } from './kallsyms-reader.js';
import type { Bits, Endian, SymbolTable } from './kernel.js';
import { CompactSymbolTable } from './symbols.js';

const TOKENS = 256;
/** A name's longest expansion that is believed, bytes; the kernel's own limit is 512. */
const LONGEST_NAME = 1024;
/** All names together, bytes; 160 000 symbols have 4 MB of them. */
const MOST_NAMES = 256 << 20;

/**
 * Decodes the table.
 * @param origin address of the image's first byte: distances from their own places count from it
 */
export function readKallsyms(
  bytes: Uint8Array,
  layout: KallsymsLayout,
  bits: Bits,
  endian: Endian,
  origin: bigint,
): SymbolTable {
  const image = new TableReader(bytes, bits, endian);
  const decoded = decodeNames(image, layout);
  return new CompactSymbolTable(
    'kallsyms',
    inAddressOrder({ ...decoded, addresses: decodeAddresses(image, layout, origin), sizes: null }),
  );
}

/** Addresses of the symbols in the table's order, without their names. */
export function readKallsymsAddresses(
  bytes: Uint8Array,
  layout: KallsymsLayout,
  bits: Bits,
  endian: Endian,
  origin: bigint,
): BigUint64Array {
  return decodeAddresses(new TableReader(bytes, bits, endian), layout, origin);
}

interface Arrays {
  readonly addresses: BigUint64Array;
  readonly sizes: null;
  readonly types: Uint8Array;
  readonly names: Uint8Array;
  readonly nameStarts: Uint32Array;
}

function decodeAddresses(image: TableReader, layout: KallsymsLayout, origin: bigint): BigUint64Array {
  const addresses = new BigUint64Array(layout.count);
  const table = layout.addresses;
  if (table.kind === 'absolute') {
    for (let i = 0; i < layout.count; i++) addresses[i] = image.word(table.at + i * (image.bits / 8));
    return addresses;
  }
  const isPlaced = table.kind === 'place-relative';
  const base = isPlaced ? origin : image.word(table.relativeBase);
  const mask = (1n << BigInt(image.bits)) - 1n;
  // High and low half apart: a BigInt for every symbol would take most of the time.
  const baseHigh = Number(base >> 32n);
  const baseLow = Number(base & 0xffffffffn);
  const halves = new Uint32Array(addresses.buffer);
  for (let i = 0; i < layout.count; i++) {
    const offset = image.uint32(table.offsets + i * 4);
    let low: number;
    let high: number;
    if (isPlaced) {
      const sum = baseLow + table.offsets + i * 4 + (offset | 0);
      low = sum;
      high = baseHigh + Math.floor(sum / 2 ** 32);
    } else if (table.absolutePerCpu && offset < 0x80000000) {
      low = offset;
      high = 0;
    } else {
      low = baseLow + (table.absolutePerCpu ? 2 ** 32 - offset - 1 : offset);
      high = baseHigh + (low >= 2 ** 32 ? 1 : 0);
    }
    halves[2 * i] = low;
    halves[2 * i + 1] = mask === 0xffffffffn ? 0 : high;
  }
  return addresses;
}

function decodeNames(
  image: TableReader,
  layout: KallsymsLayout,
): { types: Uint8Array; names: Uint8Array; nameStarts: Uint32Array } {
  const { bytes } = image;
  const tokenStarts = new Uint32Array(TOKENS);
  const tokenEnds = new Uint32Array(TOKENS);
  for (let token = 0; token < TOKENS; token++) {
    tokenStarts[token] = layout.tokenTable + image.uint16(layout.tokenIndex + token * 2);
    tokenEnds[token] = bytes.indexOf(0, tokenStarts[token]);
  }
  const types = new Uint8Array(layout.count);
  const nameStarts = new Uint32Array(layout.count + 1);
  let names = new Uint8Array(layout.count * 32);
  let out = 0;
  let at = layout.names;
  for (let symbol = 0; symbol < layout.count; symbol++) {
    nameStarts[symbol] = out;
    const { length, start } = image.nameLength(at);
    at = start + length;
    if (out + LONGEST_NAME > names.length) {
      if (names.length > MOST_NAMES) throw badInput('kallsyms', `names of at most ${MOST_NAMES} bytes`, 'more');
      const larger = new Uint8Array(names.length * 2 + LONGEST_NAME);
      larger.set(names);
      names = larger;
    }
    let first = true;
    const limit = out + LONGEST_NAME;
    for (let i = start; i < at; i++) {
      // A byte has a token, whose text was found inside of the image.
      const token = bytes[i]!;
      let from = tokenStarts[token] ?? 0;
      const to = tokenEnds[token] ?? 0;
      if (first && from < to) {
        types[symbol] = image.uint8(from++);
        first = false;
      }
      while (from < to && out < limit) names[out++] = image.uint8(from++);
    }
  }
  nameStarts[layout.count] = out;
  return { types, names: names.slice(0, out), nameStarts };
}

function isAscending(numbers: BigUint64Array): boolean {
  let before = 0n;
  for (const number of numbers) {
    if (number < before) return false;
    before = number;
  }
  return true;
}

/** The kernel's order is by address already, but for a few absolute symbols. */
function inAddressOrder(arrays: Arrays): Arrays {
  const { addresses, types, names, nameStarts } = arrays;
  if (isAscending(addresses)) return arrays;
  const order = Array.from(addresses, (address, from) => ({ address, from }));
  order.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.from - b.from));
  const starts = new Uint32Array(nameStarts.length);
  const text = new Uint8Array(names.length);
  let out = 0;
  for (const [to, { from }] of order.entries()) {
    starts[to] = out;
    const name = names.subarray(nameStarts[from], nameStarts[from + 1]);
    text.set(name, out);
    out += name.length;
  }
  starts[addresses.length] = out;
  return {
    addresses: BigUint64Array.from(order, ({ address }) => address),
    sizes: null,
    types: Uint8Array.from(order, ({ from }) => types[from] ?? 0),
    names: text,
    nameStarts: starts,
  };
}

/** The error for an image that should have a table. @param missing the part that `searchKallsyms()` did not find */
export function noKallsyms(where: string, missing: string): Error {
  return badInput(where, 'a symbol table (kallsyms)', `none that can be read: ${missing} could not be found`);
}
