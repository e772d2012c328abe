/** The kernel's log as it lies in memory. */
import { latin1 } from '../kernel/bytes.js';
import type { Kernel, StructType } from '../kernel/kernel.js';
import { Words } from '../kernel/words.js';
import { MemoryReader } from './memory-reader.js';

/** One call of printk: `text` may have several lines. */
export interface LogRecord {
  readonly sequence: bigint;
  /** Since boot. */
  readonly nanoseconds: bigint;
  readonly text: string;
}

export interface KernelLog {
  /** Oldest first. */
  readonly records: readonly LogRecord[];
  /** By which structures it was read, for people. */
  readonly layout: string;
}

/** A byte array of records that follow each other (3.5 to 5.9), and where the oldest and the next one begin. */
export interface LogBuffer {
  readonly address: bigint;
  readonly length: number;
  /** Offsets in the buffer. */
  readonly first: number;
  readonly next: number;
}

/** Members of struct printk_log, in bytes. */
export interface PrintkLogLayout {
  readonly header: number;
  readonly nanoseconds: number;
  readonly length: number;
  readonly textLength: number;
}

/**
 * enum desc_state of a record's text: its upper two bits (4cfc7258f876 "printk: ringbuffer: add finalization/extension
 * support", 5.10). 0 is reserved (being written), 3 reusable (given back).
 */
const DESC_COMMITTED = 1n;
const DESC_FINALIZED = 2n;

/** As many records as no log buffer has: CONFIG_LOG_BUF_SHIFT is at most 25. */
const MOST_RECORDS = 1 << 20;
const LONGEST_TEXT = 1 << 15;
const LARGEST_BUFFER = 1 << 30;

/**
 * struct printk_ringbuffer (896fbe20b4e2 "printk: use the lockless ringbuffer", 5.10): descriptors and infos side by side,
 * and text blocks that begin with the id of their descriptor. Records that are being written or were given back are left
 * out where the kernel's types tell a record's state. null where the kernel's types do not have it, or there is none at `ring`.
 */
export function readRingBuffer(kernel: Kernel, ring: bigint): KernelLog | null {
  const { types } = kernel;
  if (!types?.hasStruct('printk_ringbuffer') || !types.hasStruct('printk_info')) return null;
  const read = new MemoryReader(kernel);
  const ringType = types.struct('printk_ringbuffer');
  const infoType = types.struct('printk_info');
  const descriptorType = types.struct('prb_desc');
  const number = (path: string): bigint => read.member(ring, ringType, path) ?? 0n;
  const countBits = number('desc_ring.count_bits');
  const sizeBits = number('text_data_ring.size_bits');
  if (countBits === 0n || countBits > 20n || sizeBits < countBits || sizeBits > 30n) return null;
  const count = Math.min(2 ** Number(countBits), MOST_RECORDS);
  const infos = read.bytes(number('desc_ring.infos'), count * infoType.size);
  const descriptors = read.bytes(number('desc_ring.descs'), count * descriptorType.size);
  if (infos === null || descriptors === null) return null;
  // Tables of offsets that were made before this was asked for lack it: then neither state nor id is looked at.
  const hasState = descriptorType.field('state_var') !== undefined;
  const info = memberReader(infos, infoType, kernel);
  const descriptor = memberReader(descriptors, descriptorType, kernel);
  const data = number('text_data_ring.data');
  const mask = (1n << sizeBits) - 1n;
  const word = kernel.bits / 8;
  const stateShift = BigInt(kernel.bits - 2);
  const idMask = (1n << stateShift) - 1n;
  const records: LogRecord[] = [];
  for (let index = 0; index < count; index++) {
    const length = Number(info(index, 'text_len'));
    if (length === 0 || length > LONGEST_TEXT) continue;
    const begin = descriptor(index, 'text_blk_lpos.begin');
    const next = descriptor(index, 'text_blk_lpos.next');
    // Blocks are aligned to words: an odd position says that there is no text.
    if ((begin & 1n) !== 0n) continue;
    // A block that would cross the end of the buffer starts over at its beginning.
    const wraps = (begin & ~mask) !== (next & ~mask) && (next & mask) !== 0n;
    const block = read.bytes(data + (wraps ? 0n : begin & mask), word + length);
    if (block === null) continue;
    // The lower bits of a descriptor's word are its id, which the block repeats.
    const id = new Words(block, kernel).word(0);
    if (hasState) {
      const stateAndId = descriptor(index, 'state_var');
      const state = stateAndId >> stateShift;
      if (state !== DESC_COMMITTED && state !== DESC_FINALIZED) continue;
      if (((stateAndId ^ id) & idMask) !== 0n) continue;
    }
    records.push({
      sequence: info(index, 'seq'),
      nanoseconds: info(index, 'ts_nsec'),
      text: latin1(block, word),
    });
  }
  return { records: inOrder(records), layout: 'printk_ringbuffer (5.10 and later)' };
}

