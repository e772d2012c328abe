/** zlib in JavaScript, through `pako`: half as fast as native code, and without Node.js. */
import { Z_BUF_ERROR, Z_FINISH, Z_OK, Z_STREAM_END, ZStream, zlibInflate, zlibInflateInit2 } from 'pako';
import type { Zlib } from './zlib.js';

/** zlib's `windowBits`: the largest window; negative for a raw stream. */
const WINDOW_BITS = 15;
const PIECE = 1 << 18;
const POLYNOMIAL = 0xedb88320;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
  return remainder;
});

function crc32(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  const table = CRC_TABLE;
  // An index below the length, and a byte in a table of 256: both are there.
  for (let at = 0; at < bytes.length; at++) remainder = (remainder >>> 8) ^ table[(remainder ^ bytes[at]!) & 0xff]!;
  return ~remainder >>> 0;
}

/** What `unpack()` gives for a stream that is not whole. */
type Broken = 'throw' | 'keep';

interface Unpacked {
  readonly bytes: Uint8Array;
  /** Packed bytes that were read. */
  readonly read: number;
  /** False: the stream is damaged or ends too early; `bytes` is what was there before that was noticed. */
  readonly whole: boolean;
}

function unpack(bytes: Uint8Array, windowBits: number, limit: number, broken: Broken): Unpacked | null {
  const stream = new ZStream();
  const failed = (code: number): Error => new Error(stream.msg || `zlib's error ${code}`);
  const begun = zlibInflateInit2(stream, windowBits);
  if (begun !== Z_OK) throw failed(begun);
  stream.input = bytes;
  stream.avail_in = bytes.length;
  const pieces: Uint8Array[] = [];
  let length = 0;
  let whole = true;
  for (;;) {
    stream.output = new Uint8Array(PIECE);
    stream.next_out = 0;
    stream.avail_out = PIECE;
    const code = zlibInflate(stream, Z_FINISH);
    length += stream.next_out;
    if (length > limit) return null;
    pieces.push(stream.output.subarray(0, stream.next_out));
    if (code === Z_STREAM_END) break;
    // Z_FINISH answers Z_BUF_ERROR where more room is wanted, and where the input ends too early.
    const isDamaged = code !== Z_BUF_ERROR && code !== Z_OK;
    if (!isDamaged && stream.avail_out === 0) continue;
    if (broken === 'throw') throw isDamaged ? failed(code) : new Error('unexpected end of file');
    whole = false;
    break;
  }
  const result = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return { bytes: result, read: stream.total_in, whole };
}

export const portableZlib: Zlib = Object.freeze({
  crc32,
  inflateRaw: (bytes: Uint8Array, limit: number) => unpack(bytes, -WINDOW_BITS, limit, 'throw'),
  inflate: (bytes: Uint8Array, limit: number) => unpack(bytes, WINDOW_BITS, limit, 'throw')?.bytes ?? null,
});

/** A zlib stream as far as it can be read; null for more than `limit` bytes. */
export const inflateSome = (bytes: Uint8Array, limit: number): Unpacked | null =>
  unpack(bytes, WINDOW_BITS, limit, 'keep');
