/**
 * The copy that a kernel refused, out of what BUG() left on the stack, where no log tells it. Registers and stack give numbers
 * that may have been its arguments; they are believed when the dump's own check, called with them from the same place,
 * comes to BUG() with the very registers that the trap saved, and no other numbers bring it there with as many words of its
 * frames as the dump has them. What was not tried, or could not be, is said.
 */
import type { Copy, Direction } from '../check/verdict.js';
import type { DumpJudge } from '../dump/judge.js';
import type { Dump } from '../dump/open-dump.js';
import { type ErrorKind, hex, UsercopyError } from '../errors.js';
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
  /**
   * Has the dump's own check judge one copy after the other, as long as `use` takes. What it throws of kind `guest`, `engine` or
   * `bad-input` says of one copy that the check did not come to an end; anything else, that there is no emulator to ask.
   */
  withReplays<T>(dump: Dump, use: (replayOf: (copy: Copy) => Promise<Replay>) => Promise<T>): Promise<T>;
}

/** Bytes of stack between BUG() and the call of the check, at most; and what is looked at of its caller's. */
const DEEPEST_CHECK = 4096n;
const OF_CALLER = 256n;
/** Words that may be where the check returns to, at most. */
const MOST_CALLERS = 8;
/** For one call of the check: pairs of numbers that are judged, copies that are replayed, and guest instructions for them. */
const MOST_TRIES = 20_000;
const MOST_REPLAYS = 2048;
const MOST_INSTRUCTIONS = 50_000_000;
/** Guest instructions of one copy; those of a replay that did not come to an end count as so many. */
export const INSTRUCTIONS_OF_A_COPY = 2_000_000;
const LOWEST_POINTER = 1n << 16n;
/** ZERO_SIZE_PTR of include/linux/slab.h: up to it the check says `null address`. */
const ZERO_SIZE_POINTER = 16n;
const LARGEST_COPY = 1n << 31n;
const DIRECTIONS: readonly Direction[] = ['to_user', 'from_user'];
const MOST_LISTED = 4;

/** A copy with which the check comes to BUG() as it did. */
export interface Match {
  readonly copy: Copy;
  /**
   * Words of the check's frames that are not what the dump has there: registers that it saved, as they were before its call.
   * Infinity where either cannot be read: such a match ranks last.
   */
  readonly differing: number;
  readonly placed: Dump;
  readonly call: CheckCall;
  readonly judge: DumpJudge;
}

/** What a search did not look at, over all calls of the check. */
interface Gaps {
  readonly limits: Set<string>;
  /** Copies that the check could not judge, since memory is not there. */
  unreadable: number;
  /** Copies that the dump's own check did not come to an end with, and what it said of the first. */
  unreplayed: number;
  why: string | null;
}

function gapsIn({ limits, unreadable, unreplayed, why }: Gaps): readonly string[] {
  const copies = (count: number): string => (count === 1 ? '1 copy' : `${count} copies`);
  return [
    ...limits,
    ...(unreadable === 0 ? [] : [`${copies(unreadable)} could not be judged, since memory is not in the dump`]),
    ...(unreplayed === 0 ? [] : [`${copies(unreplayed)} could not be replayed (the first: ${why})`]),
  ];
}

/** The dump with the CPU at the call of the check; why the copy cannot be known, in words behind a colon. */
export async function copyFromTrap(dump: Dump, tools: TrapTools): Promise<Standing | string> {
  const frames = trapFramesOf(dump);
  if (frames === null) return "a trap's frame is not known on this architecture, or the kernel's types lack it";
  if (frames.length === 0) return 'no stack of a running task has the registers of a BUG() in the check';
  const matches: Match[] = [];
  const gaps: Gaps = { limits: new Set(), unreadable: 0, unreplayed: 0, why: null };
  let calls = 0;
  for (const frame of frames) {
    const crashed = crashedAt(dump, frame);
    for (const { call, linked } of callsOf(dump, frame, crashed, gaps)) {
      calls++;
      const placed = place(dump, bugPlace(frame, []), crashed, call);
      const found = await matchesOf(placed, frame, call, tools, gaps);
      matches.push(...found);
      // Frames that are linked leave no doubt about the call.
      if (linked && found.length > 0) break;
    }
  }
  if (calls === 0) return 'the call of __check_object_size was not found on the stack';
  return chosenOf(matches, gapsIn(gaps));
}

