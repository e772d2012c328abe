/** A result as one HTML page: charts as inline SVG, drawn here by ECharts; nothing is loaded when it is read. */
import type { EChartsOption } from 'echarts';
import { EXECUTORS } from '../src/check/executors.js';
import { IGNORED } from '../src/cycles/open.js';
import { UsercopyError } from '../src/errors.js';
import type { GrowthPoint } from './growth.js';
import { present } from './present.js';
import { figure, noisyText } from './report.js';
import type { BenchResult, VariantResult } from './run.js';
import { copyWays, nameOf } from './text.js';
import { PATHS } from './world.js';

const WIDTH = 1000;
const ROW_HEIGHT = 20;
const FRAME_HEIGHT = 150;

interface Bars {
  readonly title: string;
  readonly unit: string;
  /** A group of bars each. */
  readonly groups: readonly string[];
  /** Of one colour; a value for each group. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}

/** @throws UsercopyError `missing-dependency` when ECharts was not installed: it is an optional dependency. */
export async function toHtml(result: BenchResult): Promise<string> {
  const draw = await painter();
  const { variants, growth, machine, batch } = result;
  const charts =
    variants.length === 0 ? [] : variantCharts(variants).map((bars) => draw(barOption(bars), heightOf(bars)));
  const growthCharts = [
    lineOption('Copies made', 'ns a copy', growth.copies),
    lineOption('Declared ranges', 'ns a check', growth.declaredRanges),
    lineOption('Vmalloc areas', 'ns a check', growth.vmallocAreas),
    lineOption('Guest RAM, bytes', 'ns a copy', growth.ramBytes),
  ].map((option) => draw(option, 320));
  const cores = [...new Set(variants.flatMap(({ variant, core }) => (core === null ? [] : [`${variant}: ${core}`])))];
  const noise = machine.quick
    ? 'A smoke run: these figures say nothing.'
    : machine.noisy.length > 0
      ? `The machine was busy for: ${noisyText(machine.noisy)}.`
      : '';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>usercopy bench</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: ${WIDTH}px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; font-size: 13px } th, td { border: 1px solid #ccc; padding: 2px 8px; text-align: right }
th:first-child, td:first-child { text-align: left } svg { max-width: 100%; height: auto } .note { color: #a40 }
</style>
<h1>What the usercopy check costs</h1>
<p>${escaped(`${machine.date.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Unicorn ${machine.unicorn}`)}</p>
<p class="note">${escaped(noise)}</p>
<h2>Of each variant</h2>
<p>Cycles are estimates (${escaped(IGNORED)}). ${escaped(cores.join('; '))}</p>
${charts.join('\n')}
${copyTable(variants)}
<h2>A batch of 65 536 mixed copies</h2>
${htmlTable(
  ['', 'ns a check'],
  Object.entries(batch).map(([name, value]) => [name, value === null ? 'not measured' : figure(value)]),
)}
<h2>Growth</h2>
${growthCharts.join('\n')}
</html>
`;
}

function variantCharts(variants: readonly VariantResult[]): Bars[] {
  const groups = variants.map(nameOf);
  const bars = (title: string, unit: string, series: Bars['series']): Bars => ({ title, unit, groups, series });
  const charts = [
    bars(
      "The guest's own check, by path",
      'instructions',
      PATHS.map((path) => ({ name: path, values: variants.map(({ guestCheck }) => guestCheck[path].instructions) })),
    ),
    bars(
      "The guest's own check, by path",
      'estimated cycles',
      PATHS.map((path) => ({ name: path, values: variants.map(({ guestCheck }) => guestCheck[path].cycles) })),
    ),
    bars(
      'Copies of 8 bytes to 64 KiB',
      'ns a copy, median',
      copyWays(present(variants[0])).map(([name], way) => ({
        name,
        values: variants.map((result) => present(copyWays(result)[way])[1]),
      })),
    ),
  ];
  for (const executor of EXECUTORS) {
    if (variants.every(({ check }) => check[executor] === null)) continue;
    charts.push(
      bars(
        `Our check, ${executor}, by path`,
        'ns a verdict, median',
        PATHS.map((path) => ({ name: path, values: variants.map(({ check }) => check[executor]?.[path] ?? null) })),
      ),
    );
  }
  return charts;
}

const heightOf = ({ groups, series }: Bars): number => FRAME_HEIGHT + groups.length * series.length * ROW_HEIGHT * 0.6;

const barOption = ({ title, unit, groups, series }: Bars): EChartsOption => ({
  title: { text: `${title}: ${unit}` },
  legend: { top: 36 },
  grid: { top: 76, left: 10, right: 40, bottom: 20, containLabel: true },
  xAxis: { type: 'value' },
  yAxis: { type: 'category', data: [...groups], inverse: true },
  series: series.map(({ name, values }) => ({ type: 'bar', name, data: values.map((value) => value ?? '-') })),
});

const lineOption = (title: string, unit: string, points: readonly GrowthPoint[]): EChartsOption => ({
  title: { text: `${title}: ${unit}` },
  grid: { top: 60, left: 20, right: 40, bottom: 20, containLabel: true },
  xAxis: { type: 'log' },
  yAxis: { type: 'value', min: 0 },
  series: [{ type: 'line', symbolSize: 7, data: points.map(({ n, ns }) => [n, ns]) }],
});

/** Draws a chart as SVG. @throws UsercopyError `missing-dependency` without ECharts, which is an optional dependency. */
export async function painter(): Promise<(option: EChartsOption, height: number) => string> {
  const echarts = await import('echarts').catch(() => {
    throw new UsercopyError(
      'missing-dependency',
      'charts: expected the package echarts, found none; npm install echarts',
    );
  });
  return (option, height) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
    chart.setOption({ ...option, animation: false });
    const svg = chart.renderToSVGString();
    chart.dispose();
    return svg;
  };
}

function copyTable(variants: readonly VariantResult[]): string {
  const [first] = variants;
  if (first === undefined) return '';
  const rows = variants.map((result) => [
    nameOf(result),
    ...copyWays(result).map(([, value]) => (value === null ? '–' : figure(value))),
    `${Math.max(0, ...Object.values(result.copySpread).map(({ margin }) => margin)).toFixed(1)} %`,
  ]);
  return htmlTable(['ns a copy', ...copyWays(first).map(([name]) => name), 'widest margin'], rows);
}

function htmlTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (tag: string, cells: readonly string[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${row('th', head)}${rows.map((cells) => row('td', cells)).join('')}</table>`;
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
