/** What the page and its worker tell each other. */
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
  'case' | 'guest' | 'ours' | 'identical' | 'outcome' | 'ends' | 'guestInstructions' | 'unmet'
>;

export interface PlayedRun extends Pick<ScenarioRun, 'variant' | 'kernel' | 'profile' | 'notes' | 'ok'> {
  readonly rows: readonly PlayedRow[];
  /** Emulator and version. */
  readonly engine: string;
}

export type RunNews =
  | { readonly kind: 'progress'; readonly what: string }
  | { readonly kind: 'done'; readonly run: PlayedRun }
  | { readonly kind: 'failed'; readonly message: string };
