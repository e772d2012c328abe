/** Scenarios that are put together in a program. */
import type { Scenario } from './format.js';
import { plain } from './plain.js';
import { Positions } from './positions.js';
import type { ScenarioFile } from './read.js';

/**
 * A scenario that this program made itself: `scenarioInMemory` without asking the schema, whose libraries take longer to load
 * than a short scenario to play.
 */
export function madeScenario(scenario: Scenario, name = scenario.name ?? 'scenario'): ScenarioFile {
  // The same scenario, its numbers in the other form that the type has.
  return { scenario: plain(scenario) as Scenario, positions: new Positions(name), directory: '.' };
}
