/** A copy in a memory dump: what the check says of it, what the dump's own kernel says when it runs, and what it means. */
import type { Copy, Verdict } from '../check/verdict.js';
import { withCauses } from '../diagnosis/causes.js';
import type { Outcome, ReplayFinding, Reproduction } from '../diagnosis/outcome.js';
import { isWarning, saysRefused } from '../diagnosis/refused.js';
import { stackDepthOfDump } from '../dump/dump-code.js';
import { DumpJudge, type DumpJudgement } from '../dump/judge.js';
import { readDumpLog } from '../dump/log.js';
import { type Dump, openDump } from '../dump/open-dump.js';
import { readKernelInDump } from '../dump/read-kernel-in-dump.js';
import { builtCheck } from '../engine/built-check.js';
import type { Engine } from '../engine/engine.js';
import { badInput, hex, UsercopyError } from '../errors.js';
import { writeWhole } from '../image/files.js';
import { loadKernel } from '../image/load.js';
import { type KernelLog, logText } from '../introspect/printk.js';
import type { Kernel } from '../kernel/kernel.js';
import { chooseLastReport, parseReports } from '../report/parse.js';
import type { UsercopyReport } from '../report/report.js';
import { typedKernel } from '../scenario/typed-kernel.js';
import { explainDump } from './explain-dump.js';
import { copyFromTrap, type TrapTools } from './from-trap.js';
import { writeMemoryPage } from './html.js';
import { type Identified, identifyIn } from './identify.js';
import { type Replay, replayCopy } from './replay.js';
import { writeShrunkDump } from './shrink.js';
import { givenCopy, type SourcedCopy, standAtCheck } from './stand-at-check.js';
import { RecordedDump } from './touched-memory.js';

export interface DumpInput {
  /** Path of the vmcore. */
  readonly dump: string;
  /** Paths of the kernel's image, types and configuration. */
  readonly kernel?: string | undefined;
  readonly btf?: string | undefined;
  readonly config?: string | undefined;
  /** Text of QEMU's `info registers`, and where it came from. */
  readonly registers: { readonly text: string; readonly path: string } | null;
  readonly profile?: string | undefined;
  /** Check stack frames although the kernel does not. */
  readonly frames?: boolean | undefined;
  /** Where to write the dump reduced to what was needed; with `redact` without what nobody read. */
  readonly shrink?: { readonly path: string; readonly redact: boolean } | undefined;
  /** Where to write the kernel's log that is in the dump. */
  readonly log?: string | undefined;
  /** Where to write a page that draws the memory around the copy. */
  readonly html?: string | undefined;
}

/** What is asked about a dump. */
export interface DumpQuestion {
  readonly input: DumpInput;
  /** null: the one in the registers at the check's first instruction. */
  readonly copy: Copy | null;
  readonly report: UsercopyReport | null;
  /** Whether the dump's own kernel is to judge it too. */
  readonly replay: boolean;
}

/** What lies at an address of a dump? */
export interface IdentifyQuestion {
  readonly input: DumpInput;
  readonly address: bigint;
}

/** What the check says of a copy in a dump. */
export interface DumpFinding extends DumpJudgement {
  /** Architecture variant as `usercopy arch` lists it. */
  readonly variant: string;
  /** Release. */
  readonly kernel: string;
  readonly profile: string;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  /** How the kernel was found in the dump, and how far it was moved from where it was linked to. */
  readonly found: { readonly by: string; readonly slide: bigint };
  /** Where the copy is from, its object and the members that it touches. */
  readonly reproduction: Reproduction;
}

/** The same in both forms. */
export interface DumpAnswer {
  readonly finding: DumpFinding;
  readonly reproduction: Reproduction;
}

export interface ExamineOptions {
  /** Why no code of the dump is to be run; null when it may be. */
  readonly withoutEmulator: string | null;
  /** Awaited before an emulator starts, with what is known by then: a dump can make an emulator crash or hang. */
  readonly beforeEmulation?: (known: DumpAnswer | null) => Promise<void>;
}

/** The image, with types that are proved on it where it has none: that runs its code. */
async function typedImage(
  path: string,
  files: { readonly btf: string | undefined; readonly config: string | undefined },
  { withoutEmulator, beforeEmulation }: ExamineOptions,
): Promise<Kernel> {
  const image = await loadKernel(path, files);
  if (image.types !== null || withoutEmulator !== null) return image;
  await beforeEmulation?.(null);
  return typedKernel(image);
}

