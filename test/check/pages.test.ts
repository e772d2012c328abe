/** Which page frames have a struct page, and where it is. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Guest, line, SHAPES, type SparsememParameters } from './guest.js';

describe.each(SHAPES)('$bits bits, $endian endian, 2^$pageShift bytes a page', (shape) => {
  let guest: Guest;
  /** A copy that a slab object refuses, if its page is known at all. */
  const copy = (frame: bigint): string => line(guest.judge(guest.LINEAR + frame * guest.pageSize + 8n, 8n));
  const KNOWN = 'bad: slab object (offset 8, size 8)';
  const UNKNOWN = 'good: nothing objects';

  beforeEach(async () => {
    guest = await Guest.create(shape);
    const cache = guest.cache({ name: 'locked', size: 64, objectSize: 64, useroffset: 0, usersize: 0 });
    for (let frame = 0; frame < 64; frame++) guest.slab(frame, 0, cache);
  });

  it('FLATMEM: frames below max_mapnr, counted from the first', () => {
    const maxMapnr = guest.allocate(8n);
    guest.word(maxMapnr, 8n);
    guest.configure('6.1', { introspection: { pageValidity: { kind: 'flatmem', maxMapnr, firstFrame: 4n } } });
    expect([3n, 4n, 11n, 12n].map(copy)).toEqual([UNKNOWN, KNOWN, KNOWN, UNKNOWN]);
  });

  it('FLATMEM: struct pages lie in the array that mem_map points to', () => {
    const maxMapnr = guest.allocate(8n);
    const pointer = guest.allocate(8n);
    guest.word(maxMapnr, 64n);
    // The array starts with frame 4: moved up by 4 pages it is the array of frame 0 again.
    guest.word(pointer, guest.PAGES + 4n * 64n);
    const pageValidity = { kind: 'flatmem', maxMapnr, firstFrame: 4n } as const;
    guest.configure('6.1', { introspection: { pageValidity, pageArray: { kind: 'mem_map', pointer } } });
    guest.setPage(9, 0n);
    expect([8n, 9n].map(copy)).toEqual([KNOWN, UNKNOWN]);
  });

  describe('memblock', () => {
    function memblock(regions: readonly (readonly [base: bigint, size: bigint, flags: bigint])[]) {
      const array = guest.allocate(0x100n);
      regions.forEach(([base, size, flags], index) => {
        const at = array + BigInt(index) * 24n;
        guest.field(at, 8, base);
        guest.field(at + 8n, 8, size);
        guest.field(at + 16n, 4, flags);
      });
      const memory = guest.allocate(0x20n);
      guest.word(memory, BigInt(regions.length));
      guest.word(memory + 0x18n, array);
      return {
        kind: 'memblock',
        memory,
        count: { offset: 0, size: guest.wordBytes },
        regions: { offset: 0x18, size: guest.wordBytes },
        region: {
          size: 24,
          base: { offset: 0, size: 8 },
          length: { offset: 8, size: 8 },
          flags: { offset: 16, size: 4 },
        },
        noMap: 4n,
      } as const;
    }

    it('knows frames inside a region that is mapped', () => {
      const page = guest.pageSize;
      const pageValidity = memblock([
        [0n, 2n * page, 0n],
        [4n * page, 2n * page, 4n],
        [8n * page, 8n * page, 0n],
      ]);
      guest.configure('6.1', { introspection: { pageValidity } });
      expect([0n, 1n, 2n, 3n, 4n, 5n, 7n, 8n, 15n, 16n].map(copy)).toEqual([
        KNOWN,
        KNOWN,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        KNOWN,
        KNOWN,
        UNKNOWN,
      ]);
    });

    it('knows the whole block around a region on arm from 5.14 on', () => {
      const page = guest.pageSize;
      const pageValidity = { ...memblock([[6n * page, page, 0n]]), noMap: 0n, blockSize: 4n * page };
      guest.configure('6.1', { introspection: { pageValidity } });
      // Frames 4 to 7 are the block that region [6, 7) touches.
      expect([3n, 4n, 7n, 8n].map(copy)).toEqual([UNKNOWN, KNOWN, KNOWN, UNKNOWN]);
    });

    it('knows no frame when there is no region', () => {
      guest.configure('6.1', { introspection: { pageValidity: memblock([]) } });
      expect([0n, 1n].map(copy)).toEqual([UNKNOWN, UNKNOWN]);
    });
  });

  describe('SPARSEMEM', () => {
    // 4 MiB sections: two subsections of 2 MiB each. mem_section: section_mem_map, usage; 2 words.
    function sparsemem(change: Partial<SparsememParameters> = {}): SparsememParameters {
      return {
        kind: 'sparsemem',
        memSection: guest.DATA + 0x1000n,
        extreme: false,
        sectionSize: 2 * guest.wordBytes,
        sectionMap: { offset: 0, size: guest.wordBytes },
        usage: { pointer: { offset: guest.wordBytes, size: guest.wordBytes }, bitmap: 16 },
        sectionSizeBits: 22,
        physicalAddressBits: 30,
        hasMemMap: 2n,
        isEarly: 8n,
        mapMask: 0x1fn,
        ...change,
      };
    }

    /** The physical 6 MiB: section 1, its second subsection. Mapped at LINEAR + 6 MiB by a map of its own. */
    const physical = 0x60_0000n;
    function judgeAt(pageValidity: SparsememParameters, pages = guest.PAGES, kind = 'vmemmap' as const): string {
      const frame = physical >> BigInt(shape.pageShift);
      // The struct page of that frame is where frame 4's bytes are.
      const address = pages + 4n * 64n - frame * 64n;
      const linearMaps = [{ virtual: guest.LINEAR, size: 0x80_0000n, physical: 0n }];
      guest.configure('6.1', {
        introspection: { pageValidity, linearMaps, pageArray: { kind, address: BigInt.asUintN(shape.bits, address) } },
      });
      return line(guest.judge(guest.LINEAR + physical + 8n, 8n));
    }

    it('knows an early section as a whole', () => {
      const section = guest.DATA + 0x1000n + BigInt(2 * guest.wordBytes);
      expect(judgeAt(sparsemem())).toBe(UNKNOWN);
      guest.word(section, 2n | 8n);
      expect(judgeAt(sparsemem())).toBe(KNOWN);
    });

    it('asks the subsection map of a section that came later', () => {
      const section = guest.DATA + 0x1000n + BigInt(2 * guest.wordBytes);
      const usage = guest.allocate(0x40n);
      guest.word(section, 2n);
      expect(judgeAt(sparsemem())).toBe(UNKNOWN);
      guest.word(section + BigInt(guest.wordBytes), usage);
      expect(judgeAt(sparsemem())).toBe(UNKNOWN);
      guest.word(usage + 16n, 1n);
      expect(judgeAt(sparsemem())).toBe(UNKNOWN);
      guest.word(usage + 16n, 2n);
      expect(judgeAt(sparsemem())).toBe(KNOWN);
      // No subsections before 5.3.
      guest.word(usage + 16n, 0n);
      expect(judgeAt(sparsemem({ usage: null }))).toBe(KNOWN);
    });

    it('reads far bits of the subsection map in words of the guest', () => {
      // 2 MiB subsections of 256 MiB sections: 6 MiB is number 3; of 1 GiB, at 134 MiB, number 67: word 1 (64 bits) or 2.
      const usage = guest.allocate(0x40n);
      const section = guest.DATA + 0x1000n;
      guest.word(section, 2n);
      guest.word(section + BigInt(guest.wordBytes), usage);
      guest.word(usage + 16n + BigInt(guest.wordBytes * Math.floor(67 / shape.bits)), 1n << 3n);
      const at = 67n << 21n;
      const frame = at >> BigInt(shape.pageShift);
      const address = BigInt.asUintN(shape.bits, guest.PAGES + 4n * 64n - frame * 64n);
      guest.configure('6.1', {
        introspection: {
          pageValidity: sparsemem({ sectionSizeBits: 30, physicalAddressBits: 34 }),
          linearMaps: [{ virtual: guest.LINEAR, size: 0x1000_0000n, physical: 0n }],
          pageArray: { kind: 'vmemmap', address },
        },
      });
      expect(line(guest.judge(guest.LINEAR + at + 8n, 8n))).toBe(KNOWN);
      expect(line(guest.judge(guest.LINEAR + at - 8n, 8n))).toBe(UNKNOWN);
    });

    it('goes through the roots of SPARSEMEM_EXTREME', () => {
      const pointer = guest.allocate(8n);
      const roots = guest.allocate(0x40n);
      const root = guest.allocate(0x40n);
      const extreme = sparsemem({ extreme: true, memSection: pointer });
      expect(judgeAt(extreme)).toBe(UNKNOWN);
      guest.word(pointer, roots);
      expect(judgeAt(extreme)).toBe(UNKNOWN);
      guest.word(roots, root);
      guest.word(root + BigInt(2 * guest.wordBytes), 2n | 8n);
      expect(judgeAt(extreme)).toBe(KNOWN);
    });

    it('knows nothing above the last section', () => {
      guest.word(guest.DATA + 0x1000n + BigInt(2 * guest.wordBytes), 2n | 8n);
      // 22 bits: section 0 only.
      expect(judgeAt(sparsemem({ physicalAddressBits: 22 }))).toBe(UNKNOWN);
    });

    it('finds struct pages by the section where there is no vmemmap', () => {
      const section = guest.DATA + 0x1000n;
      guest.word(section, (guest.PAGES & ~0x1fn) | 2n);
      const pageValidity = sparsemem({ usage: null });
      guest.configure('6.1', { introspection: { pageValidity, pageArray: { kind: 'section map' } } });
      guest.setPage(9, 0n);
      expect([8n, 9n].map(copy)).toEqual([KNOWN, UNKNOWN]);
    });
  });
});
