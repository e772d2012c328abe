/**
 * Everything that `npm start` and `npm test` (`--test`) need, made when its inputs have changed: npm's packages, libunicorn,
 * the addon, check.wasm, the compiled TypeScript. A failure is one sentence and exit code 2.
 *
 * It is also the install script of the package, which carries all of it but libunicorn, and an addon for most machines; where that does
 * not load it is compiled. Without an emulator everything still works that emulates nothing, so that a failure is told and does not
 * fail `npm install`.
 */
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeCheckLayout } from './lib/check-layout-header.mjs';
import { ADDON_INPUTS, gypCommands, gypVariables } from './lib/compile-addon.mjs';
import { compiledPrint, isCompiled, setCompiled } from './lib/compiled.mjs';
import { closeSuites } from './lib/debian-packages.mjs';
import { findFuzzer } from './lib/find-fuzzer.mjs';
import { findJson } from './lib/find-json.mjs';
import { findBrowser, findProgram, ZSTD } from './lib/find-program.mjs';
import { allBuilds, chooseUnicorn, unicornFacts } from './lib/find-unicorn.mjs';
import { writeJavaScriptCheck } from './lib/javascript-check.mjs';
import { translateCheck, wabtPlaces, writeConfig } from './lib/native-check.mjs';
import { readPlaces, writePlaces } from './lib/places.mjs';
import { ADDON, loadProblem, prebuiltFolder } from './lib/prebuilt.mjs';
import { writeSlowPrograms } from './lib/programs.mjs';
import { pruneBuild } from './lib/prune.mjs';
import { completeBinding, findPython } from './lib/python-bindings.mjs';
import {
  fingerprint,
  hasProgram,
  isFresh,
  mustRun,
  packageFolder,
  root,
  runLogged,
  SetupError,
  setStamp,
  sha256Of,
  withLock,
} from './lib/step.mjs';
import { fetchTools, missingTools } from './lib/test-tools.mjs';
import { writeUnicornNames } from './lib/unicorn-names.mjs';

const node = process.execPath;

/** Each step answers null when there is nothing to do, else the work. */
function packages() {
  const print = fingerprint(['package-lock.json']);
  const installed = statSync(join(root, 'node_modules', '.package-lock.json'), { throwIfNoEntry: false });
  if (installed && isFresh('packages', print, [])) return null;
  if (installed && installed.mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs) {
    setStamp('packages', print);
    return null;
  }
  return () => {
    const options = ['--no-audit', '--no-fund'];
    // `npm ci` refuses a lockfile that was written where the registry lacks a package of another platform; the versions
    // are the lockfile's either way.
    mustRun('packages', 'installing npm packages', [['npm', 'ci', ...options]], 'npm must reach its registry', [
      ['npm', 'install', '--no-save', ...options],
    ]);
    setStamp('packages', print);
  };
}

const isInstalled = !existsSync(join(root, 'tsconfig.json'));

/**
 * The addon that came with the package, where it loads here; undefined where it must be compiled: among the sources, where it does not
 * load, and where `npm rebuild --build-from-source` asks for it.
 */
function prebuiltAddon() {
  if (!isInstalled || process.env.npm_config_build_from_source) return undefined;
  const file = join(prebuiltFolder(), ADDON);
  const problem = loadProblem(file);
  if (problem === null) return file;
  console.log(`setup: the prebuilt addon is not used: ${problem}`);
  return undefined;
}

const prebuilt = prebuiltAddon();

/** Which libunicorn is used. The choice is made again when what is installed has changed, not at every start. */
function unicorn() {
  const facts = unicornFacts(prebuilt);
  const sources = ['find-unicorn', 'find-library', 'unicorn-builds'].map((name) => `scripts/lib/${name}.mjs`);
  const print = fingerprint(sources, facts, root);
  const before = readPlaces().unicorn;
  const isThere = before && existsSync(before.library) && sha256Of(before.library) === before.sha256;
  if (isThere && isFresh('unicorn', print, ['build/places.json'])) return null;
  return () => {
    const { version, source, include, lib, library, glibc, lacks, passedOver } = chooseUnicorn(facts);
    const sha256 = sha256Of(library);
    writePlaces({ unicorn: { version, source, include, lib, library, glibc, sha256, lacks, passedOver } });
    setStamp('unicorn', print);
  };
}

