/** ELF files of kernels: headers, segments, sections, symbols. 32 and 64 bit, both byte orders; nothing in them is trusted. */
import { badInput, hex } from '../errors.js';
import { concatBytes, latin1 } from './bytes.js';
import type { Bits, Endian, Segment, SymbolTable } from './kernel.js';
import { CompactSymbolTable } from './symbols.js';
import { Words } from './words.js';

const PT_LOAD = 1;
const SHT_SYMTAB = 2;
/** e_type of what is not linked: objects, modules. */
export const ET_REL = 1;
export const SHT_NOBITS = 8;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;
const SHF_WRITE = 1;
/** Largest segment that is believed, bytes in memory. */
const MEMORY_LIMIT = 1n << 31n;
/** Most segments; kernels have one to five. */
const SEGMENT_LIMIT = 64;
/** Most symbols, and their longest name in bytes; kernels have 100 000 to 200 000 with names of up to 512. */
const SYMBOL_LIMIT = 2_000_000;
const NAME_LIMIT = 512;

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

export interface ElfFile {
  /** e_type. */
  readonly type: number;
  readonly bits: Bits;
  readonly endian: Endian;
  readonly machine: number;
  readonly bytes: Uint8Array;
  /** PT_LOAD, in the file's order. */
  readonly segments: readonly Segment[];
  readonly sections: readonly ElfSection[];
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * Reads an ELF file's headers. Contents stay views of `bytes`.
 * @param where names the file in errors
 * @param hasContents false: segments are passed over. Those of a file that was split off with debug information may have kept their
 *   places in the other one.
 */
export function parseElf(bytes: Uint8Array, where: string, hasContents = true): ElfFile {
  if (!isElf(bytes)) throw badInput(where, 'an ELF file', 'another magic');
  if (bytes.length < 52) throw badInput(where, 'an ELF header', `${bytes.length} bytes`);
  const bits = bytes[4] === 1 ? 32 : bytes[4] === 2 ? 64 : null;
  const endian = bytes[5] === 1 ? 'little' : bytes[5] === 2 ? 'big' : null;
  if (bits === null || endian === null)
    throw badInput(where, 'an ELF class of 1 or 2 and a byte order of 1 or 2', `${bytes[4]} and ${bytes[5]}`);
  const header = new ElfReader(bytes, bits, endian, where);
  const wide = bits === 64;
  const segments: Segment[] = [];
  const programHeaders = !hasContents
    ? []
    : table(header, wide ? 32 : 28, wide ? 56 : 44, wide ? 56 : 32, 'program headers');
  for (const at of programHeaders) {
    const type = header.uint32(at);
    const address = header.word(at + (wide ? 16 : 8));
    const fileSize = header.word(at + (wide ? 32 : 16));
    if (type !== PT_LOAD) continue;
    const offset = header.word(at + (wide ? 8 : 4));
    const size = header.word(at + (wide ? 40 : 20));
    if (fileSize > 0n && offset + fileSize > BigInt(bytes.length))
      throw badInput(where, `bytes ${offset} to ${offset + fileSize} of a segment`, `a file of ${bytes.length} bytes`);
    if (size > MEMORY_LIMIT || size < fileSize || address + size > 1n << BigInt(bits))
      throw badInput(
        where,
        `a segment of ${fileSize} to ${MEMORY_LIMIT} bytes inside the address space`,
        `${size} bytes at ${hex(address)}`,
      );
    if (size === 0n) continue;
    segments.push({
      address,
      physical: header.word(at + (wide ? 24 : 12)),
      bytes: bytes.subarray(Number(offset), Number(offset + fileSize)),
      size,
    });
  }
  const stored = segments.reduce((sum, segment) => sum + segment.bytes.length, 0);
  if (segments.length > SEGMENT_LIMIT || stored > bytes.length)
    throw badInput(
      where,
      `at most ${SEGMENT_LIMIT} segments that share no bytes of the file`,
      `${segments.length} with ${stored} bytes of a file of ${bytes.length}`,
    );
  const [type, machine] = [header.uint16(16), header.uint16(18)];
  return { type, bits, endian, machine, bytes, segments, sections: sections(header) };
}

export function sectionBytes(elf: ElfFile, name: string): Uint8Array | undefined {
  const section = elf.sections.find((candidate) => candidate.name === name && candidate.type !== SHT_NOBITS);
  return section && elf.bytes.subarray(section.offset, section.offset + section.size);
}

/** The file's .symtab in address order; null when it is stripped. Section, file and mapping symbols are left out. */
export function symbolsFromElf(elf: ElfFile, where: string): SymbolTable | null {
  const section = elf.sections.find((candidate) => candidate.type === SHT_SYMTAB);
  if (section === undefined) return null;
  const strings = elf.sections[section.link];
  if (strings === undefined) throw badInput(where, 'a string table of the symbol table', `section ${section.link}`);
  const wide = elf.bits === 64;
  const entrySize = wide ? 24 : 16;
  const total = Math.floor(section.size / entrySize);
  if (total > SYMBOL_LIMIT) throw badInput(where, `at most ${SYMBOL_LIMIT} symbols`, `${total}`);
  const reader = new ElfReader(elf.bytes, elf.bits, elf.endian, where);
  const end = strings.offset + strings.size;

  const kept: { address: bigint; at: number; order: number }[] = [];
  for (let index = 1; index < total; index++) {
    const at: number = section.offset + index * entrySize;
    const info = reader.uint8(at + (wide ? 4 : 12));
    const sectionIndex = reader.uint16(at + (wide ? 6 : 14));
    // STT_SECTION and STT_FILE; undefined symbols; mapping symbols such as $x and $d.
    if ((info & 15) === 3 || (info & 15) === 4 || sectionIndex === 0) continue;
    const name = strings.offset + reader.uint32(at);
    if (name >= end || elf.bytes[name] === 0 || elf.bytes[name] === 0x24) continue;
    const value = reader.word(at + (wide ? 8 : 4));
    // In what is not linked it is counted from the section's start.
    const base = elf.type === ET_REL ? (elf.sections[sectionIndex]?.address ?? 0n) : 0n;
    kept.push({ address: base + value, at, order: info >> 4 });
  }
  // Global names before local ones at the same address.
  kept.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : b.order - a.order));

  const addresses = new BigUint64Array(kept.length);
  const sizes = new BigUint64Array(kept.length);
  const types = new Uint8Array(kept.length);
  const nameStarts = new Uint32Array(kept.length + 1);
  const names: Uint8Array[] = [];
  let length = 0;
  for (const [index, { address, at }] of kept.entries()) {
    addresses[index] = address;
    sizes[index] = reader.word(at + (wide ? 16 : 8));
    types[index] = letter(elf, reader.uint8(at + (wide ? 4 : 12)), reader.uint16(at + (wide ? 6 : 14)));
    const start = strings.offset + reader.uint32(at);
    const longest = elf.bytes.subarray(start, Math.min(end, start + NAME_LIMIT));
    const terminator = longest.indexOf(0);
    const name = terminator < 0 ? longest : longest.subarray(0, terminator);
    names.push(name);
    length += name.length;
    nameStarts[index + 1] = length;
  }
  return new CompactSymbolTable('symtab', { addresses, sizes, types, names: concatBytes(names), nameStarts });
}

