/** Frames of x86: the frame pointer leads to the saved one, the return address behind it. */

import { indexOfBytes } from '../../src/kernel/bytes.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { prologueOf } from '../common.js';
import type { FrameConvention } from '../driver.js';

/** Room for a call of ftrace's before the prologue. */
const PROLOGUE_BYTES = 24;
const PUSH_FRAME_POINTER = 0x55;

/**
 * Whether the kernel was built with CONFIG_FRAME_POINTER. Where the config is not known, the prologue of the check tells:
 * `push` of the frame pointer, then the stack pointer moved there. Without a check to look at, it is taken to be.
 */
function hasFramePointers(kernel: Kernel, move: Uint8Array): boolean {
  if (kernel.config) return kernel.config.enabled('FRAME_POINTER');
  const code = prologueOf(kernel, PROLOGUE_BYTES);
  if (code === null) return true;
  const push = code.indexOf(PUSH_FRAME_POINTER);
  return push >= 0 && indexOfBytes(code, move) > push;
}

/**
 * The convention for words of `word` bytes. arch_within_stack_frames() looks at frames under CONFIG_FRAME_POINTER alone
 * (arch/x86/include/asm/thread_info.h). `move` is the machine code of "stack pointer to frame pointer".
 */
export function framePointerFrames(word: number, move: readonly number[]): FrameConvention {
  const code = Uint8Array.from(move);
  const layout = {
    kind: 'frame pointers',
    recordAt: 'top',
    savedFrame: 0,
    returnAddress: word,
    bias: 0,
    header: 2 * word,
  } as const;
  return {
    linked: true,
    // 0f60a8efe400 ("mm: Implement stack frame object validation"), with the check itself.
    walked: { since: { major: 4, minor: 8 }, option: 'CONFIG_FRAME_POINTER', layout },
    layout: (kernel) => (hasFramePointers(kernel, code) ? layout : null),
    checkedByKernel: (kernel) =>
      kernel.symbols.address('__check_object_size') !== undefined && hasFramePointers(kernel, code),
  };
}
