/**
 * A scenario's guest written down before its steps, for harnesses outside Node: memory and registers as Unicorn's dumpers write
 * them, and what lies where.
 */
import type { Variant } from '../../arch/driver.js';
import { UsercopyError } from '../errors.js';
import { type SnapshotPlace, writeSnapshot } from '../guest/snapshot.js';
import { guestCallOf } from './play-steps.js';
import type { ScenarioFile } from './read.js';
import { usualObjects } from './usual-objects.js';
import { buildWorld, type World, type WorldOptions } from './world.js';

export interface SnapshotSummary {
  readonly folder: string;
  readonly variant: string;
  readonly kernel: string;
  /** The function at whose first instruction the guest stands; null: where calls return to. */
  readonly at: string | null;
  readonly places: readonly SnapshotPlace[];
  /** What a person should know: what the guest has not, and what the files do not hold. */
  readonly warnings: readonly string[];
}

export interface SnapshotOptions extends Pick<WorldOptions, 'onProgress'> {
  /** The function at which the guest shall stand: `symbol(argument, …)`. */
  readonly call?: string | undefined;
  /** Whether a scenario without objects gets those that a kernel usually has. */
  readonly usual?: boolean;
}

/**
 * Starts the scenario's guest, makes its objects and writes all of it into `folder`. With `call`, `symbol(argument, …)`, it is
 * left at the function's first instruction.
 * @throws UsercopyError as playing the scenario does, `unsupported` for a guest that no harness can run, and `bad-input` when
 *   the folder cannot be written.
 */
export async function snapshotScenario(
  file: ScenarioFile,
  folder: string,
  { call, usual = false, onProgress }: SnapshotOptions = {},
): Promise<SnapshotSummary> {
  const world = await buildWorld(file, { objectsFor: usual ? usualObjects : undefined, onProgress });
  try {
    const { guest } = world;
    refuseUnsavable(guest.variant);
    const called = call === undefined ? null : guestCallOf(call, world, '--call');
    guest.stand(called?.symbol ?? null, called?.arguments ?? []);
    const places = placesOf(world);
    writeSnapshot(guest.engine, guest.variant, folder, {
      kernel: guest.kernel.version.release,
      places,
      memoryOffset: (start) => guest.memory.offsetOfRegion(start),
    });
    return {
      folder,
      variant: guest.variant.name,
      kernel: guest.kernel.version.release,
      at: called?.symbol ?? null,
      places,
      warnings: warningsOf(world),
    };
  } finally {
    world.guest.close();
  }
}

function refuseUnsavable({ name, unsavable }: Variant): void {
  if (unsavable === undefined) return;
  throw new UsercopyError(
    'unsupported',
    `${name}: expected a guest that harnesses can run, found one that they cannot: ${unsavable}. No snapshot is written; attach in JavaScript instead`,
  );
}

function placesOf({ guest, objects }: World): SnapshotPlace[] {
  const types = guest.kernel.types;
  const taskBytes = types?.hasStruct('task_struct')
    ? BigInt(types.struct('task_struct').size)
    : BigInt(guest.kernel.bits / 8);
  return [
    { name: 'return_address', start: guest.returnAddress, end: guest.returnAddress + 1n },
    { name: 'user', start: guest.user.address, end: guest.user.address + guest.user.size },
    { name: 'stack', ...guest.stack },
    ...(guest.task === 0n ? [] : [{ name: 'task', start: guest.task, end: guest.task + taskBytes }]),
    ...objects.map(({ name, start, end }) => ({ name, start, end: end ?? start })),
  ];
}

function warningsOf({ guest, declarations }: World): string[] {
  const { unsavedState } = guest.variant;
  return [
    ...(guest.kernel.types === null
      ? ['the kernel has no types: the guest has no task and no page array, and only declared memory can be judged']
      : []),
    ...(declarations.length > 0
      ? ["declared memory is no part of a snapshot: 'usercopy prepare' of the same scenario tells a harness of it"]
      : []),
    ...(unsavedState === undefined
      ? []
      : [`the registers of a snapshot do not hold ${unsavedState}: set it by yourself`]),
  ];
}
