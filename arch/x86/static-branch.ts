/** Patching of static branches, as arch/x86/kernel/jump_label.c does it. */

import { atLeast } from '../../src/kernel/version.js';
import { decodeUnsigned, encodeUnsigned } from '../../src/kernel/words.js';
import type { DirectBranch, StaticBranch } from '../driver.js';

const SHORT_NOP = Uint8Array.of(0x66, 0x90);
const LONG_NOP = Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00);
const SHORT_JUMP = 0xeb;
const LONG_JUMP = 0xe9;
const CALL = 0xe8;

/** Branches got two lengths in 5.14 (e7bf1ba97afd): what stands there tells which. */
const isShort = (existing: Uint8Array): boolean =>
  existing[0] === SHORT_JUMP || (existing[0] === SHORT_NOP[0] && existing[1] === SHORT_NOP[1]);

export const staticBranch: StaticBranch = {
  // 9fc0f798ab0b (4.20)
  relativeEntries: ({ version }) => atLeast(version, 4, 20),
  jump(code, target, existing) {
    if (isShort(existing)) return Uint8Array.of(SHORT_JUMP, Number(BigInt.asUintN(8, target - code - 2n)));
    return Uint8Array.of(LONG_JUMP, ...encodeUnsigned(target - code - 5n, 4, 'little'));
  },
  nop: (existing) => (isShort(existing) ? SHORT_NOP : LONG_NOP),
};

/** call and jmp with a distance of 32 bits. What only looks like one leads to no function. */
export const directBranch: DirectBranch = {
  step: 1,
  target(code, at, address) {
    if (at + 5 > code.length || (code[at] !== CALL && code[at] !== LONG_JUMP)) return null;
    const distance = BigInt.asIntN(32, decodeUnsigned(code.subarray(at + 1, at + 5), 'little'));
    return address + BigInt(at) + 5n + distance;
  },
};