/** The one copy that is left, else why there is none. */
export function chosenOf(matches: readonly Match[], gaps: readonly string[]): Standing | string {
  const least = Math.min(...matches.map(({ differing }) => differing));
  const left = unique(matches.filter(({ differing }) => differing === least));
  const [match, ...rivals] = left;
  if (match === undefined) {
    const none = 'no numbers of the registers and the stack bring the check to BUG() as it got there';
    return [none, ...gaps].join('; ');
  }
  if (rivals.length > 0) {
    return [`ambiguous: the check comes to BUG() as it did with ${listed(left, ', or with ')}`, ...gaps].join('; ');
  }
  const { copy, placed, call, judge } = match;
  const sources = { pointerFrom: 'dump stack', sizeFrom: 'dump stack', directionFrom: 'dump stack' } as const;
  const lost = unique(matches).filter((other) => described(other.copy) !== described(copy));
  const doubts = [
    ...(lost.length === 0
      ? []
      : [
          `${lost.length} other ${lost.length === 1 ? 'copy brings' : 'copies bring'} the check to BUG() with these registers too, but leave more words of its stack different from the dump's: ${listed(lost, ', ')}`,
        ]),
    ...gaps.map((text) => `not all numbers of the registers and the stack were tried for the copy: ${text}`),
  ];
  return { dump: withArguments(placed, copy, call), copy: { ...copy, ...sources }, judge, notes: [PROVEN, ...doubts] };
}

const PROVEN =
  "the copy is from what BUG() left on the task's stack: the dump's own check, called with it, comes to BUG() with the registers that were saved there";

function listed(matches: readonly Match[], between: string): string {
  const shown = matches.slice(0, MOST_LISTED).map(({ copy }) => described(copy));
  const more = matches.length > shown.length ? `, and ${matches.length - shown.length} more` : '';
  return `${shown.join(between)}${more}`;
}

const described = ({ pointer, size, direction }: Copy): string =>
  `${size} bytes at ${hex(pointer)} ${direction.replace('_', ' ')}`;

/** Of a copy that several calls would explain the first. */
function unique(matches: readonly Match[]): readonly Match[] {
  const byCopy = new Map<string, Match>();
  for (const match of matches) {
    const key = described(match.copy);
    if (!byCopy.has(key)) byCopy.set(key, match);
  }
  return [...byCopy.values()];
}

/** Every copy that the numbers of registers and stack may mean, judged first, since most are none that is refused. */
async function matchesOf(
  placed: Dump,
  frame: TrapFrame,
  call: CheckCall,
  tools: TrapTools,
  gaps: Gaps,
): Promise<readonly Match[]> {
  const judge = await tools.judgeOf(placed);
  return tools.withReplays(placed, async (replayOf) => {
    const matches: Match[] = [];
    let [tries, replays, instructions] = [0, 0, 0];
    for (const { pointer, size } of pairs(valuesOf(placed, frame, call))) {
      if (tries++ >= MOST_TRIES) {
        gaps.limits.add(`given up after ${MOST_TRIES} pairs of a pointer and a size`);
        return matches;
      }
      for (const direction of DIRECTIONS) {
        const copy = { pointer, size, direction };
        const { verdict } = await judge.judge(copy);
        if (verdict.outcome === 'unreadable') gaps.unreadable++;
        if (verdict.outcome !== 'bad') continue;
        if (replays >= MOST_REPLAYS || instructions >= MOST_INSTRUCTIONS) {
          gaps.limits.add(
            `given up after ${replays} copies that the check refuses, ${instructions} guest instructions`,
          );
          return matches;
        }
        replays++;
        const replay = await replayOf(copy).catch(notEnded);
        if (typeof replay === 'string') {
          instructions += INSTRUCTIONS_OF_A_COPY;
          gaps.unreplayed++;
          gaps.why ??= replay;
          continue;
        }
        instructions += replay.instructions;
        if (!arrivesAt(placed, frame, replay)) continue;
        matches.push({ copy, differing: differingWords(placed, replay), placed, call, judge });
      }
    }
    return matches;
  });
}

