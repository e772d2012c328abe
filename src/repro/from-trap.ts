/**
 * The copy that a kernel refused, out of what BUG() left on the stack, where no log tells it. Registers and stack give numbers
 * that may have been its arguments; they are believed when the dump's own check, called with them from the same place,
 * comes to BUG() with the very registers that the trap saved.
 */
import type { Copy, Direction } from '../check/verdict.js';
import type { DumpJudge } from '../dump/judge.js';
import type { Dump } from '../dump/open-dump.js';
import { Words } from '../kernel/words.js';
import type { TraceEntry } from '../report/report.js';
import { isOfCheck } from '../report/trace.js';
import { placeOf } from '../stack/backtrace.js';
import { type BugPlace, type CheckCall, type Crashed, crashedCpu, findCheckCall } from './check-call.js';
import type { Replay } from './replay.js';
import { place, type Standing, withArguments } from './stand-at-check.js';
import { type TrapFrame, trapFramesOf } from './trap-frame.js';

export interface TrapTools {
  judgeOf(dump: Dump): Promise<DumpJudge>;
  /** What the dump's own check says; null where it does not come to an end. */
  replayOf(dump: Dump, copy: Copy): Promise<Replay | null>;
}

/** Bytes of stack between BUG() and the call of the check, at most; and what is looked at of its caller's. */
const DEEPEST_CHECK = 4096n;
const OF_CALLER = 256n;
/** Words that may be where the check returns to, copies that are judged, and copies that are replayed, at most. */
const MOST_CALLERS = 4;
const MOST_TRIES = 20_000;
const MOST_REPLAYS = 256;
const LOWEST_POINTER = 1n << 16n;
/** ZERO_SIZE_PTR of include/linux/slab.h: up to it the check says `null address`. */
const ZERO_SIZE_POINTER = 16n;
const LARGEST_COPY = 1n << 31n;
const DIRECTIONS: readonly Direction[] = ['to_user', 'from_user'];

/** The dump with the CPU at the call of the check; why the copy cannot be known, in words behind a colon. */
export async function copyFromTrap(dump: Dump, tools: TrapTools): Promise<Standing | string> {
  const frames = trapFramesOf(dump);
  if (frames === null) return "a trap's frame is not known on this architecture, or the kernel's types lack it";
  if (frames.length === 0) return 'no stack of a running task has the registers of a BUG() in the check';
  let why = 'the call of __check_object_size was not found on the stack';
  for (const frame of frames) {
    let replays = 0;
    const crashed = crashedAt(dump, frame);
    for (const call of callsOf(dump, frame, crashed)) {
      const placed = place(dump, bugPlace(frame, []), crashed, call);
      const judge = await tools.judgeOf(placed);
      why = 'with no numbers of the registers and the stack does the check come to BUG() as it did';
      let tries = 0;
      for (const { pointer, size } of pairs(valuesOf(dump, frame, call))) {
        if (++tries > MOST_TRIES || replays >= MOST_REPLAYS) break;
        const { verdict } = await judge.judge({ pointer, size, direction: 'to_user' });
        if (verdict.outcome !== 'bad') continue;
        const proven: Copy[] = [];
        for (const direction of DIRECTIONS) {
          const copy = { pointer, size, direction };
          const replay = await tools.replayOf(withArguments(placed, copy, call), copy);
          replays++;
          if (arrivesAt(dump, frame, replay)) proven.push(copy);
        }
        const [copy, other] = proven;
        if (copy === undefined) continue;
        if (other !== undefined) {
          why = 'its registers are the same for both directions';
          continue;
        }
        const sources = { pointerFrom: 'dump stack', sizeFrom: 'dump stack', directionFrom: 'dump stack' } as const;
        return { dump: withArguments(placed, copy, call), copy: { ...copy, ...sources }, judge, notes: [PROVEN] };
      }
    }
  }
  return why;
}

const PROVEN =
  "the copy is from what BUG() left on the task's stack: the dump's own check, called with it, comes to BUG() with the registers that were saved there";

/** The CPU of the frame, with what it held before the check was called as far as the check let it be. */
function crashedAt(dump: Dump, frame: TrapFrame): Crashed {
  const crashed = crashedCpu(dump, frame.stackPointer);
  const kept = [...frame.registers].filter(([name]) => preservedBy(dump).includes(name));
  return { ...crashed, registers: new Map([...crashed.registers, ...kept]) };
}

