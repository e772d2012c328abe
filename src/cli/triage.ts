/** `usercopy triage`: many logs and dumps, grouped by cause. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { print, progress } from '../terminal.js';
import { type Item, itemsIn } from '../triage/items.js';
import { type TriageAnswer, triageItems } from '../triage/pool.js';
import { Grouping, type TriageGroup } from '../triage/row.js';
import { TriageState } from '../triage/state.js';
import { DEFAULT_TIMEOUT, numberOf, secondsOf } from './arguments.js';
import { BAD_INPUT, CLEAN, table, toJson, VIOLATION } from './output.js';

interface TriageOptions {
  readonly jobs?: string;
  readonly state?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

interface Failure {
  readonly file: string;
  readonly error: string;
}

const MOST_JOBS = 256;
/** Milliseconds: a log of a gigabyte takes a minute on a slow machine. */
const LOG_LIMIT = 180_000;
const MOST_SHOWN = 1000;

export function triageCommand(): Command {
  return new Command('triage')
    .description('read a folder of logs and dumps and group their reports by cause')
    .argument('<folder>', 'looked through with all its sub-folders; links are not followed')
    .option('--jobs <number>', 'processes at a time; default: one per CPU')
    .option('--state <file>', 'keep what is done in this file, and go on from there in a later run')
    .option('--timeout <seconds>', 'longest time for reading a dump', DEFAULT_TIMEOUT)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Each file is read in a process of its own; one that crashes or hangs is a line under "not read". A dump is read together with
what lies beside it: vmlinux or vmlinuz…, *.btf, config, regs.txt, dmesg.txt; when it cannot be judged, the log is read alone.

Examples:
  $ usercopy triage /var/crash
  $ usercopy triage reports --state triage.jsonl --json | jq '.groups[0]'

Exit status: 0 when everything was read and holds no report, 1 when some were found, 2 for bad input, and when none was found but
files could not be read.`,
    )
    .action(async (folder: string, options: TriageOptions) => {
      process.exitCode = await runTriage(folder, options);
    });
}

async function runTriage(folder: string, options: TriageOptions): Promise<number> {
  const jobs = options.jobs === undefined ? availableParallelism() : numberOf('--jobs', options.jobs, MOST_JOBS);
  const timeout = secondsOf('--timeout', options.timeout);
  const state = options.state === undefined ? null : new TriageState(options.state);
  const statePath = options.state === undefined ? null : resolve(options.state);
  const found = itemsIn(folder);
  const items = found.items.filter(({ path }) => resolve(path) !== statePath);
  const grouping = new Grouping();
  const failures: Failure[] = [];
  let reports = 0;
  let failed = 0;
  let done = 0;
  const take = (item: Item, answer: TriageAnswer): void => {
    done++;
    reports += answer.rows.length;
    for (const row of answer.rows) grouping.add(row);
    if (answer.error !== null) {
      failed++;
      if (failures.length < MOST_SHOWN) failures.push({ file: item.path, error: answer.error });
    }
    progress.show(`${done} of ${items.length} files, ${reports} reports`);
  };
  const open: Item[] = [];
  for (const item of items) {
    const known = state?.answerOf(item) ?? null;
    if (known === null) open.push(item);
    else take(item, known);
  }
  await triageItems(open, { jobs, logLimit: LOG_LIMIT, dumpLimit: timeout * 1000 }, (item, answer) => {
    state?.add(item, answer);
    take(item, answer);
  });
  progress.clear();
  const summary = { folder, files: items.length, skipped: found.skipped, reports, failed };
  const groups = grouping.groups();
  if (options.json) print(toJson({ ...summary, groups, failures }));
  else for (const text of describe(summary, groups, failures)) print(text);
  if (reports > 0) return VIOLATION;
  return failed > 0 ? BAD_INPUT : CLEAN;
}

function describe(
  summary: { files: number; skipped: number; reports: number; failed: number },
  groups: readonly TriageGroup[],
  failures: readonly Failure[],
): string[] {
  const { files, skipped, reports, failed } = summary;
  const rows = groups
    .slice(0, MOST_SHOWN)
    .map(({ count, region, cache, offset, caller, direction, kernels, causes, known, examples }) => [
      String(count),
      [
        direction === null ? '?' : direction.replace('_', ' '),
        region ?? 'message missing',
        cache === null ? '' : `'${cache}'`,
      ]
        .join(' ')
        .trim(),
      offset ?? '',
      caller ?? '',
      kernels.length > 2 ? `${kernels.slice(0, 2).join(', ')}, …` : kernels.join(', '),
      [causes[0], known[0] === undefined ? null : `(known: ${known[0]})`].filter((part) => part != null).join(' '),
      examples[0] ?? '',
    ]);
  return [
    `${files} files (${skipped} more are neither log nor dump), ${reports} reports in ${groups.length} groups, ${failed} not read`,
    ...(rows.length === 0
      ? []
      : [
          table(['reports', 'what', 'offset', 'caller', 'kernels', 'likely cause', 'first'], rows, [
            null,
            40,
            22,
            28,
            30,
            24,
            40,
          ]),
        ]),
    ...(failures.length === 0
      ? []
      : [
          table(
            ['not read', 'why'],
            failures.map(({ file, error }) => [file, error]),
            [60, 70],
          ),
        ]),
  ];
}
