/** Debian's kernels as tests have them, and their own check as the judge of ours. */
import { expect, it } from 'vitest';
import { drivers } from '../arch/index.js';
import { UsercopyError } from '../src/errors.js';
import { Guest } from '../src/guest/guest.js';
import { KernelObjects } from '../src/guest/objects.js';
import { fetchKernel } from '../src/image/fetch.js';
import { loadKernel } from '../src/image/load.js';
import type { Kernel } from '../src/kernel/kernel.js';
import { buildRandomWorld, runDifferential } from '../src/scenario/differential.js';
import { lkdtmCases } from '../src/scenario/lkdtm.js';
import { SeededRandom } from '../src/scenario/random.js';
import { runTwins } from '../src/scenario/twins.js';

/** Another seed is as many other copies. */
const SEED = Number(process.env['USERCOPY_SEED'] ?? 20160720);

/** A kernel of Debian's, fetched where it is not in the cache; why not, where the archive cannot be reached or has it no more. */
export async function debianKernel(variant: string, release: string): Promise<Kernel | string> {
  try {
    const { path } = await fetchKernel(variant, { release });
    return await loadKernel({ path }, { drivers });
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') return error.message;
    throw error;
  }
}

/**
 * Two tests: the kernel's own check, run in the guest, says the same as ours of LKDTM's copies and of random ones.
 * `profile`: the one that must be picked.
 */
export function judgesAsWeDo(
  kernelOf: () => Kernel | string,
  { copies, profile }: { readonly copies: number; readonly profile?: string },
): void {
  it('says the same as ours of every LKDTM copy and its neighbours', async (context) => {
    const kernel = kernelOf();
    if (typeof kernel === 'string') return context.skip(kernel);
    const guest = await Guest.create(kernel);
    try {
      const run = await runTwins(guest, lkdtmCases(guest, new KernelObjects(guest)));
      if (profile !== undefined) expect(run.profile).toBe(profile);
      expect(run.rows.filter((row) => !row.identical)).toEqual([]);
      // Both outcomes are there in number, and every bad copy has the words of the kernel's own printk.
      expect(run.rows.filter((row) => row.guest?.startsWith('usercopy: Kernel memory ')).length).toBeGreaterThan(25);
      expect(run.rows.filter((row) => row.guest === null).length).toBeGreaterThan(15);
    } finally {
      guest.close();
    }
  });

  it(`says the same as ours of ${copies} random copies`, async (context) => {
    const kernel = kernelOf();
    if (typeof kernel === 'string') return context.skip(kernel);
    const guest = await Guest.create(kernel);
    try {
      const random = new SeededRandom(SEED);
      const world = buildRandomWorld(guest, new KernelObjects(guest), random);
      const result = await runDifferential(guest, world, random, { copies, seed: SEED });
      expect(result.mismatches, `seed ${SEED}`).toEqual([]);
      expect(result.nearBoundary).toBeGreaterThan(0.6 * copies);
      expect(result.refused).toBeGreaterThan(0.2 * copies);
      expect(result.refused).toBeLessThan(0.9 * copies);
    } finally {
      guest.close();
    }
  });
}
