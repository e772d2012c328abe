/** LZMA ("lzma alone") through `lzma1`. */
import { badInput } from '../../errors.js';
import { LITTLE, Words } from '../words.js';

const WHERE = 'LZMA payload';
const HEADER_SIZE = 13;
/** Kernels shrink to a fifth at best; the library cannot be stopped, so its output is bounded by this times the input. */
const HIGHEST_RATIO = 16;

/** No magic exists: properties lc=3 lp=0 pb=2, a power of two as dictionary size, a size that is unknown or small. */
export function isLzma(bytes: Uint8Array, offset: number): boolean {
  if (offset + HEADER_SIZE > bytes.length || bytes[offset] !== 0x5d) return false;
  const view = new Words(bytes.subarray(offset), LITTLE);
  const dictionary = view.uint32(1);
  const size = view.uint64(5);
  return (
    dictionary >= 4096 && (dictionary & (dictionary - 1)) === 0 && (size === 0xffffffffffffffffn || size < 1n << 32n)
  );
}

/** Unpacks a stream at the start of `bytes`. Errors: corrupt data, more than `limit` bytes. */
export async function decompressLzma(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  const library = await import('lzma1');
  const most = Math.min(limit, bytes.length * HIGHEST_RATIO + (1 << 16));
  const copy = new Uint8Array(bytes);
  const view = new Words(copy, LITTLE);
  const size = view.uint64(5);
  if (size === 0xffffffffffffffffn) view.setUint64(5, BigInt(most + 1));
  else if (size > BigInt(most)) throw badInput(WHERE, `at most ${most} bytes when unpacked`, `${size}`);
  let unpacked: Uint8Array;
  try {
    unpacked = Uint8Array.from(library.decompress(copy));
  } catch (error) {
    throw badInput(WHERE, 'a well-formed stream', `corrupt data (${error instanceof Error ? error.message : error})`);
  }
  if (unpacked.length > most) throw badInput(WHERE, `at most ${most} bytes when unpacked`, 'more');
  return unpacked;
}
