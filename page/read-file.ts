/** A dropped file, packed or not: its bytes, or its text where it is a log. */
import xzDecompress from 'xz-decompress';
import { isDump } from '../src/dump/dump-file.js';
import { messageOf, shellWord, UsercopyError } from '../src/errors.js';
import { concatBytes } from '../src/kernel/bytes.js';
import { decompressBzip2, isBzip2 } from '../src/kernel/payload/bzip2.js';
import { decompressGzipMembers, isGzip } from '../src/kernel/payload/gzip.js';
import { portableZlib } from '../src/kernel/payload/portable-zlib.js';
import { isXz } from '../src/kernel/payload/xz.js';
import { beginsZstd, decompressZstdFrames } from '../src/kernel/payload/zstd.js';
import { LITTLE, Words } from '../src/kernel/words.js';
import { encodingOf } from '../src/report/encoding.js';

/** Bytes of a file, and of what all of it unpacks to. */
const LARGEST_FILE = 256 << 20;
const LARGEST_UNPACKED = 128 << 20;
/** More than any format's magic takes. */
const HEAD = 4096;

const refused = (text: string): UsercopyError => new UsercopyError('bad-input', text);

/** What a file is wanted for. */
interface Wanted {
  /** What to do with one that is too large. */
  readonly advice: string;
  /** Refuses another kind of file by its first bytes, unpacked: before the rest is read, whatever the size. */
  requireKind(head: Uint8Array): void;
}

/** How a whole dump becomes one that the page reads. */
export const shrinkAdvice = (name: string): string =>
  `"usercopy repro --dump ${shellWord(name)} --kernel IMAGE --shrink small.vmcore" writes the few hundred KiB of the dump that this page needs`;

/**
 * The bytes of a dump, unpacked where they are packed.
 * @throws UsercopyError `bad-input` for packed data that is broken, for too much of it, and for what is no dump.
 */
export const dumpBytesOf = (file: Blob, name: string): Promise<Uint8Array> =>
  unpackedBytesOf(file, name, {
    advice: shrinkAdvice(name),
    requireKind(head) {
      if (!isDump(head)) throw refused(`${name}: expected a memory dump, found none (the tab of logs is "A report")`);
    },
  });

/**
 * The text of a log, unpacked where it is packed.
 * @throws UsercopyError `bad-input` as `dumpBytesOf`, and for a dump.
 */
export async function logTextOf(file: Blob, name: string): Promise<string> {
  const bytes = await unpackedBytesOf(file, name, {
    advice: 'cut out the lines around the report',
    requireKind(head) {
      if (isDump(head)) {
        throw refused(
          `${name}: expected a log, found a memory dump (the tab of dumps is "A dump"; ${shrinkAdvice(name)})`,
        );
      }
    },
  });
  return new TextDecoder(encodingOf(bytes.subarray(0, HEAD))).decode(bytes);
}

async function unpackedBytesOf(file: Blob, name: string, wanted: Wanted): Promise<Uint8Array> {
  const unpack = unpackerOf(await bytesOf(file.slice(0, HEAD)));
  if (unpack === null) wanted.requireKind(await bytesOf(file.slice(0, HEAD)));
  if (file.size > LARGEST_FILE) {
    const found = Math.ceil(file.size / 2 ** 20);
    throw refused(`${name}: expected at most ${LARGEST_FILE >> 20} MiB, found ${found} (${wanted.advice})`);
  }
  const bytes = await bytesOf(file);
  if (unpack === null) return bytes;
  try {
    return await collected(unpack(bytes), name, wanted);
  } catch (error) {
    if (error instanceof UsercopyError && error.message.startsWith(`${name}: `)) throw error;
    // Decoders know no file.
    const found =
      error instanceof UsercopyError ? error.message : `expected packed data that is whole, found ${messageOf(error)}`;
    throw refused(`${name}: ${found}`);
  }
}

const bytesOf = async (file: Blob): Promise<Uint8Array> => new Uint8Array(await file.arrayBuffer());

type Unpacker = (bytes: Uint8Array) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Unpacks piece by piece, none longer than all of it may be; null for what is not packed. */
function unpackerOf(head: Uint8Array): Unpacker | null {
  if (isGzip(head, 0)) return (bytes) => decompressGzipMembers(bytes, LARGEST_UNPACKED, portableZlib);
  if (isXz(head, 0)) return (bytes) => read(new xzDecompress.XzReadableStream(streamOf(bytes)));
  if (isBzip2(head, 0)) return bunzipped;
  if (head.length >= 4 && beginsZstd(new Words(head, LITTLE).uint32(0)))
    return (bytes) => decompressZstdFrames(bytes, LARGEST_UNPACKED);
  return null;
}

async function* bunzipped(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await decompressBzip2(bytes, LARGEST_UNPACKED, true);
}

const streamOf = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  // No shared memory reaches a page.
  new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();

/** Not every browser's streams are iterable. */
async function* read(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}

async function collected(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
  { advice, requireKind }: Wanted,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    if (length === 0 && piece.length > 0) requireKind(piece.subarray(0, HEAD));
    length += piece.length;
    if (length > LARGEST_UNPACKED)
      throw refused(`${name}: expected at most ${LARGEST_UNPACKED >> 20} MiB when unpacked, found more (${advice})`);
    // Decoders write the next piece where this one lies.
    parts.push(piece.slice());
  }
  return concatBytes(parts);
}
