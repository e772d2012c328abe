/**
 * Random guests for the differential test, and copies aimed at the addresses at which verdicts change.
 */
import type { CheckParameters, Declaration } from '../../../src/check/parameters.js';
import type { Copy } from '../../../src/check/verdict.js';
import { present } from '../../present.js';
import type { CopyRegisters } from '../oracle.js';
import type { ReadMemory } from '../oracle-memory.js';
import type { Random } from './random.js';

/** Guest bytes that exist; everything else is unreadable. */
export interface Region {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export interface World {
  readonly parameters: CheckParameters;
  readonly declarations: readonly Declaration[];
  readonly regions: readonly Region[];
  /** Addresses at which a verdict may change, in order; those of slab objects apart, since they are the most. */
  readonly boundaries: readonly bigint[];
  readonly objectBoundaries: readonly bigint[];
  readonly registers: CopyRegisters;
}

export function readerOf(world: Pick<World, 'regions'>): ReadMemory {
  return (address, length) => {
    for (const region of world.regions) {
      const offset = address - region.address;
      if (offset >= 0n && offset + BigInt(length) <= BigInt(region.bytes.length)) {
        return region.bytes.subarray(Number(offset), Number(offset) + length);
      }
    }
    return undefined;
  };
}

/** A copy that begins within 64 bytes of a boundary, and mostly ends within 64 bytes of one soon after. */
export function randomCopy(random: Random, world: World): Copy {
  const { bits, pageShift } = world.parameters;
  const mask = (1n << BigInt(bits)) - 1n;
  const nudge = () => BigInt(random.pick([0, 0, 0, -1, 1, random.between(-64, 64)]));
  const boundaries =
    world.objectBoundaries.length > 0 && random.chance(0.4) ? world.objectBoundaries : world.boundaries;
  const at = random.below(boundaries.length);
  const pointer = (random.chance(0.97) ? present(boundaries[at]) + nudge() : random.word()) & mask;
  let size: bigint;
  if (random.chance(0.5)) {
    const later = present(boundaries[Math.min(boundaries.length - 1, at + random.below(8))]);
    size = (later + nudge() - pointer) & mask;
  } else if (random.chance(0.7)) {
    size = BigInt(random.between(0, 300));
  } else if (random.chance(0.9)) {
    size = BigInt(random.between(0, 5) << pageShift) + BigInt(random.between(0, 130));
  } else {
    size = random.word() & mask;
  }
  return { pointer, size, direction: random.chance(0.5) ? 'to_user' : 'from_user' };
}

/** Sorts in place. */
export function inOrder(addresses: bigint[]): bigint[] {
  return addresses.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
