/** Two results side by side: what became slower or faster by more than the noise. */
import type { Part } from '../src/cli/answer.js';
import { badInput } from '../src/errors.js';
import { colours } from '../src/terminal.js';
import { figure } from './report.js';

export interface Change {
  /** Where the number stands in the result: `x86_64 6.1 copy.enforce.native`. */
  readonly name: string;
  readonly old: number;
  readonly new: number;
  /** The new one divided by the old one. */
  readonly ratio: number;
  /** Ratios between 1 / (1 + noise) and 1 + noise mean nothing. */
  readonly noise: number;
  readonly verdict: 'slower' | 'faster' | 'same';
}

export interface Comparison {
  readonly changes: readonly Change[];
  readonly slower: number;
  readonly faster: number;
  /** Numbers that only one of the results has. */
  readonly unmatched: readonly string[];
}

/** Medians of repeated runs on a quiet machine differ by less. */
const TIME_NOISE = 0.1;

interface Figure {
  readonly value: number;
  /** Relative; 0 for a count. */
  readonly noise: number;
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws UsercopyError `bad-input` when one of them is no result. */
export function compareResults(old: unknown, later: unknown): Comparison {
  const before = figuresOf(old, 'OLD');
  const after = figuresOf(later, 'NEW');
  const changes: Change[] = [];
  for (const [name, { value, noise }] of before) {
    const other = after.get(name);
    if (other === undefined) continue;
    const ratio = value === other.value ? 1 : other.value / value;
    const both = noise + other.noise;
    const verdict = ratio > 1 + both ? 'slower' : ratio < 1 / (1 + both) ? 'faster' : 'same';
    changes.push({ name, old: value, new: other.value, ratio, noise: both, verdict });
  }
  const names = new Set([...before.keys(), ...after.keys()]);
  return {
    changes,
    slower: changes.filter(({ verdict }) => verdict === 'slower').length,
    faster: changes.filter(({ verdict }) => verdict === 'faster').length,
    unmatched: [...names].filter((name) => !before.has(name) || !after.has(name)),
  };
}

export function comparisonParts({ changes, slower, faster, unmatched }: Comparison): Part[] {
  const colour = { slower: colours.red, faster: colours.green, same: (text: string) => text };
  const rows = changes
    .filter(({ verdict, noise }) => verdict !== 'same' || noise > 0)
    .map(({ name, old, new: later, ratio, noise, verdict }) => [
      ...[
        name,
        figure(old),
        figure(later),
        colour[verdict](`${ratio.toFixed(2)} ×`),
        `± ${(noise * 100).toFixed(0)} %`,
      ],
      verdict === 'same' ? '' : colour[verdict](verdict),
    ]);
  const missing = unmatched.length === 0 ? [] : [`Only in one of them: ${unmatched.join(', ')}`];
  return [
    { head: ['figure', 'old', 'new', 'ratio', 'noise', 'verdict'], rows },
    ...missing,
    `${slower} slower, ${faster} faster beyond the noise, of ${changes.length}`,
  ];
}

function figuresOf(result: unknown, which: string): Map<string, Figure> {
  if (!isObject(result) || !Array.isArray(result['variants']) || !isObject(result['batch'])) {
    throw badInput(`bench --compare, ${which}`, 'a result of usercopy bench --json', 'something else');
  }
  const figures = new Map<string, Figure>();
  // An array, as was asked above; what is in it is looked at one by one.
  for (const one of result['variants'] as unknown[]) {
    if (!isObject(one)) continue;
    const title = [one['variant'], one['kernel'], one['profile']].filter((part) => typeof part === 'string').join(' ');
    const spreads = isObject(one['copySpread']) ? one['copySpread'] : {};
    collect(figures, `${title} guestCheck`, one['guestCheck'], () => 0);
    collect(figures, `${title} check`, one['check'], () => TIME_NOISE / 2);
    collect(figures, `${title} copy`, one['copy'], (path) => noiseOf(spreads[path]));
  }
  collect(figures, 'batch', result['batch'], () => TIME_NOISE / 2);
  return figures;
}

/** Half of what two runs may differ by: the margin of the mean, and no less than half of what repeated medians differ by. */
function noiseOf(spread: unknown): number {
  const margin = isObject(spread) && typeof spread['margin'] === 'number' ? spread['margin'] / 100 : 0;
  return Math.max(TIME_NOISE / 2, margin);
}

/** Every number below `value`, by its path. */
function collect(figures: Map<string, Figure>, prefix: string, value: unknown, noise: (path: string) => number): void {
  const visit = (path: string, part: unknown): void => {
    if (typeof part === 'number') figures.set(`${prefix}.${path}`, { value: part, noise: noise(path) });
    else if (isObject(part)) {
      for (const [key, inner] of Object.entries(part)) visit(path === '' ? key : `${path}.${key}`, inner);
    }
  };
  visit('', value);
}
