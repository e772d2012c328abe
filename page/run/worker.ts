/** The worker in which the user's emulator runs: the page's program, and behind it his file. The page ends it when it takes too long. */
import { drivers } from '../../arch/index.js';
import { instantiate } from '../../src/engine/unicorn-js/module.js';
import { unicornJsOpener } from '../../src/engine/unicorn-js.js';
import { badInput, messageOf, UsercopyError } from '../../src/errors.js';
import { kernelFromElf } from '../../src/image/elf-kernel.js';
import { furnish } from '../../src/scenario/furnish.js';
import { madeScenario } from '../../src/scenario/made.js';
import { startOwnGuest } from '../../src/scenario/own-guest.js';
import { playIn } from '../../src/scenario/play-steps.js';
import { chooseRules } from '../../src/scenario/rules.js';
import { factoryOf, watchForFactory } from './factory.js';
import type { PlayedRun, RunNews, RunOrder } from './messages.js';

/** What of a worker's globals is used. */
interface WorkerScope {
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  postMessage(news: RunNews): void;
}

/** Answers one order. */
export function serve(scope: WorkerScope): void {
  // The global object of a worker.
  const findFactory = watchForFactory(scope as unknown as Record<string, unknown>);
  const progress = (what: string): void => scope.postMessage({ kind: 'progress', what });
  scope.addEventListener('message', ({ data }) => {
    // The page's own word.
    const order = data as RunOrder;
    play(order, findFactory, progress).then(
      (run) => scope.postMessage({ kind: 'done', run }),
      (error: unknown) => scope.postMessage({ kind: 'failed', message: sentenceOf(error, order) }),
    );
  });
}

function sentenceOf(error: unknown, { emulator }: RunOrder): string {
  if (error instanceof UsercopyError) return error.message;
  // What the emulator's own code threw: it traps, or aborts.
  return `${emulator}: the emulator failed: ${messageOf(error)}`;
}

async function play(
  { scenario, variant, guest: elf, check, emulator, wasm }: RunOrder,
  findFactory: ReturnType<typeof watchForFactory>,
  progress: (what: string) => void,
): Promise<PlayedRun> {
  progress(`loading ${emulator}`);
  const make = findFactory();
  if (make === null) throw badInput(emulator, 'unicorn.js, which leaves a function MUnicorn() behind', 'none');
  const open = unicornJsOpener(await instantiate(emulator, factoryOf(make, emulator, wasm)));
  progress(`starting the ${variant} guest`);
  // The built-in guests have no configuration in them.
  const kernel = await kernelFromElf(elf, `${variant}.elf`, drivers, async () => null);
  if (kernel.variant !== variant) throw badInput('the guest', `one of ${variant}`, `one of ${kernel.variant}`);
  const guest = await startOwnGuest(kernel, { openEngine: open, checkSource: { module: () => check } });
  // As long as it is open.
  const engine = `${guest.engine.name} ${guest.engine.version}`;
  const file = madeScenario(scenario);
  const world = await furnish(await chooseRules(guest, scenario.guest), file);
  progress('playing the copy');
  const { kernel: release, profile, notes, ok, rows } = await playIn(world, file);
  return {
    variant,
    kernel: release,
    profile,
    notes,
    ok,
    engine,
    rows: rows.map(({ case: name, guest: theirs, ours, identical, outcome, guestInstructions, unmet }) => ({
      ...{ case: name, guest: theirs, ours, identical, outcome, guestInstructions, unmet },
    })),
  };
}
