/** What runs guests, as plain data: so that it can be done in this process or in one of its own. */
import type { Sanitizer } from '../attach/sanitizers.js';
import type { Declaration } from '../check/parameters.js';
import { Coverage } from '../guest/coverage.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { type Boundaries, buildRandomWorld, type DifferentialResult, runDifferential } from './differential.js';
import type { Scenario, ScenarioGuest } from './format.js';
import { lkdtmCases } from './lkdtm.js';
import { checkOwnFrames, chooseOwnProfile, loadOwnKernel, ownCases, startOwnGuest } from './own.js';
import { buildOwnWorld } from './own-world.js';
import { playScenario, type ScenarioRun } from './play.js';
import { SeededRandom } from './random.js';
import { readScenario, type ScenarioFile, scenarioInMemory } from './read.js';
import { type SnapshotSummary, snapshotScenario } from './snapshot.js';
import { runTwins, type TwinRun } from './twins.js';
import { loadTypedKernel } from './typed-kernel.js';
import { usualObjectsIn } from './usual-objects.js';

interface KernelFiles {
  readonly kernel: string;
  readonly btf?: string | undefined;
  readonly config?: string | undefined;
}

/** The built-in copies of one variant's guest, by several profiles: a result for each. */
export interface OwnTask {
  readonly kind: 'own';
  readonly variant: string;
  readonly profiles: readonly string[];
  readonly frames: boolean;
  readonly cycles: boolean;
}

interface Watched {
  /** Where the code that ran is written, as drcov. */
  readonly coverage?: string | undefined;
}

/** LKDTM's copies on a real kernel. */
export interface LkdtmTask extends KernelFiles, Watched {
  readonly kind: 'lkdtm';
  readonly profile?: string | undefined;
  readonly frames: boolean;
}

/** Random copies; `guest` as a scenario names it: a built-in one's variant, or a kernel image. */
export interface RandomTask extends Watched {
  readonly kind: 'random';
  readonly guest: ScenarioGuest;
  readonly copies: number;
  readonly seed: number;
}

/** A scenario's file, or one that was put together in a program, with what errors call it. */
export interface ScenarioTask extends Watched {
  readonly kind: 'scenario';
  readonly sanitize?: readonly Sanitizer[] | undefined;
  readonly source: { readonly path: string } | { readonly scenario: Scenario; readonly name: string };
}

/** A scenario's guest, written down before its steps. */
export interface SnapshotTask {
  readonly kind: 'snapshot';
  readonly source: ScenarioTask['source'];
  /** The function at which it shall stand: `symbol(argument, …)`. */
  readonly call?: string | undefined;
  /** Whether a scenario without objects gets those that a kernel usually has. */
  readonly usual?: boolean;
  readonly folder: string;
}

export type GuestTask = OwnTask | LkdtmTask | RandomTask | ScenarioTask | SnapshotTask;

/** What comes out of each kind of task. */
export type ResultOf<Task extends GuestTask> = Task extends OwnTask | LkdtmTask
  ? TwinRun
  : Task extends RandomTask
    ? DifferentialResult
    : Task extends SnapshotTask
      ? SnapshotSummary
      : ScenarioRun;

type Progress = (text: string) => void;

/** Where results and progress go as they come. */
export interface TaskListener<Result> {
  result(result: Result): void;
  progress(text: string): void;
}

/** Memory is put back before every copy: less is faster, and this is enough. */
const OWN_RAM = 32n << 20n;

/** @throws UsercopyError what making or running the guest throws. */
export async function runTask<Task extends GuestTask>(
  task: Task,
  listener: TaskListener<ResultOf<Task>>,
): Promise<void> {
  // The task's kind decides which of them its results are.
  const { result, progress } = listener as TaskListener<TwinRun | DifferentialResult | ScenarioRun | SnapshotSummary>;
  switch (task.kind) {
    case 'own':
      for (const profile of task.profiles) {
        progress(`${task.variant}, profile ${profile}`);
        result(await runOwnTask(task, profile));
      }
      return;
    case 'lkdtm':
      return result(await runLkdtmTask(task, progress));
    case 'random':
      return result(await runRandomTask(task, progress));
    case 'scenario':
      return result(await runScenarioTask(task, progress));
    case 'snapshot':
      return result(await snapshotScenario(fileOf(task.source), task.folder, { ...task, onProgress: progress }));
  }
}

