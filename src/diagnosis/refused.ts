/** Whether the kernel refused a copy: the one place that decides it, for titles, sentences, drawings and badges. */
import { isReportOfCheck, lineNamesCheck, lineNamesNothing } from '../report/of-check.js';
import type { UsercopyReport } from '../report/report.js';
import type { CheckFinding, Reproduction } from './outcome.js';

/** A report of a kernel that only warned and let the copy pass. */
export const isWarning = ({ message, bugLine }: UsercopyReport): boolean =>
  message === null
    ? bugLine?.startsWith('WARNING') === true && lineNamesCheck({ bugLine })
    : message.format === 'whitelist warning';

/** Where the CPU stopped, or a caller of that: the kernel's end of a refused copy, which lets none pass. */
const REFUSES = /^(?:usercopy_abort|report_usercopy)(?:\.|$)/;

/** Whether a report is of a kernel that refused the copy: another BUG(), with a leftover of the check on its stack, says nothing of one. */
export const saysRefused = (report: UsercopyReport): boolean => {
  if (isWarning(report)) return false;
  const { message, pc, trace } = report;
  if (message !== null || lineNamesCheck(report)) return true;
  if (lineNamesNothing(report) && isReportOfCheck(report)) return true;
  return [...(pc === null ? [] : [pc]), ...trace].some(({ symbol, reliable }) => reliable && REFUSES.test(symbol));
};

/** False where the kernel only warned or let the copy pass, null where nothing tells. A refusal need not print a line. */
export function refusedOf({ outcome, report, check, replay }: Reproduction): boolean | null {
  if (outcome === 'clean') return false;
  if (report !== null && isWarning(report)) return false;
  if (report !== null && saysRefused(report)) return true;
  return replay?.refused ?? check?.refused ?? null;
}

/** What a check said, in words for a person: its line, or what came of the copy without one. */
export function saidBy({ message, refused }: Pick<CheckFinding, 'message' | 'refused'>): string {
  if (message !== null) return message;
  if (refused === null) return 'cannot tell: memory that it needs cannot be read';
  return refused ? 'refuses the copy, without a line' : 'passes';
}
