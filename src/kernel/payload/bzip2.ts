/** bzip2 through `seek-bzip`. */
import { badInput, UsercopyError } from '../../errors.js';
import { OutputBuffer } from './output.js';

const WHERE = 'bzip2 payload';

export function isBzip2(bytes: Uint8Array, offset: number): boolean {
  const level = bytes[offset + 3] ?? 0;
  const isBlock = bytes[offset + 4] === 0x31 && bytes[offset + 5] === 0x41 && bytes[offset + 6] === 0x59;
  return bytes[offset] === 0x42 && bytes[offset + 1] === 0x5a && bytes[offset + 2] === 0x68 && level >= 0x31 && isBlock;
}

/**
 * Unpacks the first stream at the start of `bytes`, or with `all` every one, which tools that append leave.
 * Errors: corrupt or truncated data, more than `limit` bytes.
 */
export async function decompressBzip2(bytes: Uint8Array, limit: number, all = false): Promise<Uint8Array> {
  const { default: library } = await import('seek-bzip');
  const output = new OutputBuffer(WHERE, limit, bytes.length * 5);
  try {
    const sink = {
      writeByte(byte: number) {
        if (output.length === output.bytes.length) output.grow(output.length + 1);
        output.bytes[output.length++] = byte;
      },
      flush() {},
    };
    library.decode(bytes, sink, all);
  } catch (error) {
    if (error instanceof Error && error.name === 'UsercopyError') throw error;
    // The library makes Buffers of its own, which only Node.js and bundlers have.
    if (error instanceof ReferenceError)
      throw new UsercopyError('unsupported', `${WHERE}: it is not unpacked here; unpack it beforehand (bunzip2)`);
    throw badInput(WHERE, 'a well-formed stream', `corrupt data (${error instanceof Error ? error.message : error})`);
  }
  return output.finish();
}
