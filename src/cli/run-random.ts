/** `usercopy run random`: random copies put to a real kernel's check and to ours; a mismatch becomes a file that replays it. */
import { readFile, writeFile } from 'node:fs/promises';
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
import { SeededRandom } from '../scenario/random.js';
import { runTwins, type TwinRun } from '../scenario/twins.js';
import type { Copy } from '../verdict.js';
import { print, toJson } from './output.js';

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

/** A mismatch as a file: the world is made from the seed again, and the copy put to both. */
interface MismatchFile {
  readonly kernel: string;
  readonly btf: string | null;
  readonly config: string | null;
  readonly profile: string | null;
  readonly seed: number;
  readonly copy: { readonly pointer: string; readonly size: string; readonly direction: Copy['direction'] };
  readonly guest: string | null;
  readonly ours: string | null;
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
      ...(process.stderr.isTTY ? { onProgress: (done: number) => showProgress(done, copies) } : {}),
    });
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const file = await writeMismatch(result, options);
    if (options.json) print(toJson({ ...result, mismatches: result.mismatches.length, file }));
    else print(describe(result, file));
    return result.mismatchCount === 0 ? 0 : 1;
  } finally {
    guest.close();
  }
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw badInput(option, `a whole number up to ${most}`, `'${text}'`);
  return value;
}

function showProgress(done: number, copies: number): void {
  process.stderr.write(`\r${done} of ${copies} copies`);
}

function describe(result: DifferentialResult, file: string | null): string {
  const { variant, kernel, profile, copies, refused, nearBoundary, mismatchCount, seed } = result;
  const lines = [
    `${variant}, kernel ${kernel}, profile ${profile}, seed ${seed}`,
    `${copies} copies, ${nearBoundary} of them within 64 bytes of a boundary; the kernel refused ${refused}`,
    mismatchCount === 0 ? 'no mismatch' : `${mismatchCount} MISMATCHES`,
  ];
  for (const { copy, guest, ours } of result.mismatches.slice(0, 10)) {
    lines.push(`0x${copy.pointer.toString(16)}, ${copy.size} bytes, ${copy.direction}`);
    lines.push(`  the kernel: ${guest ?? 'passes'}`, `  ours:       ${ours ?? 'passes'}`);
  }
  if (file !== null) lines.push(`usercopy run ${file} replays the first`);
  return lines.join('\n');
}

async function writeMismatch(result: DifferentialResult, options: RandomOptions): Promise<string | null> {
  const [first] = result.mismatches;
  if (!first) return null;
  const path = `usercopy-mismatch-${result.kernel}-${result.seed}.json`;
  const content: MismatchFile = {
    kernel: resolve(options.kernel),
    btf: options.btf === undefined ? null : resolve(options.btf),
    config: options.config === undefined ? null : resolve(options.config),
    profile: options.profile ?? null,
    seed: result.seed,
    copy: {
      pointer: `0x${first.copy.pointer.toString(16)}`,
      size: `0x${first.copy.size.toString(16)}`,
      direction: first.copy.direction,
    },
    guest: first.guest,
    ours: first.ours,
  };
  await writeFile(path, `${toJson(content)}\n`);
  return path;
}

/** @throws UsercopyError `bad-input` when the file is not one that `run random` wrote. */
export async function replayMismatch(path: string): Promise<TwinRun> {
  const file = parseMismatch(
    path,
    await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw badInput(path, 'a file that can be read', error.code ?? error.message);
    }),
  );
  const { guest } = await openWorld(
    {
      kernel: file.kernel,
      ...(file.btf === null ? {} : { btf: file.btf }),
      ...(file.config === null ? {} : { config: file.config }),
    },
    file.seed,
  );
  try {
    const copy: Copy = {
      pointer: BigInt(file.copy.pointer),
      size: BigInt(file.copy.size),
      direction: file.copy.direction,
    };
    return await runTwins(
      guest,
      [{ name: `mismatch of seed ${file.seed}`, copy }],
      file.profile === null ? {} : { profile: file.profile },
    );
  } finally {
    guest.close();
  }
}

function parseMismatch(path: string, text: string): MismatchFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badInput(path, 'JSON', (error as Error).message);
  }
  const file = value as Partial<MismatchFile> | null;
  const isAddress = (field: unknown): boolean => typeof field === 'string' && /^0x[0-9a-f]{1,16}$/.test(field);
  const valid =
    typeof file === 'object' &&
    file !== null &&
    typeof file.kernel === 'string' &&
    Number.isInteger(file.seed) &&
    isAddress(file.copy?.pointer) &&
    isAddress(file.copy?.size) &&
    (file.copy?.direction === 'to_user' || file.copy?.direction === 'from_user');
  if (!valid) throw badInput(path, "a mismatch as 'usercopy run random' writes it", 'something else');
  const absent = { btf: null, config: null, profile: null, guest: null, ours: null };
  return { ...absent, ...file } as MismatchFile;
}
