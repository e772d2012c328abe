import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { unicornBuilds, unicornInUse } from '../places.js';
import { usercopy } from './usercopy.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'usercopy-verbs-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const hasProgram = (name: string): boolean => spawnSync(name, ['--version']).error === undefined;

describe('usercopy new', () => {
  it('writes a scenario that plays as it says, and does not write over it', () => {
    const path = join(directory, 'case.yaml');
    expect(usercopy(['new', path]).status).toBe(0);
    expect(readFileSync(path, 'utf8')).toMatch(/^# yaml-language-server: \$schema=.*scenario\.schema\.json\n/);
    const { status, out } = usercopy(['run', path, '--json']);
    expect(status).toBe(0);
    const { rows } = JSON.parse(out) as { rows: { identical: boolean; outcome: string }[] };
    expect(rows.map(({ outcome }) => outcome)).toEqual(['good', 'bad', 'bad', 'bad']);
    expect(rows.every(({ identical }) => identical)).toBe(true);
    expect(usercopy(['new', path]).err).toMatch(/case\.yaml: expected a file that is not there yet, or --force/);
  });

  it('writes for another guest and other rules to standard output', () => {
    const { out } = usercopy(['new', '-', '--variant', 'arm64', '--profile', '4.8']);
    const path = join(directory, 'arm64.yaml');
    writeFileSync(path, out);
    const { status, out: played } = usercopy(['run', path, '--json']);
    expect(JSON.parse(played)).toMatchObject({ variant: 'arm64', profile: '4.8', ok: true });
    expect(status).toBe(0);
  });

  it('prints the schema that the reader uses', () => {
    expect(JSON.parse(usercopy(['new', '--schema']).out)).toEqual(
      JSON.parse(readFileSync(packageFile('schema/scenario.schema.json'), 'utf8')),
    );
  });
});

describe('usercopy doctor', () => {
  it('finds what is here, and exits with 0', () => {
    const { status, out } = usercopy(['doctor', '--json']);
    const report = JSON.parse(out) as { ok: boolean; findings: { name: string; ok: boolean; found: string | null }[] };
    expect(status).toBe(0);
    expect(report.ok).toBe(true);
    const found = (name: string) => report.findings.find((entry) => entry.name === name)?.found;
    expect(found('Node.js')).toBe(process.versions.node);
    const { version, library, source } = unicornInUse();
    expect(found('libunicorn')).toBe(`${version}, ${library} (${source})`);
    expect(existsSync(found('check.wasm') ?? '')).toBe(true);
  });

  it('says of each thing once whether it is there', () => {
    const { out } = usercopy(['doctor', '--json']);
    const { findings } = JSON.parse(out) as { findings: { name: string; ok: boolean; found: string | null }[] };
    const names = findings.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { ok, found } of findings) expect(ok).toBe(found !== null);
    // The native executor is made by wasm2c: where it is there that is, if only in the cache.
    const isThere = (name: string) => findings.find((entry) => entry.name === name)?.ok;
    if (isThere('executor native')) expect(isThere('wasm2c')).toBe(true);
  });

  it.each(unicornBuilds.map((build) => [build.version, build] as const))(
    'says of libunicorn %s where it is from, and what it lacks',
    (version, build) => {
      if (build.absence !== null) return;
      const prefix = join(build.include, '..');
      const { status, out } = usercopy(['doctor', '--json'], { UNICORN_PREFIX: prefix });
      const { findings } = JSON.parse(out) as { findings: { name: string; found: string | null; notes: string[] }[] };
      expect(status).toBe(0);
      const found = findings.find(({ name }) => name === 'libunicorn');
      expect(found?.found).toBe(`${version}, ${build.library} (UNICORN_PREFIX)`);
      // As Unicorn's change log tells: UC_TLB_VIRTUAL and UC_CTL_CONTEXT_MEMORY came with 2.1.0.
      expect(found?.notes.some((note) => note.includes('UC_CTL_CONTEXT_MEMORY'))).toBe(version.startsWith('2.0.'));
    },
  );

  it('tells a libunicorn that cannot be used from an addon that is not there', () => {
    const { status, out } = usercopy(['doctor', '--json'], { UNICORN_PREFIX: directory });
    const { findings } = JSON.parse(out) as { findings: { name: string; ok: boolean; advice: string | null }[] };
    expect(status).toBe(2);
    expect(findings.find(({ name }) => name === 'addon')?.ok).toBe(true);
    expect(findings.find(({ name }) => name === 'libunicorn')).toMatchObject({
      ok: false,
      advice: expect.stringContaining('UNICORN_PREFIX='),
    });
  });

  it('says how to get what is missing', () => {
    const { status, out } = usercopy(['doctor', '--json'], { PATH: directory });
    const { findings } = JSON.parse(out) as { findings: { name: string; ok: boolean; advice: string | null }[] };
    expect(findings.find(({ name }) => name === 'make')).toMatchObject({
      ok: false,
      advice: 'for building the addon; Debian, Ubuntu: apt-get install make',
    });
    // Nothing of it is needed to judge copies.
    expect(status).toBe(0);
  });
});

describe('usercopy kernel list', () => {
  it('lists what is in the cache', () => {
    const { status, out } = usercopy(['kernel', 'list', '--json']);
    expect(status).toBe(0);
    for (const { variant, release, path } of JSON.parse(out)) {
      expect(path).toContain(release);
      expect(readFileSync(join(path, '..', 'variant'), 'utf8').trim()).toBe(variant);
    }
  });
});

