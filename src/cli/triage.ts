/** `usercopy triage`: many logs and dumps, grouped by cause. */
import { realpathSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { findVariant } from '../../arch/index.js';
import { badInput, shellWord } from '../errors.js';
import { progress } from '../terminal.js';
import { type Item, itemsIn, shardOf } from '../triage/items.js';
import { type TriageAnswer, triageItems } from '../triage/pool.js';
import { Grouping, type TriageGroup } from '../triage/row.js';
import { mergeStates, TriageState } from '../triage/state.js';
import { type Forms, type Part, printAnswer } from './answer.js';
import { DEFAULT_TIMEOUT, numberOf, refuseStray, secondsOf } from './arguments.js';
import { CLEAN, negative, toJson, VIOLATION } from './output.js';
import { Verb } from './verb.js';

interface TriageOptions extends Forms {
  readonly jobs?: string;
  readonly state?: string;
  readonly shard?: string;
  readonly merge?: readonly string[];
  readonly timeout?: string;
}

interface Failure {
  readonly file: string;
  readonly error: string;
}

const MOST_JOBS = 256;
/** Milliseconds: a log of a gigabyte takes a minute on a slow machine. */
const LOG_LIMIT = 180_000;
/** In a table; JSON has more. */
const MOST_SHOWN = 1000;
const MOST_FAILURES = 100_000;

export function triageCommand(): Verb {
  return new Verb('triage')
    .description('Read a folder of logs and dumps, and group their reports by cause.')
    .argument('<folder>', 'Search this folder and all its sub-folders. Links are not followed.')
    .option('--jobs <number>', 'Run this many processes at a time. The default is one per CPU.')
    .option('--state <file>', 'Keep the results in this file. A later run goes on from there.')
    .option('--shard <I/N>', 'Read only part I of N, as one of N workers. The results go to the state file.')
    .option('--merge <files...>', 'Read only the state files of such workers, and report what they found.')
    .option('--timeout <seconds>', `Stop reading a dump after this many seconds. The default is ${DEFAULT_TIMEOUT}.`)
    .tables()
    .ends({
      notes: `Each file is read in a process of its own. A file that crashes or hangs that process is listed under "not read". A dump is
read together with the files beside it: vmlinux or vmlinuz…, *.btf, config, regs.txt, and its log under the names that RHEL,
Debian and SUSE use (vmcore-dmesg.txt, dmesg.202401011200, dmesg.txt). If the dump cannot be judged, the log is read alone.`,
      status: `0 if everything was read and holds no report; 1 if a report was found, or if a file was not read (its name and the
reason are listed); 2 for bad input. With --shard, 0 once the state file has the whole part, whatever was found.`,
      examples: [
        'usercopy triage /var/crash',
        "usercopy triage reports --state triage.jsonl --json | jq '.groups[0]'",
        'seq 8 | parallel --retries 3 usercopy triage /var/crash --shard {}/8 --state shard-{}.jsonl',
        'usercopy triage /var/crash --merge shard-*.jsonl',
      ],
    })
    .action(async (folder: string, options: TriageOptions) => {
      process.exitCode = await runTriage(folder, options);
    });
}

async function runTriage(folder: string, options: TriageOptions): Promise<number> {
  if (options.merge !== undefined) refuseStray('triage --merge', options, ['merge']);
  const jobs = options.jobs === undefined ? availableParallelism() : numberOf('--jobs', options.jobs, MOST_JOBS);
  const timeout = secondsOf('--timeout', options.timeout ?? DEFAULT_TIMEOUT);
  const shard = options.shard === undefined ? null : shardFrom(options.shard);
  if (shard !== null && options.state === undefined) throw badInput('--shard', '--state FILE beside it', 'none');
  const merged = options.merge === undefined ? null : mergeStates(options.merge);
  const state = options.state === undefined ? null : new TriageState(options.state);
  const own = new Set([...(options.merge ?? []), ...(options.state === undefined ? [] : [options.state])].map(real));
  const found = await itemsIn(folder);
  const isOurs = (name: string): boolean =>
    !own.has(real(join(folder, name))) && (shard === null || shardOf(name, shard.count) === shard.index);
  const items = found.items.filter(({ name }) => isOurs(name));
  const skipped = found.skipped.filter(({ name }) => isOurs(name));
  const tally = new Tally();
  for (const { name, reason, harmless } of skipped) if (!harmless) tally.fail(name, reason);
  const inOrder = new InOrder(items, (item, answer) => tally.take(item.name, answer));
  const open: Item[] = [];
  for (const item of items) {
    const known = (merged ?? state)?.answerOf(item) ?? null;
    if (known !== null) inOrder.give(item, known);
    else if (merged === null) open.push(item);
    else inOrder.give(item, { rows: [], error: 'none of the merged files has it as it is now' });
  }
  await triageItems(open, { jobs, logLimit: LOG_LIMIT, dumpLimit: timeout * 1000 }, (item, answer) => {
    state?.add(item, answer);
    inOrder.give(item, answer);
    progress.show(`${inOrder.given} of ${items.length} files, ${tally.reports} reports`);
  });
  const gone = merged?.gone(found.items) ?? [];
  for (const answer of gone) tally.take('a file that is gone', answer);
  progress.clear();
  const harmless = skipped.filter((file) => file.harmless);
  const summary: Summary = {
    folder,
    files: items.length,
    skipped: harmless.length,
    gone: gone.length,
    reports: tally.reports,
    failed: tally.failed,
  };
  const groups = tally.grouping.groups();
  const skippedFiles = harmless.slice(0, MOST_SHOWN).map(({ name, reason }) => ({ file: name, reason }));
  printAnswer(options, {
    json: () => toJson({ ...summary, groups, failures: tally.failures, skipped_files: skippedFiles }),
    parts: () => partsOf(summary, groups, tally.failures),
    next: nextOf(folder, groups),
  });
  if (shard !== null) return CLEAN;
  return tally.reports > 0 || tally.failed > 0 ? VIOLATION : CLEAN;
}

interface Summary {
  readonly folder: string;
  readonly files: number;
  /** Files that cannot hold a report. */
  readonly skipped: number;
  /** Items of merged files that are not in the folder any more. */
  readonly gone: number;
  readonly reports: number;
  readonly failed: number;
}

/** Hands answers on in the order of the items, so that what is told does not depend on who was done first. */
class InOrder {
  /** Answers so far. */
  given = 0;
  readonly #waiting = new Map<Item, TriageAnswer>();
  readonly #items: readonly Item[];
  readonly #take: (item: Item, answer: TriageAnswer) => void;
  #next = 0;

  constructor(items: readonly Item[], take: (item: Item, answer: TriageAnswer) => void) {
    this.#items = items;
    this.#take = take;
  }

  give(item: Item, answer: TriageAnswer): void {
    this.given++;
    this.#waiting.set(item, answer);
    for (let next = this.#items[this.#next]; next !== undefined; next = this.#items[++this.#next]) {
      const known = this.#waiting.get(next);
      if (known === undefined) return;
      this.#waiting.delete(next);
      this.#take(next, known);
    }
  }
}

/** What was found so far. */
class Tally {
  readonly grouping = new Grouping();
  readonly failures: Failure[] = [];
  reports = 0;
  failed = 0;

  take(name: string, { rows, error }: TriageAnswer): void {
    this.reports += rows.length;
    for (const row of rows) this.grouping.add(row);
    if (error !== null) this.fail(name, error);
  }

  fail(file: string, error: string): void {
    this.failed++;
    if (this.failures.length < MOST_FAILURES) this.failures.push({ file, error });
  }
}

/** `3/8` is the third of eight parts. */
function shardFrom(text: string): { readonly index: number; readonly count: number } {
  const [, part, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  const index = Number(part) - 1;
  if (part === undefined || index < 0 || index >= Number(count)) {
    throw badInput('--shard', 'I/N with I from 1 to N', `'${text}'`);
  }
  return { index, count: Number(count) };
}

/** A path without its links, where it is there: a state file may lie in the folder that it is of. */
function real(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return resolve(path);
  }
}

function partsOf(summary: Summary, groups: readonly TriageGroup[], failures: readonly Failure[]): (Part | undefined)[] {
  const { files, skipped, gone, reports, failed } = summary;
  const shown = groups.slice(0, MOST_SHOWN);
  const named = failures.slice(0, MOST_SHOWN);
  return [
    `${files} files (${skipped} more cannot hold a report), ${reports} ${reports === 1 ? 'report' : 'reports'} in ${groups.length} ${groups.length === 1 ? 'group' : 'groups'}, ${failed} not read`,
    gone === 0 ? undefined : `${gone} of the merged files' items are not in the folder any more; they are counted`,
    shown.length === 0
      ? undefined
      : {
          head: ['reports', 'what', 'offset', 'caller', 'kernels', 'likely cause', 'first'],
          rows: shown.map(groupRow),
          widths: [null, 40, 22, 28, 30, 24, 40],
        },
    groups.length > shown.length ? `the other ${groups.length - shown.length} groups: --json` : undefined,
    named.length === 0
      ? undefined
      : {
          head: ['not read', 'why'],
          rows: named.map(({ file, error }) => [file, error]),
          widths: [60, 70],
        },
    failed > named.length ? `${failed - named.length} more were not read: --json` : undefined,
  ];
}

function groupRow(group: TriageGroup): string[] {
  const { count, region, cache, caller, direction, kernels, causes, known, examples } = group;
  const what = [
    direction === null ? '?' : direction.replace('_', ' '),
    region ?? 'message missing',
    cache === null ? '' : `'${cache}'`,
  ];
  return [
    String(count),
    what.join(' ').trim(),
    offsetOf(group),
    caller ?? '',
    kernels.length > 2 ? `${kernels.slice(0, 2).join(', ')}, …` : kernels.join(', '),
    [causes[0], known[0] === undefined ? null : `(known: ${known[0]})`].filter((part) => part != null).join(' '),
    examples[0] ?? '',
  ];
}

/** The printed offset; behind what it means where that is a negative number. */
function offsetOf({ offset, variants }: TriageGroup): string {
  // A state file may say anything.
  if (offset === null || !/^\d+$/.test(offset)) return offset ?? '';
  const value = BigInt(offset);
  const narrow = variants.length > 0 && variants.every((name) => findVariant(name)?.bits === 32);
  const signed = negative(value, narrow ? 32 : 64);
  return signed === null ? offset : `${signed} (${offset})`;
}

/** The first report of the largest group, looked at by itself. */
function nextOf(folder: string, [largest]: readonly TriageGroup[]): string | undefined {
  const [first] = largest?.examples ?? [];
  if (first === undefined) return undefined;
  // A report in a log has the number of its line behind the name; a dump has none.
  const [, log] = /^(.*):\d+$/.exec(first) ?? [];
  const input =
    log === undefined ? `--dump ${shellWord(join(folder, first))}` : `--report ${shellWord(join(folder, log))}`;
  return `usercopy repro ${input}  # what it means, and its likely cause`;
}
