/** Puts random worlds to the check and to the oracle, and tells where they differ. */
import type { Check } from '../../src/check/check.js';
import type { CheckParameters } from '../../src/check/parameters.js';
import type { Verdict } from '../../src/check/verdict.js';
import { oracle } from './oracle.js';
import { Random } from './worlds/random.js';
import { randomCopy, readerOf, type World } from './worlds/world.js';

export interface Comparison {
  /** What differs, with all that is needed to do it again; at most `MOST_TOLD` of them. */
  readonly mismatches: readonly string[];
  /** How often each verdict came, by the oracle. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface Plan {
  /** The first seed; world after world takes the next. */
  readonly seed: number;
  readonly worlds: number;
  readonly copiesPerWorld: number;
  readonly make: (random: Random) => World;
  /** Compare the address of an unreadable verdict too: it depends on the order of reading when several are. */
  readonly addresses: boolean;
  /** What the check is told in place of the world's own parameters, to see that the comparison would notice. */
  readonly disguise?: (parameters: CheckParameters) => CheckParameters;
  /** The check sees memory in regions of so many bytes that touch each other; the oracle sees the world's own. */
  readonly pieces?: number;
}

const MOST_TOLD = 5;

/** Makes the check see a world; whatever it saw before is gone. */
export function install(check: Check, world: Pick<World, 'parameters' | 'regions' | 'declarations'>): void {
  for (const { address } of [...check.regions]) check.unmapRegion(address);
  check.clearDeclarations();
  check.configure(world.parameters);
  const guest = new Uint8Array(check.memory.buffer, check.guestOffset, check.guestBytes);
  let at = 0;
  for (const { address, bytes } of world.regions) {
    guest.set(bytes, at);
    check.mapRegion(address, BigInt(bytes.length), check.guestOffset + at);
    at += Math.ceil(bytes.length / 65_536) * 65_536;
  }
  for (const declaration of world.declarations) check.declare(declaration);
}

function cut(regions: World['regions'], length: number): World['regions'] {
  return regions.flatMap(({ address, bytes }) =>
    Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => ({
      address: address + BigInt(i * length),
      bytes: bytes.subarray(i * length, (i + 1) * length),
    })),
  );
}

/**
 * Judges random copies of random worlds by the oracle and by every check, which are the same but for their executors. The
 * same plan gives the same comparison.
 */
export function compare(checks: readonly Check[], plan: Plan): Comparison {
  const mismatches: string[] = [];
  const counts = new Map<string, number>();
  for (let seed = plan.seed; seed < plan.seed + plan.worlds; seed++) {
    const random = new Random(seed);
    const world = plan.make(random);
    const read = readerOf(world);
    const parameters = plan.disguise?.(world.parameters) ?? world.parameters;
    const regions = plan.pieces ? cut(world.regions, plan.pieces) : world.regions;
    for (const check of checks) install(check, { ...world, parameters, regions });
    for (let index = 0; index < plan.copiesPerWorld; index++) {
      const copy = randomCopy(random, world);
      const expected = oracle(world.parameters, read, world.declarations, copy, world.registers);
      const name = nameOf(expected);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      for (const check of checks) {
        const actual = check.judge(copy, world.registers);
        if (same(expected, actual, plan.addresses) || mismatches.length >= MOST_TOLD) continue;
        const { registers } = world;
        mismatches.push(toText({ seed, index, copy, registers, oracle: expected, [check.executor]: actual }));
      }
    }
  }
  return { mismatches, counts };
}

export function nameOf(verdict: Verdict): string {
  return verdict.outcome === 'unreadable' ? 'unreadable' : `${verdict.outcome}: ${verdict.by}`;
}

function same(one: Verdict, other: Verdict, addresses: boolean): boolean {
  if (one.outcome === 'unreadable' && other.outcome === 'unreadable') {
    return !addresses || one.address === other.address;
  }
  return toText(one) === toText(other);
}

function toText(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `0x${part.toString(16)}` : part));
}
