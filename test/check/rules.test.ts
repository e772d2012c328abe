/** Each rule on a made-up guest, on 32 and 64 bits, both byte orders, 4 and 64 KiB pages. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FLAG, Guest, line, PG_RESERVED, SHAPES } from './guest.js';

describe.each(SHAPES)('$bits bits, $endian endian, 2^$pageShift bytes a page', (shape) => {
  let guest: Guest;
  const top = 1n << BigInt(shape.bits);
  const wrap = (value: bigint): bigint => BigInt.asUintN(shape.bits, value);

  beforeEach(async () => {
    guest = await Guest.create(shape);
  });

  it('passes a copy of no bytes, wherever it points', () => {
    guest.configure('6.1');
    expect(line(guest.judge(0n, 0n))).toBe('good: empty copy');
  });

  it('refuses NULL and ZERO_SIZE_PTR, and takes the byte after', () => {
    guest.configure('6.1');
    expect(line(guest.judge(0n, 8n))).toBe('bad: null address (offset 0, size 8)');
    expect(line(guest.judge(16n, 8n))).toBe('bad: null address (offset 16, size 8)');
    expect(line(guest.judge(17n, 8n))).toBe('good: nothing objects');
  });

  it('lets the last byte of memory be copied from 5.3 on, and not before', () => {
    // pointer + size is 2^bits: wrapped by `ptr + n < ptr`, not by `ptr + (n - 1) < ptr`.
    guest.configure('6.1', { introspection: null });
    expect(line(guest.judge(top - 32n, 32n))).toBe('good: nothing objects');
    expect(line(guest.judge(top - 32n, 33n))).toBe('bad: wrapped address (offset 0, size 1)');
    guest.configure('4.16', { introspection: null });
    expect(line(guest.judge(top - 32n, 32n))).toBe('bad: wrapped address (offset 0, size 0)');
    // The old report prints the size itself.
    guest.configure('4.8', { introspection: null });
    expect(line(guest.judge(top - 32n, 40n))).toBe('bad: wrapped address (offset 0, size 40)');
  });

  it('takes 32-bit registers without their upper half', () => {
    if (shape.bits !== 32) return;
    guest.configure('6.1');
    expect(line(guest.judge(0xdead_0000_0000_0010n, 0xffff_0000_0000_0008n))).toBe(
      'bad: null address (offset 16, size 8)',
    );
  });

  describe('process stack', () => {
    it('takes what lies between the stack pointer and the end, and refuses every byte beyond', () => {
      guest.configure('6.1');
      const { STACK } = guest;
      expect(line(guest.judge(STACK + 0x3000n, 0x1000n))).toBe('good: stack');
      // sp - ptr is 0x3000 - 0x3ff0 = -0xff0.
      expect(line(guest.judge(STACK + 0x3ff0n, 17n))).toBe(`bad: process stack (offset ${wrap(-0xff0n)}, size 17)`);
      expect(line(guest.judge(STACK - 8n, 16n))).toBe(`bad: process stack (offset ${0x3008}, size 16)`);
      // Below the stack pointer: the depth rule.
      expect(line(guest.judge(STACK + 0x2ff8n, 4n))).toBe('bad: process stack (offset 8, size 4)');
    });

    it('uses the stack pointer inside the check for the rule and another one for the message', () => {
      const parameters = guest.parameters('6.1');
      guest.configure('6.1', { parameters: { stack: { ...parameters.stack, depthOfCheck: 64n, depthOfPrint: 48n } } });
      // sp inside check_stack_object() is 0x2fc0; the message says 0x2fd0 - 0x2fbf = 17.
      expect(line(guest.judge(guest.STACK + 0x2fc0n, 4n))).toBe('good: stack');
      expect(line(guest.judge(guest.STACK + 0x2fbfn, 4n))).toBe('bad: process stack (offset 17, size 4)');
    });

    it('asked nothing of depth before 5.18, and printed 0', () => {
      guest.configure('5.0');
      expect(line(guest.judge(guest.STACK + 8n, 4n))).toBe('good: stack');
      expect(line(guest.judge(guest.STACK + 0x3ff0n, 17n))).toBe('bad: process stack (offset 0, size 17)');
    });

    it('finds current in memory, or the stack by masking its pointer', () => {
      const parameters = guest.parameters('6.1');
      const perCpu = guest.allocate(0x40n);
      guest.word(perCpu + 0x10n, guest.DATA);
      const taskStack = { offset: 0x20, size: guest.wordBytes };
      const current = { kind: 'memory', offset: 0x10n, taskStack } as const;
      guest.configure('6.1', { parameters: { stack: { ...parameters.stack, current } } });
      expect(line(guest.judge(guest.STACK + 0x3000n, 16n, 'to_user', { ...guest.at, currentBase: perCpu }))).toBe(
        'good: stack',
      );
      const masked = { kind: 'masked stack pointer' } as const;
      guest.configure('6.1', { parameters: { stack: { ...parameters.stack, current: masked } } });
      expect(line(guest.judge(guest.STACK + 0x3ff0n, 17n))).toContain('bad: process stack');
    });

    it('walks the frames of x86: above the saved registers of one frame, below the next', () => {
      const parameters = guest.parameters('6.1');
      const word = guest.wordBytes;
      const frames = { savedFrame: 0, header: 2 * word, entryToCaller: word, bias: 0 };
      guest.configure('6.1', { parameters: { stack: { ...parameters.stack, frames } } });
      const { STACK } = guest;
      // sp 0x3000 (return address), caller's bp 0x3040 → 0x3080 → 0: the chain ends.
      guest.word(STACK + 0x3040n, STACK + 0x3080n);
      guest.word(STACK + 0x3080n, 0n);
      const first = STACK + 0x3000n + BigInt(word);
      expect(line(guest.judge(first, 0x3040n - (first - STACK)))).toBe('good: stack frame');
      // From here on the printed offset is sp - ptr, wrapped.
      expect(line(guest.judge(first - 1n, 8n))).toBe(`bad: process stack (offset ${wrap(BigInt(1 - word))}, size 8)`);
      expect(line(guest.judge(STACK + 0x3038n, 16n))).toContain('bad: process stack');
      expect(line(guest.judge(STACK + 0x3040n + BigInt(2 * word), 8n))).toBe('good: stack frame');
      expect(line(guest.judge(STACK + 0x3040n + BigInt(2 * word) - 1n, 8n))).toContain('bad: process stack');
      // Off the chain: bad, though the stack holds it.
      expect(line(guest.judge(STACK + 0x3100n, 8n))).toContain('bad: process stack');
    });
  });

  describe('SLUB', () => {
    const facts = { name: 'kmalloc-96', size: 96, objectSize: 96, useroffset: 16, usersize: 40 };

    it('takes the whitelist of an object and not a byte more', () => {
      guest.slab(4, 0, guest.cache(facts));
      guest.configure('6.1');
      // Third object of frame 4: 4 pages + 192.
      const object = guest.LINEAR + 4n * guest.pageSize + 192n;
      expect(line(guest.judge(object + 16n, 40n))).toBe('good: slab object');
      expect(line(guest.judge(object + 15n, 8n))).toBe('bad: slab object (offset 15, size 8)');
      expect(line(guest.judge(object + 16n, 41n))).toBe('bad: slab object (offset 16, size 41)');
      expect(line(guest.judge(object + 56n, 1n))).toBe('bad: slab object (offset 56, size 1)');
      const verdict = guest.judge(object + 20n, 60n, 'from_user');
      expect(verdict).toEqual({
        outcome: 'bad',
        by: 'slab object',
        offset: 20n,
        size: 60n,
        object: {
          start: object,
          end: object + 96n,
          windowStart: object + 16n,
          windowEnd: object + 56n,
          cache: 'kmalloc-96',
        },
      });
    });

    it('counts objects from the head of a compound slab', () => {
      guest.slab(8, 2, guest.cache({ ...facts, useroffset: 0, usersize: 96 }));
      guest.configure('6.1');
      // In the third page: 2 pages = 96 q + r; the object starts r before it.
      const pointer = guest.LINEAR + 10n * guest.pageSize;
      const offset = (2n * guest.pageSize) % 96n;
      expect(line(guest.judge(pointer, 96n - offset))).toBe('good: slab object');
      expect(line(guest.judge(pointer, 97n - offset))).toBe(
        `bad: slab object (offset ${offset}, size ${97n - offset})`,
      );
    });

    it('compares the whole object before 4.16', () => {
      guest.slab(4, 0, guest.cache({ ...facts, size: 128 }));
      guest.configure('4.8');
      const object = guest.LINEAR + 4n * guest.pageSize;
      // slab_ksize() without flags is the stride, 128.
      expect(line(guest.judge(object, 128n))).toBe('good: slab object');
      expect(line(guest.judge(object + 1n, 128n))).toBe('bad: slab object (offset 1, size 128)');
    });

    it.each([
      ['no flag', 0n, 128n],
      ['red zones', FLAG.redZone, 96n],
      ['poison', FLAG.poison, 96n],
      ['a stored user', FLAG.storeUser, 104n],
      ['RCU typesafety', FLAG.typesafeByRcu, 104n],
    ])('lets the fallback through what slab_ksize() gives: %s', (_, flags, usable) => {
      guest.slab(4, 0, guest.cache({ ...facts, size: 128, inuse: 104, flags }));
      guest.configure('4.16,fallback');
      const object = guest.LINEAR + 4n * guest.pageSize;
      expect(line(guest.judge(object + 16n, 40n))).toBe('good: slab object');
      expect(line(guest.judge(object, usable))).toBe('good: slab object by fallback');
      expect(line(guest.judge(object, usable + 1n))).toBe(`bad: slab object (offset 0, size ${usable + 1n})`);
      guest.configure('4.16');
      expect(line(guest.judge(object, usable))).toBe(`bad: slab object (offset 0, size ${usable})`);
    });

    it('keeps away from red zones, and counts from behind them', () => {
      const cache = guest.cache({ ...facts, size: 160, flags: FLAG.redZone, redLeftPad: 64 });
      guest.slab(4, 0, cache);
      guest.configure('6.1');
      const slot = guest.LINEAR + 4n * guest.pageSize + 160n;
      expect(line(guest.judge(slot + 63n, 1n))).toBe('bad: slab object in left red zone (offset 63, size 1)');
      expect(line(guest.judge(slot + 64n + 16n, 40n))).toBe('good: slab object');
      expect(line(guest.judge(slot + 64n, 8n))).toBe('bad: slab object (offset 0, size 8)');
    });

    it('asks the static key before the red zones', () => {
      const key = guest.allocate(16n);
      guest.slab(4, 0, guest.cache({ ...facts, size: 160, flags: FLAG.redZone, redLeftPad: 64 }));
      const slab = { ...guest.introspection.slab, debugEnabled: key };
      guest.configure('6.1', { introspection: { slab } });
      const object = guest.LINEAR + 4n * guest.pageSize;
      expect(line(guest.judge(object + 16n, 8n))).toBe('good: slab object');
      guest.field(key, 4, 1n);
      expect(line(guest.judge(object + 16n, 8n))).toBe('bad: slab object in left red zone (offset 16, size 8)');
    });

    it('takes the whole object for the window where the kernel has no whitelist fields', () => {
      guest.slab(4, 0, guest.cache({ ...facts, size: 128 }));
      const slab = { ...guest.introspection.slab, useroffset: null, usersize: null };
      guest.configure('6.1', { introspection: { slab } });
      const object = guest.LINEAR + 4n * guest.pageSize;
      expect(line(guest.judge(object, 96n))).toBe('good: slab object');
      expect(line(guest.judge(object, 97n))).toBe('bad: slab object (offset 0, size 97)');
    });

    it('refuses a pointer below the slab that its page names', () => {
      // Frame 4 says that it is a tail page of frame 9.
      guest.slab(9, 0, guest.cache(facts));
      guest.word(guest.page(4) + 8n, guest.page(9) + 1n);
      guest.configure('6.1');
      expect(line(guest.judge(guest.LINEAR + 4n * guest.pageSize, 8n))).toBe(
        'bad: slab object not in slab page (offset 0, size 8)',
      );
    });

    it('measures from the linear map, whichever alias the pointer came from', () => {
      guest.slab(4, 0, guest.cache({ ...facts, size: 96, useroffset: 0, usersize: 96 }));
      guest.configure('6.1');
      const pointer = guest.IMAGE + 4n * guest.pageSize;
      // page_address() is in the linear map: offset (IMAGE - LINEAR) % 96.
      const offset = (guest.IMAGE - guest.LINEAR) % 96n;
      expect(line(guest.judge(pointer, 96n))).toBe(
        offset === 0n ? 'good: slab object' : `bad: slab object (offset ${offset}, size 96)`,
      );
    });

    it('knows a slab page by its type from 6.10 on', () => {
      const field = { offset: 0x30, size: 4 };
      guest.slab(4, 0, guest.cache(facts));
      const page = {
        ...guest.introspection.page,
        slab: { kind: 'type', field, mask: 0xff00_0000n, value: 0xf500_0000n } as const,
      };
      guest.configure('6.1', { introspection: { page } });
      const object = guest.LINEAR + 4n * guest.pageSize;
      expect(line(guest.judge(object, 8n))).toBe('good: nothing objects');
      guest.field(guest.page(4) + 0x30n, 4, 0xf500_0007n);
      expect(line(guest.judge(object, 8n))).toBe('bad: slab object (offset 0, size 8)');
    });

    it('counts from the start of a KFENCE object, in 32 bits', () => {
      const pool = guest.allocate(8n);
      const metadata = guest.allocate(0x100n);
      const base = guest.LINEAR + 16n * guest.pageSize;
      guest.word(pool, base);
      // Pair 0 is the guard; object 0 lives in the first page of pair 1, here at its offset 64.
      const object = base + 2n * guest.pageSize + 64n;
      guest.word(metadata + 8n, object);
      guest.slab(18, 0, guest.cache({ ...facts, flags: FLAG.redZone, redLeftPad: 64 }));
      const kfence = {
        pool,
        poolSize: 8n * guest.pageSize,
        metadata,
        indirect: false,
        metadataSize: 64,
        objectAddress: { offset: 8, size: guest.wordBytes },
      };
      guest.configure('6.1', { introspection: { kfence } });
      expect(line(guest.judge(object + 16n, 40n))).toBe('good: slab object');
      // 2^32 - 4, whatever the word size: the offset is an unsigned int.
      expect(line(guest.judge(object - 4n, 8n))).toBe('bad: slab object (offset 4294967292, size 8)');
      const pointer = guest.allocate(8n);
      guest.word(pointer, metadata);
      guest.configure('6.1', { introspection: { kfence: { ...kfence, metadata: pointer, indirect: true } } });
      expect(line(guest.judge(object + 16n, 41n))).toBe('bad: slab object (offset 16, size 41)');
    });
  });

  describe('SLAB', () => {
    // reciprocal_value(96): l = 7, m = 2^32 * (128 - 96) / 96 + 1 = 1431655766, shifts 1 and 6.
    const facts = {
      name: 'names_cache',
      size: 96,
      objectSize: 80,
      useroffset: 0,
      usersize: 64,
      num: 5,
      reciprocal: [1431655766, 1, 6],
    } as const;

    function prepare(extra: object = {}): bigint {
      const objects = guest.LINEAR + 4n * guest.pageSize + 32n;
      guest.slab(4, 0, guest.cache({ ...facts, ...extra }), objects);
      return objects;
    }

    it('counts objects from s_mem by the reciprocal', () => {
      const objects = prepare();
      const slab = { ...guest.introspection.slab, allocator: 'SLAB' } as const;
      guest.configure('6.1', { introspection: { slab } });
      expect(line(guest.judge(objects + 2n * 96n, 64n))).toBe('good: slab object');
      expect(line(guest.judge(objects + 2n * 96n + 8n, 57n))).toBe('bad: slab object (offset 8, size 57)');
      // The sixth object of five: BUG_ON() in the kernel.
      expect(line(guest.judge(objects + 5n * 96n, 1n))).toBe('bad: slab object index out of range (offset 0, size 1)');
      guest.configure('4.8', { introspection: { slab } });
      expect(line(guest.judge(objects, 80n))).toBe('good: slab object');
      expect(line(guest.judge(objects, 81n))).toBe('bad: slab object (offset 0, size 81)');
    });

    it('fails the whitelist where the offset underflows, in a whole word', () => {
      const objects = prepare({ objOffset: 16 });
      const slab = { ...guest.introspection.slab, allocator: 'SLAB' } as const;
      guest.configure('6.1', { introspection: { slab } });
      expect(line(guest.judge(objects + 16n, 64n))).toBe('good: slab object');
      expect(line(guest.judge(objects + 12n, 4n))).toBe(`bad: slab object (offset ${wrap(-4n)}, size 4)`);
    });
  });

  describe('pages', () => {
    it('holds a copy against its folio from 5.19 on', () => {
      guest.compound(8, 2, 0n);
      guest.configure('6.1');
      const start = guest.LINEAR + 8n * guest.pageSize;
      const size = 4n * guest.pageSize;
      expect(line(guest.judge(start + 8n, size - 8n))).toBe('good: page alloc');
      expect(line(guest.judge(start + 8n, size - 7n))).toBe(`bad: page alloc (offset 8, size ${size - 7n})`);
      const tail = 3n * guest.pageSize + 1n;
      expect(line(guest.judge(start + tail, guest.pageSize))).toBe(
        `bad: page alloc (offset ${tail}, size ${guest.pageSize})`,
      );
      // A lone page is not looked at.
      expect(line(guest.judge(guest.LINEAR + 20n * guest.pageSize, 3n * guest.pageSize))).toBe('good: nothing objects');
    });

    // PageCompound() of the page itself, then page_size() of its head, which is one page where that is no head.
    it.each([
      ['up to 6.18', false],
      ['from 6.19 on', true],
    ])('asks a tail whose head is none, %s', (_, tailsAreCompound) => {
      const page = guest.pageSize;
      guest.configure('6.1', { introspection: { page: { ...guest.introspection.page, tailsAreCompound } } });
      const at = (frame: number): bigint => guest.LINEAR + BigInt(frame) * page;
      const said = (told: string): string => (tailsAreCompound ? told : 'good: nothing objects');
      guest.word(guest.page(20) + 8n, guest.page(19) + 1n);
      expect(line(guest.judge(at(20), 1n))).toBe(said(`bad: page alloc (offset ${page}, size 1)`));
      // What is left of the page wraps.
      expect(line(guest.judge(at(20) + 1n, 4n * page))).toBe(said('good: page alloc'));
      guest.word(guest.page(24) + 8n, guest.page(26) + 1n);
      const before = BigInt.asUintN(guest.shape.bits, -2n * page);
      expect(line(guest.judge(at(24), 3n * page))).toBe(said('good: page alloc'));
      expect(line(guest.judge(at(24), 3n * page + 1n))).toBe(
        said(`bad: page alloc (offset ${before}, size ${3n * page + 1n})`),
      );
    });

    it('takes one page or one compound page, and no two, with the page-span rule', () => {
      guest.compound(8, 1, 0n);
      guest.configure('4.8,pagespan');
      const page = guest.pageSize;
      expect(line(guest.judge(guest.LINEAR + 20n * page, page))).toBe('good: one page');
      expect(line(guest.judge(guest.LINEAR + 20n * page + 1n, page))).toBe(
        `bad: spans multiple pages (offset 0, size ${page})`,
      );
      expect(line(guest.judge(guest.LINEAR + 8n * page, 2n * page))).toBe('good: page alloc');
      expect(line(guest.judge(guest.LINEAR + 9n * page, 2n * page))).toBe(
        `bad: spans multiple pages (offset 0, size ${2n * page})`,
      );
      guest.configure('4.8');
      expect(line(guest.judge(guest.LINEAR + 20n * page + 1n, page))).toBe('good: nothing objects');
    });

    it.each([
      ['v3', 'spans multiple pages'],
      ['v3-cma', 'spans multiple pages'],
      ['4.8,pagespan', 'spans Reserved and non-Reserved pages'],
    ])('%s: Reserved pages must go on to the end, but the last one may be left out', (profile, words) => {
      guest.setPage(20, PG_RESERVED);
      guest.setPage(21, PG_RESERVED);
      guest.configure(profile);
      const page = guest.pageSize;
      const start = guest.LINEAR + 20n * page;
      expect(line(guest.judge(start + 8n, 2n * page - 8n))).toBe('good: Reserved or CMA pages');
      expect(line(guest.judge(start, 2n * page + 1n))).toBe(`bad: ${words} (offset 0, size ${2n * page + 1n})`);
      // Pages are tested at page 20 + 0xff0 and 21 + 0xff0 only: the end, page 22 + 0x0f, lies below that.
      expect(line(guest.judge(start + 0xff0n, 2n * page - 0xfe0n))).toBe('good: Reserved or CMA pages');
    });

    it.each([
      ['5.0,pagespan', false],
      ['4.8,pagespan', true],
    ])('%s: CMA pages are those of a block that its zone says so of', (profile, reversed) => {
      const bits = BigInt(guest.shape.bits);
      const size = guest.wordBytes;
      const zones = guest.allocate(0x80n);
      const map = guest.allocate(16n);
      // Zone 1 begins with frame 18, inside a block of four pages; its second block, frames 20 to 23, is CMA's.
      guest.word(zones + 0x40n, 18n);
      guest.word(zones + 0x48n, map);
      guest.word(map, 4n << (reversed ? bits - 7n : 4n));
      for (let frame = 18; frame < 28; frame++) guest.setPage(frame, 1n << (bits - 2n));
      const cma = {
        ...{ type: 4n, order: 2, map: { offset: 8, size }, offset: 0, reversed },
        zones: { address: zones, size: 0x40, start: { offset: 0, size }, shift: Number(bits) - 2, mask: 3n },
      };
      guest.configure(profile, { introspection: { page: { ...guest.introspection.page, cma } } });
      const page = guest.pageSize;
      const start = guest.LINEAR + 20n * page;
      expect(line(guest.judge(start + 8n, 3n * page))).toBe('good: Reserved or CMA pages');
      expect(line(guest.judge(start + 3n * page + 8n, page + 8n))).toBe(
        `bad: spans CMA and non-CMA pages (offset 0, size ${page + 8n})`,
      );
      expect(line(guest.judge(start - page + 8n, page))).toBe(`bad: spans multiple pages (offset 0, size ${page})`);
    });

    it('reads rodata, does not write it, and lets data and bss be copied', () => {
      const page = guest.pageSize;
      const section = (frame: bigint) => ({
        start: guest.IMAGE + frame * page,
        end: guest.IMAGE + (frame + 2n) * page,
      });
      guest.configure('v3', { parameters: { rodata: section(30n), data: section(32n), bss: section(34n) } });
      const at = (frame: bigint) => guest.IMAGE + frame * page;
      expect(line(guest.judge(at(30n), 2n * page, 'to_user'))).toBe('good: rodata');
      expect(line(guest.judge(at(30n), 2n * page, 'from_user'))).toBe(`bad: rodata (offset 0, size ${2n * page})`);
      // `end <= __end_rodata` with the last byte's address: one byte too many still counts.
      expect(line(guest.judge(at(30n), 2n * page + 1n, 'to_user'))).toBe('good: rodata');
      expect(line(guest.judge(at(30n), 2n * page + 2n, 'to_user'))).toContain('bad: spans multiple pages');
      expect(line(guest.judge(at(32n), 2n * page, 'from_user'))).toBe('good: data');
      expect(line(guest.judge(at(34n), 2n * page, 'from_user'))).toBe('good: data');
    });
  });

  describe('kernel text', () => {
    const text = (at: Guest) => ({ start: at.IMAGE + 0x1000n, end: at.IMAGE + 0x3000n });

    it('refuses each byte of it and none beside', () => {
      guest.configure('6.1', { introspection: null, parameters: { text: text(guest) } });
      const { start, end } = text(guest);
      expect(line(guest.judge(start - 8n, 8n))).toBe('good: nothing objects');
      expect(line(guest.judge(start - 8n, 9n))).toBe(`bad: kernel text (offset ${wrap(-8n)}, size 9)`);
      expect(line(guest.judge(end - 1n, 1n))).toBe('bad: kernel text (offset 8191, size 1)');
      expect(line(guest.judge(end, 1n))).toBe('good: nothing objects');
    });

    it('counted touching in the July 2016 mail, and never looked at the alias', () => {
      const linearText = { start: guest.LINEAR + 0x1000n, end: guest.LINEAR + 0x3000n };
      const parameters = { text: text(guest), linearText };
      guest.configure('v3', { introspection: null, parameters });
      expect(line(guest.judge(text(guest).start - 8n, 8n))).toBe(`bad: kernel text (offset ${wrap(-8n)}, size 8)`);
      expect(line(guest.judge(linearText.start + 4n, 8n))).toBe('good: nothing objects');
      guest.configure('4.8', { introspection: null, parameters });
      expect(line(guest.judge(text(guest).start - 8n, 8n))).toBe('good: nothing objects');
      expect(line(guest.judge(linearText.start + 4n, 8n))).toBe('bad: linear kernel text (offset 4, size 8)');
    });
  });

  describe('vmalloc', () => {
    function area(start: bigint, end: bigint, vm: bigint): bigint {
      // vmap_area: va_start +0, va_end +8, rb_node +16 (right +8, left +16 in it), vm +48.
      const address = guest.allocate(0x40n);
      guest.word(address, start);
      guest.word(address + 8n, end);
      guest.word(address + 48n, vm);
      return address;
    }

    function tree() {
      const size = guest.wordBytes;
      const { VMALLOC } = guest;
      const guarded = guest.allocate(0x20n);
      guest.word(guarded, 0x3000n + guest.pageSize);
      const bare = guest.allocate(0x20n);
      guest.word(bare, 0x3000n);
      guest.field(bare + 8n, 4, 0x40n);
      const end = VMALLOC + 0x2_0000n + 0x3000n;
      const middle = area(VMALLOC + 0x2_0000n, end + guest.pageSize, guarded);
      const left = area(VMALLOC + 0x1_0000n, VMALLOC + 0x1_3000n, bare);
      const right = area(VMALLOC + 0x8_0000n, VMALLOC + 0x8_3000n, 0n);
      guest.word(middle + 16n + 16n, left + 16n);
      guest.word(middle + 16n + 8n, right + 16n);
      const root = guest.allocate(8n);
      guest.word(root, middle + 16n);
      const slots = {
        vaStart: { offset: 0, size },
        vaEnd: { offset: 8, size },
        rbNode: 16,
        rbLeft: { offset: 16, size },
        rbRight: { offset: 8, size },
        vm: { offset: 48, size },
        vmSize: { offset: 0, size },
        vmFlags: { offset: 8, size: 4 },
        noGuard: 0x40n,
      };
      return { root, slots };
    }

    it('holds a copy against the vmap area, guard page included', () => {
      const { root, slots } = tree();
      guest.configure('6.1', { introspection: { vmap: { kind: 'tree', root, area: slots } } });
      const { VMALLOC, pageSize } = guest;
      const size = 0x3000n + pageSize;
      expect(line(guest.judge(VMALLOC + 0x2_0000n, size))).toBe('good: vmalloc');
      expect(line(guest.judge(VMALLOC + 0x2_0010n, size))).toBe(`bad: vmalloc (offset 16, size ${size})`);
      expect(line(guest.judge(VMALLOC + 0x1_2fffn, 1n))).toBe('good: vmalloc');
      expect(line(guest.judge(VMALLOC + 0x8_0000n, 0x3001n))).toBe('bad: vmalloc (offset 0, size 12289)');
      expect(line(guest.judge(VMALLOC + 0x1_3000n, 1n))).toBe('bad: vmalloc, no area (offset 0, size 1)');
    });

    it('went by the vm_struct in the first candidates of 5.19, without its guard page', () => {
      const { root, slots } = tree();
      guest.configure('5.19-rc', { introspection: { vmap: { kind: 'tree', root, area: slots } } });
      const { VMALLOC } = guest;
      expect(line(guest.judge(VMALLOC + 0x2_0000n, 0x3000n))).toBe('good: vmalloc');
      expect(line(guest.judge(VMALLOC + 0x2_0000n, 0x3001n))).toBe('bad: vmalloc (offset 0, size 12289)');
      // VM_NO_GUARD: the size is all of it.
      expect(line(guest.judge(VMALLOC + 0x1_0000n, 0x3000n))).toBe('good: vmalloc');
      // vm_map_ram() has no vm_struct.
      expect(line(guest.judge(VMALLOC + 0x8_0000n, 1n))).toBe('bad: vmalloc, no area (offset 0, size 1)');
    });

    it('looks away while page faults are disabled, from 6.4 on', () => {
      const { root, slots } = tree();
      const introspection = {
        vmap: { kind: 'tree', root, area: slots } as const,
        pagefaultDisabled: { offset: 0x30, size: 4 },
      };
      guest.configure('6.1', { introspection });
      const copy = () => line(guest.judge(guest.VMALLOC + 0x1_3000n, 1n));
      expect(copy()).toContain('no area');
      guest.field(guest.DATA + 0x30n, 4, 1n);
      expect(copy()).toBe('good: nothing objects');
      guest.configure('6.1,vmalloc-vmap-area', { introspection });
      expect(copy()).toContain('no area');
    });

    it('searches every vmap node from 6.9 on, wherever the area hangs', () => {
      const { root, slots } = tree();
      const nodes = guest.allocate(0x100n);
      const [pointer, count, zone] = [guest.allocate(8n), guest.allocate(8n), guest.allocate(8n)];
      guest.word(pointer, nodes);
      guest.field(count, 4, 4n);
      guest.field(zone, 4, 0x1_0000n);
      const top = guest.check.read(root, guest.wordBytes)!;
      // Node 3 of 4, 32 bytes each, busy root at +8; the address's own zone is another for two of the areas.
      guest.bytes(nodes + 3n * 32n + 8n, [...top]);
      const vmap = {
        kind: 'nodes',
        nodes: pointer,
        count,
        zoneSize: zone,
        nodeSize: 32,
        busyRoot: { offset: 8, size: guest.wordBytes },
        area: slots,
      } as const;
      guest.configure('6.1', { introspection: { vmap } });
      expect(line(guest.judge(guest.VMALLOC + 0x1_0000n, 1n))).toBe('good: vmalloc');
      expect(line(guest.judge(guest.VMALLOC + 0x8_0000n, 0x3001n))).toBe('bad: vmalloc (offset 0, size 12289)');
      expect(line(guest.judge(guest.VMALLOC + 0x9_0000n, 1n))).toContain('no area');
    });

    it('was skipped with the modules until 4.12', () => {
      // The same frame under a vmalloc address, as arm64 once told virt_addr_valid() of them.
      guest.slab(4, 0, guest.cache({ name: 'c', size: 64, objectSize: 64, useroffset: 0, usersize: 64 }));
      const linearMaps = [...guest.introspection.linearMaps];
      const start = guest.VMALLOC + 0x200_0000n;
      linearMaps.push({ virtual: start, size: 8n * guest.pageSize, physical: 0n });
      const pointer = start + 4n * guest.pageSize + 60n;
      guest.configure('4.8', { introspection: { linearMaps } });
      expect(line(guest.judge(pointer, 8n))).toBe('good: nothing objects');
      guest.configure('4.8,unless-virt-addr-valid', { introspection: { linearMaps } });
      expect(line(guest.judge(pointer, 8n))).toContain('bad: slab object');
    });
  });

  describe('kmap', () => {
    it('keeps a copy inside one page of PKMAP, and of the fixmap slots since 6.3', () => {
      const [pkmap, fixmap] = guest.introspection.kmap.map((range) => range.start);
      guest.configure('6.1');
      expect(line(guest.judge(pkmap! + 8n, guest.pageSize - 8n))).toBe('good: kmap');
      expect(line(guest.judge(pkmap! + 8n, guest.pageSize - 7n))).toBe(
        `bad: kmap (offset 8, size ${guest.pageSize - 7n})`,
      );
      expect(line(guest.judge(fixmap! + 8n, guest.pageSize))).toBe('good: nothing objects');
      guest.configure('6.1,kmap-fixmap');
      expect(line(guest.judge(fixmap! + 8n, guest.pageSize))).toBe(`bad: kmap (offset 8, size ${guest.pageSize})`);
    });
  });

  it('looks at nothing when the kernel was told so', () => {
    const key = guest.allocate(16n);
    guest.configure('6.1', { introspection: { bypassKey: key } });
    expect(line(guest.judge(0n, 8n))).toContain('bad: null address');
    guest.field(key, 4, 1n);
    expect(line(guest.judge(0n, 8n))).toBe('good: bypassed');
    guest.configure('6.1,bypass', { introspection: null });
    expect(line(guest.judge(0n, 8n))).toBe('good: bypassed');
  });

  it('asks the heap before the stack until 5.0, and the stack before the heap after', () => {
    // A stack inside a slab page, with a whitelist of nothing.
    const stack = guest.LINEAR + 4n * guest.pageSize;
    guest.slab(4, 0, guest.cache({ name: 'thread_stack', size: 4096, objectSize: 4096, useroffset: 0, usersize: 0 }));
    guest.word(guest.DATA + 0x20n, stack);
    const at = { ...guest.at, stackPointer: stack };
    guest.configure('4.16');
    expect(line(guest.judge(stack + 64n, 8n, 'to_user', at))).toBe('bad: slab object (offset 64, size 8)');
    guest.configure('5.0');
    expect(line(guest.judge(stack + 64n, 8n, 'to_user', at))).toBe('good: stack');
  });
});
