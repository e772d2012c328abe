/**
 * The judges are allocators: of the built-in guests, and of Debian's kernels, whose own kfree() and kmem_cache_alloc() change
 * the lists; the test keeps its own record of what it asked them to do.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import type { AttachOptions } from '../../src/attach/options.js';
import type { Finding } from '../../src/attach/sanitizers.js';
import type { Guest } from '../../src/guest/guest.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

const SLAB_RED_ZONE = 0x400n;
const RED_ZONES: AttachOptions = { sanitize: ['redzone'], onFinding: 'record' };
const FREED: AttachOptions = { sanitize: ['freed'], onFinding: 'record' };

const opened: Guest[] = [];
afterEach(() => {
  for (const guest of opened.splice(0)) guest.close();
});

async function start(variant: string, build: 'check' | 'nocheck' = 'nocheck'): Promise<Guest> {
  const guest = await startOwnGuest(await loadOwnKernel(variant, build));
  opened.push(guest);
  return guest;
}

/** A repeatable sequence of numbers below `most`. */
function* numbers(most: number): Generator<number, never> {
  for (let state = 12345; ; ) {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    yield Math.floor((state / 2 ** 31) * most);
  }
}

describe.each(['x86_64', 'arm', 's390x', 'sparc', 'ppc64le'])("the built-in %s guest's own allocator", (variant) => {
  it('agrees about every object that it gave out and took back', async () => {
    const guest = await start(variant);
    const attachment = await attach(guest.engine, guest.kernel, { ...FREED, profile: '6.1', memory: guest.check });
    const isFree = new Map<bigint, boolean>();
    const random = numbers(3);
    let expected = 0;
    for (let round = 0; round < 120; round++) {
      const inUse = [...isFree].filter(([, free]) => !free).map(([object]) => object);
      if (random.next().value > 0 || inUse.length === 0) isFree.set(await guest.callForValue('kmalloc', [96n]), false);
      else {
        const object = inUse[round % inUse.length]!;
        await guest.call('kfree', [object]);
        isFree.set(object, true);
      }
      const [object, free] = [...isFree][round % isFree.size]!;
      const before = attachment.findings.length;
      expect((await guest.call('do_copy', [guest.user.address, object + 8n, 16n, BigInt(round % 2)])).kind).toBe(
        'returned',
      );
      const found = attachment.findings.slice(before);
      expect(found.map(({ object: { start }, sanitizer }) => [start, sanitizer])).toEqual(
        free ? [[object, 'freed']] : [],
      );
      if (free) expected++;
    }
    expect(expected).toBeGreaterThan(10);
    expect(attachment.violations).toEqual([]);
    const statistics = attachment.sanitizerStatistics();
    expect(statistics).toEqual({
      looks: 120,
      elsewhere: 0,
      allocated: 120 - expected,
      freed: expected,
      redzone: 0,
      unknown: 0,
      unknownBy: {},
    });
    attachment.detach();
  });
});

