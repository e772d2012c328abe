/** A result for people: tables, and what to think of them. */
import { EXECUTORS } from '../src/check/executors.js';
import type { AnswerTable, Part } from '../src/cli/answer.js';
import { colours } from '../src/terminal.js';
import { present } from './present.js';
import { figure, groupParts, noisyText } from './report.js';
import { type BenchResult, missingExecutors, NOISY_MARGIN, type VariantResult } from './run.js';
import { PATHS } from './world.js';

const number = (value: number | null): string => (value === null ? '–' : figure(value));

/** What a result is of. */
export const nameOf = ({ variant, kernel, profile }: VariantResult): string =>
  [variant, kernel, profile ?? []].flat().join(' ');

/** Ways of copying, in the order of a table. */
export function copyWays({ copy }: VariantResult): [string, number | null][] {
  return [
    ['detached', copy.detached],
    ['bare hook', copy.bareHook],
    ...EXECUTORS.map((name): [string, number | null] => [`enforce, ${name}`, copy.enforce[name]]),
    ['audit', copy.audit],
    // Results of before have none.
    ['sanitize', copy.sanitize ?? null],
    ['counting', copy.counting],
    ['in the guest', copy.inGuest],
  ];
}

const guestCheckTable = (variants: readonly VariantResult[]): AnswerTable => ({
  head: ['guest', ...PATHS],
  rows: variants.map((result) => [
    nameOf(result),
    ...PATHS.map((path) => {
      const { instructions, cycles } = result.guestCheck[path];
      return cycles === null ? String(instructions) : `${instructions} (${cycles})`;
    }),
  ]),
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

function copyTable(variants: readonly VariantResult[]): AnswerTable {
  const ways = variants.map(copyWays);
  return {
    head: ['guest', ...(ways[0]?.map(([name]) => name) ?? [])],
    rows: variants.map((result, index) => [nameOf(result), ...present(ways[index]).map(([, value]) => number(value))]),
  };
}

function copyMargin(result: VariantResult): string {
  const worst = Object.entries(result.copySpread).map(
    ([name, { p99, margin }]) => `${name} ${figure(p99)} ± ${margin.toFixed(1)} %`,
  );
  return `  ${nameOf(result)}: ${result.copyNote ?? `p99 and margin: ${worst.join(', ')}`}`;
}

function growthParts({ growth }: BenchResult): Part[] {
  const series: [string, string, readonly { n: number; ns: number }[]][] = [
    ['copies', 'ns a copy', growth.copies],
    ['declared ranges', 'ns a check', growth.declaredRanges],
    ['vmalloc areas', 'ns a check', growth.vmallocAreas],
    ['bytes of RAM', 'ns a copy', growth.ramBytes],
  ];
  const lines = series.map(
    ([name, unit, points]) => `  ${name}: ${points.map(({ n, ns }) => `${n}: ${figure(ns)}`).join(', ')} ${unit}`,
  );
  return [
    { heading: '\nGrowth' },
    {
      head: ['of', 'n', 'ns', 'unit'],
      rows: series.flatMap(([name, unit, points]) => points.map(({ n, ns }) => [name, String(n), figure(ns), unit])),
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
  if (machine.quick) parts.push(colours.yellow('A smoke run: these figures say nothing.'));
  else if (machine.noisy.length > 0) {
    parts.push(
      colours.yellow(
        `The machine is busy: margins above ${NOISY_MARGIN} % (${noisyText(machine.noisy)}). Ratios hold better than times; run again when it is quiet.`,
      ),
    );
  }
  return parts;
}
