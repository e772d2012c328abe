/** What an attachment tells of a copy that it did not let pass. */
import type { Copy, Verdict } from '../check/verdict.js';
import type { Backtrace, BacktraceMethod, CodePlace } from '../stack/backtrace.js';
import type { TallyCount } from './tally.js';

/** A copy that the check refused, or could not judge. */
export interface Violation {
  readonly copy: Copy;
  readonly verdict: Exclude<Verdict, { outcome: 'good' }>;
  /** The kernel's line, without the log prefix; null where it prints none or the copy could not be judged. */
  readonly message: string | null;
  /** The entry point at which the guest was caught. */
  readonly entry: string;
  /**
   * Whether the kernel's own check is asked about this copy too (it never is about constant sizes). null: it is not known, since
   * the copy may be part of one that the check was asked about.
   */
  readonly kernelJudges: boolean | null;
  /** Of the entry point's first instruction. */
  readonly pc: bigint;
  /** Guest instructions of the run before this copy; null when the run does not count them, and in an audit. */
  readonly instructions: number | null;
  /** Estimated guest cycles of the run before this copy, earlier charges included; null without a pricer, and in an audit. */
  readonly cycles: number | null;
  /** Where the entry point returns to; null when it was not recorded: in an audit by `judge: 'kernel'`, where no register holds it. */
  readonly caller: CodePlace | null;
  /** Empty in an audit. */
  readonly backtrace: Backtrace;
  /** By what the backtrace was followed. */
  readonly backtraceMethod: BacktraceMethod;
  /** An audit found it after the copy had happened; memory may have changed in between. */
  readonly judgedAfterwards: boolean;
  /** For a person: the object, its bounds, and by how much the copy misses. */
  readonly explanation: readonly string[];
}

/** `continue` is another word for `record`. `fail`: the copy is not made, and its caller is told so, as after -EFAULT (`failing-copies.ts`). */
export type ViolationHandler = (violation: Violation) => 'stop' | 'record' | 'continue' | 'fail';

/** Violations by what they have in common, the most frequent first; suppressed ones are among them. */
export interface ViolationStatistics {
  readonly byDirection: readonly TallyCount[];
  /** By verdict: `slab object`, `process stack`, …, `unreadable`. */
  readonly byRegion: readonly TallyCount[];
  /** By slab cache, where there is one. */
  readonly byCache: readonly TallyCount[];
  /** By the function that the copy returns to. */
  readonly byCaller: readonly TallyCount[];
}
