/** Where libunicorn and its headers are: given, installed, or fetched from Debian's archive into the project's cache. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian-packages.mjs';
import { cache, hasProgram, SetupError } from './step.mjs';

const oldest = [2, 0, 1];

function versionOf(header) {
  const text = readFileSync(header, 'utf8');
  const part = (name) => Number(new RegExp(`#define UC_API_${name} (\\d+)`).exec(text)?.[1] ?? 0);
  return [part('MAJOR'), part('MINOR'), part('PATCH')];
}

function isRecent(version) {
  const first = oldest.findIndex((part, i) => version[i] !== part);
  return first < 0 || version[first] > oldest[first];
}

/** Looks below one prefix; null when header or library is missing. */
function lookIn(prefix) {
  const include = join(prefix, 'include');
  const header = join(include, 'unicorn', 'unicorn.h');
  if (!existsSync(header)) return null;
  const folders = ['lib', 'lib64'].map((name) => join(prefix, name)).filter(existsSync);
  for (const folder of [...folders]) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) folders.push(join(folder, entry.name));
    }
  }
  const lib = folders.find((folder) =>
    ['libunicorn.so', 'libunicorn.dylib'].some((name) => existsSync(join(folder, name))),
  );
  return lib ? { include, lib, version: versionOf(header) } : null;
}

function fromPkgConfig() {
  if (!hasProgram('pkg-config')) return null;
  try {
    const variable = (name) =>
      execFileSync('pkg-config', [`--variable=${name}`, 'unicorn'], { encoding: 'utf8', stdio: 'pipe' }).trim();
    const [include, lib] = [variable('includedir'), variable('libdir')];
    const header = join(include, 'unicorn', 'unicorn.h');
    return existsSync(header) && existsSync(lib) ? { include, lib, version: versionOf(header) } : null;
  } catch {
    return null;
  }
}

function fromDebian() {
  const found = lookIn(join(cache, 'libunicorn', 'root', 'usr'));
  if (found) return found;
  const prefix = unpackDebianPackages('libunicorn', ['libunicorn2', 'libunicorn-dev']);
  return prefix && lookIn(prefix);
}

/** Answers { include, lib, version }. Nothing usable: a SetupError that says what to install. */
export function findUnicorn() {
  const given = process.env.UNICORN_PREFIX;
  if (given) {
    const found = lookIn(given);
    if (!found)
      throw new SetupError(
        `UNICORN_PREFIX=${given}: expected include/unicorn/unicorn.h and lib/libunicorn.so below it`,
      );
    if (!isRecent(found.version)) {
      throw new SetupError(
        `UNICORN_PREFIX=${given}: expected libunicorn ${oldest.join('.')} or later, found ${found.version.join('.')}`,
      );
    }
    return found;
  }
  for (const look of [
    fromPkgConfig,
    () => lookIn('/usr'),
    () => lookIn('/usr/local'),
    () => lookIn('/opt/homebrew'),
    fromDebian,
  ]) {
    const found = look();
    if (found && isRecent(found.version)) return found;
  }
  throw new SetupError(
    `libunicorn ${oldest.join('.')} or later is needed: install it with its headers (Debian, Ubuntu: apt-get install libunicorn-dev), or set UNICORN_PREFIX to where it is`,
  );
}
