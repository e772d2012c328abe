/** Results of `usercopy overhead`: the tables for people, and one HTML page with charts and the same tables. */
import type { AnswerTable, Part } from '../src/cli/answer.js';
import { PATH_IGNORES } from '../src/cycles/open.js';
import { barChart, type Chart, escaped, pageHtml, painter, partsHtml } from './drawing.js';
import { type Cost, type Overhead, type OverheadPath, PASSING, REFUSING, type Unmeasured } from './overhead.js';
import { costCell } from './report.js';

/** What the figures of a cell are. */
export const COLD = 'instructions (cycles / with the struct page cold)';
export const COLD_REFUSING =
  'instructions (cycles / with the struct page cold and the branches that refuse mispredicted)';

/** What cold cycles have beyond the others, for people. */
export const COLD_ADDS =
  'with the struct page in no cache, and with the branches mispredicted that no passing path takes that way';

/** Where no core has figures for its caches there is no second figure, and nothing speaks of one. */
const hasCold = (results: readonly Overhead[]): boolean =>
  results.some(({ paths }) => Object.values(paths).some((cost) => cost?.cold != null));
const WARM = 'instructions (cycles)';

export const titleOf = ({ variant, kernel, profile }: Overhead): string =>
  profile === null ? `${variant} ${kernel}` : `${variant}, built-in guest, rules of ${profile}`;

const percent = (share: number | null): string => (share === null ? '–' : `${(100 * share).toFixed(0)} %`);

/** Check ÷ copy, with the struct page warm and cold. */
export const sharesText = ({ share, shareCold }: { share: number | null; shareCold: number | null }): string =>
  shareCold === null || shareCold === share ? percent(share) : `${percent(share)} / ${percent(shareCold)}`;

export function overheadTables(results: readonly Overhead[]): Part[] {
  const pathTable = (paths: readonly OverheadPath[]): AnswerTable => ({
    head: ['', ...paths],
    rows: results.map((result) => [titleOf(result), ...paths.map((path) => costCell(result.paths[path]))]),
  });
  const workloads = results.flatMap((result) =>
    result.workloads.map(({ name, check, copy, ...shares }) => [
      ...[titleOf(result), name, costCell(check), costCell(copy), sharesText(shares)],
    ]),
  );
  if (results.length === 0) return [];
  const isCold = hasCold(results);
  return [
    { heading: `Passing: ${isCold ? COLD : WARM}` },
    pathTable(PASSING),
    { heading: `Refusing, message included: ${isCold ? COLD_REFUSING : WARM}` },
    pathTable(REFUSING),
    ...(workloads.length === 0
      ? []
      : [
          { heading: `Copies beside their check: ${isCold ? COLD : WARM}` },
          { head: ['', 'copy of', 'check', 'copy', 'check ÷ copy, cycles'], rows: workloads },
        ]),
  ];
}

export function overheadNotes(results: readonly Overhead[]): string[] {
  const variants = new Map(results.map((result) => [result.variant, result]));
  return [
    `Cycles are estimates of one pass from an idle pipeline; ${PATH_IGNORES}.${hasCold(results) ? ` The second figure is the same ${COLD_ADDS}.` : ''}`,
    ...[...variants].map(([variant, { core }]) => `${variant}: ${core ?? 'no table of cycles'}`),
    ...results.flatMap((result) => result.notes.map((note) => `${titleOf(result)}: ${note}`)),
  ];
}

/** @throws UsercopyError `missing-dependency` when ECharts was not installed: it is an optional dependency. */
export async function overheadHtml(results: readonly Overhead[], unmeasured: readonly Unmeasured[]): Promise<string> {
  const draw = await painter();
  const sources = new Map(
    results.flatMap(({ core, memorySources }) => (core && memorySources ? [[core, memorySources]] : [])),
  );
  return pageHtml(
    'usercopy overhead',
    [
      '<h1>What HARDENED_USERCOPY costs</h1>',
      "<p>Each path of <code>__check_object_size()</code> was run once, in the kernel's own code. The figures are exact and the same in every run; cycles are estimates for a named core.</p>",
      ...(results.length === 0 ? [] : overheadCharts(results).map((chart) => barChart(chart, draw))),
      '<h2>The tables</h2>',
      partsHtml([...overheadTables(results), ...overheadNotes(results)]),
      ...[...sources].map(([core, text]) => `<p>${escaped(`Caches of the ${core}. ${text}`)}</p>`),
      ...unmeasured.map(
        ({ source, error }) => `<p class="note">${escaped(`${source} was not measured: ${error}`)}</p>`,
      ),
    ].join('\n'),
  );
}

function overheadCharts(results: readonly Overhead[]): Chart<number>[] {
  const groups = results.map(titleOf);
  const chart = (title: string, unit: string, paths: readonly OverheadPath[], of: keyof Cost): Chart<number> => ({
    ...{ title, unit, groups },
    series: paths.map((path) => ({ name: path, values: results.map((result) => result.paths[path]?.[of] ?? null) })),
  });
  const charts = [
    chart('A copy that passes, everything in the caches', 'estimated cycles', PASSING, 'cycles'),
    chart('A copy that passes, struct page cold', 'estimated cycles', PASSING, 'cold'),
    chart('A copy that passes', 'instructions', PASSING, 'instructions'),
    chart('A copy that is refused, message included', 'estimated cycles', REFUSING, 'cycles'),
    chart('A copy that is refused, message included', 'instructions', REFUSING, 'instructions'),
  ];
  return charts.filter(({ series }) => series.some(({ values }) => values.some((value) => value !== null)));
}
