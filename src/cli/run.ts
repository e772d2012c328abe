/** `usercopy run`: plays built-in sets of copies, scenarios, or single calls. */
import { Option } from 'commander';
import { UsercopyError } from '../errors.js';
import { ownVariants } from '../scenario/own.js';
import type { Forms } from './answer.js';
import { refuseStray } from './arguments.js';
import { DEFAULT_COPIES, runRandom } from './run-random.js';
import { runCalls, runScenarioFiles } from './run-scenarios.js';
import { runSnapshot } from './run-snapshot.js';
import { runLkdtm, runOwn } from './run-twins.js';
import { Verb } from './verb.js';

interface RunOptions extends Forms {
  readonly runnable?: boolean;
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly variant?: string[];
  readonly profile?: string;
  readonly frames?: boolean;
  readonly call?: string[];
  readonly judge?: 'kernel' | 'all';
  readonly snapshot?: string;
  readonly coverage?: string;
  readonly sanitize?: string;
  readonly copies?: string;
  readonly seed?: string;
  readonly details?: boolean;
  readonly cycles?: boolean;
}

export function runCommand(): Verb {
  return new Verb('run')
    .description('Run copies in a guest, and compare what its own check says with what ours says.')
    .argument(
      '[what...]',
      "Name what to run: 'own' (the built-in guests), 'lkdtm' (a real kernel, given with --kernel), 'random' (either), or scenario files (YAML or JSON).",
    )
    .option('--kernel <image>', 'Run this kernel image (vmlinux, bzImage, …).')
    .option('--btf <file>', 'Take the types from this file if the image has none.')
    .option('--config <file>', 'Take the configuration (.config) from this file if the image has none.')
    .option(
      '--profile <name>',
      'Judge by these rules. By default, the contents of the kernel decide, then its vendor and version. Without a kernel, own uses all rules that the guests know, and random the newest.',
    )
    .addOption(
      new Option(
        '--variant <name...>',
        'With own, random or --call, run the built-in guests of these architectures.',
      ).choices(ownVariants()),
    )
    .option(
      '--runnable',
      'With own, a variant that the emulator at hand cannot run is said, and does not count in the exit status.',
    )
    .option('--frames', "Check stack frames even if the kernel does not. A built-in guest's own check does so too.")
    .option(
      '--call <call...>',
      "Call these functions, written as 'symbol(argument, …)'. Arguments are numbers, the kernel's symbols, user, stack, and objects that are made for it: kmalloc_64 (any size of a kmalloc cache), cred, folio, vmalloc, scratch.",
    )
    .addOption(
      new Option('--judge <which>', 'With --call, judge what the kernel judges, or every copy.').choices([
        'kernel',
        'all',
      ]),
    )
    .option(
      '--snapshot <folder>',
      "Run nothing. Write the guest of a scenario, --kernel or --variant into this folder, as Unicorn's dumpers do. With --call, it stands at that function.",
    )
    .option('--coverage <file>', 'Write which code ran, as drcov. This needs exactly one guest.')
    .option(
      '--sanitize <list>',
      'With scenarios or --call, also report what the check lets pass: copies of free slab objects (freed), copies over red zones (redzone), or both (freed,redzone).',
    )
    .option('--copies <number>', `With random, make this many copies. The default is ${DEFAULT_COPIES}.`)
    .option(
      '--seed <number>',
      'With random, seed the generator with this number. By default it comes from the clock and is printed.',
    )
    .option('--cycles', 'With own, estimate guest cycles too.')
    .option('--details', "With own, print every guest's table of cases.")
    .tables('Print JSON, one line for each scenario or call.')
    .ends({
      status: `0 if all are identical and as expected; 1 if a copy was refused unexpectedly, if a check said something else,
if an expectation is not met, or if a sanitizer found something; 2 for bad input.`,
      examples: [
        'usercopy run own',
        'usercopy run case.yaml other.yaml --json',
        'usercopy run lkdtm --kernel "$(usercopy kernel fetch x86_64 --json | jq -r .path)"',
        'usercopy run random --kernel vmlinuz --copies 100000 --seed 1',
        'usercopy run random --variant sparc64 ppc --frames',
        "usercopy run --kernel vmlinuz --call '__check_object_size(_stext + 64, 1024, 1)'",
        'usercopy run case.yaml --coverage case.drcov',
        'usercopy run case.yaml --sanitize freed,redzone',
        "usercopy run --kernel vmlinuz --snapshot guest --call '_copy_to_user(user, kmalloc_64, 64)'",
      ],
    })
    .action(async (what: string[], options: RunOptions) => {
      process.exitCode = await run(what, options);
    });
}

