/** Where `__check_object_size` was called from, in a dump that was made after it had refused a copy: its stack and its caller. */
import type { RegisterValues } from '../../arch/dump.js';
import { type CurrentTaskFound, currentTask, taskWithStack } from '../dump/current.js';
import type { Dump } from '../dump/open-dump.js';
import { Words } from '../kernel/words.js';
import type { TraceEntry, UsercopyReport } from '../report/report.js';
import { isOfCheck } from '../report/trace.js';
import { linkedFrames } from '../stack/frames.js';

/** The CPU that a report is about, and the task that it ran. */
export interface Crashed {
  readonly registers: RegisterValues;
  readonly task: CurrentTaskFound | null;
  /** No CPU runs that task any more. */
  readonly gone: boolean;
}

/** The call of the check, as the CPU stood at its first instruction. */
/** What a report, or a trap's frame, tells of where BUG() was. */
export type BugPlace = Pick<UsercopyReport, 'pc' | 'trace' | 'registers' | 'stackPointer'>;

export interface CheckCall {
  /** Stack pointer, as an address. */
  readonly stackPointer: bigint;
  readonly returnAddress: bigint;
  /** Frame pointer of the caller; null where nothing links frames by one. */
  readonly framePointer: bigint | null;
}

/** Bytes of stack between the check's first frame and where BUG() was, at most. */
const DEEPEST_CHECK = 4096n;
const PROLOGUE_BYTES = 64;

/** The CPU whose task's stack holds the stack pointer of a report; without one, the first CPU. */
export function crashedCpu(dump: Dump, stackPointer: bigint | null): Crashed {
  const { kernel, variant } = dump;
  const size = variant.threadSize(kernel);
  const running = dump.cpus.map((registers) => ({ registers, task: currentTask(kernel, variant, registers) }));
  if (stackPointer === null) {
    const [first] = running;
    return { registers: first?.registers ?? dump.registers, task: first?.task ?? null, gone: false };
  }
  const onStack = (task: CurrentTaskFound | null): boolean =>
    task !== null && stackPointer >= task.stack && stackPointer < task.stack + size;
  const found = running.find(({ task }) => onStack(task));
  if (found !== undefined) return { ...found, gone: false };
  const other = taskWithStack(kernel, variant, stackPointer);
  return { registers: running[0]?.registers ?? dump.registers, task: other, gone: other !== null };
}

/** By the chain of frames from where BUG() was, else by the return address on the stack; null where neither is there. */
export function findCheckCall(dump: Dump, report: BugPlace, { task }: Crashed): CheckCall | null {
  const { stackPointer } = report;
  if (stackPointer === null || task === null) return null;
  const callers = callerAddresses(dump, report);
  return byChain(dump, report, stackPointer, callers) ?? byStack(dump, task, stackPointer, callers);
}

/** Addresses behind the call of the check, as the log's trace names them. */
function callerAddresses(dump: Dump, { trace, pc }: BugPlace): readonly bigint[] {
  const entries = [...(pc === null ? [] : [pc]), ...trace].filter(({ reliable, inlined }) => reliable && !inlined);
  const last = entries.findLastIndex(({ symbol }) => isOfCheck(symbol));
  const caller = last < 0 ? undefined : entries[last + 1];
  return caller === undefined ? [] : addressesOf(dump, caller);
}

function addressesOf(dump: Dump, { symbol, offset, module, address }: TraceEntry): readonly bigint[] {
  if (address !== null) return [address];
  if (offset === null) return [];
  const starts =
    module === null
      ? dump.kernel.symbols.all(symbol).map((found) => found.address)
      : (dump.modules()?.addresses(module, symbol) ?? []);
  return starts.map((start) => start + BigInt(offset));
}

/** Frames from the one that BUG() was in, up to the check's own; the next is its caller's. */
function byChain(dump: Dump, report: BugPlace, stackPointer: bigint, callers: readonly bigint[]): CheckCall | null {
  const { kernel, variant } = dump;
  const layout = variant.frames.layout(kernel);
  if (layout === null) return null;
  const { sp, fp, link } = variant.registers;
  const known = new Map([[sp, stackPointer - BigInt(variant.call.stackBias ?? 0)]]);
  const framePointer = report.registers.get(fp);
  if (fp !== sp && framePointer !== undefined) known.set(fp, framePointer);
  if (link !== null) known.set(link, 0n);
  const frames = [...linkedFrames((name) => known.get(name) ?? 0n, kernel, variant)];
  const ofCheck = ({ place }: { place: bigint }, index: number): boolean => {
    if (index === 0) return true;
    const found = kernel.symbols.find(place - 1n);
    return found !== undefined && isOfCheck(found.symbol.name);
  };
  const outside = frames.findIndex((frame, index) => !ofCheck(frame, index));
  const own = frames[outside - 1];
  const caller = frames[outside];
  if (own === undefined || caller === undefined || own.end === null) return null;
  if (outside === 1 && (report.pc === null || !isOfCheck(report.pc.symbol))) return null;
  if (callers.length > 0 && !callers.includes(caller.place)) return null;
  const pushed = variant.call.pushesReturnAddress ? BigInt(variant.bits / 8) : 0n;
  const start = outside === 1 ? kernel.symbols.address(report.pc?.symbol ?? '') : symbolStart(dump, own.place - 1n);
  // Where the record may lie anywhere in a frame the next one says nothing of where this one ends.
  const distance = recordToEntry(dump, start);
  const bottom = distance === null ? own.end - BigInt(layout.bias) : own.record.start + distance;
  return {
    stackPointer: layout.recordAt === 'top' ? own.end - pushed : bottom,
    returnAddress: caller.place,
    framePointer: fp === sp ? null : caller.record.start - BigInt(layout.bias),
  };
}

/** From the record of the function that begins at `start` to its caller's stack pointer; null where its code does not tell. */
function recordToEntry({ kernel, variant }: Dump, start: bigint | undefined): bigint | null {
  const code = start === undefined ? undefined : kernel.read(start, PROLOGUE_BYTES);
  return (code && variant.frames.recordToEntry?.(code)) ?? null;
}

const symbolStart = ({ kernel }: Dump, place: bigint): bigint | undefined => kernel.symbols.find(place)?.symbol.address;

/** The return address on the stack; where calls leave it in a register it was saved in the check's record, or at the end of its frame. */
function byStack(
  dump: Dump,
  task: CurrentTaskFound,
  stackPointer: bigint,
  callers: readonly bigint[],
): CheckCall | null {
  const { kernel, variant } = dump;
  const word = BigInt(variant.bits / 8);
  const end = task.stack + variant.threadSize(kernel);
  const start = stackPointer - (stackPointer % word);
  const length = start + DEEPEST_CHECK < end ? DEEPEST_CHECK : end - start;
  const bytes = length > 0n ? kernel.read(start, Number(length)) : undefined;
  if (bytes === undefined) return null;
  const words = new Words(bytes, kernel);
  const distance = recordToEntry(dump, kernel.symbols.address('__check_object_size'));
  const inRecord = BigInt(variant.frames.layout(kernel)?.returnAddress ?? 0);
  for (let at = 0; at + words.wordBytes <= words.length; at += words.wordBytes) {
    const saved = words.word(at);
    const value = variant.savedAddress?.(saved, kernel) ?? saved;
    if (!callers.includes(value)) continue;
    const place = start + BigInt(at);
    const behind = distance === null ? place + word : place - inRecord + distance;
    const stackPointer = variant.call.pushesReturnAddress ? place : behind;
    return { stackPointer, returnAddress: value, framePointer: null };
  }
  return null;
}
