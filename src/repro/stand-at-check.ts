/**
 * A dump that was made after the kernel had refused a copy, in panic() or later, put back to where the check was asked: the
 * copy is taken from the log that belongs to it, and believed when the check says of it, in the dump's memory, what the
 * kernel said.
 */

import type { Copy } from '../check/verdict.js';
import { machineOf } from '../diagnosis/machine.js';
import type { CopySource, ReproducedCopy } from '../diagnosis/outcome.js';
import { recoverCopy } from '../diagnosis/recover.js';
import type { DumpJudge, DumpJudgement } from '../dump/judge.js';
import type { Dump } from '../dump/open-dump.js';
import { badInput, hex } from '../errors.js';
import { Words } from '../kernel/words.js';
import type { UsercopyMessage, UsercopyReport } from '../report/report.js';
import { argumentRegister, GuestCall } from '../stack/call.js';
import { type BugPlace, type CheckCall, type Crashed, crashedCpu, findCheckCall } from './check-call.js';
import { isWarnedOf, saysTheSame } from './same-line.js';

export interface SourcedCopy extends Copy {
  readonly pointerFrom: CopySource;
  readonly sizeFrom: CopySource;
  readonly directionFrom: CopySource;
}

export const givenCopy = (copy: Copy): SourcedCopy => ({
  ...copy,
  pointerFrom: 'given',
  sizeFrom: 'given',
  directionFrom: 'given',
});

export interface Standing {
  /** With the registers of the call of the check, where that was found. */
  readonly dump: Dump;
  readonly copy: SourcedCopy;
  /** By whom the copy was found, who has learnt what the check needs of the stack; of the same dump but for the arguments. */
  readonly judge: DumpJudge | null;
  readonly notes: readonly string[];
}

/** Bytes of stack that are looked through for the pointer where the call was not found. */
const STACK_BYTES = 512n;
/** Copies that are judged to find the right one, at most. */
const MOST_TRIES = 4096;
const LARGEST_COPY = 1n << 31n;
const LOWEST_POINTER = 1n << 16n;

/**
 * `given` is a copy that is known otherwise: then only the place is looked for.
 * @throws UsercopyError `bad-input` when nothing tells which copy it was.
 */
export async function standAtCheck(
  dump: Dump,
  report: UsercopyReport,
  given: Copy | null,
  judgeOf: (dump: Dump) => Promise<DumpJudge>,
): Promise<Standing> {
  const crashed = crashedCpu(dump, report.stackPointer);
  const call = findCheckCall(dump, report, crashed);
  const placed = place(dump, report, crashed, call);
  const notes = placeNotes(report, crashed, call);
  if (given !== null) {
    const copy = givenCopy(given);
    return { dump: withArguments(placed, copy, call), copy, judge: null, notes };
  }
  const judge = await judgeOf(placed);
  const found = await findCopy(judge, report, call);
  return { dump: withArguments(placed, found.copy, call), copy: found.copy, judge, notes: [...notes, ...found.notes] };
}

function placeNotes(report: UsercopyReport, { task, gone }: Crashed, call: CheckCall | null): string[] {
  if (report.stackPointer === null) return ['the log has no registers: where the check was called is not known'];
  if (task === null) return [`no task's stack holds the log's stack pointer ${hex(report.stackPointer)}`];
  const notes = gone ? ['the task that made the copy was no longer running when the dump was made'] : [];
  if (call !== null) return notes;
  return [...notes, 'the call of __check_object_size was not found on the stack: the stack pointer at BUG() is taken'];
}

/** What a report tells of the copy's task beyond the registers: nothing where it has no stack pointer, or a CPU still runs it. */
function taskOfReport({ stackPointer }: BugPlace, { task, gone }: Crashed): Pick<Dump, 'task'> {
  return stackPointer === null || (task !== null && !gone) ? {} : { task };
}