const preservedBy = ({ variant }: Dump): readonly string[] => variant.dump?.trapFrame?.preserved ?? [];

const bugPlace = ({ registers, stackPointer, symbol }: TrapFrame, trace: readonly TraceEntry[]): BugPlace => ({
  pc: entryOf(symbol, null),
  trace,
  registers,
  stackPointer,
});

const entryOf = (symbol: string, address: bigint | null): TraceEntry => ({
  symbol,
  address,
  offset: null,
  size: null,
  module: null,
  source: null,
  inlined: false,
  reliable: true,
});

/** Calls of the check that may have led to a BUG(), the likeliest first: by linked frames, else by words of the stack. */
function* callsOf(dump: Dump, frame: TrapFrame, crashed: Crashed): Iterable<CheckCall> {
  const linked = findCheckCall(dump, bugPlace(frame, []), crashed);
  if (linked !== null) yield linked;
  for (const address of callersOf(dump, frame)) {
    const trace = [entryOf('__check_object_size', null), entryOf('', address)];
    const call = findCheckCall(dump, bugPlace(frame, trace), crashed);
    if (call !== null) yield call;
  }
}

/** Words behind the last that points into the check and that are code outside of it. */
function callersOf(dump: Dump, { stackPointer }: TrapFrame): readonly bigint[] {
  const { kernel } = dump;
  const modules = dump.modules();
  const places = wordsOf(dump, stackPointer, DEEPEST_CHECK).map((address) => ({
    address,
    symbol: placeOf(kernel, address - 1n, modules).symbol,
  }));
  const isCheck = ({ symbol }: { symbol: string | null }): boolean => symbol !== null && isOfCheck(symbol);
  const first = places.findIndex(({ symbol }) => symbol === '__check_object_size');
  const isCode = ({ address, symbol }: { address: bigint; symbol: string | null }): boolean =>
    symbol !== null &&
    (kernel.symbols.find(address)?.symbol.type.toLowerCase() === 't' || modules?.contains(address) === true);
  const outside = places.slice(first + 1).filter((found) => isCode(found) && !isCheck(found));
  return [...new Set(outside.map(({ address }) => address))].slice(0, MOST_CALLERS);
}

/** Words of the stack, as far as they are there. */
function wordsOf({ kernel }: Dump, start: bigint, length: bigint): readonly bigint[] {
  const PAGE = 4096n;
  const found: bigint[] = [];
  for (let at = start; at < start + length; ) {
    const rest = PAGE - (at % PAGE);
    const count = start + length - at < rest ? start + length - at : rest;
    const bytes = kernel.read(at, Number(count));
    if (bytes === undefined) break;
    const words = new Words(bytes, kernel);
    for (let offset = 0; offset + words.wordBytes <= words.length; offset += words.wordBytes)
      found.push(words.word(offset));
    at += count;
  }
  return found;
}

/** Registers of the trap first. */
function valuesOf(dump: Dump, { registers, stackPointer }: TrapFrame, call: CheckCall): readonly bigint[] {
  const kept = preservedBy(dump).map((name) => registers.get(name) ?? 0n);
  const stack = wordsOf(dump, stackPointer, call.stackPointer + OF_CALLER - stackPointer);
  return [...new Set([...kept, ...registers.values(), ...stack])];
}

/** Pointers and sizes: first those whose end is among the values too, as the check has it. */
function* pairs(values: readonly bigint[]): Iterable<{ readonly pointer: bigint; readonly size: bigint }> {
  const there = new Set(values);
  for (const withEnd of [true, false]) {
    for (const pointer of values) {
      if (pointer > ZERO_SIZE_POINTER && pointer < LOWEST_POINTER) continue;
      for (const size of values) {
        if (size < 1n || size > LARGEST_COPY) continue;
        const hasEnd = there.has(pointer + size) || there.has(pointer + size - 1n);
        if (hasEnd === withEnd) yield { pointer, size };
      }
    }
  }
}

/** Whether a replay stands at BUG() as the machine did. */
function arrivesAt(dump: Dump, frame: TrapFrame, replay: Replay | null): boolean {
  const { kernel, variant } = dump;
  const found = replay?.registers ?? null;
  if (found === null) return false;
  const { pc, sp } = variant.registers;
  const symbol = kernel.symbols.find(found.get(pc) ?? 0n)?.symbol.name;
  return (
    symbol === frame.symbol && [sp, ...preservedBy(dump)].every((name) => found.get(name) === frame.registers.get(name))
  );
}
