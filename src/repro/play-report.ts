/** A report's scenario, played on a built-in guest under the emulator: does it print the reported line? */

import type { GuestFacts } from '../diagnosis/describe.js';
import type { ReportJudgement } from '../diagnosis/from-report.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { type GuestToPlay, guestToPlay, scenarioOf } from '../diagnosis/scenario-of.js';
import { isOfEmulator, UsercopyError } from '../errors.js';
import type { Guest } from '../guest/guest.js';
import { having, requireValue } from '../options.js';
import type { Scenario } from '../scenario/format.js';
import { madeScenario } from '../scenario/made.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from '../scenario/own.js';
import { playScenario, type ScenarioRow } from '../scenario/play.js';
import { measureStackDepth } from '../stack/depth.js';

export interface PlayedReport {
  readonly reproduction: Reproduction;
  /** The scenario and what a reader of it must know; null, with the reason, where there is none. */
  readonly scenario: { readonly scenario: Scenario; readonly notes: readonly string[] } | null;
  readonly why: string | null;
}

const A_JUDGEMENT = having('what judgeReport() gives', 'reproduction', 'whole', 'machine');

/** Plays what a consistent report describes and adds check and replay to its reproduction. */
export async function playReport(judgement: ReportJudgement): Promise<PlayedReport> {
  requireValue('playReport: judgement', judgement, A_JUDGEMENT);
  const { reproduction, whole } = judgement;
  const without = (why: string): PlayedReport => ({
    reproduction: withLines(reproduction, [`not played: ${why}`]),
    scenario: null,
    why,
  });
  if (whole === null) {
    return { reproduction, scenario: null, why: `the report is ${reproduction.outcome}, so there is nothing to play` };
  }
  const chosen = guestToPlay(judgement, ownVariants());
  if (typeof chosen === 'string') return without(chosen);
  let started: Guest;
  try {
    started = await startOwnGuest(await loadOwnKernel(chosen.variant));
  } catch (error) {
    // What the report says is worth telling without an emulator too.
    if (isOfEmulator(error)) return without(error.message);
    throw error;
  }
  const described = await describedBy(judgement, chosen, started);
  if (typeof described === 'string') return without(described);
  try {
    const run = await playScenario(madeScenario(described.scenario), { started });
    const [row] = run.rows;
    if (row === undefined) return { ...without('its scenario has no copy'), scenario: described };
    const met = row.unmet.length === 0;
    return {
      reproduction: {
        ...withLines(reproduction, [
          met ? 'played on a built-in guest: as reported' : `played on a built-in guest: ${row.unmet.join('; ')}`,
          ...(chosen.note === null ? [] : [chosen.note]),
          ...described.notes,
        ]),
        check: { message: row.ours, refused: refusedIn(row), judged: 'scenario' },
        replay:
          row.identical === null
            ? null
            : {
                message: row.guest,
                refused: row.ends === 'bug',
                instructions: row.guestInstructions,
                kernel: run.kernel,
              },
      },
      scenario: described,
      why: null,
    };
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return { ...without(error.message), scenario: described };
  }
}

const refusedIn = ({ outcome }: ScenarioRow): boolean | null =>
  outcome === null || outcome === 'unreadable' ? null : outcome === 'bad';

/** The scenario for a guest that has been started; that is closed where there is none. */
async function describedBy(
  judgement: ReportJudgement,
  chosen: GuestToPlay,
  guest: Guest,
): Promise<ReturnType<typeof scenarioOf>> {
  let described: ReturnType<typeof scenarioOf> = '';
  try {
    const facts = await factsOf(guest, judgement.whole?.message.refusal === 'process stack');
    described = scenarioOf(judgement, chosen, facts);
    return described;
  } finally {
    if (typeof described === 'string') guest.close();
  }
}

/** What a built-in guest's scenarios depend on, read off the guest itself. */
export async function guestFacts(variant: string, measureDepth: boolean): Promise<GuestFacts> {
  const guest = await startOwnGuest(await loadOwnKernel(variant));
  try {
    return await factsOf(guest, measureDepth);
  } finally {
    guest.close();
  }
}

async function factsOf(guest: Guest, measureDepth: boolean): Promise<GuestFacts> {
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
}

const withLines = (reproduction: Reproduction, lines: readonly string[]): Reproduction => ({
  ...reproduction,
  explanation: { ...reproduction.explanation, lines: [...reproduction.explanation.lines, ...lines] },
});