/** The dump with the CPU and the stack of the report; at the check's first instruction where its call was found. */
export function place(dump: Dump, report: BugPlace, crashed: Crashed, call: CheckCall | null): Dump {
  const { variant, kernel } = dump;
  const { sp, fp, pc } = variant.registers;
  const registers = new Map(crashed.registers);
  const task = taskOfReport(report, crashed);
  const check = kernel.symbols.address('__check_object_size');
  if (call === null || check === undefined) {
    // Nothing that a later place of the CPU left in them says anything of this one.
    registers.delete(pc);
    if (report.stackPointer !== null) {
      const framePointer = report.registers.get(fp);
      if (framePointer === undefined) registers.delete(fp);
      else registers.set(fp, framePointer);
      registers.set(sp, report.stackPointer - BigInt(variant.call.stackBias ?? 0));
    }
    return { ...dump, ...task, registers, atCheck: false };
  }
  registers.set(pc, check);
  registers.set(sp, call.stackPointer - BigInt(variant.call.stackBias ?? 0));
  if (call.framePointer !== null) registers.set(fp, call.framePointer);
  if (variant.call.entryRegister !== undefined) registers.set(variant.call.entryRegister, check);
  // Calls that push their return address have it on the stack, where it was found.
  if (variant.registers.link !== null) callOf(dump, registers).setReturnAddress(call.returnAddress);
  return { ...dump, ...task, registers, atCheck: true };
}

/** With the arguments in the registers of the call. */
export function withArguments(dump: Dump, copy: Copy, call: CheckCall | null): Dump {
  if (call === null) return dump;
  const { variant } = dump;
  const registers = new Map(dump.registers);
  const values = [copy.pointer, copy.size, copy.direction === 'to_user' ? 1n : 0n];
  values.forEach((value, index) => {
    registers.set(argumentRegister(variant, index), BigInt.asUintN(variant.bits, value));
  });
  return { ...dump, registers };
}

function callOf({ variant }: Dump, registers: Map<string, bigint>): GuestCall {
  const engine = {
    readRegister: (name: string): bigint => registers.get(name) ?? 0n,
    writeRegister: (name: string, value: bigint): void => {
      registers.set(name, value);
    },
  };
  const none = (): never => {
    throw new RangeError('registers only');
  };
  return new GuestCall(variant, engine, { readWord: none, writeWord: none });
}

interface Candidate {
  readonly pointer: bigint;
  readonly size: bigint;
  readonly pointerFrom: CopySource;
  readonly sizeFrom: CopySource;
}

/** The copy that the kernel refused; of several that the check refuses in the same words the likeliest, with a note. */
async function findCopy(
  judge: DumpJudge,
  report: UsercopyReport,
  call: CheckCall | null,
): Promise<{ readonly copy: SourcedCopy; readonly notes: readonly string[] }> {
  const { message } = report;
  const machine = machineOf(judge.dump.variant.bits, judge.dump.variant);
  // What the log does not tell of its kernel, its dump does.
  const { release } = judge.dump.kernel.version;
  const ofDump = {
    ...report,
    kernelVersion: report.kernelVersion ?? release,
    arch: report.arch ?? judge.dump.variant.name,
  };
  const recovered = recoverCopy(ofDump, machine);
  const { direction, directionFrom } = recovered;
  if (direction === null || directionFrom === null) throw notTold(judge.dump, 'nothing in it says its direction');
  const fitting: SourcedCopy[] = [];
  let tries = 0;
  for (const { pointer, size, ...sources } of candidates(judge, report, recovered, call)) {
    if (++tries > MOST_TRIES) break;
    const copy: SourcedCopy = { pointer, size, direction, ...sources, directionFrom };
    if (fitting.some((known) => known.pointer === pointer && known.size === size)) continue;
    if (isTold(await judge.judge(copy), message, judge.dump)) fitting.push(copy);
  }
  const [chosen, ...others] = fitting;
  if (chosen !== undefined) {
    const values = others.map(({ pointer, size }) => `${size} bytes at ${hex(pointer)}`);
    const many = `the check refuses other copies that registers and stack could mean in the same words: ${values.slice(0, 4).join(', ')}${values.length > 4 ? ', …' : ''}`;
    return { copy: chosen, notes: others.length === 0 ? [] : [many] };
  }
  const told = wholeOf(recovered);
  const unproven = 'no value of the registers and the stack is a copy of which the check says what the log says';
  if (told !== null) {
    const copy = { ...told, direction, directionFrom };
    return { copy, notes: [`${unproven}: the memory has changed since, or the log is of another crash`] };
  }
  throw notTold(judge.dump, unproven);
}

const notTold = ({ path }: Dump, why: string): Error =>
  badInput(
    path,
    'a log that tells which copy was refused',
    `${why}; say it with --at, --size and --to-user or --from-user`,
  );

