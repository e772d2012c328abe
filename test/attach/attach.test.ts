import { afterEach, describe, expect, it } from 'vitest';
import { type Attachment, attach } from '../../src/attach/attach.js';
import type { AttachOptions } from '../../src/attach/options.js';
import { Check, executors } from '../../src/check/check.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { type CallOptions, Guest } from '../../src/guest/guest.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';
import { collectGarbage } from '../garbage.js';

const available = executors(builtCheck)
  .filter((executor) => executor.available)
  .map(({ name }) => name);

/** The guest's own check would end in BUG(); these tests are about ours, so they use the build without it, or stop before. */
describe.each(['x86_64', 'arm64'])('attached to the built-in %s guest', (variant) => {
  const opened: { guest: Guest; attachment?: Attachment }[] = [];
  afterEach(() => {
    for (const { guest, attachment } of opened.splice(0)) {
      attachment?.detach();
      guest.close();
    }
  });

  async function start(build: 'check' | 'nocheck', options: AttachOptions = {}, foreign = false) {
    const guest = await startOwnGuest(await loadOwnKernel(variant, build));
    const attachment = await attach(guest.engine, guest.kernel, {
      profile: '6.1',
      ...(foreign ? {} : { memory: guest.check }),
      ...options,
    });
    opened.push({ guest, attachment });
    const object = await guest.callForValue('kmalloc', [64n]);
    attachment.check.resetStatistics();
    const copy = (size: bigint, toUser = true, offset = 0n) =>
      guest.call('do_copy', [guest.user.address, object + offset, size, toUser ? 1n : 0n]);
    return { guest, attachment, object, copy };
  }

  it('judges what the kernel judges by default, and every copy where it has no check', async () => {
    expect((await start('check')).attachment.judge).toBe('kernel');
    expect((await start('nocheck')).attachment.judge).toBe('all');
  });

  it('refuses to judge what the kernel judges when the kernel judges nothing', async () => {
    const guest = await startOwnGuest(await loadOwnKernel(variant, 'nocheck'));
    opened.push({ guest });
    await expect(attach(guest.engine, guest.kernel, { judge: 'kernel', memory: guest.check })).rejects.toThrow(
      /expects a function __check_object_size, found none.*judge 'all'/,
    );
  });

  it('stops the guest before a bad copy has moved a byte', async () => {
    const { guest, attachment, object, copy } = await start('nocheck');
    guest.memory.write(object, new Uint8Array(65).fill(0x5a));
    expect((await copy(65n)).kind).toBe('stopped');
    expect(guest.memory.read(guest.user.address, 65).every((byte) => byte === 0)).toBe(true);
    expect(attachment.violations).toHaveLength(1);
    expect(attachment.violations[0]).toMatchObject({
      copy: { pointer: object, size: 65n, direction: 'to_user' },
      message: "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 65)!",
      kernelJudges: false,
    });
  });

  it('says at which instruction and cycle a bad copy happened, when they are counted', async () => {
    const { guest, attachment, object, copy } = await start('nocheck', { onViolation: 'record' });
    const call = (options: CallOptions) => guest.call('do_copy', [guest.user.address, object, 80n, 1n], options);
    expect((await call({ cycles: (block) => 2 * block.instructions })).kind).toBe('returned');
    const { instructions, cycles, pc } = attachment.violations[0]!;
    expect(cycles).toBe(2 * instructions!);
    expect(await call({ instructionLimit: instructions! })).toMatchObject({ kind: 'limited', instructions, pc });
    await copy(80n);
    expect(attachment.violations.at(-1)).toMatchObject({ instructions: null, cycles: null });
  });

  it('goes on from a stop without judging the same copy again', async () => {
    const { guest, attachment, object, copy } = await start('nocheck');
    guest.memory.write(object, new Uint8Array(65).fill(0x5a));
    await copy(65n);
    const outcome = await guest.resume();
    expect(outcome).toMatchObject({ kind: 'returned', value: 0n });
    expect(attachment.violations).toHaveLength(1);
    expect(guest.memory.read(guest.user.address, 65).every((byte) => byte === 0x5a)).toBe(true);
  });

  it('records bad copies and lets them happen when asked to', async () => {
    const { attachment, copy } = await start('nocheck', { onViolation: 'record' });
    expect((await copy(80n)).kind).toBe('returned');
    expect((await copy(72n, false)).kind).toBe('returned');
    expect(attachment.violations.map(({ message }) => message)).toEqual([
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 80)!",
      "usercopy: Kernel memory overwrite attempt detected to SLUB object 'kmalloc-64' (offset 0, size 72)!",
    ]);
  });

  it('asks a callback, copy by copy', async () => {
    const { copy } = await start('nocheck', {
      onViolation: (violation) => (violation.copy.size > 100n ? 'stop' : 'continue'),
    });
    expect((await copy(80n)).kind).toBe('returned');
    expect((await copy(101n)).kind).toBe('stopped');
  });

  it('passes over what a suppression list names, and counts it', async () => {
    const { attachment, copy } = await start('nocheck', {
      suppress: [{ cache: 'kmalloc-64', direction: 'to_user', caller: 'do_copy*' }],
    });
    expect((await copy(80n)).kind).toBe('returned');
    expect((await copy(81n)).kind).toBe('returned');
    expect((await copy(80n, false)).kind).toBe('stopped');
    expect(attachment.violations.map(({ copy: { direction } }) => direction)).toEqual(['from_user']);
    expect(attachment.suppressed()).toEqual([{ rule: expect.anything(), count: 2 }]);
  });

  it('counts violations by direction, region, cache and caller', async () => {
    const { guest, attachment, copy } = await start('nocheck', { onViolation: 'record' });
    await copy(80n);
    await copy(80n, false);
    await guest.call('do_copy', [guest.user.address, guest.symbol('_stext'), 8n, 1n]);
    expect(attachment.violationStatistics()).toEqual({
      byDirection: [
        { name: 'to_user', count: 2 },
        { name: 'from_user', count: 1 },
      ],
      byRegion: [
        { name: 'slab object', count: 2 },
        { name: 'kernel text', count: 1 },
      ],
      byCache: [{ name: 'kmalloc-64', count: 2 }],
      byCaller: [{ name: 'do_copy', count: 3 }],
    });
  });

  it('refuses an answer that is none', async () => {
    const { copy } = await start('nocheck', { onViolation: () => 'perhaps' as 'stop' });
    await expect(copy(80n)).rejects.toThrow(/'stop', 'record' or 'fail', found perhaps/);
  });

  it('throws to the caller what a callback throws, and can go on after that', async () => {
    const { copy } = await start('nocheck', {
      onViolation() {
        throw new Error('thrown in the callback');
      },
    });
    await expect(copy(80n)).rejects.toThrow('thrown in the callback');
    expect((await copy(64n)).kind).toBe('returned');
  });

  it.each(available)('throws to the caller what the reader of foreign memory throws to %s', async (executor) => {
    const { guest, attachment, copy } = await start('nocheck', { memory: 'foreign', executor }, true);
    attachment.check.foreignReader = () => {
      throw new RangeError('thrown by the reader');
    };
    await expect(copy(64n)).rejects.toThrow('thrown by the reader');
    attachment.check.readFromEngine(guest.engine);
    expect((await copy(64n)).kind).toBe('returned');
  });

  it('keeps only so many violations', async () => {
    const { attachment, copy } = await start('nocheck', { onViolation: 'record', keep: 2 });
    for (const size of [65n, 66n, 67n]) await copy(size);
    expect(attachment.violations.map((violation) => violation.copy.size)).toEqual([66n, 67n]);
    expect(attachment.statistics().bad).toBe(3);
  });

  it('judges a copy once, at its outermost entry point, though the raw routine is hooked too', async () => {
    const { attachment, copy } = await start('nocheck');
    expect(attachment.entries.length).toBeGreaterThan(2);
    for (let count = 0; count < 5; count++) await copy(64n);
    await copy(32n, false, 16n);
    expect(attachment.statistics()).toMatchObject({ checks: 6, good: 6, bad: 0 });
  });

  it('judges copies of constant size that the kernel never judges, and says so', async () => {
    const { guest, attachment, object } = await start('check', { judge: 'all' });
    const outcome = await guest.call('do_copy_constant', [guest.user.address, object + 8n, 1n]);
    expect(outcome.kind).toBe('stopped');
    expect(attachment.violations[0]).toMatchObject({ kernelJudges: false, entry: '_copy_to_user' });
    const kernelOnly = await start('check', { judge: 'kernel', onBlindSpot: () => undefined });
    const silent = await kernelOnly.guest.call('do_copy_constant', [
      kernelOnly.guest.user.address,
      kernelOnly.object + 8n,
      1n,
    ]);
    expect(silent.kind).toBe('returned');
  });

  it('tells who called, by symbol and offset, and who called that', async () => {
    const { attachment, copy } = await start('check');
    await copy(65n);
    const { caller, backtrace, entry } = attachment.violations[0]!;
    expect(entry).toBe('__check_object_size');
    expect(caller?.symbol).toBe('do_copy');
    expect(caller?.offset).toBeGreaterThan(0n);
    expect(backtrace[0]).toMatchObject({ symbol: 'do_copy', reliable: true });
  });

  it('tells all but who called that, where no backtrace is wanted', async () => {
    const { attachment, copy } = await start('check', { backtrace: false });
    await copy(65n);
    const [violation] = attachment.violations;
    expect(violation).toMatchObject({ backtrace: [], caller: { symbol: 'do_copy' } });
    const { attachment: whole, copy: again } = await start('check');
    await again(65n);
    expect({ ...violation, backtrace: [] }).toEqual({ ...whole.violations[0], backtrace: [] });
  });

  it('explains which object, where it ends, and by how much the copy misses', async () => {
    const { attachment, object, copy } = await start('check');
    await copy(70n);
    const text = attachment.violations[0]!.explanation.join('\n');
    expect(text).toContain('kmalloc-64');
    expect(text).toContain(`0x${object.toString(16)}`);
    expect(text).toContain('ends 6 bytes past it');
  });

  it('says whose frame a refused stack copy begins in, or that it is in none', async () => {
    // By the rules of 6.1 with frames checked, a copy across a frame's own record is refused, and one of a dead local.
    const { guest, attachment } = await start('check', { frames: true });
    await guest.call('copy_stack_frame_record', [guest.user.address, 32n, 1n]);
    const whose =
      variant === 'x86_64' ? /begins in the frame of copy_stack_frame_record\+0x/ : /begins \d+ bytes below the stack/;
    expect(attachment.violations[0]!.explanation.join('\n')).toMatch(whose);
    await guest.call('copy_stack_frame_bad', [guest.user.address, 32n, 1n]);
    expect(attachment.violations[1]!.explanation.join('\n')).toMatch(/begins \d+ bytes below the stack pointer/);
  });

  it.each(available)('gives the same verdicts on memory that %s reads through the engine', async (executor) => {
    const shared = await start('nocheck', { onViolation: 'record', executor });
    const foreign = await start('nocheck', { onViolation: 'record', memory: 'foreign', executor }, true);
    expect([shared.attachment.executor, foreign.attachment.executor]).toEqual([executor, executor]);
    for (const size of [1n, 63n, 64n, 65n, 4096n]) {
      await shared.copy(size, true, 8n);
      await foreign.copy(size, true, 8n);
    }
    expect(foreign.attachment.violations.map(({ message }) => message)).toEqual(
      shared.attachment.violations.map(({ message }) => message),
    );
    expect(shared.attachment.violations).toHaveLength(4);
  });

  it('judges by declared memory where it is declared', async () => {
    const { guest, object, copy, attachment } = await start('nocheck', { onViolation: 'record' });
    guest.check.declare({
      kind: 'slab',
      cache: 'declared',
      start: object,
      end: object + 64n,
      objectStride: 32n,
      objectSize: 32n,
    });
    await copy(33n);
    expect(attachment.violations[0]!.message).toBe(
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'declared' (offset 0, size 33)!",
    );
  });

  describe.each(available)('in an audit by %s', (executor) => {
    it('finds afterwards what it would have refused, each once, with the same message', async () => {
      const enforced = await start('nocheck', { onViolation: 'record', executor });
      const audited = await start('nocheck', { onViolation: 'record', executor, mode: 'audit' });
      const foreign = await start(
        'nocheck',
        { onViolation: 'record', executor, mode: 'audit', memory: 'foreign' },
        true,
      );
      for (const { copy } of [enforced, audited, foreign]) {
        for (const [size, toUser] of [
          [64n, true],
          [65n, true],
          [65n, true],
          [8n, false],
          [100n, false],
        ] as const) {
          expect((await copy(size, toUser)).kind).toBe('returned');
        }
      }
      const messages = enforced.attachment.violations.map(({ message }) => message);
      expect(messages).toHaveLength(3);
      for (const { attachment } of [audited, foreign]) {
        expect(attachment.mode).toBe('audit');
        expect(attachment.violations.map(({ message }) => message)).toEqual(messages);
        expect(attachment.violations.every(({ judgedAfterwards }) => judgedAfterwards)).toBe(true);
        expect(attachment.violations[0]!.entry).toBe(enforced.attachment.violations[0]!.entry);
        expect(attachment.violations[0]!.pc).toBe(enforced.attachment.violations[0]!.pc);
        expect(attachment.statistics()).toEqual(enforced.attachment.statistics());
      }
      expect(enforced.attachment.violations[0]!.judgedAfterwards).toBe(false);
    });

    it("knows the caller of what copies; of the kernel's check only where a register holds the return address", async () => {
      const { attachment, copy } = await start('nocheck', { onViolation: 'record', executor, mode: 'audit' });
      await copy(65n);
      const found = attachment.violations[0]!;
      expect(found.caller).toMatchObject({ symbol: 'do_copy' });
      expect(found.backtrace).toEqual([]);
      const checked = await start('check', { onViolation: 'record', executor, mode: 'audit' });
      expect((await checked.copy(65n)).kind).toBe('bug');
      checked.attachment.flush();
      const caller = checked.attachment.violations[0]!.caller;
      if (variant === 'x86_64') expect(caller).toBeNull();
      else expect(caller).toMatchObject({ symbol: 'do_copy' });
    });

    it('leaves nothing behind, and may be one at a time', async () => {
      const { guest, attachment, copy } = await start('nocheck', { executor, mode: 'audit' });
      const options = { profile: '6.1', memory: guest.check, mode: 'audit' } as const;
      await expect(attach(guest.engine, guest.kernel, options)).rejects.toThrow(/one at a time/);
      attachment.detach();
      expect((await copy(65n)).kind).toBe('returned');
      expect(attachment.violations).toHaveLength(0);
      const again = await attach(guest.engine, guest.kernel, options);
      await copy(65n);
      expect(again.violations).toHaveLength(1);
      again.detach();
    });
  });

  it('leaves nothing behind when it is detached', async () => {
    const { attachment, copy } = await start('nocheck');
    attachment.detach();
    attachment.detach();
    expect((await copy(65n)).kind).toBe('returned');
    expect(attachment.statistics().checks).toBe(0);
    expect(attachment.violations).toHaveLength(0);
  });

  it('can be attached again after it was detached', async () => {
    const { guest, attachment, copy } = await start('nocheck');
    attachment.detach();
    const again = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check });
    expect((await copy(65n)).kind).toBe('stopped');
    again.detach();
  });
});

