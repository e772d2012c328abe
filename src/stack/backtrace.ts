/** Who called whom, from a stopped guest's stack. */
import type { FrameLayout, Variant } from '../../arch/driver.js';
import type { Engine } from '../engine/engine.js';
import { hex } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { Words } from '../kernel/words.js';
import { callSite, linkedFrames } from './frames.js';

/** A place in the kernel's code, as its oops would print it: `symbol+0x1c`. */
export interface CodePlace {
  readonly address: bigint;
  /** null where no symbol covers the address. */
  readonly symbol: string | null;
  /** Bytes from the symbol's start. */
  readonly offset: bigint;
  /** Module that the code belongs to; null for the kernel's own, and where modules are not known. */
  readonly module: string | null;
}

/** Code outside of the kernel image. */
export interface ModuleCode {
  contains(address: bigint): boolean;
  find(address: bigint): { readonly module: string; readonly symbol: string | null; readonly offset: bigint } | null;
}

export function placeOf(kernel: Kernel, address: bigint, modules: ModuleCode | null = null): CodePlace {
  const inModule = modules?.find(address) ?? null;
  if (inModule !== null) return { address, ...inModule };
  const found = kernel.symbols.find(address);
  return { address, symbol: found?.symbol.name ?? null, offset: found?.offset ?? 0n, module: null };
}

export interface BacktraceEntry extends CodePlace {
  /** False for a word that merely lies on the stack and looks like a return address: what an oops marks with "?". */
  readonly reliable: boolean;
}

export type Backtrace = readonly BacktraceEntry[];

/** How the reliable entries behind the first were found; with `stack scan` there are none. */
export type BacktraceMethod = FrameLayout['kind'] | 'stack scan';

/** Entries given, and bytes of stack looked through, at most. */
const MOST_ENTRIES = 64;
const MOST_STACK_BYTES = 16_384;
const PAGE = 4096;

/**
 * Frames from the innermost outwards, of a guest that stands at a function's first instruction. The chain of frames is
 * followed where this kernel keeps one and it holds; after it, words on the stack that point into the text are given as
 * unreliable entries. With `modules` code of theirs counts too. `kernel.read` must show the guest's memory.
 */
export function backtraceOf(
  engine: Pick<Engine, 'readRegister'>,
  kernel: Kernel,
  variant: Variant,
  modules: ModuleCode | null = null,
): Backtrace {
  const textStart = kernel.symbols.address('_stext');
  const textEnd = kernel.symbols.address('_etext');
  const inText = (address: bigint): boolean =>
    textStart !== undefined && textEnd !== undefined && address >= textStart && address < textEnd;
  const isCode = (address: bigint): boolean => inText(address) || modules?.contains(address) === true;
  const entry = (address: bigint, reliable: boolean): BacktraceEntry => ({
    ...placeOf(kernel, address, modules),
    reliable,
  });
  const register = (name: string): bigint => engine.readRegister(name);

  const entries: BacktraceEntry[] = [];
  const { stackPointer, returnAddress } = callSite(register, kernel, variant);
  if (returnAddress !== undefined && isCode(returnAddress)) entries.push(entry(returnAddress, true));
  let scanFrom = stackPointer;
  // The chain may lead to another stack: from an interrupt's to the task's.
  let onStack = stackPointer;
  let outer = false;
  for (const { place, record } of linkedFrames(register, kernel, variant)) {
    // The innermost one is where the call came from, chain or not.
    if (outer) {
      if (!isCode(place)) break;
      entries.push(entry(place, true));
    }
    outer = true;
    scanFrom = record.end;
    onStack = record.start;
  }
  const end = stackEnd(onStack, variant.threadSize(kernel));
  for (const value of textAddresses(kernel, [scanFrom, end], textStart, textEnd)) {
    if (entries.length >= MOST_ENTRIES) break;
    entries.push(entry(value, false));
  }
  return entries;
}

/** Where the stack ends that an address lies in: stacks are aligned to their size. One that stands at an end has nothing above it. */
const stackEnd = (address: bigint, size: bigint): bigint => ((address + size - 1n) / size) * size;

/** By what the reliable entries of a kernel's backtraces are found. */
export function backtraceMethod(kernel: Kernel, variant: Variant): BacktraceMethod {
  return variant.frames.layout(kernel)?.kind ?? 'stack scan';
}

/** Whose frame a stack address lies in, in words, as far as this kernel links its frames. `kernel.read` must show the guest's memory. */
export function describeStackAddress(
  engine: Pick<Engine, 'readRegister'>,
  kernel: Kernel,
  variant: Variant,
  address: bigint,
): string {
  const register = (name: string): bigint => engine.readRegister(name);
  const { stackPointer } = callSite(register, kernel, variant);
  if (address < stackPointer)
    return `${stackPointer - address} bytes below the stack pointer: in no frame, or in one that is gone`;
  for (const { place, start, end, record } of linkedFrames(register, kernel, variant)) {
    if (end === null) break;
    if (address >= end) continue;
    const { symbol, offset } = placeOf(kernel, place);
    const name = symbol === null ? hex(place) : `${symbol}+${hex(offset)}`;
    if (address >= record.start && address < record.end) return `in the frame of ${name}, where it saves its registers`;
    return `in the frame of ${name}, ${address - start} bytes above its lower end`;
  }
  return `${address - stackPointer} bytes above the stack pointer, in a frame that is not known`;
}

/** Words of the stack in [start, end) that lie in the text: pages are read whole, halves compared as numbers. */
function* textAddresses(
  kernel: Kernel,
  [start, end]: readonly [bigint, bigint],
  textStart: bigint | undefined,
  textEnd: bigint | undefined,
): Iterable<bigint> {
  if (textStart === undefined || textEnd === undefined) return;
  const size = kernel.bits / 8;
  const highFirst = Number(textStart >> 32n);
  const highLast = Number(textEnd >> 32n);
  let address = start;
  for (let left = Math.min(MOST_STACK_BYTES, Number(end - start)); left > 0; ) {
    const length = Math.min(left, PAGE - Number(address % BigInt(PAGE)));
    const bytes = kernel.read(address, length);
    if (!bytes) return;
    const words = new Words(bytes, kernel);
    for (let at = 0; at + size <= length; at += size) {
      const high = words.highHalf(at);
      if (high < highFirst || high > highLast) continue;
      const value = words.word(at);
      if (value >= textStart && value < textEnd) yield value;
    }
    address += BigInt(length);
    left -= length;
  }
}
