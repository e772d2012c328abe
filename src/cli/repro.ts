/** `usercopy repro`: reproduces a reported BUG(), from a log, from a memory dump, or from both. */
import type { Copy } from '../check/verdict.js';
import { withCauses } from '../diagnosis/causes.js';
import { judgeReport, type ReportJudgement } from '../diagnosis/from-report.js';
import { withGiven } from '../diagnosis/given.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { saidBy } from '../diagnosis/refused.js';
import { scenarioHead } from '../diagnosis/scenario-of.js';
import { summaryOf } from '../diagnosis/summary.js';
import { badInput, shellWord, UsercopyError } from '../errors.js';
import { writeWhole } from '../image/files.js';
import { chooseLastReport, chooseReport } from '../report/parse.js';
import type { UsercopyReport } from '../report/report.js';
import type { Code } from '../repro/code-lines.js';
import type { DumpInput } from '../repro/from-dump.js';
import { readLog } from '../repro/read-log.js';
import type { SourceLines } from '../repro/source-lines.js';
import { print, progress } from '../terminal.js';
import {
  type CopyOptions,
  commandWords,
  copyOf,
  DEFAULT_TIMEOUT,
  FILES_OF_DUMP,
  readRegisters,
  secondsOf,
  WORDS_OF_COPY,
} from './arguments.js';
import { BAD_INPUT, CLEAN, nextLine, toJson, toJsonLine, VIOLATION } from './output.js';
import { callLines, reproductionJson } from './repro-json.js';
import { Verb } from './verb.js';

interface ReproOptions extends CopyOptions {
  readonly report?: string;
  readonly all?: boolean;
  readonly dump?: string;
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly regs?: string;
  readonly profile?: string;
  readonly variant?: string;
  readonly release?: string;
  readonly debug?: string;
  readonly output?: string;
  readonly shrink?: string;
  readonly redact?: boolean;
  readonly log?: string;
  readonly html?: string;
  readonly timeout?: string;
  readonly json?: boolean;
}

/** Instructions shown before the one that the CPU stopped at, and from it on. */
const CODE_BEFORE = 6;
const CODE_BEHIND = 3;

export function reproCommand(): Verb {
  return new Verb('repro')
    .description('Explain and reproduce a reported BUG() from a log, a memory dump, or both.')
    .option(
      '--report <file>',
      "Read the kernel's log from this file ('-' is standard input). It may be compressed (.gz, .xz, .zst, .bz2). With --dump, its last report counts.",
    )
    .option(
      '--all',
      'Explain every report in the log, with --json one line each. By default, only the first one with a message is explained, and it is replayed too.',
    )
    .option(
      '--dump <file>',
      'Read this memory dump: a vmcore of kdump, of QEMU (dump-guest-memory) or of virsh dump --memory-only.',
    )
    .option(
      '--kernel <image>',
      'With --dump, take symbols and types from this image of its kernel (vmlinux, bzImage, …).',
    )
    .option('--btf <file>', 'With --dump, take the types from this file if the image has none.')
    .option('--config <file>', 'With --dump, take the configuration (.config) from this file if the image has none.')
    .option(
      '--regs <file>',
      "With --dump, take the registers from this file: QEMU's `info registers` at the first instruction of __check_object_size.",
    )
    .option('--at <address>', 'Judge the copy at this kernel address (0x… or decimal).')
    .option('--size <bytes>', 'Judge a copy of this many bytes (0x… or decimal).')
    .option('--to-user', 'The copy goes to user memory.')
    .option('--from-user', 'The copy comes from user memory.')
    .option(
      '--profile <name>',
      'Judge by these rules. By default, the contents of the kernel decide, then its vendor and version.',
    )
    .option('--variant <name>', 'Name the architecture if the log does not (usercopy arch lists them).')
    .option('--release <release>', 'Name the kernel release, such as 6.1.0-50-amd64, if the log does not.')
    .option('--debug <file>', "Show the callers' source lines, from this vmlinux, .ko or .debug file.")
    .option('-o, --output <file>', "Write the report as a scenario (YAML) that 'usercopy run' replays.")
    .option('--shrink <file>', 'With --dump, write a small dump (ELF) that has only the pages that were needed.')
    .option('--redact', 'With --shrink, blank all bytes that do not matter.')
    .option('--log <file>', "With --dump, write the kernel's log that is in it to this file.")
    .option('--html <file>', 'With --dump, draw the memory around the copy into this HTML file.')
    .option('--timeout <seconds>', `Stop reading the dump after this many seconds. The default is ${DEFAULT_TIMEOUT}.`)
    .option('--json', 'Print JSON.')
    .ends({
      status:
        '0 if the copy is good, 1 if it is refused or the report says that it was, 2 for bad input and where a file could not be written.',
      examples: [
        'dmesg | usercopy repro --report -',
        'usercopy repro --report dmesg.txt -o case.yaml',
        'usercopy repro --dump vmcore --kernel vmlinuz --regs regs.txt --report dmesg.txt --json',
      ],
    })
    .action(async (options: ReproOptions) => {
      process.exitCode = await runRepro(options);
    });
}

