/** A copy in a memory dump: what the check says of it, what the dump's own kernel says when it runs, and what it means. */
import type { Copy } from '../check/verdict.js';
import type { Outcome, ReplayFinding, Reproduction } from '../diagnosis/outcome.js';
import { stackDepthOfDump } from '../dump/dump-code.js';
import { DumpJudge, type DumpJudgement } from '../dump/judge.js';
import { kernelFromDump } from '../dump/kernel-from-dump.js';
import { type Dump, openDump } from '../dump/open-dump.js';
import type { Engine } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import { loadKernel } from '../image/load.js';
import type { UsercopyReport } from '../report/report.js';
import { explainDump } from './explain-dump.js';
import { writeMemoryPage } from './html.js';
import { type Replay, replayCopy } from './replay.js';
import { writeShrunkDump } from './shrink.js';
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

/** @throws UsercopyError `bad-input` for files that are not what they should be, or no copy to judge. */
export async function examineDump(question: DumpQuestion, options: ExamineOptions): Promise<DumpAnswer> {
  const { input, report } = question;
  const files = { btf: input.btf, config: input.config };
  const image = input.kernel === undefined ? null : await loadKernel(input.kernel, files);
  const opened = await openDump(input.dump, {
    image,
    registers: input.registers,
    kernelFromDump: (located, variant) => kernelFromDump(input.dump, located, variant, files),
  });
  try {
    const recorded = input.shrink ? new RecordedDump(opened) : null;
    const dump = recorded?.dump ?? opened;
    const judge = await DumpJudge.create(dump, {
      stackDepth: async (of, current) => {
        if (options.withoutEmulator === null) await options.beforeEmulation?.(null);
        return withEngine(of, options, (engine) => stackDepthOfDump(engine, recorded?.emulated ?? of, current));
      },
      profile: input.profile,
      ...(input.frames ? { frames: true } : {}),
    });
    const from = question.copy === null ? 'dump registers' : 'given';
    const judgement = await judge.judge(question.copy ?? judge.copyFromRegisters());
    const { message, copy } = judgement;
    const checked: Reproduction = {
      outcome: outcomeOf(judgement, null, report),
      variant: dump.variant.name,
      profile: judge.profile.name,
      kernel: dump.kernel.version.release,
      copy: { ...copy, pointerFrom: from, sizeFrom: from, directionFrom: from },
      report,
      check: { message, judged: 'dump' },
      replay: null,
      explanation: explainDump(judge, judgement),
    };
    const finding: DumpFinding = {
      ...judgement,
      variant: dump.variant.name,
      kernel: dump.kernel.version.release,
      profile: judge.profile.name,
      profileBy: judge.profileBy,
      found: { by: dump.located.by, slide: dump.located.slide },
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
    if (recorded && input.shrink) writeShrunkDump(input.shrink.path, recorded, opened, input.shrink.redact);
    if (input.html !== undefined) {
      writeMemoryPage(input.html, result, (address, length) => opened.kernel.read(address, length));
    }
    return { finding, reproduction: result };
  } finally {
    opened.close();
  }
}

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

function findingOf({ message, instructions }: Replay, { kernel }: Dump): ReplayFinding {
  return { message, instructions, kernel: kernel.version.release };
}

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
  if (verdict.outcome === 'good') return 'clean';
  return replay ? 'identical' : 'unknown';
}
