/**
 * Counts of whole kernel functions, printk included. The judge is one firing of a hook on every instruction, in the same
 * guest from the same memory, and the addresses that it saw.
 */
import { describe, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import { UsercopyError } from '../../src/errors.js';
import { Guest } from '../../src/guest/guest.js';
import { KernelObjects } from '../../src/guest/objects.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { lkdtmCases } from '../../src/scenario/lkdtm.js';
import { loadOwnKernel, ownCases, ownVariants, startOwnGuest } from '../../src/scenario/own.js';
import { compareWithTrace, every } from './trace.js';

describe('instructions counted by block are those that fire one by one', () => {
  // Those of SPARC: counting-sparc.test.ts.
  it.each(ownVariants().filter((variant) => !variant.startsWith('sparc')))(
    'in the built-in %s guest',
    async (variant) => {
      const guest = await startOwnGuest(await loadOwnKernel(variant));
      try {
        await compareWithTrace(guest, every((await ownCases(guest)).cases, 7));
      } finally {
        guest.close();
      }
    },
  );

  it.for(['x86_64', 'arm64', 'i386', 'arm', 'ppc64le', 's390x'])("in Debian's %s kernel", async (variant, context) => {
    let guest: Guest;
    try {
      const { path } = await fetchKernel(variant, { release: 'bookworm' });
      guest = await Guest.create(await loadKernel({ path }, { drivers }));
    } catch (error) {
      if (error instanceof UsercopyError && error.kind === 'missing-dependency') return context.skip(error.message);
      throw error;
    }
    try {
      await compareWithTrace(guest, every(lkdtmCases(guest, new KernelObjects(guest)), 23));
    } finally {
      guest.close();
    }
  });
});
