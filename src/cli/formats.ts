/** Tables of every verb in the formats that people paste elsewhere: `--markdown`, `--csv`. */

import { stripVTControlCharacters } from 'node:util';
import { type Command, Option } from 'commander';
import { table } from './table.js';

export interface TableFormatOptions {
  readonly json?: boolean;
  readonly markdown?: boolean;
  readonly csv?: boolean;
}

type Rows = readonly (readonly string[])[];

/** Adds --json, --markdown and --csv to a verb: one of them at most. */
export function addTableFormats(command: Command): Command {
  return command
    .addOption(new Option('--json', 'print JSON').conflicts(['markdown', 'csv']))
    .addOption(new Option('--markdown', 'print a table in Markdown').conflicts(['json', 'csv']))
    .addOption(new Option('--csv', 'print comma-separated values (RFC 4180)').conflicts(['json', 'markdown']));
}

/** A table as the options say: for the terminal, in Markdown, or as comma-separated values. */
export function formattedTable(head: readonly string[], rows: Rows, { markdown, csv }: TableFormatOptions): string {
  if (markdown) return markdownTable(head, rows);
  if (csv) return csvTable(head, rows);
  return table(head, rows);
}

/** GitHub's Markdown: cells on one line, bars escaped. */
export function markdownTable(head: readonly string[], rows: Rows): string {
  const line = (cells: readonly string[]) => `| ${cells.map(markdownCell).join(' | ')} |`;
  return [line(head), `|${head.map(() => ' --- |').join('')}`, ...rows.map(line)].join('\n');
}

const markdownCell = (cell: string): string =>
  stripVTControlCharacters(cell)
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll(/\s*\n\s*/g, '<br>');

/** RFC 4180: a cell with a comma, a quotation mark or a line break stands in quotation marks. */
export function csvTable(head: readonly string[], rows: Rows): string {
  return [head, ...rows].map((cells) => cells.map(csvCell).join(',')).join('\n');
}

function csvCell(cell: string): string {
  const text = stripVTControlCharacters(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
