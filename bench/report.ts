/** What the benchmark says: one line a measurement, with the aim beside it. */
import Table from 'cli-table3';
import pc from 'picocolors';
import type { ExecutorName } from '../src/check.js';

/** One measured thing. */
export interface Measurement {
  readonly name: string;
  /** Who ran the check; null where no executor of it did. */
  readonly executor: ExecutorName | null;
  /** Median, in nanoseconds for one `unit`. */
  readonly nanoseconds: number;
  /** Half the 95 % confidence interval of the mean, in percent of it. */
  readonly margin: number;
  readonly samples: number;
  /** What one is: `check`, `copy`, `loop`. */
  readonly unit: string;
}

/** A measurement held against another, or against an aim. */
export interface Line extends Measurement {
  /** This one's time divided by the other's. */
  readonly ratio: { readonly to: string; readonly value: number } | null;
  readonly aim: { readonly text: string; readonly met: boolean } | null;
}

export interface Group {
  readonly title: string;
  readonly lines: readonly Line[];
  /** What the reader should know of these lines. */
  readonly notes: readonly string[];
  /** Why the group could not be measured; then it has no lines. */
  readonly skipped: string | null;
}

/** Margins above this many percent mean that the machine had other things to do. */
const NOISY_MARGIN = 5;

/** Names of measurements that are too noisy to be quoted. */
export function noisy(groups: readonly Group[]): string[] {
  const names = groups
    .flatMap(({ lines }) => lines.filter(({ margin }) => margin > NOISY_MARGIN))
    .map(({ name }) => name);
  return [...new Set(names)];
}

export function toText(groups: readonly Group[]): string {
  const parts: string[] = [];
  for (const { title, lines, notes, skipped } of groups) {
    parts.push(pc.bold(title));
    if (skipped !== null) {
      parts.push(`  not measured: ${skipped}`, '');
      continue;
    }
    const table = new Table({
      head: ['', 'median', 'margin', 'ratio', 'aim', ''],
      style: { head: [], border: [] },
      colAligns: ['left', 'right', 'right', 'left', 'left', 'left'],
    });
    for (const { name, nanoseconds, unit, margin, ratio, aim } of lines) {
      table.push([
        name,
        `${figure(nanoseconds)} ns/${unit}`,
        `± ${margin.toFixed(1)} %`,
        ratio === null ? '' : `${figure(ratio.value)} × ${ratio.to}`,
        aim?.text ?? '',
        aim === null ? '' : aim.met ? pc.green('met') : pc.red('missed'),
      ]);
    }
    parts.push(table.toString(), ...notes.map((note) => `  ${note}`), '');
  }
  const restless = noisy(groups);
  if (restless.length > 0) {
    parts.push(
      pc.yellow(
        `The machine is busy: margins above ${NOISY_MARGIN} % (${restless.join(', ')}). Ratios hold better than times; run again when it is quiet.`,
      ),
    );
  }
  return parts.join('\n');
}

/** Three significant digits, without an exponent. */
function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
