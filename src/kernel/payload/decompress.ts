/** Payloads of boot images and side files, told apart by their magic. */
import { badInput, messageOf } from '../../errors.js';
import { LITTLE, Words } from '../words.js';
import { decompressBzip2, isBzip2 } from './bzip2.js';
import { decompressLz4, isLz4 } from './lz4.js';
import { decompressLzma, isLzma } from './lzma.js';
import { decompressLzo, isLzo } from './lzo.js';
import { decompressXz, isXz } from './xz.js';
import type { Zlib } from './zlib.js';
import { decompressZstd, isZstd } from './zstd.js';

/** Largest kernel that is believed, unpacked; bytes. */
export const UNPACKED_LIMIT = 512 << 20;

/**
 * Unpacks the payload at `offset`; null where no known format begins there.
 * @throws UsercopyError `bad-input` for corrupt or truncated data, and for more than `limit` bytes.
 */
export async function decompress(
  bytes: Uint8Array,
  offset: number,
  limit: number,
  zlib: Zlib,
): Promise<{ readonly bytes: Uint8Array; readonly format: string } | null> {
  if (offset < 0 || offset + 16 > bytes.length) return null;
  const magic = new Words(bytes, LITTLE).uint32(offset);
  const packed = bytes.subarray(offset);
  if ((magic & 0xffffff) === 0x088b1f) return { bytes: decompressGzip(packed, limit, zlib), format: 'gzip' };
  if (isZstd(magic)) return { bytes: await decompressZstd(packed, limit), format: 'zstd' };
  if (isLz4(magic)) return { bytes: decompressLz4(packed, limit), format: 'lz4' };
  if (isXz(bytes, offset)) return { bytes: await decompressXz(packed, limit, zlib), format: 'xz' };
  if (isBzip2(bytes, offset)) return { bytes: await decompressBzip2(packed, limit), format: 'bzip2' };
  if (isLzo(bytes, offset)) return { bytes: decompressLzo(packed, limit), format: 'lzo' };
  if (isLzma(bytes, offset)) return { bytes: await decompressLzma(packed, limit), format: 'lzma' };
  return null;
}

/** The first member: what follows a payload inside a boot image is no next one. */
const decompressGzip = (bytes: Uint8Array, limit: number, zlib: Zlib): Uint8Array =>
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
