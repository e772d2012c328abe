/** The mark that pagers and editors put into the last column of a line that goes on. */
import { plainLine } from './characters.js';

const NARROWEST = 40;
/** Of a line that goes on unseen, and of one that goes on below. */
const CUT_MARKS = '>\u2026\u00bb\u2192';
const BREAK_MARKS = '\\\u21a9\u21b5\u23ce';

/** A mark that all lines of the widest column end with, and that column. */
export interface EdgeMark {
  readonly column: number;
  /** What it stands for goes on unseen, not on the next line. */
  readonly cuts: boolean;
}

/** Cleaning makes a line no longer, but for a ligature or a dash in it. */
const MAY_GROW = /[\u2013-\u2015\ufb00-\ufb06]/;

/** A line counts as it is shown, without colours; only one that may reach the widest is cleaned. */
export function edgeMark(raw: readonly { readonly text: string }[]): EdgeMark | null {
  const LEAST = 3;
  let column = 0;
  let mark: string | null = null;
  let count = 0;
  for (const { text } of raw) {
    if (text.length < column && !MAY_GROW.test(text)) continue;
    const line = plainLine(text);
    if (line.length < column) continue;
    const last = line.slice(-1);
    if (line.length > column) {
      column = line.length;
      mark = last;
      count = 1;
    } else if (last === mark) count++;
    else mark = null;
  }
  const isMark = mark !== null && `${CUT_MARKS}${BREAK_MARKS}`.includes(mark);
  return mark === null || !isMark || count < LEAST || column < NARROWEST
    ? null
    : { column, cuts: CUT_MARKS.includes(mark) };
}
