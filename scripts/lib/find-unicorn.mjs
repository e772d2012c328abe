/** Which libunicorn is used: the one that was asked for, else the best that the machine or Debian's archive has. */
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { lookAt, lookIn, OLDEST } from './find-library.mjs';
import { compareVersions } from './shared-library.mjs';
import { hasProgram, SetupError } from './step.mjs';
import { DEBIAN_BUILDS, fetchBuild, unpackedBuild } from './unicorn-builds.mjs';

/** From here on a libunicorn of the system goes before one that would have to be fetched. */
const RECENT = '2.1';

const PREFIXES = [
  '/usr',
  '/usr/local',
  process.env.HOMEBREW_PREFIX,
  '/opt/homebrew',
  '/home/linuxbrew/.linuxbrew',
  '/opt/local',
];

const HOW_TO_GET = [
  'Debian and Ubuntu: apt-get install libunicorn-dev',
  'macOS: brew install unicorn or port install unicorn',
  "anywhere: pip download unicorn, unzip the wheel and set UNICORN_PREFIX to its folder 'unicorn'",
].join('; ');

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
function installed() {
  const found = [fromPkgConfig(), ...PREFIXES.filter(Boolean).map(lookIn)].filter(Boolean);
  const places = new Map(found.map((entry) => [entry.library, { ...entry, source: 'installed on this machine' }]));
  return [...places.values()].sort((one, other) => compareVersions(other.version, one.version));
}

function given(prefix) {
  const asked = `UNICORN_PREFIX=${prefix}`;
  if (!statSync(prefix, { throwIfNoEntry: false })?.isDirectory())
    throw new SetupError(`${asked}: expected a folder, found none of this name`);
  const found = lookIn(prefix);
  if (!found) {
    throw new SetupError(
      `${asked}: expected include/unicorn/unicorn.h and lib/libunicorn.so.2 (macOS: libunicorn.2.dylib) below it, as a prefix or the folder of a pip wheel has them`,
    );
  }
  if (found.problem) throw new SetupError(`${asked}: ${found.library}: ${found.problem}`);
  return { ...found, source: 'UNICORN_PREFIX' };
}

/** Everything that the choice follows from, but Debian's archive: when it changes the choice is made again. */
export function unicornFacts() {
  const prefix = process.env.UNICORN_PREFIX;
  return { given: prefix ? given(prefix) : null, installed: prefix ? [] : installed() };
}

/**
 * Chooses, and fetches where it must. Answers
 * `{ version, source, include, lib, library, glibc, passedOver: [{ version, source, reason }] }`;
 * a SetupError where there is none to be had.
 */
export function chooseUnicorn(facts) {
  if (facts.given) return { ...facts.given, passedOver: [] };
  const passedOver = [];
  const pass = ({ version, source = 'Debian' }, reason) => void passedOver.push({ version, source, reason });
  const usable = facts.installed.filter((entry) => {
    if (entry.problem) pass(entry, `${entry.library}: ${entry.problem}`);
    return !entry.problem;
  });
  const chosen = (found) => ({ ...found, passedOver });
  const good = usable.find(({ version }) => compareVersions(version, RECENT) >= 0);
  if (good) return chosen(good);
  for (const build of [...DEBIAN_BUILDS].reverse()) {
    const found = fetchBuild(build);
    if (!found.absence && !found.problem) return chosen(found);
    pass(found, found.absence ?? found.problem);
  }
  if (usable.length > 0) return chosen(usable[0]);
  const reasons = [...new Set(passedOver.map(({ reason }) => reason))];
  throw new SetupError(`libunicorn ${OLDEST} or later is needed (${HOW_TO_GET}); found: ${reasons.join('; ')}`);
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
