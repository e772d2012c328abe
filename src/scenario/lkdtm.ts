/**
 * Copies that every real kernel judges by itself: the crash types of LKDTM (drivers/misc/lkdtm/usercopy.c) and their
 * neighbours, each with a good twin, put to the kernel's own `__check_object_size`.
 */
import type { Guest } from '../guest/guest.js';
import type { Direction } from '../verdict.js';
import type { TwinCase } from './twins.js';

/** LKDTM copies 32 bytes of stack. */
const STACK_BYTES = 32n;

/** Cases that need nothing but the image and a task. */
export function lkdtmCases(guest: Guest): TwinCase[] {
  const cases: TwinCase[] = [];
  const both = (name: string, pointer: bigint, size: bigint): void => {
    for (const direction of ['to_user', 'from_user'] as const satisfies readonly Direction[]) {
      cases.push({ name: `${name}, ${direction.replace('_', ' ')}`, copy: { pointer, size, direction } });
    }
  };
  const top = guest.kernel.bits === 64 ? 0xffffffffffffffffn : 0xffffffffn;
  const { start, end } = guest.stack;

  both('empty', 0n, 0n);
  both('null', 0n, 16n);
  both('ZERO_SIZE_PTR', 16n, 16n);
  both('wrapped', top - 7n, 16n);
  both('user memory', guest.user.address, 64n);
  both('stack: above the stack pointer', guest.stackPointer + 64n, STACK_BYTES);
  both('stack: the last bytes', end - STACK_BYTES, STACK_BYTES);
  both('stack: below the stack pointer', guest.stackPointer - 2048n, STACK_BYTES);
  both('stack: across its start', start - 8n, STACK_BYTES);
  both('stack: across its end (beyond)', end - 8n, STACK_BYTES);
  const text = guest.symbol('_stext');
  both('kernel text', text + 64n, 1024n);
  both('kernel text: across its start', text - 8n, 16n);
  both('kernel text: across its end', guest.symbol('_etext') - 8n, 16n);
  return cases;
}