/** x86-64 machine code that calls one function after the other, in one run. */
function callsInARow(calls: readonly { readonly target: bigint; readonly args: readonly bigint[] }[]): Uint8Array {
  const word = (value: bigint): number[] =>
    Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
  // mov $imm64, %rdi, %rsi, %rdx and %rcx
  const load = [
    [0x48, 0xbf],
    [0x48, 0xbe],
    [0x48, 0xba],
    [0x48, 0xb9],
  ];
  // push %rbx; …; mov $target, %rax; call *%rax; …; pop %rbx; ret
  const body = calls.flatMap(({ target, args }) => [
    ...args.flatMap((value, index) => [...load[index]!, ...word(value)]),
    ...[0x48, 0xb8, ...word(target), 0xff, 0xd0],
  ]);
  return Uint8Array.from([0x53, ...body, 0x5b, 0xc3]);
}

describe("judge 'all', several calls in one run", () => {
  const opened: { guest: Guest; attachment: Attachment }[] = [];
  afterEach(() => {
    for (const { guest, attachment } of opened.splice(0)) {
      attachment.detach();
      guest.close();
    }
  });

  async function start(mode: 'enforce' | 'audit' = 'enforce') {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    const attachment = await attach(guest.engine, guest.kernel, {
      ...{ profile: '6.1', memory: guest.check, judge: 'all', onViolation: 'record', mode },
    });
    opened.push({ guest, attachment });
    const object = await guest.callForValue('kmalloc', [64n]);
    const code = guest.memory.allocate(4096n);
    attachment.check.resetStatistics();
    const run = (calls: readonly (readonly [string | bigint, ...bigint[]])[]) => {
      const targets = calls.map(([target, ...args]) => ({
        ...{ target: typeof target === 'string' ? guest.symbol(target) : target, args },
      }));
      guest.memory.write(code, callsInARow(targets));
      return guest.call(code, []);
    };
    return { guest, attachment, object, code, run };
  }

  it.each(['enforce', 'audit'] as const)(
    'does not take a later copy for one that was checked and made (%s)',
    async (mode) => {
      const { guest, attachment, object, run } = await start(mode);
      const { address } = guest.user;
      await run([
        ['do_copy', address, object, 64n, 1n],
        ['do_copy_constant', address, object, 1n],
        ['do_copy', address, object, 64n, 1n],
        ['do_copy', address, object, 8n, 0n],
        ['copy_user_generic_unrolled', address, object, 8n],
      ]);
      expect(attachment.statistics()).toMatchObject({ checks: 5, good: 5 });
    },
  );

  it('does not take a copy for the one that a check was asked about by another function', async () => {
    const { guest, attachment, object, code, run } = await start();
    const { address } = guest.user;
    // Two functions of one depth: one asks the check and copies nothing, as strncpy_from_user(); one copies without asking.
    const asks = code + 1024n;
    const copies = code + 2048n;
    guest.memory.write(asks, callsInARow([{ target: guest.symbol('__check_object_size'), args: [object, 64n, 0n] }]));
    guest.memory.write(
      copies,
      callsInARow([{ target: guest.symbol('_copy_from_user'), args: [object, address, 64n] }]),
    );
    expect((await run([[asks], [copies]])).kind).toBe('returned');
    expect(attachment.statistics()).toMatchObject({ checks: 2, good: 2 });
    // Whether the one has returned cannot be told of functions that no symbol names: two are told, and it is said.
    const bad = callsInARow([{ target: guest.symbol('_copy_from_user'), args: [object + 8n, address, 64n] }]);
    guest.memory.write(copies, bad);
    guest.memory.write(asks, callsInARow([{ target: guest.symbol('__check_object_size'), args: [object, 64n, 0n] }]));
    await run([[asks], [copies]]);
    expect(attachment.violations).toMatchObject([{ entry: '_copy_from_user', kernelJudges: false }]);
  });

  it('ends what is under way with the run', async () => {
    const { guest, attachment, object } = await start();
    const { address } = guest.user;
    for (let count = 0; count < 2; count++) {
      await guest.call('__check_object_size', [object, 64n, 1n]);
      await guest.call('_copy_to_user', [address, object, 64n]);
      await guest.call('copy_user_generic_unrolled', [address, object, 64n]);
    }
    expect(attachment.statistics().checks).toBe(6);
  });

  it('goes on from a stop at the check into the same copy, told once', async () => {
    const { guest, attachment, object } = await start();
    attachment.detach();
    const stopping = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check, judge: 'all' });
    expect((await guest.call('do_copy', [guest.user.address, object, 65n, 1n])).kind).toBe('stopped');
    expect((await guest.resume()).kind).toBe('bug');
    expect(stopping.violations).toMatchObject([{ entry: '__check_object_size', kernelJudges: true }]);
    stopping.detach();
  });
});

