/** `hardened_usercopy=off`: a static key of the guest's own, which its own check asks. */
import { afterEach, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import type { Guest } from '../../src/guest/guest.js';
import { gateOf, unknownGate } from '../../src/introspect/gate.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

let guest: Guest;
afterEach(() => guest.close());

describe('a guest whose check is switched off', () => {
  const judgeOne = async (judge: 'kernel' | 'all', off: boolean) => {
    guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    guest.memory.writeUnsigned(guest.symbol('bypass_usercopy_checks'), 4, off ? 1n : 0n);
    const attachment = await attach(guest.engine, guest.kernel, { judge, onViolation: 'record', memory: guest.check });
    const outcome = await guest.call('do_copy', [guest.user.address, guest.symbol('_stext'), 32n, 1n]);
    attachment.detach();
    return { outcome, violations: attachment.violations.length, notes: attachment.notes.join('\n') };
  };

  it('is not judged by the kernel, nor by ours in its place, which says so', async () => {
    const { outcome, violations, notes } = await judgeOne('kernel', true);
    expect(outcome.kind).toBe('returned');
    expect(violations).toBe(0);
    expect(notes).toMatch(/hardened_usercopy is off.*bypass_usercopy_checks.*nothing is judged/);
  });

  it('is judged all the same where every copy is asked for, which says so', async () => {
    const { outcome, violations, notes } = await judgeOne('all', true);
    expect(outcome.kind).toBe('returned');
    expect(violations).toBe(1);
    expect(notes).toMatch(/hardened_usercopy is off.*judged all the same/);
  });

  it('is like any other when it is on', async () => {
    const { outcome, violations, notes } = await judgeOne('kernel', false);
    expect(outcome.kind).toBe('bug');
    expect(violations).toBe(1);
    expect(notes).not.toContain('hardened_usercopy');
  });

  it.each([
    ['bypass_usercopy_checks', 0, 'inside', false],
    ['bypass_usercopy_checks', 1, 'inside', true],
    ['validate_usercopy_range', 0, 'callers', true],
    ['validate_usercopy_range', 1, 'callers', false],
  ])('is told by %s = %d', async (symbol, counter, askedBy, closed) => {
    guest = await startOwnGuest(await loadOwnKernel('arm64'));
    const address = (name: string): bigint | undefined => (name === symbol ? 0x1000n : undefined);
    const kernel = {
      ...guest.kernel,
      symbols: { address } as Kernel['symbols'],
      read: (at: bigint) => (at === 0x1000n ? Uint8Array.of(counter, 0, 0, 0) : undefined),
    };
    expect(gateOf(kernel)).toMatchObject({ symbol, askedBy, closed });
    expect(gateOf({ ...kernel, read: () => undefined })).toBeNull();
  });

  it('is not told where a kernel newer than those that have judged has its key under another name', async () => {
    guest = await startOwnGuest(await loadOwnKernel('arm64'));
    const address = (name: string): bigint | undefined => (name === '__check_object_size' ? 0x1000n : undefined);
    const kernel = { ...guest.kernel, symbols: { address } as Kernel['symbols'] };
    const of = (major: number, minor: number) =>
      unknownGate({ ...kernel, version: { ...kernel.version, banner: 'Linux', major, minor } }, null);
    expect(of(7, 4)).toMatch(/not known: neither validate_usercopy_range nor bypass_usercopy_checks was found/);
    expect(of(7, 3)).toBeNull();
  });
});
