/**
 * LZ4 as kernels use it: the legacy frame that `lz4 -l` writes, and the current frame. The npm libraries know only the
 * latter and trust the offsets in it; both need the same forty lines of block decoder.
 */
import { badInput } from '../../errors.js';
import { LITTLE, Words } from '../words.js';
import { OutputBuffer } from './output.js';

const LEGACY_MAGIC = 0x184c2102;
const FRAME_MAGIC = 0x184d2204;
const LEGACY_BLOCK = 8 << 20;

/** Unpacks an LZ4 legacy frame or frame at the start of `bytes`. Errors: corrupt or truncated data, more than `limit` bytes. */
export function decompressLz4(bytes: Uint8Array, limit: number): Uint8Array {
  const view = new Words(bytes, LITTLE);
  const output = new OutputBuffer('LZ4 payload', limit, bytes.length * 4);
  if (view.uint32(0) === LEGACY_MAGIC) legacyFrame(view, output);
  else frame(view, output);
  return output.finish();
}

export function isLz4(magic: number): boolean {
  return magic === LEGACY_MAGIC || magic === FRAME_MAGIC;
}

function legacyFrame(view: Words, output: OutputBuffer): void {
  const { bytes } = view;
  let at = 4;
  while (at + 4 <= bytes.length) {
    const length = view.uint32(at);
    at += 4;
    if (length === LEGACY_MAGIC) continue;
    // The kernel's build appends the unpacked size; no other end is marked.
    if (at === bytes.length && length === output.length) return;
    if (length === 0 || at + length > bytes.length) {
      if (output.length > 0 && length > LEGACY_BLOCK + LEGACY_BLOCK / 255 + 16) return;
      throw badInput('LZ4 payload', `a block of ${length} bytes`, `${bytes.length - at} bytes left in the file`);
    }
    decodeBlock(view, at, at + length, output, output.length);
    at += length;
  }
}

function frame(view: Words, output: OutputBuffer): void {
  const { bytes } = view;
  const flags = bytes[4] ?? 0;
  if (flags >> 6 !== 1) throw badInput('LZ4 payload', 'version 1 of the frame format', `version ${flags >> 6}`);
  const independent = (flags & 0x20) !== 0;
  const blockChecksum = (flags & 0x10) !== 0 ? 4 : 0;
  let at = 7 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0);
  for (;;) {
    if (at + 4 > bytes.length) throw badInput('LZ4 payload', 'an end mark', 'the end of the file');
    const word = view.uint32(at);
    at += 4;
    if (word === 0) return;
    const length = word & 0x7fffffff;
    if (at + length > bytes.length)
      throw badInput('LZ4 payload', `a block of ${length} bytes`, `${bytes.length - at} bytes left in the file`);
    if (word >>> 31 === 1) output.append(bytes.subarray(at, at + length));
    else decodeBlock(view, at, at + length, output, independent ? output.length : 0);
    at += length + blockChecksum;
  }
}

/** Decodes one block; matches may reach back to `windowStart` of the output. */
function decodeBlock(view: Words, start: number, end: number, output: OutputBuffer, windowStart: number): void {
  const input = view.bytes;
  let from = start;
  let to = output.length;
  let out = output.bytes;
  while (from < end) {
    const token = view.uint8(from++);
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && from < end) {
        more = view.uint8(from++);
        literals += more;
      }
    }
    if (from + literals > end) throw badInput('LZ4 payload', 'literals inside the block', `${literals} bytes of them`);
    if (to + literals > out.length) out = output.grow(to + literals);
    if (literals > 32) out.set(input.subarray(from, from + literals), to);
    else for (let i = 0; i < literals; i++) out[to + i] = view.uint8(from + i);
    from += literals;
    to += literals;
    if (from >= end) break;
    const distance = from + 2 > end ? 0 : view.uint16(from);
    from += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let more = 255;
      while (more === 255 && from < end) {
        more = view.uint8(from++);
        length += more;
      }
    }
    if (from > end || distance === 0 || to - distance < windowStart)
      throw badInput('LZ4 payload', 'a match inside what was unpacked so far', `one ${distance} bytes back`);
    if (to + length > out.length) out = output.grow(to + length);
    if (distance >= length && length > 32) out.copyWithin(to, to - distance, to - distance + length);
    // `distance` is at most `to`, and there is room for `length`.
    else for (let i = 0; i < length; i++) out[to + i] = out[to + i - distance]!;
    to += length;
  }
  output.length = to;
}
