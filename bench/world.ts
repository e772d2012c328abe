/** Guests to measure in: a built-in one or a real kernel, with an object for each path of the check. */
import { drivers } from '../arch/index.js';
import { Guest } from '../src/guest/guest.js';
import { KernelObjects } from '../src/guest/objects.js';
import { loadKernel } from '../src/image/load.js';
import { chooseOwnProfile, loadOwnKernel, startOwnGuest } from '../src/scenario/own.js';

/** Where a guest comes from. */
export type Source =
  | { readonly kind: 'own'; readonly variant: string; readonly profile: string }
  | { readonly kind: 'kernel'; readonly path: string; readonly profile: string | undefined };

/** Memory is put back before every counted call: less is faster, and this is enough. */
const OWN_RAM = 32n << 20n;

/** `nocheck`: a built-in guest compiled without the check. A real kernel has it in any case. */
export async function startGuest(source: Source, build: 'check' | 'nocheck'): Promise<Guest> {
  if (source.kind === 'kernel') return Guest.create(await loadKernel({ path: source.path }, { drivers }));
  const guest = await startOwnGuest(await loadOwnKernel(source.variant, build), { ramBytes: OWN_RAM });
  if (build === 'check') chooseOwnProfile(guest, source.profile);
  return guest;
}

export const objectsOf = (guest: Guest, source: Source): KernelObjects =>
  new KernelObjects(guest, { booted: source.kind === 'own' });

/** A copy to the user that takes one path through the check. */
export interface PathCopy {
  readonly pointer: bigint;
  readonly size: bigint;
  readonly outcome: 'good' | 'bad';
}

export const PATHS = ['n=0', 'null', 'stack', 'slab good', 'slab bad', 'page', 'vmalloc', 'text'] as const;
export type PathName = (typeof PATHS)[number];
/** Paths on which the copy passes, and those that end in BUG(), where most of the cost is the message. */
export const PASSING_PATHS = ['n=0', 'stack', 'slab good', 'page', 'vmalloc'] as const satisfies readonly PathName[];
export const REFUSING_PATHS = ['null', 'slab bad', 'text'] as const satisfies readonly PathName[];

const SLAB_BYTES = 64;
const COPY_BYTES = 64n;

export function pathCopies(guest: Guest, objects: KernelObjects): Record<PathName, PathCopy> {
  const slab = objects.makeSlab({
    ...{ name: 'bench', objectSize: SLAB_BYTES, size: SLAB_BYTES, useroffset: 0, usersize: SLAB_BYTES },
  });
  const object = slab.object(3);
  const good = (pointer: bigint): PathCopy => ({ pointer, size: COPY_BYTES, outcome: 'good' });
  const bad = (pointer: bigint, size = COPY_BYTES): PathCopy => ({ pointer, size, outcome: 'bad' });
  return {
    'n=0': { pointer: object, size: 0n, outcome: 'good' },
    null: bad(0n),
    stack: good(guest.stackPointer + 64n),
    'slab good': good(object),
    'slab bad': bad(object, COPY_BYTES + 1n),
    page: good(objects.makePages(1).start + 16n),
    vmalloc: good(objects.makeVmallocArea(2).start + 16n),
    text: bad(guest.symbol('_stext') + 64n),
  };
}

/** Copies of one size in a round of the workload. */
export interface MixedCopy {
  readonly pointer: bigint;
  readonly size: bigint;
  readonly count: number;
}

/**
 * A round of 1000 copies, most of them small: what system calls copy are structures and paths of some bytes up to a
 * page; pipes, files and sockets now and then give 16 to 64 KiB. The shares are a choice and no measurement.
 */
export function mixedCopies(guest: Guest, objects: KernelObjects): MixedCopy[] {
  const slab = (size: number): bigint =>
    objects
      .makeSlab({ name: `bench-${size}`, objectSize: size, size, useroffset: 0, usersize: size, order: 1 })
      .object(1);
  const pages = (bytes: number): bigint => {
    const order = Math.max(1, Math.ceil(Math.log2(bytes)) - guest.layout.pageShift);
    return objects.makeCompoundPage(order).start;
  };
  const of = (size: number, count: number, pointer: bigint): MixedCopy => ({ pointer, size: BigInt(size), count });
  return [
    of(8, 450, guest.stackPointer + 64n),
    of(64, 300, slab(64)),
    of(256, 150, slab(256)),
    of(1024, 70, slab(1024)),
    of(4096, 25, pages(4096)),
    of(16_384, 4, pages(16_384)),
    of(65_536, 1, pages(65_536)),
  ];
}
