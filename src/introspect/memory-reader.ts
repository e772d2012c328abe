/** Numbers and texts in a kernel's memory; what cannot be read is null, and nothing throws. */

import type { Slot } from '../check/parameters.js';
import { latin1 } from '../kernel/bytes.js';
import type { Kernel, StructType } from '../kernel/kernel.js';
import { decodeUnsigned } from '../kernel/words.js';

/** Bytes of a text that are read at once. */
const PIECE = 32;
/** Longer than names of caches are, those of memory cgroups included. */
const LONGEST_NAME = 512;

export class MemoryReader {
  readonly #kernel: Kernel;
  readonly #little: boolean;
  readonly wordBytes: number;
  readonly endian: Kernel['endian'];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.endian = kernel.endian;
    this.#little = kernel.endian === 'little';
    this.wordBytes = kernel.bits / 8;
  }

  bytes(address: bigint, length: number): Uint8Array | null {
    return this.#kernel.read(BigInt.asUintN(this.#kernel.bits, address), length) ?? null;
  }

  word(address: bigint): bigint | null {
    return this.unsigned(address, this.wordBytes);
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes. */
  unsigned(address: bigint, size: number): bigint | null {
    const bytes = this.bytes(address, size);
    return bytes && decodeUnsigned(bytes, this.#kernel.endian);
  }

  slot(structure: bigint, { offset, size }: Slot): bigint | null {
    return this.unsigned(structure + BigInt(offset), size);
  }

  /** A member by its path, of a bitfield the bits themselves; null when the structure has none of this name. */
  member(structure: bigint, type: StructType, path: string): bigint | null {
    const field = type.field(path);
    if (!field) return null;
    const value = this.unsigned(structure + BigInt(field.offset), field.size);
    if (value === null || field.bits === null) return value;
    const { offset, size } = field.bits;
    // Bits are counted from the end that comes first in memory.
    const shift = this.#little ? offset : field.size * 8 - offset - size;
    return (value >> BigInt(shift)) & ((1n << BigInt(size)) - 1n);
  }

  /** A C string; null when it cannot be read to its end, or has none in the first `limit` bytes. */
  text(address: bigint, limit = LONGEST_NAME): string | null {
    let text = '';
    for (let at = address; text.length < limit; ) {
      // Memory that is there ends at such a boundary, or is read byte by byte up to where it ends.
      const length = Math.min(limit - text.length, PIECE - Number(at & BigInt(PIECE - 1)));
      const piece = this.bytes(at, length) ?? this.bytes(at, 1);
      if (piece === null) return null;
      const end = piece.indexOf(0);
      text += latin1(piece, 0, end < 0 ? piece.length : end);
      if (end >= 0) return text;
      at += BigInt(piece.length);
    }
    return null;
  }
}
