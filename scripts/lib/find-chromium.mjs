/** A Chromium for the tests of the page: the machine's, or Debian's unpacked into the project's cache with what it lacks. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { libraryFolders, ownSuite, unpackWithNeeds } from './debian-packages.mjs';
import { cache, programPath } from './step.mjs';

const PACKAGE = 'chromium-headless-shell';
const folder = join(cache, 'chromium');
const unpacked = join(folder, 'usr/lib/chromium', PACKAGE);

const fromCache = () =>
  existsSync(unpacked)
    ? { program: unpacked, libraries: libraryFolders(join(folder, 'usr/lib')), absence: null }
    : null;

/** `{ program, libraries, absence }`: the folders that the loader must be told of, or why there is none. `fetches`: may download. */
export function findChromium(fetches) {
  const named = process.env.CHROMIUM;
  const installed = [PACKAGE, 'chromium', 'google-chrome'].map(programPath).find((path) => path);
  const program = named || installed;
  if (program) return { program, libraries: [], absence: null };
  const here = fromCache();
  if (here || !fetches) return here ?? { program: null, libraries: [], absence: 'no Chromium was found or fetched' };
  const suite = ownSuite();
  const none = (absence) => ({ program: null, libraries: [], absence });
  if (!suite)
    return none('this machine has no Chromium, and is no Debian whose own could be unpacked (CHROMIUM names one)');
  const { reason } = unpackWithNeeds(suite, PACKAGE, folder);
  return reason ? none(reason) : (fromCache() ?? none(`${PACKAGE} of Debian's ${suite} has no program ${unpacked}`));
}
