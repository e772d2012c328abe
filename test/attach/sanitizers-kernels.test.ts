/** Debian's kernels free the objects themselves: their hardened and random free pointers, and their per-CPU lists, are the judge. */
import { afterEach, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import { Guest } from '../../src/guest/guest.js';
import { KernelObjects, type SlabObjects } from '../../src/guest/objects.js';
import type { StructType } from '../../src/kernel/kernel.js';
import { requireTypes } from '../../src/kernel/require-types.js';
import { debianKernel } from '../debian-kernel.js';

const KERNELS = [
  ['x86_64', 'bookworm'],
  ['x86_64', 'trixie'],
  ['arm64', 'trixie'],
] as const;
const SIZE = 64;
const SECRET = 0x0123_4567_89ab_cdefn;

const opened: Guest[] = [];
afterEach(() => {
  for (const guest of opened.splice(0)) guest.close();
});

const typeOf = (guest: Guest, name: string): StructType => requireTypes(guest.kernel, 'test').struct(name);

function setMember(guest: Guest, at: bigint, type: string, member: string, value: bigint): void {
  const field = typeOf(guest, type).field(member);
  if (!field) throw new Error(`${type}.${member}`);
  guest.memory.writeUnsigned(at + BigInt(field.offset), field.size, value);
}

/** What leads to the data that a guest's first CPU has at an address. */
function perCpuPointer(guest: Guest, address: bigint): bigint {
  const offsets = guest.kernel.symbols.address('__per_cpu_offset');
  return BigInt.asUintN(64, address - (offsets === undefined ? 0n : guest.memory.readWord(offsets)));
}

/** A slab of kmalloc-64 that the CPU of the guest owns, set up so far that the kernel's own allocator works on it. */
class OwnedSlab {
  readonly #guest: Guest;
  readonly #objects: KernelObjects;
  readonly slab: SlabObjects;
  readonly #cpu: bigint;

  constructor(guest: Guest) {
    this.#guest = guest;
    this.#objects = new KernelObjects(guest);
    const whole = { useroffset: 0, usersize: SIZE };
    this.slab = this.#objects.makeSlab({ name: 'kmalloc-64', objectSize: SIZE, size: SIZE, ...whole });
    const { cache } = this.slab;
    this.#cpu = guest.memory.allocate(BigInt(typeOf(guest, 'kmem_cache_cpu').size));
    setMember(guest, cache, 'kmem_cache', 'offset', BigInt(SIZE / 2));
    setMember(guest, cache, 'kmem_cache', 'random', SECRET);
    setMember(guest, cache, 'kmem_cache', 'cpu_slab', perCpuPointer(guest, this.#cpu));
    // Then freeing an object changes no list of the node.
    this.#setBit(this.#head, 'frozen');
  }

  get #head(): bigint {
    return this.#objects.structPage(this.slab.start);
  }

  /** From now on objects are freed to the CPU's own list, and allocated from it. */
  giveToCpu(): void {
    const member = typeOf(this.#guest, 'kmem_cache_cpu').has('slab') ? 'slab' : 'page';
    setMember(this.#guest, this.#cpu, 'kmem_cache_cpu', member, this.#head);
  }

  /** Of a little-endian guest. */
  #setBit(at: bigint, member: string): void {
    const field = typeOf(this.#guest, 'slab').field(member);
    if (!field?.bits) throw new Error(member);
    const where = at + BigInt(field.offset);
    const { memory } = this.#guest;
    memory.writeUnsigned(where, field.size, memory.readUnsigned(where, field.size) | (1n << BigInt(field.bits.offset)));
  }
}

describe.each(KERNELS)("objects that Debian's %s kernel of %s freed", (variant, release) => {
  it('are known as free, in the slab and in the lists of the CPU, and the others as in use', async (context) => {
    const kernel = await debianKernel(variant, release);
    if (typeof kernel === 'string') return context.skip(kernel);
    const guest = await Guest.create(kernel);
    opened.push(guest);
    const owned = new OwnedSlab(guest);
    const { slab } = owned;
    const attachment = await attach(guest, { sanitize: ['freed'], onFinding: 'record' });
    const free = new Set<number>();
    const kfree = async (index: number) => {
      expect(await guest.call('kfree', [slab.object(index)])).toMatchObject({ kind: 'returned' });
      free.add(index);
    };
    const expectAgreement = async () => {
      for (let index = 0; index < 12; index++) {
        const before = attachment.findings.length;
        const pointer = slab.object(index) + 8n;
        const outcome = await guest.call('__check_object_size', [pointer, 16n, 1n]);
        expect(outcome.kind).toBe('returned');
        const found = attachment.findings.slice(before).map(({ object }) => object);
        const one = { start: slab.object(index), end: slab.object(index + 1), cache: 'kmalloc-64' };
        expect([index, found]).toEqual([index, free.has(index) ? [one] : []]);
      }
    };
    await expectAgreement();
    for (const index of [3, 7, 5]) await kfree(index);
    // The pointers are not stored as they are.
    const stored = guest.memory.readWord(slab.object(7) + BigInt(SIZE / 2));
    expect(stored).not.toBe(slab.object(3));
    await expectAgreement();
    owned.giveToCpu();
    for (const index of [9, 1]) await kfree(index);
    await expectAgreement();
    const name = ['kmem_cache_alloc', 'kmem_cache_alloc_noprof'].find(
      (symbol) => guest.kernel.symbols.address(symbol) !== undefined,
    );
    const GFP_KERNEL = 0xcc0n;
    expect(await guest.callForValue(name!, [slab.cache, GFP_KERNEL])).toBe(slab.object(1));
    free.delete(1);
    await expectAgreement();
    expect(attachment.sanitizerStatistics()).toMatchObject({ looks: 48, unknown: 0, elsewhere: 0, redzone: 0 });
    expect(attachment.violations).toEqual([]);
    attachment.detach();
  });
});

/**
 * A slab of kmalloc-64 in a kernel where each cache has an empty sheaf to start with (7.0 on). One object is free from the beginning:
 * then freeing others changes no list of the node.
 */
function sheafedSlab(guest: Guest, capacity: number) {
  const objects = new KernelObjects(guest);
  const slab = objects.makeSlab({ name: 'kmalloc-64', objectSize: SIZE, size: SIZE, useroffset: 0, usersize: SIZE });
  const sheaves = guest.memory.allocate(BigInt(typeOf(guest, 'slub_percpu_sheaves').size));
  const sheaf = guest.memory.allocate(BigInt(typeOf(guest, 'slab_sheaf').size + 8 * capacity));
  setMember(guest, sheaves, 'slub_percpu_sheaves', 'main', sheaf);
  setMember(guest, slab.cache, 'kmem_cache', 'offset', BigInt(SIZE / 2));
  setMember(guest, slab.cache, 'kmem_cache', 'random', SECRET);
  setMember(guest, slab.cache, 'kmem_cache', 'cpu_sheaves', perCpuPointer(guest, sheaves));
  setMember(guest, slab.cache, 'kmem_cache', 'sheaf_capacity', BigInt(capacity));
  const count = 4096 / SIZE;
  const last = slab.object(count - 1);
  // freelist_ptr_encode() of a null pointer: the number of the cache, and where the pointer lies with its bytes swapped.
  const at = Buffer.alloc(8);
  at.writeBigUInt64LE(last + BigInt(SIZE / 2));
  guest.memory.writeWord(last + BigInt(SIZE / 2), SECRET ^ at.readBigUInt64BE());
  const head = objects.structPage(slab.start);
  setMember(guest, head, 'slab', 'freelist', last);
  setMember(guest, head, 'slab', 'inuse', BigInt(count - 1));
  return { slab, count };
}

describe("objects that Debian's newest kernel freed, in a cache", () => {
  it.for([
    ['without sheaves', 0, 'allocated'],
    ['whose sheaf it fills', 8, 'unknown'],
  ] as const)('%s are known', async ([, capacity, others], context) => {
    const kernel = await debianKernel('x86_64', 'sid');
    if (typeof kernel === 'string') return context.skip(kernel);
    const guest = await Guest.create(kernel);
    opened.push(guest);
    const { slab, count } = sheafedSlab(guest, capacity);
    const attachment = await attach(guest, { sanitize: ['freed'], onFinding: 'record' });
    for (const index of [3, 7, 5])
      expect(await guest.call('kfree', [slab.object(index)])).toMatchObject({ kind: 'returned' });
    for (let index = 0; index < count; index++)
      await guest.call('__check_object_size', [slab.object(index) + 8n, 16n, 1n]);
    expect(attachment.findings.map(({ object }) => object.start)).toEqual([3, 5, 7, count - 1].map(slab.object));
    expect(attachment.sanitizerStatistics()).toMatchObject({ looks: count, freed: 4, [others]: count - 4 });
    attachment.detach();
  });
});
