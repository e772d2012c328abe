/**
 * `examineDump()` in a process of its own: a dump can make an emulator crash, and anything that reads it slow, which must
 * not be this program's end. What was found before that is kept.
 */

import { statSync } from 'node:fs';
import { type Copy, requireCopy } from '../check/verdict.js';
import { askChild } from '../child.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { UsercopyError } from '../errors.js';
import {
  aBoolean,
  aDuration,
  aFunction,
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
import type {
  AskedPlace,
  DumpAnswer,
  DumpFinding,
  DumpInput,
  DumpQuestion,
  IdentifyQuestion,
} from './dump-question.js';
import type { Identified } from './identify.js';
import { findingWithNotes, withNotes } from './notes.js';

export type { DumpFinding, DumpInput } from './dump-question.js';
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
  /** Told when files of the input (`shrink`, `html`, `log`) could not be written though the copy was judged; `why` is a sentence. */
  readonly onUnwritten?: ((why: string, paths: readonly string[]) => void) | undefined;
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
  onUnwritten: aFunction,
};

const CHILD = 'build/cli/dump-child.js';
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
  const { answer, ended, unwritten } = await ask({ input, copy, report, replay: true }, limits);
  if (unwritten !== null) limits.onUnwritten?.(unwritten.why, unwritten.paths);
  const notes = [...(ended === null ? [] : [`no replay: ${ended}`]), ...(unwritten === null ? [] : [unwritten.why])];
  return notes.length === 0 ? answer.reproduction : withNotes(answer.reproduction, notes);
}

/** The same without the replay: what the check says of the dump's memory. */
export async function judgeDump(input: DumpInput, copy: Copy | null, limits: DumpLimits = {}): Promise<DumpFinding> {
  const { answer, ended, unwritten } = await ask({ input, copy, report: null, replay: false }, limits);
  if (unwritten !== null) limits.onUnwritten?.(unwritten.why, unwritten.paths);
  const notes = [...(ended === null ? [] : [ended]), ...(unwritten === null ? [] : [unwritten.why])];
  return notes.length === 0 ? answer.finding : findingWithNotes(answer.finding, notes);
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

interface Asked {
  readonly answer: DumpAnswer;
  /** How the emulator ended that was to go on after what is answered; null where it did not. */
  readonly ended: string | null;
  /** Which files of the input were not written, and why. */
  readonly unwritten: { readonly why: string; readonly paths: readonly string[] } | null;
}

async function ask(question: DumpQuestion, limits: DumpLimits): Promise<Asked> {
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
  const askOnce = (withoutEmulator: string | null, asked?: AskedPlace) =>
    askChild<DumpRequest, DumpEvent, DumpAnswer>(
      child,
      { question: asked === undefined ? question : { ...question, asked }, withoutEmulator },
      { limit: readingLimit, onEvent },
    );
  const missing = missingOf(question.input);
  const first = await askOnce(null);
  if (first.ended === null) return { answer: first.answer, ended: null, unwritten: null };
  const died = (how: string): UsercopyError =>
    new UsercopyError('guest', `${question.input.dump}: the process that reads it ${how}`);
  if (!emulating) throw died(first.ended);
  const ended = `the emulator ${first.ended}`;
  // A variable of the callback, which the compiler takes for null.
  const found = known as DumpAnswer | null;
  if (found !== null && missing().length === 0) return { answer: found, ended, unwritten: null };
  // Files are written at the end: what asks for some is begun anew, with what had been found.
  const second = await askOnce(ended, found?.asked).catch((error: unknown) => {
    if (found === null || !(error instanceof UsercopyError)) throw error;
    return { ended: error.message };
  });
  if (second.ended === null) return { answer: second.answer, ended: null, unwritten: null };
  if (found === null) throw died(first.ended);
  const paths = missing();
  if (paths.length === 0) return { answer: found, ended, unwritten: null };
  const why = `expected to write ${paths.join(' and ')}, but ${ended}, and without it: ${second.ended}`;
  return { answer: found, ended, unwritten: { why, paths } };
}

/** Files of the input that are as they were when this was called: not there, or an earlier run's. */
function missingOf({ shrink, html, log }: DumpInput): () => readonly string[] {
  const stampOf = (path: string): string => {
    const status = statSync(path, { bigint: true, throwIfNoEntry: false });
    return status === undefined ? '' : `${status.ino} ${status.size} ${status.mtimeNs}`;
  };
  const files = [shrink?.path, html, log].filter((path) => path !== undefined);
  const before = new Map(files.map((path) => [path, stampOf(path)]));
  return () => files.filter((path) => stampOf(path) === before.get(path));
}
