/**
 * What `usercopy repro` finds about one copy, whether it was told by a report, by a dump or by both. The JSON of
 * `reproductionJson()` is a contract: every key is always there, what is not known is null.
 */

import type { Direction } from '../check/verdict.js';
import type { UsercopyReport } from '../report/report.js';

export type Outcome =
  /** Check and replay agree with each other, and with the report where there is one; the copy is refused. */
  | 'identical'
  /** They do not. */
  | 'different'
  /** No dump: the report's message follows from its numbers under its kernel's rules. */
  | 'consistent'
  /** No dump: it does not. */
  | 'contradictory'
  /** Check and replay let the copy pass, and no report objects. */
  | 'clean'
  /** What is there does not decide. */
  | 'unknown';

/** Where a number of the copy comes from. */
export type CopySource =
  /** The report's message says it. */
  | 'printed'
  /** A register of the report holds it, and the message agrees. */
  | 'registers'
  /** Not exact: only what the message allows; see the explanation. */
  | 'bounded by the message'
  /** A function of the call trace copies in one direction only. */
  | 'trace'
  /** The command line. */
  | 'given'
  /** A word of the stack in a dump, and the check says of it what the log says. */
  | 'dump stack'
  /** The registers of a dump, at the check's first instruction. */
  | 'dump registers';

export interface ReproducedCopy {
  readonly pointer: bigint | null;
  /** Bytes. */
  readonly size: bigint | null;
  readonly direction: Direction | null;
  readonly pointerFrom: CopySource | null;
  readonly sizeFrom: CopySource | null;
  readonly directionFrom: CopySource | null;
}

/** What the check of this project says. */
export interface CheckFinding {
  /** The kernel's line without the log prefix; null when it prints none, as for a good copy. */
  readonly message: string | null;
  /** Whether it refuses the copy; null when it needed memory that cannot be read. */
  readonly refused: boolean | null;
  /** Where the check read: the dump, or a guest that was made as the report describes. */
  readonly judged: 'dump' | 'scenario';
}

/** What a kernel's own check said when it ran under the emulator. */
export interface ReplayFinding {
  /** As `CheckFinding` has it. */
  readonly message: string | null;
  /** Whether it came to BUG(). */
  readonly refused: boolean;
  /** Guest instructions of the whole call, up to BUG() for a bad copy; null when not counted. */
  readonly instructions: number | null;
  /** The kernel that ran: the dump's own, or a built-in guest. */
  readonly kernel: string;
}

export interface ExplainedObject {
  /** Bounds; null where only the size is known. */
  readonly start: bigint | null;
  readonly end: bigint | null;
  /** Bytes. */
  readonly size: bigint | null;
  /** Name of the slab cache. */
  readonly cache: string | null;
  /** Which object of its slab. */
  readonly index: number | null;
  readonly state: 'allocated' | 'free' | null;
  /** The part that user copies may touch. */
  readonly window: { readonly start: bigint; readonly end: bigint } | null;
}

/** What only a dump tells about the place. Keys that do not fit the region are null. */
export interface ExplainedSurroundings {
  /** Of the kernel's image, in hexadecimal, as VMCOREINFO has it (0935288c6e00, 5.9); null where it does not. */
  readonly buildId?: string | null;
  /** Objects of the slab before and after this one. */
  readonly neighbours: readonly {
    readonly start: bigint;
    readonly end: bigint;
    readonly index: number;
    readonly state: 'allocated' | 'free' | null;
  }[];
  /** Bytes of red zone before each object; 0 without. */
  readonly redZone: bigint | null;
  /** Bytes of the copy that lie before and behind what it may touch. */
  readonly outside: { readonly before: bigint; readonly after: bigint } | null;
  /** Order of a page, as the page allocator counts: 2^order pages. */
  readonly order: number | null;
  /** A vmalloc area with its guard page, and where it was asked for: `symbol+0x1c`. */
  readonly area: { readonly start: bigint; readonly end: bigint; readonly caller: string | null } | null;
  /** Whose stack, and in which frame. */
  readonly stack: {
    readonly comm: string | null;
    readonly pid: number | null;
    readonly start: bigint;
    readonly end: bigint;
    readonly frame: string | null;
  } | null;
  /** Symbol of the kernel that the copy begins in. */
  readonly symbol: string | null;
  /** Who called the check, innermost first; `?` before what merely lies on the stack. */
  readonly calls: readonly string[];
}

/** Members of a structure in which a copy starts and ends. */
export interface ExplainedField {
  readonly struct: string;
  readonly first: string | null;
  readonly last: string | null;
  /** Members that the copy covers, with a few before and behind, in bytes from the structure's start. */
  readonly members: readonly { readonly name: string; readonly offset: number; readonly size: number }[];
}

/** A class of docs/causes.md. */
export interface LikelyCause {
  readonly cause: string;
  /** What speaks for it here. */
  readonly because: string;
}

/** An entry of `causes-found.ts` that a report fits. */
export interface KnownCause {
  readonly id: string;
  /** Its class. */
  readonly cause: string;
  /** What it was, in a sentence. */
  readonly was: string;
  /** Where it was mended; null where that is not known. The commit is null where only its title was found. */
  readonly fix: { readonly commit: string | null; readonly title: string; readonly version: string } | null;
  /** Where this was told. */
  readonly source: string;
  /** `possible`: the release that would tell is not there. */
  readonly confidence: 'certain' | 'likely' | 'possible';
}

export interface Explanation {
  /** The rule that decided, in the project's words (`Refusal` or `Acceptance`). */
  readonly region: string | null;
  readonly object: ExplainedObject | null;
  readonly field: ExplainedField | null;
  /** null without a dump. */
  readonly surroundings?: ExplainedSurroundings | null;
  /** A few sentences for a person. */
  readonly lines: readonly string[];
  readonly causes: readonly LikelyCause[];
  /** What others found of such a report; null where nobody is known to have. */
  readonly known: KnownCause | null;
}

export interface Reproduction {
  readonly outcome: Outcome;
  /** Architecture variant as `usercopy arch` lists it, or the report's own word where the project has none. */
  readonly variant: string | null;
  readonly profile: string | null;
  /** Release. */
  readonly kernel: string | null;
  readonly copy: ReproducedCopy;
  readonly report: UsercopyReport | null;
  readonly check: CheckFinding | null;
  readonly replay: ReplayFinding | null;
  readonly explanation: Explanation;
}

export const NO_EXPLANATION: Explanation = {
  region: null,
  object: null,
  field: null,
  lines: [],
  causes: [],
  known: null,
};
