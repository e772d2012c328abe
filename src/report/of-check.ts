/** Whether a report's crash is of the check, or only has it as a leftover on its stack. */
import type { UsercopyReport } from './report.js';
import { isOfCheck } from './trace.js';

/** `kernel BUG at mm/usercopy.c:102!`, without source lines `kernel BUG at .usercopy_abort+0x…`; LKDTM has a file of that name too. */
const OF_CHECK = /(?:\bmm\/|\bat +)usercopy\.c\b|\b(?:usercopy_abort|usercopy_warn|report_usercopy)\b/;
const NAMES_A_FILE = /\.[chS]:\d/;

type Line = Pick<UsercopyReport, 'bugLine'>;

/** Whether its BUG or WARNING line names the check. */
export const lineNamesCheck = ({ bugLine }: Line): boolean => bugLine !== null && OF_CHECK.test(bugLine);

/** Whether there is such a line and it says of no file that it was there. */
export const lineNamesNothing = ({ bugLine }: Line): boolean => bugLine !== null && !NAMES_A_FILE.test(bugLine);

/** By its message, its BUG line, the place that the CPU stopped at, or a frame that the kernel vouches for. */
export const isReportOfCheck = (report: UsercopyReport): boolean => {
  const { message, pc, trace } = report;
  if (message !== null || lineNamesCheck(report)) return true;
  return [...(pc === null ? [] : [pc]), ...trace].some(({ symbol, reliable }) => reliable && isOfCheck(symbol));
};
