/** What the benchmark says: one line a measurement, with the aim beside it. */
import type { ExecutorName } from '../src/check/check.js';
import type { Part } from '../src/cli/answer.js';
import { colours } from '../src/terminal.js';

/** One measured thing. */
export interface Measurement {
  readonly name: string;
  /** Who ran the check; null where no executor of it did. */
  readonly executor: ExecutorName | null;
  /** Median, in nanoseconds for one `unit`. */
  readonly nanoseconds: number;
  /** The slowest hundredth of the samples begins here. */
  readonly p99: number;
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

/** The line of a group, by its name. */
export const lineOf = (group: Group, name: string): Line | undefined => group.lines.find((line) => line.name === name);

export function groupParts({ title, lines, notes, skipped }: Group): Part[] {
  const heading = { heading: `\n${title}` };
  if (skipped !== null) return [heading, `  not measured: ${skipped}`];
  const rows = lines.map(({ name, nanoseconds, p99, unit, margin, ratio, aim }) => [
    name,
    `${figure(nanoseconds)} ns/${unit}`,
    figure(p99),
    `± ${margin.toFixed(1)} %`,
    ratio === null ? '' : `${figure(ratio.value)} × ${ratio.to}`,
    aim?.text ?? '',
    aim === null ? '' : aim.met ? colours.green('met') : colours.red('missed'),
  ]);
  const head = ['measured', 'median', 'p99', 'margin', 'ratio', 'aim', 'result'];
  return [heading, { head, rows, about: { group: title } }, ...notes.map((note) => `  ${note}`)];
}

/** Three significant digits, without an exponent. */
export function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/**
 * `226 (177)`: instructions and, where they are known, cycles; `226 (177 / 328)` where those with a cold struct page are others. A
 * dash for a path that there is not.
 */
export function costCell(
  cost: { readonly instructions: number; readonly cycles: number | null; readonly cold?: number | null } | null,
): string {
  if (cost === null) return '–';
  const { instructions, cycles, cold = null } = cost;
  if (cycles === null) return String(instructions);
  return cold === null || cold === cycles ? `${instructions} (${cycles})` : `${instructions} (${cycles} / ${cold})`;
}

/** Margins above this many percent mean that the machine had other things to do. */
export const NOISY_MARGIN = 5;

export const isNoisy = (margin: number): boolean => margin > NOISY_MARGIN;

/** What to think of the times of a result, in a sentence; null where there is nothing to say. */
export function trustOf(machine: {
  readonly quick: boolean;
  readonly timed: number;
  readonly noisy: readonly string[];
}): string | null {
  if (machine.quick) return 'A smoke run: its times say nothing.';
  const { length } = machine.noisy;
  if (length === 0) return null;
  return `The machine was busy: ${length} of ${machine.timed} times vary by more than ${NOISY_MARGIN} %, so that ratios hold better than times; run again when it is quiet.`;
}
