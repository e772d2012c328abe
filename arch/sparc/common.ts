/** What sparc and sparc64 share. */
import { Words } from '../../src/kernel/words.js';
import { instructions, uncheckedFrames, wordBranches } from '../common.js';
import type { BootTools, BugSignature, DirectBranch, FrameConvention, StaticBranch } from '../driver.js';

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
  // jump_label_t is a u32 on 64 bits, too.
  entryAddressBytes: 4,
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

/** Which instructions of an image a CPU without privileges cannot run, and what each is replaced by. */
export interface PrivilegedCode {
  /** Reads the level below which interrupts wait into a register. */
  readonly read: { readonly mask: number; readonly value: number };
  /** Sets it. */
  readonly write: { readonly mask: number; readonly value: number };
}

const CLEAR = 0x80100000;
const NOP = 0x01000000;
const DESTINATION = 0x3e000000;

/**
 * What head.S and boot code leave behind: %g6 holds the thread_info of the first task, which lies at the bottom of its stack.
 * There are no interrupts here, and the CPU has no privileges (see above): what asks for their level finds 0, and what
 * sets it does nothing.
 */
export function bootWithoutPrivileges(code: PrivilegedCode, { kernel, engine, write }: BootTools): void {
  const thread = kernel.symbols.address('init_thread_union') ?? kernel.symbols.address('__start_init_task');
  if (thread !== undefined) engine.writeRegister('g6', thread);
  const start = kernel.symbols.address('_stext');
  const end = kernel.symbols.address('_etext');
  const text = start === undefined || end === undefined ? undefined : kernel.read(start, Number(end - start) & ~3);
  if (start === undefined || text === undefined) return;
  const words = new Words(text, kernel);
  for (let at = 0; at < text.length; at += 4) {
    const word = words.uint32(at);
    const address = start + BigInt(at);
    if ((word & code.read.mask) >>> 0 === code.read.value)
      write(address, 4, BigInt((CLEAR | (word & DESTINATION)) >>> 0));
    else if ((word & code.write.mask) >>> 0 === code.write.value) write(address, 4, BigInt(NOP));
  }
}

/** The clock is a register that boot code patches the code for. `clr %o1; retl; clr %o0`: both halves of what it returns. */
export const clockStub = {
  symbol: 'sched_clock',
  code: instructions('big', 0x92102000, 0x81c3e008, 0x90102000),
} as const;