describe('a copy that a sanitizer does not like', () => {
  async function freed(options: AttachOptions, build: 'check' | 'nocheck' = 'nocheck') {
    const guest = await start('x86_64', build);
    const object = await guest.callForValue('kmalloc', [64n]);
    await guest.call('kfree', [object]);
    guest.memory.write(object, new Uint8Array(16).fill(0x5a));
    const attachment = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check, ...options });
    const outcome = await guest.call('do_copy', [guest.user.address, object + 8n, 8n, 1n]);
    return { guest, object, attachment, outcome };
  }

  it('stops the guest before it has moved a byte, and is no violation', async () => {
    const { guest, object, attachment, outcome } = await freed({ sanitize: ['freed'] });
    expect(outcome.kind).toBe('stopped');
    expect(guest.memory.read(guest.user.address, 8)).toEqual(new Uint8Array(8));
    const [finding] = attachment.findings;
    expect(finding).toMatchObject({
      sanitizer: 'freed',
      copy: { pointer: object + 8n, size: 8n, direction: 'to_user' },
      object: { start: object, end: object + 64n, cache: 'kmalloc-64' },
      redZone: null,
    });
    expect(finding?.line).toMatch(
      /^sanitizer freed: copy to user of \[0x\w+, 0x\w+\) touches a free object: .* of kmalloc-64/,
    );
    expect(finding?.caller.symbol).toBe('do_copy');
    expect(finding?.backtrace[0]?.symbol).toBe('do_copy');
    expect(attachment.statistics()).toMatchObject({ good: 1, bad: 0 });
    expect(attachment.violations).toEqual([]);
    attachment.detach();
  });

  it.each(['kernel', 'all'] as const)(
    "is asked about where the kernel judges it itself, judge '%s', once",
    async (judge) => {
      const seen: Finding[] = [];
      const onFinding = (finding: Finding) => {
        seen.push(finding);
        return 'continue' as const;
      };
      const { outcome, attachment } = await freed({ sanitize: ['freed', 'redzone'], onFinding, judge }, 'check');
      expect(outcome.kind).toBe('returned');
      expect(seen).toHaveLength(1);
      expect(attachment.findings).toEqual(seen);
      attachment.detach();
    },
  );

  it('is left to the check where that refuses it', async () => {
    const { guest, object, attachment } = await freed({ ...FREED, onViolation: 'record' });
    await guest.call('do_copy', [guest.user.address, object, 65n, 1n]);
    expect([attachment.violations.length, attachment.findings.length]).toEqual([1, 1]);
    expect(attachment.sanitizerStatistics()?.looks).toBe(1);
    attachment.detach();
  });

  it('is not looked for unless somebody asks', async () => {
    const { outcome, attachment } = await freed({});
    expect(outcome.kind).toBe('returned');
    expect([attachment.findings, attachment.sanitizerStatistics()]).toEqual([[], null]);
    attachment.detach();
  });

  it('goes over a red zone where the check is switched off', async () => {
    const guest = await start('x86_64', 'check');
    guest.memory.writeUnsigned(guest.symbol('bypass_usercopy_checks'), 4, 1n);
    const name = guest.user.address;
    guest.memory.write(name, Buffer.from('guarded\0'));
    const cache = await guest.callForValue('kmem_cache_create_usercopy', [name, 40n, 8n, SLAB_RED_ZONE, 0n, 40n]);
    const [object, other] = [
      await guest.callForValue('kmem_cache_alloc', [cache]),
      await guest.callForValue('kmem_cache_alloc', [cache]),
    ];
    const attachment = await attach(guest.engine, guest.kernel, { ...RED_ZONES, judge: 'kernel', memory: guest.check });
    const zoneOf = async (pointer: bigint, size: bigint) => {
      const before = attachment.findings.length;
      await guest.call('do_copy', [guest.user.address, pointer, size, 1n]);
      return attachment.findings
        .slice(before)
        .map(({ redZone, object: { start, cache: named } }) => [redZone, start, named]);
    };
    // calculate_sizes() of guests/slab.c: a word before each object; a word behind it, since 40 bytes leave no padding.
    expect(await zoneOf(object, 40n)).toEqual([]);
    expect(await zoneOf(object, 41n)).toEqual([[{ start: object + 40n, end: object + 48n }, object, 'guarded']]);
    expect(await zoneOf(object - 1n, 2n)).toEqual([[{ start: object - 8n, end: object }, object, 'guarded']]);
    // Over the whole of the next one: what begins first is told.
    expect(await zoneOf(object, other - object + 8n)).toEqual([
      [{ start: object + 40n, end: object + 48n }, object, 'guarded'],
    ]);
    expect(attachment.statistics()).toMatchObject({ checks: 4, good: 4 });
    expect(attachment.sanitizerStatistics()).toMatchObject({ looks: 4, allocated: 1, redzone: 3 });
    attachment.detach();
  });

  it('may be one that cannot be known, which notes and counts say', async () => {
    const guest = await start('x86_64');
    const { types } = guest.kernel;
    const object = await guest.callForValue('kmalloc', [64n]);
    await guest.call('kfree', [object]);
    // Types as the tables of kernels without BTF have them.
    const struct = (name: string) => {
      const whole = types!.struct(name);
      const has = (path: string): boolean => path !== 'offset' && whole.has(path);
      const field = (path: string) => (path === 'offset' ? null : whole.field(path));
      return name === 'kmem_cache'
        ? { name: whole.name, size: whole.size, offset: (path: string) => whole.offset(path), has, field }
        : whole;
    };
    const kernel = {
      ...guest.kernel,
      types: {
        ...types!,
        struct,
        hasStruct: (name: string) => types!.hasStruct(name),
        enumerator: (name: string) => types!.enumerator(name),
      },
    };
    const attachment = await attach(guest.engine, kernel as typeof guest.kernel, {
      ...FREED,
      profile: '6.1',
      memory: guest.check,
    });
    await guest.call('do_copy', [guest.user.address, object, 8n, 1n]);
    expect(attachment.notes.join()).toMatch(/sanitizers: the kernel's types do not tell where free pointers lie/);
    expect(attachment.sanitizerStatistics()).toMatchObject({
      ...{ looks: 1, freed: 0, unknown: 1 },
      unknownBy: { 'no free pointers': 1 },
    });
    attachment.detach();
  });

  it('is none outside of slabs, and of no bytes', async () => {
    const { guest, attachment, object } = await freed(FREED);
    await guest.call('do_copy', [guest.user.address, guest.symbol('kmalloc_caches'), 8n, 1n]);
    await guest.call('do_copy', [guest.user.address, object, 0n, 1n]);
    expect(attachment.sanitizerStatistics()).toMatchObject({ looks: 2, elsewhere: 1, freed: 1 });
    attachment.detach();
  });

  it.each([
    [{ sanitize: [] }, /sanitize: expected a list of freed, redzone/],
    [{ sanitize: ['freed', 'leaks'] }, /sanitize: expected a list of freed, redzone/],
    [{ sanitize: ['freed'], mode: 'audit' }, /sanitize: expected mode 'enforce'/],
    [{ onFinding: 'record' }, /onFinding: expected sanitize beside it/],
    [{ sanitize: ['freed'], onFinding: 'fail' }, /onFinding: expected/],
  ])('is no option: %j', async (options, message) => {
    const guest = await start('x86_64');
    await expect(attach(guest.engine, guest.kernel, options as AttachOptions)).rejects.toThrow(message);
  });
});
