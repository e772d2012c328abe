import { describe, expect, it } from 'vitest';
import { arm32 } from '../../arch/arm/index.js';
import { drivers } from '../../arch/index.js';
import { i386 } from '../../arch/x86/i386.js';
import { Guest } from '../../src/guest/guest.js';
import { KernelObjects } from '../../src/guest/objects.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { findOffsetTable } from '../../src/image/offset-tables.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { buildRandomWorld, runDifferential } from '../../src/scenario/differential.js';
import { lkdtmCases } from '../../src/scenario/lkdtm.js';
import { SeededRandom } from '../../src/scenario/random.js';
import { runTwins } from '../../src/scenario/twins.js';

const SLOW = 300_000;

async function realKernel(variant: string, release = 'bookworm'): Promise<Kernel | null> {
  const fetched = await fetchKernel(variant, { release }).catch(() => null);
  return fetched === null ? null : loadKernel({ path: fetched.path }, { drivers });
}

// Refused to and from the user, past a page and at the last slot: PKMAP's, and since 6.3 those of the fixmap.
it.for([
  ['i386', 'bookworm', 4],
  ['arm', 'bookworm', 4],
  ['arm', 'trixie', 8],
] as const)(
  '%s of %s says what its own kernel says, %i refusals of kmap slots included',
  { timeout: SLOW },
  async ([variant, release, refusals], context) => {
    const kernel = await realKernel(variant, release);
    if (kernel === null) return context.skip(`Debian's kernel of ${variant} cannot be had`);
    const guest = await Guest.create(kernel);
    try {
      const { rows } = await runTwins(guest, lkdtmCases(guest, new KernelObjects(guest)));
      expect(rows.filter((row) => !row.identical)).toEqual([]);
      expect(rows.filter((row) => row.guest?.includes(' kmap ')).length).toBe(refusals);
    } finally {
      guest.close();
    }
  },
);

describe.each(['i386', 'arm'])('%s', (variant) => {
  it('judges random copies as its own kernel does', { timeout: SLOW }, async (context) => {
    const kernel = await realKernel(variant);
    if (kernel === null) return context.skip(`Debian's kernel of ${variant} cannot be had`);
    const guest = await Guest.create(kernel);
    try {
      const random = new SeededRandom(5);
      const world = buildRandomWorld(guest, new KernelObjects(guest), random);
      const result = await runDifferential(guest, world, random, { copies: 3000, seed: 5 });
      expect(result.mismatches).toEqual([]);
      expect(result.refused).toBeGreaterThan(300);
    } finally {
      guest.close();
    }
  });
});

describe('tables of structure offsets', () => {
  it('serve the releases that they list and no others', async () => {
    const types = await findOffsetTable('x86', 'i386', '6.1.0-50-686');
    expect(types?.source).toBe('table');
    // struct rb_node { unsigned long; struct rb_node *right, *left; } of 32-bit words.
    expect(types?.struct('rb_node').size).toBe(12);
    expect(types?.struct('rb_node').offset('rb_left')).toBe(8);
    expect(await findOffsetTable('x86', 'i386', '6.1.0-49-686')).toBeNull();
    expect(await findOffsetTable('x86', 'x86_64', '6.1.0-50-686')).toBeNull();
  });
});

describe('static branches', () => {
  it('are patched with the jump that the architecture manual gives', () => {
    // b to the next but one instruction: imm24 = (8 - 8) / 4.
    expect([...arm32.staticBranch.jump(0xc0300000n, 0xc0300008n, new Uint8Array(8))]).toEqual([0, 0, 0, 0xea]);
    // backwards by 8: imm24 = (-8 - 8) / 4 = -4.
    expect([...arm32.staticBranch.jump(0xc0300008n, 0xc0300000n, new Uint8Array(8))]).toEqual([0xfc, 0xff, 0xff, 0xea]);
    expect(i386.staticBranch.relativeEntries).toBeTypeOf('function');
  });
});
