/** A scenario, played: its guest started, its objects made, its steps judged. */
import { having, requireValue } from '../options.js';
import { playIn, type ScenarioRun, type StepOptions } from './play-steps.js';
import type { ScenarioFile } from './read.js';
import { buildWorld, type WorldOptions } from './world.js';

export type { ScenarioRow, ScenarioRun } from './play-steps.js';

export interface PlayOptions extends StepOptions, Pick<WorldOptions, 'objectsFor' | 'onProgress' | 'started'> {}

const A_FILE = having('a scenario, as readScenario() or scenarioInMemory() gives it', 'scenario', 'positions');

/**
 * The same scenario gives the same rows every time, instruction counts included.
 * @throws UsercopyError with file, line and column: `bad-input` for what cannot be, `guest` when a call neither returns
 *   nor ends in BUG(), and what making a guest throws.
 */
export async function playScenario(file: ScenarioFile, options: PlayOptions = {}): Promise<ScenarioRun> {
  requireValue('playScenario: file', file, A_FILE);
  return playIn(await buildWorld(file, options), file, options);
}
