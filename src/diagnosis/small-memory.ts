/**
 * A small memory that nobody's kernel keeps books of: stacks, slabs, folios, areas and text as declared. Any profile of the
 * check can be asked about a copy in it.
 */
import type { Check } from '../check/check.js';
import type { AddressRange, CheckParameters, Declaration, StackParameters } from '../check/parameters.js';
import type { Profile } from '../check/profiles.js';
import type { Copy, Verdict } from '../check/verdict.js';
import type { Bits, Endian } from '../kernel/kernel.js';
import { encodeUnsigned } from '../kernel/words.js';
import { formatMessage, formatWarning, type MessageStyle } from '../report/format.js';

export interface SmallMemory {
  readonly bits: Bits;
  readonly endian: Endian;
  readonly pageShift: number;
  /** Whether its kernels compare with the stack pointer (5.18 on). */
  readonly hasStackPointer: boolean;
  /** The allocator that lines name; absent: SLUB. */
  readonly allocator?: 'SLUB' | 'SLAB';
  readonly text: AddressRange | null;
  /** Where the linear map shows the text, if elsewhere. */
  readonly linearText: AddressRange | null;
  /** Of the task that asks; 0 where no stack is declared. */
  readonly stackPointer: bigint;
  readonly declarations: readonly Declaration[];
  /** Frames on the stack; absent: not walked. */
  readonly frames?: {
    /** Addresses of their records, innermost first; the first one is in the frame register. */
    readonly records: readonly bigint[];
    readonly layout: NonNullable<StackParameters['frames']>;
  };
}

export interface SmallVerdict {
  readonly verdict: Verdict;
  /** The kernel's line for a refused copy; null where it prints none. */
  readonly message: string | null;
  /** The line of a kernel that warns and lets the copy pass (HARDENED_USERCOPY_FALLBACK); null where it does not. */
  readonly warning: string | null;
}

const THREAD_SIZE = 16n << 10n;

/** The check's parameters for such a memory under some rules. */
export function parametersOf(memory: SmallMemory, { switches }: Profile): CheckParameters {
  const { bits, endian, pageShift, text, linearText, frames } = memory;
  return {
    bits,
    endian,
    pageShift,
    switches: { ...switches, depth: switches.depth && memory.hasStackPointer },
    text,
    linearText,
    rodata: null,
    data: null,
    bss: null,
    taskSize: 1n << BigInt(bits === 64 ? 47 : 31),
    stack: {
      threadSize: THREAD_SIZE,
      current: { kind: 'declared' },
      depthOfCheck: 0n,
      depthOfPrint: 0n,
      frames: frames?.layout ?? null,
    },
    introspection: null,
  };
}

/** Judges a copy, by a check that is there for this alone: what was declared in it before is forgotten. */
export function judgeSmall(check: Check, memory: SmallMemory, profile: Profile, copy: Copy): SmallVerdict {
  check.clearDeclarations();
  for (const declaration of memory.declarations) check.declare(declaration);
  check.configure(parametersOf(memory, profile));
  const { bits, endian, frames } = memory;
  const { records = [], layout: { savedFrame, bias } = { savedFrame: 0, bias: 0 } } = frames ?? {};
  const registerOf = (record: bigint | undefined): bigint => (record === undefined ? 0n : record - BigInt(bias));
  // The links between frames are the only bytes of such a memory that the check reads.
  check.foreignReader = (address, length) => {
    const at = records.indexOf(address - BigInt(savedFrame));
    return at < 0 || length !== bits / 8 ? undefined : encodeUnsigned(registerOf(records[at + 1]), length, endian);
  };
  const verdict = check.judge(copy, {
    stackPointer: memory.stackPointer,
    framePointer: registerOf(records[0]),
    currentBase: 0n,
  });
  const { format, allocator = memory.allocator ?? 'SLUB' } = profile.switches;
  const style: MessageStyle = { format, bits, allocator };
  return { verdict, message: formatMessage(verdict, copy, style), warning: formatWarning(verdict, copy, style) };
}

/** What a kernel prints of a copy, or that it prints nothing and why. */
export function printedLine({ verdict, message, warning }: SmallVerdict): string {
  const line = message ?? warning;
  if (line !== null) return line;
  switch (verdict.outcome) {
    case 'good':
      return 'nothing: the copy passes';
    case 'bad':
      return 'no line of its own: the copy ends in BUG()';
    case 'unreadable':
      return 'not known: the check needs bytes that nobody gave';
  }
}

/** The rule that settled it. */
export const decidedBy = ({ verdict }: SmallVerdict): string =>
  verdict.outcome === 'unreadable' ? 'unreadable memory' : verdict.by;