const inOrder = (records: LogRecord[]): LogRecord[] =>
  records.sort((left, right) => (left.sequence < right.sequence ? -1 : 1));

/** A member of the structure with a number in an array that was read whole. */
function memberReader(bytes: Uint8Array, type: StructType, kernel: Kernel): (index: number, path: string) => bigint {
  const words = new Words(bytes, kernel);
  const places = new Map<string, { readonly offset: number; readonly size: number }>();
  return (index, path) => {
    let place = places.get(path);
    if (place === undefined) {
      // atomic_long_t has its number inside.
      const field = type.field(`${path}.counter`) ?? type.field(path);
      if (!field) return 0n;
      place = { offset: field.offset, size: field.size };
      places.set(path, place);
    }
    const at = index * type.size + place.offset;
    if (place.size === 8) return words.uint64(at);
    return BigInt(place.size === 4 ? words.uint32(at) : place.size === 2 ? words.uint16(at) : words.uint8(at));
  };
}

/**
 * struct printk_log (7ff9554bb578, 3.5, to 5.9): records with their own length, one behind the other; a length of 0 says
 * that the next one is at the buffer's start. No kernel of that age was at hand to judge this.
 */
export function readLogBuffer(kernel: Kernel, buffer: LogBuffer, layout: PrintkLogLayout): KernelLog | null {
  if (buffer.length <= 0 || buffer.length > LARGEST_BUFFER) return null;
  const bytes = new MemoryReader(kernel).bytes(buffer.address, buffer.length);
  if (bytes === null) return null;
  const words = new Words(bytes, kernel);
  const records: LogRecord[] = [];
  let at = buffer.first;
  let wrapped = buffer.first <= buffer.next;
  while (records.length < MOST_RECORDS && !(wrapped && at >= buffer.next)) {
    const hasHeader = at + layout.header <= bytes.length;
    const length = hasHeader ? words.uint16(at + layout.length) : 0;
    if (length === 0) {
      if (wrapped) break;
      wrapped = true;
      at = 0;
      continue;
    }
    const text = words.uint16(at + layout.textLength);
    const start = at + layout.header;
    if (length < layout.header || start + text > bytes.length) break;
    records.push({
      sequence: BigInt(records.length),
      nanoseconds: words.uint64(at + layout.nanoseconds),
      text: latin1(bytes, start, start + text),
    });
    at += length;
  }
  return { records, layout: 'printk_log (before 5.10)' };
}

/** struct printk_log by the kernel's own types; else as 4.8 to 5.0 have it (since 5.1 a caller may follow). */
export function printkLogLayout({ types }: Kernel): PrintkLogLayout {
  if (!types?.hasStruct('printk_log')) return { header: 16, nanoseconds: 0, length: 8, textLength: 10 };
  const type = types.struct('printk_log');
  return {
    header: type.size,
    nanoseconds: type.offset('ts_nsec'),
    length: type.offset('len'),
    textLength: type.offset('text_len'),
  };
}

/** As dmesg prints it: a stamp before each line. */
export function logText({ records }: KernelLog): string {
  return records
    .flatMap(({ nanoseconds, text }) => {
      const seconds = (nanoseconds / 1_000_000_000n).toString().padStart(5);
      const micros = ((nanoseconds % 1_000_000_000n) / 1000n).toString().padStart(6, '0');
      return text.split('\n').map((line) => `[${seconds}.${micros}] ${line}\n`);
    })
    .join('');
}
