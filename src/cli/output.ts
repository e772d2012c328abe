/** How the verbs print: tables for people, JSON for programs; colours and progress only for a terminal. */
import Table from 'cli-table3';
import pc from 'picocolors';
import { hex } from '../errors.js';

/** Exit statuses of every verb. */
export const CLEAN = 0;
/** A copy was refused, or a check said something else. */
export const VIOLATION = 1;
export const BAD_INPUT = 2;

/** https://no-color.org, https://force-color.org; a pipe has no colours, whatever runs it. */
function hasColours(stream: { readonly isTTY?: boolean }): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return stream.isTTY === true && TERM !== 'dumb';
}

/** Colours of standard output. */
export const colours = pc.createColors(hasColours(process.stdout));

const replacer = (_key: string, part: unknown): unknown => (typeof part === 'bigint' ? hex(part) : part);

/** JSON with bigints as 0x… strings (addresses) and two-space indentation. */
export const toJson = (value: unknown): string => JSON.stringify(value, replacer, 2);

/** The same on one line: for streams, one value a line. */
export const toJsonLine = (value: unknown): string => JSON.stringify(value, replacer);

/** Counts of bytes as numbers where they are exact, else as decimal strings: the kernel prints some as huge unsigned ones. */
export function count(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** What a person should know although the answer stands: on standard error, beside the answer. */
export function warn(text: string): void {
  process.stderr.write(`usercopy: warning: ${text}\n`);
}

/** A line on standard error that says how far long work is, and goes away; silent unless that is a terminal. */
export const progress = {
  show(text: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  },
  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  },
};

/** A table without colours of its own; cells are strings. `widths` (characters) wrap long cells. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  widths: readonly (number | null)[] = [],
): string {
  const grid = new Table({
    head: [...head],
    colWidths: [...widths],
    wordWrap: true,
    style: { head: [], border: [], compact: true },
  });
  grid.push(...rows.map((row) => [...row]));
  return grid.toString();
}
