/** Payloads of boot images and side files, told apart by their magic. */
import { gunzipSync } from 'node:zlib';
import type { ImageTools } from '../../../arch/driver.js';
import { badInput } from '../../errors.js';
import { decompressBzip2, isBzip2 } from './bzip2.js';
import { decompressLz4, isLz4 } from './lz4.js';
import { decompressLzma, isLzma } from './lzma.js';
import { decompressLzo, isLzo } from './lzo.js';
import { decompressXz, isXz } from './xz.js';
import { decompressZstd, isZstd } from './zstd.js';

/** Largest kernel that is believed, unpacked; bytes. */
export const UNPACKED_LIMIT = 512 << 20;

/** Unpacks the payload at `offset`; see `ImageTools.decompress`. */
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

/** What boot wrappers get. */
export const imageTools: ImageTools = { decompress };

function decompressGzip(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: limit });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ERR_BUFFER_TOO_LARGE')
      throw badInput('gzip payload', `at most ${limit} bytes when unpacked`, 'more (a decompression bomb?)');
    throw badInput('gzip payload', 'a well-formed stream', `corrupt data (${(error as Error).message})`);
  }
}
