/** `usercopy run random`: random copies put to a guest's own check and to ours; a mismatch becomes a scenario that replays it. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { drivers } from '../../arch/index.js';
import { badInput } from '../errors.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { loadKernel } from '../kernel/load.js';
import type { Declaration } from '../parameters.js';
import {
  type Boundaries,
  buildRandomWorld,
  type DifferentialResult,
  runDifferential,
} from '../scenario/differential.js';
import type { Scenario, ScenarioGuest } from '../scenario/format.js';
import { checkOwnFrames, chooseOwnProfile, loadOwnKernel, NEWEST_OWN_PROFILE, startOwnGuest } from '../scenario/own.js';
import { buildOwnWorld } from '../scenario/own-world.js';
import { SeededRandom } from '../scenario/random.js';
import { writeScenario } from '../scenario/write.js';
import { CLEAN, colours, print, progress, toJson, VIOLATION } from './output.js';

export const DEFAULT_COPIES = 100_000;
const MOST_COPIES = 100_000_000;
const LARGEST_SEED = 0xffff_ffff;

export interface RandomOptions {
  /** A kernel image; absent for the built-in guests. */
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  /** Built-in guests, one after the other. */
  readonly variant?: readonly string[];
  readonly profile?: string;
  readonly frames?: boolean;
  readonly copies: string;
  readonly seed?: string;
  readonly json?: boolean;
}

interface World {
  readonly guest: Guest;
  readonly boundaries: Boundaries;
  readonly random: SeededRandom;
  readonly declarations: readonly Declaration[];
}

/** `spec` as a scenario would name the guest: a built-in one's variant, or a kernel image. */
async function openWorld(spec: ScenarioGuest, seed: number): Promise<World> {
  const random = new SeededRandom(seed);
  if (spec.kernel === undefined) return openOwnWorld(spec, random);
  const { kernel: path, btf, config } = spec;
  const kernel = await loadKernel(
    { path },
    { drivers, ...(btf === undefined ? {} : { btf }), ...(config === undefined ? {} : { config }) },
  );
  const guest = await Guest.create(kernel);
  try {
    return { guest, boundaries: buildRandomWorld(guest, new KernelObjects(guest), random), random, declarations: [] };
  } catch (error) {
    guest.close();
    throw error;
  }
}

/** The objects come from the guest's own allocators. */
async function openOwnWorld({ variant = '', profile, frames }: ScenarioGuest, random: SeededRandom): Promise<World> {
  const guest = await startOwnGuest(await loadOwnKernel(variant));
  try {
    if (profile !== undefined) chooseOwnProfile(guest, profile);
    if (frames) checkOwnFrames(guest);
    const { declarations, ...boundaries } = await buildOwnWorld(guest, random);
    return { guest, boundaries, random, declarations };
  } catch (error) {
    guest.close();
    throw error;
  }
}

/** The guests to run, one after the other. */
function specsOf({ kernel, btf, config, variant, profile, frames }: RandomOptions): ScenarioGuest[] {
  const common = frames ? { frames } : {};
  if (kernel !== undefined && variant === undefined) {
    return [
      {
        kernel: resolve(kernel),
        ...(btf === undefined ? {} : { btf: resolve(btf) }),
        ...(config === undefined ? {} : { config: resolve(config) }),
        ...(profile === undefined ? {} : { profile }),
        ...common,
      },
    ];
  }
  if (variant === undefined || kernel !== undefined) {
    throw badInput('run random', 'one of --kernel IMAGE and --variant NAME', kernel === undefined ? 'neither' : 'both');
  }
  return variant.map((name) => ({ variant: name, profile: profile ?? NEWEST_OWN_PROFILE, ...common }));
}

/** Exit status: 0 without a mismatch, else 1. */
export async function runRandom(options: RandomOptions): Promise<number> {
  const copies = wholeNumber('--copies', options.copies, MOST_COPIES);
  const seed =
    options.seed === undefined ? Date.now() % LARGEST_SEED : wholeNumber('--seed', options.seed, LARGEST_SEED);
  const runs: RandomRun[] = [];
  for (const spec of specsOf(options)) {
    const run = await runOne(spec, copies, seed);
    if (!options.json) print(describe(run));
    runs.push(run);
  }
  if (options.json) {
    const rows = runs.map(({ result, file }) => ({ ...result, mismatches: result.mismatches.length, file }));
    print(toJson(options.variant === undefined ? rows[0] : rows));
  }
  return runs.every(({ result }) => result.mismatchCount === 0) ? CLEAN : VIOLATION;
}

interface RandomRun {
  readonly result: DifferentialResult;
  /** Where the first mismatch was written; null when there is none. */
  readonly file: string | null;
}

async function runOne(spec: ScenarioGuest, copies: number, seed: number): Promise<RandomRun> {
  const { guest, boundaries, random, declarations } = await openWorld(spec, seed);
  try {
    const result = await runDifferential(guest, boundaries, random, {
      copies,
      seed,
      declarations,
      frames: spec.frames ?? false,
      ...(spec.profile === undefined ? {} : { profile: spec.profile }),
      onProgress: (done) => progress.show(`${guest.variant.name}: ${done} of ${copies} copies`),
    });
    progress.clear();
    return { result, file: await writeMismatch(result, spec) };
  } finally {
    guest.close();
  }
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw badInput(option, `a whole number up to ${most}`, `'${text}'`);
  return value;
}

function describe({ result, file }: RandomRun): string {
  const { variant, kernel, profile, copies, refused, nearBoundary, mismatchCount, seed } = result;
  const lines = [
    `${variant}, kernel ${kernel}, profile ${profile}, seed ${seed}`,
    `${copies} copies, ${nearBoundary} of them within 64 bytes of a boundary; the guest refused ${refused}`,
    mismatchCount === 0 ? 'no mismatch' : colours.red(`${mismatchCount} MISMATCHES`),
  ];
  for (const { copy, guest, ours } of result.mismatches.slice(0, 10)) {
    lines.push(`0x${copy.pointer.toString(16)}, ${copy.size} bytes, ${copy.direction}`);
    lines.push(`  the guest:  ${guest ?? 'passes'}`, `  ours:       ${ours ?? 'passes'}`);
  }
  if (file !== null) lines.push(`usercopy run ${file} replays the first`);
  return lines.join('\n');
}

/** The first mismatch as a scenario: the world is made of the seed again, and what the guest says is expected of us. */
async function writeMismatch(result: DifferentialResult, spec: ScenarioGuest): Promise<string | null> {
  const [first] = result.mismatches;
  if (!first) return null;
  const path = `usercopy-mismatch-${result.variant}-${result.kernel}-${result.seed}.yaml`;
  const scenario: Scenario = {
    name: `mismatch of seed ${result.seed}`,
    guest: spec,
    objects: { world: { random: { seed: result.seed } } },
    steps: [{ copy: { ...first.copy, size: String(first.copy.size) }, expect: { message: first.guest } }],
  };
  await writeFile(
    path,
    writeScenario(scenario, [`The guest says: ${first.guest ?? 'nothing'}`, `We said: ${first.ours ?? 'nothing'}`]),
  );
  return path;
}
