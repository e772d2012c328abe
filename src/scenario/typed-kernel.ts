/** Kernels whose images have no types, with types that are proved on them and kept in the cache of kernels. */
import * as path from 'node:path';
import { drivers } from '../../arch/index.js';
import { defaultCacheDirectory } from '../image/fetch.js';
import { type LoadKernelOptions, loadKernel } from '../image/load.js';
import { nearestOffsetTables, typesFromTable } from '../image/offset-tables.js';
import type { Kernel } from '../kernel/kernel.js';
import { keptProof } from './kept-proofs.js';
import { MOST_TABLES, type ProofOptions, provedTypes } from './proved-types.js';

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
  const folder = path.join(await defaultCacheDirectory(), 'proved');
  const { table, note } = await keptProof(folder, kernel, tables.slice(0, MOST_TABLES), options, provedTypes);
  return table === null
    ? { ...kernel, typesAbsence: note }
    : { ...kernel, types: typesFromTable(table, `types of ${table.source}`, note) };
}
