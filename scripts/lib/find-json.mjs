/** nlohmann's JSON for Modern C++ (headers only), which libusercopy reads its scenarios with. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian-packages.mjs';
import { cache } from './step.mjs';

const folder = join(cache, 'json');
const prefixes = ['/usr', '/usr/local', '/opt/homebrew', '/opt/local', join(folder, 'usr')];
const SUITES = ['bookworm', 'trixie', 'forky'];

const includeOf = (prefix) => join(prefix, 'include');
const has = (prefix) => existsSync(join(includeOf(prefix), 'nlohmann', 'json.hpp'));

/** `{ include }` for `include_dirs`, or `{ reason }`: libusercopy is not built then. */
export function findJson() {
  const found = prefixes.find(has);
  if (found) return { include: includeOf(found) };
  console.log('setup: downloading nlohmann-json (a Debian package, unpacked into .cache, nothing is installed)');
  const reasons = [];
  for (const suite of SUITES) {
    const { reason } = unpackDebianPackages(suite, [{ names: ['nlohmann-json3-dev'] }], folder);
    if (!reason) return { include: includeOf(join(folder, 'usr')) };
    reasons.push(reason);
  }
  return { reason: `nlohmann-json was not found: ${reasons.join('; ')}` };
}
