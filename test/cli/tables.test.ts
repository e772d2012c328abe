import { afterEach, describe, expect, it, vi } from 'vitest';
import { table } from '../../src/cli/table.js';
import { usercopy } from './usercopy.js';

const words = (text: string): string[] => text.split(/[\s│┌┬┐├┼┤└┴┘─]+/).filter((word) => word !== '');
const isGrid = (text: string): boolean => text.startsWith('┌');
const HEAD = ['what', 'said', 'how often'];
const ROWS = [
  ['whole', 'an object of 64 bytes, all of it, and not one byte more than that', '1'],
  ['0xffff888003a1f810', 'two lines\nof one cell', '12'],
];

describe('a table', () => {
  afterEach(() => vi.unstubAllEnvs());
  const at = (columns: string): string => {
    vi.stubEnv('COLUMNS', columns);
    return table(HEAD, ROWS, [null, 200, null]);
  };

  it.each([100, 80, 60, 50])('fits %i columns and loses no word', (columns) => {
    const text = at(String(columns));
    expect(isGrid(text)).toBe(true);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(columns);
    expect(words(text).sort()).toEqual(words([...HEAD, ...ROWS.flat()].join(' ')).sort());
  });

  it('is a block a row where a word would have to be cut', () => {
    const text = at('36');
    const said = ['an object of 64 bytes,', 'all of it, and not one', 'byte more than that'].join('\n           ');
    expect(text.split('\n\n')).toEqual([
      `what       whole\nsaid       ${said}\nhow often  1`,
      'what       0xffff888003a1f810\nsaid       two lines\n           of one cell\nhow often  12',
    ]);
  });

  it('has a width of its own in a pipe, and where the variable is no number', () => {
    expect(at('wide')).toBe(at('1000'));
    expect(at('')).toBe(at('1000'));
  });

  it('fits the terminal that a verb is run in', () => {
    const { out, status } = usercopy(['profiles'], { COLUMNS: '80' });
    expect(status).toBe(0);
    // Sentences beside the tables are broken by the terminal.
    const grid = out.split('\n').filter((line) => /^[│┌├└]/.test(line));
    expect(grid.length).toBeGreaterThan(20);
    for (const line of grid) expect(line.length).toBeLessThanOrEqual(80);
  });
});
