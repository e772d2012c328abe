/** A guest without the check, charged for it, against the same guest with the check built in. */
import { describe, expect, test } from 'vitest';
import { variants } from '../../arch/index.js';
import { attach } from '../../src/attach/attach.js';
import type { Direction } from '../../src/check/verdict.js';
import { blockPricer, openCycleModel } from '../../src/cycles/open.js';
import type { CycleModel } from '../../src/cycles/price.js';
import type { Guest } from '../../src/guest/guest.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from '../../src/scenario/own.js';

type Copies = readonly (readonly [pointer: bigint, size: bigint, direction: Direction])[];

/** Copies that the costs were not learnt from: other sizes, other objects, both ways. */
async function copies(guest: Guest): Promise<Copies> {
  const page = 1n << BigInt(guest.layout.pageShift);
  const small = await guest.callForValue('kmalloc', [32n]);
  const large = await guest.callForValue('kmalloc', [512n]);
  const pages = await guest.callForValue('alloc_pages', [1n]);
  const area = await guest.callForValue('vmalloc', [3n * page]);
  return [
    [small, 32n, 'to_user'],
    [small + 8n, 16n, 'from_user'],
    [large, 64n, 'to_user'],
    [large + 100n, 48n, 'from_user'],
    [pages, 64n, 'to_user'],
    [pages + 64n, 16n, 'from_user'],
    [area + 32n, 64n, 'to_user'],
    [small, 0n, 'to_user'],
    // Last: it writes over the guest's own variables.
    [guest.symbol('_edata') - 32n, 32n, 'from_user'],
  ];
}

/** Cycles of each copy: as the guest is, or charged for the check that it lacks. */
async function cyclesOf(guest: Guest, list: Copies, model: CycleModel, charge: boolean): Promise<number[]> {
  const attachment = charge
    ? await attach(guest.engine, guest.kernel, { judge: 'all', memory: guest.check, charge })
    : null;
  const pricer = attachment?.pricer ?? blockPricer(model);
  const cycles: number[] = [];
  for (const [pointer, size, direction] of list) {
    const parameters = [guest.user.address, pointer, size, direction === 'to_user' ? 1n : 0n];
    const outcome = await guest.call('do_copy', parameters, { cycles: pricer });
    expect(outcome.kind).toBe('returned');
    cycles.push(outcome.cycles!);
  }
  attachment?.detach();
  return cycles;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** The others have no table of cycles, so that nothing can be charged in cycles. */
const priced = ownVariants().filter((name) => variants.find((variant) => variant.name === name)?.cycles !== undefined);

test('most built-in guests have a table of cycles', () => {
  expect(priced.length).toBeGreaterThanOrEqual(10);
});

describe.each(priced)('%s', (variant) => {
  test('charged copies take the cycles of copies with the check compiled in, to 5 %', async () => {
    const builds = ['check', 'nocheck', 'nocheck'] as const;
    const guests: Guest[] = [];
    for (const build of builds) guests.push(await startOwnGuest(await loadOwnKernel(variant, build)));
    const model = await openCycleModel(guests[0]!.variant);
    try {
      const [built, plain, charged] = await Promise.all(
        guests.map(async (guest, index) => cyclesOf(guest, await copies(guest), model, index === 2)),
      );
      expect(Math.abs(sum(charged!) - sum(built!)) / sum(built!)).toBeLessThan(0.05);
      // Without the charge they do not: the check is a part of the cost that can be told.
      expect(sum(plain!)).toBeLessThan(0.9 * sum(built!));
      for (const [index, cycles] of charged!.entries())
        expect(Math.abs(cycles - built![index]!) / built![index]!).toBeLessThan(0.15);
    } finally {
      model.close();
      for (const guest of guests) guest.close();
    }
  });
});
