import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import { Guest } from '../../src/guest/guest.js';
import { KernelObjects } from '../../src/guest/objects.js';
import type { Kernel, StructType } from '../../src/kernel/kernel.js';
import { debianKernel, judgesAsWeDo } from '../debian-kernel.js';

const COPIES = 100_000;
const KERNELS = [
  ['x86_64', 'bullseye', '5.0'],
  ['x86_64', 'bookworm', '6.1'],
  ['x86_64', 'trixie', '6.1,kmap-fixmap'],
  ['arm64', 'bullseye', '5.0'],
  ['arm64', 'bookworm', '6.1'],
  ['arm64', 'trixie', '6.1,kmap-fixmap'],
] as const;

/** The judge is the kernel's own check, run in the guest. */
describe.each(KERNELS)("Debian's %s kernel of %s", (variant, release, profile) => {
  let kernel: Kernel | string;
  beforeAll(async () => {
    kernel = await debianKernel(variant, release);
  });

  judgesAsWeDo(() => kernel, { copies: COPIES, profile });
});

describe('a real kernel without the check', () => {
  let kernel: Kernel | string;
  let guest: Guest | undefined;
  beforeAll(async () => {
    kernel = await debianKernel('x86_64', 'bookworm');
  });
  afterAll(() => guest?.close());

  /** The symbols of the check, and the fields that only it needs (346907ceb9d1, 6.2), taken out of sight. */
  function withoutCheck(of: Kernel): Kernel {
    const hidden = new Set(['__check_object_size', '__check_heap_object', 'usercopy_abort', 'bypass_usercopy_checks']);
    const fields = new Set(['useroffset', 'usersize']);
    const { symbols, types } = of;
    const cut = (struct: StructType): StructType => ({
      name: struct.name,
      size: struct.size,
      members: struct.members.filter(({ path }) => !fields.has(path)),
      has: (path) => !fields.has(path) && struct.has(path),
      field: (path) => (fields.has(path) ? undefined : struct.field(path)),
      offset: (path) => struct.offset(path),
    });
    return {
      ...of,
      symbols: {
        count: symbols.count,
        source: symbols.source,
        address: (name) => (hidden.has(name) ? undefined : symbols.address(name)),
        get: (name) => (hidden.has(name) ? undefined : symbols.get(name)),
        all: (name) => (hidden.has(name) ? [] : symbols.all(name)),
        find: (address) => symbols.find(address),
        [Symbol.iterator]: () => symbols[Symbol.iterator](),
      },
      types: types && {
        source: types.source,
        struct: (name) => (name === 'kmem_cache' ? cut(types.struct(name)) : types.struct(name)),
        hasStruct: (name) => types.hasStruct(name),
        enumerator: (name) => types.enumerator(name),
      },
    };
  }

  it('has its copies judged at their own entry points, and whole objects for windows, and both are said', async (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const bare = withoutCheck(kernel);
    guest = await Guest.create(bare);
    const slab = new KernelObjects(guest).makeSlab({
      name: 'cred_jar',
      objectSize: 168,
      size: 192,
      useroffset: 0,
      usersize: 0,
    });
    const attachment = await attach(guest.engine, guest.kernel, { memory: guest.check });
    expect(attachment.judge).toBe('all');
    expect(attachment.notes.join('\n')).toMatch(/judges every copy: the kernel has no check of its own/);
    expect(attachment.notes.join('\n')).toMatch(/no whitelist fields: the whole object may be copied/);

    const object = slab.object(3);
    const copy = (pointer: bigint, size: bigint) =>
      guest!.call('_copy_to_user', [guest!.user.address, pointer, size], { timeLimit: 5000 });
    expect((await copy(object, 168n)).kind).toBe('returned');
    expect((await copy(object, 169n)).kind).toBe('stopped');
    expect((await copy(guest.symbol('_stext'), 16n)).kind).toBe('stopped');
    expect(attachment.violations.map(({ message, kernelJudges }) => [message, kernelJudges])).toEqual([
      ["usercopy: Kernel memory exposure attempt detected from SLUB object 'cred_jar' (offset 0, size 169)!", false],
      ['usercopy: Kernel memory exposure attempt detected from kernel text (offset 0, size 16)!', false],
    ]);
    attachment.detach();
  });
});
