/** Programs that only tests call, in a folder of their own: what is not installed is unpacked, with a script that calls it. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { archive } from './debian-packages.mjs';
import { findProgram } from './find-program.mjs';
import { cache, hasProgram } from './step.mjs';

const folder = 'tools';
/** test/tools.ts puts it behind the machine's own folders; `src/image/pahole.ts` looks there too. */
const programs = join(cache, folder, 'bin');

const TOOLS = ['makedumpfile', 'pahole', 'llvm-mca-14'];

const isHere = (name) => hasProgram(name) || existsSync(join(programs, name));

/** Those that are neither installed nor unpacked. */
export const missingTools = () => TOOLS.filter((name) => !isHere(name));

/** Fetches what is missing; says of each that cannot be had why its tests are skipped. */
export function fetchTools() {
  for (const name of missingTools()) {
    const { program, libraries, absence } = findProgram({ name, folder: join(folder, name) }, true);
    if (absence) {
      console.log(`setup: tests that need ${name} will be skipped: ${absence}`);
      continue;
    }
    mkdirSync(programs, { recursive: true });
    const call = (path) => `#!/bin/sh\nLD_LIBRARY_PATH='${libraries.join(':')}' exec '${path}' "$@"\n`;
    const { beside = {} } = archive.programs[name];
    const others = Object.entries(beside).map(([other, file]) => [other, join(dirname(program), file)]);
    for (const [called, path] of [...others, [name, program]])
      writeFileSync(join(programs, called), call(path), { mode: 0o755 });
  }
}
