/** A log as it lies on a disk or comes through a pipe: packed or not, in any encoding, of any length. */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isDump } from '../dump/dump-file.js';
import { badInput, codeOf, UsercopyError } from '../errors.js';
import { decompressBzip2, isBzip2 } from '../kernel/payload/bzip2.js';
import { isGzip } from '../kernel/payload/gzip.js';
import { isXz } from '../kernel/payload/xz.js';
import { beginsZstd, decompressZstdFrames } from '../kernel/payload/zstd.js';
import { LITTLE, Words } from '../kernel/words.js';
import { encodingOf } from '../report/encoding.js';
import { readReports } from '../report/excerpts.js';
import { ownOutput } from '../report/own-output.js';
import type { UsercopyReport } from '../report/report.js';
import { A_SCENARIO, isScenario, LONGEST_SCENARIO, mayBeScenario } from './hand-written.js';

const HEAD = 4096;
const CHUNK = 1 << 20;
/** Formats that are unpacked at once: bytes as they lie there, and unpacked. */
const LARGEST_PACKED = 256 << 20;
const LARGEST_UNPACKED = 512 << 20;

type Chunks = AsyncIterable<Uint8Array>;

/** Whether a file begins as one of the packed formats that `readLog` unpacks. */
export const isPacked = (head: Uint8Array): boolean =>
  isGzip(head, 0) || isXz(head, 0) || isBzip2(head, 0) || beginsZstd(magicOf(head));

/**
 * Every report in a log; `-` is standard input.
 * @throws UsercopyError `bad-input` for what cannot be read, a directory or a device, and packed data that is broken.
 */
export async function readLog(path: string): Promise<UsercopyReport[]> {
  const name = path === '-' ? 'standard input' : path;
  try {
    const bytes = await unpacked(await withHead(open(path)), name);
    if (isDump(bytes.head)) throw badInput(name, 'a log', 'a memory dump: unpack it, and give it with --dump');
    const head = new TextDecoder().decode(bytes.head.subarray(0, HEAD));
    const own = ownOutput(head);
    if (own !== null) throw onlySpeaks(name, own);
    return await readReports(textOf(mayBeScenario(head) ? await withoutScenario(bytes, name) : bytes));
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    const code = codeOf(error);
    if (code.startsWith('Z_') || code === 'ERR_PADDING_2') throw badInput(name, 'packed data that is whole', code);
    throw badInput(name, 'a file that can be read', code);
  }
}

const onlySpeaks = (name: string, what: string): UsercopyError =>
  badInput(name, 'a log', `${what}, which only speaks of one`);

/** The same bytes. @throws UsercopyError `bad-input` for all of a scenario. */
async function withoutScenario({ chunks }: Bytes, name: string): Promise<Bytes> {
  const more = await withHead(chunks, LONGEST_SCENARIO + 1);
  if (await isScenario(new TextDecoder(encodingOf(more.head)).decode(more.head))) throw onlySpeaks(name, A_SCENARIO);
  return more;
}

/**
 * First bytes of what a packed file holds.
 * @throws UsercopyError `bad-input` for packed data that is broken, or more than `readLog` unpacks.
 */
export async function unpackedHead(path: string): Promise<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: CHUNK });
  try {
    return (await unpacked(await withHead(file), path)).head;
  } catch (error) {
    throw error instanceof UsercopyError ? error : badInput(path, 'packed data that is whole', codeOf(error));
  } finally {
    file.destroy();
  }
}

function open(path: string): Chunks {
  if (path === '-') return process.stdin;
  const status = statSync(path);
  if (!status.isFile() && !status.isFIFO() && !status.isSocket()) {
    throw badInput(path, 'a file or a pipe', status.isDirectory() ? 'a directory' : 'a device');
  }
  // A stream costs four times what the reading of a report does. A file without a size may be one of /proc.
  const isSmall = status.isFile() && status.size > 0 && status.size <= CHUNK;
  return isSmall ? atOnceFrom(path) : createReadStream(path, { highWaterMark: CHUNK });
}

async function* atOnceFrom(path: string): AsyncGenerator<Uint8Array> {
  yield readFileSync(path);
}

interface Bytes {
  readonly head: Uint8Array;
  /** All of them, the head too. */
  readonly chunks: Chunks;
}

/** Bytes with the first of them known, at least `least` where there are so many. */
async function withHead(chunks: Chunks, least = HEAD): Promise<Bytes> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  let done = false;
  while (length < least) {
    const next = await iterator.next();
    if (next.done === true) {
      done = true;
      break;
    }
    first.push(next.value);
    length += next.value.length;
  }
  const head = Buffer.concat(first);
  return {
    head,
    chunks: (async function* () {
      if (head.length > 0) yield head;
      while (!done) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    })(),
  };
}

const magicOf = (head: Uint8Array): number => (head.length < 4 ? 0 : new Words(head, LITTLE).uint32(0));

async function unpacked(bytes: Bytes, name: string): Promise<Bytes> {
  const { head, chunks } = bytes;
  if (isGzip(head, 0)) return withHead(gunzipped(chunks));
  if (isXz(head, 0)) {
    const { default: xzDecompress } = await import('xz-decompress');
    // Node.js and the web have a type of their own for one kind of stream.
    const packed = Readable.toWeb(Readable.from(chunks, { objectMode: false })) as ReadableStream<Uint8Array>;
    // The same.
    return withHead(Readable.fromWeb(new xzDecompress.XzReadableStream(packed) as never));
  }
  if (isBzip2(head, 0))
    return withHead(atOnce(chunks, name, async (all) => [await decompressBzip2(all, LARGEST_UNPACKED, true)]));
  if (beginsZstd(magicOf(head)))
    return withHead(atOnce(chunks, name, (all) => decompressZstdFrames(all, LARGEST_UNPACKED)));
  return bytes;
}

function gunzipped(chunks: Chunks): Chunks {
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  Readable.from(chunks, { objectMode: false })
    .on('error', (error) => gunzip.destroy(error))
    .pipe(gunzip);
  return gunzip;
}

async function* atOnce(
  chunks: Chunks,
  name: string,
  unpack: (all: Uint8Array) => AsyncIterable<Uint8Array> | Promise<Iterable<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of chunks) {
    length += part.length;
    if (length > LARGEST_PACKED)
      throw badInput(name, `at most ${LARGEST_PACKED} packed bytes`, 'more (unpack it and pipe it in)');
    parts.push(part);
  }
  yield* await unpack(Buffer.concat(parts));
}

async function* textOf({ head, chunks }: Bytes): AsyncIterable<string> {
  const decoder = new TextDecoder(encodingOf(head));
  for await (const chunk of chunks) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}
