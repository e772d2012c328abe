/** gzip (RFC 1952), DEFLATE as the place offers it. */
import { badInput, messageOf } from '../../errors.js';
import { LITTLE, Words } from '../words.js';
import type { Zlib } from './zlib.js';

/** The magic, and DEFLATE as its method. */
export function isGzip(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset] === 0x1f && bytes[offset + 1] === 0x8b && bytes[offset + 2] === 8;
}

/** The first member: what follows a payload inside a boot image is no next one. */
export const decompressGzip = (bytes: Uint8Array, limit: number, zlib: Zlib): Uint8Array =>
  gzipMember(bytes, limit, zlib).bytes;

/** Every member of a gzip file, one after the other: what tools leave that append. `limit` holds for each. */
export function* decompressGzipMembers(bytes: Uint8Array, limit: number, zlib: Zlib): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at);
    // Zeros fill up a last block.
    if (at > 0 && rest.every((byte) => byte === 0)) return;
    const { bytes: unpacked, read } = gzipMember(rest, limit, zlib);
    yield unpacked;
    at += read;
  }
}

function gzipMember(bytes: Uint8Array, limit: number, zlib: Zlib): { bytes: Uint8Array; read: number } {
  const start = gzipHeaderSize(bytes);
  let unpacked: ReturnType<Zlib['inflateRaw']>;
  try {
    unpacked = zlib.inflateRaw(bytes.subarray(start), limit);
  } catch (error) {
    throw badInput('gzip payload', 'a well-formed stream', `corrupt data (${messageOf(error)})`);
  }
  if (unpacked === null)
    throw badInput('gzip payload', `at most ${limit} bytes when unpacked`, 'more (a decompression bomb?)');
  const trailer = start + unpacked.read;
  if (trailer + 4 > bytes.length) throw badInput('gzip payload', 'a checksum at its end', 'the end of the file');
  const expected = new Words(bytes, LITTLE).uint32(trailer);
  const found = zlib.crc32(unpacked.bytes);
  if (found !== expected) throw badInput('gzip payload', `the checksum ${expected.toString(16)}`, found.toString(16));
  return { bytes: unpacked.bytes, read: trailer + 8 };
}

/** RFC 1952, section 2.3. */
function gzipHeaderSize(bytes: Uint8Array): number {
  const flags = bytes[3] ?? 0;
  let at = 10;
  if (flags & 4) at += 2 + ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
  for (const flag of [8, 16]) if (flags & flag) at = bytes.indexOf(0, at) + 1 || bytes.length;
  return Math.min(at + (flags & 2 ? 2 : 0), bytes.length);
}
