/** Programs that only tests call: the machine's own, else Debian's, unpacked into the project's cache. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownSuite, unpackDebianPackages } from './debian-packages.mjs';
import { cache, hasProgram } from './step.mjs';

const folder = join(cache, 'tools');
/** test/tools.ts puts it behind the machine's own folders. */
const programs = join(folder, 'bin');

/** With the libraries that a small Debian lacks; names of one package in different releases. */
const ELF = [['libdw1t64', 'libdw1'], ['libelf1t64', 'libelf1'], ['libbz2-1.0']];
const TOOLS = [
  { name: 'makedumpfile', packages: [['makedumpfile'], ...ELF, ['liblzo2-2'], ['libsnappy1v5']] },
  { name: 'pahole', packages: [['pahole', 'dwarves'], ...ELF] },
];

const isHere = ({ name }) => hasProgram(name) || existsSync(join(programs, name));

/** Those that are neither installed nor unpacked. */
export const missingTools = () => TOOLS.filter((tool) => !isHere(tool));

/** Fetches what is missing; says of each that cannot be had why its tests are skipped. */
export function fetchTools() {
  const suite = ownSuite() ?? 'bookworm';
  for (const { name, packages } of missingTools()) {
    const prefix = join(folder, name);
    const { reason } = unpackDebianPackages(
      suite,
      packages.map((names) => ({ names })),
      prefix,
    );
    if (reason) {
      console.log(`setup: tests that need ${name} will be skipped: ${reason}`);
      continue;
    }
    // Debian 12 has some libraries in /lib yet, which is no link to /usr/lib in an unpacked package.
    const libraries = [join(prefix, 'usr', 'lib'), join(prefix, 'lib')].filter((place) => existsSync(place));
    const path = libraries
      .flatMap((place) => readdirSync(place).map((entry) => join(place, entry)))
      .filter((place) => place.includes('-linux-'))
      .join(':');
    mkdirSync(programs, { recursive: true });
    const script = `#!/bin/sh\nLD_LIBRARY_PATH='${path}' exec '${join(prefix, 'usr', 'bin', name)}' "$@"\n`;
    writeFileSync(join(programs, name), script, { mode: 0o755 });
  }
}
