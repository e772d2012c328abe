import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsercopyError } from '../src/errors.js';
import { fetchKernel } from '../src/image/fetch.js';
import { packageFile } from '../src/paths.js';
import { unicornInUse } from './places.js';

const folder = mkdtempSync(join(tmpdir(), 'usercopy-package-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const installed = join(folder, 'node_modules', 'unicorn-usercopy');
const prebuilt = `prebuilds/${process.platform}-${process.arch}`;
/** Others compile when they install. */
const isTarget = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

/** Whatever compiles leaves its name here. */
const called = join(folder, 'called');
const compilers = join(folder, 'compilers');
/** A prefix as a system has it that never compiles: the library and no header. */
const prefix = join(folder, 'prefix');

/** npm's own settings of the test run are not passed on; a compiler that is called fails. */
const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))),
  PATH: `${compilers}:${process.env['PATH']}`,
  ...more,
});

/** Runs a program in a folder that knows nothing of this project. */
const run = (program: string, args: readonly string[]): string =>
  execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe', env: environment() });

/** The install script of the installed package, run by hand. */
const setUp = (env: NodeJS.ProcessEnv) =>
  spawnSync(process.execPath, ['scripts/setup.mjs', '--install'], { cwd: installed, encoding: 'utf8', env });

const readme = (): string => readFileSync(packageFile('README.md'), 'utf8');

/** The first program of the README. */
function readmeProgram(): string {
  const program = /^```ts\n(.*?)^```/ms.exec(readme())?.[1];
  if (program === undefined) throw new Error('the README has no program');
  return program;
}

/** What the compiler's own tools say that a library asks for. */
const dynamic = (option: string, file: string): string =>
  execFileSync('objdump', [option, file], { encoding: 'utf8', maxBuffer: 64 << 20 });

let absence: string | null = null;
let files: readonly string[] = [];

beforeAll(() => {
  mkdirSync(compilers);
  for (const name of ['cc', 'gcc', 'c++', 'g++', 'clang', 'make', 'node-gyp']) {
    writeFileSync(join(compilers, name), `#!/bin/sh\necho ${name} >>'${called}'\nexit 1\n`);
    chmodSync(join(compilers, name), 0o755);
  }
  mkdirSync(join(prefix, 'lib'), { recursive: true });
  symlinkSync(unicornInUse().library, join(prefix, 'lib', 'libunicorn.so.2'));
  if (!isTarget) {
    absence = `nothing is compiled before packing for ${process.platform}-${process.arch}`;
    return;
  }
  // The processor's own: another one's is made and tried by `npm run test:package`.
  execFileSync(process.execPath, [packageFile('scripts/prebuild.mjs'), 'own'], { encoding: 'utf8', stdio: 'pipe' });
  if (spawnSync('npm', ['view', 'yaml', 'version'], { timeout: 20_000 }).status !== 0) {
    absence = "npm's registry cannot be reached";
    return;
  }
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: packageFile('.'),
    encoding: 'utf8',
    stdio: 'pipe',
    env: environment(),
  });
  const [answer] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
  files = answer.files.map(({ path }) => path);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
  const quick = ['--no-audit', '--no-fund', '--ignore-scripts=false', '--prefer-offline'];
  execFileSync('npm', ['install', ...quick, `./${answer.filename}`], {
    cwd: folder,
    stdio: 'pipe',
    env: environment({ UNICORN_PREFIX: prefix }),
  });
}, 300_000);

