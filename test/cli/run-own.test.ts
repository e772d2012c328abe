import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { usercopy } from './usercopy.js';

/** The package in a folder of its own, one of its built-in guests damaged. */
const folder = mkdtempSync(join(tmpdir(), 'usercopy-own-'));
beforeAll(() => {
  for (const path of [
    'package.json',
    'build/cli',
    'build/js',
    'build/check.wasm',
    'build/check.mjs',
    'build/places.json',
    'build/Release',
    'guests/elf',
    'arch',
  ])
    cpSync(packageFile(path), join(folder, path), { recursive: true });
  symlinkSync(packageFile('node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'guests/elf/arm64.elf'), 'no ELF at all');
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: readonly string[]) {
  const program = join(folder, 'build/cli/main.js');
  return spawnSync(process.execPath, [program, 'run', 'own', ...args], { encoding: 'utf8', timeout: 120_000 });
}

describe('usercopy run own, where one variant cannot run', () => {
  const variants = ['--variant', 'arm64', 's390x', '--profile', '6.1'];

  it('shows the others, and that variant as a row with its reason', () => {
    const { status, stdout, stderr } = run(...variants);
    expect(stderr).toBe('');
    expect(status).toBe(1);
    const rows = stdout.split('\n').filter((line) => /^│ (arm64|s390x)/.test(line));
    expect(rows).toHaveLength(2);
    expect(rows.find((row) => row.includes('s390x'))).toMatch(/6\.1\.0-own/);
    expect(rows.find((row) => row.includes('arm64'))).toMatch(/arm64\.elf/);
  });

  it('says so in JSON', () => {
    const { status, stdout } = run(...variants, '--json');
    expect(status).toBe(1);
    const entries = JSON.parse(stdout) as { variant: string; error?: string; rows?: { identical: boolean }[] }[];
    expect(entries.map(({ variant }) => variant)).toEqual(['s390x', 'arm64']);
    expect(entries[0]?.rows?.every(({ identical }) => identical)).toBe(true);
    expect(entries[1]?.error).toMatch(/arm64\.elf/);
  });

  it('what no variant takes is an error of the command', () => {
    const { status, err, out } = usercopy(['run', 'own', '--variant', 'arm64', 's390x', '--profile', 'nonsense']);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});

describe('usercopy run own --cycles, of a variant that there is no table of', () => {
  it('counts instructions, and says that there are no cycles of it', () => {
    const options = ['run', 'own', '--variant', 'mipsel', 'arm', '--profile', '6.1', '--cycles'];
    const { status, out } = usercopy(options);
    expect(status).toBe(0);
    expect(out).toMatch(/^no cycles of mipsel: /m);
    type Rows = { rows: { guestInstructions: number; guestCycles?: number }[] };
    const [mipsel, arm] = JSON.parse(usercopy([...options, '--json']).out) as [Rows, Rows];
    expect(mipsel.rows.every((row) => row.guestInstructions > 0 && row.guestCycles === undefined)).toBe(true);
    expect(arm.rows.every((row) => (row.guestCycles ?? 0) > 0)).toBe(true);
  });
});

describe('usercopy run --call', () => {
  it('has the objects of --snapshot, made when a call names them', () => {
    const call = (argument: string) =>
      usercopy(['run', '--variant', 'arm64', '--call', `__check_object_size(${argument})`, '--json']);
    expect(call('kmalloc_64, 64, 1').status).toBe(0);
    const refused = call('kmalloc_64 + 8, 64, 1');
    expect(refused.status).toBe(1);
    expect(JSON.parse(refused.out).rows).toMatchObject([
      {
        guest: expect.stringMatching(/^usercopy: Kernel memory exposure .* 'kmalloc-64' \(offset 8, size 64\)!$/),
        identical: true,
      },
    ]);
  });

  it('says which call it does not understand', () => {
    const { status, err } = usercopy([
      'run',
      '--variant',
      'arm64',
      '--call',
      '__check_object_size(user, 1, 1)',
      'f(',
      '--json',
    ]);
    expect(status).toBe(2);
    expect(err).toBe("usercopy: --call: steps[1].call: 'f(': expected a name or a number, found the end\n");
  });
});
