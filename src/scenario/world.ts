/** A scenario's world, from its file: the guest that it names, and its objects. */
import type { Guest } from '../guest/guest.js';
import { furnish, type ObjectsFor, type World } from './furnish.js';
import { located } from './positions.js';
import type { ScenarioFile } from './read.js';
import { startGuest } from './start.js';

export type { World } from './furnish.js';

export interface WorldOptions {
  readonly objectsFor?: ObjectsFor | undefined;
  /** Hears what is being done before the guest starts. */
  readonly onProgress?: ((what: string) => void) | undefined;
  /** The scenario's built-in guest, where it has been started already (`startOwnGuest`): it is taken, and closed like any other. */
  readonly started?: Guest | undefined;
}

/** @throws UsercopyError with the place in the file; the guest is closed then. */
export async function buildWorld(
  file: ScenarioFile,
  { objectsFor, onProgress, started }: WorldOptions = {},
): Promise<World> {
  const { scenario, positions } = file;
  const guest = await located(positions, ['guest'], () => startGuest(scenario.guest, file, onProgress, started));
  return furnish(guest, file, objectsFor);
}
