/** The atlas of what the check costs: every kernel and built-in guest that there is, as tables, a picture and JSON. */
import { markdownOf } from '../src/cli/answer.js';
import { badInput } from '../src/errors.js';
import { cachedKernels } from '../src/image/fetch.js';
import { NEWEST_OWN_PROFILE, ownVariants } from '../src/scenario/own.js';
import { colourOf, painter, WIDTH } from './drawing.js';
import {
  type Cost,
  measureAll,
  type Overhead,
  type OverheadPath,
  PASSING,
  REFUSING,
  type Unmeasured,
} from './overhead.js';
import { COLD, COLD_REFUSING, sharesText } from './overhead-page.js';
import { costCell } from './report.js';

export interface Atlas {
  readonly kernels: readonly Overhead[];
  readonly guests: readonly Overhead[];
  readonly unmeasured: readonly Unmeasured[];
}

const OPTIONS = { cycles: { model: 'memory' } } as const;

const cachedSources = async () =>
  (await cachedKernels()).map(({ variant, release, path }) => ({
    name: `${variant} ${release}`,
    release,
    source: { kind: 'kernel', path, profile: undefined } as const,
  }));

/**
 * An atlas with some kernels of the cache measured anew, by their releases; everything else stays as it was.
 * @throws UsercopyError `bad-input` for a release that the cache has not, or that could not be measured.
 */
export async function remeasured(
  before: Atlas,
  releases: readonly string[],
  onProgress: (text: string) => void,
): Promise<Atlas> {
  const cached = await cachedSources();
  const missing = releases.find((wanted) => !cached.some(({ release }) => release === wanted));
  if (missing !== undefined) throw badInput('atlas', 'releases of kernels in the cache', `'${missing}'`);
  const named = cached.filter(({ release }) => releases.includes(release));
  const { results, unmeasured } = await measureAll(named, OPTIONS, onProgress);
  for (const { source, error } of unmeasured) throw badInput(source, 'a kernel that can be measured', error);
  const keyOf = ({ variant, kernel }: Overhead): string => `${variant} ${kernel}`;
  const fresh = new Map(results.map((result) => [keyOf(result), result]));
  const kept = before.kernels.map((result) => fresh.get(keyOf(result)) ?? result);
  const known = new Set(before.kernels.map(keyOf));
  const kernels = [...kept, ...results.filter((result) => !known.has(keyOf(result)))];
  return {
    ...before,
    kernels: kernels.sort((one, other) => (one.variant < other.variant ? -1 : one.variant > other.variant ? 1 : 0)),
  };
}

/** Measures the kernels of the cache and all built-in guests; what could not be measured is told. */
export async function makeAtlas(onProgress: (text: string) => void): Promise<Atlas> {
  const options = OPTIONS;
  const cached = await cachedSources();
  const own = ownVariants().map((variant) => ({
    name: variant,
    source: { kind: 'own', variant, profile: NEWEST_OWN_PROFILE } as const,
  }));
  const kernels = await measureAll(cached, options, onProgress);
  const guests = await measureAll(own, options, onProgress);
  return {
    ...{ kernels: kernels.results, guests: guests.results },
    unmeasured: [...kernels.unmeasured, ...guests.unmeasured],
  };
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
  const noted = new Map<string, string[]>();
  for (const { variant, kernel, notes } of kernels)
    for (const note of notes) noted.set(note, [...(noted.get(note) ?? []), `${variant} ${kernel}`]);
  const notes = [...noted].map(([note, of]) => `- ${note}: ${of.join(', ')}`);
  const missing = unmeasured.map(({ source, error }) => `- ${source}: ${error}`);
  return [
    `### Kernels, passing: ${COLD}`,
    markdownTable(['variant', 'kernel', ...PASSING], rows(kernels, PASSING)),
    `### Kernels, refusing, message included: ${COLD_REFUSING}`,
    markdownTable(['variant', 'kernel', ...REFUSING], rows(kernels, REFUSING)),
    `### Kernels, copies beside their check: ${COLD}`,
    markdownTable(['variant', 'kernel', 'copy', 'check', 'copy itself', 'check ÷ copy, cycles'], workloads),
    `### Built-in guests, rules of ${NEWEST_OWN_PROFILE}, passing: ${COLD}`,
    markdownTable(['variant', 'core', ...PASSING], guestRows),
    '### Notes: what a dash stands for',
    notes.length === 0 ? 'None.' : notes.join('\n'),
    '### Not measured',
    missing.length === 0 ? 'Nothing of what was there.' : missing.join('\n'),
  ].join('\n\n');
}