/** Whether the check refuses a copy in the log's words, as far as the log has them. */
function isTold({ verdict, message }: DumpJudgement, told: UsercopyMessage | null, { kernel, variant }: Dump): boolean {
  if (told?.format === 'whitelist warning') return isWarnedOf(verdict, told);
  if (verdict.outcome !== 'bad' || message === null) return false;
  return told === null || saysTheSame(told, message, { release: kernel.version.release, variant: variant.name });
}

/** Pointer and size with where they are from; null where one is not told. */
function wholeOf({ pointer, size, pointerFrom, sizeFrom }: ReproducedCopy): Candidate | null {
  if (pointer === null || size === null || pointerFrom === null || sizeFrom === null) return null;
  return { pointer, size, pointerFrom, sizeFrom };
}

/** What the copy may have been, the likeliest first. */
function* candidates(
  judge: DumpJudge,
  report: UsercopyReport,
  recovered: ReproducedCopy,
  call: CheckCall | null,
): Iterable<Candidate> {
  const { message } = report;
  const { variant } = judge.dump;
  const wrap = (value: bigint): bigint => BigInt.asUintN(variant.bits, value);
  const told = wholeOf(recovered);
  if (told !== null) yield told;
  const values = [...valuesOf(judge.dump, report, call)];
  const isThere = new Set(values.map(({ value }) => value));
  const wrapped = message?.refusal === 'wrapped address' && message.format === 'new';
  if (message?.size != null && !wrapped) {
    const size = message.size;
    const sizeFrom = 'printed';
    for (const pointer of computed(judge, message))
      yield { pointer: wrap(pointer), size, pointerFrom: 'printed', sizeFrom };
    const pointers = values.filter(({ value }) => value >= LOWEST_POINTER);
    const ends = (value: bigint): boolean => isThere.has(wrap(value + size)) || isThere.has(wrap(value + size - 1n));
    const sorted = [...pointers.filter(({ value }) => ends(value)), ...pointers.filter(({ value }) => !ends(value))];
    for (const { value, from } of sorted) yield { pointer: value, size, pointerFrom: from, sizeFrom };
    return;
  }
  if (wrapped && message.size !== null) {
    for (const { value, from } of values) {
      const size = wrap(message.size - value);
      if (value > message.size && isThere.has(size)) yield { pointer: value, size, pointerFrom: from, sizeFrom: from };
    }
    return;
  }
  // The size is not told: a pointer, a size and their sum must be there.
  for (const { value, from } of values) {
    if (value < LOWEST_POINTER) continue;
    for (const { value: size, from: sizeFrom } of values) {
      if (
        size < 1n ||
        size > LARGEST_COPY ||
        !(message?.sizeDigits == null || `${size}`.startsWith(message.sizeDigits))
      )
        continue;
      if (isThere.has(wrap(value + size)) || isThere.has(wrap(value + size - 1n)))
        yield { pointer: value, size, pointerFrom: from, sizeFrom };
    }
  }
}

/** Pointers that follow from the message's numbers and the dump's symbols. */
function* computed(judge: DumpJudge, { refusal, offset }: UsercopyMessage): Iterable<bigint> {
  const { text, linearText } = judge.parameters;
  if (offset === null) return;
  if (refusal === 'null address') yield offset;
  if (refusal === 'kernel text' && text) yield text.start + offset;
  if (refusal === 'linear kernel text' && linearText) yield linearText.start + offset;
}

/** Registers of the log, in its order; then words of the stack from BUG() to the call of the check. */
function* valuesOf(
  { kernel, variant }: Dump,
  report: UsercopyReport,
  call: CheckCall | null,
): Iterable<{ readonly value: bigint; readonly from: CopySource }> {
  const seen = new Set<bigint>([0n]);
  const fresh = (value: bigint): boolean => !seen.has(value) && Boolean(seen.add(value));
  for (const value of report.registers.values()) if (fresh(value)) yield { value, from: 'registers' };
  const { stackPointer } = report;
  if (stackPointer === null) return;
  const word = BigInt(variant.bits / 8);
  const start = stackPointer - (stackPointer % word);
  const end = (call?.stackPointer ?? start) + STACK_BYTES;
  for (let page = start; page < end; ) {
    const length = Number(end - page < 4096n - (page % 4096n) ? end - page : 4096n - (page % 4096n));
    const bytes = kernel.read(page, length);
    if (bytes === undefined) return;
    const words = new Words(bytes, kernel);
    for (let at = 0; at + words.wordBytes <= length; at += words.wordBytes) {
      const value = words.word(at);
      if (fresh(value)) yield { value, from: 'dump stack' };
    }
    page += BigInt(length);
  }
}