/** @throws UsercopyError `bad-input` for files that are not what they should be, or no copy to judge. */
export async function examineDump(question: DumpQuestion, options: ExamineOptions): Promise<DumpAnswer> {
  const { input } = question;
  const opened = await openInput(input, options);
  try {
    const judgeOf = (dump: Dump, emulated: Dump = dump): Promise<DumpJudge> =>
      DumpJudge.create(dump, {
        source: builtCheck,
        stackDepth: async (of, current) => {
          if (options.withoutEmulator === null) await options.beforeEmulation?.(null);
          return withEngine(of, options, (engine) => stackDepthOfDump(engine, emulated, current));
        },
        profile: input.profile,
        ...(input.frames ? { frames: true } : {}),
      });
    const asked = await askedCopy(opened, question, { judgeOf, replayOf: replaysOf(options) }, options);
    const { report } = asked;
    const recorded = input.shrink ? new RecordedDump(asked.dump) : null;
    const dump = recorded?.dump ?? asked.dump;
    // What a shrunk dump needs is told by what a judge of its own reads.
    const judge = (recorded === null ? asked.judge : null) ?? (await judgeOf(dump, recorded?.emulated));
    const judgement = withWarnings(await judge.judge(asked.copy ?? judge.copyFromRegisters()), asked.notes);
    const { message, copy } = judgement;
    const sources = asked.copy ?? FROM_REGISTERS;
    const checked: Reproduction = {
      outcome: outcomeOf(judgement, null, report),
      variant: dump.variant.name,
      profile: judge.profile.name,
      kernel: dump.kernel.version.release,
      copy: { ...FROM_REGISTERS, ...sources, ...copy },
      report,
      check: { message, refused: refusedBy(judgement.verdict), judged: 'dump' },
      replay: null,
      explanation: explainDump(judge, judgement, report),
    };
    const finding: DumpFinding = {
      ...judgement,
      variant: dump.variant.name,
      kernel: dump.kernel.version.release,
      profile: judge.profile.name,
      profileBy: judge.profileBy,
      found: { by: dump.located.by, slide: dump.located.slide },
      reproduction: checked,
    };
    let result = checked;
    let emulatedPages: readonly bigint[] = [];
    if (question.replay) {
      const replayed = await replayIn(dump, recorded, copy, input, options, { finding, reproduction: checked });
      if (typeof replayed === 'string') result = withNotes(checked, [`no replay: ${replayed}`]);
      else {
        emulatedPages = replayed.pages;
        result = {
          ...withNotes(checked, replayed.warnings),
          replay: findingOf(replayed, dump),
          outcome: outcomeOf(judgement, replayed, report),
        };
      }
    }
    recorded?.keepImage(emulatedPages);
    if (recorded && input.shrink) writeShrunkDump(input.shrink.path, recorded, asked.dump, input.shrink.redact);
    if (input.html !== undefined) {
      writeMemoryPage(input.html, withCauses(result), (address, length) => opened.kernel.read(address, length));
    }
    return { finding, reproduction: result };
  } finally {
    opened.close();
  }
}

/** `options`: code of the image may be run, when its types have to be proved. */
async function openInput(input: DumpInput, options: ExamineOptions = { withoutEmulator: '' }): Promise<Dump> {
  const files = { btf: input.btf, config: input.config };
  return openDump(input.dump, {
    image: input.kernel === undefined ? null : await typedImage(input.kernel, files, options),
    registers: input.registers,
    readKernelInDump: (located, variant) => readKernelInDump(input.dump, located, variant, files),
  });
}

/** What lies at an address. No code of the dump runs. @throws UsercopyError `bad-input` as `examineDump` does. */
export async function identifyAddress({ input, address }: IdentifyQuestion): Promise<Identified> {
  const opened = await openInput(input);
  try {
    const options = { source: builtCheck, profile: input.profile, gate: 'ignored' } as const;
    return await identifyIn(await DumpJudge.create(opened, options), address);
  } finally {
    opened.close();
  }
}

const FROM_REGISTERS = {
  pointerFrom: 'dump registers',
  sizeFrom: 'dump registers',
  directionFrom: 'dump registers',
} as const;

/** Which copy is meant, and the dump as it was when the kernel was asked about it. */
interface AskedCopy {
  readonly dump: Dump;
  /** null: the one in the registers. */
  readonly copy: SourcedCopy | null;
  /** Who judged it already. */
  readonly judge: DumpJudge | null;
  readonly report: UsercopyReport | null;
  readonly notes: readonly string[];
}

/**
 * The given copy; of a CPU at the check the one in its registers; else the one that the log tells, or the log inside the
 * dump. A copy that was given need not be the one that the log inside tells of, and is not held against it.
 */
async function askedCopy(
  opened: Dump,
  { input, copy, report: given }: DumpQuestion,
  tools: TrapTools,
  { withoutEmulator }: ExamineOptions,
): Promise<AskedCopy> {
  const isTold = opened.atCheck || given !== null || copy !== null;
  const log = input.log !== undefined || !isTold ? readDumpLog(opened) : null;
  if (input.log !== undefined) {
    if (log === null) throw badInput(input.dump, "the kernel's log in its memory, for --log", 'none');
    writeWhole(input.log, logText(log));
  }
  if (opened.atCheck || (copy !== null && given === null)) {
    return { dump: opened, copy: copy && givenCopy(copy), judge: null, report: given, notes: [] };
  }
  const inside = given === null && log !== null ? chooseLastReport(parseReports(logText(log))) : null;
  const report = given ?? inside;
  if (report === null) {
    const standing = withoutEmulator ?? (await copyFromTrap(opened, tools));
    if (typeof standing === 'string') throw noCopy(opened, log, standing);
    return { ...standing, report: null };
  }
  const { release } = opened.kernel.version;
  if (report.kernelVersion !== null && report.kernelVersion !== release) {
    throw badInput(input.dump, `a dump of kernel ${report.kernelVersion}, as the log's`, `kernel ${release}`);
  }
  const { notes, ...standing } = await standAtCheck(opened, report, copy, tools.judgeOf);
  const from = inside === null ? [] : [`the report is from the log in the dump (${log?.layout})`];
  return { ...standing, report, notes: [...from, ...notes] };
}

