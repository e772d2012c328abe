/** `usercopy prepare`: works an attachment out for harnesses in C or Python (native/harness.h). */
import { resolve } from 'node:path';
import { Option } from 'commander';
import { variantOf } from '../../arch/index.js';
import { prepareHarness } from '../attach/harness.js';
import { CODE_BYTES, type HarnessFile, harnessText } from '../attach/harness-file.js';
import type { HarnessOptions } from '../attach/options.js';
import { badInput, hex } from '../errors.js';
import { Guest } from '../guest/guest.js';
import { readSnapshot, snapshotReader } from '../guest/snapshot.js';
import { bareKernel } from '../image/bare.js';
import { writeWhole } from '../image/files.js';
import { loadKernel } from '../image/load.js';
import { withMemory } from '../introspect/parameters.js';
import { wordOf } from '../scenario/expression.js';
import { readScenario, type ScenarioFile } from '../scenario/read.js';
import { buildWorld } from '../scenario/world.js';
import { measureStackDepth } from '../stack/depth.js';
import { print, progress, warn } from '../terminal.js';
import { nextLine, toJson } from './output.js';
import { Verb } from './verb.js';

interface PrepareOptions {
  readonly output: string;
  readonly symbol?: readonly string[];
  readonly kernel?: string;
  readonly btf?: string;
  readonly config?: string;
  readonly snapshot?: string;
  readonly profile?: string;
  readonly frames?: boolean;
  readonly judge?: 'kernel' | 'all';
  readonly json?: boolean;
}

export function prepareCommand(): Verb {
  return new Verb('prepare')
    .description('Prepare the check of a kernel or a scenario for a harness in C or Python (libusercopy).')
    .argument(
      '[scenario]',
      'Take the guest, its declared memory and the rules from this scenario. Its copies are not made.',
    )
    .requiredOption('-o, --output <file>', 'Write the JSON for usercopy_attach() to this file.')
    .option('--kernel <image>', 'Prepare this kernel image (vmlinux, bzImage, …) instead of a scenario.')
    .option('--btf <file>', 'With --kernel, take the types from this file if the image has none.')
    .option('--config <file>', 'With --kernel, take the configuration (.config) from this file if the image has none.')
    .option(
      '--snapshot <folder>',
      'With --kernel, prepare for the memory in this folder, which the harness loads. Unicorn dumpers and run --snapshot write such folders.',
    )
    .option(
      '--profile <name>',
      'With --kernel, judge by these rules. By default, the contents of the kernel decide, then its vendor and version.',
    )
    .option('--frames', 'With --kernel, check stack frames even if the kernel does not.')
    .addOption(
      new Option('--judge <which>', 'With --kernel, judge what the kernel judges, or every copy.').choices([
        'kernel',
        'all',
      ]),
    )
    .option(
      '--symbol <name=address...>',
      'Hook only these functions, in a guest that is not a kernel. Only declared memory is judged then.',
    )
    .option('--json', 'Print JSON.')
    .ends({
      notes: `The file also has the names of the functions, for backtraces and usercopy_symbol(). A note says what the attachment cannot
judge. A warning says that it can judge hardly anything: here, when the harness attaches, and after 10 000 copies that met nothing
it knows.`,
      status: '0, or 2 for bad input.',
      examples: [
        'usercopy run --kernel vmlinuz --snapshot guest',
        'usercopy prepare --kernel vmlinuz --snapshot guest -o attach.json',
        'usercopy prepare kernel.yaml -o attach.json',
        'usercopy prepare firmware.yaml --symbol _copy_to_user=0x10000 -o attach.json',
      ],
    })
    .action(async (scenario: string | undefined, options: PrepareOptions) => {
      const prepared = await progress.during('preparing …', prepare(scenario, options));
      writeWhole(options.output, harnessText(prepared));
      for (const warning of prepared.warnings) warn(warning);
      const { variant, kernel, profile, judge, entries, warnings, notes } = prepared;
      if (options.json) {
        const hooks = entries.map(({ symbol, address }) => ({ symbol, address }));
        print(toJson({ file: options.output, variant, kernel, profile, judge, entries: hooks, warnings, notes }));
        return;
      }
      const hooked = entries.map(({ symbol, address }) => `${symbol} at ${address}`).join(', ');
      print(`${options.output}: ${variant}, profile ${profile}; hooks ${hooked}`);
      for (const note of notes) print(`note: ${note}`);
      print(nextLine(`usercopy.attach(uc, ${JSON.stringify(options.output)}) in Python, or usercopy_attach() in C`));
    });
}

