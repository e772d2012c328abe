/** The wrapper: requests of hooks, regions, memory that is brought in, counters. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Check } from '../../src/check/check.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { UsercopyError } from '../../src/errors.js';
import { Guest, line } from './guest.js';

describe('requests of hooks', () => {
  let guest: Guest;
  beforeEach(async () => {
    guest = await Guest.create({ bits: 64, endian: 'little', pageShift: 12 });
    guest.slab(4, 0, guest.cache({ name: 'c', size: 64, objectSize: 64, useroffset: 0, usersize: 64 }));
    guest.configure('6.1');
  });

  /** Writes the u64 fields as an engine does: little-endian, in the order of `requestFields`. */
  function fill(check: Check, request: number, values: Partial<Record<(typeof Check.requestFields)[number], bigint>>) {
    const view = new DataView(check.memory.buffer);
    check.requestFields.forEach((field, index) => {
      view.setBigUint64(request + 8 * index, values[field] ?? 0n, true);
    });
  }

  it('answers 0 for a plain pass and a number for anything else', () => {
    const { check } = guest;
    const request = check.createRequest({ direction: 'from_user' });
    const object = guest.LINEAR + 0x4000n;
    fill(check, request, { pointer: object, size: 64n, ...guest.at });
    expect(check.judgeExport(check.contextOffset, request)).toBe(0);
    fill(check, request, { pointer: object, size: 65n, ...guest.at });
    expect(check.judgeExport(check.contextOffset, request)).not.toBe(0);
    expect(line(check.verdictOf(request))).toBe('bad: slab object (offset 0, size 65)');
    expect(check.copyOf(request)).toEqual({ pointer: object, size: 65n, direction: 'from_user' });
  });

  it('forgets the object of the copy before', () => {
    const { check } = guest;
    const request = check.createRequest({ direction: 'to_user' });
    fill(check, request, { pointer: guest.LINEAR + 0x4000n, size: 65n, ...guest.at });
    check.judgeExport(check.contextOffset, request);
    fill(check, request, { pointer: 0n, size: 65n, ...guest.at });
    check.judgeExport(check.contextOffset, request);
    const verdict = check.verdictOf(request);
    expect(verdict.outcome === 'bad' && verdict.object).toBe(null);
  });

  it('reads the direction from the low byte of a register', () => {
    const { check } = guest;
    const request = check.createRequest({ direction: 'register' });
    for (const [direction, expected] of [
      [0xffff_ff00n, 'from_user'],
      [0x1_0000_0001n, 'to_user'],
    ] as const) {
      fill(check, request, { pointer: 0n, size: 1n, direction, ...guest.at });
      check.judgeExport(check.contextOffset, request);
      expect(check.copyOf(request).direction).toBe(expected);
    }
  });

  it('takes the kernel’s side of a copy by address, and leaves user to user alone', () => {
    const { check } = guest;
    const request = check.createRequest({ direction: 'by address' });
    const object = guest.LINEAR + 0x4000n;
    const judge = (pointer: bigint, other: bigint): string => {
      fill(check, request, { pointer, other, size: 65n, ...guest.at });
      return check.judgeExport(check.contextOffset, request) ? JSON.stringify(check.copyOf(request).direction) : 'good';
    };
    expect(judge(object, 0x1000n)).toBe('"from_user"');
    expect(judge(0x1000n, object)).toBe('"to_user"');
    expect(check.copyOf(request).pointer).toBe(object);
    expect(judge(0x1000n, 0x2000n)).toBe('good');
  });

  it('counts only the low half of a 32-bit size', () => {
    const { check } = guest;
    const request = check.createRequest({ direction: 'to_user', sizeBits: 32 });
    fill(check, request, { pointer: guest.LINEAR + 0x4000n, size: 0xdead_0000_0040n, ...guest.at });
    expect(check.judgeExport(check.contextOffset, request)).toBe(0);
    fill(check, request, { pointer: guest.LINEAR + 0x4000n, size: 0xdead_0000_0041n, ...guest.at });
    expect(check.judgeExport(check.contextOffset, request)).not.toBe(0);
    expect(check.copyOf(request).size).toBe(65n);
  });

  it('judges a batch in place', () => {
    const { check } = guest;
    const first = check.createRequests({ direction: 'to_user' }, 10);
    for (let i = 0; i < 10; i++) {
      fill(check, first + i * check.requestBytes, {
        pointer: guest.LINEAR + 0x4000n,
        size: BigInt(60 + i),
        ...guest.at,
      });
    }
    // Sizes 60 to 69 in an object of 64: five too long.
    expect(check.judgeBatchExport(check.contextOffset, first, 10)).toBe(5);
    expect(line(check.verdictOf(first + 5 * check.requestBytes))).toBe('bad: slab object (offset 0, size 65)');
    expect(check.verdictOf(first + 4 * check.requestBytes)).toEqual({
      outcome: 'good',
      by: 'slab object',
      object: null,
    });
  });

  it('counts every verdict by reason and direction', () => {
    const { check } = guest;
    check.resetStatistics();
    guest.judge(0n, 1n, 'to_user');
    guest.judge(0n, 1n, 'from_user');
    guest.judge(0n, 0n, 'from_user');
    guest.judge(guest.LINEAR + 0x4000n, 64n, 'from_user');
    expect(check.statistics()).toEqual({
      checks: 4,
      good: 2,
      bad: 2,
      unreadable: 0,
      reasons: [
        { outcome: 'good', by: 'empty copy', direction: 'from_user', count: 1 },
        { outcome: 'good', by: 'slab object', direction: 'from_user', count: 1 },
        { outcome: 'bad', by: 'null address', direction: 'to_user', count: 1 },
        { outcome: 'bad', by: 'null address', direction: 'from_user', count: 1 },
      ],
    });
    check.resetStatistics();
    expect(check.statistics().checks).toBe(0);
  });

  it('has no more slots than were asked for', async () => {
    const check = await Check.create({ source: builtCheck, guestBytes: 0, requestCapacity: 2 });
    check.createRequests({ direction: 'to_user' }, 2);
    expect(() => check.createRequest({ direction: 'to_user' })).toThrow(/at most 0 more/);
  });

  it('has the slots again that were released, as wide as they were', async () => {
    const check = await Check.create({ source: builtCheck, guestBytes: 0, requestCapacity: 6 });
    const preset = { direction: 'to_user' } as const;
    const [one, two, three] = [1, 2, 3].map((count) => check.createRequests(preset, count)) as [number, number, number];
    check.releaseRequests(one);
    check.releaseRequests(three);
    check.releaseRequests(three);
    expect(() => check.createRequests(preset, 4)).toThrow(/at most 3 more/);
    check.releaseRequests(two);
    expect(check.createRequests(preset, 6)).toBe(one);
    check.releaseRequests(check.requestOffset);
    expect(() => check.createRequest(preset)).toThrow(/at most 0 more/);
  });

  it('is an error after close() for all but its statistics and taking things back', async () => {
    const closed = await Guest.create({ bits: 64, endian: 'little', pageShift: 12 });
    closed.configure('6.1');
    const { check } = closed;
    const request = check.createRequest({ direction: 'to_user' });
    closed.judge(0n, 1n, 'to_user');
    check.close();
    check.close();
    expect(check.statistics()).toMatchObject({ checks: 1, bad: 1 });
    check.releaseRequests(request);
    check.undeclare(0n);
    check.foreignReader = null;
    for (const use of [
      () => check.memory,
      () => check.judgeExport,
      () => check.judge({ pointer: 0n, size: 1n, direction: 'to_user' }, closed.at),
      () => check.createRequest({ direction: 'to_user' }),
      () => check.read(0n, 1),
      () => check.mapRegion(0n, 1n, 0),
      () => check.image(),
      () => check.resetStatistics(),
    ]) {
      expect(use).toThrow(/check: expected one that is open, found one that was closed/);
    }
    await expect(check.executorFor('v8')).rejects.toThrow(/closed/);
  });
});

