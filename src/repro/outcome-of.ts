/** What check, replay and report come to together. */
import type { Verdict } from '../check/verdict.js';
import type { Outcome } from '../diagnosis/outcome.js';
import { isWarning, saysRefused } from '../diagnosis/refused.js';
import type { UsercopyReport } from '../report/report.js';
import type { Replay } from './replay.js';

/** What the check of this project says of a copy. */
export interface Judged {
  readonly verdict: Verdict;
  /** The kernel's line for it; null when it prints none. */
  readonly message: string | null;
}

/** Whether a verdict refuses the copy; null where it needed memory that cannot be read. */
export const refusedBy = ({ outcome }: Verdict): boolean | null =>
  outcome === 'unreadable' ? null : outcome === 'bad';

/** A kernel that refused the copy never agrees with a check that lets it pass, whatever is left of its report. */
export function outcomeOf(
  { verdict, message }: Judged,
  replay: Pick<Replay, 'message' | 'end'> | null,
  report: UsercopyReport | null,
): Outcome {
  if (verdict.outcome === 'unreadable') return 'unknown';
  const isGood = verdict.outcome === 'good';
  if (replay !== null && ((replay.end === 'bug') === isGood || !sameLine(replay.message, message))) return 'different';
  if (report === null) return isGood ? 'clean' : replay === null ? 'unknown' : 'identical';
  if (report.message?.format === 'whitelist warning') {
    return isGood && verdict.by === 'slab object by fallback' ? 'identical' : 'different';
  }
  // Without a whole line the report still tells whether the kernel refused the copy.
  if (isWarning(report)) return isGood ? 'clean' : 'different';
  if (isGood) return saysRefused(report) ? 'different' : 'unknown';
  const line = report.message?.canonical ?? null;
  if (line !== null) return sameLine(line, message) ? 'identical' : 'different';
  return replay === null ? 'unknown' : 'identical';
}

/** 4.15 prints the address of its old line as a hash of 32 bits in 16 digits (ad67b74d2469), which nothing else can tell. */
const OLD_LINE = /^(usercopy: kernel memory \w+ attempt detected (?:from|to)) ([0-9a-f]{16}) (.*)$/;
const isHash = (digits: string | undefined): boolean => digits?.startsWith('00000000') === true;

function sameLine(mine: string | null, its: string | null): boolean {
  if (mine === its) return true;
  const [left, right] = [OLD_LINE.exec(mine ?? ''), OLD_LINE.exec(its ?? '')];
  if (left === null || right === null || isHash(left[2]) === isHash(right[2])) return false;
  return left[1] === right[1] && left[3] === right[3];
}
