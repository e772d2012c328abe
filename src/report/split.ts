/** A log's lines → one block of whole lines for each report in it. */
import type { OopsConvention } from '../../arch/oops.js';
import type { LogLine } from './log-lines.js';
import { type MessageFound, messageAt } from './message.js';
import { isTraceLine } from './trace.js';

export interface Block {
  /** Lines that mailers wrapped are whole again. */
  readonly lines: readonly LogLine[];
  readonly message: MessageFound | null;
  readonly notes: readonly string[];
}

const CUT = /-{4,}\[ ?cut here ?\]/;
const END = /-{2,}\[ ?end trace\b/;
const BUG = /\b[kK]ernel BUG (?:at )|\bBUG: failure at |^WARNING: |\bbugcheck! \d|\bKernel bug detected\[#/;
const USERCOPY = /usercopy|__check_(?:object_size|heap_object)/;
/** Where an oops can begin whose first lines are missing. */
const OOPS = /^(?:Entering kdb|Oops\b|Internal error: |CPU: ?-?\d+ |Pid: \d+, comm: |Call [Tt]race:)/;
/** Lines that begin something of their own on any architecture. */
const STARTS =
  '\\S{1,16} ?\\[#\\d|usercopy: |PAX: |Bad or missing|-{3,}|CPU: ?-?\\d|Pid: |Hardware name:|Modules linked in:|Tainted: \\[|Workqueue:|task: |Code:|Call [Tt]race:|Backtrace:|Stack|Process |Kernel panic|Kernel Offset|Rebooting|<\\/?(?:TASK|IRQ|NMI)>|Oops|Internal error|[kK]ernel BUG|WARNING:|BUG:|Entering kdb|due to|Dumping ftrace|\\d+: |\\.\\.\\.|crash>|PID: |#\\d+ \\[|more>|[\\w./-]+\\[\\d+\\]: ';
/** A wrapped line has few pieces; a module list has more. */
const MOST_PIECES = 40;
const LONGEST_JOINED = 16_384;
/** More in one text is no log of a kernel. */
const MOST_REPORTS = 10_000;

/** What a line is, asked of the generic shapes and of every architecture's. */
interface Shapes {
  /** Begins something: no continuation of a wrapped line. */
  startsItem(text: string): boolean;
  /** An oops can begin here. */
  startsOops(text: string): boolean;
}

function shapesOf(conventions: readonly OopsConvention[]): Shapes {
  const starts = new RegExp(`^(?:${[STARTS, ...conventions.map(({ lineStarts }) => lineStarts)].join('|')})`);
  return {
    startsItem: (text) => starts.test(text) || isTraceLine(text),
    startsOops: (text) => OOPS.test(text) || isTraceLine(text) || conventions.some(({ pc }) => pc.test(text)),
  };
}

/** Joins lines that a mailer wrapped: the rest of a line has neither the log's prefix nor the look of a beginning. */
function joinWrapped(lines: readonly LogLine[], { startsItem }: Shapes): LogLine[] {
  const joined: LogLine[] = [];
  let pieces = 0;
  for (const line of lines) {
    const last = joined.at(-1);
    const continues =
      last !== undefined &&
      !line.prefixed &&
      pieces < MOST_PIECES &&
      last.text.length < LONGEST_JOINED &&
      !startsItem(line.text) &&
      !END.test(line.text) &&
      line.number - last.number <= pieces + 3;
    if (continues) {
      joined[joined.length - 1] = { ...last, text: `${last.text} ${line.text}` };
      pieces++;
    } else {
      joined.push(line);
      pieces = 1;
    }
  }
  return joined;
}

interface Open {
  lines: LogLine[];
  message: MessageFound | null;
  notes: string[];
  bug: boolean;
  /** An end of trace or a bug of something else has closed it. */
  ended: boolean;
  thread: string | null;
}

const open = (): Open => ({ lines: [], message: null, notes: [], bug: false, ended: false, thread: null });

/** Whether a thread's own BUG line comes later: then its message belongs to that. */
function bugFollows(lines: readonly LogLine[], from: number, thread: string): boolean {
  const LOOK_AHEAD = 200;
  return lines.slice(from, from + LOOK_AHEAD).some((line) => line.thread === thread && BUG.test(line.text));
}

/** Blocks that speak of usercopy, in the order of the log. */
export function splitReports(lines: readonly LogLine[], conventions: readonly OopsConvention[]): Block[] {
  const shapes = shapesOf(conventions);
  const blocks: Block[] = [];
  let current: Open | null = null;
  const close = (): void => {
    if (current === null) return;
    const { message, notes, lines: own } = current;
    if (message !== null || own.some((line) => USERCOPY.test(line.text))) {
      blocks.push({ lines: joinWrapped(own, shapes), message, notes });
    }
    current = null;
  };
  const renew = (): Open => {
    close();
    current = open();
    return current;
  };
  for (let index = 0; index < lines.length && blocks.length < MOST_REPORTS; index++) {
    const line = lines[index]!;
    const found = messageAt(lines, index, (text) => CUT.test(text) || shapes.startsItem(text));
    let block: Open | null = current as Open | null;
    if (found !== null) {
      const foreign = block?.thread != null && line.thread !== null && line.thread !== block.thread;
      if (block === null || block.message !== null || block.ended) block = renew();
      else if (block.bug) {
        if (!foreign || bugFollows(lines, index, line.thread!)) block = renew();
        else {
          block.notes.push(
            `the message was printed by ${line.thread}, the registers are ${block.thread}'s: they may be of two crashes`,
          );
        }
      }
      block.message = found;
      block.thread ??= line.thread;
      block.lines.push({ ...line, text: found.message.text });
      index += found.length - 1;
      continue;
    }
    const isBug = BUG.test(line.text);
    if (isBug) {
      if (block?.bug || block?.ended) block = USERCOPY.test(line.text) || block.ended ? renew() : block;
      // Another kind of bug, printed while this one was: its lines are not ours.
      if (block?.bug) {
        block.ended = true;
        continue;
      }
      block ??= renew();
      block.bug = true;
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
    else if (block.thread === null || line.thread === null || line.thread === block.thread) block.lines.push(line);
  }
  close();
  return blocks;
}
