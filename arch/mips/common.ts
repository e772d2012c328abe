/** What both widths of mips share. */
import { LITTLE, Words } from '../../src/kernel/words.js';
import { instructions, unlinkedFrames } from '../common.js';
import type {
  BugSignature,
  CurrentTask,
  DirectBranch,
  FrameConvention,
  StaticBranch,
  UaccessEntry,
} from '../driver.js';

/** Numbers are the engine's names of the general registers. */
export const ALL_REGISTERS = ['pc', ...Array.from({ length: 31 }, (_, index) => `${index + 1}`), 'hi', 'lo'];

/** thread_info lies at the bottom of the stack (no THREAD_INFO_IN_TASK); $28 holds its address. */
export const current: CurrentTask = { kind: 'masked stack pointer', register: '28' };

/** Nothing links frames: unwinding goes by what each function's first instructions are. */
export const frames: FrameConvention = unlinkedFrames;

/**
 * `b .; nop`: a block of two instructions. Unicorn 2.1.4 does not survive the translation of a block of some 400 and more, and a page of
 * zeroes is a thousand nops.
 */
export const stopCode = instructions('little', 0x1000ffff, 0);

/** `j <target>`: the upper bits are those of the delay slot's address. */
const JUMP = 0x08000000;
const instruction = (encoding: number): Uint8Array => instructions('little', encoding);

export const staticBranch: StaticBranch = {
  relativeEntries: () => false,
  jump: (_code, target) => instruction(JUMP | Number(BigInt.asUintN(26, target >> 2n))),
  nop: () => instruction(0),
};

/** j and jal: 26 bits of the target in words, within the 256 MiB around the delay slot. */
export const directBranch: DirectBranch = {
  step: 4,
  target(code, at, address) {
    if (at + 4 > code.length) return null;
    const word = new Words(code, LITTLE).uint32(at);
    // Opcodes 2 and 3.
    if (word >>> 27 !== 1) return null;
    const delaySlot = address + BigInt(at) + 4n;
    return (delaySlot & ~0xfffffffn) | (BigInt(word & 0x3ffffff) << 2n);
  },
};

/** `break 12` (BRK_BUG, arch/mips/include/uapi/asm/break.h); the engine tells of it with the pc behind it. */
export const bug: BugSignature = { kind: 'interrupt', number: 18, encodings: [instruction(0x000c000d)], pcOffset: 4 };

/**
 * The routine behind them, __raw_copy_{to,from}_user, is no entry: memcpy() falls into it (arch/mips/lib/memcpy.S), so that who arrives there
 * may copy from kernel to kernel. Callers of copy_to_user() have it inline.
 */
export const uaccess: readonly UaccessEntry[] = [
  { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
  { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
  { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
];

/**
 * Harnesses map memory where the guest sees it, by UC_TLB_VIRTUAL: there libunicorn up to 2.1.4 runs the instruction behind some jumps twice
 * (machine.ts).
 */
export const unsavable =
  "its memory lies behind the CPU's own segments and TLB, which a snapshot does not hold, and libunicorn runs it wrongly without them";
