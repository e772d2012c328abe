import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import type { AttachOptions } from '../../src/attach/options.js';
import { Guest } from '../../src/guest/guest.js';
import { loadKernel } from '../../src/image/load.js';
import { packageFile } from '../../src/paths.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

describe('attach', () => {
  let guest: Guest;
  beforeAll(async () => {
    guest = await startOwnGuest(await loadOwnKernel('x86_64'));
  });
  afterAll(() => guest.close());

  /** What JavaScript may give, whatever the types say. */
  const refusal = async (options: object): Promise<string> => {
    const attached = await attach(guest.engine, guest.kernel, options as AttachOptions).catch((error: Error) => error);
    if (attached instanceof Error) return attached.message;
    attached.detach();
    return 'attached';
  };

  it.each([
    [{ judge: 'al' }, "attach: judge: expected one of 'kernel', 'all', found 'al' (did you mean 'all'?)"],
    [{ memory: 'mine' }, /^attach: memory: expected one of 'foreign', a Check, found 'mine'/],
    [{ mode: 'audit', onViolation: 'stop' }, /^attach: onViolation: expected 'record' or a function in mode 'audit'/],
    [{ mode: 'audit', onViolation: 'fail' }, /^attach: onViolation: .*the copies have happened/],
    [{ onViolation: 'halt' }, /^attach: onViolation: expected one of 'stop', 'record', 'fail', a function/],
    [{ executor: 'natve' }, /did you mean 'native'/],
    [{ keep: -1 }, 'attach: keep: expected a whole number of 0 or more, found -1'],
    [{ frames: 'yes' }, "attach: frames: expected true or false, found 'yes'"],
    [{ stackDepth: 40n }, /^attach: stackDepth: expected \{ check, print \}/],
    [{ toString: true }, /^attach: option: expected one of judge, .*found 'toString'/],
    [null, 'attach: expected an object with options, found null'],
  ])('refuses %o in one sentence', async (options, message) => {
    expect(await refusal(options as object)).toMatch(message);
  });

  it('lists what there is beside the nearest, for a name that is none', async () => {
    const message = await refusal({ onViolaton: 'record' });
    expect(message).toMatch(
      /^attach: option: expected one of judge, mode, onViolation, .*'onViolaton' \(did you mean 'onViolation'\?\)$/,
    );
  });

  it('takes of a callback what it takes in its place', async () => {
    const attachment = await attach(guest, { judge: 'all', onViolation: () => 'record' });
    await guest.call('do_copy', [guest.user.address, guest.symbol('_stext'), 32n, 1n]);
    attachment.detach();
    expect(attachment.violations).toHaveLength(1);
  });

  it('takes undefined for not given', async () => {
    expect(await refusal({ judge: undefined, memory: undefined, keep: undefined })).toBe('attached');
  });

  it('takes a guest alone, and learns how much stack its check uses', async () => {
    const attachment = await attach(guest, { onViolation: 'record' });
    try {
      expect(attachment.check).toBe(guest.check);
      expect(attachment.notes.join()).not.toMatch(/stack depth is measured at the entry point/);
      const object = await guest.callForValue('kmalloc', [64n]);
      await guest.call('do_copy', [guest.user.address, object, 65n, 1n]);
      expect(attachment.violations).toHaveLength(1);
    } finally {
      attachment.detach();
    }
    await expect(attach(guest, { memory: 'foreign' } as object)).rejects.toThrow(/option: expected one of .*'memory'/);
    await expect(attach(guest.engine as never)).rejects.toThrow(/expected a guest, or an engine and the kernel/);
  });

  it('refuses a second attachment on one check, and leaves the first as it was', async () => {
    const first = await attach(guest, { onViolation: 'record' });
    await expect(attach(guest)).rejects.toThrow(
      /one at a time on one check: detach the other, or attach by foreign memory/,
    );
    const object = await guest.callForValue('kmalloc', [64n]);
    await guest.call('do_copy', [guest.user.address, object, 65n, 1n]);
    expect(first.violations).toHaveLength(1);
    first.detach();
    (await attach(guest)).detach();
  });

  it('works twice on one emulator where each has a check of its own', async () => {
    const options = { onViolation: 'record', profile: '6.1' } as const;
    const both = [await attach(guest.engine, guest.kernel, options), await attach(guest.engine, guest.kernel, options)];
    const object = await guest.callForValue('kmalloc', [64n]);
    await guest.call('do_copy', [guest.user.address, object, 65n, 1n]);
    both[0]?.detach();
    await guest.call('do_copy', [guest.user.address, object, 66n, 1n]);
    both[1]?.detach();
    expect(both.map(({ violations }) => violations.length)).toEqual([1, 2]);
  });
});

describe('other functions', () => {
  const elf = packageFile('guests/elf/x86_64.elf');

  it('load a kernel by its path alone, and refuse options that are none', async () => {
    const kernel = await loadKernel(elf);
    expect(kernel.variant).toBe('x86_64');
    await expect(loadKernel(elf, { bft: 'x' } as object)).rejects.toThrow(
      /^loadKernel: option: expected one of drivers, btf, config, found 'bft' \(did you mean 'btf'\?\)/,
    );
    await expect(Guest.create(kernel, { ramBytes: 64 } as object)).rejects.toThrow(
      /^Guest\.create: ramBytes: expected a bigint of 0 or more, found 64/,
    );
  });
});
