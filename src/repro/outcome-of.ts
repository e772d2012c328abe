/** What check, replay and report come to together. */
import type { Verdict } from '../check/verdict.js';
import type { Printer } from '../diagnosis/hashed.js';
import type { Outcome } from '../diagnosis/outcome.js';
import { isWarning, saysRefused } from '../diagnosis/refused.js';
import type { UsercopyReport } from '../report/report.js';
import type { Replay } from './replay.js';
import { isSameLine, isWarnedOf, saysTheSame } from './same-line.js';

/** What the check of this project says of a copy. */
export interface Judged {
  readonly verdict: Verdict;
  /** The kernel's line for it; null when it prints none. */
  readonly message: string | null;
}

/** Whether a verdict refuses the copy; null where it needed memory that cannot be read. */
export const refusedBy = ({ outcome }: Verdict): boolean | null =>
  outcome === 'unreadable' ? null : outcome === 'bad';

/**
 * A kernel that refused the copy never agrees with a check that lets it pass, whatever is left of its report. `printer` is the kernel
 * that the report and the replay are of.
 */
export function outcomeOf(
  { verdict, message }: Judged,
  replay: Pick<Replay, 'message' | 'end'> | null,
  report: UsercopyReport | null,
  printer: Printer,
): Outcome {
  if (verdict.outcome === 'unreadable') return 'unknown';
  const isGood = verdict.outcome === 'good';
  if (replay !== null && ((replay.end === 'bug') === isGood || !isSameLine(replay.message, message, printer))) {
    return 'different';
  }
  if (report === null) return isGood ? 'clean' : replay === null ? 'unknown' : 'identical';
  const told = report.message;
  if (isWarning(report)) return isWarnedOf(verdict, told) ? 'identical' : 'different';
  if (isGood) return saysRefused(report) ? 'different' : 'unknown';
  if (told !== null && !saysTheSame(told, message, printer)) return 'different';
  // Without a whole line the report still tells that the kernel refused the copy.
  return told?.canonical == null && replay === null ? 'unknown' : 'identical';
}
