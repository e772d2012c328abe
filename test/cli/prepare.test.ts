import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';
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

describe('usercopy prepare --snapshot', () => {
  it('refuses memory in which the kernel lies elsewhere, or another one', () => {
    const image = packageFile('guests/elf/x86_64.elf');
    const snapshot = join(folder, 'moved');
    expect(usercopy(['run', '--kernel', image, '--snapshot', snapshot]).status).toBe(0);
    const prepare = () => usercopy(['prepare', '--kernel', image, '--snapshot', snapshot, '-o', prepared]);
    expect(prepare().status).toBe(0);
    // The text, 4 KiB further on.
    const index = JSON.parse(readFileSync(join(snapshot, '_index.json'), 'utf8')) as {
      segments: { start: number | string; content_file: string }[];
    };
    const { out } = usercopy(['kernel', 'symbols', image, '__check_object_size']);
    const check = BigInt(out.split(' ')[0] ?? '');
    const text = index.segments.findLast(({ start }) => BigInt(start) <= check)!;
    const path = join(snapshot, text.content_file);
    const bytes = inflateSync(readFileSync(path));
    writeFileSync(path, deflateSync(Buffer.concat([bytes.subarray(-4096), bytes.subarray(0, -4096)])));
    const { status, err } = prepare();
    expect([status, err]).toEqual([
      2,
      `usercopy: prepare --snapshot ${snapshot}: expected the kernel's code at 0x${check.toString(16)}, where its image has it (nokaslr), found other code there\n`,
    ]);
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
