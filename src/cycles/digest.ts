/** Which cycle model an estimate is of: figures of two models are not held against each other. */
import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { createRequire } from 'node:module';
import { packageFile } from '../paths.js';
import type { CycleTable } from './table.js';

/** Compiled code that a path's cycles follow from: the model, what it is told of an instruction set, how a path is noted. */
const CODE = ['src/cycles', 'src/guest/path-cost.js', 'arch/cycles.js'];

/**
 * Sixteen hexadecimal digits of everything that the cycles of a path follow from: the core's table, the model's code and the
 * disassembler's version. Two results with the same digest have cycles that can be compared.
 */
export async function modelDigest(linuxArch: string, table: CycleTable): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(table));
  for (const place of [...CODE, `arch/${linuxArch}/cycles.js`])
    for (const file of await filesOf(packageFile(`build/js/${place}`))) hash.update(await fs.readFile(file));
  const capstone = createRequire(import.meta.url).resolve('@alexaltea/capstone-js/package.json');
  const { version }: { readonly version: string } = JSON.parse(await fs.readFile(capstone, 'utf8'));
  return hash.update(version).digest('hex').slice(0, 16);
}

async function filesOf(place: string): Promise<string[]> {
  if (place.endsWith('.js')) return [place];
  const names = await fs.readdir(place);
  return names
    .filter((name) => name.endsWith('.js'))
    .sort()
    .map((name) => `${place}/${name}`);
}
