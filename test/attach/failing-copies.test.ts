import { afterEach, describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import { attach } from '../../src/attach/attach.js';
import { UsercopyError } from '../../src/errors.js';
import { Guest } from '../../src/guest/guest.js';
import { KernelObjects } from '../../src/guest/objects.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from '../../src/scenario/own.js';

/** A guest that went on into its own check would end in BUG(), and one that went on into the copy would move bytes. */
describe.each(ownVariants())('a bad copy that is made to fail in the built-in %s guest', (variant) => {
  const opened: Guest[] = [];
  afterEach(() => {
    for (const guest of opened.splice(0)) guest.close();
  });

  async function start(build: 'check' | 'nocheck') {
    const guest = await startOwnGuest(await loadOwnKernel(variant, build));
    opened.push(guest);
    const attachment = await attach(guest.engine, guest.kernel, {
      profile: '6.1',
      memory: guest.check,
      onViolation: 'fail',
    });
    const object = await guest.callForValue('kmalloc', [64n]);
    guest.memory.write(object, new Uint8Array(64).fill(0x5a));
    const copy = (size: bigint, toUser: boolean) =>
      guest.call('do_copy', [guest.user.address, object, size, toUser ? 1n : 0n]);
    return { guest, attachment, object, copy };
  }

  it.each(['check', 'nocheck'] as const)('tells its caller that nothing was copied (build: %s)', async (build) => {
    const { guest, attachment, object, copy } = await start(build);
    expect(await copy(65n, true)).toMatchObject({ kind: 'returned', value: 65n });
    expect(guest.memory.read(guest.user.address, 65).every((byte) => byte === 0)).toBe(true);
    expect(await copy(80n, false)).toMatchObject({ kind: 'returned', value: 80n });
    expect(guest.memory.read(object, 64).every((byte) => byte === 0x5a)).toBe(true);
    expect(attachment.violations.map(({ copy: { size } }) => size)).toEqual([65n, 80n]);
    // The next good copy is made as ever.
    expect(await copy(64n, true)).toMatchObject({ kind: 'returned', value: 0n });
    expect(guest.memory.read(guest.user.address, 64).every((byte) => byte === 0x5a)).toBe(true);
    expect(attachment.violations).toHaveLength(2);
  });
});

/** The kernel's own error path is the judge: simple_read_from_buffer() turns a copy that failed into -EFAULT. */
describe.each(['x86_64', 'arm64', 'ppc64le', 's390x'])("Debian's %s kernel", (variant) => {
  it('gets -EFAULT for a bad copy, and goes on', async (context) => {
    let path: string;
    try {
      ({ path } = await fetchKernel(variant, {}));
    } catch (error) {
      if (error instanceof UsercopyError && error.kind === 'missing-dependency') return context.skip(error.message);
      throw error;
    }
    const guest = await Guest.create(await loadKernel({ path }, { drivers }));
    try {
      const objects = new KernelObjects(guest);
      const slab = objects.makeSlab({ name: 'own', objectSize: 64, size: 64, useroffset: 0, usersize: 64 });
      const attachment = await attach(guest.engine, guest.kernel, { memory: guest.check, onViolation: 'fail' });
      const position = guest.memory.allocate(4096n);
      // ssize_t simple_read_from_buffer(void __user *to, size_t count, loff_t *ppos, const void *from, size_t available)
      const read = (bytes: bigint) =>
        guest.callForValue('simple_read_from_buffer', [guest.user.address, bytes, position, slab.object(2), bytes]);
      expect(BigInt.asIntN(guest.kernel.bits, await read(65n))).toBe(-14n);
      expect(attachment.violations).toHaveLength(1);
      expect(BigInt.asIntN(guest.kernel.bits, await read(64n))).toBe(64n);
      attachment.detach();
    } finally {
      guest.close();
    }
  }, 60_000);
});
