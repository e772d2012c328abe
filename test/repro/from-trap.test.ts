/** Which of the copies that bring the check to the same BUG() is taken, and what is said of the others. */
import { describe, expect, it } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { chosenOf, type Match } from '../../src/repro/from-trap.js';

const match = (size: bigint, differing: number): Match =>
  ({
    copy: { pointer: 0xffff888000001000n, size, direction: 'to_user' },
    differing,
    placed: { variant: variantOf('x86_64'), registers: new Map() },
    call: null,
    judge: null,
  }) as unknown as Match;

const UNKNOWN = Number.POSITIVE_INFINITY;

describe('of copies that bring the check to BUG(), the one', () => {
  it('whose frames are the most like the dump is taken, and the others are counted and listed', () => {
    const found = chosenOf([match(9n, 2), match(8n, 1), ...[10n, 11n, 12n, 13n].map((size) => match(size, 3))], []);
    expect(found).toMatchObject({ copy: { size: 8n } });
    const notes = typeof found === 'string' ? [] : found.notes;
    expect(notes.at(-1)).toMatch(/^5 other copies bring the check to BUG\(\) .*: 9 bytes at .*, and 1 more$/);
  });

  it('whose frames cannot be read comes last', () => {
    const found = chosenOf([match(8n, UNKNOWN), match(9n, 7)], []);
    expect(found).toMatchObject({ copy: { size: 9n } });
    expect(typeof found === 'string' ? '' : found.notes.join()).toMatch(/1 other copy brings .*8 bytes/);
    expect(chosenOf([match(8n, UNKNOWN), match(9n, UNKNOWN)], [])).toMatch(
      /^ambiguous: .* 8 bytes .*, or with 9 bytes/,
    );
  });

  it('alone is taken without a word of others; what was not looked at is said either way', () => {
    const gap = '3 copies could not be judged';
    const found = chosenOf([match(8n, 0), match(8n, 0)], [gap]);
    expect(typeof found === 'string' ? [] : found.notes.slice(1)).toEqual([expect.stringContaining(gap)]);
    expect(chosenOf([], [gap])).toContain(gap);
  });
});
