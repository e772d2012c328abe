/** Other people's code in what a bundler made: copies of it go out with their licences, in a file beside the bundle. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { root, SetupError } from './step.mjs';

/** The file's name, in `build/cli` and in `build/page`. */
export const LICENCES = 'licences.txt';

const read = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** The folder of the package that a module belongs to; undefined for the project's own modules and the bundler's. */
function packageOf(module) {
  for (let folder = dirname(module); folder.includes(`${sep}node_modules${sep}`); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json')) && read(folder).version !== undefined) return folder;
  }
  return undefined;
}

/** The file's text: a heading for each package whose modules are in the output of a build, and its licence. */
export function licencesOf(output) {
  const modules = output.flatMap(({ moduleIds = [] }) => moduleIds);
  const folders = [...new Set(modules.map(packageOf))].filter((folder) => folder !== undefined);
  const texts = folders.map((folder) => {
    const { name, version, license } = read(folder);
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text =
      file === undefined ? 'The package has no text of its licence.' : readFileSync(join(folder, file), 'utf8');
    return `=== ${name} ${version}: ${license}\n\n${text.trim()}\n`;
  });
  return texts.sort().join('\n');
}

/** `{ name, version, license }` of each package in a bundle, by name. @throws SetupError where there is no bundle. */
export function bundledPackages(folder) {
  const file = join(root, folder, LICENCES);
  if (!existsSync(file)) throw new SetupError(`expected ${file}, found none: npm run build, npm run page`);
  const headings = readFileSync(file, 'utf8').matchAll(/^=== (?<name>\S+) (?<version>\S+): (?<license>.+)$/gm);
  return [...headings].map(({ groups }) => groups);
}
