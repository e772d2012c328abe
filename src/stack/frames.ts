/** The frames of a guest that stands at a function's first instruction, by the chain that links them. */
import type { FrameLayout, Variant } from '../../arch/driver.js';
import type { Kernel } from '../kernel/kernel.js';
import { decodeWord } from '../kernel/words.js';
import { stackPointerOf } from './call.js';

export interface StackFrame {
  /** Where the function that the frame belongs to was left: in it, behind a call. */
  readonly place: bigint;
  /** First byte of the frame, and first byte after it; null where the chain ends before it tells. */
  readonly start: bigint;
  readonly end: bigint | null;
  /** Where its links are saved. */
  readonly record: { readonly start: bigint; readonly end: bigint };
}

/** Value of a register of the stopped guest. */
type ReadRegister = (name: string) => bigint;

/** As many as no real stack holds: a chain that goes round in circles ends here. */
const MOST_FRAMES = 64;

/** Reads a word of the guest at an address; undefined where there is none. */
export function wordReader(kernel: Kernel): (address: bigint) => bigint | undefined {
  const size = kernel.bits / 8;
  return (address) => {
    const bytes = kernel.read(BigInt.asUintN(kernel.bits, address), size);
    if (!bytes) return undefined;
    return decodeWord(bytes, kernel);
  };
}

/** Stack pointer as an address, and where the function that was just entered was called from: behind the call, or at it. */
export function callSite(
  register: ReadRegister,
  kernel: Kernel,
  variant: Variant,
): { readonly stackPointer: bigint; readonly returnAddress: bigint | undefined } {
  const { registers, bits } = variant;
  const sp = stackPointerOf(register, variant);
  if (registers.link !== null) return { stackPointer: sp, returnAddress: register(registers.link) };
  return { stackPointer: sp + BigInt(bits / 8), returnAddress: wordReader(kernel)(sp) };
}

/**
 * Frames from the caller of the function that was just entered outwards, as far as the chain holds: records ascend, are
 * aligned, and can be read. None where this kernel keeps no chain. `kernel.read` must show the guest's memory.
 */
export function* linkedFrames(register: ReadRegister, kernel: Kernel, variant: Variant): Generator<StackFrame> {
  const layout = variant.frames.layout(kernel);
  const { stackPointer, returnAddress } = callSite(register, kernel, variant);
  if (layout === null || returnAddress === undefined) return;
  const word = wordReader(kernel);
  const wordBytes = BigInt(variant.bits / 8);
  const header = BigInt(layout.header);
  const saved = (record: bigint): bigint | undefined => word(record + BigInt(layout.savedFrame));
  let place = returnAddress;
  let start = stackPointer;
  let record = firstRecord(layout, register, variant);
  for (let count = 0; count < MOST_FRAMES; count++) {
    if (record < start || record % wordBytes !== 0n) return;
    const fromRegister = count === 0 && layout.kind === 'register windows';
    const link = fromRegister ? register(variant.registers.fp) : saved(record);
    if (link === undefined) return;
    const next = BigInt.asUintN(variant.bits, link + BigInt(layout.bias));
    const bounds = { start: record, end: record + header };
    const end = layout.recordAt === 'top' ? bounds.end : next > record ? next : null;
    yield { place, start, end, record: bounds };
    const left = returnAddressOf(layout, record, next, fromRegister ? register : null, word);
    if (next <= record || end === null || left === undefined) return;
    place = variant.savedAddress?.(left, kernel) ?? left;
    start = end;
    record = next;
  }
}

/** The record of the innermost frame. */
function firstRecord(layout: FrameLayout, register: ReadRegister, { registers, call }: Variant): bigint {
  const pointer = register(layout.kind === 'frame pointers' ? registers.fp : registers.sp);
  const bias = layout.kind === 'register windows' ? (call.stackBias ?? 0) : layout.bias;
  return pointer + BigInt(bias);
}

function returnAddressOf(
  layout: FrameLayout,
  record: bigint,
  next: bigint,
  register: ReadRegister | null,
  word: (address: bigint) => bigint | undefined,
): bigint | undefined {
  if (register !== null && layout.returnRegister !== undefined) return register(layout.returnRegister);
  const holder = layout.kind === 'back chain' ? next : record;
  return word(holder + BigInt(layout.returnAddress));
}
