/** nlohmann's JSON for Modern C++ (headers only), which libusercopy reads its scenarios with. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian-packages.mjs';
import { cache } from './step.mjs';

const prefixes = ['/usr', '/usr/local', join(cache, 'json', 'root', 'usr')];

const includeOf = (prefix) => join(prefix, 'include');
const has = (prefix) => existsSync(join(includeOf(prefix), 'nlohmann', 'json.hpp'));

/** The folder for `include_dirs`; null where there is none to be had: libusercopy is not built then. */
export function findJson() {
  const found = prefixes.find(has);
  if (found) return includeOf(found);
  const prefix = unpackDebianPackages('json', ['nlohmann-json3-dev']);
  return prefix && has(prefix) ? includeOf(prefix) : null;
}
