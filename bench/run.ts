/** The whole benchmark: what `usercopy bench` prints. */
import { cpus } from 'node:os';
import { type ExecutorName, executors } from '../src/check/check.js';
import { builtCheck } from '../src/engine/built-check.js';
import { openUnicorn } from '../src/engine/unicorn-native.js';
import { UsercopyError } from '../src/errors.js';
import { checksGroup, ORACLE, TWIN } from './checks.js';
import { copiesGroup } from './copies.js';
import { countingGroup } from './counting.js';
import { type Growth, growthOf } from './growth.js';
import { declaredGuest, introspectedGuest } from './guest.js';
import { countGuestCheck, type GuestCost, timeCheck } from './guest-check.js';
import { GROWTH, LONG, QUICK, SHORT } from './measure.js';
import { present } from './present.js';
import { type Group, isNoisy, lineOf, type Measurement } from './report.js';
import { type CopyTimes, timeCopies } from './workload.js';
import { objectsOf, type PathName, pathCopies, type Source, startGuest } from './world.js';

export interface BenchOptions {
  readonly sources: readonly Source[];
  /** A smoke run: seconds, and figures that nobody should quote. */
  readonly quick: boolean;
  /** `full`: ten million copies, 100 000 areas and all the RAM that a guest can have; `scaled`: as far as seconds go. */
  readonly growth: 'scaled' | 'full';
  readonly onProgress: (text: string) => void;
}

/** Beside a median: half the 95 % confidence interval of the mean in percent, and where the slowest hundredth begins. */
export interface Spread {
  readonly p99: number;
  readonly margin: number;
}

export type Spreads = Readonly<Record<string, Spread>>;

/** All times are medians in nanoseconds for one check or copy. */
export interface VariantResult {
  readonly variant: string;
  /** Release of the kernel that was measured. */
  readonly kernel: string;
  readonly profile: string | null;
  /** The core that the cycles are estimated for; null without a table. */
  readonly core: string | null;
  /** Which model the cycles are of: those of two models do not compare. null without a table. */
  readonly cycleModel: string | null;
  readonly guestCheck: Readonly<Record<PathName, GuestCost>>;
  readonly check: Readonly<Record<ExecutorName, Readonly<Record<PathName, number>> | null>>;
  readonly copy: {
    readonly detached: number | null;
    readonly bareHook: number | null;
    readonly enforce: Readonly<Record<ExecutorName, number | null>>;
    readonly audit: number | null;
    readonly sanitize: number | null;
    readonly counting: number | null;
    readonly inGuest: number | null;
  };
  /** By executor and path: `native.slab good`. */
  readonly checkSpread: Spreads;
  /** By the names of `copy`, those of `enforce` as `enforce.native`. */
  readonly copySpread: Spreads;
  /** Why there are no copies; else null. */
  readonly copyNote: string | null;
}

export interface BenchResult {
  /** What the cycles of `guestCheck` are: one pass through the whole path. Results of before 0.3 lack it: theirs are sums of blocks. */
  readonly cycles: 'path';
  readonly machine: {
    readonly node: string;
    readonly cpu: string;
    readonly cores: number;
    readonly unicorn: string | null;
    readonly date: string;
    readonly quick: boolean;
    /** How many figures were timed. */
    readonly timed: number;
    /** Those of them that the machine was too busy for. */
    readonly noisy: readonly string[];
  };
  readonly variants: readonly VariantResult[];
  readonly batch: {
    /** null without a C compiler. */
    readonly c: number | null;
    readonly native: number | null;
    readonly v8: number | null;
    readonly js: number | null;
    readonly oracle: number;
  };
  /** By the names of `batch`. */
  readonly batchSpread: Spreads;
  readonly growth: Growth;
  /** Batches and single hooks, line by line with their aims. */
  readonly groups: readonly Group[];
}

