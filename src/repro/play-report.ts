/** A report's scenario, played on a built-in guest under the emulator: does it print the reported line? */
import { variants } from '../../arch/index.js';
import { describeReport, type GuestFacts } from '../diagnosis/describe.js';
import { versionOf } from '../diagnosis/era.js';
import { messageFollows } from '../diagnosis/follows.js';
import type { ReportJudgement } from '../diagnosis/from-report.js';
import { machineOf } from '../diagnosis/machine.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { UsercopyError } from '../errors.js';
import type { Scenario } from '../scenario/format.js';
import { loadOwnKernel, OWN_PROFILES, ownVariants, startOwnGuest } from '../scenario/own.js';
import { playScenario } from '../scenario/play.js';
import { scenarioInMemory } from '../scenario/read.js';
import { measureStackDepth } from '../stack/depth.js';

export interface PlayedReport {
  readonly reproduction: Reproduction;
  /** The scenario and what a reader of it must know; null, with the reason, where there is none. */
  readonly scenario: { readonly scenario: Scenario; readonly notes: readonly string[] } | null;
  readonly why: string | null;
}

/** Switches that only matter to vmalloc and kmap: without them the guests' own check knows the rules, and judges too. */
function profileToPlay(profile: string, refusal: string): string {
  const [base = ''] = profile.split(',');
  return base in OWN_PROFILES && !refusal.startsWith('vmalloc') && refusal !== 'kmap' ? base : profile;
}

/** Plays what a consistent report describes and adds check and replay to its reproduction. */
export async function playReport(judgement: ReportJudgement): Promise<PlayedReport> {
  const { reproduction, whole, machine } = judgement;
  const without = (why: string): PlayedReport => ({
    reproduction: withLines(reproduction, [`not played: ${why}`]),
    scenario: null,
    why,
  });
  if (whole === null) {
    return { reproduction, scenario: null, why: `the report is ${reproduction.outcome}, so there is nothing to play` };
  }
  const chosen = variantToPlay(judgement);
  if (typeof chosen === 'string') return without(chosen);
  const { variant } = chosen;
  const guest = await guestFacts(variant, whole.message.refusal === 'process stack');
  const { object } = reproduction.explanation;
  const described = describeReport(whole.message, {
    variant,
    profile: profileToPlay(whole.profile.name, whole.message.refusal),
    machine,
    guest,
    copy: reproduction.copy,
    objectSize: object?.size ?? null,
  });
  if (typeof described === 'string') return without(described);
  try {
    const run = await playScenario(scenarioInMemory(described.scenario));
    const row = run.rows[0]!;
    const met = row.unmet.length === 0;
    return {
      reproduction: {
        ...withLines(reproduction, [
          met ? 'played on a built-in guest: as reported' : `played on a built-in guest: ${row.unmet.join('; ')}`,
          ...(chosen.note === null ? [] : [chosen.note]),
          ...described.notes,
        ]),
        check: { message: row.ours, judged: 'scenario' },
        replay:
          row.identical === null
            ? null
            : { message: row.guest, instructions: row.guestInstructions, kernel: run.kernel },
      },
      scenario: described,
      why: null,
    };
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return { ...without(error.message), scenario: described };
  }
}

/** The guest that a report is played on; a sentence where there is none. */
function variantToPlay({
  reproduction,
  whole,
}: ReportJudgement): { readonly variant: string; readonly note: string | null } | string {
  const { variant, report, kernel } = reproduction;
  const own = ownVariants();
  if (variant !== null) {
    return own.includes(variant) ? { variant, note: null } : `there is no built-in guest of ${variant}`;
  }
  // The architecture is not told: where every one of them prints this line, any will do.
  const candidates = variants.filter(
    ({ name, bits }) => own.includes(name) && (report?.bits == null || bits === report.bits),
  );
  const version = kernel === null ? null : versionOf(kernel);
  const others = candidates.filter(
    (candidate) =>
      !messageFollows(
        whole!.message,
        whole!.profile.switches,
        machineOf(candidate.bits, candidate),
        report?.registerObjects ?? [],
        version,
      ).follows,
  );
  const [first] = candidates;
  if (first === undefined || others.length > 0) {
    return `the architecture is not told, and ${others.map(({ name }) => name).join(', ')} would not print this line (--variant says which it was)`;
  }
  return {
    variant: first.name,
    note: `the architecture is not told: all ${candidates.length} built-in guests' rules print this line, ${first.name} played it`,
  };
}

async function guestFacts(variant: string, measureDepth: boolean): Promise<GuestFacts> {
  const guest = await startOwnGuest(await loadOwnKernel(variant));
  try {
    const depth = measureDepth ? await measureStackDepth(guest) : null;
    const pageSize = 1n << BigInt(guest.layout.pageShift);
    const PAGES_BELOW_END = 16n;
    return {
      pageSize,
      stackDepth: depth?.print ?? 0n,
      stack: { ...guest.stack, pointer: guest.stackPointerAtEntry },
      textSize: guest.symbol('_etext') - guest.symbol('_stext'),
      emptyVmalloc: guest.layout.vmallocEnd - PAGES_BELOW_END * pageSize,
    };
  } finally {
    guest.close();
  }
}

const withLines = (reproduction: Reproduction, lines: readonly string[]): Reproduction => ({
  ...reproduction,
  explanation: { ...reproduction.explanation, lines: [...reproduction.explanation.lines, ...lines] },
});
