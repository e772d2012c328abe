/**
 * Counts of whole calls. The judge is one firing of a hook on every instruction, in the same guest from the same memory,
 * and the addresses that it saw.
 */
import { expect } from 'vitest';
import type { CallOutcome, Guest } from '../../src/guest/guest.js';
import type { TwinCase } from '../../src/scenario/twins.js';

/** Where a limit may come earlier than asked for (`RunOptions.instructionLimit`). */
const COARSE = ['s390x', 'sparc', 'sparc64', 'mipsel', 'mips64el'];
const TIME_LIMIT = 60_000;

interface Call {
  readonly symbol: string;
  readonly arguments: readonly bigint[];
}

const callOf = ({ copy, call }: TwinCase): Call =>
  call ?? {
    symbol: '__check_object_size',
    arguments: [copy.pointer, copy.size, copy.direction === 'to_user' ? 1n : 0n],
  };

/** Every instruction that fires on the way of a call, and how it ended. */
async function trace(guest: Guest, call: Call): Promise<{ addresses: bigint[]; outcome: CallOutcome }> {
  const addresses: bigint[] = [];
  const hook = guest.engine.hookInstruction((address) => addresses.push(address));
  const outcome = await guest.call(call.symbol, call.arguments, { timeLimit: TIME_LIMIT });
  hook.remove();
  return { addresses, outcome };
}

/** Counts the cases’ calls and holds them against their traces; limits too. */
export async function compareWithTrace(guest: Guest, cases: readonly TwinCase[]): Promise<void> {
  const before = guest.snapshot();
  for (const twin of cases) {
    const call = callOf(twin);
    guest.restore(before);
    const { addresses, outcome } = await trace(guest, call);
    guest.restore(before);
    const counted = await guest.call(call.symbol, call.arguments, { timeLimit: TIME_LIMIT, countInstructions: true });
    expect({ case: twin.name, ...counted }).toEqual({ case: twin.name, ...outcome, instructions: addresses.length });

    for (const limit of [1, Math.floor(addresses.length / 3)]) {
      guest.restore(before);
      const limited = await guest.call(call.symbol, call.arguments, { timeLimit: TIME_LIMIT, instructionLimit: limit });
      if (limited.kind !== 'limited')
        throw new Error(`${twin.name}: expected a stop after ${limit}, not ${limited.kind}`);
      const at = limited.instructions!;
      if (!COARSE.includes(guest.variant.name)) expect(at).toBe(limit);
      expect(at).toBeLessThanOrEqual(limit);
      expect(limited.pc).toBe(addresses[at]);
    }
    const rest = await guest.resume({ timeLimit: TIME_LIMIT, countInstructions: true });
    expect(rest.kind).toBe(outcome.kind);
  }
}

/** Every so many-th. */
export const every = <T>(items: readonly T[], step: number): T[] => items.filter((_, index) => index % step === 0);
