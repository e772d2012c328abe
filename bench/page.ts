/** A result of `usercopy bench` as one HTML page: charts, and the tables that the terminal shows. */
import { EXECUTORS } from '../src/check/executors.js';
import { PATH_IGNORES } from '../src/cycles/open.js';
import {
  barChart,
  type Chart,
  escaped,
  growthChart,
  pageHtml,
  painter,
  partsHtml,
  type Ranged,
  rangeChart,
} from './drawing.js';
import { isNoisy, NOISY_MARGIN, trustOf } from './report.js';
import type { BenchResult, Spreads, VariantResult } from './run.js';
import { COPY_WAYS, copyTimes, growthSeries, nameOf, resultParts } from './text.js';
import { PASSING_PATHS, type PathName, REFUSING_PATHS } from './world.js';

/** @throws UsercopyError `missing-dependency` when ECharts was not installed: it is an optional dependency. */
export async function toHtml(result: BenchResult): Promise<string> {
  const draw = await painter();
  const { variants, growth, machine } = result;
  const cores = [...new Set(variants.flatMap(({ variant, core }) => (core === null ? [] : [`${variant}: ${core}`])))];
  const trust = trustOf(machine);
  const sections = [
    '<h1>What the usercopy check costs</h1>',
    `<p>${escaped(`${machine.date.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Unicorn ${machine.unicorn}`)}</p>`,
    ...(trust === null ? [] : [`<p class="note">${escaped(trust)}</p>`]),
  ];
  if (variants.length > 0) {
    sections.push(
      "<h2>The guest's own check</h2>",
      `<p>${escaped(`Exact: the same in every run. Cycles are estimates of one pass (${PATH_IGNORES}). ${cores.join('; ')}`)}</p>`,
      ...guestCharts(variants).map((chart) => barChart(chart, draw)),
      '<h2>Our check, and copies with it</h2>',
      `<p>Medians with their margins. A hollow point has a margin above ${NOISY_MARGIN} %: noise. Where two lines overlap, the times may be the same.</p>`,
      ...timeCharts(variants).map((chart) => rangeChart(chart, draw)),
      ...variants.flatMap((variant) => {
        const alike = alikeText(variant);
        return alike === null ? [] : [`<p>${escaped(alike)}</p>`];
      }),
    );
  }
  sections.push('<h2>Growth</h2>');
  for (const { name, unit, points } of growthSeries(growth))
    sections.push(growthChart({ title: name, unit }, points, draw));
  sections.push('<h2>The tables</h2>', partsHtml(resultParts(result)));
  return pageHtml('usercopy bench', sections.join('\n'));
}

function guestCharts(variants: readonly VariantResult[]): Chart<number>[] {
  const groups = variants.map(nameOf);
  const chart = (title: string, paths: readonly PathName[], unit: 'instructions' | 'cycles'): Chart<number> => ({
    ...{ title, unit: unit === 'cycles' ? 'estimated cycles' : unit, groups },
    series: paths.map((path) => ({ name: path, values: variants.map(({ guestCheck }) => guestCheck[path][unit]) })),
  });
  return (['instructions', 'cycles'] as const).flatMap((unit) => [
    chart('A copy that passes', PASSING_PATHS, unit),
    chart('A copy that is refused, message included', REFUSING_PATHS, unit),
  ]);
}

/** One chart a guest: they differ by so much that one scale would hide what lies between the ways. */
function timeCharts(variants: readonly VariantResult[]): Chart<Ranged>[] {
  return variants.flatMap((result): Chart<Ranged>[] => {
    const times = copyTimes(result);
    const copies: Chart<Ranged> = {
      ...{ title: `${nameOf(result)}, copies of 8 bytes to 64 KiB`, unit: 'ns a copy, median' },
      groups: COPY_WAYS.map(([name]) => name),
      series: [{ name: 'copies', values: times.map(({ time }) => time) }],
    };
    const executors = EXECUTORS.filter((executor) => result.check[executor] !== null);
    const ofPaths = (title: string, paths: readonly PathName[]): Chart<Ranged> => ({
      ...{ title: `${nameOf(result)}, our check, ${title}`, unit: 'ns a verdict, median', groups: paths },
      series: executors.map((executor) => ({
        name: executor,
        values: paths.map((path) =>
          ranged(result.check[executor]?.[path] ?? null, result.checkSpread, `${executor}.${path}`),
        ),
      })),
    });
    return [
      ...(result.copyNote === null ? [copies] : []),
      ofPaths('copies that pass', PASSING_PATHS),
      ofPaths('copies that are refused', REFUSING_PATHS),
    ];
  });
}

const ranged = (value: number | null, spreads: Spreads, name: string): Ranged | null =>
  value === null ? null : { value, margin: spreads[name]?.margin ?? null };

/** Ways of copying that take the same time as a hook that does nothing, as far as the margins tell. */
function alikeText(result: VariantResult): string | null {
  const times = copyTimes(result);
  const bare = times.find(({ name }) => name === 'bare hook')?.time ?? null;
  if (bare === null || bare.margin === null) return null;
  if (isNoisy(bare.margin)) return `${nameOf(result)}: the bare hook's time is noise; nothing can be held against it.`;
  const alike = times.filter(
    ({ name, time }) => name !== 'bare hook' && time !== null && time.margin !== null && overlap(bare, time),
  );
  if (alike.length === 0) return null;
  return `${nameOf(result)}: not told apart from a hook that does nothing: ${alike.map(({ name }) => name).join('; ')}.`;
}

const overlap = (one: Ranged, two: Ranged): boolean =>
  Math.abs(one.value - two.value) <= (one.value * (one.margin ?? 0) + two.value * (two.margin ?? 0)) / 100;
