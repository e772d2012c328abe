/**
 * kdump-compressed dumps, as makedumpfile and the kernel's older diskdump write them: a header, a bitmap of the pages that
 * exist and one of those that were dumped, a descriptor for each of the latter, and the pages, each packed on its own
 * (makedumpfile's diskdump_mod.h and IMPLEMENTATION).
 */
import { badInput, hex } from '../errors.js';
import { latin1 } from '../kernel/bytes.js';
import { Words, wordFormat } from '../kernel/words.js';
import type { CoreNote } from './elf-core.js';
import { parseNotes } from './elf-core.js';
import type { ByteSource } from './file.js';
import type { PageCodec } from './page-codecs.js';
import type { Absence, MemoryRange, PhysicalMemory } from './physical.js';
import { RecentlyUsed } from './recently-used.js';

const SIGNATURES = ['KDUMP   ', 'DISKDUMP'];
const UTSNAME = 12;
const UTS_LENGTH = 65;
const UTS_MACHINE = 4;
const LATEST_VERSION = 32;
const DESCRIPTOR_SIZE = 24;
/** Of one bitmap: 2 TiB of 4 KiB pages. */
const MAXIMUM_BITMAP = 64 << 20;
const MAXIMUM_NOTES_SIZE = 64 << 20;
const MAXIMUM_READ = 256 << 20;
/** Bytes of unpacked pages that are kept. */
const CACHE_BYTES = 16 << 20;
/** Places of packed pages that a search remembers: pages of zeroes share one. */
const REMEMBERED_OFFSETS = 1 << 16;
/** Runs of pages that are listed. */
const MAXIMUM_RANGES = 1 << 18;
/** Bytes of bitmap behind one entry of the index. */
const INDEX_STEP = 4096;

export function isKdump(magic: Uint8Array): boolean {
  return SIGNATURES.includes(latin1(magic, 0, 8));
}

export interface Kdump {
  /** `uname -m` of the machine. */
  readonly machine: string;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly notes: readonly CoreNote[];
  readonly warnings: readonly string[];
  readonly memory: PhysicalMemory;
}

interface Header {
  readonly little: boolean;
  readonly bits: 32 | 64;
  readonly version: number;
  readonly machine: string;
  readonly blockSize: number;
  readonly subHeaderBlocks: number;
  readonly bitmapBlocks: number;
  readonly maximumPage: bigint;
}

/** Reads headers, notes and bitmaps; pages are read where they are needed. */
export function readKdump(file: ByteSource, codec: PageCodec): Kdump {
  const header = readHeader(file);
  const sub = subHeader(file, header);
  const notes: CoreNote[] = [];
  const warnings: string[] = [];
  const note = region(file, sub.notes, warnings, 'the notes');
  if (note) parseNotes(note, header.little, notes, warnings);
  const vmcoreinfo = region(file, sub.vmcoreinfo, warnings, 'VMCOREINFO');
  if (vmcoreinfo && !notes.some(({ owner }) => owner === 'VMCOREINFO')) {
    notes.push({ owner: 'VMCOREINFO', type: 0, data: vmcoreinfo });
  }
  if (sub.split) warnings.push('the dump is one part of several (makedumpfile --split): the rest is taken for missing');
  return {
    machine: header.machine,
    bits: header.bits,
    littleEndian: header.little,
    notes,
    warnings,
    memory: new KdumpMemory(file, codec, header, sub.maximumPage ?? header.maximumPage),
  };
}

