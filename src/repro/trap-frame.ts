/**
 * What BUG() left on the stack of a dumped task: the registers of the place where the check had refused a copy. A dump that
 * was made later, in panic(), has it where nothing went on running on that stack.
 */
import { currentTask } from '../dump/current.js';
import type { Dump } from '../dump/open-dump.js';
import { Words } from '../kernel/words.js';
import { isOfCheck } from '../report/trace.js';

export interface TrapFrame {
  /** Of the trap, under the engine's names. */
  readonly registers: ReadonlyMap<string, bigint>;
  /** As an address. */
  readonly stackPointer: bigint;
  /** Function that BUG() is in. */
  readonly symbol: string;
}

/** Bytes between a trap's frame and the stack pointer that it saved, at most: red zones, and frames that the entry makes. */
const LARGEST_GAP = 1024n;

/** The frames of a BUG() in the check, on the stacks of all tasks that CPUs run; null where the kernel's types do not tell it. */
export function trapFramesOf(dump: Dump): readonly TrapFrame[] | null {
  const { kernel, variant, cpus } = dump;
  const layout = variant.dump?.trapFrame;
  if (layout === undefined) return null;
  const type = kernel.types?.hasStruct('pt_regs') ? kernel.types.struct('pt_regs') : null;
  const size = type?.size ?? layout.size;
  if (size === undefined || type?.has(layout.member) === false) return null;
  const begin = type?.offset(layout.member) ?? 0;
  const tasks = cpus.map((registers) => currentTask(kernel, variant, registers)).filter((task) => task !== null);
  const stacks = new Set(tasks.map(({ stack }) => stack));
  return [...stacks].flatMap((stack) => framesOn(dump, stack, begin, size));
}

function framesOn(dump: Dump, stack: bigint, begin: number, size: number): TrapFrame[] {
  const { kernel, variant } = dump;
  const end = stack + variant.threadSize(kernel);
  const bytes = kernel.read(stack, Number(end - stack));
  if (bytes === undefined || !variant.dump) return [];
  const words = new Words(bytes, kernel);
  const { wordBytes } = words;
  const names = variant.dump.prstatus.registers.slice(0, Math.floor((size - begin) / wordBytes));
  const { pc, sp } = variant.registers;
  const [pcAt, spAt] = [names.indexOf(pc), names.indexOf(sp)];
  const found: (TrapFrame & { readonly above: bigint })[] = [];
  if (pcAt < 0 || spAt < 0) return [];
  for (let at = 0; at + size <= words.length; at += wordBytes) {
    const word = (index: number): bigint => words.word(at + begin + index * wordBytes);
    const stackPointer = word(spAt) + BigInt(variant.call.stackBias ?? 0);
    const above = stackPointer - (stack + BigInt(at + size));
    if (above < 0n || above > LARGEST_GAP || stackPointer >= end) continue;
    const symbol = kernel.symbols.find(word(pcAt))?.symbol.name;
    if (symbol === undefined || !isOfCheck(symbol)) continue;
    const named = names.flatMap((name, index) => (name === null ? [] : [[name, word(index)] as const]));
    found.push({ registers: new Map(named), stackPointer, symbol, above });
  }
  // Words a little off may look like one too, where a link register has the same place: the true one lies closest.
  return found.sort((left, right) => Number(left.above - right.above));
}
