import { UsercopyError } from '../src/errors.js';
import type { ImageTools } from './driver.js';

/** First four bytes, little endian, of every compression that a kernel's build offers; gzip's fourth byte varies. */
const MAGICS = new Set([
  0x587a37fd, 0xfd2fb528, 0x184c2102, 0x4f5a4c89, 0x0000005d, 0x00005d00, 0x39685a42, 0x00088b1f,
]);
const ATTEMPTS = 16;

/**
 * For boot wrappers that do not say where their payload begins: tries every place with a known magic in [from, bytes.length)
 * until one unpacks to something that `accept` takes. A decompressor holds the magics among its constants too, so
 * failures are expected; their number is bounded. Null when nothing was accepted.
 *
 * @param limit most bytes that may come out
 */
export async function scanForPayload(
  bytes: Uint8Array,
  from: number,
  limit: number,
  tools: ImageTools,
  accept: (unpacked: Uint8Array, offset: number) => boolean,
): Promise<{ readonly bytes: Uint8Array; readonly format: string } | null> {
  let attempts = 0;
  let word = 0;
  for (let next = from; next < bytes.length && attempts < ATTEMPTS; next++) {
    word = (word >>> 8) | ((bytes[next] ?? 0) << 24);
    const magic = word >>> 0;
    if (!MAGICS.has(magic) && (magic & 0xf0ffffff) !== 0x00088b1f) continue;
    const offset = next - 3;
    if (offset < from) continue;
    try {
      const unpacked = await tools.decompress(bytes, offset, limit);
      if (unpacked === null) continue;
      attempts++;
      if (accept(unpacked.bytes, offset)) return unpacked;
    } catch (error) {
      if (!(error instanceof UsercopyError) || error.kind !== 'bad-input') throw error;
      attempts++;
    }
  }
  return null;
}
