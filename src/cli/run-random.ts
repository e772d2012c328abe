/** `usercopy run random`: random copies put to a guest's own check and to ours; a mismatch becomes a scenario that replays it. */
import { resolve } from 'node:path';
import { badInput, hex, shellWord } from '../errors.js';
import { writeWhole } from '../image/files.js';
import type { DifferentialResult } from '../scenario/differential.js';
import type { Scenario, ScenarioGuest } from '../scenario/format.js';
import { runForOne } from '../scenario/guest-process.js';
import { NEWEST_OWN_PROFILE } from '../scenario/own.js';
import type { RandomTask } from '../scenario/tasks.js';
import { writeScenario } from '../scenario/write.js';
import { colours, print, progress } from '../terminal.js';
import { AnswerPrinter, type Forms, type Part } from './answer.js';
import { byLine, CLEAN, toJson, VIOLATION } from './output.js';

export const DEFAULT_COPIES = 100_000;
const MOST_COPIES = 100_000_000;
const LARGEST_SEED = 0xffff_ffff;
/** Mismatches that are printed one by one. */
const MOST_SHOWN = 10;

export interface RandomOptions extends Forms {
  /** A kernel image; absent for the built-in guests. */
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  /** Built-in guests, one after the other. */
  readonly variant?: readonly string[];
  readonly profile?: string;
  readonly frames?: boolean;
  readonly copies?: string;
  readonly seed?: string;
  readonly coverage?: string;
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
  const copies = wholeNumber('--copies', options.copies ?? String(DEFAULT_COPIES), 1, MOST_COPIES);
  const seed =
    options.seed === undefined ? Date.now() % LARGEST_SEED : wholeNumber('--seed', options.seed, 0, LARGEST_SEED);
  const printer = new AnswerPrinter(options);
  const runs: RandomRun[] = [];
  for (const spec of specsOf(options)) {
    const run = await runOne(spec, copies, seed, options.coverage);
    if (!options.json) printer.print({ json: () => '', parts: () => partsOf(run), next: nextOf(run, options) });
    runs.push(run);
  }
  if (options.json) {
    const rows = runs.map(({ result, file }) => ({ ...result, mismatches: result.mismatches.length, file }));
    print(toJson(options.variant === undefined ? rows[0] : rows));
  }
  return runs.every(({ result }) => result.mismatchCount === 0) ? CLEAN : VIOLATION;
}

/** A mismatch is replayed; where there is none, the next question is what the check costs. */
function nextOf({ file, result }: RandomRun, { kernel }: RandomOptions): string {
  if (file !== null) return `usercopy run ${shellWord(file)}  # replays the first mismatch`;
  const guest = kernel === undefined ? `--variant ${result.variant}` : `--kernel ${shellWord(kernel)}`;
  return `usercopy overhead ${guest}  # what the check costs there`;
}

interface RandomRun {
  readonly result: DifferentialResult;
  /** Where the first mismatch was written; null when there is none. */
  readonly file: string | null;
}

async function runOne(guest: ScenarioGuest, copies: number, seed: number, coverage?: string): Promise<RandomRun> {
  const task = { kind: 'random' as const, guest, copies, seed, coverage: coverage && resolve(coverage) };
  const result = await runForOne<RandomTask>(task, (text) => progress.show(text));
  progress.clear();
  return { result, file: await writeMismatch(result, guest) };
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw badInput(option, `a whole number from ${least} to ${most}`, `'${text}'`);
  return value;
}

function partsOf({ result }: RandomRun): Part[] {
  const { variant, kernel, profile, profileBy, typesBy, copies, refused, nearBoundary, mismatchCount, seed } = result;
  const mismatch = mismatchCount === 0 ? 'no mismatch' : colours.red(`${mismatchCount} MISMATCHES`);
  const mismatches = result.mismatches
    .slice(0, MOST_SHOWN)
    .flatMap(({ copy, guest, ours }) => [
      `${hex(copy.pointer)}, ${copy.size} bytes, ${copy.direction}`,
      `  the guest:  ${guest ?? 'passes'}`,
      `  ours:       ${ours ?? 'passes'}`,
    ]);
  return [
    { heading: `${variant}, kernel ${kernel}, profile ${profile}, seed ${seed}` },
    ...byLine(profileBy, typesBy),
    {
      head: ['copies', 'within 64 bytes of a boundary', 'refused by the guest', 'mismatches'],
      rows: [[copies, nearBoundary, refused, mismatchCount].map(String)],
      about: { variant, kernel, profile, seed: String(seed) },
      text: `${copies} copies, ${nearBoundary} of them within 64 bytes of a boundary; the guest refused ${refused}\n${mismatch}`,
    },
    ...mismatches,
  ];
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
  writeWhole(
    path,
    writeScenario(scenario, [`The guest says: ${first.guest ?? 'nothing'}`, `We said: ${first.ours ?? 'nothing'}`]),
  );
  return path;
}
