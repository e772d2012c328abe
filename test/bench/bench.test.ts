import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison } from '../../bench/compare.js';
import type { BenchResult } from '../../bench/run.js';
import {
  objectsOf,
  PASSING_PATHS,
  PATHS,
  pathCopies,
  REFUSING_PATHS,
  type Source,
  startGuest,
} from '../../bench/world.js';
import { loadAddon } from '../../src/engine/unicorn-addon.js';
import { packageFile } from '../../src/paths.js';

const usercopy = (...args: string[]) =>
  spawnSync(process.execPath, [packageFile('build/cli/main.js'), ...args], { encoding: 'utf8' });

function hasUnicorn(): boolean {
  try {
    loadAddon();
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasUnicorn())('usercopy bench', () => {
  let folder = '';
  let result: BenchResult;
  let page = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'usercopy-bench-test-'));
    const html = join(folder, 'page.html');
    const run = usercopy('bench', '--quick', '--variant', 'x86_64', 'i386', '--json', '--html', html);
    expect(run.stderr).toBe('');
    expect(run.status).toBe(0);
    result = JSON.parse(run.stdout);
    page = readFileSync(html, 'utf8');
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('gives every figure of the contract as a number', () => {
    const [one] = result.variants;
    expect(result.variants.map(({ variant }) => variant)).toEqual(['x86_64', 'i386']);
    expect(Object.keys(one!.guestCheck)).toEqual([...PATHS]);
    const executors = Object.entries(one!.check).filter(([, times]) => times !== null);
    expect(executors.map(([name]) => name)).toContain('v8');
    for (const [name, times] of executors) {
      for (const path of PATHS) expect(times![path], `${name} ${path}`).toBeGreaterThan(0);
      expect(one!.copy.enforce[name as 'v8'], name).toBeGreaterThan(0);
      expect(result.batch[name as 'v8'], name).toBeGreaterThan(0);
    }
    for (const way of ['detached', 'bareHook', 'audit', 'sanitize', 'counting', 'inGuest'] as const) {
      expect(one!.copy[way], way).toBeGreaterThan(0);
    }
    expect(result.batch.oracle).toBeGreaterThan(0);
    expect(result.batch).toHaveProperty('c');
    for (const series of Object.values(result.growth)) expect(series.length).toBeGreaterThan(1);
  });

  it.each(['slab good', 'text'] as const)(
    "counts the guest's own check on the path %s as single steps do",
    async (path) => {
      const source: Source = { kind: 'own', variant: 'x86_64', profile: '6.1' };
      const guest = await startGuest(source, 'check');
      try {
        const { pointer, size } = pathCopies(guest, objectsOf(guest, source))[path];
        let steps = 0;
        guest.engine.hookInstruction(() => steps++);
        await guest.call('__check_object_size', [pointer, size, 1n]);
        expect(result.variants[0]!.guestCheck[path].instructions).toBe(steps);
      } finally {
        guest.close();
      }
    },
  );

  it('writes a page that loads nothing', () => {
    expect(page).toContain('<svg');
    const withoutNames = page.replaceAll(/xmlns(:\w+)?="[^"]*"/g, '');
    expect(withoutNames).not.toMatch(/<script|<link|<img|https?:|url\((?!#)/);
  });

  it('has every figure of the result as text beside the charts: the tables are with the page', () => {
    const text = page.replaceAll(/<svg.*?<\/svg>/gs, '');
    for (const { guestCheck } of result.variants)
      for (const path of PATHS)
        expect(text).toContain(`<td>${guestCheck[path].instructions} (${guestCheck[path].cycles})</td>`);
    expect(text).toContain('A smoke run: its times say nothing.');
  });

  it('draws passing paths apart from refusing ones, each bar with its value', () => {
    const charts = page.match(/<svg.*?<\/svg>/gs) ?? [];
    const chart = (title: string) => charts.find((svg) => svg.includes(title)) ?? '';
    const labels = (svg: string) => [...svg.matchAll(/>([^<]+)<\/text>/g)].map(([, label]) => label!);
    const passing = labels(chart('A copy that passes: instructions'));
    const refusing = labels(chart('A copy that is refused, message included: instructions'));
    for (const { guestCheck } of result.variants) {
      for (const path of PASSING_PATHS) expect(passing).toContain(String(guestCheck[path].instructions));
      for (const path of REFUSING_PATHS) expect(refusing).toContain(String(guestCheck[path].instructions));
    }
    for (const path of REFUSING_PATHS) expect(passing).not.toContain(path);
    const copies = labels(chart('copies of 8 bytes to 64 KiB'));
    expect(copies.filter((label) => label.includes('±')).length).toBeGreaterThan(5);
  });

  it('compares a result with itself, by the figures of the guests alone when it is a smoke run', () => {
    const file = join(folder, 'old.json');
    writeFileSync(file, JSON.stringify(result));
    const same = usercopy('bench', '--compare', file, file, '--json');
    expect(same.status).toBe(0);
    const { changes, pairs } = JSON.parse(same.stdout) as Comparison;
    expect(new Set(changes.map(({ verdict }) => verdict))).toEqual(new Set(['not judged']));
    expect(pairs.map(({ guestCheck }) => guestCheck.length)).toEqual([PATHS.length, PATHS.length]);
  });

  it("says of a guest's own check what usercopy overhead says, so that the two compare as equal, either way", () => {
    const [bench, overhead] = ['bench.json', 'overhead.json'].map((name) => join(folder, name)) as [string, string];
    writeFileSync(bench, JSON.stringify(result));
    writeFileSync(overhead, usercopy('overhead', '--variant', 'x86_64', 'i386', '--json').stdout);
    for (const files of [
      [bench, overhead],
      [overhead, bench],
    ]) {
      const run = usercopy('bench', '--compare', ...files, '--json');
      expect(run.status).toBe(0);
      const { pairs }: Comparison = JSON.parse(run.stdout);
      expect(pairs).toHaveLength(2);
      for (const { guestCheck } of pairs) {
        expect(guestCheck).toHaveLength(PATHS.length);
        for (const one of guestCheck) expect(one).toMatchObject({ cycles: 1, instructions: 1, verdict: 'same' });
      }
    }
  });

  it.each([
    [['--compare', 'old.json'], /expected two files/],
    [['--compare', packageFile('package.json'), packageFile('package.json')], /a result of usercopy bench/],
    [['--variant', 'x86_64', '--profile', '9.9'], /expected one of v3/],
    [['--kernel', '/nowhere/vmlinuz', '--quick'], /nowhere/],
  ])('refuses %j in one sentence', (args, expected) => {
    const { status, stderr } = usercopy('bench', ...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(expected);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
