/** Numbers as they lie in memory and in files: byte order, and how long a word is. Nothing else in src/ reads them byte by byte. */
import type { Bits, Endian } from './kernel.js';

/** What decides how a word lies in memory; a kernel and a variant both tell it. */
export interface WordFormat {
  readonly bits: Bits;
  readonly endian: Endian;
}

export const LITTLE: WordFormat = { bits: 64, endian: 'little' };
export const BIG: WordFormat = { bits: 64, endian: 'big' };

/** A format that is told by flags, as headers of files do. */
export const wordFormat = (bits: Bits, littleEndian: boolean): WordFormat => ({
  bits,
  endian: littleEndian ? 'little' : 'big',
});

/** Bytes as numbers, at any offset. Reading past the end is a `RangeError`. */
export class Words {
  readonly bytes: Uint8Array;
  readonly bits: Bits;
  /** Bytes of a word. */
  readonly wordBytes: 4 | 8;
  readonly isLittle: boolean;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, { bits, endian }: WordFormat) {
    this.bytes = bytes;
    this.bits = bits;
    this.wordBytes = bits === 64 ? 8 : 4;
    this.isLittle = endian === 'little';
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes. */
  get length(): number {
    return this.bytes.length;
  }

  uint8(at: number): number {
    return this.#view.getUint8(at);
  }

  uint16(at: number): number {
    return this.#view.getUint16(at, this.isLittle);
  }

  uint32(at: number): number {
    return this.#view.getUint32(at, this.isLittle);
  }

  int32(at: number): number {
    return this.#view.getInt32(at, this.isLittle);
  }

  uint64(at: number): bigint {
    return this.#view.getBigUint64(at, this.isLittle);
  }

  int64(at: number): bigint {
    return this.#view.getBigInt64(at, this.isLittle);
  }

  word(at: number): bigint {
    return this.bits === 64 ? this.uint64(at) : BigInt(this.uint32(at));
  }

  signedWord(at: number): bigint {
    return this.bits === 64 ? this.int64(at) : BigInt(this.int32(at));
  }

  /** The low 32 bits of a word. */
  lowHalf(at: number): number {
    return this.uint32(this.bits === 64 && !this.isLittle ? at + 4 : at);
  }

  /** The high 32 bits of a word; 0 where it has 32 bits in all. */
  highHalf(at: number): number {
    return this.bits === 32 ? 0 : this.uint32(this.isLittle ? at + 4 : at);
  }

  setUint8(at: number, value: number): void {
    this.#view.setUint8(at, value);
  }

  setUint16(at: number, value: number): void {
    this.#view.setUint16(at, value, this.isLittle);
  }

  setUint32(at: number, value: number): void {
    this.#view.setUint32(at, value, this.isLittle);
  }

  /** The low 64 bits of `value`. */
  setUint64(at: number, value: bigint): void {
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), this.isLittle);
  }

  /** The low bits of `value`, as many as a word has. */
  setWord(at: number, value: bigint): void {
    if (this.bits === 64) this.setUint64(at, value);
    else this.setUint32(at, Number(BigInt.asUintN(32, value)));
  }
}

/** The word at `at`. */
export function decodeWord(bytes: Uint8Array, format: WordFormat, at = 0): bigint {
  return new Words(bytes, format).word(at);
}

/** The low bits of `value`, as many as a word has. */
export function encodeWord(value: bigint, format: WordFormat): Uint8Array {
  const words = new Words(new Uint8Array(format.bits / 8), format);
  words.setWord(0, value);
  return words.bytes;
}

/** An unsigned number that takes up all of `bytes`. */
export function decodeUnsigned(bytes: Uint8Array, endian: Endian): bigint {
  let value = 0n;
  for (let index = 0; index < bytes.length; index++) {
    const at = endian === 'little' ? bytes.length - 1 - index : index;
    // An index below the length.
    value = (value << 8n) | BigInt(bytes[at]!);
  }
  return value;
}

/** The low bits of `value`, as many as fit into `size` bytes. */
export function encodeUnsigned(value: bigint, size: number, endian: Endian): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
  return endian === 'little' ? bytes : bytes.reverse();
}
