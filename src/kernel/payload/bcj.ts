/**
 * The branch filters of xz ("BCJ"), backwards: the kernel's build turns the targets of calls and jumps into absolute
 * addresses before it compresses, this turns them back. In place; `position` of the first byte is 0.
 */
import { badInput } from '../../errors.js';
import { LITTLE, Words, wordFormat } from '../words.js';

/** Filter ids as the xz file format numbers them (section 5.3). */
export function undoBranchFilter(id: number, bytes: Uint8Array): void {
  const undo = FILTERS[id];
  if (undo === undefined)
    throw badInput(
      'xz payload',
      'a branch filter that kernels use (x86, powerpc, arm, armthumb, sparc)',
      `filter ${id}`,
    );
  undo(bytes);
}

const FILTERS: Readonly<Record<number, (bytes: Uint8Array) => void>> = {
  4: x86,
  5: (bytes) => aligned(bytes, false, (word) => (word & 0xfc000003) >>> 0 === 0x48000001, powerpc),
  7: (bytes) => aligned(bytes, true, (word) => word >>> 24 === 0xeb, arm),
  8: armThumb,
  9: (bytes) => aligned(bytes, false, (word) => word >>> 22 === 0x100 || word >>> 22 === 0x1ff, sparc),
};

/** Architectures whose branches are aligned words. */
function aligned(
  bytes: Uint8Array,
  littleEndian: boolean,
  isBranch: (word: number) => boolean,
  decode: (word: number, position: number) => number,
): void {
  const view = new Words(bytes, wordFormat(32, littleEndian));
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const word = view.uint32(at);
    if (isBranch(word)) view.setUint32(at, decode(word, at));
  }
}

function powerpc(word: number, position: number): number {
  return 0x48000001 | (((word & 0x03fffffc) - position) & 0x03fffffc);
}

function arm(word: number, position: number): number {
  return 0xeb000000 | (((((word & 0xffffff) << 2) - position - 8) >>> 2) & 0xffffff);
}

function sparc(word: number, position: number): number {
  const target = ((word << 2) - position) >>> 2;
  const sign = (target >>> 22) & 1 ? 0x3fc00000 : 0;
  return 0x40000000 | (sign & 0x3fffffff) | (target & 0x3fffff);
}

function armThumb(bytes: Uint8Array): void {
  const view = new Words(bytes, LITTLE);
  for (let at = 0; at + 4 <= bytes.length; at += 2) {
    const [high, low] = [view.uint16(at), view.uint16(at + 2)];
    if (high >>> 11 !== 0b11110 || low >>> 11 !== 0b11111) continue;
    const packed = ((high & 0x7ff) << 11) | (low & 0x7ff);
    const target = ((packed << 1) - (at + 4)) >>> 1;
    view.setUint16(at, 0xf000 | ((target >>> 11) & 0x7ff));
    view.setUint16(at + 2, 0xf800 | (target & 0x7ff));
    at += 2;
  }
}

/** x86 has no alignment: a mask of recent opcode bytes decides which E8/E9 are taken for calls and jumps. */
function x86(bytes: Uint8Array): void {
  const isExtreme = (byte: number) => byte === 0x00 || byte === 0xff;
  const allowed = [true, true, true, false, true, false, false, false] as const;
  // Index of the highest bit that is set, from 1; 0 for none.
  const bitOf = (mask: number): number => 32 - Math.clz32(mask);
  const view = new Words(bytes, LITTLE);
  let mask = 0;
  let previous = -1;
  const end = bytes.length - 4;
  for (let at = 0; at < end; at++) {
    if ((view.uint8(at) & 0xfe) !== 0xe8) continue;
    const gap = at - previous;
    if (gap > 3) mask = 0;
    else {
      mask = (mask << (gap - 1)) & 7;
      if (mask !== 0 && (!allowed[mask] || isExtreme(view.uint8(at + 4 - bitOf(mask))))) {
        previous = at;
        mask = (mask << 1) | 1;
        continue;
      }
    }
    previous = at;
    if (!isExtreme(view.uint8(at + 4))) {
      mask = (mask << 1) | 1;
      continue;
    }
    let source = view.int32(at + 1);
    let target: number;
    for (;;) {
      target = (source - (at + 5)) | 0;
      if (mask === 0) break;
      const shift = bitOf(mask) * 8;
      if (!isExtreme((target >>> (24 - shift)) & 0xff)) break;
      source = target ^ ((2 ** (32 - shift) - 1) | 0);
    }
    target = (target & 0x01ffffff) | (target & 0x01000000 ? 0xff000000 : 0);
    bytes[at + 1] = target;
    bytes[at + 2] = target >>> 8;
    bytes[at + 3] = target >>> 16;
    bytes[at + 4] = target & 0x01000000 ? 0xff : 0;
    at += 4;
    mask = 0;
  }
}
