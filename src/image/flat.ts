/**
 * Kernels without headers (arm64 Image, what zImage and s390's bzImage unpack to): memory as boot code would find it. The
 * address it was linked for is told by the kernel's own symbol table, since such an image begins with `_text` or what its driver
 * says; where that table counts from its own place (7.0 on), by the pointers to symbols that the image is full of (`link-address.ts`).
 */
import type { UnpackedImage, Variant } from '../../arch/driver.js';
import { badInput } from '../errors.js';
import { searchKallsyms } from '../kernel/kallsyms.js';
import { noKallsyms, readKallsyms, readKallsymsAddresses } from '../kernel/kallsyms-decode.js';
import type { KallsymsLayout } from '../kernel/kallsyms-reader.js';
import type { Bits, Endian, Segment, SymbolTable } from '../kernel/kernel.js';
import { applyRela, findRelaTable, forEachRela, type RelaTable } from '../kernel/relocate.js';
import { noSymbols } from '../kernel/symbols.js';
import { decodeWord } from '../kernel/words.js';
import { findLinkAddress } from './link-address.js';

/** Every architecture links its image at a multiple of this; bytes. */
const IMAGE_ALIGNMENT = 0x10000n;
const PAGE = 0x1000n;
/** Most bytes before the lowest symbol that the kernel lists (head and init code, when KALLSYMS_ALL is off). */
const LARGEST_HEAD = 0x1000000n;

export type FlatPayload = Extract<UnpackedImage['payload'], { kind: 'flat' }>;

/** Loads a flat image where it was linked, relocated. Errors: the address cannot be told. */
export function loadFlatImage(
  payload: FlatPayload,
  variant: Variant,
  where: string,
): { segment: Segment; symbols: SymbolTable } {
  const { bits, endian } = variant;
  const found = searchKallsyms(payload.bytes, bits, endian);
  const table = relocationsOf(payload, variant);
  if (typeof found === 'string' && typeof payload.address !== 'bigint') throw noKallsyms(where, found);
  const layout = typeof found === 'string' ? null : found;
  const placed = layout === null || typeof payload.address === 'bigint' ? null : place(payload, layout, table, variant);
  const address = addressOf(payload.address, placed);
  if (address === null)
    throw badInput(where, 'an image that tells the address it was linked for', 'none that can be found');
  let bytes = payload.bytes;
  if (table !== null) {
    bytes = new Uint8Array(bytes);
    applyRela(payload.bytes, table, variant, bytes, address, bits, endian);
  }
  const size = payload.memorySize ?? BigInt(bytes.length);
  const segment = { address, physical: null, bytes, size: size > BigInt(bytes.length) ? size : BigInt(bytes.length) };
  // By now the relocated word holds the base.
  const symbols = layout === null ? noSymbols() : readKallsyms(bytes, layout, bits, endian, address);
  return { segment, symbols };
}

function relocationsOf({ bytes, address, relocations }: FlatPayload, { bits, endian, relativeRelocation }: Variant) {
  if (relocations === undefined || typeof address !== 'bigint')
    return findRelaTable(bytes, bits, endian, relativeRelocation);
  const entrySize = (bits / 8) * 3;
  return {
    at: Number(relocations.start - address),
    count: Math.floor(Number(relocations.end - relocations.start) / entrySize),
    symbols: Number(relocations.symbols - address),
  };
}

function addressOf(
  told: FlatPayload['address'],
  placed: { address: bigint | null; lowest: bigint | null } | null,
): bigint | null {
  if (typeof told === 'bigint') return told;
  if (placed === null) return null;
  if (placed.address !== null) return placed.address;
  return told === null || placed.lowest === null ? null : told(placed.lowest);
}

/** Where the image was linked, and the base of its symbol table. */
function place(
  { bytes, firstSymbol = '_text' }: FlatPayload,
  layout: KallsymsLayout,
  table: RelaTable | null,
  { bits, endian }: Variant,
): { address: bigint | null; lowest: bigint | null } {
  if (layout.addresses.kind === 'absolute') {
    const symbols = readKallsyms(bytes, layout, bits, endian, 0n);
    return { address: symbols.address(firstSymbol) ?? null, lowest: symbols.address('_stext') ?? null };
  }
  if (layout.addresses.kind === 'place-relative') {
    const places = readKallsymsAddresses(bytes, layout, bits, endian, 0n);
    return { address: findLinkAddress(bytes, places, table, bits, endian), lowest: null };
  }
  const slot = layout.addresses.relativeBase;
  if (table !== null) {
    const found = placeByRelocations(bytes, table, BigInt(slot), bits, endian);
    if (found !== null) return found;
  }
  const lowest = decodeWord(bytes, { bits, endian }, slot);
  if (lowest === 0n) return { address: null, lowest: null };
  return { address: readKallsyms(bytes, layout, bits, endian, 0n).address(firstSymbol) ?? null, lowest };
}

/**
 * The word that holds the base of the symbol table is itself relocated: the entry for it gives its address (and so the
 * image's) and its value. It is told from the others by the image that it implies, which must hold all that is relocated.
 *
 * @param slot where that word is in the image, bytes
 */
function placeByRelocations(
  bytes: Uint8Array,
  table: RelaTable,
  slot: bigint,
  bits: Bits,
  endian: Endian,
): { address: bigint; lowest: bigint } | null {
  let first = 1n << 64n;
  let last = 0n;
  forEachRela(bytes, table, bits, endian, (address) => {
    if (address < first) first = address;
    if (address > last) last = address;
    return true;
  });
  let found: { address: bigint; lowest: bigint } | null = null;
  forEachRela(bytes, table, bits, endian, (target, addend) => {
    const address = target - slot;
    const fits =
      address % IMAGE_ALIGNMENT === 0n && address >= 0n && address <= first && last < address + BigInt(bytes.length);
    if (fits && addend % PAGE === 0n && addend >= address && addend - address < LARGEST_HEAD)
      found = { address, lowest: addend };
    return found === null;
  });
  return found;
}
