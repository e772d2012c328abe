/**
 * xz as kernels use it: one LZMA2 stream behind a branch filter of the architecture. The library decodes LZMA2 but none of
 * the filters, so each block is handed to it under headers of its own (no filter, no check) and the filter is undone here.
 * LZMA2's chunk headers tell the unpacked size in advance: a decompression bomb is refused before a byte is decoded.
 */
import xzDecompress from 'xz-decompress';
import { badInput, hex, UsercopyError } from '../../errors.js';
import { LITTLE, Words } from '../words.js';
import { undoBranchFilter } from './bcj.js';
import { OutputBuffer } from './output.js';
import type { Zlib } from './zlib.js';

const HEADER_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] as const;
const FOOTER_MAGIC = [0x59, 0x5a] as const;
const LZMA2 = 0x21;
const WHERE = 'xz payload';
/** Largest dictionary that the library accepts, as its header byte: 64 MiB. */
const LARGEST_DICTIONARY = 28;

export function isXz(bytes: Uint8Array, offset: number): boolean {
  return HEADER_MAGIC.every((byte, index) => bytes[offset + index] === byte);
}

/** Unpacks the first stream at the start of `bytes`. Errors: corrupt or truncated data, more than `limit` bytes. */
export async function decompressXz(bytes: Uint8Array, limit: number, { crc32 }: Zlib): Promise<Uint8Array> {
  const reader = new Reader(bytes);
  reader.skip(HEADER_MAGIC.length + 1);
  const check = reader.byte() & 0xf;
  reader.skip(4);
  const blocks: Block[] = [];
  let size = 0;
  while (reader.peek() !== 0) {
    const block = readBlock(reader, check);
    size += block.size;
    if (size > limit) throw badInput(WHERE, `at most ${limit} bytes when unpacked`, `at least ${size}`);
    blocks.push(block);
  }
  const output = new OutputBuffer(WHERE, size, size);
  for (const block of blocks) {
    const from = output.length;
    await decodeBlock(block, output, crc32);
    const unpacked = output.bytes.subarray(from, output.length);
    for (const filter of block.filters) undoBranchFilter(filter, unpacked);
    if (block.crc32 !== null && crc32(unpacked) !== block.crc32)
      throw badInput(WHERE, `the checksum ${block.crc32.toString(16)}`, crc32(unpacked).toString(16));
  }
  return output.finish();
}

interface Block {
  /** Branch filters, in the order in which they are undone. */
  readonly filters: readonly number[];
  readonly dictionary: number;
  readonly lzma2: Uint8Array;
  /** Bytes when unpacked. */
  readonly size: number;
  readonly crc32: number | null;
}

class Reader {
  at = 0;
  constructor(readonly bytes: Uint8Array) {}

  peek(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw badInput(WHERE, 'a whole xz stream', `its end after ${this.bytes.length} bytes`);
    return byte;
  }

  byte(): number {
    const byte = this.peek();
    this.at++;
    return byte;
  }

  uint16(): number {
    return (this.byte() << 8) | this.byte();
  }

  skip(count: number): void {
    this.at += count;
    if (this.at > this.bytes.length)
      throw badInput(WHERE, 'a whole xz stream', `its end after ${this.bytes.length} bytes`);
  }

