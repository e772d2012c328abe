/** The zstd program, which expands the dumps that tests are judged by: the machine's, or Debian's unpacked into the project's cache. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { libraryFolders, ownSuite, unpackWithNeeds } from './debian-packages.mjs';
import { cache, programPath } from './step.mjs';

const folder = join(cache, 'zstd');
const unpacked = join(folder, 'usr/bin/zstd');
const none = (absence) => ({ program: null, libraries: [], absence });

const fromCache = () =>
  existsSync(unpacked)
    ? { program: unpacked, libraries: libraryFolders(join(folder, 'usr/lib')), absence: null }
    : null;

/** `{ program, libraries, absence }`: the folders that the loader must be told of, or why there is none. `fetches`: may download. */
export function findZstd(fetches) {
  const installed = programPath('zstd');
  if (installed) return { program: installed, libraries: [], absence: null };
  const here = fromCache();
  if (here || !fetches) return here ?? none('no zstd was found or fetched');
  const suite = ownSuite();
  if (!suite) return none('this machine has no zstd, and is no Debian whose own could be unpacked');
  const { reason } = unpackWithNeeds(suite, 'zstd', folder);
  return reason ? none(reason) : (fromCache() ?? none(`zstd of Debian's ${suite} has no program ${unpacked}`));
}
