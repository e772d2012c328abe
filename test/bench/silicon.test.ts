/** `npm run bench:silicon`: what is timed, and when there is no figure. How long it takes is nothing to assert. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { hostCore, nearestCore } from '../../bench/silicon/host.js';
import { PIECES, predicted, type Sample, SILICON_PATHS, Silicon, settled, timed } from '../../bench/silicon/silicon.js';
import { openCycleModel } from '../../src/cycles/open.js';
import type { CycleModel } from '../../src/cycles/price.js';
import { packageFile } from '../../src/paths.js';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;

describe.skipIf(!hasCompiler || process.arch !== 'x64')(
  'the guest’s check in a process of this machine (needs cc and x86-64)',
  () => {
    let silicon: Silicon;
    let model: CycleModel;
    beforeAll(async () => {
      silicon = new Silicon();
      model = await openCycleModel(variantOf('x86_64')!);
    }, 60_000);
    afterAll(() => {
      silicon?.close();
      model?.close();
    });

    test('lets every passing path pass', () => {
      expect(silicon.answers()).toEqual([...SILICON_PATHS]);
    });

    test('is followed from its call to its return, each step where the one before it leads', () => {
      for (const [path, steps] of silicon.trace(model)) {
        const blocks = steps.map(({ block }) => block);
        expect(blocks.length, path).toBeGreaterThan(10);
        const mnemonics = blocks.map(({ code, address }) => model.analyse(code, address)[0]!.mnemonic);
        expect([mnemonics[0], mnemonics.at(-1)], path).toEqual(['call', 'ret']);
        for (const [index, { address, code }] of blocks.entries()) {
          const next = blocks[index + 1];
          if (next !== undefined && next.address !== address + BigInt(code.length))
            expect(mnemonics[index], path).toMatch(/^(?:j|call|ret)/);
        }
      }
    });

    test('is other code at another level of optimization, and passes there, too', () => {
      const instructions = new Set(
        [silicon, new Silicon({ optimize: 's' })].map((one) => {
          expect(one.answers()).toEqual([...SILICON_PATHS]);
          const sum = [...one.trace(model).values()].reduce((all, steps) => all + steps.length, 0);
          if (one !== silicon) one.close();
          return sum;
        }),
      );
      expect(instructions.size).toBe(2);
    });

    test('has pieces, which Zen 3’s table prices as AMD’s guides say', async () => {
      const pieces = new Silicon({ isInPieces: true });
      const zen3 = await openCycleModel(variantOf('x86_64')!, 'znver3');
      const traces = pieces.trace(zen3);
      const says = (name: string) => predicted(zen3, traces.get(name)!);
      expect([...traces.keys()]).toEqual(PIECES);
      for (const steps of traces.values()) expect(zen3.analyse(steps.at(-1)!.block.code, 0n)[0]!.mnemonic).toBe('ret');
      // Between two pieces that differ in one thing only, that thing shows.
      expect(says('4 divisions, 64 bits') - says('4 divisions, 9 bits')).toBe(4 * (16 - 9));
      expect(says('8 loads, index') - says('8 loads')).toBeGreaterThanOrEqual(8);
      zen3.close();
      pieces.close();
    });

    test('knows the quotient of the one division, of an object’s place in its slab by its size: 0, the first object', () => {
      for (const [path, steps] of silicon.trace(model)) {
        const quotients = steps.flatMap(({ block, rax }) =>
          model.analyse(block.code, block.address)[0]!.mnemonic === 'div' ? rax : [],
        );
        expect(quotients, path).toEqual(path === 'slab' ? [0n] : []);
      }
    });

    test('is timed on each path, as often as was asked', () => {
      const samples = silicon.samples(3);
      expect(samples).toHaveLength(3);
      for (const { cycles, noOps } of samples) {
        expect([...cycles.keys()]).toEqual([...SILICON_PATHS]);
        expect(noOps).toBeGreaterThan(0);
      }
    });
  },
);

/** Samples of one figure on all paths, by the no-ops beside them. */
const sample = (figure: number, noOps = 6, isClocked = true): Sample => ({
  cycles: new Map(SILICON_PATHS.map((path) => [path, figure])),
  ...{ noOps, isClocked },
});
/** Runs, one after the other; the last one for ever. */
const runs = (...all: readonly (readonly Sample[])[]) => {
  let at = 0;
  return () => all[Math.min(at++, all.length - 1)]!;
};
const figure = (run: () => readonly Sample[], most: number, known = 0) =>
  settled(SILICON_PATHS, run, { most, known }).figures.get('slab');

