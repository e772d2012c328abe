/** What sparc and sparc64 share. */
import { instructions, uncheckedFrames, wordBranches } from '../common.js';
import type { BugSignature, DirectBranch, FrameConvention, StaticBranch } from '../driver.js';

/**
 * Unicorn 2.0.1, 2.1.1 and 2.1.4 alike: code with register windows runs as long as none has to be spilled, and nothing can
 * make room. The CPU starts unprivileged, so that %wim, %cansave and a trap table cannot be set, and Unicorn has no names for
 * them. On 32 bits seven nested calls come back; the eighth overwrites the oldest window, without a trap. On 64 bits the first
 * `save` traps (128, spill). Guests are built with -mflat, which keeps the ABI's frame layout without windows.
 */
export const ARGUMENTS = ['o0', 'o1', 'o2', 'o3', 'o4', 'o5'];

export const ALL_REGISTERS = [
  'pc',
  ...['g', 'o', 'l', 'i'].flatMap((window) => Array.from({ length: 8 }, (_, index) => `${window}${index}`)).slice(1),
];

const instruction = (encoding: number): Uint8Array => instructions('big', encoding);

/** arch/sparc/kernel/jump_label.c: `ba` or, near enough on 64 bits, `ba,pt %xcc`; both reach, so the plain one will do. */
export const staticBranch: StaticBranch = {
  relativeEntries: () => false,
  jump: (code, target) => instruction(0x10800000 | Number(BigInt.asUintN(22, (target - code) >> 2n))),
  nop: () => instruction(0x01000000),
};

export const directBranch: DirectBranch = wordBranches('big', {
  mask: 0xc0000000,
  value: 0x40000000,
  distance: [0, 30],
  unit: 4n,
  from: 0n,
});

/** `ta 5`, as __builtin_trap() compiles to. */
export const bugTrap = (base: number): BugSignature => ({ kind: 'interrupt', number: base + 5 });

/**
 * A frame begins with the save area of its sixteen window registers; %i6 and %i7, the caller's stack pointer and the call,
 * are the last two. Code built with -mflat saves them there too.
 */
export const registerWindows = (word: number, bias: number): FrameConvention =>
  uncheckedFrames({
    kind: 'register windows',
    recordAt: 'bottom',
    savedFrame: 14 * word,
    returnAddress: 15 * word,
    bias,
    header: 16 * word,
    returnRegister: 'i7',
  });
