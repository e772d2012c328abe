import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsercopyError } from '../../src/errors.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { packageFile } from '../../src/paths.js';
import { usercopy } from './usercopy.js';

const folder = mkdtempSync(join(tmpdir(), 'usercopy-prepare-'));
const prepared = join(folder, 'attach.json');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const preparedFile = () =>
  (JSON.parse(readFileSync(prepared, 'utf8')) as { attachment: { warnings: string[]; symbols: { names: string } } })
    .attachment;

describe('usercopy kernel symbols', () => {
  const image = packageFile('guests/elf/x86_64.elf');

  it('lists what nm lists', () => {
    const nm = spawnSync('nm', ['--numeric-sort', image], { encoding: 'utf8' });
    const theirs = nm.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([address, type, name]) => `0x${address?.replace(/^0+(?=.)/, '')} ${type} ${name}`);
    const ours = usercopy(['kernel', 'symbols', image])
      .out.trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([address, , type, name]) => `${address} ${type} ${name}`);
    expect(theirs.length).toBeGreaterThan(50);
    expect(ours.toSorted()).toEqual(theirs.toSorted());
  });

  it('lists those that a pattern stands for, and says when there is none', () => {
    const { out } = usercopy(['kernel', 'symbols', image, '__check_*object*', '--json']);
    const names = (JSON.parse(out) as { name: string }[]).map(({ name }) => name);
    expect(names).toContain('__check_object_size');
    expect(names.every((name) => /^__check_.*object/.test(name))).toBe(true);
    const none = usercopy(['kernel', 'symbols', image, 'check_object']);
    expect([none.status, none.out]).toEqual([2, '']);
    expect(none.err).toMatch(/expected symbols like 'check_object', found none among \d+\n$/);
  });
});

describe("usercopy prepare --kernel, with Debian's kernel", () => {
  let image: string | null = null;
  let absence = '';
  beforeAll(async () => {
    try {
      image = (await fetchKernel('x86_64', { release: 'bookworm' })).path;
    } catch (error) {
      if (!(error instanceof UsercopyError && error.kind === 'missing-dependency')) throw error;
      absence = error.message;
    }
  });

  it('warns that a bare image has no page array, and has its functions in the file', (context) => {
    if (image === null) return context.skip(absence);
    const { status, out, err } = usercopy(['prepare', '--kernel', image, '-o', prepared, '--json']);
    const said = JSON.parse(out) as { warnings: string[]; entries: { symbol: string }[] };
    expect([status, said.entries.map(({ symbol }) => symbol)]).toEqual([0, ['__check_object_size']]);
    expect(said.warnings).toEqual([
      expect.stringMatching(/^the guest has no page array .* no slab object and no page/),
    ]);
    expect(err).toBe(`usercopy: warning: ${said.warnings[0]}\n`);
    const file = preparedFile();
    expect(file.warnings).toEqual(said.warnings);
    expect(file.symbols.names.split(' ')).toEqual(expect.arrayContaining(['simple_read_from_buffer', '_copy_to_iter']));
  });

  it('says what it needs, in a sentence', () => {
    const refused = (...args: string[]): string => {
      const { status, err } = usercopy(['prepare', '-o', prepared, ...args]);
      expect([status, err.trim().split('\n').length]).toEqual([2, 1]);
      return err;
    };
    const scenario = packageFile('examples/harness/firmware.yaml');
    expect(refused()).toMatch(/expected either a scenario or --kernel IMAGE, found neither/);
    expect(refused(scenario, '--kernel', scenario)).toMatch(/found both/);
    expect(refused(scenario, '--judge', 'all')).toMatch(/prepare --judge: expected --kernel IMAGE with it/);
    expect(refused('--kernel', scenario, '--symbol', 'a=1')).toMatch(/expected a scenario that declares the memory/);
    expect(refused('--kernel', scenario)).toMatch(/firmware\.yaml: expected/);
  });
});

describe('usercopy run --snapshot', () => {
  it('says what it needs, in a sentence', () => {
    const refused = (...args: string[]): string => {
      const { status, err } = usercopy(['run', '--snapshot', join(folder, 'other'), ...args]);
      expect([status, err.trim().split('\n').length]).toEqual([2, 1]);
      return err;
    };
    expect(refused()).toMatch(/expected --kernel IMAGE or one --variant NAME/);
    expect(refused('own')).toMatch(/expected one scenario file, or --kernel IMAGE, or --variant NAME, found 'own'/);
    expect(refused('--variant', 'x86_64', '--call', 'a()', 'b()')).toMatch(/at most one --call/);
    expect(refused('--variant', 'x86_64', '--call', 'a()')).toMatch(
      /--call: expected a function of kernel .*, found 'a'/,
    );
  });
});
