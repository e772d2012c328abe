/**
 * Counts of whole kernel functions, printk included. The judge is one firing of a hook on every instruction, in the same
 * guest from the same memory, and the addresses that it saw.
 */
import { describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import { UsercopyError } from '../../src/errors.js';
import { type CallOutcome, Guest } from '../../src/guest/guest.js';
import { KernelObjects } from '../../src/guest/objects.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { lkdtmCases } from '../../src/scenario/lkdtm.js';
import { loadOwnKernel, ownCases, ownVariants, startOwnGuest } from '../../src/scenario/own.js';
import type { TwinCase } from '../../src/scenario/twins.js';

/** Where a limit may come earlier than asked for (`RunOptions.instructionLimit`). */
const COARSE = ['s390x', 'sparc', 'sparc64'];
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

async function compare(guest: Guest, cases: readonly TwinCase[]): Promise<void> {
  const before = guest.memory.snapshot();
  for (const twin of cases) {
    const call = callOf(twin);
    guest.memory.restore(before);
    const { addresses, outcome } = await trace(guest, call);
    guest.memory.restore(before);
    const counted = await guest.call(call.symbol, call.arguments, { timeLimit: TIME_LIMIT, countInstructions: true });
    expect({ case: twin.name, ...counted }).toEqual({ case: twin.name, ...outcome, instructions: addresses.length });

    for (const limit of [1, Math.floor(addresses.length / 3)]) {
      guest.memory.restore(before);
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

const every = <T>(items: readonly T[], step: number): T[] => items.filter((_, index) => index % step === 0);

describe('instructions counted by block are those that fire one by one', () => {
  it.each(ownVariants())('in the built-in %s guest', async (variant) => {
    const guest = await startOwnGuest(await loadOwnKernel(variant));
    try {
      await compare(guest, every((await ownCases(guest)).cases, 7));
    } finally {
      guest.close();
    }
  });

  it.for(['x86_64', 'arm64', 'i386', 'arm', 'ppc64le', 's390x'])("in Debian's %s kernel", async (variant, context) => {
    let guest: Guest;
    try {
      const { path } = await fetchKernel(variant, { release: 'bookworm' });
      guest = await Guest.create(await loadKernel({ path }, { drivers }));
    } catch (error) {
      if (error instanceof UsercopyError && error.kind === 'missing-dependency') return context.skip(error.message);
      throw error;
    }
    try {
      await compare(guest, every(lkdtmCases(guest, new KernelObjects(guest)), 23));
    } finally {
      guest.close();
    }
  });
});
