/** A kernel's usercopy report, as read from a log. What the log does not say is null, and nothing is guessed. */
import type { Direction, Refusal } from '../check/verdict.js';
import type { MessageFormat } from './grammar.js';

export type { MessageFormat } from './grammar.js';

/** The line itself, taken apart. */
export interface UsercopyMessage {
  readonly format: MessageFormat;
  /** As the log has it, without the log's prefix; broken lines joined with the space that stood there, or none inside a word. */
  readonly text: string;
  /** As the kernel must have written it: breaks inside words, emphasis and slips of typing mended; null where it is cut off. */
  readonly canonical: string | null;
  readonly direction: Direction;
  /** The rule that speaks; null for words that no kernel known here prints. A slab's is told by the name alone. */
  readonly refusal: Refusal | null;
  /** `SLUB object`, `SLAB object`, `slab cache (old format)`; `special` for what is no slab object: a stack, text, a page. */
  readonly regionKind: string;
  /** As the log has it: the slab cache, or the kernel's word for the place: `process stack`, `vmalloc 'no area'`, `<kernel text>`. */
  readonly region: string;
  /** Name of the slab cache, breaks inside it mended; null for anything else, and where it is cut off. */
  readonly cache: string | null;
  /** Old formats only: the kernel pointer as printed, all its digits; null where some are missing, or it is not printed. */
  readonly address: bigint | null;
  /** Digits that stand there for it: 8 or 16 are a whole address. */
  readonly addressDigits: number | null;
  /** Old formats: the pointer is no part of the wording (4f5e838605c2 alone: trees of Android 4.14). */
  readonly noAddress: boolean;
  /** New format only; for some rules it is no offset at all (`src/diagnosis/numbers.ts`). */
  readonly offset: bigint | null;
  /** Bytes; for a wrapped address it is pointer + size. null where the log cut it off. */
  readonly size: bigint | null;
  /** The first digits of a size that is cut off; null where it is whole, or nothing of it is there. */
  readonly sizeDigits: string | null;
}

/** A function in the call trace, innermost first. */
export interface TraceEntry {
  readonly symbol: string;
  /** Bytes from the symbol, and the symbol's size; null where the line has none. */
  readonly offset: number | null;
  readonly size: number | null;
  readonly module: string | null;
  readonly address: bigint | null;
  /** `mm/usercopy.c:102`, where the trace was decoded. */
  readonly source: string | null;
  /** Inlined into the next entry. */
  readonly inlined: boolean;
  /** False for what the kernel marks with `?`: an address that it found on the stack. */
  readonly reliable: boolean;
}

/** What mem_dump_obj() said of a register (`Register r8 information: slab …`, 32-bit ARM since 5.12). */
export interface RegisterObject {
  readonly register: string;
  readonly cache: string;
  readonly start: bigint;
  /** Bytes from the object's start to the register's value. */
  readonly offset: number;
  /** Bytes of the object. */
  readonly size: number;
}

/** Pieces of the message found as text in registers: printk's formatting and copying leaves them there. */
export interface RegisterText {
  /** Register to its ASCII, in the order of memory; a byte that is no text ends or begins a piece. */
  readonly pieces: ReadonlyMap<string, string>;
  /** What the pieces decide; null where they do not. */
  readonly direction: Direction | null;
  readonly region: string | null;
}

/** What the register of a function's result tells of the message's line (`return-length.ts`). */
export interface ReturnLength {
  readonly register: string;
  /** Characters of the line, from `usercopy:` to its last. */
  readonly characters: number;
  /**
   * `agrees`: the message as it was read has this length. `chosen`: of two ways to join a broken one, this one has.
   * `completed`: a cut number can only be the one that was read. `narrows`: it tells how many digits or letters are
   * missing. `differs`: the log's line is another length: what was posted was altered, or the register is another call's.
   */
  readonly use: 'agrees' | 'chosen' | 'completed' | 'narrows' | 'differs';
}

export interface UsercopyReport {
  readonly message: UsercopyMessage | null;
  /** `kernel BUG at mm/usercopy.c:102!`, or what stands there on this architecture; a WARNING's line. */
  readonly bugLine: string | null;
  /** Architecture variant; a word of its own (`riscv64`, `mips`, `arc`) for what the project does not run. */
  readonly arch: string | null;
  /** Of a register; null where the architecture is not told. */
  readonly bits: 32 | 64 | null;
  /** What the architecture was told by. */
  readonly archFrom: string | null;
  /** Where the log leaves the variant open and the likeliest was taken: the note that says so; else null. */
  readonly archAssumed: string | null;
  /** `uname -r`. */
  readonly kernelVersion: string | null;
  readonly cpu: number | null;
  readonly pid: number | null;
  readonly comm: string | null;
  /** `G           OE`, without the word; empty for an untainted kernel. */
  readonly taint: string | null;
  readonly hardware: string | null;
  readonly modules: readonly string[] | null;
  /** Those of `modules` that the kernel marks as proprietary or built out of its tree. */
  readonly foreignModules: readonly string[];
  /** Kernel registers of the first dump, under the architecture's own names in lower case. */
  readonly registers: ReadonlyMap<string, bigint>;
  readonly stackPointer: bigint | null;
  /** Function in which the CPU stopped. */
  readonly pc: TraceEntry | null;
  readonly code: string | null;
  readonly trace: readonly TraceEntry[];
  readonly registerObjects: readonly RegisterObject[];
  readonly registerText: RegisterText | null;
  /** What the register of a function's result says of the line's length; null where nothing tells it. */
  readonly returnLength: ReturnLength | null;
  /** Lines of two crashes stand in it that nothing tells apart. */
  readonly mixed: boolean;
  /** Seconds since boot; null where the log has no stamps. */
  readonly stamp: number | null;
  /** The last line before it that tells of damaged memory or of another crash; null where there is none. */
  readonly trouble: string | null;
  /** Numbers of the lines that it was read from, from 1. */
  readonly lines: { readonly first: number; readonly last: number };
  /** What a reader must know: several crashes mixed, a cut line, facts taken from elsewhere in the log. */
  readonly notes: readonly string[];
}