async function runRepro(options: ReproOptions): Promise<number> {
  if (options.redact && options.shrink === undefined) throw badInput('repro', '--shrink FILE beside --redact', 'none');
  const given = copyOf(options, 'repro');
  const reports =
    options.report === undefined
      ? null
      : (await readReports(options.report)).map((report) => withGiven(report, options));
  const chosen = (options.dump === undefined ? chooseReport : chooseLastReport)(reports ?? []);
  const lines = await openLines(options);
  if (reports === null && (options.variant !== undefined || options.release !== undefined)) {
    throw badInput('repro', '--report FILE beside --variant and --release, which say what a log lacks', 'none');
  }
  if (options.dump === undefined) {
    refuseDumpOptions(options);
    if (chosen === null) throw badInput('repro', '--report FILE, --dump FILE or both', 'none of them');
    return options.all ? printAll(reports ?? [], given, options, lines) : printReport(chosen, given, options, lines);
  }
  if (options.all) throw badInput('repro', 'one report beside --dump', '--all');
  if (options.output !== undefined) {
    throw new UsercopyError(
      'unsupported',
      'repro: a scenario is written from a report alone; a dump holds its own memory',
    );
  }
  const { reproduceDump } = await import('../repro/from-dump.js');
  let unwritten: readonly string[] = [];
  const reproduction = withCauses(
    await progress.during(
      `reading ${options.dump} …`,
      reproduceDump(dumpInput(options.dump, options), given, chosen, {
        readingLimit: secondsOf('--timeout', options.timeout ?? DEFAULT_TIMEOUT) * 1000,
        // It is among the notes.
        onUnwritten: (_, paths) => {
          unwritten = paths;
        },
      }),
    ),
  );
  print(await text(lines === null ? reproduction : await dumpWithLines(reproduction, lines), options));
  if (!options.json) for (const line of nextOfDump(options, unwritten)) print(line);
  if (reproduction.outcome !== 'clean') return VIOLATION;
  return unwritten.length === 0 ? CLEAN : BAD_INPUT;
}

async function readReports(path: string): Promise<UsercopyReport[]> {
  const name = path === '-' ? 'standard input' : path;
  const reports = await progress.during(`reading ${name} …`, readLog(path));
  if (reports.length === 0) throw badInput(name, 'a log with a usercopy report', 'none in it');
  return reports;
}

function refuseDumpOptions(options: ReproOptions): void {
  const stray = (['kernel', 'btf', 'config', 'regs', 'shrink', 'redact', 'log', 'html', 'timeout'] as const).find(
    (name) => options[name] !== undefined,
  );
  if (stray !== undefined) throw badInput('repro', `--dump FILE beside --${stray}`, 'none');
}

function judged(report: UsercopyReport, given: Copy | null, { profile }: ReproOptions): ReportJudgement {
  return judgeReport(report, { given, profile });
}

/** Each is a line of JSON; none is played, since a log may hold many. */
async function printAll(
  reports: readonly UsercopyReport[],
  given: Copy | null,
  options: ReproOptions,
  lines: SourceLines | null,
): Promise<number> {
  if (options.output !== undefined) throw badInput('repro', 'one report beside --output', '--all');
  for (const report of await withLines(reports, lines)) {
    const { reproduction } = judged(report, given, options);
    print(await text(reproduction, options, toJsonLine));
  }
  return VIOLATION;
}

async function printReport(
  report: UsercopyReport,
  given: Copy | null,
  options: ReproOptions,
  lines: SourceLines | null,
): Promise<number> {
  // One for one.
  const [told = report] = await withLines([report], lines);
  const judgement = judged(told, given, options);
  const { playReport } = await import('../repro/play-report.js');
  const { reproduction, scenario, why } = await progress.during('playing the report …', playReport(judgement));
  print(await text(reproduction, options));
  if (options.output === undefined) {
    if (!options.json) print(nextLine(nextOfReport(options, scenario !== null)));
    return VIOLATION;
  }
  if (scenario === null) throw new UsercopyError('bad-input', `repro: no scenario was written: ${why}`);
  const { writeScenario } = await import('../scenario/write.js');
  writeWhole(options.output, writeScenario(scenario.scenario, scenarioHead(judgement, scenario)));
  if (!options.json) print(nextLine(`usercopy run ${shellWord(options.output)}  # replays the report`));
  return VIOLATION;
}

/** What the verdict depends on beside a dump and its files. */
const OF_VERDICT = ['report', ...WORDS_OF_COPY, 'profile', 'variant', 'release', 'debug'] as const;

/** What came by a pipe is gone: it has to be saved for another look. */
const saved = (options: ReproOptions): ReproOptions =>
  options.report === '-' ? { ...options, report: 'FILE' } : options;

function nextOfReport(options: ReproOptions, isPlayed: boolean): string {
  const words = commandWords(saved(options), OF_VERDICT);
  return isPlayed
    ? `usercopy repro ${words} -o case.yaml  # writes the scenario that replays it`
    : `usercopy repro ${words} --dump VMCORE  # judges the copy by the memory of a dump`;
}