function readHeader(file: ByteSource): Header {
  const bytes = file.read(0, 464);
  if (!bytes) throw badInput(file.path, 'a kdump header of 464 bytes', `a file of ${file.size}`);
  const versionIn = (little: boolean): number => new Words(bytes, wordFormat(32, little)).uint32(8);
  const isVersion = (version: number): boolean => version > 0 && version <= LATEST_VERSION;
  const little = isVersion(versionIn(true));
  const view = new Words(bytes, wordFormat(32, little));
  if (!isVersion(view.uint32(8))) {
    throw badInput(`${file.path}: header_version`, `1 to ${LATEST_VERSION}`, String(versionIn(true)));
  }
  // The time stamp is two words, so that what follows it tells the word's size.
  for (const bits of [64, 32] as const) {
    const status = bits === 64 ? 424 : 412;
    const word = (index: number): number => view.uint32(status + index * 4);
    const blockSize = word(1);
    const plausible = blockSize >= 4096 && blockSize <= 65_536 && (blockSize & (blockSize - 1)) === 0;
    if (!plausible || word(2) === 0 || word(2) > 4096 || word(3) === 0) continue;
    const machine = bytes.subarray(UTSNAME + UTS_MACHINE * UTS_LENGTH, UTSNAME + (UTS_MACHINE + 1) * UTS_LENGTH);
    const end = machine.indexOf(0);
    return {
      little,
      bits,
      version: view.uint32(8),
      machine: latin1(machine, 0, Math.max(end, 0)),
      blockSize,
      subHeaderBlocks: word(2),
      bitmapBlocks: word(3),
      maximumPage: BigInt(word(4)),
    };
  }
  throw badInput(`${file.path}: block_size`, 'a power of two from 4096 to 65536, and a bitmap', 'none');
}

interface Extent {
  readonly offset: bigint;
  readonly size: bigint;
}

interface SubHeader {
  readonly notes: Extent | null;
  readonly vmcoreinfo: Extent | null;
  readonly maximumPage: bigint | null;
  readonly split: boolean;
}

/** `struct kdump_sub_header`: words of the machine, file offsets of 8 bytes. */
function subHeader(file: ByteSource, header: Header): SubHeader {
  const bytes = file.read(header.blockSize, 104);
  if (!bytes) throw badInput(file.path, 'a kdump sub header', `a file of ${file.size} bytes`);
  const view = new Words(bytes, wordFormat(header.bits, header.little));
  // Of 32-bit machines only i386 aligns 8 bytes to 4.
  const alignment = header.bits === 32 && /^i[3-6]86$/.test(header.machine) ? 4 : 8;
  let at = 0;
  const take = (size: 4 | 8): bigint => {
    const step = size === 8 ? alignment : 4;
    const start = Math.ceil(at / step) * step;
    at = start + size;
    return size === 8 ? view.uint64(start) : BigInt(view.uint32(start));
  };
  const word = (): bigint => take(header.bits === 64 ? 8 : 4);
  const extent = (): Extent => ({ offset: take(8), size: word() });
  word(); // phys_base
  take(4); // dump_level
  const split = take(4) !== 0n && header.version >= 2;
  word(); // start_pfn
  word(); // end_pfn
  const vmcoreinfo = extent();
  const notes = extent();
  extent(); // eraseinfo
  take(8); // start_pfn_64
  take(8); // end_pfn_64
  const maximumPage = take(8);
  return {
    split,
    vmcoreinfo: header.version >= 3 && vmcoreinfo.size > 0n ? vmcoreinfo : null,
    notes: header.version >= 4 && notes.size > 0n ? notes : null,
    maximumPage: header.version >= 6 ? maximumPage : null,
  };
}

function region(file: ByteSource, extent: Extent | null, warnings: string[], what: string): Uint8Array | null {
  if (!extent) return null;
  const { offset, size } = extent;
  const bytes =
    size <= BigInt(MAXIMUM_NOTES_SIZE) && offset <= BigInt(file.size)
      ? file.read(Number(offset), Number(size))
      : undefined;
  if (!bytes) warnings.push(`${what} (${size} bytes at offset ${offset}) lie past the end of the file`);
  return bytes?.slice() ?? null;
}

class KdumpMemory implements PhysicalMemory {
  readonly overlapping = 0n;
  readonly ranges: readonly MemoryRange[];
  readonly #file: ByteSource;
  readonly #codec: PageCodec;
  readonly #little: boolean;
  readonly #pageSize: number;
  /** Pages that the machine has, and pages that the file has: a bit each. */
  readonly #existing: Uint8Array;
  readonly #dumped: Uint8Array;
  /** Dumped pages before each step of the bitmap. */
  readonly #index: Uint32Array;
  readonly #descriptors: number;
  readonly #cache: RecentlyUsed<number, Uint8Array>;

