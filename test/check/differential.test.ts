/**
 * check.wasm, run by every executor that is here, against the oracle: random copies over random guests, 350 000 for each
 * executor (`USERCOPY_COPIES` in the environment asks for more or less). A mismatch prints the seed of its world and the
 * number of the copy; `USERCOPY_SEED` moves all seeds.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { compare, type Plan } from '../../bench/baseline/differential.js';
import { declaredWorld } from '../../bench/baseline/worlds/declared.js';
import { introspectedWorld } from '../../bench/baseline/worlds/introspected.js';
import { Check, executors } from '../../src/check/check.js';
import { type Acceptance, REFUSALS } from '../../src/check/verdict.js';
import { builtCheck } from '../../src/engine/built-check.js';

const { USERCOPY_SEED = '1', USERCOPY_COPIES = '350000' } = process.env;
const SEED = Number(USERCOPY_SEED);
const WORLDS = 2500;
const COPIES_PER_WORLD = Math.round(Number(USERCOPY_COPIES) / WORLDS);
/** Milliseconds; on a busy machine a third of the copies takes minutes. */
const PATIENCE = 600_000;

/** Every name of a verdict, so that a new one that no world reaches is noticed. */
const ACCEPTANCES: Readonly<Record<Acceptance, true>> = {
  'empty copy': true,
  bypassed: true,
  stack: true,
  'stack frame': true,
  kmap: true,
  vmalloc: true,
  'slab object': true,
  'slab object by fallback': true,
  'page alloc': true,
  rodata: true,
  data: true,
  'one page': true,
  'Reserved or CMA pages': true,
  'nothing objects': true,
};

describe('check.wasm and the oracle', () => {
  const checks: Check[] = [];
  const seen = new Map<string, number>();

  beforeAll(async () => {
    for (const { name, available } of executors(builtCheck)) {
      if (available) checks.push(await Check.create({ source: builtCheck, guestBytes: 1 << 20, executor: name }));
    }
  });

  const agree = (plan: Omit<Plan, 'seed' | 'copiesPerWorld'>) => {
    const { mismatches, counts } = compare(checks, { ...plan, seed: SEED, copiesPerWorld: COPIES_PER_WORLD });
    for (const [name, count] of counts) seen.set(name, (seen.get(name) ?? 0) + count);
    expect(mismatches).toEqual([]);
  };

  it('agree on declared memory', { timeout: PATIENCE }, () =>
    agree({ worlds: 1000, make: declaredWorld, addresses: true }),
  );

  it("agree on a kernel's structures, with and without declarations", { timeout: PATIENCE }, () =>
    agree({ worlds: 1000, make: (random) => introspectedWorld(random), addresses: true }),
  );

  it('agree where structures lie across many regions', { timeout: PATIENCE }, async () => {
    const wide: Check[] = [];
    for (const { executor } of checks) {
      wide.push(await Check.create({ source: builtCheck, guestBytes: 1 << 25, executor, regionCapacity: 4096 }));
    }
    const plan = { seed: SEED, worlds: 100, copiesPerWorld: 100, addresses: true, pieces: 0x1000 };
    const { mismatches, counts } = compare(wide, { ...plan, make: (random) => introspectedWorld(random) });
    expect(mismatches).toEqual([]);
    expect(counts.get('good: vmalloc')).toBeGreaterThan(0);
  });

  it('agree on structures full of garbage, and come back from all of them', { timeout: PATIENCE }, () =>
    agree({ worlds: 500, make: (random) => introspectedWorld(random, true), addresses: false }),
  );

  it('have met every verdict there is', () => {
    const names = [
      ...REFUSALS.map((by) => `bad: ${by}`),
      ...Object.keys(ACCEPTANCES).map((by) => `good: ${by}`),
      'unreadable',
    ];
    expect(names.filter((name) => !seen.has(name))).toEqual([]);
    expect([...seen.values()].reduce((sum, count) => sum + count)).toBe(WORLDS * COPIES_PER_WORLD);
  });

  it('are told apart when the check is told a page size or a switch that is not the guest’s', () => {
    const differ = (disguise: Plan['disguise'] & object) =>
      compare(checks, {
        seed: SEED,
        worlds: 40,
        copiesPerWorld: 100,
        make: (random) => introspectedWorld(random),
        addresses: true,
        disguise,
      }).mismatches.length;
    expect(
      differ((parameters) => ({ ...parameters, pageShift: parameters.pageShift === 12 ? 13 : 12 })),
    ).toBeGreaterThan(0);
    expect(
      differ((parameters) => ({
        ...parameters,
        switches: { ...parameters.switches, stackFirst: !parameters.switches.stackFirst },
      })),
    ).toBeGreaterThan(0);
    expect(
      differ((parameters) => ({
        ...parameters,
        switches: { ...parameters.switches, whitelist: !parameters.switches.whitelist },
      })),
    ).toBeGreaterThan(0);
  });
});
