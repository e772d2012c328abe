/** The built-in guests on each of Debian's builds of libunicorn: the same verdicts, and the same counts. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { ownVariants } from '../../src/scenario/own.js';
import { unicornsHere } from '../places.js';

interface Run {
  readonly variant: string;
  /** Why it could not run. */
  readonly error?: string;
  readonly profile: string;
  readonly rows: readonly {
    readonly case: string;
    readonly identical: boolean;
    readonly instructions: number | null;
  }[];
}

const [oldest, ...newer] = unicornsHere;

const own = (lib: string, ...options: readonly string[]) => {
  const cli = packageFile('build/cli/main.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'run', 'own', '--json', ...options], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    env: { ...process.env, UNICORN_PREFIX: join(lib, '../..') },
  });
  return { status, stderr, runs: JSON.parse(stdout) as Run[] };
};

let first: ReturnType<typeof own> | undefined;

it.each(newer.map(({ version, lib }) => [version, lib]))(
  `run own on libunicorn %s says what it says on ${oldest?.version}, instruction by instruction`,
  { timeout: 300_000 },
  (_, lib) => {
    first ??= own(oldest!.lib, '--runnable');
    const { status, runs } = own(lib);
    expect(first).toMatchObject({ status: 0 });
    // What was not judged counts, unless only what can run was asked for.
    expect(status).toBe(runs.some(({ error }) => error !== undefined) ? 1 : 0);
    // 2.0.1 and 2.1.1 run no 64-bit code of MIPS, and say so.
    const unable = [...first.runs, ...runs].filter(({ error }) => error !== undefined);
    for (const { variant, error } of unable) {
      expect([variant, error]).toEqual(['mips64el', expect.stringMatching(/exception|unmapped|UNMAPPED/)]);
    }
    expect(new Set(runs.map(({ variant }) => variant))).toEqual(new Set(ownVariants()));
    const able = (all: readonly Run[]) => all.filter(({ variant }) => !unable.some((one) => one.variant === variant));
    expect(able(runs)).toEqual(able(first.runs));
  },
);

it('a report whose guest this libunicorn cannot run is explained all the same', () => {
  const log = [
    'usercopy: Kernel memory exposure attempt detected from null address (offset 0, size 8)!',
    'CPU: 0 PID: 7 Comm: a Not tainted 6.1.0-50-5kc-malta #1',
    '$ 0   : 0000000000000000 0000000000000001 0000000000000052 ffffffff80d50000',
  ];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [packageFile('build/cli/main.js'), 'repro', '--report', '-'],
    {
      encoding: 'utf8',
      input: `${log.join('\n')}\n`,
      env: { ...process.env, UNICORN_PREFIX: join(oldest!.lib, '../..') },
    },
  );
  expect([stderr, status]).toEqual(['', 1]);
  expect(stdout).toMatch(/^mips64el, .*: consistent$/m);
  expect(stdout).toMatch(/not played: mips of 64 bits: expected unicorn 2\.0\.1 to run code/);
});
