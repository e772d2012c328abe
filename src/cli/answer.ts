/** What a verb found, in the form that was asked for: text for people, JSON, Markdown or CSV. The one way to print a table. */
import { markdownTable } from 'markdown-table';
import papaparse from 'papaparse';
import stringWidth from 'string-width';
import { colours, print, printError, withoutColours } from '../terminal.js';
import { nextLine } from './output.js';
import { table } from './table.js';

/** The options that `Verb.tables()` adds; at most one of them is set. Without one an answer is text. */
export interface Forms {
  readonly json?: boolean;
  readonly markdown?: boolean;
  readonly csv?: boolean;
}

/** Rows under a head. Cells may have colours. */
export interface AnswerTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Text: the width of each column in characters, beyond which cells are wrapped; null for as wide as its cells. */
  readonly widths?: readonly (number | null)[];
  /** CSV: columns before the others with the same value in each row, which the heading says elsewhere. */
  readonly about?: Readonly<Record<string, string>>;
  /** Text: what stands in the place of the table where people are used to read it otherwise. */
  readonly text?: string;
}

/** A sentence or several lines of them, a heading, or a table. CSV has no heading: `AnswerTable.about` has what it says. */
export type Part = string | { readonly heading: string } | AnswerTable;

export interface Answer {
  /** Called for `--json` only. */
  readonly json: () => string;
  /** Called for the other forms; what is undefined is left out. */
  readonly parts: () => readonly (Part | undefined)[];
  /** Text: the command that a user wants next, as the last line. */
  readonly next?: string | undefined;
}

/** Prints one answer. */
export function printAnswer(forms: Forms, answer: Answer): void {
  new AnswerPrinter(forms).print(answer);
}

/** Prints several answers of one verb. In CSV, tables with the same columns have one head. */
export class AnswerPrinter {
  readonly #forms: Forms;
  /** CSV: the columns of the table before. */
  #columns: string | null = null;

  constructor(forms: Forms) {
    this.#forms = forms;
  }

  print({ json, parts, next }: Answer): void {
    const { json: asJson, markdown, csv } = this.#forms;
    if (asJson) {
      print(json());
      return;
    }
    const given = parts().filter((part) => part !== undefined);
    if (csv) for (const part of given) this.#printCsv(part);
    else if (markdown) print(given.map(markdownOf).join('\n\n'));
    else {
      for (const part of given) print(textOf(part));
      if (next !== undefined) print(nextLine(next));
    }
  }

  #printCsv(part: Part): void {
    if (typeof part === 'string') {
      for (const line of part.split('\n')) if (line.trim() !== '') printError(withoutColours(line.trim()));
      return;
    }
    if ('heading' in part) return;
    const { head, rows, about = {} } = part;
    const columns = csvLines([[...Object.keys(about), ...head]]);
    if (columns !== this.#columns) print(this.#columns === null ? columns : `\n${columns}`);
    this.#columns = columns;
    if (rows.length > 0) print(csvLines(rows.map((row) => [...Object.values(about), ...row])));
  }
}

function textOf(part: Part): string {
  if (typeof part === 'string') return part;
  if ('heading' in part) return colours.bold(part.heading);
  return part.text ?? table(part.head, part.rows, part.widths);
}

/** Cells that a spreadsheet would take for a formula get an apostrophe; negative numbers stay numbers. */
const FORMULA = /^(?:[=+@\t\r]|-(?!\d+(?:\.\d+)?(?: \(\d+\))?$))/;

const csvLines = (rows: readonly (readonly string[])[]): string =>
  papaparse.unparse(
    rows.map((row) => row.map(withoutColours)),
    { newline: '\n', escapeFormulae: FORMULA },
  );

/** What Markdown gives a meaning to: anywhere, at the edge of a word, and at the beginning of a line. */
const MARKS = /[\\`*[\]<>|~]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|^ *(?:[-+#]+|\d+[.)])(?=\s|$)/gmu;

const escaped = (text: string): string =>
  withoutColours(text).replace(MARKS, (mark) => `${mark.slice(0, -1)}\\${mark.slice(-1)}`);

/** One part as `--markdown` prints it. */
export function markdownOf(part: Part): string {
  if (typeof part === 'string') return escaped(part).replaceAll('\n', '\\\n');
  if ('heading' in part) return `### ${escaped(part.heading.trim()).replaceAll('\n', '<br>')}`;
  const cells = [part.head, ...part.rows].map((row) => row.map((cell) => escaped(cell).replaceAll('\n', '<br>')));
  return markdownTable(cells, { stringLength: stringWidth });
}
