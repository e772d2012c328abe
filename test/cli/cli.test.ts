import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { unicornsHere } from '../places.js';
import { usercopy } from './usercopy.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'usercopy-cli-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

describe('usercopy run own', () => {
  it('prints each run as JSON, all identical, and exits with 0', () => {
    const { status, out } = usercopy(['run', 'own', '--variant', 'x86_64', '--profile', '6.1', '--json']);
    expect(status).toBe(0);
    const [run] = JSON.parse(out);
    expect(run).toMatchObject({ variant: 'x86_64', profile: '6.1' });
    expect(typeof run.kernel).toBe('string');
    expect(run.rows.length).toBeGreaterThan(30);
    for (const row of run.rows) {
      expect(row.identical).toBe(true);
      expect(row.pointer).toMatch(/^0x[0-9a-f]+$/);
      expect(Number.isInteger(row.size)).toBe(true);
      expect(['to_user', 'from_user']).toContain(row.direction);
      expect(row.ours).toBe(row.guest);
      expect(row.guestInstructions).toBeGreaterThan(0);
    }
  });

  it('prints a table for people, without colour codes in a pipe', () => {
    const { status, out } = usercopy(['run', 'own', '--variant', 'arm64', '--profile', 'v3']);
    expect(status).toBe(0);
    expect(out).toContain("guest's own check");
    expect(out).toContain('slab: one byte too many');
    expect(out).not.toContain('\u001b[');
  });

  it('exits with 1 when a check says something else', () => {
    const kernel = packageFile('guests/elf/x86_64.elf');
    // The guest judges by 6.1, we are told to judge by v3: the wording differs, and so do rules.
    const random = usercopy(
      ['run', 'random', '--kernel', kernel, '--profile', 'v3', '--seed', '1', '--copies', '100', '--json'],
      {},
      directory,
    );
    expect(random.status).toBe(1);
    const { file: scenario } = JSON.parse(random.out);
    const replay = usercopy(['run', scenario, '--json'], {}, directory);
    expect(replay.status).toBe(1);
    const { rows } = JSON.parse(replay.out);
    expect(rows).toHaveLength(1);
    expect(rows[0].identical).toBe(false);
    expect(rows[0].ours).not.toBe(rows[0].guest);
  });
});

describe('usercopy run FILE', () => {
  it('prints one line of JSON for each scenario, and goes on after one that cannot be played', () => {
    const good = file(
      'good.yaml',
      'guest: { variant: x86_64 }\nsteps: [{ copy: { pointer: 0, size: 8, direction: to_user }, expect: { outcome: bad } }]\n',
    );
    const { status, out, err } = usercopy(['run', join(directory, 'absent.yaml'), good, good, '--json']);
    expect(status).toBe(2);
    expect(err).toMatch(/^usercopy: .*absent\.yaml: expected a file that can be read, found ENOENT\n$/);
    const lines = out.trim().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toBe(lines[1]);
    expect(JSON.parse(lines[0]!)).toMatchObject({ file: good, ok: true, rows: [{ identical: true, outcome: 'bad' }] });
  });

  it('calls a function of a guest and explains what was refused', () => {
    const { status, out } = usercopy(['run', '--variant', 'arm64', '--call', '__check_object_size(_stext, 64, 1)']);
    expect(status).toBe(1);
    expect(out).toContain('exposure attempt detected from kernel text');
    expect(out).toContain('refused: kernel text');
  });
});

describe('a guest that ends its emulator', () => {
  // mftb ends the process in Unicorn 2.0.1; later ones answer it.
  it('does not end the tool: one sentence, and the exit status of a case that failed', () => {
    const { status, out, err } = usercopy(['run', '--variant', 'ppc', '--call', 'get_tb()'], {
      UNICORN_PREFIX: unicornsHere[0]!.library,
    });
    expect(err).toMatch(
      /^usercopy: --call: the emulator's process died \(SIG[A-Z]+\) in the guest's function get_tb\n$/,
    );
    expect(out).toBe('');
    expect(status).toBe(1);
  });
});

