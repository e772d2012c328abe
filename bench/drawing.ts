/** Charts and tables of HTML pages that load nothing when they are read: inline SVG, drawn here by ECharts. */
import type { CustomSeriesOption, EChartsOption } from 'echarts';
import type { AnswerTable, Part } from '../src/cli/answer.js';
import { UsercopyError } from '../src/errors.js';
import { GENERATOR } from '../src/report/own-output.js';
import { withoutColours } from '../src/terminal.js';
import { figure, isNoisy } from './report.js';

export const WIDTH = 1000;
const ROW_HEIGHT = 16;
const GROUP_GAP = 14;
const FRAME_HEIGHT = 130;
const FONT = 11;
/** Mean width of a character of the labels. */
const CHARACTER = 6.4;
/** Times that are further apart are drawn on a logarithmic axis: they are points, and no bars whose length would lie. */
const WIDE = 20;
export const PALETTE = [
  '#2f6db5',
  '#d9822b',
  '#3a8a4f',
  '#a04ba8',
  '#7a6a53',
  '#c23b3b',
  '#2b9ca3',
  '#6a6fb8',
  '#8a8a2f',
];
const NOISY_COLOUR = '#999';
export const colourOf = (series: number): string => PALETTE[series % PALETTE.length] ?? NOISY_COLOUR;
/** Room for a label behind the longest bar, as a part of the axis. */
const LABEL_ROOM = 1.12;

export type Paint = (option: EChartsOption, height: number) => string;

/** Draws a chart as SVG. @throws UsercopyError `missing-dependency` without ECharts, which is an optional dependency. */
export async function painter(): Promise<Paint> {
  const echarts = await import('echarts').catch(() => {
    throw new UsercopyError(
      'missing-dependency',
      'charts: expected the package echarts, found none; npm install echarts',
    );
  });
  return (option, height) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
    chart.setOption({ color: PALETTE, ...option, animation: false });
    const svg = chart.renderToSVGString();
    chart.dispose();
    return svg;
  };
}

/** Groups of bars or points, one of each series in every group. */
export interface Chart<Value> {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly string[];
  /** Of one colour; a value for each group, null where there is none. */
  readonly series: readonly { readonly name: string; readonly values: readonly (Value | null)[] }[];
}

/** A time with its margin in percent; null when it was not recorded. */
export interface Ranged {
  readonly value: number;
  readonly margin: number | null;
}

const heightOf = ({ groups, series }: Chart<unknown>): number =>
  FRAME_HEIGHT + groups.length * (series.length * ROW_HEIGHT + GROUP_GAP);

type Axis = NonNullable<EChartsOption['xAxis']>;

const TITLE = { top: 0, left: 0, textStyle: { fontSize: 15 } } as const;

/** `axis`: of the figures. */
function frameOf({ title, unit, groups, series }: Chart<unknown>, axis: Axis): EChartsOption {
  const longest = groups.reduce((most, group) => Math.max(most, group.length), 0);
  return {
    title: { ...TITLE, text: `${title}: ${unit}` },
    legend: { show: series.length > 1, top: 28, left: 0, itemGap: 14, data: series.map(({ name }) => name) },
    grid: { top: series.length > 1 ? 64 : 36, left: 16 + longest * CHARACTER, right: 30, bottom: 30 },
    xAxis: axis,
    yAxis: { type: 'category', data: [...groups], inverse: true },
  };
}

const linear = (most: number): Axis => ({
  ...{ type: 'value', min: 0, max: niceAbove(most * LABEL_ROOM), axisLabel: { hideOverlap: true } },
});

