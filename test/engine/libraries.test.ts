/** Debian's builds of libunicorn side by side: what their headers agree on, and what is said of one that cannot be used. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { unicornsHere } from '../places.js';
import { CONTRACT_BUILDS } from './builds.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'usercopy-libraries-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every UC_ constant of a build's headers, as a C compiler sees it. */
function constants(include: string): Map<string, string> {
  const headers = readdirSync(join(include, 'unicorn')).map((name) =>
    readFileSync(join(include, 'unicorn', name), 'utf8'),
  );
  // Enumerators: a name at the start of a line, and not a macro with arguments.
  const names = new Set(
    headers.flatMap((text) => [...text.matchAll(/^\s+(UC_[A-Z0-9_]+)\s*(?:=|,|$)/gm)].map(([, name]) => name!)),
  );
  const source = [
    '#include <stdio.h>',
    '#include <unicorn/unicorn.h>',
    'int main(void) {',
    ...[...names].map((name) => `printf("${name} %lld\\n", (long long)(${name}));`),
    '}',
  ].join('\n');
  const program = join(folder, `constants-${names.size}`);
  writeFileSync(`${program}.c`, source);
  const compiled = spawnSync('cc', ['-w', `-I${include}`, `${program}.c`, '-o', program], { encoding: 'utf8' });
  expect(compiled.stderr).toBe('');
  const { stdout } = spawnSync(program, { encoding: 'utf8' });
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
}

/** What a program says that opens an emulator, in a process of its own. */
function opening(environment: NodeJS.ProcessEnv): { status: number | null; text: string } {
  const engine = pathToFileURL(packageFile('build/js/src/engine/unicorn-native.js')).href;
  const program = `
    const { openUnicorn } = await import(${JSON.stringify(engine)});
    try {
      const emulator = openUnicorn({ arch: 'X86', mode: ['64'] });
      console.log('opened ' + emulator.version);
      emulator.close();
    } catch (error) {
      console.log(error.kind + ': ' + error.message);
      process.exitCode = 1;
    }`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  return { status, text: stdout + stderr };
}

describe('Debian’s builds of libunicorn', () => {
  it('are here, two of them at least', () => {
    expect(CONTRACT_BUILDS).toEqual(expect.arrayContaining(unicornsHere.map(({ version }) => version)));
    expect(unicornsHere.length).toBeGreaterThanOrEqual(2);
  });

  it('give every constant that two of them have the same value: what one adds comes behind what was there', () => {
    // Ends of lists and versions are what must differ.
    const moves = /_ENDING$|^UC_(?:API|VERSION)_/;
    const all = unicornsHere.map(({ include }) => constants(include));
    for (const [index, older] of all.entries()) {
      expect(older.size).toBeGreaterThan(3000);
      for (const newer of all.slice(index + 1)) {
        const changed = [...older].filter(([name, value]) => !moves.test(name) && newer.get(name) !== value);
        expect(changed).toEqual([]);
      }
    }
  });

  it('have the numbers that the addon uses where the header it was built with lacks them', () => {
    const newest = constants(unicornsHere.at(-1)!.include);
    const source = readFileSync(packageFile('native/libunicorn.h'), 'utf8');
    const number = (name: string): string => new RegExp(`${name} = (\\d+);`).exec(source)![1]!;
    expect(number('kTlbType')).toBe(newest.get('UC_CTL_TLB_TYPE'));
    expect(number('kTlbVirtual')).toBe(newest.get('UC_TLB_VIRTUAL'));
  });
});

describe('a libunicorn that is asked for', () => {
  it.each(unicornsHere.map(({ version, lib }) => [version, lib]))('is the one that is used: %s', (version, lib) => {
    // <prefix>/lib/<machine>
    expect(opening({ UNICORN_PREFIX: join(lib, '../..') })).toEqual({ status: 0, text: `opened ${version}\n` });
  });

  it('and is not there, is no library, or is not libunicorn is one sentence', () => {
    const missing = opening({ UNICORN_PREFIX: join(folder, 'nowhere') });
    expect(missing).toMatchObject({ status: 1 });
    expect(missing.text).toMatch(/^missing-dependency: UNICORN_PREFIX=.*nowhere: expected a libunicorn.*found nothing/);
    const text = join(folder, 'libunicorn.so.2');
    writeFileSync(text, 'not a library');
    const broken = opening({ UNICORN_PREFIX: text });
    expect(broken).toMatchObject({ status: 1 });
    expect(broken.text).toMatch(
      /^missing-dependency: .*libunicorn\.so\.2: expected a libunicorn that can be loaded here/,
    );
    const other = opening({ UNICORN_PREFIX: anotherLibrary() });
    expect(other).toMatchObject({ status: 1 });
    expect(other.text).toMatch(/expected libunicorn 2\.0\.1 or later, found a library without uc_/);
  });

  it('is refused where the process has loaded another one, which is taken where nothing is asked for', () => {
    const [first, second] = unicornsHere;
    // A sanitizer's library has to come first.
    const preloaded = [process.env['LD_PRELOAD'], first!.library].filter(Boolean).join(':');
    const asked = opening({ UNICORN_PREFIX: second!.library, LD_PRELOAD: preloaded });
    expect(asked).toMatchObject({ status: 1 });
    expect(asked.text).toMatch(/this process has loaded the libunicorn .*, and one process can use only one/);
    const taken = opening({ UNICORN_PREFIX: '', LD_PRELOAD: preloaded });
    expect(taken).toEqual({ status: 0, text: `opened ${first!.version}\n` });
  });
});

/** Some shared library of the system that is not libunicorn. */
function anotherLibrary(): string {
  const report = process.report.getReport() as unknown as { readonly sharedObjects: readonly string[] };
  return report.sharedObjects.find((path) => /libm[.-]/.test(path))!;
}
