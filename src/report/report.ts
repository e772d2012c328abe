/** A kernel's usercopy report, as read from a log. What the log does not say is null, and nothing is guessed. */
import type { Direction, Refusal } from '../check/verdict.js';

/** How the message is worded. */
export type MessageFormat =
  /** `PAX: kernel memory leak attempt detected from …`, the ancestor. */
  | 'pax'
  /** Up to 4.15: address, type and size in brackets. */
  | 'old'
  /** 4.16 on, and trees that took it back to 4.15: name, 'detail', offset and size. */
  | 'new'
  /** `Bad or missing usercopy whitelist? …`: the copy was let through (HARDENED_USERCOPY_FALLBACK, 4.16 to 5.15). */
  | 'whitelist warning';

/** The line itself, taken apart. */
export interface UsercopyMessage {
  readonly format: MessageFormat;
  /** As the log has it, without the prefix of the log; wrapped lines joined by one space. */
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
  /** Name of the slab cache, breaks inside it mended; null for anything else. */
  readonly cache: string | null;
  /** Old formats only: the kernel pointer as printed. */
  readonly address: bigint | null;
  /** New format only; for some rules it is no offset at all (`src/repro/numbers.ts`). */
  readonly offset: bigint | null;
  /** Bytes; for a wrapped address it is pointer + size. null where the log cut it off. */
  readonly size: bigint | null;
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
  /** Numbers of the lines that it was read from, from 1. */
  readonly lines: { readonly first: number; readonly last: number };
  /** What a reader must know: several crashes mixed, a cut line, facts taken from elsewhere in the log. */
  readonly notes: readonly string[];
}
