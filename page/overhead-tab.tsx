/** What the kernel's own check costs, by architecture, kernel and path: the atlas of docs/overhead.md as bars. */
import { useState } from 'preact/hooks';
import type { Cost, Overhead } from '../bench/overhead.js';
import { overheadAtlas } from './data.js';
import type { TabProperties } from './parts.js';

/** Which of a cost's figures is drawn. */
const MEASURES = {
  cycles: 'estimated cycles, warm',
  cold: 'estimated cycles, struct page cold',
  instructions: 'guest instructions',
} as const satisfies Record<keyof Cost, string>;
type Measure = keyof typeof MEASURES;

const isMeasure = (text: string): text is Measure => Object.hasOwn(MEASURES, text);

const SETS = { kernels: 'kernels of distributions', guests: 'built-in guests' } as const;

/** A text that is empty means all of them. */
interface Filter {
  readonly set: keyof typeof SETS;
  readonly measure: Measure;
  readonly variant: string;
  readonly kernel: string;
  readonly path: string;
}

interface Bar {
  readonly label: string;
  readonly value: number | null;
}

const START: Filter = { set: 'kernels', measure: 'cycles', variant: '', kernel: '', path: 'slab' };

const distinct = (values: readonly string[]): string[] => [...new Set(values)];

export function OverheadTab(_: TabProperties) {
  const atlas = overheadAtlas();
  const [filter, setFilter] = useState<Filter>(START);
  if (atlas === null) return <p>This page was built without the figures.</p>;
  const all = atlas[filter.set];
  const change = (changed: Partial<Filter>): void => setFilter({ ...filter, ...changed });
  const ofVariant = all.filter(({ variant }) => filter.variant === '' || variant === filter.variant);
  const shown = ofVariant.filter(({ kernel }) => filter.kernel === '' || kernel === filter.kernel);
  const paths = distinct(all.flatMap((result) => Object.keys(result.paths)));
  return (
    <>
      <p>
        What <code>__check_object_size()</code> costs on each of its paths, in the kernel's own code: instructions are
        counted, cycles are estimated for one named core, from an idle pipeline: with warm caches, or with the struct
        pages in no cache. No clock is in them: compare kernels of one architecture, for the cores of others are of
        other times and kinds.
      </p>
      <form class="controls" onSubmit={(event) => event.preventDefault()}>
        <Choice
          label="of"
          value={filter.set}
          options={Object.entries(SETS)}
          onChange={(set) => change({ set: set === 'guests' ? 'guests' : 'kernels', variant: '', kernel: '' })}
        />
        <Choice
          label="architecture"
          all
          value={filter.variant}
          options={distinct(all.map(({ variant }) => variant)).map((name) => [name, name])}
          onChange={(variant) => change({ variant, kernel: '' })}
        />
        {filter.set === 'kernels' ? (
          <Choice
            label="kernel"
            all
            value={filter.kernel}
            options={distinct(ofVariant.map(({ kernel }) => kernel)).map((name) => [name, name])}
            onChange={(kernel) => change({ kernel })}
          />
        ) : null}
        <Choice
          label="path"
          all
          value={filter.path}
          options={paths.map((name) => [name, name])}
          onChange={(path) => change({ path })}
        />
        <Choice
          label="in"
          value={filter.measure}
          options={Object.entries(MEASURES)}
          onChange={(measure) => change(isMeasure(measure) ? { measure } : {})}
        />
      </form>
      <div aria-live="polite">
        {(filter.path === '' ? paths : [filter.path]).map((path) => (
          <Bars
            key={path}
            title={path}
            unit={MEASURES[filter.measure]}
            bars={shown.map((result) => ({ label: nameOf(result), value: figureOf(result, path, filter.measure) }))}
          />
        ))}
      </div>
      <Workloads results={shown} measure={filter.measure} />
      <Notes results={shown} unmeasured={atlas.unmeasured} />
    </>
  );
}

const nameOf = ({ variant, kernel, profile }: Overhead): string =>
  profile === null ? `${variant} ${kernel}` : `${variant}, rules of ${profile}`;

function figureOf({ paths }: Overhead, path: string, measure: Measure): number | null {
  const costs: Readonly<Record<string, Cost | null>> = paths;
  return costs[path]?.[measure] ?? null;
}

/** One of several, or all of them where `all` is a choice. */
function Choice({
  label,
  value,
  options,
  all = false,
  onChange,
}: {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [string, string])[];
  readonly all?: boolean;
  readonly onChange: (value: string) => void;
}) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {all ? <option value="">all</option> : null}
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A bar for each; the longest is the widest of this chart. Styles by attribute are what the page's policy forbids. */
function Bars({ title, unit, bars }: { readonly title: string; readonly unit: string; readonly bars: readonly Bar[] }) {
  const longest = Math.max(1, ...bars.map(({ value }) => value ?? 0));
  return (
    <section class="scroll" tabIndex={0} aria-label={`${title}: ${unit}`}>
      <table class="bars">
        <caption>
          {title}: {unit}
        </caption>
        <tbody>
          {bars.map(({ label, value }) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td class="amount">{value ?? '–'}</td>
              <td>
                <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                  <rect width={(100 * (value ?? 0)) / longest} height={10} />
                </svg>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const percent = (share: number | null): string => (share === null ? '–' : `${(100 * share).toFixed(0)} %`);

function Workloads({ results, measure }: { readonly results: readonly Overhead[]; readonly measure: Measure }) {
  const rows = results.flatMap((result) => result.workloads.map((workload) => ({ result, workload })));
  if (rows.length === 0) return null;
  return (
    <details>
      <summary>Copies beside their check: {MEASURES[measure]}</summary>
      <section class="scroll" tabIndex={0} aria-label="Copies beside their check">
        <table>
          <thead>
            <tr>
              <th>kernel</th>
              <th>copy</th>
              <th>check</th>
              <th>copy itself</th>
              <th>check ÷ copy, cycles{measure === 'cold' ? ' cold' : ''}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ result, workload: { name, check, copy, share, shareCold } }) => (
              <tr key={`${nameOf(result)} ${name}`}>
                <th scope="row">{nameOf(result)}</th>
                <td>{name}</td>
                <td class="amount">{check[measure] ?? '–'}</td>
                <td class="amount">{copy[measure] ?? '–'}</td>
                <td class="amount">{percent(measure === 'cold' ? shareCold : share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}

function Notes({
  results,
  unmeasured,
}: {
  readonly results: readonly Overhead[];
  readonly unmeasured: readonly { readonly source: string; readonly error: string }[];
}) {
  const cores = distinct(results.map(({ variant, core }) => `${variant}: ${core ?? 'no table of cycles'}`));
  const notes = results.flatMap((result) => result.notes.map((note) => `${nameOf(result)}: ${note}`));
  return (
    <details>
      <summary>Cores, and what is missing</summary>
      <p>
        A dash: the kernel has no such path in its check, or the core's table does not know what the path does, or the
        core's caches are not known.
      </p>
      <ul>
        {distinct([...cores, ...notes]).map((line) => (
          <li key={line}>{line}</li>
        ))}
        {unmeasured.map(({ source, error }) => (
          <li key={source}>
            {source} was not measured: {error}
          </li>
        ))}
      </ul>
    </details>
  );
}