/** What a shrunk dump is called where nobody says. */
const SMALL = 'small.vmcore';

/** A dump is passed on shrunk, and drawn; where both was done nothing is left. */
function nextOfDump(options: ReproOptions, unwritten: readonly string[]): string[] {
  const { dump, shrink, html } = options;
  if (shrink === undefined && dump !== SMALL) {
    const words = commandWords(saved(options), [...FILES_OF_DUMP, ...OF_VERDICT]);
    return [nextLine(`usercopy repro ${words} --shrink ${SMALL} --redact  # a small file to pass on`)];
  }
  if (html !== undefined || (shrink !== undefined && unwritten.includes(shrink))) return [];
  const words =
    shrink === undefined
      ? commandWords(saved(options), [...FILES_OF_DUMP, ...OF_VERDICT])
      : commandWords({ ...saved(options), dump: shrink }, ['dump', ...OF_VERDICT]);
  return [nextLine(`usercopy repro ${words} --html memory.html  # draws the memory around the copy`)];
}

function dumpInput(dump: string, options: ReproOptions): DumpInput {
  const { regs, kernel, btf, config, profile, shrink, redact, log, html } = options;
  return {
    dump,
    registers: readRegisters(regs),
    kernel,
    btf,
    config,
    profile,
    shrink: shrink === undefined ? undefined : { path: shrink, redact: redact ?? false },
    log,
    html,
  };
}

/** With the callers, where `--debug` gives their lines, and the code as instructions. */
async function text(reproduction: Reproduction, options: ReproOptions, json = toJson): Promise<string> {
  const { report, explanation } = reproduction;
  const code = report === null ? null : await (await import('../repro/code-lines.js')).codeLinesOf(report);
  if (options.json) return json(reproductionJson(reproduction, code));
  const trace = options.debug === undefined || explanation.surroundings ? [] : await traceLines(report);
  const more = [...trace, ...codeLines(code)].join('\n');
  return `${linesOf(reproduction).join('\n')}${more === '' ? '' : `\n${more}`}${options.all ? '\n' : ''}`;
}

/** null without `--debug`. */
async function openLines({ debug }: ReproOptions): Promise<SourceLines | null> {
  if (debug === undefined) return null;
  const { openSourceLines } = await import('../repro/source-lines.js');
  return openSourceLines(debug);
}

/** All are asked about at once. */
async function withLines(
  reports: readonly UsercopyReport[],
  lines: SourceLines | null,
): Promise<readonly UsercopyReport[]> {
  if (lines === null) return reports;
  const { askLines, withSourceLines } = await import('../repro/source-lines.js');
  askLines(reports, lines);
  return reports.map((report) => withSourceLines(report, lines));
}

/** The reading of a dump looks for the places that its report names: lines come afterwards. */
async function dumpWithLines(reproduction: Reproduction, lines: SourceLines): Promise<Reproduction> {
  const { withCallLines } = await import('../repro/source-lines.js');
  const before = reproduction.report?.notes ?? [];
  const [report = null] = await withLines(reproduction.report === null ? [] : [reproduction.report], lines);
  const { explanation } = reproduction;
  const notes = report === null ? [] : report.notes.slice(before.length).map((note) => `note: ${note}`);
  const told = { ...explanation, lines: [...explanation.lines, ...notes] };
  return withCallLines({ ...reproduction, report, explanation: told }, lines);
}

async function traceLines(report: UsercopyReport | null): Promise<string[]> {
  const { callsOfReport } = await import('../repro/explain-dump.js');
  const calls = report === null ? null : callsOfReport(report);
  return calls === null ? [] : ['called from:', ...calls.map((call) => `  ${call}`)];
}

function codeLines(code: Code | null): string[] {
  if (code === null) return [];
  if (code.note !== null) return [`note: ${code.note}`];
  const stop = code.lines.findIndex(({ stopped }) => stopped);
  const around = code.lines.slice(Math.max(0, stop - CODE_BEFORE), stop + CODE_BEHIND);
  const shown = around.map(
    ({ offset, text, stopped }) =>
      `${stopped ? '> ' : '  '}${`${offset < 0 ? '' : '+'}${offset}`.padStart(4)}: ${text}`,
  );
  return ['code where the CPU stopped:', ...shown];
}

function linesOf(reproduction: Reproduction): string[] {
  const { outcome, variant, kernel, profile, report, check, replay, explanation } = reproduction;
  const { title, text } = summaryOf(reproduction);
  return [
    `${title}. ${text}`,
    '',
    `${variant ?? 'unknown architecture'}, kernel ${kernel ?? 'unknown'}, profile ${profile ?? 'unknown'}: ${outcome}`,
    ...(report === null ? [] : [`report: ${report.message?.text ?? 'its message line is missing'}`]),
    ...(check === null ? [] : [`check (${check.judged}): ${saidBy(check)}`]),
    ...(replay === null ? [] : [`replay (${replay.kernel}): ${saidBy(replay)}`]),
    ...explanation.lines,
    ...callLines(explanation),
    ...explanation.causes.map(({ cause, because }) => `likely cause: ${cause} (${because})`),
  ];
}
