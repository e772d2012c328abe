/** A file that lies in memory: what a browser was given. */
import type { ByteSource } from './file.js';

/** @param path names it in errors */
export function memorySource(bytes: Uint8Array, path: string): ByteSource {
  const isThere = (offset: number, length: number): boolean =>
    Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= bytes.length;
  return {
    path,
    size: bytes.length,
    read: (offset, length) => (isThere(offset, length) ? bytes.subarray(offset, offset + length) : undefined),
    readInto(offset, target) {
      if (!isThere(offset, target.length)) return false;
      target.set(bytes.subarray(offset, offset + target.length));
      return true;
    },
    extents: (start, end) => (start < bytes.length ? [{ start, end: Math.min(end, bytes.length) }] : []),
    close() {},
  };
}
