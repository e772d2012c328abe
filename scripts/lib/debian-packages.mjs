/** Debian's packages without root: downloaded with apt and unpacked into the project's cache; nothing is installed. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache, hasProgram, runLogged } from './step.mjs';

/**
 * Unpacks `packages` (names, `name=version` where a version is meant) into `.cache/<name>/root` and answers its `usr`;
 * null where apt has none of them, or there is no apt.
 */
export function unpackDebianPackages(name, packages) {
  if (!hasProgram('apt-get') || !hasProgram('dpkg-deb')) return null;
  console.log(`setup: downloading ${name} (Debian packages, unpacked into .cache, nothing is installed)`);
  const folder = join(cache, name);
  const archives = join(folder, 'packages');
  const state = join(folder, 'apt');
  for (const path of [archives, join(state, 'lists', 'partial'), join(state, 'cache', 'archives', 'partial')]) {
    mkdirSync(path, { recursive: true });
  }
  const plain = ['apt-get', '-oAPT::Sandbox::User=root'];
  const own = [...plain, `-oDir::State::Lists=${join(state, 'lists')}`, `-oDir::Cache=${join(state, 'cache')}`];
  const download = (command) => runLogged(name, [[...command, 'download', ...packages]], { cwd: archives, minutes: 5 });
  if (!download(plain)) {
    // The machine's package lists are empty or not readable: fetch lists of our own. `update` may complain and still work.
    runLogged(`${name}-lists`, [[...own, 'update']], { minutes: 5 });
    if (!download(own)) return null;
  }
  const files = readdirSync(archives).filter((file) => file.endsWith('.deb'));
  const unpacked = runLogged(
    `${name}-unpack`,
    files.map((file) => ['dpkg-deb', '-x', join(archives, file), join(folder, 'root')]),
  );
  rmSync(state, { recursive: true, force: true });
  return unpacked ? join(folder, 'root', 'usr') : null;
}