describe('memory that is not there yet', () => {
  const STRUCT = 0xffff_9990_0000_0000n;

  async function guestWithout(address: bigint): Promise<Guest> {
    const guest = await Guest.create({ bits: 64, endian: 'little', pageShift: 12 });
    guest.slab(4, 0, guest.cache({ name: 'late', size: 64, objectSize: 64, useroffset: 0, usersize: 64 }));
    guest.configure('6.1');
    const region = guest.check.regions.find((r) => r.address === address)!;
    guest.check.unmapRegion(address);
    guest.check.missing = () => {
      guest.check.mapRegion(region.address, region.size, region.offset);
      return true;
    };
    return guest;
  }

  it('is brought in and the copy judged again, counted once', async () => {
    const guest = await guestWithout(STRUCT);
    guest.check.resetStatistics();
    expect(line(guest.judge(guest.LINEAR + 0x4000n, 65n))).toBe('bad: slab object (offset 0, size 65)');
    expect(guest.check.statistics()).toMatchObject({ checks: 1, bad: 1, unreadable: 0 });
  });

  it('is named where nobody can bring it', async () => {
    const guest = await guestWithout(STRUCT);
    guest.check.missing = null;
    // current's stack pointer is the first thing that is read.
    expect(guest.judge(guest.LINEAR + 0x4000n, 65n)).toEqual({ outcome: 'unreadable', address: STRUCT + 0x20n });
    guest.check.missing = () => false;
    expect(guest.judge(guest.LINEAR + 0x4000n, 65n).outcome).toBe('unreadable');
  });

  it('is not asked for again and again when bringing it changes nothing', async () => {
    const guest = await guestWithout(STRUCT);
    let asked = 0;
    guest.check.missing = () => {
      asked++;
      return true;
    };
    expect(guest.judge(guest.LINEAR + 0x4000n, 65n).outcome).toBe('unreadable');
    expect(asked).toBe(1);
  });

  it('is read through the foreign reader where no region covers it', async () => {
    const guest = await guestWithout(STRUCT);
    const bytes = new Uint8Array(0x2_0000);
    guest.check.missing!(STRUCT);
    bytes.set(guest.check.read(STRUCT, bytes.length)!);
    guest.check.unmapRegion(STRUCT);
    guest.check.missing = null;
    guest.check.foreignReader = (address, length) => {
      const offset = Number(address - STRUCT);
      return offset >= 0 && offset + length <= bytes.length ? bytes.subarray(offset, offset + length) : undefined;
    };
    const verdict = guest.judge(guest.LINEAR + 0x4000n, 65n);
    expect(line(verdict)).toBe('bad: slab object (offset 0, size 65)');
    expect(verdict.outcome === 'bad' && verdict.object?.cache).toBe('late');
    guest.check.foreignReader = null;
    expect(guest.judge(guest.LINEAR + 0x4000n, 65n).outcome).toBe('unreadable');
  });

  it('is read across two regions that meet inside a field', async () => {
    const guest = await Guest.create({ bits: 64, endian: 'big', pageShift: 12 });
    const region = guest.check.regions.find((r) => r.address === STRUCT)!;
    guest.word(STRUCT + 0x20n, guest.STACK);
    guest.check.unmapRegion(STRUCT);
    // Split in the middle of task_struct's stack pointer.
    guest.check.mapRegion(STRUCT, 0x23n, region.offset);
    guest.configure('6.1');
    const copy = () => guest.judge(guest.STACK + 0x3ff0n, 17n);
    expect(copy()).toEqual({ outcome: 'unreadable', address: STRUCT + 0x23n });
    guest.check.mapRegion(STRUCT + 0x23n, region.size - 0x23n, region.offset + 0x23);
    expect(line(copy())).toContain('bad: process stack');
  });
});