type UsedOptions = readonly (keyof RunOptions)[];

/** What a run uses, and its name in errors. */
function usedBy(what: readonly string[], { snapshot, call, kernel }: RunOptions): [string, UsedOptions] {
  const [set] = what;
  const rules: UsedOptions = ['profile', 'frames'];
  // Types and configuration are an image's; that an image and a built-in guest are asked for is told by who reads them.
  const guest: UsedOptions = [
    'kernel',
    'variant',
    ...rules,
    ...(kernel === undefined ? [] : (['btf', 'config'] as const)),
  ];
  if (snapshot !== undefined) {
    const common: UsedOptions = ['snapshot', 'call'];
    return set === undefined
      ? ['run --snapshot', [...common, ...guest]]
      : ['run --snapshot of a scenario', [...common, 'kernel', 'variant']];
  }
  if (call !== undefined) return ['run --call', ['call', 'judge', 'coverage', 'sanitize', ...guest]];
  switch (set) {
    case 'own':
      return ['run own', ['variant', 'runnable', 'details', 'cycles', 'coverage', ...rules]];
    case 'lkdtm':
      return ['run lkdtm', ['kernel', 'btf', 'config', 'coverage', ...rules]];
    case 'random':
      return ['run random', ['copies', 'seed', 'coverage', ...guest]];
    default:
      return ['run of scenario files, which say the rest themselves', ['coverage', 'sanitize']];
  }
}

function run(what: readonly string[], options: RunOptions): Promise<number> {
  const [set] = what;
  if (set !== undefined || options.call !== undefined || options.snapshot !== undefined) {
    const [where, used] = usedBy(what, options);
    refuseStray(where, options, used);
  }
  if (options.snapshot !== undefined) return runSnapshot(what, { ...options, snapshot: options.snapshot });
  if (options.call !== undefined) {
    if (set !== undefined) throw new UsercopyError('bad-input', `run --call: expected nothing to play, found '${set}'`);
    return runCalls({ ...options, call: options.call });
  }
  if (set === undefined) {
    throw new UsercopyError(
      'bad-input',
      "run: expected 'own', 'lkdtm', 'random', scenario files or --call, found none",
    );
  }
  const isSet = set === 'own' || set === 'lkdtm' || set === 'random';
  if (options.coverage !== undefined) requireOneGuest(what, options);
  if (!isSet) return runScenarioFiles(what, options);
  if (what.length > 1)
    throw new UsercopyError('bad-input', `run ${set}: expected nothing after it, found '${what[1]}'`);
  if (set === 'own') return runOwn(options);
  return set === 'lkdtm' ? runLkdtm({ ...options, kernel: kernelOption(set, options) }) : runRandom(options);
}

function requireOneGuest(what: readonly string[], { kernel, variant = [] }: RunOptions): void {
  const [set] = what;
  const isOne = set === 'random' ? kernel !== undefined || variant.length === 1 : set !== 'own' && what.length === 1;
  if (isOne) return;
  throw new UsercopyError(
    'bad-input',
    'run --coverage: expected one guest (a scenario, --call, lkdtm, or random with one guest), found more',
  );
}

function kernelOption(set: string, options: RunOptions): string {
  if (options.kernel !== undefined) return options.kernel;
  throw new UsercopyError(
    'bad-input',
    `run ${set}: expected --kernel IMAGE, found none; 'usercopy kernel fetch x86_64' gets one`,
  );
}
