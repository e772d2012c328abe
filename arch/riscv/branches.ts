/** Direct jumps and calls of RISC-V, with compressed ones (The RISC-V Instruction Set Manual, volume I). */
import { decodeUnsigned } from '../../src/kernel/words.js';
import type { DirectBranch } from '../driver.js';

const OPCODE = 0x7fn;
const JAL = 0x6fn;
const AUIPC = 0x17n;
const JALR = 0x67n;

/** Bits of `word` from `low` on, moved to where they stand in the distance. */
const field = (word: bigint, low: number, count: number, to: number): bigint =>
  ((word >> BigInt(low)) & ((1n << BigInt(count)) - 1n)) << BigInt(to);

/** J-type: imm[20|10:1|11|19:12] in the upper 20 bits. */
const jumpDistance = (word: bigint): bigint =>
  BigInt.asIntN(21, field(word, 31, 1, 20) | field(word, 21, 10, 1) | field(word, 20, 1, 11) | field(word, 12, 8, 12));

/** c.j: imm[11|4|9:8|10|6|7|3:1|5] from bit 12 down. */
const shortDistance = (word: bigint): bigint =>
  BigInt.asIntN(
    12,
    field(word, 12, 1, 11) |
      field(word, 11, 1, 4) |
      field(word, 9, 2, 8) |
      field(word, 8, 1, 10) |
      field(word, 7, 1, 6) |
      field(word, 6, 1, 7) |
      field(word, 3, 3, 1) |
      field(word, 2, 1, 5),
  );

/** jal x0, <distance> */
export function jumpAndLink(distance: bigint): number {
  const word =
    field(distance, 20, 1, 31) | field(distance, 1, 10, 21) | field(distance, 11, 1, 20) | field(distance, 12, 8, 12);
  return Number(word | JAL);
}

/** auipc r, …; jalr …, …(r): what a call of another section is before the linker finds it near. */
function farDistance(first: bigint, second: bigint): bigint | null {
  const register = field(first, 7, 5, 0);
  const isPair = (first & OPCODE) === AUIPC && (second & OPCODE) === JALR && field(second, 15, 5, 0) === register;
  return isPair ? BigInt.asIntN(32, first & 0xffff_f000n) + BigInt.asIntN(12, second >> 20n) : null;
}

export const directBranch: DirectBranch = {
  step: 2,
  target(code, at, address) {
    const read = (from: number, size: number): bigint | null =>
      from + size > code.length ? null : decodeUnsigned(code.subarray(from, from + size), 'little');
    const half = read(at, 2);
    if (half === null) return null;
    const from = address + BigInt(at);
    // c.j: quadrant 1, function 5.
    if ((half & 0xe003n) === 0xa001n) return from + shortDistance(half);
    const word = read(at, 4);
    if (word === null) return null;
    if ((word & OPCODE) === JAL) return from + jumpDistance(word);
    const next = read(at + 4, 4);
    const distance = next === null ? null : farDistance(word, next);
    return distance === null ? null : from + distance;
  },
};
