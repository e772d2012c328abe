/** `usercopy run own` and `usercopy run lkdtm`: built-in sets of copies, the guest's own check held against ours. */
import { resolve } from 'node:path';
import { variantOf } from '../../arch/index.js';
import { IGNORED, withoutCycles } from '../cycles/open.js';
import { UsercopyError } from '../errors.js';
import { runAllIsolated, runForOne } from '../scenario/guest-process.js';
import { OWN_PROFILES, ownVariants } from '../scenario/own.js';
import type { LkdtmTask, OwnTask } from '../scenario/tasks.js';
import type { TwinRow, TwinRun } from '../scenario/twins.js';
import { colours, progress } from '../terminal.js';
import { type Forms, type Part, printAnswer } from './answer.js';
import { commandWords } from './arguments.js';
import { byLine, CLEAN, count, negativesIn, toJson, VIOLATION } from './output.js';

export interface OwnOptions extends Forms {
  readonly variant?: readonly string[];
  readonly profile?: string;
  readonly frames?: boolean;
  readonly runnable?: boolean;
  readonly details?: boolean;
  readonly cycles?: boolean;
}

export interface LkdtmOptions extends Forms {
  readonly kernel: string;
  readonly btf?: string;
  readonly config?: string;
  readonly profile?: string;
  readonly frames?: boolean;
  readonly coverage?: string;
}

/** Built-in cases whose cost the summary shows, where a run has them. */
const SUMMARY_CASES = ['slab: whole object', 'null'] as const;

const REASON_WIDTH = 70;

/** A variant whose guest did not come to its end, and why. What it said before is among the runs. */
interface FailedVariant {
  readonly variant: string;
  readonly reason: string;
  /** The emulator at hand runs no such guest, and only what it runs was asked for. */
  readonly isPassedOver: boolean;
}

/**
 * A variant that cannot run is a row with its reason among the others' runs.
 * Exit status: 0 when all are identical, else 1; with `runnable` one that the emulator at hand cannot run does not count. Bad input, and what keeps every variant from running, is thrown.
 */
export async function runOwn(options: OwnOptions): Promise<number> {
  const profiles = options.profile === undefined ? Object.keys(OWN_PROFILES) : [options.profile];
  const tasks = (options.variant ?? ownVariants()).map(
    (variant): OwnTask => ({
      ...{ kind: 'own', variant, profiles },
      ...{ frames: options.frames ?? false, cycles: options.cycles ?? false },
    }),
  );
  const runs: TwinRun[][] = tasks.map(() => []);
  const outcomes = await runAllIsolated(tasks, (index) => ({
    result: (run) => runs[index]?.push(run),
    progress: (text) => progress.show(text),
  }));
  progress.clear();
  const reasons = outcomes.map((outcome) => (outcome.status === 'rejected' ? errorOf(outcome.reason) : null));
  throwCommon(reasons);
  const failed = tasks.flatMap(({ variant }, index): FailedVariant[] => {
    const reason = reasons[index];
    if (!reason) return [];
    const cannotRun = reason instanceof UsercopyError && reason.kind === 'unsupported';
    return [{ variant, reason: reason.message, isPassedOver: cannotRun && options.runnable === true }];
  });
  const all = runs.flat();
  printAnswer(options, {
    json: () => toJson([...all.map(jsonOf), ...failed.map(({ variant, reason }) => ({ variant, error: reason }))]),
    parts: () => partsOf(all, options, failed),
    next: 'usercopy kernel fetch x86_64  # then: usercopy run lkdtm --kernel IMAGE, the same on a real kernel',
  });
  return failed.some(({ isPassedOver }) => !isPassedOver) ? VIOLATION : statusOf(all);
}

const errorOf = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

/** Throws what is no matter of one variant: an option that none takes, or an emulator that is not there. */
function throwCommon(reasons: readonly (Error | null)[]): void {
  const [first] = reasons;
  if (!(first instanceof UsercopyError) || (first.kind !== 'bad-input' && first.kind !== 'missing-dependency')) return;
  if (reasons.every((reason) => reason?.message === first.message)) throw first;
}

/** Exit status: 0 when all are identical, else 1. */
export async function runLkdtm({
  kernel,
  btf,
  config,
  profile,
  frames,
  coverage,
  ...forms
}: LkdtmOptions): Promise<number> {
  const task: LkdtmTask = {
    kind: 'lkdtm',
    kernel,
    btf,
    config,
    profile,
    frames: frames ?? false,
    coverage: coverage && resolve(coverage),
  };
  const words = commandWords({ kernel, btf, config, profile, frames }, [
    'kernel',
    'btf',
    'config',
    'profile',
    'frames',
  ]);
  const run = await runForOne(task, (text) => progress.show(text));
  progress.clear();
  printAnswer(forms, {
    json: () => toJson(jsonOf(run)),
    parts: () => partsOf([run]),
    next: `usercopy run random ${words}  # random copies, most of them near a boundary`,
  });
  return statusOf([run]);
}

