/** What the page and its worker tell each other. */

import { aBoolean, aCount, aText, type OptionRule, orNull, requireFields, requireValue } from '../../src/options.js';
import type { Scenario } from '../../src/scenario/format.js';
import type { ScenarioRow, ScenarioRun } from '../../src/scenario/play-steps.js';

export interface RunOrder {
  readonly scenario: Scenario;
  readonly variant: string;
  /** The built-in guest's ELF file. */
  readonly guest: Uint8Array;
  /** check.wasm. */
  readonly check: Uint8Array;
  /** Name of the emulator's file, for sentences. */
  readonly emulator: string;
  /** The .wasm file beside it; null where it was not given. */
  readonly wasm: Uint8Array | null;
}

export type PlayedRow = Pick<
  ScenarioRow,
  'case' | 'guest' | 'ours' | 'identical' | 'outcome' | 'guestInstructions' | 'unmet'
>;

const texts: OptionRule = {
  accepts: (value) => Array.isArray(value) && value.every((text) => typeof text === 'string'),
  expected: 'texts',
};

const ROW: Readonly<Record<keyof PlayedRow, OptionRule>> = {
  case: aText,
  guest: orNull(aText),
  ours: orNull(aText),
  identical: orNull(aBoolean),
  outcome: orNull(aText),
  guestInstructions: aCount,
  unmet: texts,
};

export interface PlayedRun extends Pick<ScenarioRun, 'variant' | 'kernel' | 'profile' | 'notes' | 'ok'> {
  readonly rows: readonly PlayedRow[];
  /** Emulator and version. */
  readonly engine: string;
}

export type RunNews =
  | { readonly kind: 'progress'; readonly what: string }
  | { readonly kind: 'done'; readonly run: PlayedRun }
  | { readonly kind: 'failed'; readonly message: string };

const RUN: Readonly<Record<keyof PlayedRun, OptionRule>> = {
  variant: aText,
  kernel: aText,
  profile: aText,
  notes: texts,
  ok: aBoolean,
  rows: { accepts: Array.isArray, expected: 'rows' },
  engine: aText,
};

/**
 * What a worker says. The user's file runs in it and can say anything, also an object that would be drawn as part of the page:
 * only texts and numbers are taken where they belong.
 * @throws UsercopyError `bad-input` for other words.
 */
export function readNews(data: unknown): RunNews {
  // Fields of anything; each is looked at below.
  const { kind, what, message, run } = Object(data) as Record<string, unknown>;
  if (kind === 'progress') {
    requireValue('progress', what, aText);
    // It has just been looked at.
    return { kind, what: what as string };
  }
  if (kind === 'failed') {
    requireValue('failure', message, aText);
    // As above.
    return { kind, message: message as string };
  }
  requireFields('run', run, RUN);
  // All of its fields have just been looked at, but for the rows'.
  const done = run as PlayedRun;
  for (const row of done.rows) requireFields('row', row, ROW);
  return { kind: 'done', run: done };
}
