/** Prices against llvm-mca, on the blocks of the built-in guests. */
import { describe, expect, test } from 'vitest';
import { variants } from '../../arch/index.js';
import { compare } from '../../bench/cycles/compare.js';
import { blocksOf } from '../../bench/cycles/corpus.js';
import { HOW_TO_GET_LLVM, llvmVersion } from '../../bench/cycles/llvm.js';
import { comparePaths } from '../../bench/cycles/paths.js';
import { checkTraces } from '../../bench/cycles/traces.js';
import { PATHS, type Source, startGuest } from '../../bench/world.js';
import { openCycleModel } from '../../src/cycles/open.js';
import { loadOwnKernel } from '../../src/scenario/own.js';

const version = llvmVersion();
const judged = variants.filter(({ cycles }) => cycles?.llvm);

describe.skipIf(version === null)(
  `llvm-mca ${version ?? `(neither installed nor fetched: ${HOW_TO_GET_LLVM})`}`,
  () => {
    test.each(judged.map(({ name }) => name))(
      '%s: blocks cost what llvm-mca says, to a fifth, in the same order',
      async (name) => {
        const variant = variants.find((candidate) => candidate.name === name)!;
        const blocks = await blocksOf(await loadOwnKernel(name), variant.cycles!);
        const model = await openCycleModel(variant);
        const { halves } = compare(variant, 'own', blocks, model, 150);
        model.close();
        const half = halves.find((candidate) => candidate.name === 'held out')!;
        expect(half.blocks).toBeGreaterThan(40);
        expect(half.mape).toBeLessThan(0.2);
        expect(half.tau).toBeGreaterThan(0.85);
      },
    );

    test.each(judged.map(({ name }) => name))(
      '%s: the paths of the check cost what llvm-mca says of them as a whole, to a tenth on average',
      async (name) => {
        const source: Source = { kind: 'own', variant: name, profile: '6.1' };
        const guest = await startGuest(source, 'check');
        const model = await openCycleModel(guest.variant);
        try {
          const paths = comparePaths(guest.variant, 'own', await checkTraces(guest, source, model), model);
          const mape = paths.reduce((sum, { path, llvm }) => sum + Math.abs(path - llvm) / llvm, 0) / paths.length;
          expect(paths.length).toBe(PATHS.length);
          expect(mape).toBeLessThan(0.1);
        } finally {
          model.close();
          guest.close();
        }
      },
    );
  },
);
