/** `npm run bench:cycles`: our prices of basic blocks against llvm-mca's, on the blocks that took no part in the tables. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Table from 'cli-table3';
import type { Variant } from '../../arch/driver.js';
import { drivers, variantOf } from '../../arch/index.js';
import { IGNORED, openCycleModel } from '../../src/cycles/open.js';
import { UsercopyError } from '../../src/errors.js';
import { loadKernel } from '../../src/image/load.js';
import { packageFile } from '../../src/paths.js';
import { type Comparison, compare } from './compare.js';
import { blocksOf } from './corpus.js';
import { llvmVersion } from './llvm.js';

const USAGE = `Usage: npm run bench:cycles -- [--variant NAME] [--kernel IMAGE] [--blocks N] [--worst] [--json]

Prices N (default 1000) basic blocks of each half (tuning, held out) of every kernel in the cache and compares with one
iteration of llvm-mca. Needs LLVM's tools (Debian: llvm) and kernels (usercopy kernel fetch VARIANT).`;

interface Parameters {
  variant?: string;
  kernel?: string;
  blocks: number;
  worst: boolean;
  json: boolean;
}

function parse(words: readonly string[]): Parameters {
  const parameters: Parameters = { blocks: 1000, worst: false, json: false };
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    const value = (): string => {
      const next = words[++at];
      if (next === undefined) throw new UsercopyError('bad-input', `${word}: expected a value, found none`);
      return next;
    };
    if (word === '--variant') parameters.variant = value();
    else if (word === '--kernel') parameters.kernel = value();
    else if (word === '--worst') parameters.worst = true;
    else if (word === '--json') parameters.json = true;
    else if (word === '--blocks') {
      const text = value();
      parameters.blocks = Number(text);
      if (!Number.isInteger(parameters.blocks) || parameters.blocks < 1 || parameters.blocks > 20_000)
        throw new UsercopyError('bad-input', `--blocks: expected a number from 1 to 20000, found ${text}`);
    } else throw new UsercopyError('bad-input', `expected an option of those in --help, found ${word}`);
  }
  return parameters;
}

/** Kernels that `usercopy kernel fetch` brought, one a variant: the newest of the oldest series first. */
async function cachedKernels(): Promise<Map<string, string>> {
  const cache = packageFile('.cache/kernels');
  const found = new Map<string, string>();
  for (const release of (await readdir(cache).catch(() => [])).sort(
    (a, b) => Number(b.startsWith('6.1')) - Number(a.startsWith('6.1')),
  )) {
    const variant = await readFile(join(cache, release, 'variant'), 'utf8').catch(() => null);
    if (variant === null || found.has(variant.trim())) continue;
    const image = (await readdir(join(cache, release))).find((name) => /^vmlinu[xz]/.test(name));
    if (image !== undefined) found.set(variant.trim(), join(cache, release, image));
  }
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
    return compare(variant as Variant, kernel.version.release, blocks, model, count);
  } finally {
    model.close();
  }
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
        'llvm-mca: expected it in PATH, found none (Debian, Ubuntu: apt-get install llvm)',
      );
    const kernels = parameters.kernel === undefined ? [...(await cachedKernels())] : [['', parameters.kernel] as const];
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