  constructor(file: ByteSource, codec: PageCodec, header: Header, maximumPage: bigint) {
    this.#file = file;
    this.#codec = codec;
    this.#little = header.little;
    this.#pageSize = header.blockSize;
    this.#cache = new RecentlyUsed(CACHE_BYTES / this.#pageSize);
    const { blockSize, subHeaderBlocks, bitmapBlocks } = header;
    const start = (1 + subHeaderBlocks) * blockSize;
    const length = bitmapBlocks * blockSize;
    const oneBitmap = Math.ceil(Number(maximumPage) / 8 / blockSize) * blockSize;
    // Old diskdumps have one bitmap; makedumpfile writes two of equal size.
    const two = oneBitmap < length;
    const size = two ? length / 2 : length;
    if (size > MAXIMUM_BITMAP) {
      throw badInput(`${file.path}: bitmap_blocks`, `bitmaps of at most ${MAXIMUM_BITMAP} bytes`, `${size}`);
    }
    const used = Math.min(size, Math.ceil(Number(maximumPage) / 8));
    this.#dumped = bitmap(file, two ? start + size : start, used);
    this.#existing = two ? bitmap(file, start, used) : this.#dumped;
    this.#descriptors = start + length;
    this.#index = countBits(this.#dumped);
    this.ranges = rangesOf(this.#dumped, this.#pageSize);
  }

  read(address: bigint, length: number): Uint8Array | undefined {
    if (length < 0 || length > MAXIMUM_READ) return undefined;
    const within = Number(address % BigInt(this.#pageSize));
    if (within + length <= this.#pageSize) {
      return this.#page(address / BigInt(this.#pageSize))?.subarray(within, within + length);
    }
    const bytes = new Uint8Array(length);
    return this.readInto(address, bytes) ? bytes : undefined;
  }

  readInto(address: bigint, target: Uint8Array): boolean {
    if (target.length > MAXIMUM_READ) return false;
    for (let done = 0; done < target.length; ) {
      const at = address + BigInt(done);
      const within = Number(at % BigInt(this.#pageSize));
      const page = this.#page(at / BigInt(this.#pageSize));
      if (!page) return false;
      const count = Math.min(target.length - done, this.#pageSize - within);
      target.set(page.subarray(within, within + count), done);
      done += count;
    }
    return true;
  }

  *searched(): Iterable<MemoryRange> {
    let [start, end] = [0n, 0n];
    for (const page of this.#ownPages()) {
      const address = BigInt(page) * BigInt(this.#pageSize);
      if (address !== end) {
        if (end > start) yield { start, end };
        start = address;
      }
      end = address + BigInt(this.#pageSize);
    }
    if (end > start) yield { start, end };
  }

  /** Pages in order whose descriptor is in the file; those that share their bytes with one that came shortly before once. */
  *#ownPages(): Iterable<number> {
    const recent = new Set<bigint>();
    let number = 0;
    for (let byte = 0; byte < this.#dumped.length; byte++) {
      for (let left = this.#dumped[byte] ?? 0; left !== 0; left &= left - 1) {
        const offset = this.#descriptor(number++)?.offset;
        // Descriptors come one after the other: behind one that is past the end there is none.
        if (offset === undefined) return;
        if (recent.has(offset)) continue;
        if (recent.size >= REMEMBERED_OFFSETS) recent.clear();
        recent.add(offset);
        yield byte * 8 + (31 - Math.clz32(left & -left));
      }
    }
  }

  absence(address: bigint): Absence | null {
    const page = address / BigInt(this.#pageSize);
    if (bit(this.#dumped, page)) return null;
    return bit(this.#existing, page) ? 'left out' : 'no memory';
  }

  #page(page: bigint): Uint8Array | undefined {
    if (!bit(this.#dumped, page)) return undefined;
    const number = Number(page);
    const cached = this.#cache.get(number);
    if (cached) return cached;
    const bytes = this.#unpack(number);
    if (!bytes) return undefined;
    this.#cache.set(number, bytes);
    return bytes;
  }

  /** undefined when the file is cut short. */
  #unpack(page: number): Uint8Array | undefined {
    const descriptor = this.#descriptor(this.#rank(page));
    if (!descriptor) return undefined;
    const { offset, size, flags } = descriptor;
    const where = `${this.#file.path}: page ${hex(page)}`;
    if (size === 0 || size > this.#pageSize) throw badInput(where, `1 to ${this.#pageSize} bytes`, `${size}`);
    if (offset + BigInt(size) > BigInt(this.#file.size)) return undefined;
    const packed = this.#file.read(Number(offset), size);
    // The reader's cache block is given back: pages outlive it.
    return packed && this.#codec(packed, flags, this.#pageSize, where).slice();
  }

  /** `struct page_desc` of the dumped page with this number; undefined past the end of the file. */
  #descriptor(number: number): { readonly offset: bigint; readonly size: number; readonly flags: number } | undefined {
    const bytes = this.#file.read(this.#descriptors + number * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE);
    if (!bytes) return undefined;
    const words = new Words(bytes, wordFormat(64, this.#little));
    return {
      offset: words.uint64(0),
      size: words.uint32(8),
      flags: words.uint32(12),
    };
  }

  /** Dumped pages before this one. */
  #rank(page: number): number {
    const byte = page >>> 3;
    const step = Math.floor(byte / INDEX_STEP);
    const before = (this.#dumped[byte] ?? 0) & ((1 << (page & 7)) - 1);
    return (this.#index[step] ?? 0) + bitsIn(this.#dumped.subarray(step * INDEX_STEP, byte)) + bitsOf(before);
  }
}

const BITS = Uint8Array.from({ length: 256 }, (_, value) => value.toString(2).replaceAll('0', '').length);

// A byte has an entry.
const bitsOf = (byte: number): number => BITS[byte]!;

function bitsIn(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) count += bitsOf(byte);
  return count;
}

function bit(bits: Uint8Array, page: bigint): boolean {
  return page >= 0n && ((bits[Number(page >> 3n)] ?? 0) & (1 << Number(page & 7n))) !== 0;
}

function bitmap(file: ByteSource, offset: number, size: number): Uint8Array {
  if (offset + size > file.size) {
    throw badInput(`${file.path}: bitmap`, `${size} bytes at offset ${offset}`, `a file of ${file.size} bytes`);
  }
  const bytes = new Uint8Array(size);
  if (!file.readInto(offset, bytes)) throw badInput(`${file.path}: bitmap`, `${size} bytes`, 'fewer');
  return bytes;
}

function countBits(bits: Uint8Array): Uint32Array {
  const index = new Uint32Array(Math.ceil(bits.length / INDEX_STEP) + 1);
  let count = 0;
  for (let step = 0; step * INDEX_STEP < bits.length; step++) {
    index[step] = count;
    count += bitsIn(bits.subarray(step * INDEX_STEP, (step + 1) * INDEX_STEP));
  }
  return index;
}

/** Runs of set bits, the first of them; pages behind the last run are found by their number, and by a search. */
function rangesOf(bits: Uint8Array, pageSize: number): MemoryRange[] {
  const ranges: MemoryRange[] = [];
  let start = -1;
  const close = (end: number): void => {
    if (start >= 0) ranges.push({ start: BigInt(start) * BigInt(pageSize), end: BigInt(end) * BigInt(pageSize) });
    start = -1;
  };
  for (let byte = 0; byte < bits.length && ranges.length < MAXIMUM_RANGES; byte++) {
    const value = bits[byte];
    if (value === undefined || value === (start >= 0 ? 0xff : 0)) continue;
    for (let index = 0; index < 8; index++) {
      const set = (value & (1 << index)) !== 0;
      if (set && start < 0) start = byte * 8 + index;
      else if (!set) close(byte * 8 + index);
    }
  }
  close(bits.length * 8);
  return ranges;
}
