/** Guest structures that make no sense: the check ends with an answer, in bounded time, and reads nothing outside. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Introspection } from '../../src/check/parameters.js';
import { FLAG, Guest, line, PG_SLAB, SHAPES } from './guest.js';

/** xorshift32: the same numbers in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

describe.each(SHAPES)('$bits bits, $endian endian, 2^$pageShift bytes a page', (shape) => {
  let guest: Guest;
  beforeEach(async () => {
    guest = await Guest.create(shape);
  });

  const vmapSlots = (at: Guest) => ({
    vaStart: { offset: 0, size: at.wordBytes },
    vaEnd: { offset: 8, size: at.wordBytes },
    rbNode: 16,
    rbLeft: { offset: 16, size: at.wordBytes },
    rbRight: { offset: 8, size: at.wordBytes },
    vm: { offset: 48, size: at.wordBytes },
    vmSize: { offset: 0, size: at.wordBytes },
    vmFlags: { offset: 8, size: 4 },
    noGuard: 0x40n,
  });

  it('gives up on a tree of vmap areas that goes round in circles', () => {
    const area = guest.allocate(0x40n);
    guest.word(area + 16n + 8n, area + 16n);
    const root = guest.allocate(8n);
    guest.word(root, area + 16n);
    guest.configure('6.1', { introspection: { vmap: { kind: 'tree', root, area: vmapSlots(guest) } } });
    expect(line(guest.judge(guest.VMALLOC, 1n))).toBe(`unreadable: ${(area + 16n).toString(16)}`);
  });

  it('gives up on an absurd number of vmap nodes and on zones of no size', () => {
    const [nodes, count, zoneSize] = [guest.allocate(8n), guest.allocate(8n), guest.allocate(8n)];
    const busyRoot = { offset: 0, size: guest.wordBytes };
    const vmap = { kind: 'nodes', nodes, count, zoneSize, nodeSize: 32, busyRoot, area: vmapSlots(guest) } as const;
    guest.configure('6.1', { introspection: { vmap } });
    const copy = () => line(guest.judge(guest.VMALLOC, 1n));
    expect(copy()).toBe(`unreadable: ${count.toString(16)}`);
    guest.field(count, 4, 0xffff_ffffn);
    expect(copy()).toBe(`unreadable: ${count.toString(16)}`);
    guest.field(count, 4, 4n);
    expect(copy()).toBe(`unreadable: ${zoneSize.toString(16)}`);
  });

  it('gives up on frames that link to themselves', () => {
    const frames = { savedFrame: 0, header: 2 * guest.wordBytes, entryToCaller: guest.wordBytes, bias: 0 };
    const parameters = guest.parameters('6.1');
    guest.configure('6.1', { parameters: { stack: { ...parameters.stack, frames } } });
    const frame = guest.STACK + 0x3040n;
    guest.word(frame, frame);
    expect(line(guest.judge(guest.STACK + 0x3100n, 8n))).toBe(`unreadable: ${frame.toString(16)}`);
  });

  it('gives up on objects of no size instead of dividing by it', () => {
    const cache = guest.cache({ name: 'zero', size: 0, objectSize: 0, useroffset: 0, usersize: 0 });
    guest.slab(4, 0, cache);
    guest.configure('6.1');
    expect(line(guest.judge(guest.LINEAR + 4n * guest.pageSize, 8n))).toBe(`unreadable: ${(cache + 8n).toString(16)}`);
  });

  it('gives up on an absurd number of memblock regions', () => {
    const memory = guest.allocate(0x20n);
    guest.word(memory, 0x7fff_ffffn);
    const slot = { offset: 0, size: guest.wordBytes };
    const region = { size: 24, base: { offset: 0, size: 8 }, length: { offset: 8, size: 8 }, flags: slot };
    const pageValidity = { kind: 'memblock', memory, count: slot, regions: slot, region, noMap: 0n } as const;
    guest.configure('6.1', { introspection: { pageValidity } });
    expect(line(guest.judge(guest.LINEAR, 8n))).toBe(`unreadable: ${memory.toString(16)}`);
  });

  it('names the address of a page’s cache that is not there', () => {
    guest.slab(4, 0, 0x100n);
    guest.configure('6.1');
    expect(line(guest.judge(guest.LINEAR + 4n * guest.pageSize, 8n))).toBe('unreadable: 108');
  });

  it('does without a name that cannot be read, and cuts one that never ends', () => {
    const cache = guest.cache({ name: 'x', size: 64, objectSize: 64, useroffset: 0, usersize: 0 });
    guest.slab(4, 0, cache);
    guest.configure('6.1');
    const nameOf = () => {
      const verdict = guest.judge(guest.LINEAR + 4n * guest.pageSize, 8n);
      return verdict.outcome === 'bad' ? verdict.object?.cache : undefined;
    };
    expect(nameOf()).toBe('x');
    guest.word(cache, 0x100n);
    expect(nameOf()).toBe(null);
    const long = guest.string('y'.repeat(1000));
    guest.word(cache, long);
    expect(nameOf()).toBe('y'.repeat(256));
  });

  it('answers whatever bytes the guest holds', () => {
    const next = random(shape.bits + shape.pageShift + shape.endian.length);
    const root = guest.allocate(8n);
    const kfence = guest.allocate(8n);
    const slot = { offset: 0, size: guest.wordBytes };
    const sparsemem: Introspection['pageValidity'] = {
      kind: 'sparsemem',
      memSection: guest.DATA + 0x1000n,
      extreme: true,
      sectionSize: 2 * guest.wordBytes,
      sectionMap: slot,
      usage: { pointer: { offset: guest.wordBytes, size: guest.wordBytes }, bitmap: 16 },
      sectionSizeBits: 22,
      physicalAddressBits: 30,
      hasMemMap: 2n,
      isEarly: 8n,
      mapMask: 0x1fn,
    };
    const flatmem = guest.introspection.pageValidity;
    const frames = { savedFrame: 0, header: 2 * guest.wordBytes, entryToCaller: guest.wordBytes, bias: 0 };
    const profiles = [
      'v3',
      'v3-cma',
      '4.8,pagespan',
      '4.16,fallback',
      '5.0,pagespan',
      '5.18',
      '5.19-rc',
      '6.1,kmap-fixmap',
    ];
    const bases = [guest.LINEAR, guest.IMAGE, guest.PAGES, guest.DATA, guest.STACK, guest.VMALLOC];
    // Words that look like pointers keep the check going further than noise would.
    const word = (): bigint => {
      switch (next() % 4) {
        case 0:
          return bases[next() % bases.length]! + BigInt(next() % 0x8000);
        case 1:
          return BigInt(next() % 256);
        case 2:
          return PG_SLAB | BigInt(next());
        default:
          return (BigInt(next()) << 32n) | BigInt(next());
      }
    };
    const guestBytes = new Uint8Array(guest.check.memory.buffer, 0, guest.check.guestOffset);
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 400; i++) {
        const area = i % 2 ? guest.PAGES : guest.DATA;
        guest.word(area + BigInt((next() % 0xff0) & ~7), word());
        guest.word(guest.DATA + 0x1000n + BigInt((next() % 0x1_0000) & ~7), word());
        guest.word(guest.STACK + BigInt((next() % 0x3ff0) & ~7), word());
      }
      const parameters = guest.parameters('6.1');
      guest.configure(profiles[round % profiles.length]!, {
        parameters: { stack: { ...parameters.stack, frames: round % 3 ? null : frames } },
        introspection: {
          pageValidity: round % 2 ? sparsemem : flatmem,
          vmap: { kind: 'tree', root, area: vmapSlots(guest) },
          slab: { ...guest.introspection.slab, ...FLAG, allocator: round % 5 ? 'SLUB' : 'SLAB' },
          kfence: {
            pool: kfence,
            poolSize: 8n * guest.pageSize,
            metadata: guest.DATA + 0x2000n,
            indirect: round % 2 === 0,
            metadataSize: 64,
            objectAddress: slot,
          },
        },
      });
      const outside = guestBytes.slice(0, 1024);
      for (let i = 0; i < 300; i++) {
        const pointer = BigInt.asUintN(shape.bits, bases[next() % bases.length]! + BigInt(next() % 0x4_0000));
        const size = next() % 3 ? BigInt(next() % 0x2000) : BigInt(next());
        const at = { ...guest.at, framePointer: word(), currentBase: next() % 2 ? guest.DATA : word() };
        seen.add(guest.judge(pointer, size, next() % 2 ? 'to_user' : 'from_user', at).outcome);
      }
      expect(guestBytes.slice(0, 1024)).toEqual(outside);
    }
    expect([...seen].sort()).toEqual(['bad', 'good', 'unreadable']);
  });
});
