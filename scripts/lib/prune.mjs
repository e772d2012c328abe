/**
 * What only the building needed, thrown away once it is done: an installed package keeps the addon and the libunicorn that it
 * opens. A set-up that builds again fetches again.
 */
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { readPlaces } from './places.mjs';
import { root } from './step.mjs';

/** Bytes of the files at and below a path. */
function sizeOf(path) {
  const state = lstatSync(path, { throwIfNoEntry: false });
  if (state === undefined) return 0;
  if (!state.isDirectory()) return state.size;
  return readdirSync(path).reduce((total, name) => total + sizeOf(join(path, name)), 0);
}

/** Answers the bytes that are gone. */
function remove(path) {
  const size = sizeOf(path);
  rmSync(path, { recursive: true, force: true });
  return size;
}

/** Empties a folder but for what lies on the way to `kept`. Answers the bytes that are gone. */
function pruneBeside(folder, kept) {
  let gone = 0;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const isOnTheWay = kept.some((place) => place === path || place.startsWith(path + sep));
    if (!isOnTheWay) gone += remove(path);
    else if (!kept.includes(path)) gone += pruneBeside(path, kept);
  }
  return gone;
}

export function pruneBuild() {
  let gone = 0;
  const { unicorn } = readPlaces();
  const cache = join(root, '.cache');
  if (existsSync(cache)) {
    const isInside = unicorn && !relative(cache, unicorn.lib).startsWith('..');
    gone += pruneBeside(cache, [
      join(cache, 'setup'),
      join(cache, 'setup.lock'),
      ...(isInside ? [unicorn.lib, unicorn.include].filter(Boolean) : []),
    ]);
    // What is linked statically is linked by nobody here.
    if (isInside)
      for (const name of readdirSync(unicorn.lib)) if (name.endsWith('.a')) gone += remove(join(unicorn.lib, name));
  }
  for (const name of ['obj.target', '.deps', 'obj']) gone += remove(join(root, 'build', 'Release', name));
  const megabytes = Math.round(gone / 2 ** 20);
  if (megabytes > 0) console.log(`setup: ${megabytes} MB that only the set-up needed are removed again`);
}
