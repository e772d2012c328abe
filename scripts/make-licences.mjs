#!/usr/bin/env node
/**
 * `npm run licences`: docs/licences.md, the packages that an install brings along and their licences, by the lockfile, and those whose code
 * is in what was bundled. `--check` compares. Needs a build with the page.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundledPackages } from './lib/bundled-licences.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (name) => readFileSync(root + name, 'utf8');
const { packages } = JSON.parse(read('package-lock.json'));
const rows = Object.entries(packages)
  .filter(([path, { dev, optional, peer, devOptional }]) => path !== '' && !dev && !optional && !peer && !devOptional)
  .map(([path, { version, license }]) => [path.replace(/^.*node_modules\//, ''), version, license ?? 'not said'])
  .sort(([left], [right]) => (left < right ? -1 : 1));
const table = (lines) =>
  ['| package | version | licence |', '| --- | --- | --- |', ...lines.map((line) => `| ${line.join(' | ')} |`)].join(
    '\n',
  );
const bundled = (folder) =>
  table(bundledPackages(folder).map(({ name, version, license }) => [name, version, license]));
const text = `# Licences

unicorn-usercopy is GPL-2.0-or-later. libunicorn, which the addon opens when it runs, is GPL-2.0. What ends up in the package's own files:

| part | from | licence |
| --- | --- | --- |
| check.wasm | AssemblyScript's library | Apache-2.0 |
| the addon, libusercopy | wasm2c's run time (WABT) | Apache-2.0 |
| libusercopy | JSON for Modern C++ | MIT |
| both, as the package brings them compiled | GCC's libstdc++ | GPL-3.0-or-later with the GCC Runtime Library Exception |

The command line and the page are bundles, with copies of these packages in them. The texts of their licences lie beside them, in
\`build/cli/licences.txt\` and \`build/page/licences.txt\`. In the command line:

${bundled('build/cli')}

In the page:

${bundled('build/page')}

An install brings these packages (\`npm run licences\` writes the list; \`npm sbom --omit=dev --sbom-format=spdx\` has more):

${table(rows)}
`;
if (!process.argv.includes('--check')) writeFileSync(`${root}docs/licences.md`, text);
else if (read('docs/licences.md') !== text) {
  console.error('docs/licences.md is older than package-lock.json: npm run licences');
  process.exitCode = 1;
}
