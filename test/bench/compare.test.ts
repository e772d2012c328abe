/** `usercopy bench --compare`: margins decide, and what cannot be judged is not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Comparison, compareResults } from '../../bench/compare.js';
import { usercopy } from '../cli/usercopy.js';

const folder = mkdtempSync(join(tmpdir(), 'usercopy-compare-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Sketch {
  readonly quick?: boolean;
  readonly cpu?: string;
  readonly kernel?: string;
  readonly variant?: string;
  readonly slab?: readonly [instructions: number, cycles: number];
  readonly detached?: number;
  readonly cycleModel?: string | null;
  readonly margin?: number;
}

const USUAL = {
  quick: false,
  cpu: 'cpu',
  kernel: '6.1',
  variant: 'x86_64',
  slab: [226, 176],
  detached: 1000,
  cycleModel: 'one',
  margin: 2,
} as const;

/** A result with one time of copies and one path. */
function sketch(changed: Sketch = {}) {
  const { quick, cpu, kernel, variant, slab, detached, margin, cycleModel } = { ...USUAL, ...changed };
  const [instructions, cycles] = slab;
  return {
    cycles: 'path',
    machine: { node: 'v20', cpu, cores: 2, unicorn: '2.1.4', quick, timed: 1, noisy: [] },
    variants: [
      {
        ...{ variant, kernel, profile: null, core: 'a core', cycleModel },
        guestCheck: { 'slab good': { instructions, cycles } },
        ...{ check: {}, checkSpread: {}, copy: { detached }, copySpread: { detached: { p99: detached, margin } } },
      },
    ],
    batch: {},
    batchSpread: {},
    growth: {},
  };
}

const verdictOf = (comparison: Comparison): string | undefined => comparison.changes[0]?.verdict;

test.each([
  // 8 % beyond margins of 2 % each; 8 % within 5 % each.
  [1080, 2, 'slower'],
  [1080, 5, 'same'],
  [920, 2, 'faster'],
  [1030, 2, 'same'],
  // 20 % within margins of 15 % each: nothing can be said; 50 % is more than they explain.
  [1200, 15, 'noisy'],
  [1500, 15, 'slower'],
] as const)('1000 ns and %i ns with margins of %i %% each: %s', (detached, margin, expected) => {
  const comparison = compareResults(sketch({ margin }), sketch({ detached, margin }));
  expect(verdictOf(comparison)).toBe(expected);
  expect(comparison.changes[0]?.noisy).toBe(margin > 5);
});

test('a result of --quick is not compared with a full one, in either order', () => {
  expect(() => compareResults(sketch({ quick: true }), sketch())).toThrow(/--quick/);
  expect(() => compareResults(sketch(), sketch({ quick: true }))).toThrow(/--quick/);
});

test.each([
  ['two machines', sketch({ cpu: 'another' }), /two machines/],
  [
    'a result without margins',
    { ...sketch(), variants: sketch().variants.map(({ copySpread: _, ...rest }) => rest) },
    /margin/,
  ],
])('times of %s are shown and not judged', (_what, other, note) => {
  const comparison = compareResults(sketch(), { ...other });
  expect(verdictOf(comparison)).toBe('not judged');
  expect(comparison.notes.join()).toMatch(note);
  expect(comparison.pairs[0]?.guestCheck[0]?.verdict).toBe('same');
});

test("two kernels are held against each other, and one instruction more in the guest's own check is slower", () => {
  const { pairs, slower, unmatched } = compareResults(sketch(), sketch({ kernel: '6.12', slab: [227, 177] }));
  expect(pairs).toMatchObject([
    { old: 'x86_64 6.1', new: 'x86_64 6.12', guestCheck: [{ path: 'slab', verdict: 'slower', cycles: 177 / 176 }] },
  ]);
  expect(unmatched).toEqual([]);
  expect(slower).toBe(1);
});

