/**
 * ELF core files of whole machines, as QEMU's dump-guest-memory, kdump and virsh write them. The class and byte order of
 * the file need not be the guest's: QEMU picks the class by the size of physical memory.
 */
import { badInput, hex } from '../errors.js';
import { hexOf, latin1 } from '../kernel/bytes.js';
import { type WordFormat, Words, wordFormat } from '../kernel/words.js';
import type { ByteSource } from './file.js';

const ET_CORE = 4;
const PT_LOAD = 1;
const PT_NOTE = 4;
/** e_phnum when the real count is in sh_info of section header 0. */
const PN_XNUM = 0xffff;
/** p_paddr of segments that have none (/proc/kcore). */
const NO_ADDRESS = 0xffff_ffff_ffff_ffffn;
/** More program headers than any machine has memory blocks; each takes some hundred bytes here. */
const MAXIMUM_SEGMENTS = 1 << 16;
const MAXIMUM_NOTES_SIZE = 64 << 20;
const MAXIMUM_NOTES = 1 << 16;
/** Sentences about single segments. */
const MOST_WARNINGS = 8;

export interface CoreSegment {
  readonly physical: bigint;
  readonly virtual: bigint;
  /** Offset in the file and bytes there; may lie past the file's end. */
  readonly offset: bigint;
  readonly fileSize: bigint;
  /** Bytes in memory; what is not in the file was left out by the dumper. */
  readonly size: bigint;
}

export interface CoreNote {
  readonly owner: string;
  readonly type: number;
  readonly data: Uint8Array;
}

export interface ElfCore {
  readonly machine: number;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly segments: readonly CoreSegment[];
  readonly notes: readonly CoreNote[];
  /** What is odd and did not stop the reading. */
  readonly warnings: readonly string[];
}

interface ProgramHeader extends CoreSegment {
  readonly type: number;
}

/** Whether a file's first bytes are those of an ELF core. */
export function isElfCore(head: Uint8Array): boolean {
  if (head.length < 18 || latin1(head, 0, 4) !== '\x7fELF') return false;
  return new Words(head, wordFormat(64, head[5] !== 2)).uint16(16) === ET_CORE;
}

/** Reads headers and notes of a core file; the memory itself is not touched. */
export function readElfCore(file: ByteSource): ElfCore {
  const { path } = file;
  const ident = file.read(0, 16);
  if (ident?.[0] !== 0x7f || ident[1] !== 0x45 || ident[2] !== 0x4c || ident[3] !== 0x46) {
    throw badInput(path, 'an ELF core file (a vmcore)', describeMagic(file, ident));
  }
  const bits = ident[4] === 1 ? 32 : ident[4] === 2 ? 64 : null;
  if (bits === null) throw badInput(`${path}: byte 4`, 'ELF class 1 or 2', String(ident[4]));
  if (ident[5] !== 1 && ident[5] !== 2) throw badInput(`${path}: byte 5`, 'ELF data encoding 1 or 2', String(ident[5]));
  const littleEndian = ident[5] === 1;
  const format = wordFormat(bits, littleEndian);
  const header = wordsOf(file, 0n, bits === 64 ? 64 : 52, format);
  if (!header) throw badInput(path, 'an ELF header', `a file of ${file.size} bytes`);
  const type = header.uint16(16);
  if (type !== ET_CORE) throw badInput(path, 'an ELF file of type CORE (4)', `type ${type}`);

  const wide = bits === 64;
  const tableOffset = header.word(wide ? 32 : 28);
  const entrySize = header.uint16(wide ? 54 : 42);
  const minimum = wide ? 56 : 32;
  if (entrySize < minimum) throw badInput(`${path}: e_phentsize`, `at least ${minimum}`, String(entrySize));
  const count = segmentCount(file, header, format);
  const tableSize = count * entrySize;
  const table = wordsOf(file, tableOffset, tableSize, format);
  if (!table) {
    throw badInput(
      `${path}: program headers`,
      `${count} of ${entrySize} bytes at offset ${tableOffset}`,
      `a file of ${file.size} bytes`,
    );
  }
  const segments: CoreSegment[] = [];
  const notes: CoreNote[] = [];
  const warnings: string[] = [];
  let without = 0;
  let noteBytes = 0n;
  for (let index = 0; index < count; index++) {
    const entry = programHeader(table, index * entrySize);
    if (entry.type === PT_LOAD && entry.physical === (wide ? NO_ADDRESS : NO_ADDRESS >> 32n)) {
      if (without++ === 0) warnings.push(`segment ${index} has no physical address and is left out`);
    } else if (entry.type === PT_LOAD) segments.push(checkedSegment(entry, index, file, warnings));
    else if (entry.type === PT_NOTE) {
      noteBytes += entry.fileSize;
      if (noteBytes > BigInt(MAXIMUM_NOTES_SIZE)) {
        throw badInput(`${path}: notes`, `at most ${MAXIMUM_NOTES_SIZE} bytes in all`, 'more');
      }
      readNotes(file, entry, littleEndian, notes, warnings);
    }
  }
  if (without > 1) warnings.push(`${without} segments in all have no physical address`);
  let cut = 0;
  for (const { offset, fileSize } of segments) if (offset + fileSize > BigInt(file.size)) cut++;
  if (cut > 1) warnings.push(`${cut} segments in all end behind the end of the file`);
  if (segments.length === 0) throw badInput(path, 'at least one PT_LOAD segment', `none in ${count} program headers`);
  return { machine: header.uint16(18), bits, littleEndian, segments, notes, warnings };
}