  variableLength(): number {
    let value = 0;
    for (let shift = 1; shift <= 2 ** 42; shift *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
    throw badInput(WHERE, 'a number below 2^49', 'a longer one');
  }
}

function readBlock(reader: Reader, check: number): Block {
  const start = reader.at;
  const headerSize = (reader.byte() + 1) * 4;
  const flags = reader.byte();
  if (flags & 0x40) reader.variableLength();
  if (flags & 0x80) reader.variableLength();
  const filters: number[] = [];
  let dictionary = -1;
  for (let left = (flags & 3) + 1; left > 0; left--) {
    const id = reader.variableLength();
    const propertySize = reader.variableLength();
    if (id === LZMA2 && propertySize === 1) dictionary = reader.byte();
    else {
      filters.unshift(id);
      if (propertySize !== 0) throw badInput(WHERE, 'a branch filter without a start offset', `filter ${id} with one`);
    }
  }
  if (dictionary < 0) throw badInput(WHERE, 'LZMA2 as the last filter', 'none');
  reader.at = start;
  reader.skip(headerSize);
  const from = reader.at;
  const size = skipLzma2(reader);
  const lzma2 = reader.bytes.subarray(from, reader.at);
  reader.skip(-lzma2.length & 3);
  const checkAt = reader.at;
  const checkSize = check === 0 ? 0 : 4 << Math.floor((check - 1) / 3);
  reader.skip(checkSize);
  const stored = check === 1 ? new Words(reader.bytes, LITTLE).uint32(checkAt) : null;
  return { filters, dictionary, lzma2, size, crc32: stored };
}

/** Goes past LZMA2 data by its chunk headers; answers the bytes it unpacks to. */
function skipLzma2(reader: Reader): number {
  let size = 0;
  for (;;) {
    const control = reader.byte();
    if (control === 0) return size;
    if (control >= 0x80) {
      size += ((control & 0x1f) << 16) + reader.uint16() + 1;
      reader.skip(reader.uint16() + 1 + (control >= 0xc0 ? 1 : 0));
    } else if (control <= 2) {
      const length = reader.uint16() + 1;
      size += length;
      reader.skip(length);
    } else throw badInput(WHERE, 'an LZMA2 chunk', `control byte ${hex(control)}`);
  }
}

async function decodeBlock(block: Block, output: OutputBuffer, crc32: Zlib['crc32']): Promise<void> {
  const parts = bareStream(block, crc32);
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(part);
    },
  });
  const end = output.length + block.size;
  try {
    const reader = new xzDecompress.XzReadableStream(source).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      output.append(value);
    }
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(WHERE, 'well-formed LZMA2 data', `corrupt data (${error instanceof Error ? error.message : error})`);
  }
  if (output.length !== end)
    throw badInput(WHERE, `${block.size} bytes in a block`, `${block.size - (end - output.length)}`);
}

/** The block as an xz stream with no filter but LZMA2 and no check: header, data, index, footer. */
function bareStream(block: Block, crc32: Zlib['crc32']): Uint8Array[] {
  const withChecksum = (part: readonly number[]): number[] => [...part, ...littleEndian(crc32(Uint8Array.from(part)))];
  const streamFlags = [0, 0];
  const header = [...HEADER_MAGIC, ...withChecksum(streamFlags)];
  const blockHeader = withChecksum([2, 0, LZMA2, 1, dictionaryFor(block), 0, 0, 0]);
  const index = [0, 1, ...variableLength(blockHeader.length + block.lzma2.length), ...variableLength(block.size)];
  while (index.length % 4 !== 0) index.push(0);
  const indexWithChecksum = withChecksum(index);
  const backward = littleEndian(indexWithChecksum.length / 4 - 1);
  const footer = [...littleEndian(crc32(Uint8Array.from([...backward, ...streamFlags]))), ...backward, ...streamFlags];
  return [
    Uint8Array.from([...header, ...blockHeader]),
    block.lzma2,
    Uint8Array.from([...new Array(-block.lzma2.length & 3).fill(0), ...indexWithChecksum, ...footer, ...FOOTER_MAGIC]),
  ];
}

/** No more dictionary than the block is long: from 6.12 on kernels declare 128 MiB, whatever their size. */
function dictionaryFor({ dictionary, size }: Block): number {
  let enough = 0;
  while ((2 | (enough & 1)) * 2 ** (Math.floor(enough / 2) + 11) < size) enough++;
  return Math.min(dictionary, enough, LARGEST_DICTIONARY);
}

function littleEndian(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

function variableLength(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}