function noCopy({ path, variant, registers }: Dump, log: KernelLog | null, why: string): UsercopyError {
  const pc = registers.get(variant.registers.pc);
  const found =
    log === null ? 'no log in its memory' : `a log of ${log.records.length} records without one in its memory`;
  return badInput(
    path,
    'a CPU at the first instruction of __check_object_size (--regs), or a usercopy report (--report, or in its own log)',
    `${pc === undefined ? 'no registers' : `${variant.registers.pc} ${hex(pc)}`} and ${found}, and its stack does not tell it (${why}); say which copy with --at, --size and --to-user or --from-user`,
  );
}

/** Replays of copies that may have been the one; what an emulator does not bring to an end was not. */
function replaysOf(options: ExamineOptions): TrapTools['replayOf'] {
  let isTold = false;
  return async (dump, copy) => {
    if (!isTold) await options.beforeEmulation?.(null);
    isTold = true;
    try {
      return await withEngine(dump, options, (engine) => replayCopy(engine, dump, copy));
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      return null;
    }
  };
}

const withWarnings = (judgement: DumpJudgement, notes: readonly string[]): DumpJudgement => ({
  ...judgement,
  warnings: [...notes, ...judgement.warnings],
});

/** What the dump's own kernel says; why there is no such thing where it cannot be asked. */
async function replayIn(
  dump: Dump,
  recorded: RecordedDump | null,
  copy: Copy,
  input: DumpInput,
  options: ExamineOptions,
  known: DumpAnswer,
): Promise<Replay | string> {
  const replayOptions = recorded && input.shrink?.redact ? { onLoad: recorded.noteLoad.bind(recorded) } : {};
  if (options.withoutEmulator === null) await options.beforeEmulation?.(known);
  try {
    return await withEngine(dump, options, (engine) =>
      replayCopy(engine, recorded?.emulated ?? dump, copy, replayOptions),
    );
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return error.message;
  }
}

const note = (text: string): string => `note: ${text}`;

/** The same with more warnings among its sentences. */
export function withNotes(reproduction: Reproduction, warnings: readonly string[]): Reproduction {
  const { explanation } = reproduction;
  return { ...reproduction, explanation: { ...explanation, lines: [...explanation.lines, ...warnings.map(note)] } };
}

/** The same with more warnings. */
export function findingWithNotes(finding: DumpFinding, warnings: readonly string[]): DumpFinding {
  return { ...finding, warnings: [...finding.warnings, ...warnings] };
}

/** Opens the emulator only where it is wanted: a machine without libunicorn still judges dumps. */
async function withEngine<T>(
  { variant }: Dump,
  { withoutEmulator }: ExamineOptions,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  if (withoutEmulator !== null) throw new UsercopyError('guest', withoutEmulator);
  if ('unsupported' in variant.engine) throw new UsercopyError('unsupported', variant.engine.unsupported);
  const { openUnicorn } = await import('../engine/unicorn-native.js');
  const engine = openUnicorn(variant.engine);
  try {
    return await use(engine);
  } finally {
    engine.close();
  }
}

function findingOf({ message, end, instructions }: Replay, { kernel }: Dump): ReplayFinding {
  return { message, refused: end === 'bug', instructions, kernel: kernel.version.release };
}

const refusedBy = ({ outcome }: Verdict): boolean | null => (outcome === 'unreadable' ? null : outcome === 'bad');

function outcomeOf(judgement: DumpJudgement, replay: Replay | null, report: UsercopyReport | null): Outcome {
  const { verdict, message } = judgement;
  if (verdict.outcome === 'unreadable') return 'unknown';
  if (replay && (replay.message !== message || (replay.end === 'bug') !== (verdict.outcome === 'bad'))) {
    return 'different';
  }
  const reported = report?.message;
  if (reported?.format === 'whitelist warning') {
    return verdict.outcome === 'good' && verdict.by === 'slab object by fallback' ? 'identical' : 'different';
  }
  // A line that is cut off can be held against nothing.
  if (reported && reported.canonical !== null) return reported.canonical === message ? 'identical' : 'different';
  // Without a whole line the report still tells whether the kernel refused the copy.
  if (report !== null && isWarning(report)) return verdict.outcome === 'good' ? 'clean' : 'different';
  if (verdict.outcome === 'good') return report === null ? 'clean' : saysRefused(report) ? 'different' : 'unknown';
  return replay ? 'identical' : 'unknown';
}
