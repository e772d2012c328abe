/** `usercopy overhead`: figures against single steps, the same in every run, and nothing left out in silence. */
import papaparse from 'papaparse';
import { expect, test } from 'vitest';
import { type Overhead, overheadOf, PASSING, REFUSING } from '../../bench/overhead.js';
import { objectsOf, pathCopies, type Source, startGuest } from '../../bench/world.js';
import { usercopy } from '../cli/usercopy.js';

const OWN = ['overhead', '--variant', 'x86_64', 'sparc64'];

test('every path costs the instructions that single steps count, and the same cycles in every run', async () => {
  const source: Source = { kind: 'own', variant: 'arm64', profile: '6.1' };
  const [first, second] = [await overheadOf(source), await overheadOf(source)];
  expect(second).toEqual(first);
  const guest = await startGuest(source, 'check');
  try {
    const copies = pathCopies(guest, objectsOf(guest, source));
    let steps = 0;
    guest.engine.hookInstruction(() => steps++);
    const before = guest.snapshot();
    for (const [path, copy] of [
      ['n=0', copies['n=0']],
      ['vmalloc', copies.vmalloc],
      ['slab overflow', copies['slab bad']],
    ] as const) {
      guest.restore(before);
      steps = 0;
      await guest.call('__check_object_size', [copy.pointer, copy.size, 1n]);
      expect(first.paths[path]?.instructions, path).toBe(steps);
    }
  } finally {
    guest.close();
  }
});

test('JSON has every path; the refusing ones cost more than any passing one, the switch nearly nothing', () => {
  const { results, unmeasured } = JSON.parse(usercopy([...OWN, '--json']).out);
  expect(unmeasured).toEqual([]);
  for (const { paths, core } of results as Overhead[]) {
    expect(Object.keys(paths).sort()).toEqual([...PASSING, ...REFUSING].sort());
    expect(core).not.toBeNull();
    const cycles = (path: keyof typeof paths) => paths[path]!.cycles!;
    expect(Math.min(...REFUSING.map(cycles))).toBeGreaterThan(Math.max(...PASSING.map(cycles)));
    expect(cycles('disabled')).toBeLessThanOrEqual(cycles('stack'));
  }
});

test('CSV is one table with a row for each figure', () => {
  const run = usercopy([...OWN, '--csv']);
  const [head, ...rows] = papaparse.parse<string[]>(run.out.trimEnd()).data;
  expect(head).toEqual(['variant', 'kernel', 'profile', 'core', 'what', 'path', 'instructions', 'cycles']);
  expect(rows).toHaveLength(2 * (PASSING.length + REFUSING.length));
  for (const row of rows) expect(row).toHaveLength(8);
  expect(run.err).toContain('Cycles are estimates');
});

test('a kernel that cannot be measured is named and makes the status 2; the others are measured', () => {
  const run = usercopy(['overhead', '--variant', 'x86_64', '--kernel', 'package.json', '--json']);
  expect(run.status).toBe(2);
  expect(run.err).toContain('package.json was not measured');
  const { results, unmeasured } = JSON.parse(run.out);
  expect(results).toHaveLength(1);
  expect(unmeasured[0].source).toBe('package.json');
  expect(usercopy(['overhead']).status).toBe(2);
});
