import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Guest } from '../../src/guest/guest.js';
import { readLog } from '../../src/guest/log.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

describe.each(['x86_64', 'arm64'])('a guest out of the built-in %s kernel', (variant) => {
  let guest: Guest;
  beforeAll(async () => {
    guest = await startOwnGuest(await loadOwnKernel(variant));
  });
  afterAll(() => guest.close());

  it('calls a function and gives its value', async () => {
    const object = await guest.callForValue('kmalloc', [128n]);
    expect(object).toBeGreaterThanOrEqual(guest.layout.pageOffset);
    expect(object % 8n).toBe(0n);
  });

  it('shows RAM and the image as the same bytes', async () => {
    const text = guest.symbol('_stext');
    const alias = text - guest.layout.imageOffset + guest.memory.linearAddress;
    expect(guest.memory.read(alias, 64)).toEqual(guest.memory.read(text, 64));
  });

  it("reports the kernel's BUG() with the place, and keeps what printk wrote", async () => {
    const before = guest.snapshot();
    const outcome = await guest.call('__check_object_size', [0n, 8n, 1n]);
    expect(outcome.kind).toBe('bug');
    expect(readLog(guest)).toContain(
      'usercopy: Kernel memory exposure attempt detected from null address (offset 0, size 8)!',
    );
    guest.restore(before);
    expect(readLog(guest)).toEqual([]);
  });

  it('says which function ran into memory that is not there', async () => {
    await expect(guest.call('do_copy', [guest.user.address, guest.layout.pageOffset - 4096n, 8n, 1n])).rejects.toThrow(
      /do_copy: the function ended at .*read of memory that is not there at 0x/,
    );
  });

  it('ends a function that never returns, within its limit', async () => {
    // copy_many(user, kernel, n, count) with a count that nobody lives to see.
    const object = await guest.callForValue('kmalloc', [64n]);
    const started = Date.now();
    await expect(
      guest.call('copy_many', [guest.user.address, object, 8n, 1n << 60n], { timeLimit: 200 }),
    ).rejects.toThrow(/copy_many: the function did not return within 200 ms; it was at /);
    expect(Date.now() - started).toBeLessThan(10_000);
  });

  it('says so when the guest jumps into the void', async () => {
    await expect(guest.call(0x123_4560n, [])).rejects.toThrow(
      /0x1234560: the function .*fetch of memory that is not there/,
    );
  });

  it('names a symbol that the kernel lacks', async () => {
    await expect(guest.call('no_such_function', [])).rejects.toThrow(/expected a symbol no_such_function, found none/);
  });

  it('counts the same instructions for the same call', async () => {
    const before = guest.snapshot();
    const counts: (number | null)[] = [];
    for (let run = 0; run < 3; run++) {
      guest.restore(before);
      counts.push((await guest.call('kmalloc', [64n], { countInstructions: true })).instructions);
    }
    expect(counts[0]).toBeGreaterThan(10);
    expect(new Set(counts).size).toBe(1);
  });
});

describe('a guest that cannot be made', () => {
  it('needs RAM enough for its image', async () => {
    const kernel = await loadOwnKernel('x86_64');
    await expect(Guest.create(kernel, { ramBytes: 1n << 20n })).rejects.toThrow(
      /guest RAM: expected at least \d+ bytes/,
    );
  });

  it('needs an architecture that runs', async () => {
    const kernel = await loadOwnKernel('x86_64');
    await expect(Guest.create({ ...kernel, variant: 'pdp11' })).rejects.toThrow(/pdp11/);
  });
});