test('a figure needs two runs that follow each other and agree within 5 %', () => {
  const of = (...figures: number[]) => runs(...figures.map((one) => [sample(one)]));
  expect(figure(of(100, 120, 118), 8)?.cycles).toBe(118);
  expect(figure(of(100, 120, 100, 120, 100), 5)).toBeNull();
  expect(figure(of(100), 1)).toBeNull();
});

test('samples in which another thread took a part of the core, or the clock changed, do not count', () => {
  const interrupted = sample(2, 60, false);
  const mixed = [sample(40, 4.1), sample(25), sample(41, 4), sample(25), interrupted, sample(25)];
  const measured = settled(SILICON_PATHS, runs(mixed, mixed), { most: 8 });
  expect(measured.figures.get('slab')).toEqual({ cycles: 25, spread: 0 });
  expect(measured).toMatchObject({ noOps: 6, counted: 0.5 });
  // Runs that never had the core for themselves say nothing of a core that is known for more, however well they agree.
  const crowded = Array.from({ length: 40 }, () => sample(40, 4));
  expect(figure(runs(crowded), 8)?.cycles).toBe(40);
  expect(figure(runs(crowded), 8, 6)).toBeNull();
  expect(figure(runs([sample(25), ...crowded]), 8, 6)).toBeNull();
  expect(figure(runs(crowded, mixed, mixed), 8, 6)?.cycles).toBe(25);
});

test('the figure is the lowest quartile, and its spread the middle half', () => {
  expect(timed([9, 1, 5, 3, 7])).toEqual({ cycles: 3, spread: 4 });
});

test.each([
  ['AuthenticAMD', 25, 1, 'znver3'],
  ['AuthenticAMD', 25, 17, 'znver4'],
  ['AuthenticAMD', 26, 2, 'znver5'],
  ['GenuineIntel', 6, 94, 'skylake'],
  ['GenuineIntel', 6, 143, 'sapphirerapids'],
  ['GenuineIntel', 6, 255, null],
  ['Unknown', 1, 1, null],
])('%s, family %i, model %i is %s', (vendor, family, model, expected) => {
  const cpuinfo = `processor\t: 0\nvendor_id\t: ${vendor}\ncpu family\t: ${family}\nmodel\t\t: ${model}\nmodel name\t: a name\n`;
  expect(hostCore(cpuinfo).llvm).toBe(expected);
});

test('a core that there is no table of is refused, and those that there are are named', async () => {
  await expect(openCycleModel(variantOf('x86_64')!, 'pentium')).rejects.toThrow(/skylake.*znver4.*found pentium/);
});

test('the usual core is opened by its own name, too', async () => {
  const [usual, named] = [
    await openCycleModel(variantOf('x86_64')!),
    await openCycleModel(variantOf('x86_64')!, 'skylake'),
  ];
  expect(named.table).toEqual(usual.table);
  for (const model of [usual, named]) model.close();
});

test.each([
  ['znver4', 'znver4'],
  ['znver3', 'znver4'],
  ['skylake-avx512', 'skylake'],
  // Nothing like them has a table, and no other core stands for them in silence.
  ['sapphirerapids', null],
  ['haswell', null],
  [null, null],
])('of Skylake, Zen 4 and Zen 5 the core nearest to %s is %s', (llvm, expected) => {
  expect(nearestCore(llvm, ['skylake', 'znver4', 'znver5'])).toBe(expected);
});

test('Golden Cove in a server is priced by the table of Golden Cove', () => {
  expect(nearestCore('sapphirerapids', ['skylake', 'alderlake'])).toBe('alderlake');
});

test('an option without its value is an error, and none is compiled or timed for it', () => {
  for (const option of ['--core', '--cc', '--runner', '--kern=1']) {
    const run = spawnSync(process.execPath, [packageFile('build/js/bench/silicon/main.js'), option], {
      encoding: 'utf8',
    });
    expect(run.status, option).toBe(2);
    expect(run.stderr, option).toMatch(/--help lists the options/);
  }
});
