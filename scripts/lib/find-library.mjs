/** A libunicorn and its headers below a prefix: of a distribution, Homebrew, MacPorts, or the folder of a pip wheel. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { compareVersions, examineUnicorn } from './shared-library.mjs';
import { root } from './step.mjs';

/** The oldest libunicorn that the project runs on. */
export const OLDEST = '2.0.1';

/** Names of libunicorn's file, the best first, and the folders of a prefix that hold it; the engine reads them too. */
const { libraries: LIBRARIES, folders: FOLDERS } = JSON.parse(
  readFileSync(join(root, 'scripts', 'lib', 'unicorn-files.json'), 'utf8'),
);

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

function examine(include, lib, library) {
  const header = readFileSync(join(include, 'unicorn', 'unicorn.h'), 'utf8');
  const version = versionOf(header);
  const { problem, glibc } = examineUnicorn(library);
  const isOld = compareVersions(version, OLDEST) < 0;
  return {
    version,
    include,
    lib,
    library,
    glibc,
    lacks: FEATURES.filter(({ isIn }) => !isIn(header)).map(({ lack }) => lack),
    problem: problem ?? (isOld ? `expected libunicorn ${OLDEST} or later, found ${version}` : null),
  };
}

/**
 * Looks below one prefix; null when headers or library are missing.
 * `{ version, include, lib, library, glibc, lacks, problem }`: of several libraries the first that loads here; where none does
 * `problem` says why, as the end of a sentence.
 */
export function lookIn(prefix) {
  const include = join(prefix, 'include');
  if (!existsSync(join(include, 'unicorn', 'unicorn.h'))) {
    // A wheel's folder is `site-packages/unicorn`: its parent is what pip calls the place.
    const wheel = join(prefix, 'unicorn');
    return existsSync(join(wheel, 'include', 'unicorn', 'unicorn.h')) ? lookIn(wheel) : null;
  }
  const found = libraryFolders(prefix).flatMap((lib) => {
    const library = LIBRARIES.map((name) => join(lib, name)).find(existsSync);
    return library ? [examine(include, lib, realpathSync(library))] : [];
  });
  return found.find(({ problem }) => problem === null) ?? found[0] ?? null;
}

/** As `lookIn()`, where a header folder and a library folder are known: pkg-config tells them apart. */
export function lookAt(include, lib) {
  if (!existsSync(join(include, 'unicorn', 'unicorn.h'))) return null;
  const library = LIBRARIES.map((name) => join(lib, name)).find(existsSync);
  return library ? examine(include, lib, realpathSync(library)) : null;
}
