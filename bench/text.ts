/** A result for people: tables, and what to think of them. */
import { EXECUTORS } from '../src/check/executors.js';
import { table } from '../src/cli/table.js';
import { colours } from '../src/terminal.js';
import { present } from './present.js';
import { figure, groupText, noisyText } from './report.js';
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
    ['counting', copy.counting],
    ['in the guest', copy.inGuest],
  ];
}

function guestCheckText(variants: readonly VariantResult[]): string {
  const rows = variants.map((result) => [
    nameOf(result),
    ...PATHS.map((path) => {
      const { instructions, cycles } = result.guestCheck[path];
      return cycles === null ? String(instructions) : `${instructions} (${cycles})`;
    }),
  ]);
  return `${colours.bold("The guest's own check: instructions (estimated cycles)")}\n${table(['', ...PATHS], rows)}\n`;
}

function checkText(variants: readonly VariantResult[]): string {
  const rows = variants.flatMap((result) =>
    EXECUTORS.flatMap((executor) => {
      const times = result.check[executor];
      return times === null ? [] : [[nameOf(result), executor, ...PATHS.map((path) => number(times[path]))]];
    }),
  );
  return `${colours.bold('Our check: ns a verdict')}\n${table(['', '', ...PATHS], rows)}\n`;
}

function copyText(variants: readonly VariantResult[]): string {
  const ways = variants.map(copyWays);
  const head = ways[0]?.map(([name]) => name) ?? [];
  const rows = variants.map((result, index) => [
    nameOf(result),
    ...present(ways[index]).map(([, value]) => number(value)),
  ]);
  const margins = variants.map((result) => {
    const worst = Object.entries(result.copySpread).map(
      ([name, { p99, margin }]) => `${name} ${figure(p99)} ± ${margin.toFixed(1)} %`,
    );
    return `  ${nameOf(result)}: ${result.copyNote ?? `p99 and margin: ${worst.join(', ')}`}`;
  });
  return [
    colours.bold('Copies of 8 bytes to 64 KiB: ns a copy, median'),
    table(['', ...head], rows),
    ...margins,
    '',
  ].join('\n');
}

function growthText({ growth }: BenchResult): string {
  const series: [string, string, readonly { n: number; ns: number }[]][] = [
    ['copies', 'ns a copy', growth.copies],
    ['declared ranges', 'ns a check', growth.declaredRanges],
    ['vmalloc areas', 'ns a check', growth.vmallocAreas],
    ['bytes of RAM', 'ns a copy', growth.ramBytes],
  ];
  const lines = series.map(
    ([name, unit, points]) => `  ${name}: ${points.map(({ n, ns }) => `${n}: ${figure(ns)}`).join(', ')} ${unit}`,
  );
  return [colours.bold('Growth'), ...lines, ''].join('\n');
}

export function resultText(result: BenchResult): string {
  const { machine, variants, batch, groups } = result;
  const parts = variants.length === 0 ? [] : [guestCheckText(variants), checkText(variants), copyText(variants)];
  parts.push(...groups.map(groupText), growthText(result));
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
  return parts.join('\n');
}