describe('bad input ends in one sentence and exit status 2', () => {
  const vmlinux = (): Buffer => readFileSync(packageFile('guests/elf/x86_64.elf'));

  function expectRefusal(args: readonly string[], message: RegExp, environment: Record<string, string> = {}): void {
    const { status, out, err } = usercopy(args, environment);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/^\s+at /m);
    expect(err.trim().split('\n').length).toBeLessThanOrEqual(2);
    expect(out).toBe('');
    expect(status).toBe(2);
  }

  it('for an unknown verb, set and option', () => {
    expectRefusal(['frobnicate'], /unknown command 'frobnicate'/);
    expectRefusal(['run', 'everything'], /everything: expected a file that can be read, found ENOENT/);
    expectRefusal(['run'], /expected 'own', 'lkdtm'.*found none/);
    expectRefusal(['run', 'own', 'more'], /expected nothing after it, found 'more'/);
    expectRefusal(['run', 'own', '--frobnicate'], /unknown option '--frobnicate'/);
  });

  it('for a kernel that is not given, not there, or no kernel', () => {
    expectRefusal(['run', 'lkdtm'], /expected --kernel IMAGE, found none/);
    expectRefusal(['run', 'lkdtm', '--kernel', join(directory, 'absent')], /absent: expected a readable file/);
    expectRefusal(['run', 'lkdtm', '--kernel', file('text', 'not a kernel')], /text: expected a kernel image/);
    expectRefusal(['run', 'lkdtm', '--kernel', file('empty', '')], /empty: expected/);
    expectRefusal(['run', 'lkdtm', '--kernel', directory], /expected/);
  });

  it('for an ELF file cut short at any of a hundred places', () => {
    const bytes = vmlinux();
    for (let cut = 1; cut < 100; cut += 14) {
      const path = file('cut.elf', bytes.subarray(0, Math.floor((bytes.length * cut) / 100)));
      const { status, err } = usercopy(['run', 'lkdtm', '--kernel', path]);
      expect(status, `cut at ${cut} %: ${err}`).toBe(2);
      expect(err).not.toMatch(/^\s+at /m);
    }
  });

  it('for a kernel of an architecture that nobody knows', () => {
    const bytes = vmlinux();
    bytes.writeUInt16LE(0x1234, 18);
    expectRefusal(
      ['run', 'lkdtm', '--kernel', file('alien.elf', bytes)],
      /alien\.elf: expected .*4660|alien\.elf: expected .*0x1234/,
    );
  });

  it('for a profile, a number of copies and a seed that make no sense', () => {
    const kernel = packageFile('guests/elf/x86_64.elf');
    expectRefusal(['run', 'random', '--kernel', kernel, '--copies', 'many'], /--copies: expected a whole number/);
    expectRefusal(['run', 'random', '--kernel', kernel, '--seed', '-1'], /--seed: expected a whole number/);
    expectRefusal(['run', 'random', '--kernel', kernel, '--profile', '9.9'], /9\.9/);
    expectRefusal(['run', 'own', '--variant', 'vax'], /vax/);
  });

  it('for a scenario that is none, with the place in the file', () => {
    expectRefusal(['run', file('broken.json', '{')], /broken\.json:1:2: expected YAML or JSON/);
    expectRefusal(['run', file('other.yaml', 'guest: 1\n')], /other\.yaml:1:1: expected 'steps', found none/);
    expectRefusal(['run', '--call', '3 + 4', '--variant', 'arm64'], /--call:.*expected a call: symbol/);
    expectRefusal(['run', '--call', 'nosuch()', '--variant', 'arm64'], /expected a function of kernel .*'nosuch'/);
    expectRefusal(['run', '--call', 'f()'], /expected --kernel IMAGE or one --variant NAME/);
  });

  it('for a dump that is none, and a copy that is half given', () => {
    expectRefusal(['check', '--dump', file('dump', 'ELF? no')], /dump/);
    expectRefusal(['check', '--dump', join(directory, 'absent')], /absent/);
    expectRefusal(['check'], /--dump/);
  });

  it('for a variant without a kernel to fetch', () => {
    expectRefusal(['kernel', 'fetch', 'vax'], /vax/);
  });

  it('for a prefix of libunicorn in which there is none', () => {
    const script = packageFile('scripts/setup.mjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
      encoding: 'utf8',
      env: { ...process.env, UNICORN_PREFIX: join(directory, 'nowhere') },
    });
    expect(stdout + stderr).toMatch(/UNICORN_PREFIX/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(status).toBe(2);
  });
});

