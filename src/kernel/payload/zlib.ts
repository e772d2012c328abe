/**
 * DEFLATE and its checksum, as the place offers them: `nativeZlib` (src/image/native-zlib.ts) in Node.js, `portableZlib`
 * anywhere.
 */
export interface Zlib {
  /** The CRC-32 of gzip and xz. */
  crc32(bytes: Uint8Array): number;
  /**
   * Unpacks the raw stream (RFC 1951) at the start of `bytes`, whatever comes after it; null when it is longer than
   * `limit` bytes. `read`: how many bytes the stream has. A corrupt or truncated one is an `Error`.
   */
  inflateRaw(bytes: Uint8Array, limit: number): { readonly bytes: Uint8Array; readonly read: number } | null;
  /** The same for a stream with zlib's header and checksum (RFC 1950). */
  inflate(bytes: Uint8Array, limit: number): Uint8Array | null;
}
