/** Debian's builds of libunicorn, side by side in `.cache/unicorn/<version>`: whichever of them can be had and loads here. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archive, unpackDebianPackages, unpackPinned } from './debian-packages.mjs';
import { lookIn } from './find-library.mjs';
import { cache, sha256Of } from './step.mjs';

/** Oldest first; of several suites the first that still has the version. */
export const DEBIAN_BUILDS = [
  { version: '2.0.1', suites: ['bookworm'] },
  { version: '2.1.1', suites: ['trixie'] },
  { version: '2.1.4', suites: ['forky', 'sid'] },
];

/** The library's package took another name when Debian moved to 64-bit times. */
export const LIBRARY_NAMES = ['libunicorn2t64', 'libunicorn2'];

const folderOf = (version) => join(cache, 'unicorn', version);
const originOf = (version) => join(folderOf(version), 'origin.json');

/**
 * A build that was unpacked before and is as it was then; null when it is not here.
 * `{ version, source, prefix, include, lib, library, sha256, glibc, problem, python, packages }`; see places.mjs.
 * `addon`: of an addon that loads here, for a build that was fetched without its headers.
 */
export function unpackedBuild(version, addon) {
  if (!existsSync(originOf(version))) return null;
  const { source, sha256, packages } = JSON.parse(readFileSync(originOf(version), 'utf8'));
  const prefix = join(folderOf(version), 'usr');
  const found = lookIn(prefix, addon);
  if (!found || sha256Of(found.library) !== sha256) return null;
  return { ...found, version, source, prefix, sha256, packages, python: join(prefix, 'lib/python3/dist-packages') };
}

/**
 * Fetches and unpacks a build, unless it is here; with `addon` only the library, since nothing is compiled. Answers it as above, or
 * `{ version, absence }`: why it cannot be had.
 */
export function fetchBuild({ version, suites }, addon) {
  const before = unpackedBuild(version, addon);
  if (before) return before;
  console.log(`setup: downloading libunicorn ${version} (Debian packages, unpacked into .cache, nothing is installed)`);
  const reasons = [];
  const wanted = addon === undefined ? [LIBRARY_NAMES, ['libunicorn-dev'], ['python3-unicorn']] : [LIBRARY_NAMES];
  const packages = wanted.map((names) => ({ names, version }));
  const { libunicorn } = archive;
  const isPinned = addon !== undefined && libunicorn.version.startsWith(`${version}-`);
  const ways = [
    ...(isPinned ? [{ suite: libunicorn.suite, take: (folder) => unpackPinned(libunicorn, folder) }] : []),
    ...suites.map((suite) => ({ suite, take: (folder) => unpackDebianPackages(suite, packages, folder) })),
  ];
  for (const { suite, take } of ways) {
    const unpacked = take(folderOf(version));
    if (unpacked.reason) {
      reasons.push(unpacked.reason);
      continue;
    }
    const found = lookIn(join(folderOf(version), 'usr'), addon);
    if (!found) {
      reasons.push(`the packages of Debian's ${suite} hold no libunicorn`);
      continue;
    }
    const [library] = unpacked.packages;
    const origin = {
      source: `Debian ${suite}, ${library.name} ${library.version}`,
      sha256: sha256Of(found.library),
      packages: unpacked.packages,
    };
    writeFileSync(originOf(version), `${JSON.stringify(origin, null, 2)}\n`);
    return unpackedBuild(version, addon);
  }
  return { version, absence: reasons.join('; ') };
}
