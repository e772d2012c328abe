/** Answers of this program that a mail or a tracker quotes: they repeat the kernel's lines, and are no log. */
import type { LogLine } from './log-lines.js';
import { startsMessage } from './message.js';
import { ANSWER_HEAD } from './own-output.js';
import { CUT } from './shapes.js';

/** The kernel's lines that are in an answer stand right behind its head: those of the report, of the check and of the replay. */
const MOST_MESSAGES = 3;

/** Lines without those of an answer that a mail quotes: from its head to an empty line, or to a log. */
export function withoutAnswers(lines: readonly LogLine[]): readonly LogLine[] {
  let since = Number.POSITIVE_INFINITY;
  return lines.filter(({ text, gap, stamp }) => {
    since++;
    if (ANSWER_HEAD.test(text)) since = 0;
    else if (gap || stamp !== null || CUT.test(text) || (since > MOST_MESSAGES && startsMessage(text)))
      since = Number.POSITIVE_INFINITY;
    return since === Number.POSITIVE_INFINITY;
  });
}
