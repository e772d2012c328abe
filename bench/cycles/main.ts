/** `npm run bench:cycles`: our prices of basic blocks against llvm-mca's, on the blocks that took no part in the tables. */
import Table from 'cli-table3';
import type { Variant } from '../../arch/driver.js';
import { drivers, variantOf } from '../../arch/index.js';
import { IGNORED, openCycleModel } from '../../src/cycles/open.js';
import { UsercopyError } from '../../src/errors.js';
import { cachedKernels } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { NEWEST_OWN_PROFILE, ownVariants } from '../../src/scenario/own.js';
import { present } from '../present.js';
import { type Source, startGuest } from '../world.js';
import { type Comparison, compare } from './compare.js';
import { blocksOf } from './corpus.js';
import { HOW_TO_GET_LLVM, llvmVersion } from './llvm.js';
import { comparePaths, type JudgedPath } from './paths.js';
import { checkTraces, tracesOf } from './traces.js';

const USAGE = `Usage: npm run bench:cycles -- [--variant NAME] [--kernel IMAGE] [--blocks N] [--worst] [--json]
       npm run bench:cycles -- --paths [--variant NAME [--core NAME]] [--json]

Prices N (default 1000) basic blocks of each half (tuning, held out) of every kernel in the cache and compares with one
iteration of llvm-mca. --paths compares whole paths instead: the check on each of its ways, snprintf and copies, in every
kernel of the cache and, of the check alone, in the built-in guests. --core takes another core's table (LLVM=19 before the
command: with llvm-mca-19, which knows them). Needs LLVM's tools (Debian: llvm-14) and kernels (usercopy kernel fetch VARIANT).`;

interface Parameters {
  variant?: string;
  core?: string;
  kernel?: string;
  blocks: number;
  worst: boolean;
  paths: boolean;
  json: boolean;
}

function parse(words: readonly string[]): Parameters {
  const parameters: Parameters = { blocks: 1000, worst: false, paths: false, json: false };
  for (let at = 0; at < words.length; at++) {
    const word = present(words[at]);
    const value = (): string => {
      const next = words[++at];
      if (next === undefined) throw new UsercopyError('bad-input', `${word}: expected a value, found none`);
      return next;
    };
    if (word === '--variant') parameters.variant = value();
    else if (word === '--core') parameters.core = value();
    else if (word === '--kernel') parameters.kernel = value();
    else if (word === '--worst') parameters.worst = true;
    else if (word === '--paths') parameters.paths = true;
    else if (word === '--json') parameters.json = true;
    else if (word === '--blocks') {
      const text = value();
      parameters.blocks = Number(text);
      if (!Number.isInteger(parameters.blocks) || parameters.blocks < 1 || parameters.blocks > 20_000)
        throw new UsercopyError('bad-input', `--blocks: expected a number from 1 to 20000, found ${text}`);
    } else throw new UsercopyError('bad-input', `expected an option of those in --help, found ${word}`);
  }
  if (parameters.core !== undefined && !(parameters.paths && parameters.variant !== undefined))
    throw new UsercopyError('bad-input', '--core: expected --paths and --variant beside it, found not both');
  return parameters;
}

/** The image of one kernel that `usercopy kernel fetch` brought for each variant: of 6.1 where there is one. */
async function oneOfEach(): Promise<Map<string, string>> {
  const all = await cachedKernels();
  const found = new Map<string, string>();
  for (const { variant, path } of [...all.filter(({ release }) => release.startsWith('6.1.')), ...all])
    if (!found.has(variant)) found.set(variant, path);
  return found;
}

async function compareKernel(path: string, count: number): Promise<Comparison> {
  const kernel = await loadKernel({ path }, { drivers });
  const variant = variantOf(kernel.variant);
  if (!variant.cycles?.llvm)
    throw new UsercopyError('unsupported', `${path}: LLVM has no scheduling model for ${variant.name}`);
  // One function in so many is looked at: enough blocks for the sample, drawn from all over the kernel.
  const stride = Math.max(1, Math.round(kernel.symbols.count / Math.max(2000, 2 * count)));
  const blocks = await blocksOf(kernel, variant.cycles, stride);
  const model = await openCycleModel(variant);
  try {
    // One with cycles, as was asked above.
    return compare(variant as Variant, kernel.version.release, blocks, model, count);
  } finally {
    model.close();
  }
}

async function pathsOf(
  source: Source,
  name: string,
  { variant: only, core }: Pick<Parameters, 'variant' | 'core'>,
): Promise<JudgedPath[]> {
  const guest = await startGuest(source, 'check');
  try {
    if (!guest.variant.cycles?.llvm || (only !== undefined && guest.variant.name !== only)) return [];
    const model = await openCycleModel(guest.variant, core);
    try {
      const traces = await (source.kind === 'own' ? checkTraces : tracesOf)(guest, source, model);
      return comparePaths(guest.variant, name, traces, model, core);
    } finally {
      model.close();
    }
  } finally {
    guest.close();
  }
}

async function allPaths(asked: Pick<Parameters, 'variant' | 'core'>): Promise<JudgedPath[]> {
  const { variant: only } = asked;
  const found: JudgedPath[] = [];
  for (const { variant, release, path } of await cachedKernels())
    if (only === undefined || only === variant)
      found.push(...(await pathsOf({ kind: 'kernel', path, profile: undefined }, release, asked)));
  for (const variant of ownVariants())
    if (only === undefined || only === variant)
      found.push(...(await pathsOf({ kind: 'own', variant, profile: NEWEST_OWN_PROFILE }, 'built-in guest', asked)));
  return found;
}

