/** Payloads of boot images and side files, told apart by their magic. */
import { LITTLE, Words } from '../words.js';
import { decompressBzip2, isBzip2 } from './bzip2.js';
import { decompressGzip, isGzip } from './gzip.js';
import { decompressLz4, isLz4 } from './lz4.js';
import { decompressLzma, isLzma } from './lzma.js';
import { decompressLzo, isLzo } from './lzo.js';
import { decompressXz, isXz } from './xz.js';
import type { Zlib } from './zlib.js';
import { decompressZstd, isSkippable, isZstd } from './zstd.js';

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
  const words = new Words(bytes, LITTLE);
  let start = offset;
  const isThere = (): boolean => start >= 0 && start + 16 <= bytes.length;
  while (isThere() && isSkippable(words.uint32(start))) start += 8 + words.uint32(start + 4);
  if (!isThere()) return null;
  const magic = words.uint32(start);
  const packed = bytes.subarray(start);
  if (isGzip(bytes, start)) return { bytes: decompressGzip(packed, limit, zlib), format: 'gzip' };
  if (isZstd(magic)) return { bytes: await decompressZstd(packed, limit), format: 'zstd' };
  if (isLz4(magic)) return { bytes: decompressLz4(packed, limit), format: 'lz4' };
  if (isXz(bytes, start)) return { bytes: await decompressXz(packed, limit, zlib), format: 'xz' };
  if (isBzip2(bytes, start)) return { bytes: await decompressBzip2(packed, limit), format: 'bzip2' };
  if (isLzo(bytes, start)) return { bytes: decompressLzo(packed, limit), format: 'lzo' };
  if (isLzma(bytes, start)) return { bytes: await decompressLzma(packed, limit), format: 'lzma' };
  return null;
}
