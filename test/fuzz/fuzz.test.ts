/**
 * Damaged inputs to every reader of files, the same ones at each run: whatever the bytes are, a reader answers or gives one
 * UsercopyError of one line, soon and within memory. `npm run fuzz` goes on from here.
 */
import { describe, expect, it } from 'vitest';
import { fuzz } from './fuzz.js';
import { targets } from './targets.js';

/** Inputs a target; the whole takes seconds. */
const ROUNDS = 150;

describe('damaged inputs', () => {
  it.each(targets.map(({ name }) => name))('%s', async (target) => {
    const { inputs, faults } = await fuzz({ target, seed: 1, rounds: ROUNDS });
    expect(
      faults.map(({ reason, input }) => `${reason}\ninput: ${Buffer.from(input).toString('base64').slice(0, 4000)}`),
    ).toEqual([]);
    expect(inputs).toBeGreaterThan(ROUNDS);
  });
});
