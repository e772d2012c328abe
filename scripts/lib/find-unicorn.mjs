/** Which libunicorn is used: the one that was asked for, else the best that the machine or Debian's archive has. */
import { execFileSync, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { lookAt, lookIn, OLDEST, PREFIXES } from './find-library.mjs';
import { compareVersions } from './shared-library.mjs';
import { hasProgram, SetupError } from './step.mjs';
import { DEBIAN_BUILDS, fetchBuild, unpackedBuild } from './unicorn-builds.mjs';

/** From here on a libunicorn of the system goes before one that would have to be fetched. */
const RECENT = '2.1';

const howToGet = (addon) =>
  [
    `Debian and Ubuntu: apt-get install ${addon ? 'libunicorn2' : 'libunicorn-dev'}`,
    'macOS: brew install unicorn or port install unicorn',
    'anywhere: pip install unicorn, for the python3 that is called here',
    'or UNICORN_PREFIX=FOLDER, where one lies',
  ].join('; ');

const MODULE_FOLDER =
  "import importlib.util as u; s = u.find_spec('unicorn'); print((s and s.submodule_search_locations or [''])[0])";

/** What pip installed for the python3 of this machine, or of the virtual environment that is active; null where nothing is. */
function fromPython(addon) {
  if (!hasProgram('python3')) return null;
  const { stdout } = spawnSync('python3', ['-c', MODULE_FOLDER], { encoding: 'utf8', stdio: 'pipe', timeout: 30_000 });
  const folder = stdout?.trim();
  // A distribution's module opens the distribution's library.
  const found = folder ? lookIn(folder, addon) : null;
  return found && { ...found, source: `the wheel that pip installed in ${folder}` };
}

function fromPkgConfig() {
  if (!hasProgram('pkg-config')) return null;
  try {
    const variable = (name) =>
      execFileSync('pkg-config', [`--variable=${name}`, 'unicorn'], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return lookAt(variable('includedir'), variable('libdir'));
  } catch {
    return null;
  }
}

/** What the machine has installed, newest first, what cannot be used last. */
function installed(addon) {
  const below = PREFIXES.map((prefix) => lookIn(prefix, addon));
  const found = [fromPkgConfig(), ...below].filter(Boolean);
  const here = found.map((entry) => ({ ...entry, source: 'installed on this machine' }));
  const places = new Map([fromPython(addon), ...here].filter(Boolean).map((entry) => [entry.library, entry]));
  return [...places.values()].sort((one, other) => compareVersions(other.version ?? '0', one.version ?? '0'));
}

function given(prefix, addon) {
  const asked = `UNICORN_PREFIX=${prefix}`;
  if (!statSync(prefix, { throwIfNoEntry: false })?.isDirectory())
    throw new SetupError(`${asked}: expected a folder, found none of this name`);
  const found = lookIn(prefix, addon);
  if (!found) {
    throw new SetupError(
      `${asked}: expected ${addon ? '' : 'include/unicorn/unicorn.h and '}lib/libunicorn.so.2 (macOS: libunicorn.2.dylib) below it, as a prefix or the folder of a pip wheel has them`,
    );
  }
  if (found.problem) throw new SetupError(`${asked}: ${found.library}: ${found.problem}`);
  return { ...found, source: 'UNICORN_PREFIX' };
}

/**
 * Everything that the choice follows from, but Debian's archive: when it changes the choice is made again. `addon`: the file of a
 * prebuilt addon that loads here, where no header is needed; else undefined.
 */
export function unicornFacts(addon) {
  const prefix = process.env.UNICORN_PREFIX;
  return { addon, given: prefix ? given(prefix, addon) : null, installed: prefix ? [] : installed(addon) };
}

/**
 * Chooses, and fetches where it must. Answers
 * `{ version, source, include, lib, library, glibc, passedOver: [{ version, source, reason }] }`;
 * a SetupError where there is none to be had.
 */
export function chooseUnicorn(facts) {
  if (facts.given) return { ...facts.given, passedOver: [] };
  const passedOver = [];
  const pass = ({ version, source = 'Debian' }, reason) =>
    void passedOver.push({ version: version ?? 'of an unknown version', source, reason });
  const usable = facts.installed.filter((entry) => {
    if (entry.problem) pass(entry, `${entry.library}: ${entry.problem}`);
    return !entry.problem;
  });
  const chosen = (found) => ({ ...found, passedOver });
  const good = usable.find(({ version }) => compareVersions(version, RECENT) >= 0);
  if (good) return chosen(good);
  for (const build of [...DEBIAN_BUILDS].reverse()) {
    const found = fetchBuild(build, facts.addon);
    if (!found.absence && !found.problem) return chosen(found);
    pass(found, found.absence ?? found.problem);
  }
  if (usable.length > 0) return chosen(usable[0]);
  const reasons = [...new Set(passedOver.map(({ reason }) => reason))];
  throw new SetupError(
    `libunicorn ${OLDEST} or later is needed (${howToGet(facts.addon)}); found: ${reasons.join('; ')}`,
  );
}

/** Debian's three: fetched where `fetch` asks for it, else those that are here. */
export function allBuilds(fetch) {
  return DEBIAN_BUILDS.map((build) => {
    const found = fetch ? fetchBuild(build) : unpackedBuild(build.version);
    if (found === null)
      return { version: build.version, absence: 'it was not fetched: npm run build -- --test does that' };
    return found.problem ? { version: build.version, absence: found.problem } : found;
  });
}