describe.skipIf(!isTarget)('what is compiled before packing', () => {
  for (const name of ['unicorn_engine.node', 'libusercopy.so']) {
    it(`${name} asks for no later C library than 2.34, and for no C++ library`, () => {
      const file = packageFile(`${prebuilt}/${name}`);
      const versions = [...dynamic('-T', file).matchAll(/GLIBC_(\d+)\.(\d+)/g)].map(
        ([, major, minor]) => Number(major) * 1000 + Number(minor),
      );
      expect(versions.length).toBeGreaterThan(0);
      expect(Math.max(...versions)).toBeLessThanOrEqual(2034);
      const needed = [...dynamic('-p', file).matchAll(/NEEDED +(\S+)/g)].map(([, library]) => library);
      expect(needed).toContain('libc.so.6');
      expect(
        needed.filter((library) => !/^(lib(c|m|dl|pthread)\.so|libgcc_s\.so|ld-linux)/.test(library ?? '')),
      ).toEqual([]);
      // Names of a C++ library inside would be taken for those of Node.js.
      expect(dynamic('-T', file).match(/ g .* _ZNSt\S*/g) ?? []).toEqual([]);
      expect(readFileSync(file).includes(packageFile('.'))).toBe(false);
    });
  }

  it('is in the packed file', (context) => {
    if (absence !== null) return context.skip(absence);
    expect(files).toEqual(
      expect.arrayContaining([`${prebuilt}/unicorn_engine.node`, `${prebuilt}/libusercopy.so`, 'native/harness.h']),
    );
    // What is compiled where the benchmark runs: the C twin, and the hook in C.
    expect(files.filter((path) => /^(test|bench|src|assembly|node_modules)\//.test(path))).toEqual([
      'bench/harness/hook.c',
      'bench/twin.c',
    ]);
  });
});

