/** Debian's AFL++, unpacked into `.cache/afl++`: tests fuzz a harness with it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian-packages.mjs';
import { cache } from './step.mjs';

/** The oldest that is looked for: its programs run on newer machines too. With what afl-fuzz is linked to. */
const SUITES = [
  { suite: 'bookworm', libraries: ['libpython3.11', 'libexpat1'] },
  { suite: 'trixie', libraries: ['libpython3.13', 'libexpat1'] },
];

const folderOf = (suite) => join(cache, 'afl++', suite);

/** `{ program, runtime, lib, source, absence: null }` of what was unpacked before; null when it is not here. */
function unpackedFuzzer({ suite }) {
  const folder = folderOf(suite);
  const program = join(folder, 'usr/bin/afl-fuzz');
  const runtime = join(folder, 'usr/lib/afl/afl-compiler-rt.o');
  if (![program, runtime].every(existsSync)) return null;
  const multiarch = readdirSync(join(folder, 'usr/lib')).find((name) => name.endsWith('-linux-gnu'));
  const lib = [join(folder, 'usr/lib', multiarch ?? ''), join(folder, 'lib', multiarch ?? '')].join(':');
  return { program, runtime, lib, source: `Debian ${suite}, afl++`, absence: null };
}

/** The fuzzer that is here, or `{ absence }`; with `fetches` it is fetched first. */
export function findFuzzer(fetches) {
  const reasons = [];
  for (const source of SUITES) {
    const before = unpackedFuzzer(source);
    if (before) return before;
  }
  if (!fetches) return { absence: 'only npm test fetches it' };
  for (const source of SUITES) {
    console.log('setup: downloading AFL++ (Debian packages, unpacked into .cache, nothing is installed)');
    const packages = ['afl++', ...source.libraries].map((name) => ({ names: [name] }));
    const { reason } = unpackDebianPackages(source.suite, packages, folderOf(source.suite));
    const found = reason ? null : unpackedFuzzer(source);
    if (found) return found;
    reasons.push(reason ?? `the packages of Debian's ${source.suite} hold no afl-fuzz`);
  }
  return { absence: reasons.join('; ') };
}
