/** What a call of the guest's own code costs: instructions and cycles of the path that it takes. */

import { pathCycles } from '../cycles/path.js';
import type { CycleModel } from '../cycles/price.js';
import type { CodeBlock } from '../engine/engine.js';
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
  const known = new Map<bigint, CodeBlock>();
  const addresses: bigint[] = [];
  const hook = model === null ? null : guest.engine.hookBlock((address) => addresses.push(address));
  try {
    const outcome = await guest.call(target, args, {
      countInstructions: true,
      ...(model === null
        ? {}
        : {
            cycles(block) {
              known.set(block.address, block);
              return 0;
            },
          }),
    });
    const path = addresses.flatMap((address) => known.get(address) ?? []);
    return {
      outcome,
      instructions: outcome.instructions ?? 0,
      cycles: model === null ? null : pathCycles(model, path),
      path,
    };
  } finally {
    hook?.remove();
  }
}
