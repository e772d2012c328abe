/**
 * Lines that a screen, a pager or a picture cut off at its right edge: they end at one column, and no line is longer. What
 * touches the edge may have gone on, and is not told.
 */
import { SEAM } from './join.js';
import type { LogLine } from './log-lines.js';
import type { Shapes } from './shapes.js';

const NARROWEST = 40;
const MOST_AT_EDGE = 0.8;
/** Lines whose length differs from report to report: two of them that end at one column, which is the last, did not end there. */
const LONG = /^(?:Modules linked in:|Code: |Hardware name: |CPU ?: ?\d{1,5} |WARNING: |\S{0,40}[kK]ernel BUG at )/;

/** The lines with nothing that touches the edge, and the column of it; null where none is seen. */
export function withoutEdge(
  lines: readonly LogLine[],
  isCutMessage: (line: LogLine) => boolean,
  { startsItem }: Shapes,
): { readonly lines: readonly LogLine[]; readonly column: number } | null {
  const column = lines.reduce((widest, { width }) => Math.max(widest, width), 0);
  const taken = (line: LogLine): LogLine => (line.width === column ? { ...line, text: inside(line.text) } : line);
  // A pager's mark tells it.
  if (lines.some(({ cut }) => cut)) return { column, lines: lines.map(taken) };
  if (column < NARROWEST) return null;
  let long = 0;
  let there = 0;
  for (const [index, line] of lines.entries()) {
    if (line.width !== column) continue;
    there++;
    const next = lines[index + 1];
    // The rest of a line that a terminal broke stands below it.
    if (next !== undefined && !next.prefixed && !startsItem(next.text)) return null;
    if (isCutMessage(line) || LONG.test(line.text)) long++;
  }
  // Rows of a table are all as long, and so are lines that a terminal filled up.
  if (long < 2 || there > MOST_AT_EDGE * lines.length) return null;
  return { column, lines: lines.map(taken) };
}

function inside(text: string): string {
  // A symbol that nothing follows is told by nobody.
  if (/^(?:[RE]IP|NIP|LR|e?pc|PC)\b/.test(text)) return text;
  const whole = text.replace(/^CPU ?:/.test(text) ? /\S{1,300}$/ : /[^\s/+]{1,300}$/, '');
  if (/^(?:Modules linked in:|Hardware name: |CPU ?: (?!.{0,300}ainted))/.test(text)) return `${whole}${SEAM}`;
  return whole.trimEnd();
}
