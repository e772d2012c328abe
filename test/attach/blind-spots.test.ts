import { describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import { noObjectsNote } from '../../src/attach/blind-spots.js';
import type { Acceptance } from '../../src/check/verdict.js';
import type { CheckStatistics } from '../../src/check/verdicts.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

const counted = (counts: Partial<Record<Acceptance, number>>, bad = 0): CheckStatistics => {
  const reasons = Object.entries(counts).map(([by, count]) => ({
    outcome: 'good' as const,
    by: by as Acceptance,
    direction: 'to_user' as const,
    count,
  }));
  const good = reasons.reduce((sum, { count }) => sum + count, 0);
  return { checks: good + bad, good, bad, unreadable: 0, reasons };
};

describe('very many copies of which none met anything', () => {
  it.each([
    ['fewer', { 'nothing objects': 9999 }],
    ['one that met a stack', { 'nothing objects': 20_000, stack: 1 }],
    ['such of no bytes only', { 'empty copy': 20_000 }],
    ['too few beside those of no bytes', { 'empty copy': 20_000, 'nothing objects': 9999 }],
  ])('are none when they are %s', (_what, counts) => {
    expect(noObjectsNote(counted(counts))).toBeNull();
  });

  it('are none when one was refused', () => {
    expect(noObjectsNote(counted({ 'nothing objects': 20_000 }, 1))).toBeNull();
  });

  it('are told with what that may mean, and no more', () => {
    const note = noObjectsNote(counted({ 'nothing objects': 10_000, 'empty copy': 5 }));
    expect(note).toMatch(
      /^none of 10000 copies met anything that the check knows .*copies only single pages or static data/,
    );
    expect(note).not.toMatch(/nothing is judged|switched off/);
  });

  it('are told apart where the check is switched off', () => {
    expect(noObjectsNote(counted({ bypassed: 10_000 }))).toBe(
      "none of 10000 copies was judged: the guest's kernel has its check switched off",
    );
    expect(noObjectsNote(counted({ bypassed: 4000, 'nothing objects': 6000 }))).toMatch(
      /^none of 6000 copies met .*; 4000 more passed while the guest's kernel had its check switched off/,
    );
  });

  it('are told once, at the end of the run that made them too many', async () => {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64', 'nocheck'));
    const spots: string[] = [];
    const attachment = await attach(guest.engine, guest.kernel, {
      profile: '6.1',
      memory: guest.check,
      onBlindSpot: (spot) => spots.push(spot),
    });
    try {
      const copy = (size: bigint) =>
        guest.call('do_copy', [guest.user.address, guest.symbol('kmalloc_caches'), size, 1n]);
      await copy(0n);
      for (let count = 1; count < 10_000; count++) await copy(8n);
      expect(spots).toEqual([]);
      await copy(8n);
      await copy(8n);
      expect(spots).toEqual([expect.stringMatching(/^none of 10000 copies met anything/)]);
      expect(attachment.notes).toContain(spots[0]);
    } finally {
      attachment.detach();
      guest.close();
    }
  });
});