const statusOf = (runs: readonly TwinRun[]): number =>
  runs.every((run) => run.rows.every((row) => row.identical)) ? CLEAN : VIOLATION;

function jsonOf(run: TwinRun): unknown {
  return { ...run, rows: run.rows.map((row) => ({ ...row, size: count(row.size) })) };
}

/** A message as it fits into a table; beside it what it prints as an unsigned number of `bits` and means as a negative one. */
export function shorten(message: string | null, bits: number): string {
  if (message === null) return 'passes';
  const negatives = negativesIn(message, bits);
  return `${message.replace(/^usercopy: [Kk]ernel memory /, '')}${negatives === '' ? '' : ` [${negatives}]`}`;
}

function describeRow(row: TwinRow, bits: number, hasCycles: boolean): string[] {
  return [
    row.case,
    shorten(row.guest, bits),
    row.ours === row.guest ? 'the same' : shorten(row.ours, bits),
    row.identical ? 'yes' : colours.red('NO'),
    String(row.guestInstructions),
    ...(hasCycles ? [String(row.guestCycles ?? '')] : []),
  ];
}

/** Tables of cases: all of them for one variant or on demand, else the first variant's newest profile. */
function detailed(runs: readonly TwinRun[], all: boolean): readonly TwinRun[] {
  const first = runs.filter((run) => run.variant === runs[0]?.variant);
  return all || first.length === runs.length ? runs : first.slice(-1);
}

/** What one case costs, as a person compares it between variants. */
const costOf = (run: TwinRun, name: string, what: 'guestInstructions' | 'guestCycles'): string =>
  String(run.rows.find((row) => row.case === name)?.[what] ?? '');

function partsOf(
  runs: readonly TwinRun[],
  { details = false, cycles: hasCycles = false }: Pick<OwnOptions, 'details' | 'cycles'> = {},
  failed: readonly FailedVariant[] = [],
): Part[] {
  const tables = detailed(runs, details).flatMap((run): Part[] => [
    { heading: `${run.variant}, kernel ${run.kernel}, profile ${run.profile}` },
    ...byLine(run.profileBy, run.typesBy),
    {
      head: ['case', "guest's own check", 'ours', 'identical', 'instructions', ...(hasCycles ? ['cycles'] : [])],
      rows: run.rows.map((row) => describeRow(row, variantOf(run.variant).bits, hasCycles)),
      widths: [34, 62, 30, null, null, ...(hasCycles ? [null] : [])],
      about: { variant: run.variant, kernel: run.kernel, profile: run.profile },
    },
  ]);
  const shown = SUMMARY_CASES.filter((name) => runs.some((run) => run.rows.some((row) => row.case === name)));
  const summary = runs.map((run) => {
    const identical = run.rows.filter((row) => row.identical).length;
    return [
      run.variant,
      run.kernel,
      run.profile,
      String(run.rows.length),
      identical === run.rows.length ? colours.green(String(identical)) : colours.red(String(identical)),
      ...shown.map((name) => costOf(run, name, 'guestInstructions')),
      ...(hasCycles ? shown.map((name) => costOf(run, name, 'guestCycles')) : []),
    ];
  });
  const head = [
    ...['variant', 'kernel', 'profile', 'copies', 'identical'],
    ...shown.map((name) => `${name}, instructions`),
    ...(hasCycles ? shown.map((name) => `${name}, cycles`) : []),
    ...(failed.length > 0 ? ['did not run to its end'] : []),
  ];
  const widths = head.map((_, index) => (failed.length > 0 && index === head.length - 1 ? REASON_WIDTH : null));
  const without = failed.map(({ variant, reason }) => [
    variant,
    ...Array<string>(head.length - 2).fill(''),
    colours.red(reason),
  ]);
  const rows = [...summary.map((row) => (failed.length > 0 ? [...row, ''] : row)), ...without];
  return [
    ...tables,
    { head, rows, widths },
    ...(hasCycles ? [`cycles are estimates for one core a variant (docs/cycles.md): ${IGNORED}`] : []),
    ...(hasCycles ? withoutCycles(runs.map(({ variant }) => variant)) : []),
  ];
}
