/** A result for people: tables, and what to think of them. */
import { EXECUTORS } from '../src/check/executors.js';
import type { AnswerTable, Part } from '../src/cli/answer.js';
import { withoutCycles } from '../src/cycles/open.js';
import { colours } from '../src/terminal.js';
import type { Ranged } from './drawing.js';
import type { Growth, GrowthPoint } from './growth.js';
import { costCell, figure, groupParts, trustOf } from './report.js';
import { type BenchResult, missingExecutors, type VariantResult } from './run.js';
import { PATHS } from './world.js';

const number = (value: number | null): string => (value === null ? '–' : figure(value));

/** What a result is of. */
export const nameOf = ({ variant, kernel, profile }: VariantResult): string =>
  [variant, kernel, profile ?? []].flat().join(' ');

/** Ways of copying, in the order of a table: for people, and in `VariantResult.copy`. */
export const COPY_WAYS: readonly (readonly [name: string, key: string])[] = [
  ['detached', 'detached'],
  ['bare hook', 'bareHook'],
  ...EXECUTORS.map((name) => [`enforce, ${name}`, `enforce.${name}`] as const),
  ['audit', 'audit'],
  ['sanitize', 'sanitize'],
  ['counting', 'counting'],
  ['in the guest', 'inGuest'],
];

/** Times of all ways of copying; null for one that was not measured. */
export function copyTimes({ copy, copySpread }: VariantResult): { name: string; time: Ranged | null }[] {
  const { enforce, ...ways } = copy;
  const values = new Map<string, number | null>([
    ...Object.entries(ways),
    ...Object.entries(enforce).map(([name, value]) => [`enforce.${name}`, value] as const),
  ]);
  return COPY_WAYS.map(([name, key]) => {
    const value = values.get(key) ?? null;
    return { name, time: value === null ? null : { value, margin: copySpread[key]?.margin ?? null } };
  });
}

const guestCheckTable = (variants: readonly VariantResult[]): AnswerTable => ({
  head: ['guest', ...PATHS],
  rows: variants.map((result) => [nameOf(result), ...PATHS.map((path) => costCell(result.guestCheck[path]))]),
});

const checkTable = (variants: readonly VariantResult[]): AnswerTable => ({
  head: ['guest', 'executor', ...PATHS],
  rows: variants.flatMap((result) =>
    EXECUTORS.flatMap((executor) => {
      const times = result.check[executor];
      return times === null ? [] : [[nameOf(result), executor, ...PATHS.map((path) => number(times[path]))]];
    }),
  ),
});

const copyTable = (variants: readonly VariantResult[]): AnswerTable => ({
  head: ['guest', ...COPY_WAYS.map(([name]) => name)],
  rows: variants.map((result) => [
    nameOf(result),
    ...copyTimes(result).map(({ time }) => number(time === null ? null : time.value)),
  ]),
});

function copyMargin(result: VariantResult): string {
  const worst = Object.entries(result.copySpread).map(
    ([name, { p99, margin }]) => `${name} ${figure(p99)} ± ${margin.toFixed(1)} %`,
  );
  return `  ${nameOf(result)}: ${result.copyNote ?? `p99 and margin: ${worst.join(', ')}`}`;
}

const MIB = 1 << 20;

export const growthSeries = (growth: Growth): { name: string; unit: string; points: readonly GrowthPoint[] }[] => [
  { name: 'copies', unit: 'ns a copy', points: growth.copies },
  { name: 'declared ranges', unit: 'ns a check', points: growth.declaredRanges },
  { name: 'vmalloc areas', unit: 'ns a check', points: growth.vmallocAreas },
  { name: 'MiB of RAM', unit: 'ns a copy', points: growth.ramBytes.map((point) => ({ ...point, n: point.n / MIB })) },
];

function growthParts({ growth }: BenchResult): Part[] {
  const series = growthSeries(growth);
  const lines = series.map(
    ({ name, unit, points }) => `  ${name}: ${points.map(({ n, ns }) => `${n}: ${figure(ns)}`).join(', ')} ${unit}`,
  );
  return [
    { heading: '\nGrowth' },
    {
      head: ['of', 'n', 'ns', 'unit'],
      rows: series.flatMap(({ name, unit, points }) => points.map(({ n, ns }) => [name, String(n), figure(ns), unit])),
      text: lines.join('\n'),
    },
  ];
}

/** A heading is text alone: its empty line before it belongs to it. */
export function resultParts(result: BenchResult): Part[] {
  const { machine, variants, batch, groups } = result;
  const parts: Part[] = [];
  if (variants.length > 0) {
    parts.push(
      { heading: "The guest's own check: instructions (estimated cycles)" },
      guestCheckTable(variants),
      ...withoutCycles(variants.map(({ variant }) => variant)),
      { heading: '\nOur check: ns a verdict' },
      checkTable(variants),
      { heading: '\nCopies of 8 bytes to 64 KiB: ns a copy, median' },
      copyTable(variants),
      ...variants.map(copyMargin),
    );
  }
  parts.push(...groups.flatMap(groupParts), ...growthParts(result));
  if (batch.c === null) parts.push('The C twin was not measured: it needs a C compiler (cc).');
  parts.push(...missingExecutors());
  const trust = trustOf(machine);
  if (trust !== null) parts.push(colours.yellow(trust));
  return parts;
}
