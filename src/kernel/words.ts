/** Words of a guest (4 or 8 bytes) as they lie in its memory. */
import type { Bits, Endian } from './kernel.js';

/** What decides how a word lies in memory; a kernel and a variant both tell it. */
export interface WordFormat {
  readonly bits: Bits;
  readonly endian: Endian;
}

export function decodeWord(bytes: Uint8Array, { bits, endian }: WordFormat): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = endian === 'little';
  return bits === 64 ? view.getBigUint64(0, little) : BigInt(view.getUint32(0, little));
}

/** The low bits of `value`, as many as a word has. */
export function encodeWord(value: bigint, { bits, endian }: WordFormat): Uint8Array {
  const bytes = new Uint8Array(bits / 8);
  const view = new DataView(bytes.buffer);
  const little = endian === 'little';
  if (bits === 64) view.setBigUint64(0, BigInt.asUintN(64, value), little);
  else view.setUint32(0, Number(BigInt.asUintN(32, value)), little);
  return bytes;
}
