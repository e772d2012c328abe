/** Steps of the set-up: run when their inputs have changed, told in one line, their output kept in a log. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const cache = join(root, '.cache');
const stampFolder = join(cache, 'setup');

/**
 * Folder of a package that this one needs, relative to `root`: below it, or beside it where this one is installed itself.
 * An empty path when it is nowhere.
 */
export function packageFolder(name) {
  for (let folder = root; ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return relative(root, found);
    if (dirname(folder) === folder) return name === 'node-gyp' ? bundledNodeGyp() : '';
  }
}

/**
 * The node-gyp of a package manager. An installed package has none of its own, since few compile: npm and pnpm bring one and name it to the
 * scripts that they run; a script that is started by hand looks for npm's.
 */
function bundledNodeGyp() {
  const npm = programPath('npm');
  const places = [
    ...(process.env.npm_config_node_gyp ? [dirname(dirname(process.env.npm_config_node_gyp))] : []),
    // npm is a link to its own bin/npm-cli.js.
    ...(npm === undefined ? [] : [join(dirname(dirname(realpathSync(npm))), 'node_modules', 'node-gyp')]),
  ];
  const found = places.find((place) => existsSync(join(place, 'package.json')));
  return found === undefined ? '' : relative(root, found);
}

/** A reason to end the set-up, for a person: one sentence. */
export class SetupError extends Error {}

/** Hash over the names and contents of files and folders (relative to the project), and any further facts. */
export function fingerprint(paths, ...facts) {
  const hash = createHash('sha256').update(JSON.stringify(facts));
  const add = (path) => {
    const state = statSync(path, { throwIfNoEntry: false });
    if (state?.isDirectory()) {
      for (const name of readdirSync(path).sort()) add(join(path, name));
    } else if (state) {
      hash.update(`\0${relative(root, path)}\0`).update(readFileSync(path));
    }
  };
  for (const path of paths) add(join(root, path));
  return hash.digest('hex');
}

export function sha256Of(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

const stampOf = (name) => join(stampFolder, `${name}.stamp`);

export function isFresh(name, print, outputs) {
  return (
    outputs.every((path) => existsSync(join(root, path))) &&
    existsSync(stampOf(name)) &&
    readFileSync(stampOf(name), 'utf8') === print
  );
}

export function setStamp(name, print) {
  mkdirSync(stampFolder, { recursive: true });
  writeFileSync(stampOf(name), print);
}

const logOf = (name) => join(stampFolder, `${name}.log`);

/**
 * Runs commands one after the other, their output in the step's log. Answers whether all succeeded. `env`: variables beside the
 * process's own.
 */
export function runLogged(name, commands, { cwd = root, minutes = 30, env = {} } = {}) {
  mkdirSync(stampFolder, { recursive: true });
  const log = openSync(logOf(name), 'w');
  try {
    return commands.every(([program, ...args]) => {
      writeSync(log, `$ ${program} ${args.join(' ')}\n`);
      const { status, error } = spawnSync(program, args, {
        cwd,
        env: { ...process.env, ...env },
        stdio: ['ignore', log, log],
        timeout: minutes * 60_000,
      });
      if (error) writeSync(log, `${error.message}\n`);
      return status === 0;
    });
  } finally {
    closeSync(log);
  }
}

/** A step that must succeed; `what` is said when it starts, `advice` when it fails. `otherwise`: a second way to do it. */
export function mustRun(name, what, commands, advice = '', otherwise = []) {
  console.log(`setup: ${what}`);
  if (runLogged(name, commands)) return;
  if (otherwise.length > 0 && runLogged(name, otherwise)) return;
  throw new SetupError(`${what} failed${advice ? ` (${advice})` : ''}; its output is in ${logOf(name)}`);
}

export function programPath(name) {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export const hasProgram = (name) => programPath(name) !== undefined;

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Runs `work`, or waits for its promise, while no other set-up of this folder is at work; waits for one at most 15 minutes. */
export function withLock(work) {
  const lock = join(cache, 'setup.lock');
  mkdirSync(cache, { recursive: true });
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  for (const start = Date.now(); ; Atomics.wait(sleep, 0, 0, 200)) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true });
      if (Date.now() - start > 15 * 60_000) throw new SetupError(`another set-up (process ${holder}) holds ${lock}`);
    }
  }
  const release = () => rmSync(lock, { force: true });
  let result;
  try {
    result = work();
  } catch (error) {
    release();
    throw error;
  }
  if (result instanceof Promise) return result.finally(release);
  release();
  return result;
}
