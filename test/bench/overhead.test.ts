/** `usercopy overhead`: figures against single steps, the same in every run, and nothing left out in silence. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import papaparse from 'papaparse';
import { expect, test } from 'vitest';
import { type Overhead, overheadOf, PASSING, REFUSING } from '../../bench/overhead.js';
import { objectsOf, pathCopies, type Source, startGuest } from '../../bench/world.js';
import { readCoreMemory } from '../../src/cycles/memory.js';
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
  expect(head).toEqual(['variant', 'kernel', 'profile', 'core', 'what', 'path', 'instructions', 'cycles', 'cold']);
  expect(rows).toHaveLength(2 * (PASSING.length + REFUSING.length));
  for (const row of rows) expect(row).toHaveLength(9);
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

test('a struct page that is cold costs one miss where the check follows it, and nothing where it does not', async () => {
  const overhead = await overheadOf({ kind: 'own', variant: 'x86_64', profile: '6.1' });
  const { caches, memory } = (await readCoreMemory('x86', overhead.core!))!;
  const miss = memory - caches[0]!.latency;
  const late = (path: (typeof PASSING)[number]) => overhead.paths[path]!.cold! - overhead.paths[path]!.cycles!;
  // A slab object and a page are known by their struct page, which is one line; a stack, an area and nothing at all are not.
  for (const path of ['slab', 'page'] as const) {
    expect(late(path), path).toBeGreaterThan(0.9 * miss);
    expect(late(path), path).toBeLessThan(2 * miss);
  }
  for (const path of ['n=0', 'disabled', 'stack', 'vmalloc'] as const) expect(late(path), path).toBe(0);
});

test('without the model of memory there are no cold cycles, and a copy that passes costs the same', async () => {
  const source: Source = { kind: 'own', variant: 'arm64', profile: '6.1' };
  const [plain, whole] = [await overheadOf(source, { cycles: { model: 'path' } }), await overheadOf(source)];
  for (const path of PASSING) {
    expect(plain.paths[path]?.cold, path).toBeNull();
    expect(whole.paths[path]?.cycles, path).toBe(plain.paths[path]?.cycles);
  }
});

test('a core whose caches nobody has told of is named, and its cold cycles are null', async () => {
  const overhead = await overheadOf({ kind: 'own', variant: 's390x', profile: '6.1' });
  for (const path of PASSING) expect(overhead.paths[path]).toMatchObject({ cold: null });
  expect(overhead.notes.join()).toContain('no cold cycles');
});

test('--html is one page that loads nothing, with every figure of the JSON as text', () => {
  const folder = mkdtempSync(join(tmpdir(), 'usercopy-overhead-test-'));
  try {
    const file = join(folder, 'overhead.html');
    const { results } = JSON.parse(usercopy([...OWN, '--html', file, '--json']).out) as { results: Overhead[] };
    const page = readFileSync(file, 'utf8');
    expect(page.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '')).not.toMatch(/<script|<link|<img|https?:|url\((?!#)/);
    for (const { paths } of results)
      for (const cost of Object.values(paths)) expect(page).toContain(`<td>${cost!.instructions} (${cost!.cycles}`);
    expect(page.match(/<svg/g)!.length).toBeGreaterThan(3);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a core of another architecture is refused, where there is no table either', () => {
  for (const variant of ['mipsel', 'sparc']) {
    const { status, out, err } = usercopy(['overhead', '--variant', variant, '--core', 'znver4', '--json']);
    expect(status, variant).toBe(2);
    expect(err, variant).toContain(`${variant} was not measured: `);
    expect(JSON.parse(out).results, variant).toEqual([]);
  }
});
