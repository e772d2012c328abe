/**
 * Kernels whose images have no types, with types that are proved on them. A proof runs the kernel's check for seconds, so it is
 * kept in the cache of kernels.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { drivers } from '../../arch/index.js';
import { defaultCacheDirectory } from '../image/fetch.js';
import { type LoadKernelOptions, loadKernel } from '../image/load.js';
import { nearestOffsetTables, type OffsetTable, typesFromTable } from '../image/offset-tables.js';
import type { Kernel } from '../kernel/kernel.js';
import { MOST_TABLES, type ProofOptions, type ProvedTypes, provedTypes } from './proved-types.js';

/** Which proof it was: another one is done again. Raised when the proof changes. */
const PROOF = 1;

export interface TypedKernelOptions extends LoadKernelOptions {
  readonly onProgress?: ProofOptions['onProgress'];
}

/**
 * Loads an image; where neither it nor what lies beside it has types, those that are proved on it.
 * @throws UsercopyError as `loadKernel`; a kernel of which no table is proved comes without types, and says why
 */
export async function loadTypedKernel(
  image: string,
  { onProgress, ...options }: TypedKernelOptions = {},
): Promise<Kernel> {
  return typedKernel(await loadKernel(image, options), { onProgress });
}

/** The kernel with types that are proved on it, where it has none. */
export async function typedKernel(kernel: Kernel, options: ProofOptions = {}): Promise<Kernel> {
  if (kernel.types !== null || kernel.symbols.address('__check_object_size') === undefined) return kernel;
  const driver = drivers.find(({ variants }) => variants.some(({ name }) => name === kernel.variant));
  const tables =
    driver === undefined ? [] : await nearestOffsetTables(driver.linuxArch, kernel.variant, kernel.version.release);
  const { table, note } = await keptTypes(kernel, tables.slice(0, MOST_TABLES), options);
  return table === null
    ? { ...kernel, typesAbsence: note }
    : { ...kernel, types: typesFromTable(table, `types of ${table.source}`, note) };
}

async function keptTypes(kernel: Kernel, tables: readonly OffsetTable[], options: ProofOptions): Promise<ProvedTypes> {
  const file = path.join(await defaultCacheDirectory(), 'proved', `${digestOf(kernel, tables)}.json`);
  const kept = await fs.readFile(file, 'utf8').then(read, () => null);
  if (kept !== null) return kept;
  const found = await provedTypes(kernel, tables, options);
  await keep(file, found);
  return found;
}

/** Of all that a proof depends on. */
function digestOf({ variant, segments }: Kernel, tables: readonly OffsetTable[]): string {
  const hash = createHash('sha256').update(JSON.stringify([PROOF, variant, tables]));
  for (const { address, bytes, size } of segments) hash.update(`${address} ${size}\n`).update(bytes);
  return hash.digest('hex');
}

/** null for a file that is not what `keep()` writes: it is proved again. */
function read(text: string): ProvedTypes | null {
  try {
    const { table, note } = JSON.parse(text);
    const isTable = table === null || (typeof table === 'object' && typeof table.structs === 'object');
    return isTable && typeof note === 'string' ? { table, note } : null;
  } catch {
    return null;
  }
}

/** A cache that cannot be written costs time, nothing else. */
async function keep(file: string, found: ProvedTypes): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  await fs
    .mkdir(path.dirname(file), { recursive: true })
    .then(() => fs.writeFile(part, JSON.stringify(found)))
    .then(() => fs.rename(part, file))
    .catch(() => fs.rm(part, { force: true }));
}
