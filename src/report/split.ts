/** A log's lines → one block of whole lines for each report in it. */
import type { OopsConvention } from '../../arch/oops.js';
import { isHeader } from './anchors.js';
import { withoutEdge } from './cropped.js';
import { joinBroken } from './join.js';
import type { LogLine } from './log-lines.js';
import { type MessageFound, messageAt, startsMessage } from './message.js';
import { inOrder } from './order.js';
import { LEFT_OUT } from './seams.js';
import { BUG, CUT, END, isOwnBug, isTrouble, type Shapes, shapesOf, TASK, TRACE, USERCOPY } from './shapes.js';
import { isTraceLine } from './trace.js';

export interface Block {
  /** Broken lines are whole again; the message's line is the message. */
  readonly lines: readonly LogLine[];
  readonly message: MessageFound | null;
  /** Seconds since boot; null where the log has no stamps. */
  readonly stamp: number | null;
  /** Lines of two crashes that nothing tells apart stand in it. */
  readonly mixed: boolean;
  /** It stands in a mail's subject or the like. */
  readonly quoted: boolean;
  /** The last line before it that tells of damaged memory or another crash; null where there is none. */
  readonly trouble: string | null;
  /** Lines [first, last] of the text. */
  readonly numbers: { readonly first: number; readonly last: number };
  /** Column at which its lines are cut off; null where they are whole. */
  readonly edge: number | null;
  readonly notes: readonly string[];
}

/** More in one text is no log of a kernel. */
const MOST_REPORTS = 10_000;
/** A line of a report that is longer ago is of something else. */
const LONGEST_REPORT = 2000;

class Open {
  readonly lines: LogLine[] = [];
  readonly notes: string[] = [];
  message: MessageFound | null = null;
  bug: boolean = false;
  /** Its BUG or WARNING line is the check's own. */
  ownBug: boolean = false;
  /** Registers or a trace have begun. */
  dumped: boolean = false;
  /** An end of trace or a bug of something else has closed it. */
  ended: boolean = false;
  mixed: boolean = false;
  quoted: boolean = false;
  thread: string | null = null;
  stamp: number | null = null;
  /** PID of the first task line, and whether a trace has begun since. */
  pid: string | null = null;
  traced: boolean = false;
  /** Column at which a terminal broke the message inside a word. */
  column: number | null = null;
  first = Number.POSITIVE_INFINITY;
  last = 0;

  constructor(readonly trouble: string | null) {}

  add(line: LogLine, from: LogLine = line): void {
    this.lines.push(line);
    this.stamp ??= line.stamp;
    this.first = Math.min(this.first, line.number, from.number);
    this.last = Math.max(this.last, line.last, from.last);
  }

  /** Another report had not ended when this one began. */
  afterOpen: boolean = false;
  /** What follows may be of the message right before this one. */
  ambiguous: boolean = false;
  readonly #values = new Map<string, string>();
  readonly #told = new Set<string>();

