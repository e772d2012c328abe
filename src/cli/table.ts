/** Tables for people, as wide as the terminal. */
import Table from 'cli-table3';
import stringWidth from 'string-width';
import { laidOut } from '../terminal.js';

/** Beside a cell's text: a space on either side. */
const PADDING = 2;

/** Characters that a line may have: `COLUMNS` where it is set, else the terminal's own width. */
function lineWidth(): number {
  const asked = Number(process.env['COLUMNS']);
  if (Number.isInteger(asked) && asked > 0) return asked;
  return process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
}

/**
 * A table without colours of its own; cells are strings, which may have colours. `widths` (characters, with a space on
 * either side) wrap long cells. It fits the terminal: columns are narrowed as far as no word is cut, and what is still too
 * wide is written as one block a row, one cell a line.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  widths: readonly (number | null)[] = [],
): string {
  return laidOut([head, ...rows], ([top = [], ...cells]) => {
    const limit = lineWidth();
    const fitting = narrowed([top, ...cells], widths, limit);
    if (fitting === null) return blocks(top, cells, limit);
    const grid = new Table({
      head: top,
      colWidths: fitting,
      wordWrap: true,
      style: { head: [], border: [], compact: true },
    });
    grid.push(...cells);
    return grid.toString();
  });
}

const longest = (texts: readonly string[]): number =>
  texts.reduce((most, text) => Math.max(most, stringWidth(text)), 0);

/** Widths of columns that make a table of `limit` characters at the most; null when a word would have to be cut. */
function narrowed(
  rows: readonly (readonly string[])[],
  widths: readonly (number | null)[],
  limit: number,
): number[] | null {
  const columns = (rows[0] ?? []).map((_, index) => {
    const texts = rows.map((row) => row[index] ?? '');
    const least = longest(texts.flatMap((text) => text.split(/\s+/))) + PADDING;
    const natural = longest(texts.flatMap((text) => text.split('\n'))) + PADDING;
    return { least, width: Math.max(least, Math.min(natural, widths[index] ?? natural)) };
  });
  // A line before each column, and one after the last.
  let spare = limit - columns.length - 1 - columns.reduce((sum, { width }) => sum + width, 0);
  for (; spare < 0; spare++) {
    const wide = columns.filter(({ least, width }) => width > least);
    const [first, ...others] = wide;
    if (first === undefined) return null;
    others.reduce((widest, column) => (column.width > widest.width ? column : widest), first).width--;
  }
  return columns.map(({ width }) => width);
}

function blocks(head: readonly string[], rows: readonly (readonly string[])[], limit: number): string {
  const left = longest(head) + PADDING;
  const indent = `\n${' '.repeat(left)}`;
  const line = (name: string, cell: string): string => {
    const lines = cell.split('\n').flatMap((text) => wrapped(text, limit - left));
    return name + ' '.repeat(left - stringWidth(name)) + lines.join(indent);
  };
  return rows
    .map((row) => head.flatMap((name, index) => (row[index] ? [line(name, row[index])] : [])).join('\n'))
    .join('\n\n');
}

/** A text in lines of `width` characters, broken between words; a longer word has a line of its own. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && stringWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
