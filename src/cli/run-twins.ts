/** `usercopy run own` and `usercopy run lkdtm`: built-in sets of copies, the guest's own check held against ours. */
import { drivers } from '../../arch/index.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { loadKernel } from '../kernel/load.js';
import { lkdtmCases } from '../scenario/lkdtm.js';
import {
  checkOwnFrames,
  chooseOwnProfile,
  loadOwnKernel,
  OWN_PROFILES,
  ownCases,
  ownVariants,
  startOwnGuest,
} from '../scenario/own.js';
import { runTwins, type TwinRow, type TwinRun } from '../scenario/twins.js';
import { CLEAN, colours, count, print, progress, table, toJson, VIOLATION } from './output.js';

export interface OwnOptions {
  readonly variant?: readonly string[];
  readonly profile?: string;
  readonly frames?: boolean;
  readonly details?: boolean;
  readonly json?: boolean;
}

export interface LkdtmOptions {
  readonly kernel: string;
  readonly btf?: string;
  readonly config?: string;
  readonly profile?: string;
  readonly frames?: boolean;
  readonly json?: boolean;
}

/** Memory is put back before every case: less is faster, and this is enough. */
const OWN_RAM = 32n << 20n;

/** Built-in cases whose cost the summary shows, where a run has them. */
const SUMMARY_CASES = ['slab: whole object', 'null'] as const;

/** Exit status: 0 when all are identical, else 1. */
export async function runOwn(options: OwnOptions): Promise<number> {
  const profiles = options.profile === undefined ? Object.keys(OWN_PROFILES) : [options.profile];
  const runs: TwinRun[] = [];
  for (const variant of options.variant ?? ownVariants()) {
    const kernel = await loadOwnKernel(variant);
    for (const profile of profiles) {
      progress.show(`${variant}, profile ${profile}`);
      const guest = await startOwnGuest(kernel, { ramBytes: OWN_RAM });
      try {
        chooseOwnProfile(guest, profile);
        if (options.frames) checkOwnFrames(guest);
        const { cases, declarations } = await ownCases(guest);
        runs.push(await runTwins(guest, cases, { profile, declarations, frames: options.frames ?? false }));
      } finally {
        guest.close();
      }
    }
  }
  progress.clear();
  if (options.json) print(toJson(runs.map(jsonOf)));
  else print(describe(runs, options.details ?? false));
  return statusOf(runs);
}

/** Exit status: 0 when all are identical, else 1. */
export async function runLkdtm(options: LkdtmOptions): Promise<number> {
  const kernel = await loadKernel(
    { path: options.kernel },
    {
      drivers,
      ...(options.btf === undefined ? {} : { btf: options.btf }),
      ...(options.config === undefined ? {} : { config: options.config }),
    },
  );
  const guest = await Guest.create(kernel);
  try {
    const objects = kernel.types === null ? null : new KernelObjects(guest);
    const run = await runTwins(guest, lkdtmCases(guest, objects), {
      frames: options.frames ?? false,
      ...(options.profile === undefined ? {} : { profile: options.profile }),
    });
    if (options.json) print(toJson(jsonOf(run)));
    else print(describe([run], false));
    return statusOf([run]);
  } finally {
    guest.close();
  }
}

const statusOf = (runs: readonly TwinRun[]): number =>
  runs.every((run) => run.rows.every((row) => row.identical)) ? CLEAN : VIOLATION;

function jsonOf(run: TwinRun): unknown {
  return { ...run, rows: run.rows.map((row) => ({ ...row, size: count(row.size) })) };
}

/** A message as it fits into a table. */
export const shorten = (message: string | null): string =>
  message === null ? 'passes' : message.replace(/^usercopy: [Kk]ernel memory /, '');

function describeRow(row: TwinRow): string[] {
  return [
    row.case,
    shorten(row.guest),
    row.ours === row.guest ? 'the same' : shorten(row.ours),
    row.identical ? 'yes' : colours.red('NO'),
    String(row.guestInstructions),
  ];
}

/** Tables of cases: all of them for one variant or on demand, else the first variant's newest profile. */
function detailed(runs: readonly TwinRun[], all: boolean): readonly TwinRun[] {
  const first = runs.filter((run) => run.variant === runs[0]?.variant);
  return all || first.length === runs.length ? runs : first.slice(-1);
}

/** Instructions of one case as a person compares them between variants. */
const instructionsOf = (run: TwinRun, name: string): string =>
  String(run.rows.find((row) => row.case === name)?.guestInstructions ?? '');

function describe(runs: readonly TwinRun[], details: boolean): string {
  const texts = detailed(runs, details).flatMap((run) => [
    `${run.variant}, kernel ${run.kernel}, profile ${run.profile}`,
    table(['case', "guest's own check", 'ours', 'identical', 'instructions'], run.rows.map(describeRow), [
      34,
      62,
      30,
      null,
      null,
    ]),
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
      ...shown.map((name) => instructionsOf(run, name)),
    ];
  });
  return [
    ...texts,
    table(
      ['variant', 'kernel', 'profile', 'copies', 'identical', ...shown.map((name) => `${name}, instructions`)],
      summary,
    ),
  ].join('\n');
}