  /**
   * Notes whose the lines are: a crash has one task, one trace, and one value of each register before that. Two of them, or
   * what must come behind the task before it, are two CPUs' at once.
   */
  look(text: string): void {
    const pid = TASK.exec(text)?.[1];
    if (pid !== undefined) {
      if (this.ambiguous) this.mixed = true;
      if (this.pid !== null && this.pid !== pid && (!this.traced || this.afterOpen)) this.mixed = true;
      this.pid ??= pid;
      return;
    }
    const [once] = ONCE.exec(text) ?? [];
    if (once !== undefined) {
      if (this.afterOpen && (this.traced || this.#told.has(once))) this.mixed = true;
      this.#told.add(once);
    }
    const isTrace = TRACE.test(text);
    const last = this.lines.at(-1);
    if (isTrace && this.traced && (this.afterOpen || (last !== undefined && TRACE.test(last.text)))) this.mixed = true;
    this.traced ||= isTrace;
    const [value, register] = VALUE.exec(text) ?? [];
    if (this.afterOpen && this.pid === null && (isTrace || value !== undefined || isTraceLine(text))) this.mixed = true;
    if (value === undefined || register === undefined || this.traced) return;
    const before = this.#values.get(register);
    if (before !== undefined && before !== value) this.mixed = true;
    this.#values.set(register, value);
  }
}

/** Lines that one crash has once, and before its trace. */
const ONCE = /^(?:Hardware name: |RIP: 0010:|RSP: 0018:|EIP: (?=[a-z_])|NIP \[|e?pc : (?=[a-z_])|PC is at )/;
/** The first register of a line and its value. */
const VALUE = /^([A-Za-z]{1,4}\d{0,2}) ?: ?(?:0x)?[0-9a-f]{8,16}(?![0-9a-f])/;

const MISREAD =
  'letters stand where only digits can (O for 0, l for 1), as in text that was read off a picture: names and other digits may be wrong, too';
export const SHORTENED = `${LEFT_OUT} stands in lines for what a logger left out of them: what they told is not known`;
const MIXED =
  'lines of two CPUs that crashed at once stand mixed here, and nothing tells whose they are: task and registers are not taken, the trace may be of both';

/** Whether a thread's own BUG line comes later: then its message belongs to that. */
function bugFollows(lines: readonly LogLine[], from: number, thread: string): boolean {
  const LOOK_AHEAD = 200;
  return lines.slice(from, from + LOOK_AHEAD).some((line) => line.thread === thread && BUG.test(line.text));
}

/** A line that must be the message, of which a logger has left the middle out. */
export const isShortenedMessage = ({ text }: LogLine): boolean =>
  text.includes(LEFT_OUT) && /^(?:usercopy: |PAX: |Bad or missing usercopy )/.test(text);

/** Blocks that speak of usercopy, in the order of the log. */
export function splitReports(lines: readonly LogLine[], conventions: readonly OopsConvention[]): Block[] {
  const shapes = shapesOf(conventions);
  const ordered = inOrder(lines);
  const blocks = byThread(ordered).flatMap((own) => split(own, shapes, false));
  // Nothing but a sentence that quotes a BUG line is better than nothing.
  if (blocks.length === 0) return split(ordered, shapes, true);
  return blocks.sort((left, right) => left.numbers.first - right.numbers.first);
}

/** Where two tasks or more have a message and a BUG line each, the lines of each; else all lines together. */
function byThread(lines: readonly LogLine[]): (readonly LogLine[])[] {
  const begun = new Set<string>();
  const crashed = new Set<string>();
  for (const { thread, text } of lines) {
    if (thread === null) continue;
    if (startsMessage(text)) begun.add(thread);
    else if (begun.has(thread) && BUG.test(text)) crashed.add(thread);
  }
  if (crashed.size < 2) return [lines];
  const groups = new Map<string, LogLine[]>([...crashed].map((thread) => [thread, []]));
  const others: LogLine[] = [];
  let own: LogLine[] = others;
  for (const line of lines) {
    // The rest of a broken line has no id.
    if (line.thread !== null || line.prefixed)
      own = (line.thread === null ? undefined : groups.get(line.thread)) ?? others;
    own.push(line);
  }
  return [...groups.values(), others];
}

function split(lines: readonly LogLine[], shapes: Shapes, quotedToo: boolean): Block[] {
  const blocks: Block[] = [];
  let current: Open | null = null;
  let trouble: string | null = null;
  // Read by a function, since the compiler does not see that the ones below assign it.
  const open = (): Open | null => current;
  const close = (): void => {
    if (current !== null && speaksOfUsercopy(current)) blocks.push(blockOf(current, shapes));
    current = null;
  };
  const renew = (): Open => {
    const before = open();
    close();
    const next = new Open(trouble);
    next.afterOpen = before !== null && !before.ended;
    current = next;
    return next;
  };
  for (let index = 0; blocks.length < MOST_REPORTS; index++) {
    const line = lines[index];
    if (line === undefined) break;
    const found = messageAt(lines, index, shapes.startsItem);
    let block = open();
    if (found !== null) {
      if (block !== null && isAgain(found, block, line)) {
        block.stamp ??= line.stamp;
        index += found.length - 1;
        continue;
      }
      block = blockFor(block, line, lines, index, renew);
      block.message = found;
      block.thread ??= line.thread;
      block.quoted = isHeader(line.text);
      if (found.insideWord) block.column = line.width;
      block.add({ ...line, text: found.message.text }, lines[index + found.length - 1]);
      index += found.length - 1;
      continue;
    }
    if (isTrouble(line.text)) trouble = line.text;
    const isBug = quotedToo ? BUG.test(line.text) : isOwnBug(line.text);
    if (isBug) {
      const own = USERCOPY.test(line.text);
      if (block?.bug || block?.ended) block = own || block.ended ? renew() : block;
      // Another kind of bug, printed while this one was: its lines are not ours.
      if (block?.bug) {
        block.ended = true;
        continue;
      }
      block ??= renew();
      block.bug = true;
      block.ownBug = own;
      block.thread ??= line.thread;
    } else if (CUT.test(line.text)) {
      if (block === null || block.bug || block.ended) block = renew();
    } else if (block === null || block.ended) {
      if (!shapes.startsOops(line.text)) continue;
      // What is printed again behind the end of the trace says nothing new.
      if (block?.ended) continue;
      block = renew();
    }
    if (END.test(line.text)) block.ended = true;
    else if (block.lines.length >= LONGEST_REPORT) block.ended = true;
    else if (block.thread === null || line.thread === null || line.thread === block.thread) {
      block.look(line.text);
      block.dumped ||= TASK.test(line.text) || TRACE.test(line.text);
      block.add(line);
    }
  }
  close();
  return blocks;
}

function speaksOfUsercopy({ message, lines }: Open): boolean {
  return message !== null || lines.some((line) => USERCOPY.test(line.text));
}

/** A broadcast to terminals repeats the line while its oops is being printed. */
function isAgain({ message: { canonical } }: MessageFound, block: Open, line: LogLine): boolean {
  if (block.ended || block.quoted || canonical === null || block.message?.message.canonical !== canonical) return false;
  return !block.dumped && (line.stamp === null || block.stamp === null || line.stamp === block.stamp);
}

/** The block that a message belongs to: the one that is open, or a new one. */
function blockFor(
  block: Open | null,
  line: LogLine,
  lines: readonly LogLine[],
  index: number,
  renew: () => Open,
): Open {
  if (block === null || block.message !== null || block.ended) {
    const next = renew();
    if (block !== null && !block.ended && line.thread === null && isCloseTo(block, line)) {
      // The first crash had not printed all when the second began: what follows may be of either.
      const isStamped = block.stamp !== null && line.stamp !== null;
      if (isStamped || (block.message !== null && block.bug && !block.dumped)) next.notes.push(SECOND);
      // One dump that follows two messages is of either.
      const isNext = line.number - block.last <= 1 && !line.gap;
      next.ambiguous = block.message !== null && !block.quoted && !block.bug && !block.dumped && isNext;
    } else next.afterOpen = false;
    return next;
  }
  const { thread } = line;
  const foreign = block.thread !== null && thread !== null && thread !== block.thread;
  if (!block.bug) return block;
  // Kernels without a trap for warnings print the WARNING line first; consoles swap lines.
  if (!foreign && block.ownBug && !block.dumped) return block;
  if (!foreign || bugFollows(lines, index, thread)) return renew();
  block.notes.push(
    `the message was printed by ${line.thread}, the registers are ${block.thread}'s: they may be of two crashes`,
  );
  block.mixed = true;
  return block;
}

const SECOND =
  'another report began right before this one and had not ended: the lines that follow may be of two crashes';

const isCloseTo = (block: Open, line: LogLine): boolean => {
  const SECONDS = 1;
  return block.stamp === null || line.stamp === null || Math.abs(line.stamp - block.stamp) <= SECONDS;
};

function blockOf(open: Open, shapes: Shapes): Block {
  const { message, stamp, quoted, trouble, notes, first, last } = open;
  const mixed = open.mixed || notes.includes(SECOND);
  const cropped = withoutEdge(
    open.lines,
    ({ text }) => message?.message.canonical === null && text === message.message.text,
    shapes,
  );
  return {
    lines: joinBroken(cropped?.lines ?? open.lines, shapes, open.column),
    message,
    stamp,
    mixed,
    quoted,
    trouble,
    numbers: { first, last },
    edge: cropped?.column ?? null,
    notes: [
      ...notes,
      ...(cropped === null ? [] : [`the lines are cut off at column ${cropped.column}: what touches it is not taken`]),
      ...(open.lines.some(({ text }) => text.includes(LEFT_OUT)) ? [SHORTENED] : []),
      ...(open.lines.some(({ misread }) => misread) ? [MISREAD] : []),
      ...(open.mixed && !notes.some((note) => note.includes('two crashes')) ? [MIXED] : []),
    ],
  };
}