describe('the packed package, installed in an empty folder', () => {
  it('compiles nothing, and brings nothing that only charts need', (context) => {
    if (absence !== null) return context.skip(absence);
    expect(existsSync(called)).toBe(false);
    expect(existsSync(join(installed, 'build/Release'))).toBe(false);
    expect(existsSync(join(folder, 'node_modules/echarts'))).toBe(false);
  });

  it('brings no package that only the command line or a compiler needs', (context) => {
    if (absence !== null) return context.skip(absence);
    const { packages }: { packages: Record<string, unknown> } = JSON.parse(
      readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8'),
    );
    const names = Object.keys(packages).map((path) => path.replace('node_modules/', ''));
    // Those that the exported modules import, and what these stand on; the headers that compiling takes.
    expect(names.length).toBeLessThanOrEqual(20);
    for (const name of ['papaparse', 'cli-table3', 'node-gyp', 'tinybench', 'undici'])
      expect(names).not.toContain(name);
    // Copies of others' code bring their licences.
    const texts = readFileSync(join(installed, 'build/cli/licences.txt'), 'utf8');
    expect(texts).toMatch(/^=== commander \S+: MIT\n\n\(The MIT License\)\n\nCopyright \(c\) 2011 TJ Holowaychuk/m);
  });

  for (const verb of ['overhead', 'bench']) {
    it(`says that charts need another package before usercopy ${verb} measures anything`, (context) => {
      if (absence !== null) return context.skip(absence);
      const args = [join(installed, 'build/cli/main.js'), verb, '--kernel', 'no-such-kernel', '--html', 'page.html'];
      const { status, stderr } = spawnSync(process.execPath, args, {
        cwd: folder,
        encoding: 'utf8',
        env: environment(),
      });
      expect(stderr).toBe('usercopy: charts: expected the package echarts, found none; npm install echarts\n');
      expect(status).toBe(2);
    });
  }

  it('has an addon whose check is that of its check.wasm, and takes a libunicorn without headers', (context) => {
    if (absence !== null) return context.skip(absence);
    const doctor: { ok: boolean; findings: { name: string; ok: boolean; found: string | null }[] } = JSON.parse(
      run(join(folder, 'node_modules/.bin/usercopy'), ['doctor', '--json']),
    );
    const found = new Map(doctor.findings.map((finding) => [finding.name, finding]));
    expect(doctor.ok).toBe(true);
    expect(found.get('addon')?.found).toBe(join(installed, prebuilt, 'unicorn_engine.node'));
    expect(found.get('executor native')?.ok).toBe(true);
    expect(found.get('libunicorn')?.found).toContain(unicornInUse().version);
  });

  it('runs the README’s program, with types that are whole', async (context) => {
    if (absence !== null) return context.skip(absence);
    // It needs a kernel with functions that copy, which the built-in guests are not.
    const kernel = await fetchKernel('x86_64', { release: 'bookworm' }).catch((error: unknown) => {
      if (error instanceof UsercopyError && error.kind === 'missing-dependency') return null;
      throw error;
    });
    if (kernel === null) return context.skip('Debian’s kernel cannot be had');
    const program = readmeProgram();
    writeFileSync(join(folder, 'readme.mjs'), program);
    writeFileSync(join(folder, 'readme.mts'), program);
    copyFileSync(kernel.path, join(folder, 'vmlinuz'));
    const printed = run(process.execPath, ['readme.mjs']);
    const told = /On Debian's kernel (\S+) this prints:\n\n```\n(.*?)```/s.exec(readme());
    // Addresses are those of one build of the kernel.
    const plain = (text: string): string => text.replace(/0x[0-9a-f]+|\+\d+/g, 'N');
    expect(plain(printed)).toBe(plain(told?.[2] ?? ''));
    if (kernel.release === told?.[1]) expect(printed).toBe(told[2]);
    const tsc = packageFile('node_modules/typescript/bin/tsc');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
    const roots = ['--typeRoots', packageFile('node_modules/@types')];
    expect(run(process.execPath, [tsc, ...options, ...roots, 'readme.mts'])).toBe('');
  });

  it.skipIf(!process.features.require_module)('is loaded by CommonJS programs too', (context) => {
    if (absence !== null) return context.skip(absence);
    const names = ['', '/arch', '/dump', '/engine', '/report'].map((path) => `require('unicorn-usercopy${path}')`);
    expect(run(process.execPath, ['-p', `[${names.join()}].every((all) => Object.keys(all).length > 0)`])).toBe(
      'true\n',
    );
  });

  it('plays a scenario', (context) => {
    if (absence !== null) return context.skip(absence);
    const usercopy = join(folder, 'node_modules/.bin/usercopy');
    run(usercopy, ['new', 'case.yaml']);
    expect(JSON.parse(run(usercopy, ['run', 'case.yaml', '--json'])).ok).toBe(true);
  });

  // These change what is installed.
  it('says how to get a libunicorn where there is none', (context) => {
    if (absence !== null) return context.skip(absence);
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    const { status, stderr } = setUp(environment({ UNICORN_PREFIX: empty }));
    expect(status).toBe(0);
    expect(stderr).toMatch(/^setup: UNICORN_PREFIX=.*: expected lib\/libunicorn\.so\.2 .* below it/m);
    expect(stderr).toMatch(/npx usercopy doctor/);
  });

  it('compiles the addon where the prebuilt one does not load, or when it is asked to', (context) => {
    if (absence !== null) return context.skip(absence);
    const { include, lib } = unicornInUse();
    const whole = join(folder, 'whole');
    mkdirSync(whole);
    symlinkSync(include, join(whole, 'include'));
    symlinkSync(lib, join(whole, 'lib'));
    // A wasm2c would be fetched, which compiling does not need.
    const places = { UNICORN_PREFIX: whole, WABT_PREFIX: join(folder, 'empty') };
    const asked = setUp(environment({ ...places, npm_config_build_from_source: 'true' }));
    expect(asked.stderr).toMatch(/building the emulator addon .* failed/);
    expect(readFileSync(called, 'utf8')).toMatch(/^make$/m);
    rmSync(called);
    writeFileSync(join(installed, prebuilt, 'unicorn_engine.node'), 'of another machine');
    const broken = setUp(environment(places));
    expect(broken.stdout).toMatch(/the prebuilt addon is not used: it cannot be loaded here \(.*\)/);
    expect(readFileSync(called, 'utf8')).toMatch(/^make$/m);
  });
});

it('names the libunicorn that it fetches by the digest of Debian’s signed lists', (context) => {
  const read = (path: string) => JSON.parse(readFileSync(packageFile(path), 'utf8'));
  const { libunicorn } = read('scripts/lib/debian-archive.json');
  // What the set-up unpacked by way of the lists.
  const origin = `.cache/unicorn/${libunicorn.version.replace(/-.*/, '')}/origin.json`;
  if (!existsSync(packageFile(origin))) return context.skip('the set-up has not fetched it');
  const packages: { name: string; version: string; sha256: string }[] = read(origin).packages;
  const signed = packages.find(({ name }) => name === libunicorn.name);
  if (signed?.version !== libunicorn.version) return context.skip(`Debian has ${signed?.version}`);
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? '';
  expect(libunicorn.sha256[architecture]).toBe(signed?.sha256);
  expect(libunicorn.path).toContain(`/${libunicorn.name}_${libunicorn.version}_`);
});
