/** The command line as files that Node.js is started with: by their names in `build/cli`, where `build/js` has them. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './step.mjs';

/** What `main` loads unless it is asked for the version alone. */
export const PROGRAM = 'src/cli/program.js';

export const ENTRIES = {
  main: 'src/cli/main.js',
  'dump-child': 'src/repro/dump-child.js',
  'guest-child': 'src/scenario/guest-child.js',
  'triage-child': 'src/triage/child.js',
};

/** The same programs out of all their modules, where they cannot be put together: they start slower. */
export function writeSlowPrograms() {
  const folder = join(root, 'build', 'cli');
  mkdirSync(folder, { recursive: true });
  for (const [name, file] of Object.entries(ENTRIES)) {
    writeFileSync(join(folder, `${name}.js`), `#!/usr/bin/env node\nimport '../js/${file}';\n`);
  }
  chmodSync(join(folder, 'main.js'), 0o755);
}