function describeMagic(file: ByteSource, ident: Uint8Array | undefined): string {
  if (!ident) return `a file of ${file.size} bytes`;
  return `bytes ${hexOf(ident.subarray(0, 4))}`;
}

function wordsOf(file: ByteSource, offset: bigint, length: number, format: WordFormat): Words | undefined {
  if (offset > BigInt(file.size)) return undefined;
  const bytes = file.read(Number(offset), length);
  return bytes && new Words(bytes, format);
}

function segmentCount(file: ByteSource, header: Words, format: WordFormat): number {
  const wide = format.bits === 64;
  const where = `${file.path}: e_phnum`;
  let count = header.uint16(wide ? 56 : 44);
  if (count === PN_XNUM) {
    const offset = header.word(wide ? 40 : 32);
    const section = offset === 0n ? undefined : wordsOf(file, offset, wide ? 64 : 40, format);
    if (!section) throw badInput(where, 'a section header 0 with the real count (PN_XNUM)', 'none');
    count = section.uint32(wide ? 44 : 28);
  }
  if (count === 0) throw badInput(where, 'at least 1 program header', '0');
  if (count > MAXIMUM_SEGMENTS) throw badInput(where, `at most ${MAXIMUM_SEGMENTS} program headers`, String(count));
  return count;
}

function programHeader(table: Words, at: number): ProgramHeader {
  const word = (offset: number): bigint => table.word(at + offset);
  const type = table.uint32(at);
  return table.bits === 64
    ? { type, offset: word(8), virtual: word(16), physical: word(24), fileSize: word(32), size: word(40) }
    : { type, offset: word(4), virtual: word(8), physical: word(12), fileSize: word(16), size: word(20) };
}

function checkedSegment(entry: ProgramHeader, index: number, file: ByteSource, warnings: string[]): CoreSegment {
  const { physical, virtual, offset, fileSize, size } = entry;
  const where = `${file.path}: segment ${index}`;
  for (const extent of [size, fileSize]) {
    if (physical + extent > 1n << 64n) {
      throw badInput(where, 'to end below 2^64', `${hex(physical)} + ${hex(extent)}`);
    }
  }
  if (offset + fileSize > BigInt(file.size) && warnings.length < MOST_WARNINGS) {
    warnings.push(`segment ${index} ends at offset ${offset + fileSize}, the file at ${file.size}: truncated?`);
  }
  return { physical, virtual, offset, fileSize, size };
}

/** Adds the notes of one PT_NOTE. What does not fit into the file or the segment ends the reading with a warning. */
function readNotes(file: ByteSource, entry: CoreSegment, little: boolean, notes: CoreNote[], warnings: string[]): void {
  const shared = wordsOf(file, entry.offset, Number(entry.fileSize), wordFormat(32, little));
  if (!shared) {
    warnings.push(`the notes (${entry.fileSize} bytes at offset ${entry.offset}) lie past the end of the file`);
    return;
  }
  // The reader's cache block is given back: notes outlive it.
  parseNotes(shared.bytes.slice(), little, notes, warnings);
}

/** Adds the notes in `bytes`, which must stay as they are; what makes no sense ends the reading with a warning. */
export function parseNotes(bytes: Uint8Array, little: boolean, notes: CoreNote[], warnings: string[]): void {
  const view = new Words(bytes, wordFormat(32, little));
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameSize = view.uint32(at);
    const dataSize = view.uint32(at + 4);
    const type = view.uint32(at + 8);
    const data = at + 12 + align4(nameSize);
    if (data + dataSize > bytes.length || notes.length >= MAXIMUM_NOTES) {
      warnings.push(`the notes stop making sense at byte ${at} of ${bytes.length}`);
      return;
    }
    // Padding after the last note, and notes of size 0 that kdump leaves for CPUs without a state.
    if (nameSize + dataSize + type > 0) {
      const name = bytes.subarray(at + 12, at + 12 + nameSize);
      const end = name.indexOf(0);
      const owner = latin1(name, 0, end < 0 ? name.length : end);
      notes.push({ owner, type, data: bytes.subarray(data, data + dataSize) });
    }
    at = data + align4(dataSize);
  }
}

function align4(size: number): number {
  return Math.ceil(size / 4) * 4;
}
