/** What a scenario's steps stand on: its guest, started, with the memory objects made and named. */

import type { Declaration } from '../check/parameters.js';
import type { Guest } from '../guest/guest.js';
import type { Kernel } from '../kernel/kernel.js';
import type { StackDepth } from '../stack/depth.js';
import type { Names } from './expression.js';
import type { Scenario } from './format.js';
import { ObjectMaker } from './objects.js';
import { located } from './positions.js';
import type { ScenarioFile } from './read.js';
import type { StartedGuest } from './rules.js';

export interface World {
  readonly guest: Guest;
  /** What to attach to: the guest's kernel. */
  readonly kernel: Kernel;
  readonly names: Names;
  /** The scenario's objects, in the order in which they were made. */
  readonly objects: ObjectMaker['made'];
  readonly declarations: readonly Declaration[];
  /** Rules to judge by; undefined: `auto`. */
  readonly profile: string | undefined;
  /** Whether the guest's own check knows these rules and these objects, so that it is a judge of ours. */
  readonly ownCheckKnows: boolean;
  /** What the guest's own check uses of the stack; null: unknown, undefined: not measured yet. */
  readonly stackDepth: StackDepth | null | undefined;
}

/** The objects to make when the scenario names none, which may depend on the kernel. */
export type ObjectsFor = (kernel: Kernel) => NonNullable<Scenario['objects']>;

/** Makes a scenario's objects in its guest. @throws UsercopyError with the place in the file; the guest is closed then. */
export async function furnish(
  started: StartedGuest,
  { scenario, positions }: ScenarioFile,
  objectsFor?: ObjectsFor,
): Promise<World> {
  const { guest } = started;
  try {
    const maker = new ObjectMaker(guest, started.isOwn, positions);
    const objects = scenario.objects ?? objectsFor?.(guest.kernel) ?? {};
    for (const [name, object] of Object.entries(objects)) {
      await located(positions, ['objects', name], () => maker.make(name, object));
    }
    const declares = Object.values(objects).some((object) => 'declared' in object);
    return {
      guest,
      kernel: started.kernel,
      names: maker.names,
      objects: maker.made,
      declarations: maker.declarations,
      profile: started.profile,
      ownCheckKnows: started.ownCheckKnows && !declares,
      stackDepth: started.stackDepth,
    };
  } catch (error) {
    guest.close();
    throw error;
  }
}
