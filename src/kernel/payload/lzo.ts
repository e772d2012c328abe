/**
 * LZO1X inside the container of `lzop`, as CONFIG_KERNEL_LZO writes it. No npm package of it is kept and runs in Node,
 * so the decoder is our own, after the description in the kernel's Documentation/staging/lzo.rst.
 */
import { badInput } from '../../errors.js';
import { BIG, Words } from '../words.js';
import { OutputBuffer } from './output.js';

const MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a] as const;
const ADLER32_DATA = 0x1;
const ADLER32_COMPRESSED = 0x2;
const EXTRA_FIELD = 0x40;
const CRC32_DATA = 0x100;
const CRC32_COMPRESSED = 0x200;
const FILTER = 0x800;

export function isLzo(bytes: Uint8Array, offset: number): boolean {
  return MAGIC.every((byte, index) => bytes[offset + index] === byte);
}

/** Unpacks an lzop file at the start of `bytes`. Errors: corrupt or truncated data, more than `limit` bytes. */
export function decompressLzo(bytes: Uint8Array, limit: number): Uint8Array {
  const view = new Words(bytes, BIG);
  const output = new OutputBuffer('LZO payload', limit, bytes.length * 3);
  try {
    let at = MAGIC.length;
    const version = view.uint16(at);
    // version, library version, [version needed], method, [level]
    at += version >= 0x940 ? 8 : 5;
    const flags = view.uint32(at);
    at += 4;
    if (flags & FILTER) at += 4;
    // mode, mtime low, [mtime high]
    at += version >= 0x940 ? 12 : 8;
    at += 1 + view.uint8(at);
    at += 4; // header checksum
    if (flags & EXTRA_FIELD) at += 4 + view.uint32(at) + 4;
    for (;;) {
      const unpacked = view.uint32(at);
      at += 4;
      if (unpacked === 0) break;
      const packed = view.uint32(at);
      at += 4;
      if (flags & ADLER32_DATA) at += 4;
      if (flags & CRC32_DATA) at += 4;
      if (packed < unpacked) {
        if (flags & ADLER32_COMPRESSED) at += 4;
        if (flags & CRC32_COMPRESSED) at += 4;
      }
      if (packed > unpacked || at + packed > bytes.length)
        throw badInput('LZO payload', `a block of ${packed} bytes`, `${bytes.length - at} bytes left in the file`);
      if (packed === unpacked) output.append(bytes.subarray(at, at + packed));
      else {
        const from = output.length;
        output.grow(from + unpacked);
        decodeBlock(bytes.subarray(at, at + packed), output.bytes.subarray(from, from + unpacked));
        output.length = from + unpacked;
      }
      at += packed;
    }
  } catch (error) {
    if (error instanceof RangeError) throw badInput('LZO payload', 'a whole lzop file', 'one that is cut short');
    throw error;
  }
  return output.finish();
}

/** Decodes one LZO1X block that fills `output` exactly. */
export function decodeBlock(input: Uint8Array, output: Uint8Array): void {
  let from = 0;
  let to = 0;
  /** Literals that the last instruction brought: 0 to 3, or 4 for a longer run. */
  let state = 0;

  const corrupt = (what: string) => badInput('LZO payload', 'a well-formed LZO1X block', what);
  const next = (): number => {
    const byte = input[from++];
    if (byte === undefined) throw corrupt('an instruction past its end');
    return byte;
  };
  const extended = (mask: number): number => {
    let length = mask;
    let byte = next();
    while (byte === 0) {
      length += 255;
      byte = next();
    }
    return length + byte;
  };
  const literals = (count: number): void => {
    if (from + count > input.length || to + count > output.length) throw corrupt(`${count} literals too many`);
    // Inside of both: just checked.
    for (let i = 0; i < count; i++) output[to++] = input[from++]!;
  };
  const match = (distance: number, length: number): void => {
    if (distance > to || to + length > output.length) throw corrupt(`a match ${distance} bytes back`);
    // Inside: just checked.
    for (let i = 0; i < length; i++, to++) output[to] = output[to - distance]!;
  };

  const [first = 0] = input;
  if (first > 17) {
    from = 1;
    const count = first - 17;
    literals(count);
    state = count < 4 ? count : 4;
  }
  for (;;) {
    const instruction = next();
    if (instruction >= 64) {
      match((next() << 3) + ((instruction >> 2) & 7) + 1, (instruction >> 5) + 1);
      state = instruction & 3;
    } else if (instruction >= 32) {
      const length = (instruction & 31 || extended(31)) + 2;
      const low = next();
      match((((next() << 8) | low) >> 2) + 1, length);
      state = low & 3;
    } else if (instruction >= 16) {
      const length = (instruction & 7 || extended(7)) + 2;
      const low = next();
      const distance = 16384 + ((instruction & 8) << 11) + (((next() << 8) | low) >> 2);
      if (distance === 16384) {
        if (to !== output.length) throw corrupt(`an end after ${to} of ${output.length} bytes`);
        return;
      }
      match(distance, length);
      state = low & 3;
    } else if (state === 0) {
      literals((instruction || extended(15)) + 3);
      state = 4;
      continue;
    } else if (state === 4) {
      match((next() << 2) + (instruction >> 2) + 2049, 3);
      state = instruction & 3;
    } else {
      match((next() << 2) + (instruction >> 2) + 1, 2);
      state = instruction & 3;
    }
    literals(state);
  }
}
