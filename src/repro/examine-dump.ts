/** A copy in a memory dump: what the check says of it, what the dump's own kernel says when it runs, and what it means. */
import type { Copy } from '../check/verdict.js';
import { withCauses } from '../diagnosis/causes.js';
import type { Outcome, ReplayFinding, Reproduction } from '../diagnosis/outcome.js';
import { stackDepthOfDump } from '../dump/dump-code.js';
import { DumpJudge, type DumpJudgement } from '../dump/judge.js';
import { type Dump, openDump } from '../dump/open-dump.js';
import { readKernelInDump } from '../dump/read-kernel-in-dump.js';
import { builtCheck } from '../engine/built-check.js';
import { UsercopyError } from '../errors.js';
import { loadKernel } from '../image/load.js';
import type { Kernel } from '../kernel/kernel.js';
import { typedKernel } from '../scenario/typed-kernel.js';
import { askedCopy, placeOfAsked } from './asked-copy.js';
import type {
  DumpAnswer,
  DumpFinding,
  DumpInput,
  DumpQuestion,
  ExamineOptions,
  IdentifyQuestion,
} from './dump-question.js';
import { replaysOf, withEngine } from './emulators.js';
import { explainDump } from './explain-dump.js';
import { writeMemoryPage } from './html.js';
import { type Identified, identifyIn } from './identify.js';
import { withNotes } from './notes.js';
import { outcomeOf, refusedBy } from './outcome-of.js';
import { type Replay, replayCopy } from './replay.js';
import { writeShrunkDump } from './shrink.js';
import { RecordedDump } from './touched-memory.js';

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
    const asked = await askedCopy(
      opened,
      question,
      { judgeOf, withReplays: replaysOf(options) },
      options.withoutEmulator,
    );
    const { report } = asked;
    const printer = { release: opened.kernel.version.release, variant: opened.variant.name };
    const answered = { asked: placeOfAsked(asked) };
    const outcomeIn = (judged: DumpJudgement, replay: Replay | null): Outcome => {
      const outcome = outcomeOf(judged, replay, report, printer);
      return outcome === 'clean' && asked.maybe != null ? 'unknown' : outcome;
    };
    const recorded = input.shrink ? new RecordedDump(asked.dump) : null;
    const dump = recorded?.dump ?? asked.dump;
    // What a shrunk dump needs is told by what a judge of its own reads.
    const judge = (recorded === null ? asked.judge : null) ?? (await judgeOf(dump, recorded?.emulated));
    const judgement = withWarnings(await judge.judge(asked.copy ?? judge.copyFromRegisters()), asked.notes);
    const { message, copy } = judgement;
    const sources = asked.copy ?? FROM_REGISTERS;
    const checked: Reproduction = {
      outcome: outcomeIn(judgement, null),
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
      const replayed = await replayIn(dump, recorded, copy, input, options, {
        finding,
        reproduction: checked,
        ...answered,
      });
      if (typeof replayed === 'string') result = withNotes(checked, [`no replay: ${replayed}`]);
      else {
        emulatedPages = replayed.pages;
        result = {
          ...withNotes(checked, replayed.warnings),
          replay: findingOf(replayed, dump),
          outcome: outcomeIn(judgement, replayed),
        };
      }
    }
    recorded?.keepImage(emulatedPages);
    if (recorded && input.shrink) {
      const calls = result.explanation.surroundings?.calls ?? [];
      writeShrunkDump(input.shrink.path, recorded, asked.dump, { redact: input.shrink.redact, calls });
    }
    if (input.html !== undefined) {
      writeMemoryPage(input.html, withCauses(result), (address, length) => opened.kernel.read(address, length));
    }
    return { finding, reproduction: result, ...answered };
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

function findingOf({ message, end, instructions }: Replay, { kernel }: Dump): ReplayFinding {
  return { message, refused: end === 'bug', instructions, kernel: kernel.version.release };
}
