/**
 * What only the building needed, thrown away once it is done: an installed package keeps the addon and the libunicorn that it
 * opens. A set-up that builds again fetches again.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { readPlaces } from './places.mjs';
import { root } from './step.mjs';

const remove = (path) => rmSync(path, { recursive: true, force: true });

/** Empties a folder but for what lies on the way to `kept`. */
function pruneBeside(folder, kept) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const isOnTheWay = kept.some((place) => place === path || place.startsWith(path + sep));
    if (!isOnTheWay) remove(path);
    else if (!kept.includes(path)) pruneBeside(path, kept);
  }
}

export function pruneBuild() {
  const { unicorn } = readPlaces();
  const cache = join(root, '.cache');
  if (existsSync(cache)) {
    const isInside = unicorn && !relative(cache, unicorn.lib).startsWith('..');
    pruneBeside(cache, [
      join(cache, 'setup'),
      join(cache, 'setup.lock'),
      ...(isInside ? [unicorn.lib, unicorn.include] : []),
    ]);
    // What is linked statically is linked by nobody here.
    if (isInside) for (const name of readdirSync(unicorn.lib)) if (name.endsWith('.a')) remove(join(unicorn.lib, name));
  }
  for (const name of ['obj.target', '.deps', 'obj']) remove(join(root, 'build', 'Release', name));
}
