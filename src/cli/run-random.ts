/** `usercopy run random`: random copies put to a real kernel's check and to ours; a mismatch becomes a scenario that replays it. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { drivers } from '../../arch/index.js';
import { badInput } from '../errors.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { loadKernel } from '../kernel/load.js';
import {
  type Boundaries,
  buildRandomWorld,
  type DifferentialResult,
  runDifferential,
} from '../scenario/differential.js';
import type { Scenario } from '../scenario/format.js';
import { SeededRandom } from '../scenario/random.js';
import { writeScenario } from '../scenario/write.js';
import { CLEAN, colours, print, progress, toJson, VIOLATION } from './output.js';

export const DEFAULT_COPIES = 100_000;
const MOST_COPIES = 100_000_000;
const LARGEST_SEED = 0xffff_ffff;

export interface RandomOptions {
  readonly kernel: string;
  readonly btf?: string;
  readonly config?: string;
  readonly profile?: string;
  readonly copies: string;
  readonly seed?: string;
  readonly json?: boolean;
}

interface World {
  readonly guest: Guest;
  readonly boundaries: Boundaries;
  readonly random: SeededRandom;
}

async function openWorld(files: Pick<RandomOptions, 'kernel' | 'btf' | 'config'>, seed: number): Promise<World> {
  const { kernel: path, btf, config } = files;
  const kernel = await loadKernel(
    { path },
    { drivers, ...(btf === undefined ? {} : { btf }), ...(config === undefined ? {} : { config }) },
  );
  const guest = await Guest.create(kernel);
  try {
    const random = new SeededRandom(seed);
    return { guest, boundaries: buildRandomWorld(guest, new KernelObjects(guest), random), random };
  } catch (error) {
    guest.close();
    throw error;
  }
}

/** Exit status: 0 without a mismatch, else 1. */
export async function runRandom(options: RandomOptions): Promise<number> {
  const copies = wholeNumber('--copies', options.copies, MOST_COPIES);
  const seed =
    options.seed === undefined ? Date.now() % LARGEST_SEED : wholeNumber('--seed', options.seed, LARGEST_SEED);
  const { guest, boundaries, random } = await openWorld(options, seed);
  try {
    const result = await runDifferential(guest, boundaries, random, {
      copies,
      seed,
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      onProgress: (done) => progress.show(`${done} of ${copies} copies`),
    });
    progress.clear();
    const file = await writeMismatch(result, options);
    if (options.json) print(toJson({ ...result, mismatches: result.mismatches.length, file }));
    else print(describe(result, file));
    return result.mismatchCount === 0 ? CLEAN : VIOLATION;
  } finally {
    guest.close();
  }
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw badInput(option, `a whole number up to ${most}`, `'${text}'`);
  return value;
}

function describe(result: DifferentialResult, file: string | null): string {
  const { variant, kernel, profile, copies, refused, nearBoundary, mismatchCount, seed } = result;
  const lines = [
    `${variant}, kernel ${kernel}, profile ${profile}, seed ${seed}`,
    `${copies} copies, ${nearBoundary} of them within 64 bytes of a boundary; the kernel refused ${refused}`,
    mismatchCount === 0 ? 'no mismatch' : colours.red(`${mismatchCount} MISMATCHES`),
  ];
  for (const { copy, guest, ours } of result.mismatches.slice(0, 10)) {
    lines.push(`0x${copy.pointer.toString(16)}, ${copy.size} bytes, ${copy.direction}`);
    lines.push(`  the kernel: ${guest ?? 'passes'}`, `  ours:       ${ours ?? 'passes'}`);
  }
  if (file !== null) lines.push(`usercopy run ${file} replays the first`);
  return lines.join('\n');
}

/** The first mismatch as a scenario: the world is made of the seed again, and what the kernel says is expected of us. */
async function writeMismatch(result: DifferentialResult, options: RandomOptions): Promise<string | null> {
  const [first] = result.mismatches;
  if (!first) return null;
  const { kernel, btf, config, profile } = options;
  const path = `usercopy-mismatch-${result.kernel}-${result.seed}.yaml`;
  const scenario: Scenario = {
    name: `mismatch of seed ${result.seed}`,
    guest: {
      kernel: resolve(kernel),
      ...(btf === undefined ? {} : { btf: resolve(btf) }),
      ...(config === undefined ? {} : { config: resolve(config) }),
      ...(profile === undefined ? {} : { profile }),
    },
    objects: { world: { random: { seed: result.seed } } },
    steps: [{ copy: { ...first.copy, size: String(first.copy.size) }, expect: { message: first.guest } }],
  };
  await writeFile(
    path,
    writeScenario(scenario, [`The kernel says: ${first.guest ?? 'nothing'}`, `We said: ${first.ours ?? 'nothing'}`]),
  );
  return path;
}
