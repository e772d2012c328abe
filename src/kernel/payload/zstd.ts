/** Zstandard through `zstddec` (the reference decoder as WASM). */
import { ZSTDDecoder } from 'zstddec/stream';
import { badInput } from '../../errors.js';
import { LITTLE, Words } from '../words.js';
import { OutputBuffer } from './output.js';

const MAGIC = 0xfd2fb528;
const WHERE = 'zstd payload';
const PIECE = 1 << 17;

export function isZstd(magic: number): boolean {
  return magic === MAGIC;
}

/** RFC 8878, 3.1.2, and LZ4's format: frames with data of the writer's own, which may stand anywhere, first too (pzstd). */
export const isSkippable = (magic: number): boolean => magic >>> 4 === 0x184d2a5;

/** Whether data that begins so may be zstd's: with a frame, or with one that is to be skipped. */
export const beginsZstd = (magic: number): boolean => isZstd(magic) || isSkippable(magic);

/** Unpacks the first frame at the start of `bytes`. Errors: corrupt or truncated data, more than `limit` bytes. */
export async function decompressZstd(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  const frame = firstFrame(bytes, limit);
  const decoder = new ZSTDDecoder();
  await decoder.init();
  const output = new OutputBuffer(WHERE, limit, frame.size ?? bytes.length * 5);
  let empty = 0;
  try {
    for (const chunk of decoder.decodeStreaming(pieces(bytes.subarray(0, frame.length)))) {
      output.append(chunk);
      // The library does not look at the decoder's error code: a corrupt frame shows as no output, for ever.
      empty = chunk.length === 0 ? empty + 1 : 0;
      if (empty > 64) throw badInput(WHERE, 'a well-formed frame', 'corrupt data');
    }
  } catch (error) {
    if (error instanceof Error && error.name === 'UsercopyError') throw error;
    throw badInput(WHERE, 'a well-formed frame', `corrupt data (${error instanceof Error ? error.message : error})`);
  }
  if (frame.size !== null && output.length !== frame.size)
    throw badInput(WHERE, `${frame.size} bytes when unpacked`, `${output.length}`);
  return output.finish();
}

/** Unpacks one frame after the other: what tools that write in parallel, or append, leave. `limit` holds for each. */
export async function* decompressZstdFrames(bytes: Uint8Array, limit: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at);
    const words = new Words(rest, LITTLE);
    const magic = rest.length < 8 ? 0 : words.uint32(0);
    if (isSkippable(magic)) {
      at += 8 + words.uint32(4);
      continue;
    }
    if (!isZstd(magic)) throw badInput(WHERE, 'another frame', 'something else behind the last one');
    at += firstFrame(rest, limit).length;
    yield await decompressZstd(rest, limit);
  }
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

/** Extent of the first frame, by its header and block headers (RFC 8878), and its unpacked size where it is told. */
function firstFrame(bytes: Uint8Array, limit: number): { length: number; size: number | null } {
  const truncated = () => badInput(WHERE, 'a whole frame', `its end after ${bytes.length} bytes`);
  const view = new Words(bytes, LITTLE);
  try {
    const descriptor = view.uint8(4);
    const singleSegment = (descriptor & 0x20) !== 0;
    let at = 5 + (singleSegment ? 0 : 1) + ((1 << (descriptor & 3)) >> 1);
    let size: number | null = null;
    switch (descriptor >> 6) {
      case 0:
        if (singleSegment) size = view.uint8(at);
        at += singleSegment ? 1 : 0;
        break;
      case 1:
        size = view.uint16(at) + 256;
        at += 2;
        break;
      case 2:
        size = view.uint32(at);
        at += 4;
        break;
      default:
        size = Number(view.uint64(at));
        at += 8;
    }
    if (size !== null && size > limit) throw badInput(WHERE, `at most ${limit} bytes when unpacked`, `${size}`);
    for (let last = false; !last; ) {
      const header = view.uint16(at) | (view.uint8(at + 2) << 16);
      last = (header & 1) !== 0;
      at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
    }
    at += (descriptor & 4) !== 0 ? 4 : 0;
    if (at > bytes.length) throw truncated();
    return { length: at, size };
  } catch (error) {
    if (error instanceof RangeError) throw truncated();
    throw error;
  }
}
