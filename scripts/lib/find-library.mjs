/**
 * A libunicorn and its headers below a prefix: of a distribution, Homebrew, MacPorts, or the folder of a pip wheel. The addon opens the
 * library and needs no header; only compiling the addon does.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { versionByOpening } from './prebuilt.mjs';
import { compareVersions, examineUnicorn } from './shared-library.mjs';
import { root } from './step.mjs';

/** The oldest libunicorn that the project runs on. */
export const OLDEST = '2.0.1';

/** Names of libunicorn's file, the best first, the folders of a prefix that hold it, and prefixes; the engine reads them too. */
const files = JSON.parse(readFileSync(join(root, 'scripts', 'lib', 'unicorn-files.json'), 'utf8'));
const { libraries: LIBRARIES, folders: FOLDERS } = files;

/** Where a machine may have one installed. */
export const PREFIXES = [...files.prefixes, process.env.HOMEBREW_PREFIX].filter(Boolean);

/** What later releases brought, and what it means where it is missing: told by the header, not by the version. */
const FEATURES = [
  {
    isIn: (header) => /\bUC_TLB_VIRTUAL\b/.test(header),
    lack: "addresses past the guest's page tables (UC_TLB_VIRTUAL)",
  },
  {
    isIn: (header) => /\bUC_CTL_CONTEXT_MEMORY\b/.test(header),
    lack: 'snapshots of memory (UC_CTL_CONTEXT_MEMORY): a guest is put back by copying',
  },
];

/** The version that the text of a `unicorn.h` is of: `2.1.4`. */
function versionOf(text) {
  return ['MAJOR', 'MINOR', 'PATCH']
    .map((part) => Number(new RegExp(`#define UC_API_${part} (\\d+)`).exec(text)?.[1] ?? 0))
    .join('.');
}

/** `lib`, `lib64` and the folders per processor that Debian and Fedora have below them. */
function libraryFolders(prefix) {
  const folders = FOLDERS.map((name) => join(prefix, name)).filter(existsSync);
  const inside = folders.flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name.includes('-linux-'))
      .map((entry) => join(folder, entry.name)),
  );
  return [...folders, ...inside];
}

/** `include`: null where there are no headers; `addon` asks the library for its version then. */
function examine(include, lib, library, addon) {
  const header = include === null ? null : readFileSync(join(include, 'unicorn', 'unicorn.h'), 'utf8');
  const { problem, glibc } = examineUnicorn(library);
  const facts = { include, lib, library, glibc };
  if (problem !== null) return { ...facts, version: header === null ? null : versionOf(header), lacks: [], problem };
  const version = header === null ? versionByOpening(library, addon) : versionOf(header);
  if (version === undefined)
    return {
      ...facts,
      version: null,
      lacks: [],
      problem: `expected libunicorn ${OLDEST} or later, but it cannot be opened`,
    };
  return {
    ...facts,
    version,
    lacks: header === null ? null : FEATURES.filter(({ isIn }) => !isIn(header)).map(({ lack }) => lack),
    problem: compareVersions(version, OLDEST) < 0 ? `expected libunicorn ${OLDEST} or later, found ${version}` : null,
  };
}

const hasHeaders = (include) => existsSync(join(include, 'unicorn', 'unicorn.h'));

/**
 * Looks below one prefix; null when the library is missing, or its headers are. With `addon`, the file of an addon that loads here,
 * the library alone will do. `{ version, include, lib, library, glibc, lacks, problem }`: of several libraries the first that loads
 * here; where none does `problem` says why, as the end of a sentence. `include` and `lacks` are null without headers: what a
 * release lacks is read off them.
 */
export function lookIn(prefix, addon) {
  // A wheel's folder is `site-packages/unicorn`: its parent is what pip calls the place.
  for (const place of [prefix, join(prefix, 'unicorn')]) {
    const include = join(place, 'include');
    if (!hasHeaders(include) && addon === undefined) continue;
    const found = libraryFolders(place).flatMap((lib) => {
      const library = LIBRARIES.map((name) => join(lib, name)).find(existsSync);
      return library ? [examine(hasHeaders(include) ? include : null, lib, realpathSync(library), addon)] : [];
    });
    if (found.length > 0) return found.find(({ problem }) => problem === null) ?? found[0];
  }
  return null;
}

/** As `lookIn()`, where a header folder and a library folder are known: pkg-config tells them apart. */
export function lookAt(include, lib) {
  if (!hasHeaders(include)) return null;
  const library = LIBRARIES.map((name) => join(lib, name)).find(existsSync);
  return library ? examine(include, lib, realpathSync(library)) : null;
}