const fileOf = (source: ScenarioTask['source']): ScenarioFile =>
  'path' in source ? readScenario(source.path) : scenarioInMemory(source.scenario, source.name);

/** Watches a guest's code, where that is asked for; what is returned writes it down. */
function covering(guest: Guest, path: string | undefined): () => void {
  if (path === undefined) return () => undefined;
  const coverage = new Coverage();
  coverage.watch(guest.engine);
  return () => {
    coverage.stop();
    coverage.write(path, guest.kernel, guest.kernel.version.release);
  };
}

async function runScenarioTask(
  { source, coverage, sanitize }: ScenarioTask,
  onProgress: Progress,
): Promise<ScenarioRun> {
  let finish = (): void => undefined;
  const onReady = (guest: Guest): void => {
    finish = covering(guest, coverage);
  };
  const onDone = (): void => finish();
  // Who calls functions without a scenario has the objects that --snapshot gives a guest.
  const calls = 'path' in source ? [] : source.scenario.steps.flatMap(({ call }) => call ?? []);
  const objectsFor = usualObjectsIn(calls);
  return playScenario(fileOf(source), { onReady, onDone, onProgress, sanitize, objectsFor });
}

/** Frames are looked at when that is asked for, else as the kernel does. */
const asked = (frames: boolean | undefined): { readonly frames?: true } => (frames ? { frames: true } : {});

async function runOwnTask({ variant, frames, cycles }: OwnTask, profile: string): Promise<TwinRun> {
  const guest = await startOwnGuest(await loadOwnKernel(variant), { ramBytes: OWN_RAM });
  try {
    chooseOwnProfile(guest, profile);
    if (frames) checkOwnFrames(guest);
    const { cases, declarations } = await ownCases(guest);
    return await runTwins(guest, cases, { profile, declarations, cycles, ...asked(frames) });
  } finally {
    guest.close();
  }
}

async function kernelGuest({ kernel: path, btf, config }: KernelFiles, onProgress: Progress): Promise<Guest> {
  return Guest.create(await loadTypedKernel(path, { btf, config, onProgress }));
}

async function runLkdtmTask(task: LkdtmTask, progress: Progress): Promise<TwinRun> {
  const guest = await kernelGuest(task, progress);
  try {
    const objects = guest.kernel.types === null ? null : new KernelObjects(guest);
    const cases = lkdtmCases(guest, objects);
    const finish = covering(guest, task.coverage);
    const run = await runTwins(guest, cases, { ...asked(task.frames), profile: task.profile });
    finish();
    return run;
  } finally {
    guest.close();
  }
}

interface RandomWorld {
  readonly guest: Guest;
  readonly boundaries: Boundaries;
  readonly declarations: readonly Declaration[];
}

async function randomWorld(spec: ScenarioGuest, random: SeededRandom, progress: Progress): Promise<RandomWorld> {
  const { kernel, variant = '', profile, frames } = spec;
  const guest =
    kernel === undefined
      ? await startOwnGuest(await loadOwnKernel(variant))
      : await kernelGuest({ ...spec, kernel }, progress);
  try {
    if (kernel !== undefined) {
      return { guest, boundaries: buildRandomWorld(guest, new KernelObjects(guest), random), declarations: [] };
    }
    if (profile !== undefined) chooseOwnProfile(guest, profile);
    if (frames) checkOwnFrames(guest);
    // The objects come from the guest's own allocators.
    const { declarations, ...boundaries } = await buildOwnWorld(guest, random);
    return { guest, boundaries, declarations };
  } catch (error) {
    guest.close();
    throw error;
  }
}

async function runRandomTask(task: RandomTask, progress: (text: string) => void): Promise<DifferentialResult> {
  const { guest: spec, copies, seed } = task;
  const random = new SeededRandom(seed);
  const { guest, boundaries, declarations } = await randomWorld(spec, random, progress);
  try {
    const finish = covering(guest, task.coverage);
    const found = await runDifferential(guest, boundaries, random, {
      copies,
      seed,
      declarations,
      ...asked(spec.frames),
      profile: spec.profile,
      onProgress: (done) => progress(`${guest.variant.name}: ${done} of ${copies} copies`),
    });
    finish();
    return found;
  } finally {
    guest.close();
  }
}
