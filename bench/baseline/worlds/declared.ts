import type { AddressRange, Declaration } from '../../../src/check/parameters.js';
import { randomSwitches } from './eras.js';
import type { Random } from './random.js';
import { inOrder, type World } from './world.js';

/** A guest without any kernel structures: only what somebody declares about its memory. */
export function declaredWorld(random: Random): World {
  const bits = random.pick([32, 64] as const);
  const endian = random.pick(['little', 'big'] as const);
  const pageShift = random.pick([12, 12, 13, 14, 16]);
  const pageSize = 1n << BigInt(pageShift);
  const mask = (1n << BigInt(bits)) - 1n;
  const boundaries: bigint[] = [0n, 16n, mask + 1n];
  const objectBoundaries: bigint[] = [];
  const declarations: Declaration[] = [];
  let next = bits === 64 ? random.pick([0x10_0000n, 0xffff_8000_0010_0000n]) : random.pick([0x10_0000n, 0xc010_0000n]);
  const take = (pages: number): AddressRange => {
    const start = next;
    const end = start + BigInt(pages) * pageSize;
    /* Sometimes side by side, so that ranges reach from one into the other. */
    next = end + BigInt(random.pick([0, 0, 1, 2])) * pageSize;
    boundaries.push(start, end);
    if (pages > 1) boundaries.push(start + pageSize, end - pageSize);
    return { start, end };
  };

  const image = take(8);
  const text = { start: image.start + BigInt(random.below(64)), end: image.start + 2n * pageSize };
  const rodata = { start: image.start + 2n * pageSize, end: image.start + 4n * pageSize };
  const data = { start: image.start + 4n * pageSize + 8n, end: image.start + 6n * pageSize - 8n };
  const bss = { start: image.start + 6n * pageSize, end: image.start + 7n * pageSize };
  const alias = random.chance(0.5) ? take(2) : null;
  for (const range of [text, rodata, data, bss]) boundaries.push(range.start, range.end);
  if (random.chance(0.7)) declarations.push({ kind: 'pages', type: random.pick(['plain', 'Reserved']), ...image });

  for (let i = 0; i < 14; i++) {
    const kind = random.pick(['slab', 'slab', 'compound page', 'pages', 'pages', 'vmalloc', 'kmap'] as const);
    if (kind === 'slab') {
      const range = take(random.between(1, 4));
      const redLeftPad = random.pick([0, 0, 8, 64]);
      const objectSize = random.pick([1, 8, 64, 96, 192, 700, 1024]);
      const objectStride = objectSize + redLeftPad + random.pick([0, 8, 56]);
      const useroffset = random.pick([0, random.below(objectSize + 1)]);
      const usersize = random.pick([objectSize - useroffset, 0, random.below(objectSize - useroffset + 1)]);
      declarations.push({
        kind: 'slab',
        cache: `cache-${i}`,
        objectStride: BigInt(objectStride),
        objectSize: BigInt(objectSize),
        ...(redLeftPad > 0 ? { redLeftPad: BigInt(redLeftPad) } : {}),
        ...(random.chance(0.7) ? { useroffset: BigInt(useroffset), usersize: BigInt(usersize) } : {}),
        ...range,
      });
      for (let object = 0; object < 3; object++) {
        const slot = range.start + BigInt(object * objectStride);
        const first = slot + BigInt(redLeftPad);
        objectBoundaries.push(slot, first, first + BigInt(objectSize), first + BigInt(useroffset));
        objectBoundaries.push(first + BigInt(useroffset + usersize));
      }
    } else if (kind === 'compound page') {
      declarations.push({ kind, ...take(1 << random.between(1, 3)) });
    } else if (kind === 'pages') {
      declarations.push({ kind, type: random.pick(['plain', 'Reserved', 'CMA']), ...take(random.between(1, 4)) });
    } else if (kind === 'kmap') {
      declarations.push({ kind, ...take(random.between(1, 3)) });
    } else {
      const space = take(random.between(3, 6));
      declarations.push({ kind: 'vmalloc space', ...space });
      const area = { start: space.start + pageSize, end: space.end - pageSize };
      if (random.chance(0.8)) declarations.push({ kind: 'vmalloc area', ...area });
    }
  }
  const threadSize = 16384n;
  next = (next + threadSize - 1n) & ~(threadSize - 1n);
  const start = next;
  next += threadSize;
  const kind = random.pick(['declared', 'declared', 'masked stack pointer'] as const);
  if (kind === 'declared') declarations.push({ kind: 'stack', start, end: start + threadSize });
  const stackPointer = start + BigInt(random.between(0, Number(threadSize)) & ~7);
  boundaries.push(start, start + threadSize, stackPointer, start, start + threadSize, stackPointer);

  return {
    parameters: {
      bits,
      endian,
      pageShift,
      switches: randomSwitches(random),
      text: random.chance(0.9) ? text : null,
      linearText: alias,
      rodata: random.chance(0.8) ? rodata : null,
      data: random.chance(0.8) ? data : null,
      bss: random.chance(0.8) ? bss : null,
      taskSize: 0x1000n,
      stack: {
        threadSize,
        current: { kind },
        depthOfCheck: BigInt(random.pick([0, 64])),
        depthOfPrint: BigInt(random.pick([0, 48])),
        frames: null,
      },
      introspection: null,
    },
    declarations,
    regions: [],
    boundaries: inOrder(boundaries),
    objectBoundaries: inOrder(objectBoundaries),
    registers: { stackPointer, framePointer: 0n, currentBase: 0n },
  };
}
