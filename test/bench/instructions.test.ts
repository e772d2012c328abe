import { beforeAll, describe, expect, it } from 'vitest';
import { countInstructions, GROWN, type InstructionCount } from '../../bench/instructions.js';
import { executors } from '../../src/check/check.js';
import { builtCheck } from '../../src/engine/built-check.js';

const isBuilt = executors(builtCheck).some(({ name, available }) => name === 'native' && available);

/** Times as many as the C twin of the same path. */
const OVER_TWIN = 1.25;
/**
 * What the twin does not do and the check must: it keeps statistics by verdict and direction, notes verdict and direction in the
 * request, clears what the last check left, compares each place in the request with the memory's size, and asks which of a kernel's
 * many rules are on.
 */
const OWN = 100;
/** Declared memory lies in five tables, three of which are asked; the twin's lies in one. */
const TABLES = 200;
/** The way in and out of a single judgement: registers saved and taken back, and a place kept where a trap would leave to. */
const WAY_IN = 60;
/** From one declared range to 100 000; the first look at each of them is not counted. */
const GROWTH = 1.1;
/** Instructions by which compilers differ in a step down a tree: one makes a branch where another selects. */
const STEP = 3;
const MANY = GROWN.toLocaleString('en').replaceAll(',', ' ');

describe.runIf(isBuilt)('a verdict of native code', () => {
  let counts: ReadonlyMap<string, InstructionCount>;
  const of = (path: string): InstructionCount => {
    const found = counts.get(path);
    if (!found) throw new Error(`${path} was not counted`);
    return found;
  };

  beforeAll(async () => {
    counts = new Map((await countInstructions()).map((count) => [count.path, count]));
  });

  it('takes no more instructions than its C twin allows, on every path', () => {
    const most = ({ path, twin }: InstructionCount) =>
      twin === null ? Infinity : OVER_TWIN * twin + OWN + (path.startsWith('declared') ? TABLES : 0);
    expect(counts.size).toBeGreaterThan(15);
    expect([...counts.values()].filter((count) => count.batch > most(count))).toEqual([]);
  });

  it('takes little more when it is asked for alone', () => {
    expect([...counts.values()].filter(({ native, batch }) => native > batch + WAY_IN)).toEqual([]);
  });

  it('takes as many with 100 000 declared ranges as with one', () => {
    expect(of(`declared ranges, ${MANY}`).batch).toBeLessThanOrEqual(GROWTH * of('declared ranges, 1').batch);
  });

  it('takes one more step for each level of the tree of vmalloc areas, which costs little more than the twin’s', () => {
    const [one, many] = [of('vmalloc areas, 1'), of(`vmalloc areas, ${MANY}`)];
    const twin = (many.twin ?? 0) - (one.twin ?? 0);
    expect(many.batch - one.batch).toBeLessThanOrEqual(twin + Math.ceil(Math.log2(GROWN)) * STEP);
  });
});
