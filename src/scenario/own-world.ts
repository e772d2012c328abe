/** Random objects that a built-in guest's own allocators make, for random copies. */

import type { Declaration } from '../check/parameters.js';
import type { Guest } from '../guest/guest.js';
import { bytesOf } from '../kernel/bytes.js';
import { type Boundaries, WorldBuilder } from './differential.js';
import type { SeededRandom } from './random.js';

const SLAB_RED_ZONE = 0x400n;
const CACHES = 20;
const OBJECTS_OF_A_CACHE = 8;
const AREAS = 24;
const BLOCKS = 12;

export interface OwnWorld extends Boundaries {
  /** Which pages are CMA: no structure of the guest says it. */
  readonly declarations: readonly Declaration[];
}

/** Fills a built-in guest with objects of every kind; the same random numbers give the same objects. */
export async function buildOwnWorld(guest: Guest, random: SeededRandom): Promise<OwnWorld> {
  const world = new WorldBuilder();
  const page = 1n << BigInt(guest.layout.pageShift);
  const call = (symbol: string, ...args: bigint[]): Promise<bigint> => guest.callForValue(symbol, args);
  const name = guest.memory.allocate(page);
  for (let index = 0; index < CACHES; index++) {
    guest.memory.write(name, bytesOf(`random-${index}\0`));
    await addCache(random, world, call, name);
  }
  const declarations: Declaration[] = [];
  for (let index = 0; index < BLOCKS; index++) {
    const order = random.below(5);
    const compound = await call('alloc_pages', BigInt(order));
    world.range(compound, compound + (page << BigInt(order)));
    const count = BigInt(random.between(1, 6));
    const plain = await call('alloc_page_plain', count);
    world.range(plain, plain + count * page);
    const marked = BigInt(random.below(Number(count) + 1));
    if (marked === 0n) continue;
    const end = plain + marked * page;
    world.boundaries.push(end);
    if (random.below(2) === 0) await call('SetPageReserved', plain, marked);
    else {
      await call('mark_pages_cma', plain, marked);
      declarations.push({ kind: 'pages', type: 'CMA', start: plain, end });
    }
  }
  for (let index = 0; index < AREAS; index++) {
    const size = page * BigInt(random.between(1, 4));
    const start = await call('vmalloc', size);
    world.boundaries.push(start + size);
    world.range(start, start + size + page);
    // Holes, and a tree that was taken from.
    if (random.below(4) === 0) await call('vfree', start);
  }
  return { ...world.finish(guest), declarations };
}

async function addCache(
  random: SeededRandom,
  world: WorldBuilder,
  call: (symbol: string, ...args: bigint[]) => Promise<bigint>,
  name: bigint,
): Promise<void> {
  const size = random.pick([8, 24, 64, 96, 192, 256, 504, 1024, 2040, 4096]);
  const offset = random.below(3) === 0 ? 0 : random.below(size);
  const window = random.below(4) === 0 ? 0 : random.below(size - offset + 1);
  const flags = random.below(3) === 0 ? SLAB_RED_ZONE : 0n;
  const align = random.pick([0n, 8n, 64n]);
  const [bytes, start, length] = [BigInt(size), BigInt(offset), BigInt(window)];
  const cache = await call('kmem_cache_create_usercopy', name, bytes, align, flags, start, length);
  for (let count = 0; count < OBJECTS_OF_A_CACHE; count++) {
    const object = await call('kmem_cache_alloc', cache);
    world.range(object, object + bytes);
    world.boundaries.push(object + start, object + start + length);
  }
}