const WAYS = ['path', 'afterOne', 'blocks'] as const;

function printPaths(paths: readonly JudgedPath[]): void {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const errors = (list: readonly JudgedPath[], way: (typeof WAYS)[number]) => {
    const parts = list.map((path) => path[way] / path.llvm - 1);
    const mean = (of: (part: number) => number) => parts.reduce((sum, part) => sum + of(part), 0) / parts.length;
    return `${percent(mean(Math.abs))}, ${percent(mean((part) => part))}`;
  };
  const every = new Table({
    head: ['variant', 'kernel', 'path', 'instructions', 'llvm-mca', 'repeated', 'path', 'after one', 'blocks'],
    style: { head: [], border: [] },
  });
  for (const { variant, kernel, name, instructions, llvm, llvmThroughput, path, afterOne, blocks } of paths)
    every.push([
      ...[variant, kernel, name, String(instructions), String(llvm), llvmThroughput?.toFixed(0) ?? '–'],
      ...[path, afterOne, blocks].map(String),
    ]);
  console.log(every.toString());
  const sums = new Table({
    head: ['variant', 'kernel', 'paths', 'path: MAPE, bias', 'after one', 'blocks'],
    style: { head: [], border: [] },
  });
  const groups = new Map<string, JudgedPath[]>();
  for (const path of paths) {
    const key = `${path.variant}\n${path.kernel}`;
    groups.set(key, [...(groups.get(key) ?? []), path]);
  }
  for (const [key, list] of groups)
    sums.push([...key.split('\n'), String(list.length), ...WAYS.map((way) => errors(list, way))]);
  console.log(sums.toString());
  console.log(
    `\nOne pass from an idle pipeline, as llvm-mca ${llvmVersion()} -iterations=1 counts it, filling and draining taken off; repeated: cycles a pass of a hundred. Calls, and what llvm-mca refuses, are left out on both sides.`,
  );
}

function print(comparisons: readonly Comparison[], worst: boolean): void {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const table = new Table({
    head: [
      'variant',
      'kernel',
      'core',
      'half',
      'blocks',
      'refused',
      'MAPE',
      'less fill',
      'bias',
      "Kendall's tau",
      'exact',
      'µs/block',
    ],
    style: { head: [], border: [] },
  });
  for (const { variant, kernel, core, halves } of comparisons)
    for (const half of halves)
      table.push([
        ...[variant, kernel, core, half.name, String(half.blocks), String(half.refused), percent(half.mape)],
        ...[
          percent(half.mapeLessFill),
          percent(half.bias),
          half.tau.toFixed(3),
          percent(half.exact),
          half.microseconds.toFixed(0),
        ],
      ]);
  console.log(table.toString());
  console.log(
    `\nOne pass through each block, as llvm-mca ${llvmVersion()} -iterations=1 counts it; calls left out (it takes 100 cycles for each).`,
  );
  console.log(
    "refused: blocks with an instruction that llvm-mca does not model. less fill: with the pipeline's filling and draining taken off both.",
  );
  console.log(`Estimates ignore what llvm-mca ignores: ${IGNORED}.`);
  for (const { variant, worst: list } of comparisons) {
    if (list.length === 0) continue;
    console.log(
      `\n${variant}: where the blocks that differ part from llvm-mca (first instruction whose timing is another):`,
    );
    for (const { what, count, example } of list.slice(0, worst ? 20 : 4))
      console.log(`  ${String(count).padStart(4)} ${what}${worst ? `\n         ${example.join('\n         ')}` : ''}`);
  }
}

try {
  const words = process.argv.slice(2);
  if (words.includes('--help')) console.log(USAGE);
  else {
    const parameters = parse(words);
    if (llvmVersion() === null)
      throw new UsercopyError(
        'missing-dependency',
        `llvm-mca: expected llvm-mca-14 or llvm-mca, found neither (${HOW_TO_GET_LLVM})`,
      );
    if (parameters.paths) {
      const paths = await allPaths(parameters);
      if (paths.length === 0)
        throw new UsercopyError(
          'bad-input',
          `--variant: expected one that LLVM has a model for, found ${parameters.variant}`,
        );
      if (parameters.json) console.log(JSON.stringify({ llvm: llvmVersion(), paths }, null, 2));
      else printPaths(paths);
      process.exit(0);
    }
    const kernels = parameters.kernel === undefined ? [...(await oneOfEach())] : [['', parameters.kernel] as const];
    const wanted = kernels.filter(
      ([variant]) => parameters.variant === undefined || variant === '' || variant === parameters.variant,
    );
    if (wanted.length === 0)
      throw new UsercopyError(
        'bad-input',
        `expected a kernel of ${parameters.variant ?? 'some variant'} in .cache/kernels, found none: usercopy kernel fetch ${parameters.variant ?? 'x86_64'}`,
      );
    const comparisons: Comparison[] = [];
    for (const [variant, path] of wanted) {
      if (process.stderr.isTTY) process.stderr.write(`comparing ${variant} …\r`);
      comparisons.push(await compareKernel(path, parameters.blocks));
    }
    if (parameters.json) console.log(JSON.stringify({ llvm: llvmVersion(), ignored: IGNORED, comparisons }, null, 2));
    else print(comparisons, parameters.worst);
  }
} catch (error) {
  if (!(error instanceof UsercopyError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
