/** Who called whom, from a stopped guest's stack. */
import type { Variant } from '../arch/driver.js';
import type { Engine } from './engine/engine.js';
import type { Kernel } from './kernel/kernel.js';

/** A place in the kernel's code, as its oops would print it: `symbol+0x1c`. */
export interface CodePlace {
  readonly address: bigint;
  /** null where no symbol covers the address. */
  readonly symbol: string | null;
  /** Bytes from the symbol's start. */
  readonly offset: bigint;
}

export function placeOf(kernel: Kernel, address: bigint): CodePlace {
  const found = kernel.symbols.find(address);
  return { address, symbol: found?.symbol.name ?? null, offset: found?.offset ?? 0n };
}

export interface BacktraceEntry extends CodePlace {
  /** False for a word that merely lies on the stack and looks like a return address: what an oops marks with "?". */
  readonly reliable: boolean;
}

export type Backtrace = readonly BacktraceEntry[];

/** Frames followed, and bytes of stack looked through, at most. */
const MOST_FRAMES = 64;
const MOST_STACK_BYTES = 16_384;
const PAGE = 4096;

function wordReader(kernel: Kernel): (address: bigint) => bigint | undefined {
  const size = kernel.bits / 8;
  const little = kernel.endian === 'little';
  return (address) => {
    const bytes = kernel.read(address, size);
    if (!bytes) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return size === 8 ? view.getBigUint64(0, little) : BigInt(view.getUint32(0, little));
  };
}

/**
 * Frames from the innermost outwards. A chain of frame records is followed where it holds; after it, and where the
 * kernel keeps no frame pointers, words on the stack that point into the text are given as unreliable entries.
 * `kernel.read` must show the guest's memory.
 */
export function backtraceOf(engine: Engine, kernel: Kernel, variant: Variant): Backtrace {
  const word = wordReader(kernel);
  const size = BigInt(kernel.bits / 8);
  const textStart = kernel.symbols.address('_stext');
  const textEnd = kernel.symbols.address('_etext');
  const inText = (address: bigint): boolean =>
    textStart !== undefined && textEnd !== undefined && address >= textStart && address < textEnd;
  const entry = (address: bigint, reliable: boolean): BacktraceEntry => ({ ...placeOf(kernel, address), reliable });

  const entries: BacktraceEntry[] = [];
  const sp = engine.readRegister(variant.registers.sp) + BigInt(variant.frames.bias);
  const first = variant.registers.link === null ? word(sp) : engine.readRegister(variant.registers.link);
  if (first !== undefined && inText(first)) entries.push(entry(first, true));

  let scanFrom = variant.registers.link === null ? sp + size : sp;
  let frame = engine.readRegister(variant.registers.fp) + BigInt(variant.frames.bias);
  while (entries.length < MOST_FRAMES && frame >= scanFrom && frame % size === 0n) {
    const address = word(frame + BigInt(variant.frames.returnAddress));
    const next = word(frame + BigInt(variant.frames.savedFrame));
    if (address === undefined || next === undefined || !inText(address)) break;
    entries.push(entry(address, true));
    scanFrom = frame + BigInt(variant.frames.header);
    frame = next + BigInt(variant.frames.bias);
  }

  for (const value of textAddresses(kernel, scanFrom, textStart, textEnd)) {
    if (entries.length >= MOST_FRAMES) break;
    entries.push(entry(value, false));
  }
  return entries;
}

/**
 * Whose frame a stack address lies in, in words. Frames are told apart where calls push the return address, so that the
 * record is a frame's upper end, and as far as the chain of records holds.
 * `kernel.read` must show the guest's memory, stopped at a function's first instruction.
 */
export function describeStackAddress(engine: Engine, kernel: Kernel, variant: Variant, address: bigint): string {
  const word = wordReader(kernel);
  const { registers, frames } = variant;
  const sp = engine.readRegister(registers.sp) + BigInt(frames.bias);
  if (address < sp) return `${sp - address} bytes below the stack pointer: in no frame, or in one that is gone`;
  let owner = registers.link === null ? word(sp) : engine.readRegister(registers.link);
  let start = sp;
  let frame = engine.readRegister(registers.fp) + BigInt(frames.bias);
  const deepest = variant.call.pushesReturnAddress ? MOST_FRAMES : 0;
  for (let depth = 0; depth < deepest && owner !== undefined && frame >= start; depth++) {
    const end = frame + BigInt(frames.header);
    if (address < end) {
      const { symbol, offset } = placeOf(kernel, owner);
      const name = symbol === null ? `0x${owner.toString(16)}` : `${symbol}+0x${offset.toString(16)}`;
      return address < frame
        ? `in the frame of ${name}, ${frame - address} bytes below its frame pointer`
        : `in the frame of ${name}, at its saved frame pointer and return address`;
    }
    owner = word(frame + BigInt(frames.returnAddress));
    const next = word(frame + BigInt(frames.savedFrame));
    start = end;
    if (next === undefined) break;
    frame = next + BigInt(frames.bias);
  }
  return `${address - sp} bytes above the stack pointer, in a frame that is not known`;
}

/** Words of the stack from `start` on that lie in the text: pages are read whole, halves compared as numbers. */
function* textAddresses(
  kernel: Kernel,
  start: bigint,
  textStart: bigint | undefined,
  textEnd: bigint | undefined,
): Iterable<bigint> {
  if (textStart === undefined || textEnd === undefined) return;
  const size = kernel.bits / 8;
  const little = kernel.endian === 'little';
  const highFirst = Number(textStart >> 32n);
  const highLast = Number(textEnd >> 32n);
  let address = start;
  for (let left = MOST_STACK_BYTES; left > 0; ) {
    const length = Math.min(left, PAGE - Number(address % BigInt(PAGE)));
    const bytes = kernel.read(address, length);
    if (!bytes) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let at = 0; at + size <= length; at += size) {
      const high = size === 8 ? view.getUint32(at + (little ? 4 : 0), little) : 0;
      if (high < highFirst || high > highLast) continue;
      const value = size === 8 ? view.getBigUint64(at, little) : BigInt(view.getUint32(at, little));
      if (value >= textStart && value < textEnd) yield value;
    }
    address += BigInt(length);
    left -= length;
  }
}