const KERNEL_OPTIONS = ['btf', 'config', 'snapshot', 'profile', 'frames', 'judge'] as const;

function prepare(scenario: string | undefined, options: PrepareOptions): Promise<HarnessFile> {
  const { kernel, symbol } = options;
  if ((kernel === undefined) === (scenario === undefined)) {
    throw badInput('prepare', 'either a scenario or --kernel IMAGE', kernel === undefined ? 'neither' : 'both');
  }
  if (scenario === undefined) {
    if (symbol !== undefined) throw badInput('prepare --symbol', 'a scenario that declares the memory', '--kernel');
    return ofKernel(kernel ?? '', options);
  }
  const stray = KERNEL_OPTIONS.find((name) => options[name] !== undefined);
  if (stray !== undefined)
    throw badInput(`prepare --${stray}`, '--kernel IMAGE with it', 'a scenario, which says it itself');
  const file = readScenario(scenario);
  return symbol === undefined ? ofGuest(file) : ofAddresses(file, parseSymbols(symbol));
}

/** The image as it stands, or as the snapshot has it: a page array is nowhere but in a guest that was set up. */
async function ofKernel(image: string, options: PrepareOptions): Promise<HarnessFile> {
  const { btf, config, snapshot, profile, frames, judge } = options;
  const guest = await Guest.create(await loadKernel(resolve(image), { btf, config }));
  try {
    const { kernel } = guest;
    const stackDepth = kernel.types === null ? null : await measureStackDepth(guest);
    const live = snapshot === undefined ? kernel : withMemory(kernel, readerOf(snapshot, guest));
    return await prepareHarness(live, { profile, frames, judge, stackDepth: stackDepth ?? undefined });
  } finally {
    guest.close();
  }
}

/** @throws UsercopyError `bad-input` when the snapshot is not of a guest that runs this kernel where the image says. */
function readerOf(folder: string, { kernel }: Guest): ReturnType<typeof snapshotReader> {
  const read = snapshotReader(readSnapshot(folder));
  const place = kernel.symbols.address('__check_object_size') ?? kernel.segments[0]?.address ?? 0n;
  const code = kernel.read(place, CODE_BYTES);
  const found = read(place, CODE_BYTES);
  const same = found?.filter((byte, index) => byte === code?.[index]).length ?? 0;
  // A few bytes are patched when a kernel boots.
  if (found !== undefined && (code === undefined || 2 * same >= CODE_BYTES)) return read;
  throw badInput(
    `prepare --snapshot ${folder}`,
    `the kernel's code at ${hex(place)}, where its image has it (nokaslr)`,
    found === undefined ? 'no memory there' : 'other code there',
  );
}

function parseSymbols(words: readonly string[]): ReadonlyMap<string, bigint> {
  return new Map(
    words.map((word) => {
      const [, name, address] = /^([A-Za-z_][\w.]*)=(.+)$/.exec(word) ?? [];
      if (name === undefined || address === undefined) throw badInput('--symbol', 'NAME=ADDRESS', word);
      return [name, wordOf(address, `--symbol ${name}`)];
    }),
  );
}

/** The scenario's own guest is started for what boot code computes, and for the stack that its check uses. */
async function ofGuest(file: ScenarioFile): Promise<HarnessFile> {
  const world = await buildWorld(file);
  try {
    const depth = world.stackDepth === undefined ? await measureStackDepth(world.guest) : world.stackDepth;
    return await prepareHarness(world.kernel, {
      ...rulesOf(file),
      profile: world.profile,
      declarations: world.declarations,
      stackDepth: depth ?? undefined,
    });
  } finally {
    world.guest.close();
  }
}

async function ofAddresses(file: ScenarioFile, symbols: ReadonlyMap<string, bigint>): Promise<HarnessFile> {
  const world = await buildWorld(file);
  world.guest.close();
  if (world.declarations.length === 0) {
    throw badInput(
      file.positions.file,
      'declared memory among the objects, since --symbol says there is no kernel',
      'none',
    );
  }
  const kernel = bareKernel(variantOf(world.kernel.variant), symbols);
  return prepareHarness(kernel, {
    ...rulesOf(file),
    judge: 'all',
    profile: world.profile ?? '6.1',
    declarations: world.declarations,
  });
}

function rulesOf({ scenario }: ScenarioFile): Pick<HarnessOptions, 'judge' | 'frames'> {
  const { judge, guest } = scenario;
  return {
    judge,
    frames: guest.frames,
  };
}
