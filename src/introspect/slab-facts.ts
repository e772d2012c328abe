/** A slab object's surroundings: which one of its slab it is, whether it is in use, what lies beside it. */

import type { Check } from '../check/check.js';
import { type Look, UNKNOWN_STATES } from '../check/look.js';
import type { Kernel } from '../kernel/kernel.js';
import type { MemoryReader } from './memory-reader.js';

export interface SlabObject {
  /** The bytes that belong to the owner, without red zones and padding. */
  readonly start: bigint;
  readonly end: bigint;
  readonly index: number;
  /** null: not decidable from the dump. */
  readonly state: 'allocated' | 'free' | null;
}

export interface SlabFacts {
  readonly cache: string | null;
  readonly object: SlabObject;
  /** The objects before and after it in the same slab. */
  readonly neighbours: readonly SlabObject[];
  /** First byte, first byte after it, and objects. */
  readonly slab: { readonly start: bigint; readonly end: bigint; readonly objects: number };
  /** Bytes from one object to the next. */
  readonly stride: bigint;
  /** Bytes of red zone before each object; 0 without. */
  readonly redZone: bigint;
  /** Why the state of objects that are on no list of free ones is not known; null where it is. */
  readonly uncertain: string | null;
  /** Caches of the same shape share one: its name then tells no structure. */
  readonly shared: boolean;
}

/** `start` is the object's first byte, as the check found it. null where its slab cannot be found, or makes no sense. */
export function slabFactsOf(check: Check, kernel: Kernel, read: MemoryReader, start: bigint): SlabFacts | null {
  const look = check.lookAt(start);
  const { slab, object: own } = look;
  const object = objectOf(look);
  if (slab === null || own === null || object === null) return null;
  const looks = [start - slab.stride, start + slab.stride]
    .filter((address) => address >= slab.start && address < slab.end)
    .map((address) => check.lookAt(address));
  const unknown = [look, ...looks].find((each) => each.unknown !== null)?.unknown ?? null;
  const references =
    kernel.types === null ? null : read.member(own.cache, kernel.types.struct('kmem_cache'), 'refcount');
  return {
    cache: check.cacheName(own.cache),
    object,
    neighbours: looks.map(objectOf).filter((other) => other !== null),
    slab: { start: slab.start, end: slab.end, objects: slab.objects },
    stride: slab.stride,
    redZone: slab.leftZone,
    uncertain: unknown === null ? null : UNKNOWN_STATES[unknown],
    shared: references !== null && references > 1n,
  };
}

function objectOf({ result, object }: Look): SlabObject | null {
  if (object === null) return null;
  const { start, end, index } = object;
  return { start, end, index, state: result === 'freed' ? 'free' : result === 'unknown' ? null : 'allocated' };
}
