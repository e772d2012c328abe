import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { UsercopyError } from '../src/errors.js';
import { fetchKernel } from '../src/image/fetch.js';
import { packageFile } from '../src/paths.js';

/** Runs a program in a folder that knows nothing of this project; npm's own settings of the test run are not passed on. */
function run(folder: string, program: string, args: readonly string[]): string {
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  return execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe', env: environment });
}

const readme = (): string => readFileSync(packageFile('README.md'), 'utf8');

/** The first program of the README. */
function readmeProgram(): string {
  const program = /^```ts\n(.*?)^```/ms.exec(readme())?.[1];
  if (program === undefined) throw new Error('the README has no program');
  return program;
}

it('the packed package installs in an empty folder and runs the README there', async (context) => {
  // The README's program needs a kernel with functions that copy, which the built-in guests are not.
  const kernel = await fetchKernel('x86_64', { release: 'bookworm' }).catch((error: unknown) => {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') return null;
    throw error;
  });
  if (kernel === null) return context.skip('Debian’s kernel cannot be had');
  if (spawnSync('npm', ['view', 'yaml', 'version'], { timeout: 20_000 }).status !== 0) {
    return context.skip("npm's registry cannot be reached");
  }
  const folder = mkdtempSync(join(tmpdir(), 'usercopy-package-'));
  try {
    const [packed] = JSON.parse(run(packageFile('.'), 'npm', ['pack', '--json', '--pack-destination', folder])) as [
      { filename: string; files: { path: string }[] },
    ];
    // The C twin is compiled where the benchmark runs.
    expect(
      packed.files.map(({ path }) => path).filter((path) => /^(test|bench|src|assembly|node_modules)\//.test(path)),
    ).toEqual(['bench/twin.c']);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
    const quick = ['--no-audit', '--no-fund', '--ignore-scripts=false', '--prefer-offline'];
    run(folder, 'npm', ['install', ...quick, `./${packed.filename}`]);

    const program = readmeProgram();
    writeFileSync(join(folder, 'readme.mjs'), program);
    writeFileSync(join(folder, 'readme.mts'), program);
    copyFileSync(kernel.path, join(folder, 'vmlinuz'));
    const printed = run(folder, process.execPath, ['readme.mjs']);
    const told = /On Debian's kernel (\S+) this prints:\n\n```\n(.*?)```/s.exec(readme());
    // Addresses are those of one build of the kernel.
    const plain = (text: string): string => text.replace(/0x[0-9a-f]+|\+\d+/g, 'N');
    expect(plain(printed)).toBe(plain(told?.[2] ?? ''));
    if (kernel.release === told?.[1]) expect(printed).toBe(told[2]);
    // Nothing that charts need comes along unasked.
    expect(existsSync(join(folder, 'node_modules/echarts'))).toBe(false);
    // CommonJS programs load it too, where Node.js can.
    if (process.features.require_module) {
      const names = ['', '/arch', '/dump', '/engine', '/report'].map((path) => `require('unicorn-usercopy${path}')`);
      expect(
        run(folder, process.execPath, ['-p', `[${names.join()}].every((all) => Object.keys(all).length > 0)`]),
      ).toBe('true\n');
    }
    // The types that come with it are whole.
    const tsc = packageFile('node_modules/typescript/bin/tsc');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
    const roots = ['--typeRoots', packageFile('node_modules/@types')];
    expect(run(folder, process.execPath, [tsc, ...options, ...roots, 'readme.mts'])).toBe('');

    const cli = (...args: string[]): string => run(folder, join(folder, 'node_modules/.bin/usercopy'), args);
    expect(JSON.parse(cli('doctor', '--json')).ok).toBe(true);
    cli('new', 'case.yaml');
    expect(JSON.parse(cli('run', 'case.yaml', '--json')).ok).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 600_000);