/** @throws UsercopyError `missing-dependency` without libunicorn; `guest` where a guest does not do what it should. */
export async function runBench({ sources, quick, growth, onProgress }: BenchOptions): Promise<BenchResult> {
  const [short, long] = quick ? [QUICK, QUICK] : [SHORT, LONG];
  const noisy = new Set<string>();
  const timed = new Set<string>();
  const watch = (measured: Measurement): number => {
    timed.add(measured.name);
    if (isNoisy(measured.margin)) noisy.add(measured.name);
    return measured.nanoseconds;
  };

  const variants: VariantResult[] = [];
  for (const source of sources) {
    const name = source.kind === 'own' ? source.variant : source.path;
    onProgress(`${name}: the check`);
    const guest = await startGuest(source, 'check');
    try {
      const paths = pathCopies(guest, objectsOf(guest, source));
      const { costs, core, cycleModel } = await countGuestCheck(guest, paths);
      const times = await timeCheck(guest, paths, source.profile, short);
      onProgress(`${name}: copies`);
      const copies = await timeCopies(source, quick ? QUICK : { ...short, time: 4 * short.time }).catch((error) => {
        if (error instanceof UsercopyError && error.kind === 'guest' && source.kind === 'kernel') return error.message;
        throw error;
      });
      const { copy, copySpread, copyNote } = copyResult(copies, watch);
      variants.push({
        ...{ variant: guest.variant.name, kernel: guest.kernel.version.release, profile: source.profile ?? null },
        ...{ core, cycleModel },
        guestCheck: costs,
        check: mapRecord(times, (byPath) => byPath && mapRecord(byPath, watch)),
        checkSpread: spreadsOf(
          Object.entries(times).flatMap(([executor, byPath]) =>
            Object.entries(byPath ?? {}).map(([path, measured]) => [`${executor}.${path}`, measured] as const),
          ),
        ),
        ...{ copy, copySpread, copyNote },
      });
    } finally {
      guest.close();
    }
  }

  onProgress('batches');
  const groups = [await checksGroup("Batch of 65 536 copies, a kernel's structures", introspectedGuest(), long)];
  if (!quick) groups.push(await checksGroup('Batch of 65 536 copies, declared memory', declaredGuest(), long));
  onProgress('a single hook');
  groups.push(await copiesGroup(long));
  onProgress('counting');
  if (!quick) groups.push(await countingGroup(long));
  for (const line of groups.flatMap(({ lines }) => lines)) watch(line);
  const batch = batchOf(present(groups[0]));
  return {
    cycles: 'path',
    machine: {
      ...{ node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, unicorn: unicornVersion() },
      ...{ date: new Date().toISOString(), quick, timed: timed.size, noisy: [...noisy] },
    },
    variants,
    batch: { ...mapRecord(batch, (line) => line?.nanoseconds ?? null), oracle: present(batch.oracle).nanoseconds },
    batchSpread: spreadsOf(Object.entries(batch)),
    growth: await growthOf({ size: quick ? 'smoke' : growth, effort: quick ? QUICK : GROWTH, onProgress }),
    groups,
  };
}

/** The lines of the first group, by the names that they have in a result. */
function batchOf(group: Group): Record<'c' | ExecutorName | 'oracle', Measurement | null> {
  const line = (name: string) => lineOf(group, name) ?? null;
  const ofExecutor = (executor: ExecutorName) => line(`check, ${executor}`);
  return {
    ...{ c: line(TWIN), native: ofExecutor('native'), v8: ofExecutor('v8'), js: ofExecutor('js') },
    oracle: line(ORACLE),
  };
}

const spreadsOf = (measured: readonly (readonly [string, Measurement | null])[]): Spreads =>
  Object.fromEntries(
    measured.flatMap(([name, one]) => (one === null ? [] : [[name, { p99: one.p99, margin: one.margin }] as const])),
  );

/** Whether the executors that are missing here, and why, for people. */
export const missingExecutors = (): string[] =>
  executors(builtCheck).flatMap(({ name, why }) => (why === null ? [] : [`no ${name}: ${why}`]));

function copyResult(copies: CopyTimes | string, watch: (measured: Measurement) => number) {
  if (typeof copies === 'string') {
    const enforce = { native: null, v8: null, js: null };
    const copy = {
      detached: null,
      bareHook: null,
      enforce,
      audit: null,
      sanitize: null,
      counting: null,
      inGuest: null,
    };
    return { copy, copySpread: {}, copyNote: copies };
  }
  const { enforce, ...ways } = copies;
  return {
    copy: { ...mapRecord(ways, watch), enforce: mapRecord(enforce, (one) => one && watch(one)) },
    copySpread: spreadsOf([
      ...Object.entries(ways),
      ...Object.entries(enforce).map(([name, measured]) => [`enforce.${name}`, measured] as const),
    ]),
    copyNote: null,
  };
}

function mapRecord<Key extends string, From, To>(
  record: Readonly<Record<Key, From>>,
  change: (from: From) => To,
): Record<Key, To> {
  const entries = Object.entries<From>(record).map(([key, value]) => [key, change(value)]);
  // The keys are the record's own.
  return Object.fromEntries(entries) as Record<Key, To>;
}

function unicornVersion(): string {
  const engine = openUnicorn({ arch: 'X86', mode: ['64'] });
  try {
    return engine.version;
  } finally {
    engine.close();
  }
}
