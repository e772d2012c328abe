/** zlib as Node.js has it. */
import { crc32, inflateRawSync, inflateSync, type ZlibOptions } from 'node:zlib';
import type { Zlib } from '../kernel/payload/zlib.js';

/** What `work` gives; null when it would be longer than its `maxOutputLength`. */
function within<Result>(work: () => Result): Result | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw error;
  }
}

export const nativeZlib: Zlib = Object.freeze({
  crc32,
  inflateRaw: (bytes: Uint8Array, limit: number) =>
    within(() => {
      // @types/node does not know what `info` makes of the result: it tells how many bytes were read.
      const result: unknown = inflateRawSync(bytes, { maxOutputLength: limit, info: true } as ZlibOptions);
      // As Node.js documents it.
      const { buffer, engine } = result as { buffer: Uint8Array; engine: { bytesWritten: number } };
      return { bytes: buffer, read: engine.bytesWritten };
    }),
  inflate: (bytes: Uint8Array, limit: number) => within(() => inflateSync(bytes, { maxOutputLength: limit })),
});
