/** How the verbs print: tables for people, JSON for programs. */
import Table from 'cli-table3';

/** JSON with bigints as 0x… strings (addresses) and two-space indentation. */
export function toJson(value: unknown): string {
  const replace = (_key: string, part: unknown): unknown =>
    typeof part === 'bigint' ? `0x${part.toString(16)}` : part;
  return JSON.stringify(value, replace, 2);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

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

/** Counts of bytes as numbers where they are exact, else as decimal strings: the kernel prints some as huge unsigned ones. */
export function count(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}
