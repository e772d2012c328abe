/** Lines of one report that a mailer, a terminal or printk itself broke → whole lines. */
import type { LogLine } from './log-lines.js';
import type { Shapes } from './shapes.js';

/** A wrapped line has few pieces; a module list has more. */
const MOST_PIECES = 40;
const LONGEST_JOINED = 16_384;
/** One entry of `Modules linked in:`. */
const MODULE_NAMES = /^(?:\w[\w.-]{0,80}(?:\([A-Z+-]{1,8}\))?(?:\s+|$)){1,400}(?:\[last unloaded:.{0,400})?$/;

/**
 * Joins the rest of a line to it: what has neither the log's prefix nor the look of a beginning. `column` is where the
 * message was broken inside a word, null where it was not: a terminal breaks every line there.
 */
export function joinBroken(lines: readonly LogLine[], shapes: Shapes, column: number | null): LogLine[] {
  const at = column ?? breakColumn(lines, shapes);
  const joined: LogLine[] = [];
  let pieces = 0;
  let last: LogLine | null = null;
  for (const line of lines) {
    const whole = joined.at(-1);
    if (whole === undefined || last === null || !continues(whole, last, line, pieces, shapes, at)) {
      joined.push(line);
      pieces = 1;
    } else {
      const glue = last.width === at && !last.blankAtEnd && !line.blankAtStart && !line.prefixed ? '' : ' ';
      joined[joined.length - 1] = { ...whole, text: `${whole.text}${glue}${line.text}` };
      pieces++;
    }
    last = line;
  }
  return joined;
}

function continues(
  whole: LogLine,
  last: LogLine,
  line: LogLine,
  pieces: number,
  shapes: Shapes,
  column: number | null,
): boolean {
  // Where each line of the log has its prefix, a terminal's break says more than the looks of what follows.
  if (whole.prefixed && !line.prefixed && !line.gap && last.width === column && pieces < MOST_PIECES) return true;
  if (pieces >= MOST_PIECES || whole.text.length >= LONGEST_JOINED || shapes.startsItem(line.text)) return false;
  if (!line.prefixed) return line.number - last.number <= 2;
  // printk cuts a long list of modules into records.
  return (
    whole.text.startsWith('Modules linked in:') &&
    !whole.text.includes('[last unloaded') &&
    MODULE_NAMES.test(line.text)
  );
}

/** The column at which all broken lines end, where no line is longer; null where there is none. */
function breakColumn(lines: readonly LogLine[], { startsItem }: Shapes): number | null {
  let column: number | null = null;
  let broken = 0;
  let longest = 0;
  for (const [index, line] of lines.entries()) {
    longest = Math.max(longest, line.width);
    const next = lines[index + 1];
    if (next === undefined || next.prefixed || next.gap || startsItem(next.text)) continue;
    if (column !== null && column !== line.width) return null;
    column = line.width;
    broken++;
  }
  return broken >= 2 && column === longest ? column : null;
}