const DRAWN = ['stack', 'slab', 'page', 'vmalloc'] as const;
const COLUMNS = 2;
const ROW_HEIGHT = 18;
/** Above, between and beside the panels. */
const HEAD = 70;
const GAP = 56;
const LABELS = 190;
const NUMBERS = 64;

/**
 * Cycles of the passing paths, kernel by kernel, as an SVG: a panel a path, a colour an architecture, so that rows below each
 * other show how the cost moved from version to version. The pale end of a bar is what a cold struct page adds.
 */
export async function atlasPicture({ kernels }: Atlas): Promise<string> {
  const draw = await painter();
  const variants = [...new Set(kernels.map(({ variant }) => variant))];
  const panelHeight = kernels.length * ROW_HEIGHT;
  const panelWidth = (WIDTH - LABELS - COLUMNS * NUMBERS) / COLUMNS;
  const panels = DRAWN.map((path, index) => {
    const column = index % COLUMNS;
    const top = HEAD + Math.floor(index / COLUMNS) * (panelHeight + GAP);
    const costs = kernels.map(({ variant, paths }) => ({ variant, cost: paths[path] ?? null }));
    const axes = { xAxisIndex: index, yAxisIndex: index };
    return {
      title: { text: path, left: LABELS + column * (panelWidth + NUMBERS), top: top - 24, textStyle: { fontSize: 13 } },
      grid: { left: LABELS + column * (panelWidth + NUMBERS), top, width: panelWidth, height: panelHeight },
      xAxis: { type: 'value' as const, gridIndex: index, min: 0, splitNumber: 4, axisLabel: { hideOverlap: true } },
      yAxis: {
        ...{ type: 'category' as const, gridIndex: index, inverse: true, axisTick: { show: false } },
        axisLabel: { show: column === 0, fontSize: 11 },
        data: kernels.map(({ variant, kernel }) => shortName(variant, kernel)),
      },
      series: [
        {
          ...{ type: 'bar' as const, stack: path, ...axes },
          data: costs.map(({ variant, cost }) => ({
            value: cost?.cycles ?? 0,
            itemStyle: { color: colourOf(variants.indexOf(variant)) },
          })),
        },
        {
          ...{ type: 'bar' as const, stack: path, ...axes },
          data: costs.map(({ variant, cost }) => ({
            value: (cost?.cold ?? cost?.cycles ?? 0) - (cost?.cycles ?? 0),
            itemStyle: { color: colourOf(variants.indexOf(variant)), opacity: 0.35 },
            label: {
              ...{ show: true, position: 'right' as const, fontSize: 10, color: '#222', opacity: 1 },
              formatter: cost?.cycles == null ? '–' : cyclesText(cost),
            },
          })),
        },
      ],
    };
  });
  return draw(
    {
      // A page behind it may be dark.
      backgroundColor: '#fff',
      title: [
        {
          text: "The kernel's own check on a copy that passes: estimated cycles",
          left: 0,
          top: 0,
          textStyle: { fontSize: 15 },
        },
        {
          text: 'Full colour: everything in the caches. Pale: what a struct page that is in no cache adds, where the core has figures for it.',
          ...{ left: 0, top: 26, textStyle: { fontSize: 11, fontWeight: 'normal' } },
        },
        ...panels.map(({ title }) => title),
      ],
      grid: panels.map(({ grid }) => grid),
      xAxis: panels.map(({ xAxis }) => xAxis),
      yAxis: panels.map(({ yAxis }) => yAxis),
      series: panels.flatMap(({ series }) => series),
    },
    HEAD + Math.ceil(DRAWN.length / COLUMNS) * (panelHeight + GAP),
  );
}

const cyclesText = ({ cycles, cold }: Cost): string =>
  cold === null || cold === cycles ? String(cycles) : `${cycles} / ${cold}`;

/** A release without the flavour, which its variant says; arm has two. */
const shortName = (variant: string, kernel: string): string =>
  `${variant} ${kernel.replace(/-(?:cloud-)?(?:amd64|arm64|686|armmp|powerpc64le|s390x|riscv64)(?=-lpae$|$)/, '')}`;