describe('usercopy arch', () => {
  it('lists what runs, as JSON', () => {
    const { status, out } = usercopy(['arch', '--json']);
    expect(status).toBe(0);
    const rows = JSON.parse(out) as { variant: string; run: boolean; bits: number; endian: string }[];
    expect(rows.find(({ variant }) => variant === 'x86_64')).toMatchObject({ run: true, bits: 64, endian: 'little' });
    expect(rows.find(({ run }) => !run)).toMatchObject({ unicorn: null, quirks: [expect.stringMatching(/no IA-64/)] });
  });

  // What was seen of each: a hook in SPARC's delay slot, a stop inside a block of s390x.
  it.each(unicornsHere)('says what holds for libunicorn $version, which is asked for', ({ version, lib }) => {
    const environment = { UNICORN_PREFIX: join(lib, '../..') };
    const rows = JSON.parse(usercopy(['arch', '--json'], environment).out) as { variant: string; quirks: string[] }[];
    const quirksOf = (variant: string) => rows.find((row) => row.variant === variant)?.quirks.join();
    expect(rows.find(({ variant }) => variant === 'x86_64')).toMatchObject({ unicorn: version, quirks: [] });
    expect(quirksOf('sparc')).toMatch(version === '2.1.4' ? /delay slot/ : /^$/);
    expect(quirksOf('s390x')).toMatch(version === '2.1.4' ? /^$/ : /condition code/);
    const { out } = usercopy(['arch'], environment);
    expect(out).toContain(`libunicorn ${version}, tried just now:`);
  });

  it('says so where no libunicorn can be opened', () => {
    const { status, out } = usercopy(['arch'], { UNICORN_PREFIX: '/nowhere' });
    expect(status).toBe(0);
    expect(out).toMatch(/Nothing runs here:\n.*x86_64.*: UNICORN_PREFIX=\/nowhere: expected a libunicorn/);
  });
});

describe('what usercopy loads', () => {
  /** Files and packages that a source loads when it is loaded, by its static imports. */
  const loadedBy = (entry: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(entry)) return seen;
    seen.add(entry);
    const text = readFileSync(packageFile(entry), 'utf8');
    for (const [, from] of text.matchAll(/^(?:import|export)\s(?!type\b)[^;]*?from\s+'([^']+)';/gm)) {
      if (from!.startsWith('.')) loadedBy(join(entry, '..', from!.replace(/\.js$/, '.ts')), seen);
      else if (!from!.startsWith('node:')) seen.add(from!);
    }
    return seen;
  };

  it('for --version is itself and what prints', () => {
    const loaded = loadedBy('src/cli/main.ts');
    expect([...loaded].filter((name) => !name.startsWith('src/'))).toEqual(['picocolors']);
    expect([...loaded].filter((name) => name.startsWith('src/cli/')).sort()).toEqual([
      'src/cli/main.ts',
      'src/cli/output.ts',
    ]);
    const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
    for (const flag of ['--version', '-V'])
      expect(usercopy([flag])).toEqual({ status: 0, out: `${version}\n`, err: '' });
  });

  it('for the log of a report is no kernel out of a dump, no emulator and no YAML', () => {
    const loaded = [...loadedBy('src/cli/repro.ts')];
    expect(
      loaded.filter((name) =>
        /^src\/(dump\/(?:read-)?kernel|engine(?!\/options\.ts)|guest|scenario\/(?!expression))/.test(name),
      ),
    ).toEqual([]);
    expect(loaded).not.toContain('yaml');
  });

  it('is the verb that is named, and every verb for help', () => {
    const help = usercopy(['--help']).out;
    const verbs = [...help.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, verb]) => verb!).filter((verb) => verb !== 'help');
    expect(verbs.length).toBeGreaterThan(10);
    const program = readFileSync(packageFile('src/cli/program.ts'), 'utf8');
    for (const verb of verbs) expect(program).toContain(`  ${verb}: async () => (await import('./${verb}.js'))`);
    expect(usercopy(['arch', '--help']).out).toContain('Usage: usercopy arch');
    expect(usercopy(['ach']).err).toContain('Did you mean arch?');
  });
});

describe('usercopy --help', () => {
  it('lists the verbs, and each verb shows examples', () => {
    expect(usercopy(['--help']).out).toMatch(/run.*check.*kernel.*arch/s);
    for (const verb of [['run'], ['check'], ['kernel', 'fetch']]) {
      const { status, out } = usercopy([...verb, '--help']);
      expect(status).toBe(0);
      expect(out).toContain('Examples:');
    }
  });
});
