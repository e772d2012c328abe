import { describe, expect, it } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { runDifferential } from '../../src/scenario/differential.js';
import {
  checkOwnFrames,
  chooseOwnProfile,
  loadOwnKernel,
  OWN_PROFILES,
  ownCases,
  ownVariants,
  startOwnGuest,
} from '../../src/scenario/own.js';
import { buildOwnWorld } from '../../src/scenario/own-world.js';
import { SeededRandom } from '../../src/scenario/random.js';
import { runTwins, type TwinRun } from '../../src/scenario/twins.js';

const COPIES = 2000;
/** Another seed is another world and other copies. */
const SEED = Number(process.env['USERCOPY_SEED'] ?? 20160720);

/** The judge is the guest's own check, written in C from the kernel's sources, and what its printk wrote. */
describe.each(ownVariants())("the built-in %s guest's own check and ours", (variant) => {
  it.each(Object.keys(OWN_PROFILES))('say the same of every copy by the rules of %s', async (profile) => {
    const guest = await startOwnGuest(await loadOwnKernel(variant));
    try {
      chooseOwnProfile(guest, profile);
      const { cases, declarations } = await ownCases(guest);
      const run = await runTwins(guest, cases, { profile, declarations });
      expect(run.rows.filter((row) => !row.identical)).toEqual([]);
      expect(run.rows.filter((row) => row.guest !== null).length).toBeGreaterThanOrEqual(10);
      expect(run.rows.filter((row) => row.guest === null).length).toBeGreaterThanOrEqual(10);
    } finally {
      guest.close();
    }
  });

  const withFrames = async (frames: boolean): Promise<TwinRun> => {
    const guest = await startOwnGuest(await loadOwnKernel(variant));
    try {
      if (frames) checkOwnFrames(guest);
      const { cases, declarations } = await ownCases(guest);
      const ofStack = cases.filter(({ name }) => /^(frame|stack)/.test(name));
      return await runTwins(guest, ofStack, { profile: '6.1', declarations, ...(frames ? { frames } : {}) });
    } finally {
      guest.close();
    }
  };

  const { linked } = variantOf(variant).frames;

  it.runIf(linked)('say the same when both look at frames, and refuse what crosses them', async () => {
    const { rows } = await withFrames(true);
    expect(rows.filter((row) => !row.identical)).toEqual([]);
    const refused = new Map(rows.map((row) => [row.case, row.guest !== null]));
    expect(refused.get('frame: a local')).toBe(false);
    expect(refused.get("frame: the caller's local")).toBe(false);
    expect(refused.get('frame: a dead local')).toBe(true);
    expect(refused.get('frame: across frames')).toBe(true);
  });

  it.runIf(!linked)('do not look at frames that nothing links', async () => {
    await expect(withFrames(true)).rejects.toThrow(/expected a kernel that links its stack frames/);
  });

  const rules = [
    ['6.1', false],
    ['6.1', true],
    ['v3-cma', false],
    ['v3-cma', true],
  ] as const;
  it.each(rules.filter(([, frames]) => linked || !frames))(
    `say the same of ${COPIES} random copies by the rules of %s, frames %s`,
    async (profile, frames) => {
      const guest = await startOwnGuest(await loadOwnKernel(variant));
      try {
        chooseOwnProfile(guest, profile);
        if (frames) checkOwnFrames(guest);
        const random = new SeededRandom(SEED);
        const { declarations, ...world } = await buildOwnWorld(guest, random);
        const result = await runDifferential(guest, world, random, {
          copies: COPIES,
          seed: SEED,
          profile,
          declarations,
          ...(frames ? { frames } : {}),
        });
        expect(result.mismatches, `seed ${SEED}`).toEqual([]);
        expect(result.refused).toBeGreaterThan(0.2 * COPIES);
        expect(result.refused).toBeLessThan(0.9 * COPIES);
      } finally {
        guest.close();
      }
    },
  );
});

describe.each(ownVariants())('a copy on %s that begins in the linear map and ends in the image', (variant) => {
  it.each(['v3', 'v3-cma'])('has the struct page of the image behind its last byte (%s)', async (profile) => {
    const guest = await startOwnGuest(await loadOwnKernel(variant));
    try {
      chooseOwnProfile(guest, profile);
      const { bits } = guest.kernel;
      const text = guest.symbol('_stext');
      const alias = BigInt.asUintN(bits, text - guest.layout.imageOffset + guest.layout.pageOffset);
      const cases = [0n, 8n, 0xff8n, 0x1000n].flatMap((skip) =>
        (['to_user', 'from_user'] as const).map((direction) => {
          const copy = { pointer: alias + 0x20n, size: BigInt.asUintN(bits, text + skip - alias), direction };
          const args = [guest.user.address, copy.pointer, copy.size, direction === 'to_user' ? 1n : 0n];
          return { name: `${skip} ${direction}`, copy, call: { symbol: 'do_copy', arguments: args } };
        }),
      );
      const { rows } = await runTwins(guest, cases, { profile });
      expect(rows.filter((row) => !row.identical)).toEqual([]);
    } finally {
      guest.close();
    }
  });
});

describe('frames that a kernel does not check', () => {
  it('are refused by ours alone once they are asked for', async () => {
    const guest = await startOwnGuest(await loadOwnKernel('arm64'));
    try {
      const { cases } = await ownCases(guest);
      const across = cases.filter(({ name }) => name === 'frame: across frames');
      const [without] = (await runTwins(guest, across, { profile: '6.1' })).rows;
      const [asked] = (await runTwins(guest, across, { profile: '6.1', frames: true })).rows;
      expect([without?.guest, without?.ours]).toEqual([null, null]);
      expect(asked?.guest).toBeNull();
      expect(asked?.ours).toMatch(/process stack/);
    } finally {
      guest.close();
    }
  });
});

describe('twins', () => {
  it('find a check that says something else', async () => {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    try {
      chooseOwnProfile(guest, '6.1');
      const { cases, declarations } = await ownCases(guest);
      const run = await runTwins(guest, cases, { profile: 'v3', declarations });
      expect(run.rows.some((row) => !row.identical)).toBe(true);
    } finally {
      guest.close();
    }
  });
});
