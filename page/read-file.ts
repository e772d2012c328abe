/** A dropped file, packed or not: its bytes, or its text where it is a log. */
import xzDecompress from 'xz-decompress';
import { UsercopyError } from '../src/errors.js';
import { isBzip2 } from '../src/kernel/payload/bzip2.js';
import { decompressGzipMembers, isGzip } from '../src/kernel/payload/gzip.js';
import { portableZlib } from '../src/kernel/payload/portable-zlib.js';
import { isXz } from '../src/kernel/payload/xz.js';
import { decompressZstdFrames, isZstd } from '../src/kernel/payload/zstd.js';
import { LITTLE, Words } from '../src/kernel/words.js';
import { encodingOf } from '../src/report/encoding.js';

/** Bytes of a file, and of what it unpacks to. */
const LARGEST_FILE = 256 << 20;
const LARGEST_UNPACKED = 128 << 20;

const refused = (text: string): UsercopyError => new UsercopyError('bad-input', text);

async function bytesOf(file: Blob, name: string): Promise<Uint8Array> {
  if (file.size > LARGEST_FILE)
    throw refused(
      `${name}: expected at most ${LARGEST_FILE >> 20} MiB, found ${Math.ceil(file.size / 2 ** 20)} (cut out the lines around the report)`,
    );
  return new Uint8Array(await file.arrayBuffer());
}

/** A file's bytes, unpacked where they are packed. @throws UsercopyError `bad-input` for packed data that is broken, and for too much of it. */
export const unpackedBytesOf = async (file: Blob, name: string): Promise<Uint8Array> =>
  unpacked(await bytesOf(file, name), name);

/** @throws UsercopyError as `unpackedBytesOf`. */
export async function logTextOf(file: Blob, name: string): Promise<string> {
  const bytes = await unpackedBytesOf(file, name);
  return new TextDecoder(encodingOf(bytes.subarray(0, 4096))).decode(bytes);
}

async function unpacked(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const magic = bytes.length < 4 ? 0 : new Words(bytes, LITTLE).uint32(0);
  try {
    if (isGzip(bytes, 0)) {
      return joined([...decompressGzipMembers(bytes, LARGEST_UNPACKED, portableZlib)]);
    }
    if (isXz(bytes, 0)) return await collected(new xzDecompress.XzReadableStream(streamOf(bytes)), name);
    if (isZstd(magic)) {
      const parts: Uint8Array[] = [];
      for await (const part of decompressZstdFrames(bytes, LARGEST_UNPACKED)) parts.push(part.slice());
      return joined(parts);
    }
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw refused(
      `${name}: expected packed data that is whole, found ${error instanceof Error ? error.message : 'none'}`,
    );
  }
  if (isBzip2(bytes, 0)) throw refused(`${name}: bzip2 is not unpacked here: run bunzip2 first`);
  return bytes;
}

const streamOf = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();

async function collected(stream: ReadableStream<Uint8Array>, name: string): Promise<Uint8Array> {
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(parts);
    length += value.length;
    if (length > LARGEST_UNPACKED)
      throw refused(`${name}: expected at most ${LARGEST_UNPACKED >> 20} MiB when unpacked, found more`);
    parts.push(value.slice());
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