/** Letter of `nm`: by binding, type and the section's kind. */
function letter(elf: ElfFile, info: number, sectionIndex: number): number {
  const binding = info >> 4;
  const isObject = (info & 15) === 1;
  if (binding === 2) return (isObject ? 'V' : 'W').charCodeAt(0);
  const section = elf.sections[sectionIndex];
  let name = '?';
  if (sectionIndex === 0xfff1) name = 'a';
  else if (section !== undefined && (section.flags & SHF_ALLOC) !== 0) {
    if ((section.flags & SHF_EXECINSTR) !== 0) name = 't';
    else if (section.type === SHT_NOBITS) name = 'b';
    else name = (section.flags & SHF_WRITE) !== 0 ? 'd' : 'r';
  } else if (section !== undefined) name = 'n';
  return (binding === 1 ? name.toUpperCase() : name).charCodeAt(0);
}

function sections(header: ElfReader): ElfSection[] {
  const wide = header.bits === 64;
  const entries = table(header, wide ? 40 : 32, wide ? 60 : 48, wide ? 64 : 40, 'section headers');
  const found = entries.map((at) => ({
    name: '',
    nameOffset: header.uint32(at),
    type: header.uint32(at + 4),
    flags: Number(header.word(at + 8) & 0xffffffffn),
    address: header.word(at + (wide ? 16 : 12)),
    offset: header.word(at + (wide ? 24 : 16)),
    size: header.word(at + (wide ? 32 : 20)),
    link: header.uint32(at + (wide ? 40 : 24)),
  }));
  for (const section of found) {
    if (section.type !== SHT_NOBITS && section.offset + section.size > BigInt(header.length))
      throw badInput(
        header.where,
        `bytes ${section.offset} to ${section.offset + section.size} of a section`,
        `a file of ${header.length} bytes`,
      );
  }
  const names = found[header.uint16(wide ? 62 : 50)];
  return found.map((section) => ({
    ...section,
    name: names === undefined ? '' : header.string(Number(names.offset) + section.nameOffset),
    offset: Number(section.offset),
    size: Number(section.size),
  }));
}

/** Offsets of the entries of one of the two header tables. */
function table(header: ElfReader, offsetAt: number, countAt: number, smallest: number, what: string): number[] {
  const offset = header.word(offsetAt);
  const entrySize = header.uint16(countAt - 2);
  const count = header.uint16(countAt);
  if (offset === 0n || count === 0) return [];
  if (entrySize < smallest || offset + BigInt(entrySize * count) > BigInt(header.length))
    throw badInput(
      header.where,
      `${count} ${what} of ${entrySize} bytes at byte ${offset}`,
      `a file of ${header.length} bytes`,
    );
  return Array.from({ length: count }, (_, index) => Number(offset) + index * entrySize);
}

/** Bounds-checked reads in the file's byte order. */
class ElfReader extends Words {
  constructor(
    bytes: Uint8Array,
    bits: Bits,
    endian: Endian,
    readonly where: string,
  ) {
    super(bytes, { bits, endian });
  }

  override uint16(at: number): number {
    return super.uint16(this.#within(at, 2));
  }

  override uint32(at: number): number {
    return super.uint32(this.#within(at, 4));
  }

  override uint64(at: number): bigint {
    return super.uint64(this.#within(at, 8));
  }

  string(at: number): string {
    const { bytes } = this;
    if (at >= bytes.length) return '';
    const end = bytes.subarray(at, at + 256).indexOf(0);
    return latin1(bytes.subarray(at, at + (end < 0 ? 256 : end)));
  }

  #within(at: number, length: number): number {
    if (at + length > this.length)
      throw badInput(this.where, `${length} bytes at byte ${at}`, `a file of ${this.length} bytes`);
    return at;
  }
}
