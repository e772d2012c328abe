/** What two results are compared by: read out of `usercopy bench --json` or `usercopy overhead --json`, old ones included. */
import { badInput } from '../src/errors.js';
import { COPIES, type Overhead } from './overhead.js';

/** A time and its margin in percent; null when it was not recorded. */
export interface Time {
  readonly ns: number;
  readonly margin: number | null;
}

/** Of the guest's own check on one path. */
export interface GuestFigures {
  readonly instructions: number;
  readonly cycles: number | null;
}

export interface Guest {
  /** `x86_64 6.1.0-56-cloud-amd64` */
  readonly name: string;
  readonly variant: string;
  readonly profile: string | null;
  readonly core: string | null;
  /** Which model the cycles are of; null in older results, which do not say it. */
  readonly cycleModel: string | null;
  readonly guestCheck: ReadonlyMap<string, GuestFigures>;
  readonly times: ReadonlyMap<string, Time>;
}

export interface Comparable {
  readonly guests: readonly Guest[];
  /** Times that are of no guest: batches and growth. */
  readonly times: ReadonlyMap<string, Time>;
  /** Where times were measured; null for a result that has none. */
  readonly timed: {
    readonly quick: boolean;
    readonly cpu: string;
    readonly node: string;
    readonly unicorn: string;
  } | null;
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const objectsIn = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
const textOrNull = (value: unknown): string | null => textOr(value, '') || null;

/** `bench` names some paths otherwise than `overhead`. */
const PATH_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(COPIES).map(([path, copy]) => [copy, path]),
);

/** @param which `OLD` or `NEW`, for errors. @throws UsercopyError `bad-input` when it is no result. */
export function comparable(result: unknown, which: string): Comparable {
  if (isObject(result) && Array.isArray(result['results']) && Array.isArray(result['unmeasured']))
    return { guests: objectsIn(result['results']).map(overheadGuest), times: new Map(), timed: null };
  if (!isObject(result) || !Array.isArray(result['variants']) || !isObject(result['batch'])) {
    throw badInput(
      `bench --compare, ${which}`,
      'a result of usercopy bench --json or overhead --json, or a kernel image',
      'something else',
    );
  }
  const machine = isObject(result['machine']) ? result['machine'] : {};
  const times = timesOf('batch.', result['batch'], result['batchSpread']);
  for (const [series, points] of Object.entries(isObject(result['growth']) ? result['growth'] : {})) {
    for (const { n, ns, margin } of objectsIn(points))
      if (typeof ns === 'number')
        times.set(`growth.${series}.${n}`, { ns, margin: typeof margin === 'number' ? margin : null });
  }
  return {
    guests: objectsIn(result['variants']).map((one) => benchGuest(one, result['cycles'] === 'path')),
    times,
    timed: {
      quick: machine['quick'] === true,
      cpu: textOr(machine['cpu'], 'unknown'),
      ...{ node: textOr(machine['node'], 'unknown'), unicorn: textOr(machine['unicorn'], 'unknown') },
    },
  };
}

/** Results of `overhead` in the same form. */
export const comparableOverhead = (results: readonly Overhead[]): Comparable =>
  comparable({ results, unmeasured: [] }, 'a kernel');

function overheadGuest(one: Json): Guest {
  return { ...identityOf(one), guestCheck: figuresOf(one['paths'], true), times: new Map() };
}

function benchGuest(one: Json, pathCycles: boolean): Guest {
  const times = timesOf('copy.', one['copy'], one['copySpread']);
  for (const [name, time] of timesOf('check.', one['check'], one['checkSpread'])) times.set(name, time);
  return { ...identityOf(one), guestCheck: figuresOf(one['guestCheck'], pathCycles), times };
}

function identityOf(one: Json): Pick<Guest, 'name' | 'variant' | 'profile' | 'core' | 'cycleModel'> {
  const parts = [one['variant'], one['kernel'], one['profile']].filter((part) => typeof part === 'string');
  return {
    ...{ name: parts.join(' '), variant: textOr(one['variant'], 'unknown') },
    ...{ profile: textOrNull(one['profile']), core: textOrNull(one['core']) },
    cycleModel: textOrNull(one['cycleModel']),
  };
}

/** Cycles that are sums of blocks are left out: they are another quantity. */
function figuresOf(paths: unknown, pathCycles: boolean): Map<string, GuestFigures> {
  const figures = new Map<string, GuestFigures>();
  for (const [name, cost] of Object.entries(isObject(paths) ? paths : {})) {
    if (!isObject(cost) || typeof cost['instructions'] !== 'number') continue;
    const cycles = pathCycles && typeof cost['cycles'] === 'number' ? cost['cycles'] : null;
    figures.set(PATH_NAMES[name] ?? name, { instructions: cost['instructions'], cycles });
  }
  return figures;
}

/** Every number below `value`, by its path; `spreads` has margins by the same paths. */
function timesOf(prefix: string, value: unknown, spreads: unknown): Map<string, Time> {
  const times = new Map<string, Time>();
  const visit = (path: string, part: unknown): void => {
    if (typeof part === 'number') {
      const spread = isObject(spreads) ? spreads[path] : undefined;
      const margin = isObject(spread) && typeof spread['margin'] === 'number' ? spread['margin'] : null;
      times.set(prefix + path, { ns: part, margin });
    } else if (isObject(part)) {
      for (const [key, inner] of Object.entries(part)) visit(path === '' ? key : `${path}.${key}`, inner);
    }
  };
  visit('', value);
  return times;
}
