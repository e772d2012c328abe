/** Memory that was declared, for code without Linux around it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Declaration } from '../../src/check/parameters.js';
import { UsercopyError } from '../../src/errors.js';
import { Guest, line } from './guest.js';

describe('declared memory', () => {
  let guest: Guest;
  const BASE = 0x10_0000n;
  const range = (start: bigint, end: bigint) => ({ start: BASE + start, end: BASE + end });
  const slab = (change: object = {}): Declaration => ({
    kind: 'slab',
    cache: 'packets',
    ...range(0n, 0x1000n),
    objectStride: 128n,
    objectSize: 100n,
    ...change,
  });

  beforeEach(async () => {
    guest = await Guest.create({ bits: 64, endian: 'little', pageShift: 12 });
  });

  const only = (profile: string): void => {
    const parameters = guest.parameters(profile);
    guest.configure(profile, {
      introspection: null,
      parameters: { stack: { ...parameters.stack, current: { kind: 'declared' } } },
    });
  };

  it('lets everything pass while nothing is declared', () => {
    only('6.1');
    expect(line(guest.judge(BASE, 1n << 40n))).toBe('good: nothing objects');
  });

  it('holds a copy against the object of a slab, by its declared name', () => {
    guest.check.declare(slab());
    only('6.1');
    expect(line(guest.judge(BASE + 128n, 100n))).toBe('good: slab object');
    expect(guest.judge(BASE + 130n, 100n)).toEqual({
      outcome: 'bad',
      by: 'slab object',
      offset: 2n,
      size: 100n,
      object: {
        start: BASE + 128n,
        end: BASE + 228n,
        windowStart: BASE + 128n,
        windowEnd: BASE + 228n,
        cache: 'packets',
      },
    });
    expect(line(guest.judge(BASE + 0x1000n, 100n))).toBe('good: nothing objects');
  });

  it('knows red zones, whitelists and the fallback', () => {
    guest.check.declare(slab({ redLeftPad: 16n, useroffset: 8n, usersize: 32n }));
    only('6.1');
    expect(line(guest.judge(BASE + 15n, 1n))).toBe('bad: slab object in left red zone (offset 15, size 1)');
    expect(line(guest.judge(BASE + 24n, 32n))).toBe('good: slab object');
    expect(line(guest.judge(BASE + 24n, 33n))).toBe('bad: slab object (offset 8, size 33)');
    only('5.0,fallback');
    expect(line(guest.judge(BASE + 16n, 100n))).toBe('good: slab object by fallback');
    expect(line(guest.judge(BASE + 16n, 101n))).toBe('bad: slab object (offset 0, size 101)');
    only('4.8');
    expect(line(guest.judge(BASE + 16n, 100n))).toBe('good: slab object');
  });

  it('knows compound pages and plain, Reserved and CMA ones', () => {
    guest.check.declare({ kind: 'compound page', ...range(0n, 0x4000n) });
    guest.check.declare({ kind: 'pages', type: 'plain', ...range(0x4000n, 0x8000n) });
    guest.check.declare({ kind: 'pages', type: 'Reserved', ...range(0x8000n, 0xa000n) });
    guest.check.declare({ kind: 'pages', type: 'CMA', ...range(0xa000n, 0xc000n) });
    only('6.1');
    expect(line(guest.judge(BASE + 8n, 0x4000n))).toBe('bad: page alloc (offset 8, size 16384)');
    expect(line(guest.judge(BASE + 0x4000n, 0x8000n))).toBe('good: nothing objects');
    const spans = (profile: string) => {
      only(profile);
      return [
        [8n, 0x3ff8n],
        [0x3ff8n, 16n],
        [0x4000n, 0x1000n],
        [0x4ff8n, 16n],
        [0x8ff8n, 16n],
        [0x9ff8n, 16n],
        [0xaff8n, 16n],
        [0xb000n, 0x1001n],
      ].map(([at, size]) => line(guest.judge(BASE + at!, size!)).replace(/ \(.*/, ''));
    };
    const multiple = 'bad: spans multiple pages';
    expect(spans('4.8,pagespan')).toEqual([
      'good: page alloc',
      multiple,
      'good: one page',
      multiple,
      'good: Reserved or CMA pages',
      // Byte 0xff8 of the page, 16 bytes: the walk from the unaligned pointer goes past the end at once.
      'good: Reserved or CMA pages',
      'good: Reserved or CMA pages',
      'bad: spans CMA and non-CMA pages',
    ]);
    expect(spans('v3-cma')).toEqual([
      'good: page alloc',
      multiple,
      'good: one page',
      multiple,
      'good: Reserved or CMA pages',
      'good: Reserved or CMA pages',
      'good: Reserved or CMA pages',
      multiple,
    ]);
    // The first mail had no word for CMA.
    expect(spans('v3')).toEqual([
      'good: page alloc',
      multiple,
      'good: one page',
      multiple,
      'good: Reserved or CMA pages',
      'good: Reserved or CMA pages',
      multiple,
      multiple,
    ]);
  });

  it('tells a vmalloc area from the space between areas', () => {
    guest.check.declare({ kind: 'vmalloc space', ...range(0n, 0x1_0000n) });
    guest.check.declare({ kind: 'vmalloc area', ...range(0x1000n, 0x3000n) });
    for (const profile of ['5.19-rc', '6.1']) {
      only(profile);
      expect(line(guest.judge(BASE + 0x1000n, 0x2000n))).toBe('good: vmalloc');
      expect(line(guest.judge(BASE + 0x1001n, 0x2000n))).toBe('bad: vmalloc (offset 1, size 8192)');
      expect(line(guest.judge(BASE + 0x3000n, 1n))).toBe('bad: vmalloc, no area (offset 0, size 1)');
      expect(line(guest.judge(BASE + 0x1_0000n, 1n))).toBe('good: nothing objects');
    }
    only('5.18');
    expect(line(guest.judge(BASE + 0x3000n, 1n))).toBe('good: nothing objects');
  });

  it('keeps a copy inside a declared kmap page', () => {
    guest.check.declare({ kind: 'kmap', ...range(0n, 0x2000n) });
    only('6.1');
    expect(line(guest.judge(BASE + 0xfffn, 1n))).toBe('good: kmap');
    expect(line(guest.judge(BASE + 0xfffn, 2n))).toBe('bad: kmap (offset 4095, size 2)');
    only('5.0,pagespan');
    expect(line(guest.judge(BASE + 0xfffn, 2n))).toBe('bad: spans multiple pages (offset 0, size 2)');
  });

  it('takes the stack that the stack pointer is in', () => {
    guest.check.declare({ kind: 'stack', ...range(0n, 0x2000n) });
    guest.check.declare({ kind: 'stack', ...range(0x8000n, 0xa000n) });
    only('6.1');
    const at = (stackPointer: bigint) => ({ ...guest.at, stackPointer: BASE + stackPointer });
    const copy = (pointer: bigint, sp: bigint) => line(guest.judge(BASE + pointer, 16n, 'to_user', at(sp)));
    expect(copy(0x1ff0n, 0x1000n)).toBe('good: stack');
    expect(copy(0x0ff0n, 0x1000n)).toBe('bad: process stack (offset 16, size 16)');
    // The other stack is not the current one: the kernel does not look at it.
    expect(copy(0x9ff8n, 0x1000n)).toBe('good: nothing objects');
    expect(copy(0x9ff8n, 0x9000n)).toContain('bad: process stack');
    // A stack pointer in no stack: the stack that the copy touches.
    expect(copy(0x9ff8n, 0x5000n)).toContain('bad: process stack');
  });

  it('wins over the guest kernel’s own structures', () => {
    guest.slab(4, 0, guest.cache({ name: 'own', size: 64, objectSize: 64, useroffset: 0, usersize: 0 }));
    const start = guest.LINEAR + 4n * guest.pageSize;
    guest.configure('6.1');
    expect(line(guest.judge(start, 100n))).toContain('bad: slab object');
    guest.check.declare({ ...slab(), start, end: start + 0x1000n } as Declaration);
    expect(line(guest.judge(start, 100n))).toBe('good: slab object');
    guest.check.undeclare(start);
    expect(line(guest.judge(start, 100n))).toContain('bad: slab object');
  });

  it('finds each of many declarations, in whatever order they came', () => {
    const numbers = Array.from({ length: 1000 }, (_, i) => (i * 617) % 1000);
    for (const i of numbers) {
      const start = BASE + BigInt(i) * 0x1000n;
      guest.check.declare({
        ...slab({ objectSize: BigInt(i % 100) + 1n }),
        start,
        end: start + 0x1000n,
      } as Declaration);
    }
    only('6.1');
    for (const i of [0, 1, 499, 998, 999]) {
      const start = BASE + BigInt(i) * 0x1000n;
      const size = BigInt(i % 100) + 1n;
      expect(line(guest.judge(start, size))).toBe('good: slab object');
      expect(line(guest.judge(start, size + 1n))).toContain('bad: slab object');
    }
    guest.check.undeclare(BASE + 499n * 0x1000n);
    expect(line(guest.judge(BASE + 499n * 0x1000n, 1000n))).toBe('good: nothing objects');
    expect(line(guest.judge(BASE + 500n * 0x1000n, 1000n))).toContain('bad: slab object');
    guest.check.clearDeclarations();
    expect(line(guest.judge(BASE, 1000n))).toBe('good: nothing objects');
  });

  it('finds what is declared before the first, behind the last and between, and nothing of what is taken back', () => {
    const area = (at: bigint) => ({ kind: 'vmalloc area', ...range(at, at + 0x1000n) }) as const;
    const [before, middle, behind] = [area(0n), area(0x8000n), area(0x4_0000n)];
    only('6.1');
    const bad = () => [before, middle, behind].map(({ end }) => guest.judge(end - 8n, 16n).outcome === 'bad');
    guest.check.declare(middle);
    expect(bad()).toEqual([false, true, false]);
    guest.check.declare(behind);
    guest.check.declare(before);
    expect(bad()).toEqual([true, true, true]);
    guest.check.undeclare(before.start);
    expect(bad()).toEqual([false, true, true]);
    guest.check.declare({ kind: 'vmalloc space', ...range(0n, 0x9000n) });
    expect(line(guest.judge(before.start, 8n))).toBe('bad: vmalloc, no area (offset 0, size 8)');
    guest.check.undeclare(behind.start);
    guest.check.undeclare(before.start);
    expect(bad()).toEqual([false, true, false]);
    guest.check.clearDeclarations();
    expect(bad()).toEqual([false, false, false]);
  });

  it.each<[string, Declaration, RegExp]>([
    ['an empty range', { kind: 'stack', start: 5n, end: 5n }, /start < end/],
    ['a range beyond 2^64', { kind: 'stack', start: 5n, end: 1n << 64n }, /start < end < 2\^64/],
    [
      'an unknown kind',
      { kind: 'heap', start: 1n, end: 2n } as unknown as Declaration,
      /kind: expected one of 'stack'/,
    ],
    ['a stride of 0', slab({ objectStride: 0n, objectSize: 0n }), /objectStride above 0/],
    ['an object larger than its stride', slab({ objectSize: 129n }), /within objectStride 128/],
    ['a whitelist past the object', slab({ useroffset: 90n, usersize: 11n }), /whitelist inside/],
    ['a negative size', slab({ objectSize: -1n }), /0 to 2\^32 - 1/],
  ])('refuses %s', (_, declaration, words) => {
    expect(() => guest.check.declare(declaration)).toThrow(UsercopyError);
    expect(() => guest.check.declare(declaration)).toThrow(words);
  });

  it('refuses what overlaps another declaration of its table, and takes back only what there is', () => {
    guest.check.declare(slab());
    expect(() => guest.check.declare({ kind: 'pages', type: 'plain', ...range(0xfffn, 0x2000n) })).toThrow(/slab/);
    expect(() => guest.check.undeclare(BASE + 1n)).toThrow(/first address of a declaration/);
  });
});
