/**
 * `examineDump()` in a process of its own: a dump can make an emulator crash, and anything that reads it slow, which must
 * not be this program's end. What was found before that is kept.
 */

import { type Copy, requireCopy } from '../check/verdict.js';
import { askChild } from '../child.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { UsercopyError } from '../errors.js';
import {
  aBoolean,
  aDuration,
  anObject,
  aText,
  aWord,
  type OptionRule,
  orNull,
  requireFields,
  requireOptions,
  requireValue,
} from '../options.js';
import { packageFile } from '../paths.js';
import type { UsercopyReport } from '../report/report.js';
import {
  type DumpAnswer,
  type DumpFinding,
  type DumpInput,
  type DumpQuestion,
  findingWithNotes,
  type IdentifyQuestion,
  withNotes,
} from './examine-dump.js';
import type { Identified } from './identify.js';

export type { DumpFinding, DumpInput } from './examine-dump.js';
export type { DumpedTask, Identified } from './identify.js';

/** What the child is asked. */
export interface DumpRequest {
  readonly question: DumpQuestion;
  readonly withoutEmulator: string | null;
}

/** What the child is asked instead. */
export interface IdentifyRequest {
  readonly identify: IdentifyQuestion;
}

/** An emulator is about to start: what is known by then. */
export interface DumpEvent {
  readonly known: DumpAnswer | null;
}

export interface DumpLimits {
  /** The child's program. */
  readonly child?: string | undefined;
  /** Milliseconds that the dump may be read and judged without code of its own; default 300 000. */
  readonly readingLimit?: number | undefined;
  /** Milliseconds that code of the dump may run, with the emulator's own start; default 60 000. */
  readonly emulationLimit?: number | undefined;
}

const INPUT_RULES: Readonly<Record<keyof DumpInput, OptionRule>> = {
  dump: aText,
  kernel: aText,
  btf: aText,
  config: aText,
  registers: orNull(anObject),
  profile: aText,
  frames: aBoolean,
  shrink: anObject,
  html: aText,
  log: aText,
};

const LIMIT_RULES: Readonly<Record<keyof DumpLimits, OptionRule>> = {
  child: aText,
  readingLimit: aDuration,
  emulationLimit: aDuration,
};

const CHILD = 'build/js/src/repro/dump-child.js';
const READING_LIMIT = 300_000;
const EMULATION_LIMIT = 60_000;

/**
 * Judges one copy against a dump and lets the dump's own kernel judge it. Without `copy` it is taken from the registers at
 * the check's first instruction.
 * @throws UsercopyError `bad-input` for files that are not what they should be, or no copy to judge; `guest` when the
 *   reading of the dump dies or takes longer than its limit.
 */
export async function reproduceDump(
  input: DumpInput,
  copy: Copy | null,
  report: UsercopyReport | null,
  limits: DumpLimits = {},
): Promise<Reproduction> {
  const { answer, ended } = await ask({ input, copy, report, replay: true }, limits);
  return ended === null ? answer.reproduction : withNotes(answer.reproduction, [`no replay: ${ended}`]);
}

/** The same without the replay: what the check says of the dump's memory. */
export async function judgeDump(input: DumpInput, copy: Copy | null, limits: DumpLimits = {}): Promise<DumpFinding> {
  const { answer, ended } = await ask({ input, copy, report: null, replay: false }, limits);
  return ended === null ? answer.finding : findingWithNotes(answer.finding, [ended]);
}

/** What lies at an address: object, cache, member, state and owner. @throws as `reproduceDump`. */
export async function identifyInDump(input: DumpInput, address: bigint, limits: DumpLimits = {}): Promise<Identified> {
  requireAsked(input, limits);
  requireValue('identifyInDump: address', address, aWord);
  const { child = packageFile(CHILD), readingLimit = READING_LIMIT } = limits;
  const outcome = await askChild<IdentifyRequest, DumpEvent, Identified>(
    child,
    { identify: { input, address } },
    { limit: readingLimit },
  );
  if (outcome.ended === null) return outcome.answer;
  throw new UsercopyError('guest', `${input.dump}: the process that reads it ${outcome.ended}`);
}

function requireAsked(input: DumpInput, limits: DumpLimits): void {
  requireOptions('dump', input, INPUT_RULES);
  requireFields('dump', input, { dump: INPUT_RULES.dump });
  requireOptions('dump: limits', limits, LIMIT_RULES);
}

/** `ended`: how the emulator ended that was to go on after what is answered. */
async function ask(
  question: DumpQuestion,
  limits: DumpLimits,
): Promise<{ readonly answer: DumpAnswer; readonly ended: string | null }> {
  requireAsked(question.input, limits);
  if (question.copy !== null) requireCopy('dump: copy', question.copy);
  const { child = packageFile(CHILD), readingLimit = READING_LIMIT, emulationLimit = EMULATION_LIMIT } = limits;
  let emulating = false;
  let known: DumpAnswer | null = null;
  const onEvent = (event: DumpEvent): { limit: number } => {
    emulating = true;
    known = event.known ?? known;
    return { limit: emulationLimit };
  };
  const ask = (withoutEmulator: string | null) =>
    askChild<DumpRequest, DumpEvent, DumpAnswer>(
      child,
      { question, withoutEmulator },
      { limit: readingLimit, onEvent },
    );
  const first = await ask(null);
  if (first.ended === null) return { answer: first.answer, ended: null };
  if (emulating) {
    const ended = `the emulator ${first.ended}`;
    const { shrink, html } = question.input;
    // Files are written at the end: what asks for some is begun anew.
    if (known !== null && shrink === undefined && html === undefined) return { answer: known, ended };
    const second = await ask(ended);
    if (second.ended === null) return { answer: second.answer, ended: null };
  }
  throw new UsercopyError('guest', `${question.input.dump}: the process that reads it ${first.ended}`);
}