const OF_ONE_COPY: readonly ErrorKind[] = ['guest', 'engine', 'bad-input'];

/** Why the check did not come to an end with a copy; an emulator that was opened may fail at one copy and not at others. */
function notEnded(error: unknown): string {
  if (error instanceof UsercopyError && OF_ONE_COPY.includes(error.kind)) return error.message;
  throw error;
}

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
function* callsOf(
  dump: Dump,
  frame: TrapFrame,
  crashed: Crashed,
  gaps: Gaps,
): Iterable<{ readonly call: CheckCall; readonly linked: boolean }> {
  const linked = findCheckCall(dump, bugPlace(frame, []), crashed);
  if (linked !== null) yield { call: linked, linked: true };
  const seen = new Set(linked === null ? [] : [linked.stackPointer]);
  const callers = callersOf(dump, frame);
  for (const [index, address] of callers.entries()) {
    if (index >= MOST_CALLERS) {
      gaps.limits.add(
        `given up after ${MOST_CALLERS} of ${callers.length} words that may be where the check returns to`,
      );
      return;
    }
    const trace = [entryOf('__check_object_size', null), entryOf('', address)];
    const call = findCheckCall(dump, bugPlace(frame, trace), crashed);
    if (call === null || seen.has(call.stackPointer)) continue;
    seen.add(call.stackPointer);
    yield { call, linked: false };
  }
}

/**
 * Words of the stack, behind the first that points into the check, that are code outside of it. What was left there before may
 * point anywhere: those that follow a word of the check come first, as the check's own return address does.
 */
function callersOf(dump: Dump, { stackPointer }: TrapFrame): readonly bigint[] {
  const { kernel } = dump;
  const modules = dump.modules();
  const code = wordsOf(dump, stackPointer, DEEPEST_CHECK).flatMap((address) => {
    const { symbol } = placeOf(kernel, address - 1n, modules);
    const isText =
      kernel.symbols.find(address)?.symbol.type.toLowerCase() === 't' || modules?.contains(address) === true;
    return symbol === null || !isText ? [] : [{ address, ofCheck: isOfCheck(symbol) }];
  });
  const first = code.findIndex(({ ofCheck }) => ofCheck);
  const behind = code.slice(first + 1);
  const outside = behind.map((word, index) => ({
    ...word,
    follows: (behind[index - 1] ?? code[first])?.ofCheck === true,
  }));
  const callers = outside.filter(({ ofCheck }) => !ofCheck);
  const ordered = [...callers.filter(({ follows }) => follows), ...callers.filter(({ follows }) => !follows)];
  return [...new Set(ordered.map(({ address }) => address))];
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
function arrivesAt({ kernel, variant }: Dump, frame: TrapFrame, { registers: found }: Replay): boolean {
  if (found === null) return false;
  const { pc, sp } = variant.registers;
  const symbol = kernel.symbols.find(found.get(pc) ?? 0n)?.symbol.name;
  const preserved = variant.dump?.trapFrame?.preserved ?? [];
  return symbol === frame.symbol && [sp, ...preserved].every((name) => found.get(name) === frame.registers.get(name));
}

/** Words of the check's frames in which a replay and the dump differ; what the replay did not write is the dump's own. */
function differingWords({ kernel }: Dump, { frames }: Replay): number {
  const dumped = frames === null ? undefined : kernel.read(frames.start, frames.bytes.length);
  if (frames === null || dumped === undefined) return Number.POSITIVE_INFINITY;
  const [here, there] = [new Words(frames.bytes, kernel), new Words(dumped, kernel)];
  let count = 0;
  for (let at = 0; at + here.wordBytes <= here.length; at += here.wordBytes)
    if (here.word(at) !== there.word(at)) count++;
  return count;
}
