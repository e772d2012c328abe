import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BenchResult } from '../../bench/run.js';
import { objectsOf, PATHS, pathCopies, type Source, startGuest } from '../../bench/world.js';
import { loadAddon } from '../../src/engine/unicorn-addon.js';
import { packageFile } from '../../src/paths.js';

const usercopy = (...args: string[]) =>
  spawnSync(process.execPath, [packageFile('build/js/src/cli/main.js'), ...args], { encoding: 'utf8' });

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

  it('compares two results, and tells what became slower by its exit status', () => {
    const old = join(folder, 'old.json');
    const later = join(folder, 'new.json');
    writeFileSync(old, JSON.stringify(result));
    const same = usercopy('bench', '--compare', old, old);
    expect(same.status).toBe(0);
    const slower = structuredClone(result) as { batch: { oracle: number } };
    slower.batch.oracle *= 3;
    writeFileSync(later, JSON.stringify(slower));
    const run = usercopy('bench', '--compare', old, later, '--json');
    expect(run.status).toBe(1);
    const { changes } = JSON.parse(run.stdout) as { changes: { name: string; verdict: string }[] };
    expect(changes.filter(({ verdict }) => verdict !== 'same')).toMatchObject([
      { name: 'batch.oracle', verdict: 'slower' },
    ]);
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
