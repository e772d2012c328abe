/**
 * The scenario file: which guest, which memory objects, which copies, and what must come out. These types describe what
 * YAML or JSON holds; `schema/scenario.schema.json` says the same to editors and to `readScenario()`. Plain data, so
 * that a scenario can also be put together in a program and written with `writeScenario()`.
 */
import type { Acceptance, Direction, Refusal } from '../check/verdict.js';

/** An unsigned number of at most 64 bits: a number, or a string of hexadecimal (`0x…`) or decimal digits. */
export type Word = number | bigint | string;

/**
 * An address or number as text: `cred + 16`, `cred.end - 8`, `_stext + 64`, `0xffff888003a1f810`, `lm_alias(_stext)`.
 * A name is an object of the scenario, else one of `stack`, `sp`, `user`, else a symbol of the kernel. A plain word is
 * an expression too.
 */
export type Expression = Word;

/** Which kernel, and by which rules its copies are judged. One of `variant`, `kernel`, or `variant` with `release`. */
export interface ScenarioGuest {
  /** A built-in guest's variant (`x86_64`); with `release` the variant of a Debian kernel. */
  readonly variant?: string;
  /** Of a built-in guest: built with the check (default), or as a kernel without HARDENED_USERCOPY. */
  readonly build?: 'check' | 'nocheck';
  /** A kernel image; relative paths start at the scenario's file. */
  readonly kernel?: string;
  /** Debian's kernel, out of the cache or fetched: a suite, a series or a full release. */
  readonly release?: string;
  /** Types and configuration of `kernel`, when the image has none. */
  readonly btf?: string;
  readonly config?: string;
  /** Rules to judge by, with switches (`4.16,pagespan`); `auto` (default) picks by what the kernel holds, then by vendor and version. */
  readonly profile?: string;
  /** Check stack frames although the kernel does not. */
  readonly frames?: boolean;
  /** Bytes of stack that the kernel's own check uses; measured on the kernel when absent. */
  readonly stackDepth?: { readonly check: Word; readonly print: Word };
  /** Bytes of RAM; 64 MiB beside the image when absent. */
  readonly ram?: Word;
}

/** A slab of one cache; the name stands for object `index` of it. */
export interface SlabObject {
  readonly cache: string;
  /** Bytes that the cache's user asked for. */
  readonly objectSize: number;
  /** Bytes from one object to the next; when absent: the object and its red zones, in whole words. */
  readonly size?: number;
  /** What user copies may touch; the whole object when both are absent. */
  readonly useroffset?: number;
  readonly usersize?: number;
  /** Bytes of red zone before each object (SLUB debugging, which is then switched on). */
  readonly redLeftPad?: number;
  /** log2 of the slab's pages; the smallest in which the object fits when absent. */
  readonly order?: number;
  readonly index?: number;
}

/** Memory that no kernel structure describes, at addresses of your choice; see `Declaration`. `end` is the first byte after. */
export interface DeclaredObject {
  readonly kind: 'stack' | 'slab' | 'compound page' | 'pages' | 'vmalloc area' | 'vmalloc space' | 'kmap';
  readonly start: Word;
  readonly end: Word;
  /** Pages. */
  readonly type?: 'plain' | 'Reserved' | 'CMA';
  /** Slab: name, and bytes as of `SlabObject`; `objectStride` is its `size`. */
  readonly cache?: string;
  readonly objectSize?: number;
  readonly objectStride?: number;
  readonly redLeftPad?: number;
  readonly useroffset?: number;
  readonly usersize?: number;
}

/** One kind of memory object. Objects are made in the order in which they are written. */
export type ScenarioObject =
  | { readonly slab: SlabObject }
  /** 2^order pages as one folio. */
  | { readonly compoundPage: { readonly order: number } }
  /** Neighbouring pages that are no folio; the first ones Reserved or of migrate type CMA. */
  | { readonly pages: { readonly count: number; readonly reserved?: number; readonly cma?: number } }
  /** An area of so many pages and its guard page; no memory lies behind it. */
  | { readonly vmalloc: { readonly pages: number } }
  /** A slot of kmap(), on kernels with highmem. */
  | { readonly kmap: { readonly slot: number } }
  /** Bytes in plain pages; `hex` fills their beginning. */
  | { readonly bytes: { readonly size: number; readonly hex?: string } }
  /** What a guest function returns: `kmalloc(64)`; `size` bytes of it are the object. */
  | { readonly result: { readonly call: string; readonly size?: Word } }
  | { readonly declared: DeclaredObject }
  /** The objects that `run random` makes of a seed; the name stands for none of them. */
  | { readonly random: { readonly seed: number } };

/** A copy that the guest's check is asked about. */
export interface ScenarioCopy {
  readonly pointer: Expression;
  readonly size: Word;
  readonly direction: Direction;
}

/** What must come out of a step; what is not named may be anything, except that an unnamed refusal, or BUG(), is a violation. */
export interface Expectation {
  /** The kernel's line without the log prefix; null: none. */
  readonly message?: string | null;
  readonly outcome?: 'good' | 'bad' | 'unreadable';
  /** The rule that settled it. */
  readonly region?: Refusal | Acceptance;
  /** What the guest's own check prints, where it is another line than `message`. */
  readonly guest?: string | null;
  /** How the call ends: it returns, hits BUG(), or the plugin stops it. */
  readonly ends?: 'returned' | 'bug' | 'stopped';
  /** What the called function returns. */
  readonly returns?: Word;
  /** Guest instructions of the call. */
  readonly instructions?: number;
}

/** One copy, or one call of a guest function: `do_copy(user, cred, 64, 1)`. */
export interface ScenarioStep {
  readonly name?: string;
  readonly copy?: ScenarioCopy;
  readonly call?: string;
  readonly expect?: Expectation;
}

export interface Scenario {
  /** For editors. */
  readonly $schema?: string;
  readonly name?: string;
  readonly guest: ScenarioGuest;
  /** `kernel`: what the kernel judges (default where it has the check). `all`: every copy. */
  readonly judge?: 'kernel' | 'all';
  /**
   * `stop` before a bad copy, or `record` it and go on: into the guest's own check (default where that knows the same
   * rules, which makes it a judge), or into the copy.
   */
  readonly onViolation?: 'stop' | 'record';
  readonly objects?: Readonly<Record<string, ScenarioObject>>;
  /** Each starts from the same memory. */
  readonly steps: readonly ScenarioStep[];
}
