/** What the two halves of kallsyms share: where the table's parts stand, and reads of raw memory. */
import type { Bits, Endian } from './kernel.js';
import { Words } from './words.js';

/** Where the parts of the table stand in the image; byte offsets. */
export interface KallsymsLayout {
  readonly count: number;
  readonly names: number;
  readonly tokenTable: number;
  readonly tokenIndex: number;
  readonly addresses:
    | { readonly kind: 'absolute'; readonly at: number }
    | {
        readonly kind: 'relative';
        readonly offsets: number;
        readonly relativeBase: number;
        /** Non-negative offsets are absolute (per-cpu) values, negative ones count from the base (x86_64 with SMP). */
        readonly absolutePerCpu: boolean;
      }
    /** Signed 32-bit distances, each from where it stands itself. */
    | { readonly kind: 'place-relative'; readonly offsets: number };
}

export class TableReader extends Words {
  constructor(bytes: Uint8Array, bits: Bits, endian: Endian) {
    super(bytes, { bits, endian });
  }

  /** A word as a double: signed where it has 64 bits, so that addresses of the upper half keep their low bits. */
  wordAsNumber(at: number): number {
    if (this.bits === 32) return this.uint32(at);
    return (this.highHalf(at) | 0) * 2 ** 32 + this.lowHalf(at);
  }

  /** Length of the name at `at`, in tokens, and where its tokens start. */
  nameLength(at: number): { length: number; start: number } {
    const first = this.bytes[at] ?? 0;
    if (first < 0x80) return { length: first, start: at + 1 };
    return { length: (first & 0x7f) | ((this.bytes[at + 1] ?? 0) << 7), start: at + 2 };
  }
}