/** What only tests need: Debian's builds side by side, a Python for their bindings. Only `--test` fetches them. */
function testPlaces() {
  const isTest = process.argv.includes('--test');
  const write = (builds) => {
    const unicorns = builds.map((build) => {
      if (build.absence) return build;
      if (isTest) completeBinding(build);
      const { version, source, include, lib, library, glibc, sha256, lacks, python } = build;
      return { version, source, include, lib, library, glibc, sha256, lacks, python, absence: null };
    });
    const { python } = readPlaces();
    writePlaces({ unicorns, python: isTest || !python ? findPython() : python });
  };
  const here = allBuilds(false);
  if (!isTest || here.every(({ absence }) => !absence)) {
    write(here);
    return null;
  }
  return () => {
    const builds = allBuilds(true);
    for (const { version, absence } of builds) {
      if (absence) console.log(`setup: tests will not run on libunicorn ${version}: ${absence}`);
    }
    write(builds);
  };
}

/** Programs that only some tests need; a machine without one skips those and says so. */
const TEST_PROGRAMS = [
  {
    name: 'chromium',
    find: (fetches) => findBrowser(fetches),
    without: 'the page is not tested in a browser',
  },
  { name: 'fuzzer', find: findFuzzer, without: 'no harness is fuzzed' },
  { name: 'zstd', find: (fetches) => findProgram(ZSTD, fetches), without: 'no dump is expanded for tests' },
];

function testPrograms() {
  const isTest = process.argv.includes('--test');
  const here = TEST_PROGRAMS.map(({ name, find }) => [name, find(false)]);
  writePlaces(Object.fromEntries(here));
  if (!isTest || here.every(([, { absence }]) => absence === null)) return null;
  return () => {
    for (const { name, find, without } of TEST_PROGRAMS) {
      const found = find(true);
      if (found.absence) console.log(`setup: ${without}: ${found.absence}`);
      writePlaces({ [name]: found });
    }
  };
}

/** Those that lie in a folder of their own, which is on the path of tests. */
function testTools() {
  return process.argv.includes('--test') && missingTools().length > 0 ? fetchTools : null;
}

function addon() {
  const { unicorn } = readPlaces();
  const facts = [unicorn.version, unicorn.include, unicorn.library];
  const print = () => fingerprint(ADDON_INPUTS, facts, wabtPlaces(), process.arch, root);
  if (isFresh('addon', print(), ['build/Release/unicorn_engine.node'])) return null;
  return () => {
    const compiler = process.env.CXX || hasProgram('g++') || hasProgram('c++');
    const missing = ['make', 'python3'].filter((name) => !hasProgram(name));
    if (!compiler) missing.unshift('g++');
    if (missing.length > 0) {
      throw new SetupError(
        `building the addon needs a C++ compiler, make and Python 3; missing: ${missing.join(', ')} (Debian, Ubuntu: apt-get install g++ make python3)`,
      );
    }
    if (packageFolder('node-gyp') === '')
      throw new SetupError(
        'building the addon needs node-gyp, which npm brings along: expected it there, found none; npm install node-gyp',
      );
    writeUnicornNames(join(unicorn.include, 'unicorn'), join(root, 'build', 'generated', 'unicorn_names.h'));
    // One of before is not this one, whatever becomes of this step.
    rmSync(join(root, 'build', 'Release', 'libusercopy.so'), { force: true });
    const what = `building the emulator addon (libunicorn ${unicorn.version} in ${unicorn.lib})`;
    writeCheckLayout(join(root, 'build', 'generated', 'check_layout.h'));
    const native = translateCheck();
    writeConfig(native);
    if (native.absence === null) {
      console.log(`setup: ${what}, the check compiled into it by way of wasm2c ${native.version}`);
      const json = findJson();
      const { program, version, include, runtime: source } = native;
      writePlaces({ wabt: { program, version, include, source }, json: json.include ? json : null });
      if (json.reason) console.log(`setup: libusercopy is not built: ${json.reason}`);
      const variables = gypVariables(unicorn, native, json.include ? json : null);
      if (runLogged('addon-native-check', gypCommands(variables))) return setStamp('addon', print());
      const absence = 'its C code could not be compiled: see .cache/setup/addon-native-check.log';
      // Who works on it wants to know; anybody else can go on without.
      if (process.argv.includes('--test')) throw new SetupError(`native check and libusercopy: ${absence}`);
      console.log(`setup: the check runs in V8, not as native code, and there is no libusercopy: ${absence}`);
      writeConfig({ absence });
    } else {
      writePlaces({ wabt: null, json: null });
      console.log(`setup: the check runs in V8, not as native code: ${native.absence}`);
    }
    mustRun('addon', what, gypCommands(gypVariables(unicorn, null, null)));
    setStamp('addon', print());
  };
}

