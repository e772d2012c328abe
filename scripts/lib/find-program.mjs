/**
 * Programs that the set-up brings for tests: the machine's own, else Debian's, unpacked into the project's cache. What they are
 * called in Debian and lie in is told by `debian-archive.json`, for `src/image/pahole.ts` too.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archive, libraryFolders, ownSuite, unpackDebianPackages, unpackWithNeeds } from './debian-packages.mjs';
import { cache, programPath } from './step.mjs';

/** Folders of the libraries that were unpacked with a program: Debian 12 has some in /lib yet, which is no link there. */
const librariesOf = (folder) => ['usr/lib', 'lib'].flatMap((name) => libraryFolders(join(folder, name)));

/** `suite`: the only one that has this version; a machine of another one takes it from there, with its libraries. */
function unpack({ package: names, libraries, suite: only }, folder) {
  const suite = ownSuite();
  if (suite === undefined || (only !== undefined && only !== suite)) {
    if (libraries === undefined) return 'this is no Debian whose own could be unpacked';
    const packages = [names, ...libraries].map((alternatives) => ({ names: alternatives }));
    return unpackDebianPackages(only ?? archive.otherMachines, packages, folder).reason;
  }
  // A machine's libraries are of its own suite: what it lacks is told by apt.
  const reasons = [];
  for (const name of names) {
    const { reason } = unpackWithNeeds(suite, name, folder);
    if (reason === undefined) return undefined;
    reasons.push(reason);
  }
  return reasons.join('; ');
}

/**
 * `{ program, libraries, absence }`: where a program is, the folders that the loader must be told of, or why there is none.
 * `name`: as `debian-archive.json` has it; `folder`: of the cache; `installed`: names to look for on the machine; `environment`: a
 * variable that may say where it is. With `fetches` it may be downloaded.
 */
export function findProgram({ name, folder: place, installed = [name], environment }, fetches) {
  const folder = join(cache, place);
  const of = archive.programs[name];
  const named = environment === undefined ? undefined : process.env[environment];
  const here = named || installed.map(programPath).find((path) => path);
  if (here) return { program: here, libraries: [], absence: null };
  const unpacked = join(folder, of.path);
  const absent = (absence) => ({ program: null, libraries: [], absence });
  const inCache = () =>
    existsSync(unpacked) ? { program: unpacked, libraries: librariesOf(folder), absence: null } : null;
  const before = inCache();
  if (before) return before;
  if (!fetches) return absent(`no ${name} was found or fetched`);
  const reason = unpack(of, folder);
  if (reason) return absent(`${reason}${environment === undefined ? '' : ` (${environment} may name one)`}`);
  return inCache() ?? absent(`Debian's package has no program ${unpacked}`);
}

const CHROMIUM = {
  name: 'chromium-headless-shell',
  folder: 'chromium',
  installed: ['chromium-headless-shell', 'chromium', 'google-chrome'],
  environment: 'CHROMIUM',
};
/**
 * The browser; where it came with fonts of its own, since the machine has none, with fontconfig's file beside it. A browser that
 * finds no font ends at the first text.
 */
export function findBrowser(fetches) {
  const found = findProgram(CHROMIUM, fetches);
  const folder = join(cache, CHROMIUM.folder);
  const fonts = join(folder, 'usr/share/fonts');
  if (!existsSync(fonts)) return found;
  const text = (path) => path.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const lines = [
    '<?xml version="1.0"?>',
    '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">',
    '<fontconfig>',
    '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>',
    `<dir>${text(fonts)}</dir>`,
    `<cachedir>${text(join(folder, 'fontconfig'))}</cachedir>`,
    '</fontconfig>',
  ];
  writeFileSync(join(folder, 'fonts.conf'), lines.map((line) => `${line}\n`).join(''));
  return found;
}

export const ZSTD = { name: 'zstd', folder: 'zstd' };
