/**
 * Frames of ARM code. Compilers disagree about them, and kernels with frame pointers (CONFIG_UNWINDER_FRAME_POINTER) come
 * from several; the prologue of the check tells which it was. Thumb-2 kernels have none.
 */
import type { Kernel } from '../../src/kernel/kernel.js';
import { LITTLE, Words } from '../../src/kernel/words.js';
import { prologueOf } from '../common.js';
import type { FrameConvention, FrameLayout } from '../driver.js';

/** -mapcs-frame: { fp, sp, lr, pc }, and fp points at the pc. */
const APCS: FrameLayout = {
  kind: 'frame pointers',
  recordAt: 'top',
  savedFrame: 0,
  returnAddress: 8,
  bias: -12,
  header: 16,
};
/** clang: { fp, lr }, and fp points at the fp. */
const CLANG: FrameLayout = { ...APCS, returnAddress: 4, bias: 0, header: 8 };
/** gcc without -mapcs-frame: the same record, and fp points at the lr. */
const GCC: FrameLayout = { ...CLANG, bias: -4 };

/** Room for ftrace's call before the prologue. */
const PROLOGUE_BYTES = 48;
/** mov ip, sp */
const SAVES_STACK_POINTER = 0xe1a0c00d;
/** push {…} */
const PUSH = 0xe92d;
/** add fp, sp, #… */
const SETS_FRAME_POINTER = 0xe28db0;

function layout(kernel: Kernel): FrameLayout | null {
  if (kernel.config && !kernel.config.enabled('FRAME_POINTER')) return null;
  const code = prologueOf(kernel, PROLOGUE_BYTES);
  if (code === null) return APCS;
  const view = new Words(code, LITTLE);
  let pushed = 0;
  for (let at = 0; at + 4 <= code.length; at += 4) {
    const instruction = view.uint32(at);
    if (instruction === SAVES_STACK_POINTER) return APCS;
    if (instruction >>> 16 === PUSH) pushed = bitsIn(instruction & 0xffff);
    if (instruction >>> 8 === SETS_FRAME_POINTER) {
      const words = (instruction & 0xff) / 4;
      return words === pushed - 2 ? CLANG : GCC;
    }
  }
  return null;
}

function bitsIn(mask: number): number {
  let count = 0;
  for (let left = mask; left !== 0; left &= left - 1) count++;
  return count;
}

/** Mainline has no arch_within_stack_frames() here. */
export const frames: FrameConvention = { linked: true, layout, checkedByKernel: () => false };
