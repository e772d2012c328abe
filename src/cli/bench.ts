/** `usercopy bench`: what the check costs, the kernel's own and ours. */
import { Option } from 'commander';
import { type Comparable, comparable, comparableOverhead } from '../../bench/comparable.js';
import { compareComparables, comparisonParts } from '../../bench/compare.js';
import { painter } from '../../bench/drawing.js';
import { overheadOf } from '../../bench/overhead.js';
import { toHtml } from '../../bench/page.js';
import { runBench } from '../../bench/run.js';
import { resultParts } from '../../bench/text.js';
import type { Source } from '../../bench/world.js';
import { badInput } from '../errors.js';
import { readWhole, writeWhole } from '../image/files.js';
import { NEWEST_OWN_PROFILE, OWN_PROFILES, ownVariants } from '../scenario/own.js';
import { progress } from '../terminal.js';
import { type Forms, printAnswer } from './answer.js';
import { refuseStray } from './arguments.js';
import { CLEAN, toJson, VIOLATION } from './output.js';
import { Verb } from './verb.js';

interface BenchCommandOptions extends Forms {
  readonly variant?: string[];
  readonly kernel?: string;
  readonly profile?: string[];
  readonly growth?: 'scaled' | 'full';
  readonly quick?: boolean;
  readonly html?: string;
  readonly compare?: string;
}

const RESULT_LIMIT = 16 * 2 ** 20;
const IMAGE_LIMIT = 2 ** 30;
/** No text has a byte of 0, and every image has one early. */
const TEXT_SAMPLE = 4096;

export function benchCommand(): Verb {
  return new Verb('bench')
    .description("Measure what the check costs: the kernel's own in instructions and cycles, ours in nanoseconds.")
    .argument('[new]', 'With --compare, read the later result, or the other kernel, from this file.')
    .addOption(
      new Option(
        '--variant <name...>',
        'Measure the built-in guests of these architectures. The default is all of them.',
      ).choices(ownVariants()),
    )
    .option(
      '--kernel <image>',
      'Measure this kernel image too. Built-in guests are then measured only if --variant names them.',
    )
    .option(
      '--profile <name...>',
      `Measure with each of these rules. Built-in guests know ${Object.keys(OWN_PROFILES).join(', ')}; the default is ${NEWEST_OWN_PROFILE}. The default for a kernel is its own.`,
    )
    .addOption(
      new Option(
        '--growth <how>',
        'Measure how the costs grow up to 100 000 copies and 512 MiB of RAM (scaled, the default), or up to 10 million copies and 3.5 GiB (full).',
      ).choices(['scaled', 'full']),
    )
    .option('--quick', 'Make a test run of a few seconds. Its figures mean nothing.')
    .option('--html <file>', 'Write an HTML page with charts too. It needs the package echarts.')
    .option('--compare <old>', 'Compare OLD with NEW: two results of --json, or two kernel images by their own check.')
    .tables()
    .ends({
      notes: `--compare judges times by their margins: a difference within them counts as none, or as too noisy to say. The guest's own check is
exact. A result of --quick is not compared with a full one; times of two machines are shown and not judged.`,
      status: '0 if it was measured, 1 if --compare found something slower beyond the margins, 2 for bad input.',
      examples: [
        'usercopy bench --variant x86_64 arm64',
        'usercopy bench --json > new.json && usercopy bench --compare old.json new.json',
        'usercopy bench --compare vmlinuz-6.1 vmlinuz-6.12',
        'usercopy bench --kernel vmlinuz --html bench.html',
        'usercopy bench --growth full --json',
      ],
    })
    .action(async (later: string | undefined, options: BenchCommandOptions) => {
      process.exitCode = await bench(later, options);
    });
}

async function bench(later: string | undefined, options: BenchCommandOptions): Promise<number> {
  if (options.compare !== undefined) {
    if (later === undefined) throw badInput('bench --compare', 'two files, OLD and NEW', 'one');
    refuseStray('bench --compare', options, ['compare']);
    const comparison = compareComparables(
      await readComparable(options.compare, 'OLD'),
      await readComparable(later, 'NEW'),
    );
    printAnswer(options, {
      json: () => toJson(comparison),
      parts: () => comparisonParts(comparison),
      next: 'usercopy overhead --kernel IMAGE OTHER-IMAGE  # two kernels path by path, exact and the same in every run',
    });
    return comparison.slower > 0 ? VIOLATION : CLEAN;
  }
  if (later !== undefined) throw badInput('bench', 'a file only with --compare', `'${later}'`);
  // Said before anything is measured: ECharts may be missing.
  if (options.html !== undefined) await painter();
  const result = await runBench({
    ...{ sources: sourcesOf(options), quick: options.quick ?? false, growth: options.growth ?? 'scaled' },
    onProgress: (text) => progress.show(`measuring ${text} …`),
  });
  progress.clear();
  if (options.html !== undefined) writeWhole(options.html, await toHtml(result));
  printAnswer(options, {
    json: () => toJson(result),
    parts: () => resultParts(result),
    next: 'usercopy bench --json > new.json, and after a change: usercopy bench --compare old.json new.json',
  });
  return CLEAN;
}

function sourcesOf({ kernel, variant, profile }: BenchCommandOptions): Source[] {
  const variants = variant ?? (kernel === undefined ? ownVariants() : []);
  const own = variants.flatMap((name) =>
    (profile ?? [NEWEST_OWN_PROFILE]).map((rules): Source => {
      if (OWN_PROFILES[rules] === undefined)
        throw badInput('--profile', `one of ${Object.keys(OWN_PROFILES).join(', ')} for a built-in guest`, rules);
      return { kind: 'own', variant: name, profile: rules };
    }),
  );
  if (kernel === undefined) return own;
  const profiles: readonly (string | undefined)[] = profile ?? [undefined];
  return [...own, ...profiles.map((rules): Source => ({ kind: 'kernel', path: kernel, profile: rules }))];
}

/** A result, or a kernel image, whose own check is measured now. */
async function readComparable(path: string, which: string): Promise<Comparable> {
  const bytes = readWhole(path, IMAGE_LIMIT);
  if (bytes.subarray(0, TEXT_SAMPLE).includes(0)) {
    progress.show(`measuring ${path} …`);
    try {
      return comparableOverhead([await overheadOf({ kind: 'kernel', path, profile: undefined })]);
    } finally {
      progress.clear();
    }
  }
  if (bytes.length > RESULT_LIMIT) throw badInput(path, `at most ${RESULT_LIMIT} bytes of JSON`, `${bytes.length}`);
  let result: unknown;
  try {
    result = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw badInput(path, 'JSON as usercopy bench --json or overhead --json prints it, or a kernel image', 'no JSON');
  }
  return comparable(result, which);
}
