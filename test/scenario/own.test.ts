import { describe, expect, it } from 'vitest';
import {
  chooseOwnProfile,
  loadOwnKernel,
  OWN_PROFILES,
  ownCases,
  ownVariants,
  startOwnGuest,
} from '../../src/scenario/own.js';
import { runTwins } from '../../src/scenario/twins.js';

/** The judge is the guest's own check, written in C from the kernel's sources, and what its printk wrote. */
describe.each(ownVariants())("the built-in %s guest's own check and ours", (variant) => {
  it.each(Object.keys(OWN_PROFILES))('say the same of every copy by the rules of %s', async (profile) => {
    const guest = await startOwnGuest(await loadOwnKernel(variant));
    try {
      chooseOwnProfile(guest, profile);
      const { cases, declarations } = await ownCases(guest);
      const run = await runTwins(guest, cases, { profile, declarations });
      expect(run.rows.filter((row) => !row.identical)).toEqual([]);
      expect(run.rows.filter((row) => row.guest !== null).length).toBeGreaterThanOrEqual(10);
      expect(run.rows.filter((row) => row.guest === null).length).toBeGreaterThanOrEqual(10);
    } finally {
      guest.close();
    }
  });
});

describe('twins', () => {
  it('find a check that says something else', async () => {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    try {
      chooseOwnProfile(guest, '6.1');
      const { cases, declarations } = await ownCases(guest);
      const run = await runTwins(guest, cases, { profile: 'v3', declarations });
      expect(run.rows.some((row) => !row.identical)).toBe(true);
    } finally {
      guest.close();
    }
  });
});
