/** Reads of raw memory that the two halves of kallsyms share. */
import type { Bits, Endian } from './kernel.js';

export class TableReader {
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(
    readonly bytes: Uint8Array,
    readonly bits: Bits,
    endian: Endian,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = endian === 'little';
  }

  uint16(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  uint32(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }

  word(at: number): bigint {
    if (this.bits === 32) return BigInt(this.uint32(at));
    return this.#view.getBigUint64(at, this.#little);
  }

  /** A word as a double: signed where it has 64 bits, so that addresses of the upper half keep their low bits. */
  wordAsNumber(at: number): number {
    if (this.bits === 32) return this.uint32(at);
    const [high, low] = this.#little ? [at + 4, at] : [at, at + 4];
    return (this.uint32(high) | 0) * 2 ** 32 + this.uint32(low);
  }

  /** Length of the name at `at`, in tokens, and where its tokens start. */
  nameLength(at: number): { length: number; start: number } {
    const first = this.bytes[at] ?? 0;
    if (first < 0x80) return { length: first, start: at + 1 };
    return { length: (first & 0x7f) | ((this.bytes[at + 1] ?? 0) << 7), start: at + 2 };
  }
}
