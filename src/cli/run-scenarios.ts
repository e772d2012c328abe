/** `usercopy run FILE…` and `usercopy run --call`: scenarios, from files or put together from the command line. */
import { resolve } from 'node:path';
import { variantOf } from '../../arch/index.js';
import { SANITIZERS, type Sanitizer } from '../attach/sanitizers.js';
import { badInput, shellWord, UsercopyError } from '../errors.js';
import type { ScenarioGuest } from '../scenario/format.js';
import { runForOne } from '../scenario/guest-process.js';
import type { ScenarioRow, ScenarioRun } from '../scenario/play.js';
import type { ScenarioTask } from '../scenario/tasks.js';
import { colours, printError, progress } from '../terminal.js';
import { AnswerPrinter, type Forms, type Part } from './answer.js';
import { commandWords } from './arguments.js';
import { BAD_INPUT, byLine, CLEAN, count, toJsonLine, VIOLATION } from './output.js';
import { shorten } from './run-twins.js';

export interface CallOptions extends Forms {
  readonly call: readonly string[];
  readonly kernel?: string;
  readonly variant?: readonly string[];
  readonly btf?: string;
  readonly config?: string;
  readonly profile?: string;
  readonly frames?: boolean;
  readonly judge?: 'kernel' | 'all';
  readonly coverage?: string;
  /** Names of sanitizers, a comma between. */
  readonly sanitize?: string;
}

/** Plays each file; one that cannot be played does not keep the others from it. Gives the exit status. */
export async function runScenarioFiles(paths: readonly string[], options: OutputOptions): Promise<number> {
  const printer = new AnswerPrinter(options);
  let status = CLEAN;
  for (const path of paths) {
    progress.show(`playing ${path}`);
    // Below the last: what is next is next after all of them.
    const next =
      path === paths.at(-1)
        ? `usercopy prepare ${shellWord(path)} -o attach.json  # the same check for a harness in C or Python`
        : undefined;
    try {
      status = Math.max(status, await playAndPrint({ path }, options, printer, next));
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      progress.clear();
      printError(`usercopy: ${error.message}`);
      status = Math.max(status, error.kind === 'crash' ? VIOLATION : BAD_INPUT);
    }
  }
  return status;
}

/** The guest that the command line describes. `what` is named in errors. */
export function guestOf(
  options: Omit<CallOptions, 'call' | 'judge' | 'coverage' | keyof Forms>,
  what: string,
): ScenarioGuest {
  const { kernel, variant = [], btf, config, profile, frames } = options;
  const [only, ...others] = variant;
  if ((kernel === undefined) === (only === undefined || others.length > 0)) {
    throw new UsercopyError('bad-input', `${what}: expected --kernel IMAGE or one --variant NAME`);
  }
  return {
    ...(kernel === undefined ? { variant: only ?? '' } : { kernel }),
    ...(btf === undefined ? {} : { btf }),
    ...(config === undefined ? {} : { config }),
    ...(profile === undefined ? {} : { profile }),
    ...(frames ? { frames } : {}),
  };
}

/** Calls functions of one guest, each from the same memory. Gives the exit status. */
export async function runCalls(options: CallOptions): Promise<number> {
  const { judge } = options;
  const guest = guestOf(options, 'run --call');
  const steps = options.call.map((call) => ({ call }));
  const scenario = { guest, steps, ...(judge === undefined ? {} : { judge }) };
  const words = commandWords({ ...options, variant: options.variant?.[0] }, ['kernel', 'variant', 'btf']);
  const next = `usercopy run ${words} --snapshot guest  # this guest for a harness in C or Python`;
  return playAndPrint({ scenario, name: '--call' }, options, new AnswerPrinter(options), next);
}

type OutputOptions = Forms & Pick<CallOptions, 'coverage' | 'sanitize'>;

async function playAndPrint(
  source: ScenarioTask['source'],
  { coverage, sanitize }: OutputOptions,
  printer: AnswerPrinter,
  next: string | undefined,
): Promise<number> {
  const task = {
    kind: 'scenario' as const,
    source,
    coverage: coverage && resolve(coverage),
    sanitize: sanitize === undefined ? undefined : sanitizersOf(sanitize),
  };
  const run = await runForOne<ScenarioTask>(task, (text) => progress.show(text));
  progress.clear();
  printer.print({ json: () => toJsonLine(jsonOf(run)), parts: () => partsOf(run), next });
  return run.ok ? CLEAN : VIOLATION;
}

function sanitizersOf(list: string): Sanitizer[] {
  return list.split(',').map((word) => {
    const sanitizer = SANITIZERS.find((name) => name === word.trim());
    if (sanitizer !== undefined) return sanitizer;
    throw badInput('run --sanitize', `names among ${SANITIZERS.join(', ')}, a comma between`, `'${word}'`);
  });
}

function jsonOf(run: ScenarioRun): unknown {
  const rows = run.rows.map((row) => ({
    ...row,
    size: row.size === null ? null : count(row.size),
    findings: row.findings.map((finding) => ({
      ...finding,
      copy: { ...finding.copy, size: count(finding.copy.size) },
    })),
  }));
  return { ...run, rows };
}

/** What sanitizers saw: each finding under its case, then the counts. */
function sanitizerLines({ rows, sanitizers }: ScenarioRun): string[] {
  if (sanitizers === null) return [];
  const found = rows.flatMap((row) => row.findings.map(({ line }) => colours.red(`${row.case}: ${line}`)));
  const { looks, elsewhere, allocated, freed, redzone, unknown, unknownBy } = sanitizers;
  const reasons = Object.entries(unknownBy).map(([why, count]) => `${count} ${why}`);
  return [
    ...found,
    `sanitizers: ${looks} copies looked at: ${allocated} of objects in use, ${freed} of free ones, ${redzone} over red zones, ` +
      `${elsewhere} elsewhere, ${unknown} not known${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}`,
  ];
}

function partsOf(run: ScenarioRun): Part[] {
  const { file, name, variant, kernel, profile, profileBy, rows, notes } = run;
  const unmet = rows.flatMap((row) => row.unmet.map((what) => colours.red(`${row.case}: ${what}`)));
  const refused = rows.length === 1 ? rows.flatMap((row) => row.explanation) : [];
  return [
    { heading: `${file}${name === null ? '' : `: ${name}`}\n${variant}, kernel ${kernel}, profile ${profile}` },
    {
      head: ['case', "guest's own check", 'ours', 'as expected', 'instructions'],
      rows: rows.map((row) => describeRow(row, variantOf(variant).bits)),
      widths: [34, 50, 50, null, null],
      about: { file, name: name ?? '', variant, kernel, profile },
    },
    ...refused,
    ...sanitizerLines(run),
    ...byLine(profileBy),
    ...notes.map((note) => `note: ${note}`),
    ...unmet,
  ];
}

function describeRow(row: ScenarioRow, bits: number): string[] {
  const isMet = row.unmet.length === 0 && row.identical !== false;
  const said = row.outcome === 'unreadable' ? 'cannot be judged: memory that is not there' : shorten(row.ours, bits);
  return [
    row.case,
    row.identical === null ? 'not asked' : shorten(row.guest, bits),
    row.outcome === null ? 'not asked' : row.identical === true && row.ours !== null ? 'the same' : said,
    isMet ? 'yes' : colours.red('NO'),
    String(row.guestInstructions),
  ];
}
