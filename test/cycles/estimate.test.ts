/** The clock of a run: what events carry, what ends a run, what an audit cannot do. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { attach } from '../../src/attach/attach.js';
import { openCycleModel } from '../../src/cycles/open.js';
import { pathCycles } from '../../src/cycles/path.js';
import type { Guest } from '../../src/guest/guest.js';
import { costOfCall } from '../../src/guest/path-cost.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

let guest: Guest;
let object: bigint;
const copy = (size: bigint) => [guest.user.address, object, size, 1n];

beforeAll(async () => {
  guest = await startOwnGuest(await loadOwnKernel('x86_64'));
  object = await guest.callForValue('kmalloc', [64n]);
});
afterAll(() => guest.close());

test('an event carries the instructions and cycles before the copy; without a pricer it carries none', async () => {
  const attachment = await attach(guest.engine, guest.kernel, { memory: guest.check, cycles: 'estimate' });
  const outcome = await guest.call('do_copy', copy(65n), { countInstructions: true, cycles: attachment.pricer! });
  const [priced] = attachment.violations;
  expect(priced!.cycles).toBeGreaterThan(0);
  expect(priced!.cycles).toBe(outcome.cycles);
  expect(priced!.instructions).toBe(outcome.instructions);
  await guest.call('do_copy', copy(65n));
  expect(attachment.violations[1]).toMatchObject({ cycles: null, instructions: null });
  expect(attachment.notes.join()).toContain('Skylake');
  attachment.detach();
});

test('the same call takes the same cycles, a longer copy takes more', async () => {
  const attachment = await attach(guest.engine, guest.kernel, { memory: guest.check, cycles: 'estimate' });
  const cyclesOf = async (size: bigint) =>
    (await guest.call('do_copy', copy(size), { cycles: attachment.pricer! })).cycles!;
  const first = await cyclesOf(64n);
  expect(await cyclesOf(64n)).toBe(first);
  expect(await cyclesOf(0n)).toBeLessThan(first);
  attachment.detach();
});

test('a call ends at its cycle budget, before the next block', async () => {
  const attachment = await attach(guest.engine, guest.kernel, { memory: guest.check, cycles: 'estimate' });
  const whole = await guest.call('do_copy', copy(64n), { cycles: attachment.pricer! });
  const cut = await guest.call('do_copy', copy(64n), { cycles: attachment.pricer!, cycleLimit: 20 });
  expect(cut.kind).toBe('limited');
  expect(cut.cycles).toBeGreaterThanOrEqual(20);
  expect(cut.cycles).toBeLessThan(whole.cycles! / 2);
  attachment.detach();
});

test.each([
  // AMD 57647, 2.10.2: a quotient of up to 9 bits takes 9 cycles. LLVM says 17 of any; at most all of what is between is gained.
  ['znver3', 1, 17 - 9],
  ['znver5', 1, 17 - 9],
  // Nothing is said of the divisions of other cores.
  ['znver4', 0, 0],
])(
  '%s: a division in the path of a call is priced by its quotient, where the core’s divisions are known',
  async (core, least, most) => {
    const model = await openCycleModel(variantOf('x86_64')!, core);
    const { cycles, path, instructions } = await costOfCall(guest, '__check_object_size', [object, 64n, 1n], model);
    const unknown = pathCycles(model, path, { instructions });
    expect(unknown - cycles!).toBeGreaterThanOrEqual(least);
    expect(unknown - cycles!).toBeLessThanOrEqual(most);
    model.close();
  },
);

test('an audit cannot charge: it judges after the fact', async () => {
  const audit = attach(guest.engine, guest.kernel, { memory: guest.check, mode: 'audit', charge: true });
  await expect(audit).rejects.toThrow(/charge: expected mode 'enforce'/);
});