describe('attached and detached many times', () => {
  it('gives back what it took of its check, whatever it judged', async () => {
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    const check = await Check.create({ source: builtCheck, guestBytes: 0, requestCapacity: 24 });
    const kinds: AttachOptions[] = [{ judge: 'kernel' }, { judge: 'all' }, { judge: 'all', mode: 'audit' }];
    try {
      for (let count = 0; count < 30; count++) {
        for (const options of kinds) {
          const attachment = await attach(guest.engine, guest.kernel, { memory: check, ...options });
          attachment.detach();
        }
      }
    } finally {
      guest.close();
    }
  });

  it('leaves nothing of a closed guest that is still held but what was told of it', async () => {
    const kernel = await loadOwnKernel('x86_64');
    const closed: { guest: Guest; attachment: Attachment }[] = [];
    for (let count = 0; count < 8; count++) {
      const guest = await startOwnGuest(kernel);
      const attachment = await attach(guest, { onViolation: 'record' });
      await guest.call('__check_object_size', [guest.symbol('_stext'), 64n, 1n]);
      guest.close();
      attachment.detach();
      closed.push({ guest, attachment });
    }
    // Each had 64 MiB of RAM.
    const isBack = (): boolean => process.memoryUsage().external < 256 << 20;
    await collectGarbage(isBack);
    expect(isBack()).toBe(true);
    for (const { attachment } of closed) expect(attachment.statistics().bad).toBe(1);
  });
});

