/** The atlas of what the check costs: every kernel and built-in guest that there is, as tables, a picture and JSON. */
import type { EChartsOption } from 'echarts';
import { markdownOf } from '../src/cli/answer.js';
import { UsercopyError } from '../src/errors.js';
import { cachedKernels } from '../src/image/fetch.js';
import { NEWEST_OWN_PROFILE, ownVariants } from '../src/scenario/own.js';
import { painter } from './drawing.js';
import { type Overhead, type OverheadPath, overheadOf, PASSING, REFUSING } from './overhead.js';
import { sharesText, type Unmeasured } from './overhead-page.js';
import { costCell } from './report.js';
import type { Source } from './world.js';

export interface Atlas {
  readonly kernels: readonly Overhead[];
  readonly guests: readonly Overhead[];
  readonly unmeasured: readonly Unmeasured[];
}

/** Measures the kernels of the cache and all built-in guests; what could not be measured is told. */
export async function makeAtlas(onProgress: (text: string) => void): Promise<Atlas> {
  const unmeasured: Unmeasured[] = [];
  const measure = async (name: string, source: Source): Promise<Overhead[]> => {
    onProgress(name);
    try {
      return [await overheadOf(source)];
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      unmeasured.push({ source: name, error: error.message });
      return [];
    }
  };
  const kernels: Overhead[] = [];
  for (const { variant, release, path } of await cachedKernels())
    kernels.push(...(await measure(`${variant} ${release}`, { kind: 'kernel', path, profile: undefined })));
  const guests: Overhead[] = [];
  for (const variant of ownVariants())
    guests.push(...(await measure(variant, { kind: 'own', variant, profile: NEWEST_OWN_PROFILE })));
  return { kernels, guests, unmeasured };
}

/** The tables in Markdown, with what was not measured. */
export function atlasText({ kernels, guests, unmeasured }: Atlas): string {
  const rows = (results: readonly Overhead[], paths: readonly OverheadPath[]) =>
    results.map((result) => [result.variant, result.kernel, ...paths.map((path) => costCell(result.paths[path]))]);
  const guestRows = guests.map(({ variant, core, paths }) => [
    ...[variant, core ?? 'no table'],
    ...PASSING.map((path) => costCell(paths[path])),
  ]);
  const workloads = kernels.flatMap(({ variant, kernel, workloads: list }) =>
    list.map(({ name, check, copy, ...shares }) => [
      ...[variant, kernel, name, costCell(check), costCell(copy), sharesText(shares)],
    ]),
  );
  const markdownTable = (head: readonly string[], cells: readonly (readonly string[])[]) =>
    markdownOf({ head, rows: cells });
  const missing = unmeasured.map(({ source, error }) => `- ${source}: ${error}`);
  return [
    '### Kernels, passing: instructions (cycles / with the struct page cold)',
    markdownTable(['variant', 'kernel', ...PASSING], rows(kernels, PASSING)),
    '### Kernels, refusing, message included: instructions (cycles / with the struct page cold)',
    markdownTable(['variant', 'kernel', ...REFUSING], rows(kernels, REFUSING)),
    '### Kernels, copies beside their check: instructions (cycles / with the struct page cold)',
    markdownTable(['variant', 'kernel', 'copy', 'check', 'copy itself', 'check ÷ copy, cycles'], workloads),
    `### Built-in guests, rules of ${NEWEST_OWN_PROFILE}, passing: instructions (cycles / with the struct page cold)`,
    markdownTable(['variant', 'core', ...PASSING], guestRows),
    '### Not measured',
    missing.length === 0 ? 'Nothing of what was there.' : missing.join('\n'),
  ].join('\n\n');
}

const DRAWN = ['stack', 'slab', 'page', 'vmalloc'] as const;
const ROW_HEIGHT = 74;
const FRAME_HEIGHT = 120;

/** Cycles of the passing paths, kernel by kernel, as an SVG. */
export async function atlasPicture({ kernels }: Atlas): Promise<string> {
  const draw = await painter();
  const series: EChartsOption['series'] = DRAWN.map((path) => ({
    ...{ type: 'bar', name: path, barGap: '10%' },
    label: { show: true, position: 'right', fontSize: 10 },
    data: kernels.map(({ paths }) => paths[path]?.cycles ?? '-'),
  }));
  return draw(
    {
      title: { text: "The kernel's own check on a copy that passes: estimated cycles" },
      legend: { top: 32 },
      grid: { top: 70, left: 10, right: 50, bottom: 20, containLabel: true },
      xAxis: { type: 'value', name: 'cycles', nameLocation: 'middle', nameGap: 24 },
      yAxis: {
        ...{ type: 'category', inverse: true },
        data: kernels.map(({ variant, kernel }) => `${variant} ${kernel}`),
      },
      series,
    },
    FRAME_HEIGHT + kernels.length * ROW_HEIGHT,
  );
}