function check() {
  const tools = ['assemblyscript', 'binaryen'].map((name) => `node_modules/${name}/package.json`);
  const print = fingerprint([
    'assembly',
    'asconfig.json',
    'scripts/lib/check-layout.mjs',
    'scripts/lib/javascript-check.mjs',
    ...tools,
  ]);
  if (isFresh('check', print, ['build/check.wasm', 'build/check.mjs'])) return null;
  return () => {
    const asc = join(root, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
    mustRun('check', 'compiling check.wasm', [
      [node, asc, '--config', 'asconfig.json', '--transform', './scripts/lib/check-layout.mjs'],
    ]);
    writeJavaScriptCheck();
    setStamp('check', print);
  };
}

function javascript() {
  const print = compiledPrint();
  if (isCompiled(print)) return null;
  return () => {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    mustRun('javascript', 'compiling TypeScript', [[node, tsc, '-p', 'tsconfig.json']]);
    setCompiled(print);
  };
}

/** The command line in few files, which start faster. */
function commandLine() {
  const tools = ['vite', 'rolldown'].map((name) => `node_modules/${name}/package.json`);
  const print = fingerprint(
    ['scripts/lib/bundle.mjs', 'scripts/lib/programs.mjs', 'package-lock.json', ...tools],
    process.version,
    compiledPrint(),
  );
  if (isFresh('command-line', print, ['build/cli/main.js'])) return null;
  return () => {
    console.log('setup: putting the command line together');
    if (!runLogged('command-line', [[node, join(root, 'scripts/lib/bundle.mjs')]])) {
      // Vite wants a newer Node.js than the rest.
      console.log('setup: it is left in many files, and starts slower: see .cache/setup/command-line.log');
      writeSlowPrograms();
    }
    setStamp('command-line', print);
  };
}

/** What V8 makes of the command line, which is of this Node.js alone: another one compiles it at every start. */
function codeAhead() {
  const [programs, code] = ['build/cli/programs.cjs', 'build/cli/programs.code'];
  // A command line that was left in many files has none.
  if (!existsSync(join(root, programs))) return null;
  const script = 'scripts/lib/compile-ahead.mjs';
  const print = fingerprint([programs, 'build/cli/start.js', script], process.version, process.arch);
  if (isFresh('code-ahead', print, [code])) return null;
  return () => {
    if (!runLogged('code-ahead', [[node, join(root, script)]]))
      return console.log('setup: the command line is compiled at every start: see .cache/setup/code-ahead.log');
    setStamp('code-ahead', print);
  };
}

// `npm install` among the sources must not set off another one.
const everything = process.argv.includes('--install')
  ? []
  : // The command line before what a machine may lack: its `doctor` says what that is.
    [packages, check, javascript, commandLine, unicorn, testPlaces, testPrograms, testTools, addon, codeAhead];
try {
  const installed = prebuilt === undefined ? [unicorn, addon, codeAhead] : [unicorn, codeAhead];
  for (const step of isInstalled ? installed : everything) {
    // Looked at again under the lock: another set-up may have done it meanwhile.
    if (step()) withLock(() => step()?.());
  }
  if (isInstalled) withLock(pruneBuild);
} catch (error) {
  console.error(`setup: ${error instanceof SetupError ? error.message : `unexpected: ${error?.message ?? error}`}`);
  if (isInstalled) console.error("setup: no emulator yet; 'npx usercopy doctor' says what is missing");
  else process.exitCode = 2;
} finally {
  closeSuites();
}