describe('usercopy profiles', () => {
  it('lists names that --profile takes', () => {
    const { out } = usercopy(['profiles', '--json']);
    const { profiles, switches } = JSON.parse(out) as {
      profiles: { name: string }[];
      switches: { name: string; profiles: string[] }[];
    };
    expect(profiles.map(({ name }) => name)).toContain('4.16');
    const text = ['4.16', ...switches.filter((entry) => entry.profiles.includes('4.16')).map(({ name }) => name)];
    const { status, err } = usercopy(['new', '-', '--profile', text.join(',')]);
    expect(err).toBe('');
    expect(status).toBe(0);
  });
});

describe('usercopy completion', () => {
  /** What bash offers after the words. */
  function offered(...words: string[]): string[] {
    const script = join(directory, 'completion.bash');
    writeFileSync(script, usercopy(['completion', 'bash']).out);
    const line = `source ${script}; COMP_WORDS=(usercopy "$@"); COMP_CWORD=$#; _usercopy; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', line, 'bash', ...words], { encoding: 'utf8', cwd: directory });
    expect(stderr).toBe('');
    return stdout.trim().split('\n');
  }

  it('offers verbs, sub-verbs, options and values to bash', () => {
    expect(offered('')).toEqual(expect.arrayContaining(['run', 'check', 'kernel', 'doctor', 'new']));
    expect(offered('ker')).toEqual(['kernel']);
    expect(offered('kernel', 'f')).toEqual(['fetch']);
    expect(offered('kernel', 'fetch', '--rel')).toEqual(['--release']);
    expect(offered('run', '--judge', 'a')).toEqual(['all']);
    expect(offered('completion', 'z')).toEqual(['zsh']);
  });

  it.for(['zsh', 'fish'])('is a script that %s takes', (shell, context) => {
    if (!hasProgram(shell)) return context.skip(`no ${shell} here`);
    const script = join(directory, `completion.${shell}`);
    writeFileSync(script, usercopy(['completion', shell]).out);
    expect(spawnSync(shell, ['-n', script], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  });

  it('knows every option of every verb in fish', () => {
    const fish = usercopy(['completion', 'fish']).out;
    for (const option of usercopy(['run', '--help']).out.matchAll(/^ {2}--([a-z-]+)/gm)) {
      expect(fish).toContain(`__fish_seen_subcommand_from run' -l ${option[1]}`);
    }
  });
});

describe('colours', () => {
  const failing = ['run', '--variant', 'x86_64', '--call', '__check_object_size(0, 1, 1)'];

  it('are for terminals, and for who forces them', () => {
    expect(usercopy(failing, { CI: 'true' }).out).not.toContain('\u001b[');
    expect(usercopy(failing, { FORCE_COLOR: '1' }).out).toContain('\u001b[31m');
    expect(usercopy(failing, { FORCE_COLOR: '1', NO_COLOR: '1' }).out).not.toContain('\u001b[');
  });
});

describe('an option that makes no sense ends in one sentence and exit status 2', () => {
  const elf = packageFile('guests/elf/x86_64.elf');
  it.each([
    [['rnu'], /unknown command 'rnu'\n\(Did you mean run\?\)/],
    [['run', 'own', '--profil', '6.1'], /unknown option '--profil'\n\(Did you mean --profile\?\)/],
    [['run', 'own', '--profile', '4.8'], /4\.8/],
    [['run', '--call', '__check_object_size(0, 1, 1)', '--variant', 'x86_64', '--judge', 'some'], /kernel, all/],
    [['run', 'lkdtm', '--kernel', elf, '--btf', 'absent'], /absent/],
    [['run', 'lkdtm', '--kernel', elf, '--config', 'absent'], /absent/],
    [['run', 'lkdtm', '--kernel', elf, '--profile', '6.1,sloth'], /switches out of .*'sloth'/],
    [['run', 'case.yaml', '--profile', '4.8'], /run of scenario files.*found --profile$/m],
    [['run', 'own', '--judge', 'all'], /run own: expected no options but those that it uses .*found --judge$/m],
    [['run', 'random', '--variant', 'arm', '--config', 'c'], /found --config$/m],
    [['run', '--snapshot', '/nonexistent', 'case.yaml', '--btf', 'b'], /run --snapshot of a scenario: .*found --btf$/m],
    [['run', '--snapshot', '/nonexistent', '--variant', 'arm', '--copies', '5'], /found --copies$/m],
    [['kernel', 'fetch', '--from', 'absent', '--refresh'], /kernel fetch --from: .*found --refresh$/m],
    [['check', '--dump', elf, '--at', 'here', '--size', '1', '--to-user'], /--at: expected an unsigned 64-bit/],
    [['check', '--dump', elf, '--at', '1', '--size', '-1', '--to-user'], /--size/],
    [['check', '--dump', elf, '--at', '1', '--size', '1', '--to-user', '--from-user'], /one of --to-user/],
    [['check', '--dump', elf, '--regs', 'absent'], /absent/],
    [['kernel', 'fetch', 'x86_64', '--release', 'sarge'], /sarge/],
    [['kernel', 'eat'], /unknown command 'eat'/],
    [['new', '-', '--variant', 'vax'], /--variant: expected one of .*'vax'/],
    [['new', '-', '--variant', 'arm', '--kernel', 'k'], /one of --variant and --kernel/],
    [['new', '/nonexistent/case.yaml'], /a file that can be written, found ENOENT/],
    [['new', '-', '--profile', '9.9'], /'9\.9'/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
  ])('%j', (args, message) => {
    const { status, out, err } = usercopy(args);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/^\s+at |unexpected:/m);
    expect(err.trim().split('\n').length).toBeLessThanOrEqual(3);
    expect(out).toBe('');
    expect(status).toBe(2);
  });
});
