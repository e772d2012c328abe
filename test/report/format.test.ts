import { describe, expect, it } from 'vitest';
import type { CheckedObject, Copy, Verdict } from '../../src/check/verdict.js';
import { explainVerdict } from '../../src/report/explain.js';
import { formatMessage } from '../../src/report/format.js';

const object = (cache: string | null): CheckedObject => ({
  start: 0x1000n,
  end: 0x1400n,
  windowStart: 0x1000n,
  windowEnd: 0x1400n,
  cache,
});
const bad = (
  by: Extract<Verdict, { outcome: 'bad' }>['by'],
  offset: bigint,
  size: bigint,
  cache: string | null = null,
): Verdict => ({
  outcome: 'bad',
  by,
  offset,
  size,
  object: cache === null ? null : object(cache),
});
const copy = (pointer: bigint, size: bigint, direction: Copy['direction']): Copy => ({ pointer, size, direction });
const NEW = { format: 'new', bits: 64, allocator: 'SLUB' } as const;
const OLD = { format: 'old', bits: 64, allocator: 'SLUB' } as const;

/** Lines as real kernels printed them, from public reports. */
describe("the kernel's line", () => {
  it('names a SLUB object and its cache', () => {
    expect(formatMessage(bad('slab object', 16n, 1024n, 'kmalloc-1k'), copy(0x1010n, 1024n, 'to_user'), NEW)).toBe(
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-1k' (offset 16, size 1024)!",
    );
  });

  it('names a SLAB object where that is the allocator', () => {
    const style = { ...NEW, allocator: 'SLAB' } as const;
    expect(formatMessage(bad('slab object', 16n, 32n, 'inode_cache'), copy(0x1010n, 32n, 'from_user'), style)).toBe(
      "usercopy: Kernel memory overwrite attempt detected to SLAB object 'inode_cache' (offset 16, size 32)!",
    );
  });

  it('gives the cache to a red zone and none to a pointer before its slab', () => {
    expect(
      formatMessage(bad('slab object in left red zone', 4n, 8n, 'skbuff'), copy(0x1004n, 8n, 'to_user'), NEW),
    ).toBe(
      "usercopy: Kernel memory exposure attempt detected from SLUB object in left red zone 'skbuff' (offset 4, size 8)!",
    );
    expect(formatMessage(bad('slab object not in slab page', 0n, 8n), copy(0x1000n, 8n, 'to_user'), NEW)).toBe(
      'usercopy: Kernel memory exposure attempt detected from SLUB object not in SLUB page?! (offset 0, size 8)!',
    );
  });

  it('quotes "no area" as the detail of vmalloc', () => {
    expect(formatMessage(bad('vmalloc, no area', 0n, 8n), copy(0xffffc90000000000n, 8n, 'from_user'), NEW)).toBe(
      "usercopy: Kernel memory overwrite attempt detected to vmalloc 'no area' (offset 0, size 8)!",
    );
  });

  it('prints a negative offset as the huge number that it is', () => {
    const verdict = bad('process stack', 18446744073709550368n, 32n);
    expect(formatMessage(verdict, copy(0xff2d6d76c0013ff8n, 32n, 'to_user'), NEW)).toBe(
      'usercopy: Kernel memory exposure attempt detected from process stack (offset 18446744073709550368, size 32)!',
    );
  });

  it('of the old format has the address, the type in brackets and the bytes', () => {
    const verdict = bad('slab object', 0n, 128n, 'kmalloc-8');
    expect(formatMessage(verdict, copy(0xffff951a092de8e8n, 128n, 'to_user'), OLD)).toBe(
      'usercopy: kernel memory exposure attempt detected from ffff951a092de8e8 (kmalloc-8) (128 bytes)',
    );
  });

  it('of trees that took only the first commit of 4.16 quotes what was met, and has no address', () => {
    const style = { ...OLD, noAddress: true };
    expect(formatMessage(bad('slab object', 0n, 128n, 'kmalloc-8'), copy(0x1000n, 128n, 'to_user'), style)).toBe(
      "usercopy: kernel memory exposure attempt detected from 'kmalloc-8' (128 bytes)",
    );
    expect(formatMessage(bad('process stack', 0n, 4n), copy(0x1000n, 4n, 'from_user'), style)).toBe(
      "usercopy: kernel memory overwrite attempt detected to '<process stack>' (4 bytes)",
    );
  });

  it('of the old format pads 32-bit addresses to eight digits', () => {
    expect(formatMessage(bad('process stack', 0n, 4n), copy(0xc01n, 4n, 'from_user'), { ...OLD, bits: 32 })).toBe(
      'usercopy: kernel memory overwrite attempt detected to 00000c01 (<process stack>) (4 bytes)',
    );
  });

  it('is not there for a good copy, an unreadable one, and for the BUG_ON of SLAB', () => {
    const some = copy(0x1000n, 8n, 'to_user');
    expect(formatMessage({ outcome: 'good', by: 'stack', object: null }, some, NEW)).toBeNull();
    expect(formatMessage({ outcome: 'unreadable', address: 0x10n }, some, NEW)).toBeNull();
    expect(formatMessage(bad('slab object index out of range', 0n, 8n), some, NEW)).toBeNull();
  });
});

describe('the explanation for a person', () => {
  it('counts the bytes past the end', () => {
    const lines = explainVerdict(bad('slab object', 16n, 1024n, 'kmalloc-1k'), copy(0x1010n, 1024n, 'to_user'));
    expect(lines).toContain('object of cache kmalloc-1k: [0x1000, 0x1400), 1024 bytes');
    expect(lines).toContain('the copy ends 16 bytes past it');
  });

  it('tells an object from its window', () => {
    const verdict: Verdict = {
      outcome: 'bad',
      by: 'slab object',
      offset: 0n,
      size: 8n,
      object: { ...object('task_struct'), windowStart: 0x1100n, windowEnd: 0x1140n },
    };
    const text = explainVerdict(verdict, copy(0x1000n, 8n, 'from_user')).join('\n');
    expect(text).toContain('user copies may touch: [0x1100, 0x1140)');
    expect(text).toContain('begins 256 bytes before it');
  });

  it('says that a closed cache lets nothing through', () => {
    const verdict: Verdict = {
      outcome: 'bad',
      by: 'slab object',
      offset: 0n,
      size: 8n,
      object: { ...object('cred_jar'), windowEnd: 0x1000n },
    };
    expect(explainVerdict(verdict, copy(0x1000n, 8n, 'from_user'))).toContain('user copies may touch: nothing');
  });
});
