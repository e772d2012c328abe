/**
 * Calls of guest functions by hand. The judge is compiled C: the built-in guests' printk() prints each argument that it
 * finds, wherever its architecture's ABI puts it, and their usercopy_abort() the numbers that it was called with.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { Variant } from '../../arch/driver.js';
import { variants } from '../../arch/index.js';
import { FailingCopies } from '../../src/attach/failing-copies.js';
import type { Hook } from '../../src/engine/engine.js';
import type { Guest } from '../../src/guest/guest.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from '../../src/scenario/own.js';
import { engineWords, GuestCall, variadicPlaces } from '../../src/stack/call.js';
import { measureStackDepth } from '../../src/stack/depth.js';
import { entryPointOf } from '../../src/stack/entry-point.js';

const opened: Guest[] = [];
afterEach(() => {
  for (const guest of opened.splice(0)) guest.close();
});

async function start(variant: string): Promise<Guest> {
  const guest = await startOwnGuest(await loadOwnKernel(variant));
  opened.push(guest);
  return guest;
}

const variantOf = (name: string): Variant => variants.find((variant) => variant.name === name)!;

function text(guest: Guest, content: string): bigint {
  const at = guest.memory.allocate(4096n);
  guest.memory.write(at, Buffer.from(`${content}\0`, 'latin1'));
  return at;
}

function printed(guest: Guest): string {
  const length = Number(guest.memory.readWord(guest.symbol('log_end')));
  guest.memory.writeWord(guest.symbol('log_end'), 0n);
  return Buffer.from(guest.memory.read(guest.symbol('__log_buf'), length)).toString('latin1');
}

/** More than any architecture passes in registers. */
const NUMBERS = [11n, 22n, 33n, 44n, 55n, 66n, 77n, 88n, 99n, 110n, 121n];

describe.each(ownVariants())('a call of a function of the built-in %s guest', (name) => {
  it('passes each argument where compiled C looks for it, in registers and on the stack', async () => {
    const guest = await start(name);
    const format = text(guest, `${NUMBERS.map(() => '%lu').join(' ')}\n`);
    const places = variadicPlaces(guest.variant);
    let read: bigint[] = [];
    const hook = guest.engine.hookAddress(guest.symbol('printk'), () => {
      read = NUMBERS.map((_, index) => guest.argument(index + 1, places));
    });
    const outcome = await guest.call('printk', [format, ...NUMBERS], { places });
    hook.remove();
    expect(outcome.kind).toBe('returned');
    expect(printed(guest)).toBe(`${NUMBERS.join(' ')}\n`);
    expect(read).toEqual(NUMBERS);
  });

  it('passes and reads the arguments of a function that never returns, and its BUG() is known', async () => {
    const guest = await start(name);
    let read: bigint[] = [];
    const hook = guest.engine.hookAddress(guest.symbol('usercopy_abort'), () => {
      read = [2, 3, 4].map((index) => guest.argument(index));
    });
    const outcome = await guest.call('usercopy_abort', [text(guest, 'thing'), text(guest, 'detail'), 1n, 1234n, 5678n]);
    hook.remove();
    expect(outcome.kind).toBe('bug');
    expect(printed(guest)).toBe(
      "usercopy: Kernel memory exposure attempt detected from thing 'detail' (offset 1234, size 5678)!\n",
    );
    expect(read.map((value, index) => (index === 0 ? value & 0xffn : value))).toEqual([1n, 1234n, 5678n]);
  });

  it('can be left at its first instruction: its caller goes on with the value that it was given', async () => {
    const guest = await start(name);
    const { engine, variant, memory } = guest;
    const object = await guest.callForValue('kmalloc', [64n]);
    const call = new GuestCall(variant, engine, engineWords(engine, variant));
    const hooks: Hook[] = ['_copy_to_user', 'raw_copy_to_user', '__arch_copy_to_user']
      .flatMap((symbol) => entryPointOf(guest.kernel, variant, symbol) ?? [])
      .map((address) => engine.hookAddress(address, () => call.leave(33n)));
    expect(hooks.length).toBeGreaterThan(0);
    memory.write(object, new Uint8Array(64).fill(0x5a));
    const outcome = await guest.call('do_copy', [guest.user.address, object, 64n, 1n]);
    for (const hook of hooks) hook.remove();
    expect(outcome).toMatchObject({ kind: 'returned', value: 33n });
    expect(memory.read(guest.user.address, 64).every((byte) => byte === 0)).toBe(true);
  });

  it('learns the depth of the stack where the guest has the rule, and the check judges by it to the byte', async () => {
    const guest = await start(name);
    const depth = await measureStackDepth(guest);
    if (!variantOf(name).hasCurrentStackPointer) {
      expect(depth).toBeNull();
      return;
    }
    const bound = guest.stackPointerAtEntry - depth!.check;
    const passes = async (address: bigint): Promise<boolean> =>
      (await guest.call('__check_object_size', [address, 1n, 1n])).kind === 'returned';
    // Where frames are looked at, they refuse what lies above the stack pointer too, unless it is a caller's own.
    expect(await passes(bound)).toBe(!guest.variant.frames.checkedByKernel(guest.kernel));
    printed(guest);
    expect(await passes(bound - 1n)).toBe(false);
    const offset = BigInt.asUintN(guest.kernel.bits, guest.stackPointerAtEntry - depth!.print - (bound - 1n));
    expect(printed(guest)).toContain(`(offset ${offset}, size 1)`);
  });
});

describe('a copy routine that has its arguments on the stack', () => {
  it('is made to fail by the size that stands there', async () => {
    const guest = await start('i386');
    const { variant, engine, kernel } = guest;
    const onStack: Variant = {
      ...variant,
      registers: { ...variant.registers, arguments: [] },
      uaccess: [
        { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
        { symbol: 'printk', role: 'raw', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
      ],
    };
    const failing = new FailingCopies(engine, kernel, onStack);
    const object = await guest.callForValue('kmalloc', [64n]);
    let first = true;
    const hook = engine.hookAddress(guest.symbol('__check_object_size'), () => {
      if (!first) return;
      first = false;
      failing.fail(onStack.uaccess[0]!, { pointer: object, size: 65n, direction: 'to_user' });
    });
    expect((await guest.call('__check_object_size', [object, 65n, 1n])).kind).toBe('returned');
    hook.remove();
    const outcome = await guest.call('printk', [text(guest, '%p %lu\n'), object, 65n], { places: 'stack' });
    expect(outcome).toMatchObject({ kind: 'returned', value: 65n });
    expect(printed(guest)).toBe('');
  });
});
