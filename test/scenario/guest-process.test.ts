import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsercopyError } from '../../src/errors.js';
import { runAllIsolated, runIsolated } from '../../src/scenario/guest-process.js';
import type { GuestTask, ScenarioTask } from '../../src/scenario/tasks.js';
import { unicornsHere } from '../places.js';

// Guests run in processes of their own, which take it from the environment.
const before = process.env['UNICORN_PREFIX'];
beforeAll(() => {
  process.env['UNICORN_PREFIX'] = unicornsHere[0]!.library;
});
afterAll(() => {
  if (before === undefined) delete process.env['UNICORN_PREFIX'];
  else process.env['UNICORN_PREFIX'] = before;
});

/** mftb ends Unicorn 2.0.1, and the process that it runs in. */
const deadly: ScenarioTask = {
  kind: 'scenario',
  source: {
    scenario: { guest: { variant: 'ppc' }, steps: [{ call: 'do_copy(user, stack, 0, 1)' }, { call: 'get_tb()' }] },
    name: 'time base',
  },
};
const harmless = (call: string): ScenarioTask => ({
  kind: 'scenario',
  source: { scenario: { guest: { variant: 'ppc' }, steps: [{ call }] }, name: call },
});
const nobody = { result: () => {}, progress: () => {} };

describe('a guest that ends its emulator', () => {
  it('ends a process of its own: one sentence names the signal and the function', async () => {
    const error = await runIsolated(deadly, nobody).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsercopyError);
    expect((error as UsercopyError).kind).toBe('crash');
    expect((error as UsercopyError).message).toMatch(/^time base: .*\(SIG[A-Z]+\) in the guest's function get_tb$/);
  });

  it('keeps no other guest from its end', async () => {
    const tasks: GuestTask[] = [deadly, harmless('do_copy(user, stack, 0, 1)'), deadly, harmless('kmalloc(64)')];
    const results: number[] = [];
    const outcomes = await runAllIsolated(tasks, (index) => ({ ...nobody, result: () => results.push(index) }));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect(results.sort()).toEqual([1, 3]);
  });
});

describe('a guest in a process of its own', () => {
  it('gives what it gives in this one: numbers of 64 bits, and errors with their kind', async () => {
    const returned: (bigint | null)[] = [];
    await runIsolated(harmless('kmalloc(64)'), {
      ...nobody,
      result: ({ rows }) => returned.push(...rows.map((row) => row.returns)),
    });
    expect(returned).toHaveLength(1);
    expect(returned[0]).toBeGreaterThan(0xc0000000n);
    await expect(runIsolated(harmless('no_such_function()'), nobody)).rejects.toMatchObject({ kind: 'bad-input' });
  });
});