/** The next number with one digit, or one and a half, at its head. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** Exact figures: bars with their values. */
export function barChart(chart: Chart<number>, draw: Paint): string {
  const most = Math.max(0, ...chart.series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  return draw(
    {
      ...frameOf(chart, linear(most)),
      series: chart.series.map(({ name, values }) => ({
        ...{ type: 'bar', name, barGap: '15%', barCategoryGap: '20%' },
        label: { show: true, position: 'right', fontSize: FONT },
        data: values.map((value) => value ?? '-'),
      })),
    },
    heightOf(chart),
  );
}

/** Figures with margins: a point each, a line as wide as the margin, and the value; hollow, and its value grey, where it is noisy. */
export function rangeChart(chart: Chart<Ranged>, draw: Paint): string {
  const upper = ({ value, margin }: Ranged) => value * (1 + (margin ?? 0) / 100);
  const lower = ({ value, margin }: Ranged) => value * Math.max(0.1, 1 - (margin ?? 0) / 100);
  const all = chart.series.flatMap(({ values }) => values.flatMap((one) => one ?? []));
  if (all.length === 0) return '';
  const least = Math.min(...all.map(lower));
  const most = Math.max(...all.map(upper));
  const axis: Axis =
    most / least < WIDE
      ? linear(most)
      : { type: 'log', min: 10 ** Math.floor(Math.log10(least)), max: 10 ** Math.ceil(Math.log10(most * 2)) };
  const count = chart.series.length;
  const series = chart.series.map(
    ({ name, values }, index): CustomSeriesOption => ({
      ...{ type: 'custom', name, encode: { x: 0, y: 1 } },
      data: values.map((one, group) => [one?.value ?? Number.NaN, group]),
      renderItem: (parameters, api) => {
        const one = values[parameters.dataIndex];
        if (one === null || one === undefined) return { type: 'group', children: [] };
        // Each series has a line of its own within the group.
        const shift = (index - (count - 1) / 2) * ROW_HEIGHT;
        const at = (x: number): [number, number] => {
          const [left = 0, top = 0] = api.coord([x, parameters.dataIndex]);
          return [left, top + shift];
        };
        const noisy = isNoisy(one.margin ?? Number.POSITIVE_INFINITY);
        const colour = colourOf(index);
        const [x, y] = at(one.value);
        const [from, to] = [at(lower(one))[0], at(upper(one))[0]];
        const line = (x1: number, y1: number, x2: number, y2: number) => ({
          ...{ type: 'line' as const, shape: { x1, y1, x2, y2 }, style: { stroke: colour, lineWidth: 1.5 } },
        });
        return {
          type: 'group',
          children: [
            ...[line(from, y, to, y), line(from, y - 4, from, y + 4), line(to, y - 4, to, y + 4)],
            {
              type: 'circle',
              shape: { cx: x, cy: y, r: 4 },
              style: { fill: noisy ? '#fff' : colour, stroke: colour, lineWidth: 1.5 },
            },
            {
              type: 'text',
              ...{ x: to + 7, y },
              style: {
                text: rangeText(one),
                fill: noisy ? NOISY_COLOUR : '#333',
                fontSize: FONT,
                verticalAlign: 'middle',
              },
            },
          ],
        };
      },
    }),
  );
  return draw({ ...frameOf(chart, axis), series }, heightOf(chart));
}

/** `392 ± 3 %`, with a word where that is noise. */
export function rangeText({ value, margin }: Ranged): string {
  if (margin === null) return `${figure(value)}, margin not recorded`;
  return `${figure(value)} ± ${margin.toFixed(margin < 10 ? 1 : 0)} %${isNoisy(margin) ? ', noisy' : ''}`;
}

/** A line of points with their margins, over sizes that grow by factors. */
export function growthChart(
  { title, unit }: { readonly title: string; readonly unit: string },
  points: readonly { readonly n: number; readonly ns: number; readonly margin: number }[],
  draw: Paint,
): string {
  const sizes = points.map(({ n }) => n);
  const most = Math.max(...points.map(({ ns, margin }) => ns * (1 + margin / 100)));
  const bars: CustomSeriesOption = {
    ...{ type: 'custom', data: points.map(({ n, ns }) => [n, ns]), encode: { x: 0, y: 1 } },
    renderItem: (parameters, api) => {
      const point = points[parameters.dataIndex];
      if (point === undefined) return { type: 'group', children: [] };
      const { n, ns, margin } = point;
      const half = (ns * margin) / 100;
      const [x = 0, low = 0] = api.coord([n, Math.max(0, ns - half)]);
      const [, high = 0] = api.coord([n, ns + half]);
      const style = { stroke: isNoisy(margin) ? NOISY_COLOUR : colourOf(0), lineWidth: 1.5 };
      const line = (x1: number, y1: number, x2: number, y2: number) => ({
        ...{ type: 'line' as const, shape: { x1, y1, x2, y2 }, style },
      });
      return {
        type: 'group',
        children: [
          ...[line(x, low, x, high), line(x - 4, low, x + 4, low), line(x - 4, high, x + 4, high)],
          {
            type: 'text',
            ...{ x, y: high - 14 },
            style: { text: rangeText({ value: ns, margin }), fill: '#333', fontSize: FONT, align: 'center' },
          },
        ],
      };
    },
  };
  return draw(
    {
      title: { ...TITLE, text: `${title}: ${unit}` },
      grid: { top: 50, left: 60, right: 60, bottom: 30 },
      // Room at both ends for the labels.
      xAxis: { type: 'log', min: Math.min(...sizes) / 2, max: Math.max(...sizes) * 2 },
      yAxis: { type: 'value', min: 0, max: niceAbove(most * LABEL_ROOM) },
      series: [{ type: 'line', symbolSize: 7, data: points.map(({ n, ns }) => [n, ns]) }, bars],
    },
    320,
  );
}

/** Sentences, headings and tables of an answer, as HTML. */
export function partsHtml(parts: readonly Part[]): string {
  return parts
    .map((part) => {
      if (typeof part === 'string') return `<p>${escaped(withoutColours(part.trim()))}</p>`;
      if ('heading' in part) return `<h3>${escaped(withoutColours(part.heading.trim()))}</h3>`;
      return tableHtml(part);
    })
    .join('\n');
}

function tableHtml({ head, rows }: Pick<AnswerTable, 'head' | 'rows'>): string {
  const row = (tag: string, cells: readonly string[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(withoutColours(cell))}</${tag}>`).join('')}</tr>`;
  return `<div class="table"><table>${row('th', head)}${rows.map((cells) => row('td', cells)).join('')}</table></div>`;
}

/** A whole page. `body` is HTML. */
export const pageHtml = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">${GENERATOR}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: ${WIDTH}px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
.table { overflow-x: auto } table { border-collapse: collapse; font-size: 13px } th, td { border: 1px solid #ccc; padding: 2px 8px; text-align: right }
th:first-child, td:first-child { text-align: left } svg { max-width: 100%; height: auto; display: block; margin: 1em 0 } .note { color: #a40 }
</style>
${body}
</html>
`;

export const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
