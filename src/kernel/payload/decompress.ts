/** Payloads of boot images and side files, told apart by their magic. */
import { crc32, inflateRawSync, type ZlibOptions } from 'node:zlib';
import { badInput, UsercopyError } from '../../errors.js';
import { decompressBzip2, isBzip2 } from './bzip2.js';
import { decompressLz4, isLz4 } from './lz4.js';
import { decompressLzma, isLzma } from './lzma.js';
import { decompressLzo, isLzo } from './lzo.js';
import { decompressXz, isXz } from './xz.js';
import { decompressZstd, isZstd } from './zstd.js';

/** Largest kernel that is believed, unpacked; bytes. */
export const UNPACKED_LIMIT = 512 << 20;

/** Unpacks the payload at `offset`; null where no known format begins there. */
export async function decompress(
  bytes: Uint8Array,
  offset: number,
  limit: number,
): Promise<{ readonly bytes: Uint8Array; readonly format: string } | null> {
  if (offset < 0 || offset + 16 > bytes.length) return null;
  const magic = new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
  const packed = bytes.subarray(offset);
  if ((magic & 0xffffff) === 0x088b1f) return { bytes: decompressGzip(packed, limit), format: 'gzip' };
  if (isZstd(magic)) return { bytes: await decompressZstd(packed, limit), format: 'zstd' };
  if (isLz4(magic)) return { bytes: decompressLz4(packed, limit), format: 'lz4' };
  if (isXz(bytes, offset)) return { bytes: await decompressXz(packed, limit), format: 'xz' };
  if (isBzip2(bytes, offset)) return { bytes: await decompressBzip2(packed, limit), format: 'bzip2' };
  if (isLzo(bytes, offset)) return { bytes: decompressLzo(packed, limit), format: 'lzo' };
  if (isLzma(bytes, offset)) return { bytes: await decompressLzma(packed, limit), format: 'lzma' };
  return null;
}

/** The first member. Node's own gunzip would take what follows a payload inside a boot image for the next member. */
function decompressGzip(bytes: Uint8Array, limit: number): Uint8Array {
  const start = gzipHeaderSize(bytes);
  try {
    // `info` is not in the types: it tells how many bytes were read.
    const result = inflateRawSync(bytes.subarray(start), {
      maxOutputLength: limit,
      info: true,
    } as ZlibOptions) as unknown;
    const { buffer, engine } = result as { buffer: Uint8Array; engine: { bytesWritten: number } };
    const trailer = new DataView(bytes.buffer, bytes.byteOffset + start + engine.bytesWritten, 4);
    const expected = trailer.getUint32(0, true);
    if (crc32(buffer) !== expected)
      throw badInput('gzip payload', `the checksum ${expected.toString(16)}`, crc32(buffer).toString(16));
    return buffer;
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    if (error instanceof RangeError && (error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE')
      throw badInput('gzip payload', 'a checksum at its end', 'the end of the file');
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw badInput('gzip payload', `at most ${limit} bytes when unpacked`, 'more (a decompression bomb?)');
    throw badInput('gzip payload', 'a well-formed stream', `corrupt data (${(error as Error).message})`);
  }
}

/** RFC 1952, section 2.3. */
function gzipHeaderSize(bytes: Uint8Array): number {
  const flags = bytes[3]!;
  let at = 10;
  if (flags & 4) at += 2 + (bytes[at]! | (bytes[at + 1]! << 8));
  for (const flag of [8, 16]) if (flags & flag) at = bytes.indexOf(0, at) + 1 || bytes.length;
  return Math.min(at + (flags & 2 ? 2 : 0), bytes.length);
}
