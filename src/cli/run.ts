/** `usercopy run`: plays a built-in set of copies and holds the guest's own check against ours. */
import { Command, Option } from 'commander';
import { drivers } from '../../arch/index.js';
import { UsercopyError } from '../errors.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { loadKernel } from '../kernel/load.js';
import { lkdtmCases } from '../scenario/lkdtm.js';
import {
  chooseOwnProfile,
  loadOwnKernel,
  OWN_PROFILES,
  ownCases,
  ownVariants,
  startOwnGuest,
} from '../scenario/own.js';
import { runTwins, type TwinRow, type TwinRun } from '../scenario/twins.js';
import { print, table, toJson } from './output.js';
import { DEFAULT_COPIES, replayMismatch, runRandom } from './run-random.js';

interface RunOptions {
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly variant?: string[];
  readonly profile?: string;
  readonly copies: string;
  readonly seed?: string;
  readonly json?: boolean;
  readonly details?: boolean;
}

/** Built-in cases whose cost the summary shows, where a run has them. */
const SUMMARY_CASES = ['slab: whole object', 'null'] as const;

export function runCommand(): Command {
  return new Command('run')
    .description('run copies in a guest: what its own check says, what ours says')
    .argument(
      '<set>',
      "'own': the built-in guests; 'lkdtm' and 'random': a real kernel, given with --kernel; a .json file: a mismatch that 'random' wrote",
    )
    .option('--kernel <image>', 'kernel image (vmlinux, bzImage, …)')
    .option('--btf <file>', 'types of the kernel, when the image has none')
    .option('--config <file>', "the kernel's .config, when the image has none")
    .option('--profile <name>', 'rules to judge by; default: by version (own: all that the guests know)')
    .addOption(new Option('--variant <name...>', "own: only these architectures' guests").choices(ownVariants()))
    .option('--copies <number>', 'random: how many copies', String(DEFAULT_COPIES))
    .option('--seed <number>', 'random: seed of the generator; default: from the clock, and printed')
    .option('--details', "own: every guest's table of cases")
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy run own
  $ usercopy run lkdtm --kernel "$(usercopy kernel fetch x86_64 --json | jq -r .path)"
  $ usercopy run random --kernel vmlinuz --copies 100000 --seed 1

Exit status: 0 when all are identical, 1 when some are not, 2 for bad input.`,
    )
    .action(async (set: string, options: RunOptions) => {
      if (set === 'random') {
        process.exitCode = await runRandom({ ...options, kernel: kernelOption(set, options) });
        return;
      }
      const runs =
        set === 'own'
          ? await runOwn(options)
          : set === 'lkdtm'
            ? [await runLkdtm(options)]
            : set.endsWith('.json')
              ? [await replayMismatch(set)]
              : unknownSet(set);
      if (options.json) print(toJson(set === 'own' ? runs.map(jsonOf) : jsonOf(runs[0]!)));
      else for (const text of describe(runs, options.details ?? false)) print(text);
      process.exitCode = runs.every((run) => run.rows.every((row) => row.identical)) ? 0 : 1;
    });
}

function kernelOption(set: string, options: RunOptions): string {
  if (options.kernel !== undefined) return options.kernel;
  throw new UsercopyError(
    'bad-input',
    `run ${set}: expected --kernel IMAGE, found none; 'usercopy kernel fetch x86_64' gets one`,
  );
}

function unknownSet(set: string): never {
  throw new UsercopyError('bad-input', `run: expected 'own', 'lkdtm', 'random' or a .json file, found '${set}'`);
}

async function runOwn(options: RunOptions): Promise<TwinRun[]> {
  const profiles = options.profile === undefined ? Object.keys(OWN_PROFILES) : [options.profile];
  const runs: TwinRun[] = [];
  for (const variant of options.variant ?? ownVariants()) {
    const kernel = await loadOwnKernel(variant);
    for (const profile of profiles) {
      const guest = await startOwnGuest(kernel);
      try {
        chooseOwnProfile(guest, profile);
        const { cases, declarations } = await ownCases(guest);
        runs.push(await runTwins(guest, cases, { profile, declarations }));
      } finally {
        guest.close();
      }
    }
  }
  return runs;
}

async function runLkdtm(options: RunOptions): Promise<TwinRun> {
  const kernel = await loadKernel(
    { path: kernelOption('lkdtm', options) },
    {
      drivers,
      ...(options.btf === undefined ? {} : { btf: options.btf }),
      ...(options.config === undefined ? {} : { config: options.config }),
    },
  );
  const guest = await Guest.create(kernel);
  try {
    const objects = kernel.types === null ? null : new KernelObjects(guest);
    return await runTwins(
      guest,
      lkdtmCases(guest, objects),
      options.profile === undefined ? {} : { profile: options.profile },
    );
  } finally {
    guest.close();
  }
}

function jsonOf(run: TwinRun): unknown {
  return { ...run, rows: run.rows.map((row) => ({ ...row, size: Number(row.size) })) };
}

const shorten = (message: string | null): string =>
  message === null ? 'passes' : message.replace(/^usercopy: [Kk]ernel memory /, '');

function describeRow(row: TwinRow): string[] {
  return [
    row.case,
    shorten(row.guest),
    row.ours === row.guest ? 'the same' : shorten(row.ours),
    row.identical ? 'yes' : 'NO',
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

function describe(runs: readonly TwinRun[], details: boolean): string[] {
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
      String(identical),
      ...shown.map((name) => instructionsOf(run, name)),
    ];
  });
  return [
    ...texts,
    table(
      ['variant', 'kernel', 'profile', 'copies', 'identical', ...shown.map((name) => `${name}, instructions`)],
      summary,
    ),
  ];
}
