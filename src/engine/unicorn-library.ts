/** Which libunicorn the process uses: the one that is asked for, else the one that the set-up chose. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsercopyError } from '../errors.js';
import { buildCommand, packageFile } from '../paths.js';
import type { NativeAddon } from './unicorn-addon.js';
import { places } from './unicorn-places.js';

interface UnicornFiles {
  readonly libraries: readonly string[];
  readonly folders: readonly string[];
  readonly prefixes: readonly string[];
}

const unicornFiles = (): UnicornFiles =>
  JSON.parse(readFileSync(packageFile('scripts/lib/unicorn-files.json'), 'utf8'));

/** The library below a prefix (or the folder of a pip wheel); undefined when there is none. */
function libraryBelow(prefix: string): string | undefined {
  const { libraries, folders } = unicornFiles();
  for (const folder of [prefix, join(prefix, 'unicorn')].flatMap((base) => folders.map((name) => join(base, name)))) {
    if (!existsSync(folder)) continue;
    const inside = readdirSync(folder).filter((name) => name.includes('-linux-'));
    for (const place of [folder, ...inside.map((name) => join(folder, name))]) {
      const found = libraries.map((name) => join(place, name)).find((file) => existsSync(file));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** A file, or a prefix that has it below. */
function fileOf(asked: string, how: string): string {
  const state = statSync(asked, { throwIfNoEntry: false });
  const file = state?.isDirectory() ? libraryBelow(asked) : state === undefined ? undefined : asked;
  if (file !== undefined) return file;
  throw new UsercopyError(
    'missing-dependency',
    `${how}: expected a libunicorn, or a prefix with lib/libunicorn.so.2 below it, found ${state === undefined ? 'nothing of that name' : 'none there'}`,
  );
}

/** The first of the machine's that can be used; where none can, why, of each. The set-up may never have run: npm can be told to run none. */
function openInstalled(addon: NativeAddon): string {
  const files = unicornFiles().prefixes.flatMap((prefix) => libraryBelow(prefix) ?? []);
  const reasons: string[] = [];
  for (const file of files) {
    try {
      return addon.openLibrary(file, false);
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      reasons.push(error.message);
    }
  }
  const found = reasons.length === 0 ? 'none was found' : reasons.join('; ');
  throw new UsercopyError(
    'missing-dependency',
    `expected a libunicorn (2.0.1 or later) on this machine, ${found}: install one (Debian, Ubuntu: apt-get install libunicorn2; anywhere: pip install unicorn) and run \`${buildCommand()}\`, or set UNICORN_PREFIX to where one is`,
  );
}

/**
 * Opens libunicorn, once for the process: `asked` (a file or a prefix), else UNICORN_PREFIX, else one that the process has
 * loaded already, else the one that the set-up chose, else one that is installed. Later calls get the same. Answers its file.
 * @throws UsercopyError `missing-dependency` where there is none, it cannot be loaded here, or it is not the one that
 *   this process uses.
 */
export function openLibrary(addon: NativeAddon, asked?: string): string {
  const prefix = process.env['UNICORN_PREFIX'];
  const wanted = asked === undefined ? prefix || undefined : asked;
  if (wanted !== undefined) {
    return addon.openLibrary(
      fileOf(wanted, asked === undefined ? `UNICORN_PREFIX=${wanted}` : `libunicorn ${wanted}`),
      true,
    );
  }
  const chosen = places().unicorn?.library;
  return chosen === undefined ? openInstalled(addon) : addon.openLibrary(chosen, false);
}
