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
const OWN = 65;
/** Declared memory lies in five tables, two of which are looked into and two more passed by; the twin's lies in one. */
const TABLES = 60;
/** The way in and out of a single judgement: registers saved and taken back twice, and a place kept where a trap would leave to. */
const WAY_IN = 65;
/** From one declared range to 100 000; the first look at each of them is not counted. */
const GROWTH = 1.1;
/** From one vmalloc area to 100 000: the guest's tree has to be walked, seventeen levels of it. */
const DEEP = 2;
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

  it('takes at most twice as many with 100 000 vmalloc areas as with one', () => {
    expect(of(`vmalloc areas, ${MANY}`).batch).toBeLessThanOrEqual(DEEP * of('vmalloc areas, 1').batch);
  });
});
