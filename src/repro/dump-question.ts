/** What is asked about a dump, and what is answered. */
import type { Copy } from '../check/verdict.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import type { DumpJudgement } from '../dump/judge.js';
import type { Dump } from '../dump/open-dump.js';
import type { UsercopyReport } from '../report/report.js';
import type { SourcedCopy } from './stand-at-check.js';

export interface DumpInput {
  /** Path of the vmcore. */
  readonly dump: string;
  /** Paths of the kernel's image, types and configuration. */
  readonly kernel?: string | undefined;
  readonly btf?: string | undefined;
  readonly config?: string | undefined;
  /** Text of QEMU's `info registers`, and where it came from. */
  readonly registers: { readonly text: string; readonly path: string } | null;
  readonly profile?: string | undefined;
  /** Check stack frames although the kernel does not. */
  readonly frames?: boolean | undefined;
  /** Where to write the dump reduced to what was needed; with `redact` without what nobody read. */
  readonly shrink?: { readonly path: string; readonly redact: boolean } | undefined;
  /** Where to write the kernel's log that is in the dump. */
  readonly log?: string | undefined;
  /** Where to write a page that draws the memory around the copy. */
  readonly html?: string | undefined;
}

/** What is asked about a dump. */
export interface DumpQuestion {
  readonly input: DumpInput;
  /** null: the one in the registers at the check's first instruction. */
  readonly copy: Copy | null;
  readonly report: UsercopyReport | null;
  /** Whether the dump's own kernel is to judge it too. */
  readonly replay: boolean;
  /** What an earlier asking had found of the copy: an emulator that ended may have been needed for that. */
  readonly asked?: AskedPlace | undefined;
}

/** Which copy is meant, and the CPU as it was when the kernel was asked about it. */
export interface AskedPlace extends Pick<Dump, 'registers' | 'task' | 'atCheck'> {
  /** null: the one in the registers. */
  readonly copy: SourcedCopy | null;
  readonly report: UsercopyReport | null;
  /** A report in the dump's log that may be of this copy. */
  readonly maybe?: UsercopyReport | null;
  readonly notes: readonly string[];
}

/** What lies at an address of a dump? */
export interface IdentifyQuestion {
  readonly input: DumpInput;
  readonly address: bigint;
}

/** What the check says of a copy in a dump. */
export interface DumpFinding extends DumpJudgement {
  /** Architecture variant as `usercopy arch` lists it. */
  readonly variant: string;
  /** Release. */
  readonly kernel: string;
  readonly profile: string;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  /** How the kernel was found in the dump, and how far it was moved from where it was linked to. */
  readonly found: { readonly by: string; readonly slide: bigint };
  /** Where the copy is from, its object and the members that it touches. */
  readonly reproduction: Reproduction;
}

/** The same in both forms. */
export interface DumpAnswer {
  readonly finding: DumpFinding;
  readonly reproduction: Reproduction;
  readonly asked: AskedPlace;
}

export interface ExamineOptions {
  /** Why no code of the dump is to be run; null when it may be. */
  readonly withoutEmulator: string | null;
  /** Awaited before an emulator starts, with what is known by then: a dump can make an emulator crash or hang. */
  readonly beforeEmulation?: (known: DumpAnswer | null) => Promise<void>;
}
