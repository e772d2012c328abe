/** Frames and stacks of powerpc: the stack pointer leads to the back chain, one word at the bottom of each frame. */
import type { Kernel } from '../../src/kernel/kernel.js';
import { atLeast } from '../../src/kernel/version.js';
import { Words } from '../../src/kernel/words.js';
import { threadSizeOf } from '../common.js';
import type { FrameConvention, FrameLayout } from '../driver.js';

/** `ld rN,0(r1)` and `lwz rN,0(r1)`: the back chain is read; epilogues add to r1 instead. */
const LOAD_BACK_CHAIN = { 64: 0xe801_0000, 32: 0x8001_0000 } as const;
/** All but the bits of N. */
const WITHOUT_TARGET = 0xfc1f_ffff;
const MOST_CODE = 4096;

/** arch_within_stack_frames() is there from ad64fc04f092 on. */
const WALKED_SINCE = { major: 6, minor: 4 } as const;

/**
 * Whether arch_within_stack_frames() walks frames: the code of the stack check reads the back chain.
 * Where there is no code to look at, the version says it.
 */
function walksFrames(kernel: Kernel): boolean {
  if (kernel.symbols.address('__check_object_size') === undefined) return false;
  const check = kernel.symbols.get('check_stack_object') ?? kernel.symbols.get('__check_object_size');
  const length = check === undefined ? 0 : Math.min(Number(check.size), MOST_CODE) & ~3;
  const code = check === undefined || length === 0 ? undefined : kernel.read(check.address, length);
  if (code === undefined) return atLeast(kernel.version, WALKED_SINCE.major, WALKED_SINCE.minor);
  const words = new Words(code, kernel);
  for (let at = 0; at < length; at += 4) {
    const instruction = words.uint32(at);
    if ((instruction & WITHOUT_TARGET) >>> 0 === LOAD_BACK_CHAIN[kernel.bits]) return true;
  }
  return false;
}

/** @param header STACK_FRAME_PARAMS: bytes from a frame's back chain to what its function owns. */
export function backChainFrames(returnAddress: number, header: number): FrameConvention {
  const layout: FrameLayout = {
    kind: 'back chain',
    recordAt: 'bottom',
    savedFrame: 0,
    returnAddress,
    bias: 0,
    header,
  };
  return {
    linked: true,
    walked: { since: WALKED_SINCE, option: null, layout },
    layout: () => layout,
    checkedByKernel: walksFrames,
  };
}

/** THREAD_SIZE; CONFIG_THREAD_SHIFT is 15 by default from December 2023 on (6.8). `usual` where neither image nor config tell. */
export function stackSizeOf(kernel: Kernel, usual: bigint, pageShift: number): bigint {
  const shift = Number(kernel.config?.get('THREAD_SHIFT') ?? 0);
  if (shift < 12 || shift > 20) return threadSizeOf(kernel, usual, 2n);
  const stack = kernel.config?.enabled('VMAP_STACK') ? Math.max(shift, pageShift) : shift;
  // KASAN doubles stacks below 32 KiB (MIN_THREAD_SHIFT).
  return threadSizeOf(kernel, 1n << BigInt(stack), stack < 15 ? 2n : 1n);
}
