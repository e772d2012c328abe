/** `usercopy prepare`: works an attachment out for harnesses in C or Python (native/harness.h). */
import { Command } from 'commander';
import { variantOf } from '../../arch/index.js';
import { type HarnessOptions, prepareHarness } from '../attach/harness.js';
import { type HarnessFile, harnessText } from '../attach/harness-file.js';
import { badInput } from '../errors.js';
import { bareKernel } from '../image/bare.js';
import { writeWhole } from '../image/files.js';
import { wordOf } from '../scenario/expression.js';
import { readScenario, type ScenarioFile } from '../scenario/read.js';
import { buildWorld } from '../scenario/world.js';
import { measureStackDepth } from '../stack/depth.js';
import { print } from '../terminal.js';

interface PrepareOptions {
  readonly output: string;
  readonly symbol?: readonly string[];
}

export function prepareCommand(): Command {
  return new Command('prepare')
    .description('work the attachment of a scenario out, for a harness in C or Python (libusercopy)')
    .argument('<scenario>', 'the guest, its declared memory and the rules; its copies are not made')
    .requiredOption('-o, --output <file>', 'where the JSON for usercopy_attach() goes')
    .option(
      '--symbol <name=address...>',
      "the harness's guest is no kernel: only these entry points are hooked, and only declared memory is judged",
    )
    .addHelpText(
      'after',
      `
Examples:
  $ usercopy prepare kernel.yaml -o attach.json
  $ usercopy prepare firmware.yaml --symbol _copy_to_user=0x10000 -o attach.json

Exit status: 0, or 2 for bad input.`,
    )
    .action(async (scenario: string, options: PrepareOptions) => {
      const file = readScenario(scenario);
      const prepared =
        options.symbol === undefined ? await ofGuest(file) : await ofAddresses(file, parseSymbols(options.symbol));
      writeWhole(options.output, harnessText(prepared));
      const entries = prepared.entries.map(({ symbol, address }) => `${symbol} at ${address}`).join(', ');
      print(`${options.output}: ${prepared.variant}, profile ${prepared.profile}; hooks ${entries}`);
      for (const note of prepared.notes) print(`note: ${note}`);
    });
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