describe('regions', () => {
  it('may show the same bytes at two addresses, but not two at one', async () => {
    const check = await Check.create({ source: builtCheck, guestBytes: 0x10000, regionCapacity: 2 });
    check.mapRegion(0x1000n, 0x1000n, check.guestOffset);
    expect(() => check.mapRegion(0x1fffn, 1n, check.guestOffset)).toThrow(UsercopyError);
    expect(() => check.mapRegion(0x0n, 0x1001n, check.guestOffset)).toThrow(/not mapped yet/);
    check.mapRegion(0x2000n, 0x1000n, check.guestOffset);
    new Uint8Array(check.memory.buffer)[check.guestOffset + 5] = 7;
    expect([check.read(0x1005n, 1)![0], check.read(0x2005n, 1)![0]]).toEqual([7, 7]);
    expect(() => check.mapRegion(0x9000n, 1n, check.guestOffset)).toThrow(/at most 2/);
    expect(() => check.unmapRegion(0x1001n)).toThrow(/first address/);
  });

  it('must lie in guest memory, and below 2^64', async () => {
    const check = await Check.create({ source: builtCheck, guestBytes: 0x10000 });
    expect(() => check.mapRegion(0n, 0x10001n, check.guestOffset)).toThrow(/inside guest memory/);
    expect(() => check.mapRegion(0n, 1n, check.contextOffset)).toThrow(/inside guest memory/);
    expect(() => check.mapRegion(-1n, 1n, check.guestOffset)).toThrow(/below 2\^64/);
    expect(() => check.mapRegion((1n << 64n) - 1n, 2n, check.guestOffset)).toThrow(/below 2\^64/);
  });
});

describe('parameters', () => {
  it('must be given before a copy is judged, and make sense', async () => {
    const guest = await Guest.create({ bits: 64, endian: 'little', pageShift: 12 });
    expect(() => guest.judge(0n, 1n)).toThrow(/configure\(\) before/);
    const parameters = guest.parameters('6.1');
    const configure = (change: object) => () => guest.check.configure({ ...parameters, ...change });
    expect(configure({ pageShift: 40 })).toThrow(/12 to 16/);
    expect(configure({ bits: 16 })).toThrow(/32 or 64/);
    expect(configure({ text: { start: 5n, end: 4n } })).toThrow(/end at or above the start/);
    const introspection = guest.introspection;
    expect(configure({ introspection: { ...introspection, linearMaps: [] } })).toThrow(/linear map/);
    const slab = { ...introspection.slab, size: { offset: 1 << 24, size: 4 } };
    expect(configure({ introspection: { ...introspection, slab } })).toThrow(/offset/);
    const stack = { ...parameters.stack, threadSize: 100n, current: { kind: 'masked stack pointer' } };
    expect(configure({ stack })).toThrow(/power of two/);
  });
});