test('guests are paired by name, then by variant; what is left is named', () => {
  const [old, later] = [sketch(), sketch({ kernel: '6.12' })];
  old.variants.push(...sketch({ variant: 'arm64' }).variants, ...sketch({ variant: 'i386' }).variants);
  later.variants.unshift(...sketch({ variant: 'arm64' }).variants);
  const { pairs, unmatched } = compareResults(old, later);
  expect(pairs.map((pair) => [pair.old, pair.new])).toEqual([
    ['arm64 6.1', 'arm64 6.1'],
    ['x86_64 6.1', 'x86_64 6.12'],
  ]);
  expect(unmatched).toEqual(['i386 6.1']);
});

test('sums of blocks, as older results have them, are not held against cycles of paths', () => {
  const { cycles: _, ...old } = sketch({ slab: [226, 570] });
  const [change] = compareResults(old, sketch()).pairs[0]!.guestCheck;
  expect(change).toMatchObject({ cycles: null, instructions: 1, verdict: 'same' });
});

test.each([
  ['another', 'another', /two cycle models/],
  ['nothing', null, /NEW does not say which cycle model/],
])('cycles of %s model are not judged and that is said; instructions are', (_what, cycleModel, note) => {
  const same = compareResults(sketch(), sketch({ cycleModel, slab: [226, 300] }));
  expect(same.pairs[0]!.guestCheck[0]).toMatchObject({ cycles: null, instructions: 1, verdict: 'same' });
  expect(same.notes.join()).toMatch(note);
  const more = compareResults(sketch({ cycleModel }), sketch({ slab: [227, 100] }));
  expect(more.pairs[0]!.guestCheck[0]!.verdict).toBe('slower');
});

test('two architectures are no pair, even when they are all that there is', () => {
  const other = sketch({ variant: 'arm64', kernel: '6.12' });
  const [old, later] = [sketch(), other].map((one) => ({ ...one, variants: one.variants }));
  expect(() => compareResults(old, later)).toThrow(/figure in common.*x86_64 6\.1.*arm64 6\.12/);
});

test('a result without times says that only the guest’s own check was compared', () => {
  const [guest] = sketch().variants;
  const overhead = { results: [{ ...guest, paths: { slab: { instructions: 226, cycles: 176 } } }], unmeasured: [] };
  expect(compareResults(sketch(), overhead).notes.join()).toMatch(/NEW has no times/);
  expect(compareResults(overhead, sketch()).notes.join()).toMatch(/OLD has no times/);
  expect(compareResults(overhead, overhead).notes).toEqual([]);
  const bare = { ...sketch(), variants: sketch().variants.map((one) => ({ ...one, copy: {}, copySpread: {} })) };
  expect(compareResults(sketch(), bare).notes.join()).toMatch(/x86_64 6\.1 has times in OLD alone/);
});

test('the exit status, the table and the JSON of the command say the same', () => {
  const [old, later, overhead] = ['old.json', 'new.json', 'overhead.json'].map((name) => join(folder, name));
  writeFileSync(old!, JSON.stringify(sketch()));
  writeFileSync(later!, JSON.stringify(sketch({ detached: 3000 })));
  writeFileSync(
    overhead!,
    JSON.stringify({
      results: [
        {
          variant: 'x86_64',
          kernel: '6.1',
          profile: null,
          core: 'a core',
          cycleModel: 'one',
          paths: { slab: { instructions: 200, cycles: 170 } },
        },
      ],
      unmeasured: [],
    }),
  );
  expect(usercopy(['bench', '--compare', old!, old!]).status).toBe(0);
  const run = usercopy(['bench', '--compare', old!, later!]);
  expect(run.status).toBe(1);
  expect(run.out).toMatch(/x86_64 6\.1 copy\.detached.*1000.*3000.*3\.00 ×.*± 4 %.*slower/);
  // A result of overhead has no times: the guest's own check alone is compared.
  const faster = usercopy(['bench', '--compare', old!, overhead!, '--json']);
  expect(faster.status).toBe(0);
  expect(JSON.parse(faster.out)).toMatchObject({ changes: [], faster: 1, slower: 0 });
});
