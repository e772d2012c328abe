#!/usr/bin/env node
/**
 * `npm run build:prebuilt [-- TARGET …]`: the addon and libusercopy as the package carries them, in `prebuilds/<target>/`. Without a target all of
 * them are made; `own` is this machine's. One addon serves every Node.js from 20 on (Node-API 8), every libunicorn from 2.0.1 on, and every
 * GNU C library from GLIBC on: what came out is looked at, and a compiler whose result asks for more gives way to Debian 12's.
 *
 * Exit status: 0; 2 where a target cannot be made.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ADDON_INPUTS, gypCommands, gypVariables } from './lib/compile-addon.mjs';
import { debianCompiler, machineCompiler } from './lib/cross-compiler.mjs';
import { closeSuites } from './lib/debian-packages.mjs';
import { readPlaces } from './lib/places.mjs';
import { ADDON, LIBRARY, ownTarget, prebuiltFolder, TARGETS } from './lib/prebuilt.mjs';
import { compareVersions, readLibrary } from './lib/shared-library.mjs';
import {
  cache,
  fingerprint,
  isFresh,
  packageFolder,
  root,
  runLogged,
  SetupError,
  setStamp,
  sha256Of,
  withLock,
} from './lib/step.mjs';
import { DEBIAN_BUILDS, fetchBuild } from './lib/unicorn-builds.mjs';
import { writeUnicornNames } from './lib/unicorn-names.mjs';

/** RHEL 9 has it, Ubuntu 22.04 and Debian 12 have newer ones. */
const GLIBC = '2.34';
/** Of every system that runs Node.js. libstdc++ is none of them: distributions differ more in it than in the C library. */
const LIBRARIES = /^(?:lib(?:c|m|dl|pthread)\.so\.6|lib(?:dl|pthread)\.so\.[02]|libgcc_s\.so\.1|ld-linux-.*\.so\.\d)$/;
/** libstdc++ goes inside as far as it is used, and none of its names out: Node.js has one of its own. */
const LINKING = '-static-libstdc++ -Wl,--exclude-libs,ALL -Wl,--gc-sections -s';

/** What stands against a compiled file, as the end of a sentence; null for a good one. */
function problemOf(file, arch) {
  const library = readLibrary(readFileSync(file));
  if (!library?.isLibrary) return 'it is no shared library';
  if (!library.machines.includes(arch)) return `it is for ${library.machines.join()}`;
  if (library.glibc === null || compareVersions(library.glibc, GLIBC) > 0)
    return `it needs the GNU C library ${library.glibc}, later than ${GLIBC}`;
  const strangers = library.needed.filter((name) => !LIBRARIES.test(name));
  return strangers.length > 0 ? `it needs ${strangers.join(', ')}` : null;
}

/** The headers whose names are compiled in: the newest libunicorn's, since an older one refuses what it does not know. */
function newestHeaders() {
  const newest = fetchBuild(DEBIAN_BUILDS.at(-1));
  if (!newest.absence) return newest;
  const { unicorn } = readPlaces();
  console.log(
    `prebuild: the headers of libunicorn ${newest.version} cannot be had (${newest.absence}): those of ${unicorn.version} are used`,
  );
  return unicorn;
}

/** A folder that node-gyp builds in: a copy, since it writes to one place only, which is the checkout's own build. */
function workspace(target, unicorn) {
  const folder = join(cache, 'prebuild', target);
  const build = join(folder, 'build');
  const copy = (from, to) => cpSync(from, to, { recursive: true, preserveTimestamps: true });
  rmSync(join(folder, 'native'), { recursive: true, force: true });
  const packages = ['node-addon-api', 'node-api-headers'].map(packageFolder);
  for (const name of ['binding.gyp', 'native', ...packages]) copy(join(root, name), join(folder, name));
  // What is compiled for this machine already is only linked anew.
  if (target === ownTarget) {
    rmSync(build, { recursive: true, force: true });
    copy(join(root, 'build', 'Release'), join(build, 'Release'));
  }
  copy(join(root, 'build', 'generated'), join(build, 'generated'));
  if (unicorn.include !== readPlaces().unicorn.include)
    writeUnicornNames(join(unicorn.include, 'unicorn'), join(build, 'generated', 'unicorn_names.h'));
  return folder;
}

function make(target, unicorn) {
  const arch = target.replace('linux-', '');
  const { wabt, json } = readPlaces();
  if (!wabt || !json) throw new SetupError(`${target}: the check is not compiled natively here: see .cache/setup`);
  const variables = gypVariables(unicorn, { include: wabt.include, runtime: wabt.source }, json);
  const folder = workspace(target, unicorn);
  const reasons = [];
  for (const find of [machineCompiler, debianCompiler]) {
    const { reason, name, env } = find(arch);
    if (reason) {
      reasons.push(reason);
      continue;
    }
    console.log(`prebuild: ${target}, by ${name}`);
    if (
      !runLogged(`prebuild-${target}`, gypCommands(variables, arch), { cwd: folder, env: { ...env, LDFLAGS: LINKING } })
    ) {
      reasons.push(`${name} fails: see .cache/setup/prebuild-${target}.log`);
      continue;
    }
    const files = [ADDON, LIBRARY].map((file) => join(folder, 'build', 'Release', file));
    const problems = files.map((file) => problemOf(file, arch)).filter((problem) => problem !== null);
    if (!readFileSync(files[0]).includes(sha256Of(join(root, 'build', 'check.wasm'))))
      problems.push('its check is not that of build/check.wasm');
    if (problems.length > 0) {
      reasons.push(`what ${name} makes is of no use: ${problems.join('; ')}`);
      continue;
    }
    mkdirSync(prebuiltFolder(target), { recursive: true });
    for (const [i, file] of [ADDON, LIBRARY].entries()) copyFileSync(files[i], join(prebuiltFolder(target), file));
    return;
  }
  throw new SetupError(`${target} cannot be made: ${reasons.join('; ')}`);
}

const asked = process.argv.slice(2).map((name) => (name === 'own' ? ownTarget : name));
try {
  const unknown = asked.find((name) => !TARGETS.includes(name));
  if (unknown !== undefined) throw new SetupError(`expected one of ${TARGETS.join(', ')}, found ${unknown}`);
  if (!existsSync(join(root, 'build', 'Release', ADDON))) throw new SetupError('expected a build: run `npm run build`');
  const unicorn = withLock(newestHeaders);
  const own = ['prebuild', 'lib/cross-compiler', 'lib/prebuilt'].map((name) => `scripts/${name}.mjs`);
  for (const target of asked.length > 0 ? asked : TARGETS) {
    const print = fingerprint([...ADDON_INPUTS, ...own], unicorn.version, readPlaces().wabt);
    const outputs = [ADDON, LIBRARY].map((file) => join('prebuilds', target, file));
    if (isFresh(`prebuild-${target}`, print, outputs)) continue;
    withLock(() => make(target, unicorn));
    setStamp(`prebuild-${target}`, print);
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`prebuild: ${error.message}`);
  process.exitCode = 2;
} finally {
  closeSuites();
}
