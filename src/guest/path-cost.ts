/** What a call of the guest's own code costs: instructions and cycles of the path that it takes. */
import type { Load } from '../cycles/memory.js';
import { pathCycles } from '../cycles/path.js';
import type { CycleModel } from '../cycles/price.js';
import type { CodeBlock } from '../engine/engine.js';
import { hex, UsercopyError } from '../errors.js';
import type { CallOutcome, Guest } from './guest.js';

export interface PathCost {
  /** How the call ended. */
  readonly outcome: CallOutcome;
  readonly instructions: number;
  /** Of the model's core, for one pass from an idle pipeline; null without a model. */
  readonly cycles: number | null;
  /** The blocks of the path, in the order in which they ran. Without a model there are none. */
  readonly path: readonly CodeBlock[];
}

/** Calls a function once, from its first instruction to its return or to BUG(). The guest's memory is not put back. */
export async function costOfCall(
  guest: Guest,
  target: string | bigint,
  args: readonly bigint[],
  model: CycleModel | null,
): Promise<PathCost> {
  const known = new Map<string, CodeBlock>();
  const entered: (readonly [address: bigint, size: number])[] = [];
  // What each instruction has left in the register of quotients, where the core makes short ones sooner.
  const lefts: bigint[] = [];
  const register = model?.table.division === undefined ? undefined : model.traits.division?.register;
  const hooks = model === null ? [] : [guest.engine.hookBlock((address, size) => entered.push([address, size]))];
  if (register !== undefined)
    hooks.push(guest.engine.hookInstruction(() => lefts.push(guest.engine.readRegister(register))));
  try {
    const outcome = await guest.call(target, args, {
      countInstructions: true,
      ...(model === null
        ? {}
        : {
            cycles(block) {
              known.set(keyOf(block.address, block.code.length), block);
              return 0;
            },
          }),
    });
    const instructions = outcome.instructions ?? 0;
    if (model === null) return { outcome, instructions, cycles: null, path: [] };
    const path = entered.map(([address, size]) => {
      // One that cannot be read has no bytes.
      const block = known.get(keyOf(address, size)) ?? known.get(keyOf(address, 0));
      if (block !== undefined) return block;
      throw new UsercopyError(
        'engine',
        `cost of a path: expected the block of ${size} bytes at ${hex(address)} to be priced before it ran, found none`,
      );
    });
    // The next instruction shows what one has left; nothing shows it of the last. One that repeats itself shifts the numbers.
    const left = (instruction: number) => (lefts.length === instructions ? (lefts[instruction + 1] ?? null) : null);
    return { outcome, instructions, cycles: pathCycles(model, path, { instructions, left }), path };
  } finally {
    for (const hook of hooks) hook.remove();
  }
}

const keyOf = (address: bigint, size: number): string => `${address} ${size}`;

/** What a call loads, by the number of the instruction in its path. */
export interface LoadTrace {
  readonly outcome: CallOutcome;
  readonly instructions: number;
  readonly loads: ReadonlyMap<number, readonly Load[]>;
}

/** Calls a function once, in single steps, and notes its loads. The guest's memory is not put back. */
export async function loadsOfCall(guest: Guest, target: string | bigint, args: readonly bigint[]): Promise<LoadTrace> {
  const loads = new Map<number, Load[]>();
  let instructions = 0;
  const hooks = [
    guest.engine.hookInstruction(() => instructions++),
    guest.engine.hookMemoryRead((address, size) => {
      const number = instructions - 1;
      const mine = loads.get(number);
      if (mine === undefined) loads.set(number, [{ address, size }]);
      else mine.push({ address, size });
    }),
  ];
  try {
    const outcome = await guest.call(target, args, {});
    return { outcome, instructions, loads };
  } finally {
    for (const hook of hooks) hook.remove();
  }
}