describe('attach, given something it cannot work with', () => {
  it('says after a run that a guest without a page array has no object that could be judged', async () => {
    const kernel = await loadOwnKernel('x86_64');
    // guest_init() makes the page array; here it never ran.
    const guest = await Guest.create(kernel, { ramBytes: 64n << 20n });
    const spots: string[] = [];
    const options: AttachOptions = { memory: guest.check, onBlindSpot: (spot) => spots.push(spot) };
    const attachment = await attach(guest.engine, guest.kernel, options);
    try {
      await guest.engine.run({
        start: guest.symbol('__check_object_size'),
        until: guest.symbol('__check_object_size'),
      });
      expect(spots).toEqual([expect.stringMatching(/no page array .*no slab object and no page is known/)]);
      expect(attachment.notes).toContain(spots[0]);
    } finally {
      attachment.detach();
      guest.close();
    }
  });

  it('refuses a kernel without types when nothing is declared', async () => {
    const kernel = await loadOwnKernel('sparc');
    const guest = await startOwnGuest(kernel);
    try {
      await expect(attach(guest.engine, { ...guest.kernel, types: null }, { memory: guest.check })).rejects.toThrow(
        /attach without declared memory: expected a kernel whose types are known/,
      );
    } finally {
      guest.close();
    }
  });

  it('names the architectures that it knows', async () => {
    const kernel = await loadOwnKernel('x86_64');
    const guest = await startOwnGuest(kernel);
    try {
      await expect(attach(guest.engine, { ...kernel, variant: 'vax' })).rejects.toThrow(
        /expected one of .*x86_64.*found vax/,
      );
      await expect(attach(guest.engine, kernel, { profile: '7.0' })).rejects.toThrow(/7\.0/);
    } finally {
      guest.close();
    }
  });
});
