import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { lookIn } from '../../scripts/lib/find-library.mjs';
import { examineUnicorn, glibcHere, type Machine } from '../../scripts/lib/shared-library.mjs';
import { packageFile } from '../../src/paths.js';
import { unicornInUse } from '../places.js';

const unicorn = unicornInUse();
const folder = mkdtempSync(join(tmpdir(), 'unicorn-prefix-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A prefix with the real headers, or those of another version, and a library of these bytes. */
function prefix(name: string, library: Buffer, version?: string): string {
  const place = join(folder, name);
  cpSync(join(unicorn.include, 'unicorn'), join(place, 'include', 'unicorn'), { recursive: true });
  if (version !== undefined) {
    const [major, minor, patch] = version.split('.');
    const lines = [`#define UC_API_MAJOR ${major}`, `#define UC_API_MINOR ${minor}`, `#define UC_API_PATCH ${patch}`];
    writeFileSync(join(place, 'include', 'unicorn', 'unicorn.h'), lines.join('\n'));
  }
  mkdirSync(join(place, 'lib'), { recursive: true });
  writeFileSync(join(place, 'lib', 'libunicorn.so.2'), library);
  return place;
}

const real = readFileSync(unicorn.library);
function changed(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(real);
  change(bytes);
  return bytes;
}
const rename = (from: string, to: string) =>
  changed((bytes) => void bytes.write(`\0${to}\0`, bytes.indexOf(`\0${from}\0`), 'latin1'));

/** e_machine: 183 is AArch64, 62 x86-64; the one that Node.js does not run on. */
const foreign = process.arch === 'arm64' ? { machine: 62, name: 'x64' } : { machine: 183, name: 'arm64' };

/** A 64-bit Mach-O header: magic, CPU, subtype, file type. */
function machO(cpu: number, type: number): Buffer {
  const bytes = Buffer.alloc(4096);
  [0xfeedfacf, cpu, 0, type].forEach((word, i) => void bytes.writeUInt32LE(word, i * 4));
  bytes.write('\0_uc_open\0_uc_ctl\0', 64, 'latin1');
  return bytes;
}

const BAD: readonly [name: string, library: Buffer, version: string | undefined, sentence: RegExp][] = [
  [
    'a text',
    Buffer.from('INPUT(-lunicorn)\n'),
    undefined,
    /expected a shared library .* found 17 bytes of something else/,
  ],
  ['an empty file', Buffer.alloc(0), undefined, /expected a shared library .* found 0 bytes/],
  ['a library cut off', real.subarray(0, 100), undefined, /expected a shared library .* found 100 bytes/],
  ['a program', readFileSync(packageFile('guests/elf/x86_64.elf')), undefined, /another kind of ELF file/],
  [
    'another processor',
    changed((bytes) => void bytes.writeUInt16LE(foreign.machine, 18)),
    undefined,
    new RegExp(`expected a library for ${process.arch}, .* found one for ${foreign.name}`),
  ],
  ['Mach-O of another processor', machO(7, 6), undefined, /found one for ia32/],
  ['a Mach-O program', machO(0x01000007, 2), undefined, /another kind of Mach-O file/],
  ['another library', rename('uc_open', 'xx_open'), undefined, /without uc_open/],
  ['a library of before 2.0', rename('uc_ctl', 'uc_xxx'), undefined, /found one of before 2\.0/],
  ['headers that are too old', real, '2.0.0', /expected libunicorn 2\.0\.1 or later, found 2\.0\.0/],
];

describe('a libunicorn below UNICORN_PREFIX', () => {
  it('is found in a prefix, in the folder of a wheel, and in the folder above it', () => {
    const wheel = join(folder, 'site-packages', 'unicorn');
    mkdirSync(join(wheel, 'lib'), { recursive: true });
    symlinkSync(unicorn.include, join(wheel, 'include'));
    cpSync(unicorn.library, join(wheel, 'lib', 'libunicorn.so.2'));
    for (const place of [wheel, join(folder, 'site-packages')])
      expect(lookIn(place)).toMatchObject({ version: unicorn.version, lib: join(wheel, 'lib'), problem: null });
    const found = lookIn(join(unicorn.include, '..'));
    expect(found).toMatchObject({ library: unicorn.library, problem: null });
  });

  for (const [name, library, version, sentence] of BAD) {
    it(`${name} is refused in one sentence`, () => {
      const place = prefix(name.replaceAll(' ', '-'), library, version);
      expect(lookIn(place)?.problem).toMatch(sentence);
      const { stderr, status } = spawnSync(process.execPath, [packageFile('scripts/setup.mjs')], {
        encoding: 'utf8',
        env: { ...process.env, UNICORN_PREFIX: place },
      });
      expect(stderr).toMatch(sentence);
      expect(stderr.trim().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(/^setup: UNICORN_PREFIX=/);
      expect(status).toBe(2);
    });
  }

  it('that needs a newer C library than the machine has is not loaded', () => {
    const here: Machine = { arch: process.arch, glibc: glibcHere(), littleEndian: true };
    expect(examineUnicorn(unicorn.library, here).problem).toBeNull();
    if (unicorn.glibc === null) return;
    expect(examineUnicorn(unicorn.library, { ...here, glibc: '2.3.6' }).problem).toBe(
      `it needs the GNU C library ${unicorn.glibc}, this machine has 2.3.6`,
    );
    expect(examineUnicorn(unicorn.library, { ...here, glibc: null }).problem).toMatch(/GNU C library/);
  });
});
