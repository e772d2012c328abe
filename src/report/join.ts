/** Lines of one report that a mailer, a terminal or printk itself broke → whole lines. */
import type { LogLine } from './log-lines.js';
import type { Shapes } from './shapes.js';
import { CALLEE_FROM, isTraceLine } from './trace.js';

/** A wrapped line has few pieces; a module list has more. */
const MOST_PIECES = 40;
const MOST_PIECES_OF_MODULES = 400;
const MODULES = 'Modules linked in:';
const LONGEST_JOINED = 16_384;
/** One entry of `Modules linked in:`. */
const MODULE_NAMES = /^(?:\w[\w.-]{0,80}(?:\([A-Z+-]{1,8}\))?(?:\s+|$)){1,400}(?:\[last unloaded:.{0,400})?$/;

/**
 * Joins the rest of a line to it: what has neither the log's prefix nor the look of a beginning. `column` is where the
 * message was broken inside a word, null where it was not: a terminal breaks every line there.
 */
export function joinBroken(lines: readonly LogLine[], shapes: Shapes, column: number | null): LogLine[] {
  const joined: LogLine[] = [];
  const isSpaced = lines.filter(({ gap }) => gap).length > lines.length / 2;
  // A mailer that left a line of such width with a blank in it did not break before a shorter one.
  const widest = lines.reduce((width, line) => (line.text.includes(' ') ? Math.max(width, line.width) : width), 0);
  const mails = areMailers(lines, shapes, widest);
  const at = mails ? null : (column ?? breakColumn(lines, shapes));
  let pieces = 0;
  let last: LogLine | null = null;
  for (const [index, line] of lines.entries()) {
    const whole = joined.at(-1);
    const next = lines[index + 1];
    if (whole === undefined || last === null || !continues(whole, { last, line, next, isSpaced, pieces }, shapes, at)) {
      joined.push(line);
      pieces = 1;
    } else {
      const glue = glueOf(whole, last, line, { column: at, widest, mails });
      const text = isDoubtful(whole, last, line, at)
        ? whole.text.replace(/(?<=0x)[0-9a-f]+$| \S+:\d+$/, '')
        : `${whole.text}${glue}${line.text}`;
      joined[joined.length - 1] = { ...whole, text };
      pieces++;
    }
    last = line;
  }
  return joined;
}

/** Bytes; what is longer is no function's size. */
const LARGEST_FUNCTION = 1 << 18;

/** Mailers and trackers break at 72 to 132 columns, and what they quote a little later. */
const WIDEST_MAIL = 140;

/** Stands in a joined line where a break was, and a blank perhaps: no log has it, since control characters are taken out. */
export const SEAM = '\0';

/** Digits on a line of their own may be the rest of a frame's size, or a count of replies. */
const isDoubtful = ({ text }: LogLine, last: LogLine, line: LogLine, column: number | null): boolean =>
  last.width !== column &&
  ((OPEN_SIZE.test(text) && /^[0-9a-f]{1,7}$/.test(line.text)) ||
    (isTraceLine(text) && OPEN_PLACE.test(text) && /^\d{1,6}$/.test(line.text)));
const OPEN_PLACE = / [\w./-]{1,200}\.[chS]:\d{1,6}$/;

interface Width {
  /** At which a terminal broke every line; null where none did. */
  readonly column: number | null;
  readonly widest: number;
  /** It was a mailer that broke lines. */
  readonly mails: boolean;
}

/** What stood where a line was broken. A terminal breaks it between two characters; a mailer puts the break where a blank was. */
function glueOf(whole: LogLine, last: LogLine, line: LogLine, { column, widest, mails }: Width): string {
  if (line.prefixed) return ' ';
  const blanks = ' '.repeat(last.blanksAtEnd + line.blanksAtStart);
  if (last.width === column || OPEN_SYMBOL.test(whole.text)) return blanks;
  if (blanks !== '') return ' ';
  if (OPEN_ADDRESS.test(whole.text) || LONE_SYMBOL.test(whole.text) || BEGUN_NUMBERS.test(whole.text)) return '';
  if (OPEN_SIZE.test(whole.text)) {
    const [rest] = /^[0-9a-f]{1,7}(?=$|[\s)>])/.exec(line.text) ?? [];
    const size = rest === undefined ? null : Number(`0x${/[0-9a-f]*$/.exec(whole.text)?.[0]}${rest}`);
    if (size !== null) return size <= LARGEST_FUNCTION ? '' : ' ';
  }
  // A build id stands behind the module's name, and is longer than any.
  if (OPEN_MODULE.test(whole.text) && /^[0-9a-f]{32,64}\]/.test(line.text)) return ' ';
  if (OPEN_MODULE.test(whole.text) && /^[\w-]{0,60}(?:\]| [0-9a-f]{8,64}\])/.test(line.text)) return '';
  const [word = ''] = /^\S{1,200}/.exec(line.text) ?? [];
  // A line of exactly that width may be one that a terminal broke between two characters.
  const isMailers = last.width < widest + (mails ? 1 : 0) && brokeBefore(word, last.width, widest);
  return isMailers ? ' ' : SEAM;
}

/** Whether a mailer that allows lines of a width breaks one before a word. */
const brokeBefore = (word: string, width: number, widest: number): boolean =>
  width <= WIDEST_MAIL && width + 1 + word.length > widest;

/** More lines end where the next word has no room than at the last column. */
function areMailers(lines: readonly LogLine[], { startsItem }: Shapes, widest: number): boolean {
  let there = 0;
  let before = 0;
  for (const [index, { width }] of lines.entries()) {
    const next = lines[index + 1];
    if (next === undefined || next.prefixed || next.gap || startsItem(next.text)) continue;
    const [word = ''] = /^\S{1,200}/.exec(next.text) ?? [];
    if (width === widest) there++;
    else if (width < widest && brokeBefore(word, width, widest)) before++;
  }
  return before > there;
}

interface Place {
  readonly last: LogLine;
  readonly line: LogLine;
  readonly next: LogLine | undefined;
  /** Empty lines stand between most lines: one more is no paragraph's end. */
  readonly isSpaced: boolean;
  /** Lines that the whole one has so far. */
  readonly pieces: number;
}

function continues(
  whole: LogLine,
  { last, line, next, isSpaced, pieces }: Place,
  shapes: Shapes,
  column: number | null,
): boolean {
  if (pieces >= (whole.text.startsWith(MODULES) ? MOST_PIECES_OF_MODULES : MOST_PIECES)) return false;
  if (last.cut) return false;
  const isNear = !line.prefixed && !line.gap;
  const isFull = last.width === column;
  // Where each line of the log has its prefix, a terminal's break says more than the looks of what follows.
  if (whole.prefixed && isNear && isFull) return true;
  if (whole.text.length >= LONGEST_JOINED) return false;
  if (!line.prefixed) {
    const looksLikeFrame = ADDRESS.test(line.text) || isTraceLine(line.text);
    // So does the end of a broken one.
    if (looksLikeFrame && isNear) {
      if ([AWAITS_SYMBOL, AWAITS_CALLER, OPEN_SYMBOL].some((pattern) => pattern.test(whole.text))) return true;
      if (LONE_SYMBOL.test(whole.text) && (whole.prefixed || last.number === whole.number)) return true;
      const beginsOther = shapes.startsItem(whole.text) && !isTraceLine(whole.text) && !ADDRESS.test(whole.text);
      if (isFull && !beginsOther && !isWholeFrame(whole.text)) return true;
    }
    if (isNear && OPEN_ADDRESS.test(whole.text) && isTraceLine(whole.text + line.text)) return true;
    const isRestOfSize = isNear && OPEN_SIZE.test(whole.text) && /^[0-9a-f]{1,7}$/.test(line.text);
    if (isRestOfSize && !/^(?:\+|0?x)/.test(next?.text ?? '')) return true;
    if (!isFull && isWholeFrame(whole.text) && !BEHIND_FRAME.test(line.text)) return false;
    if (WHOLE_HARDWARE.test(whole.text)) return false;
    const isApart = line.number - last.last > 2 || (line.gap && !isSpaced);
    if (looksLikeFrame || shapes.startsItem(line.text) || isApart) return false;
    return !((isWholeFrame(whole.text) || HEADING.test(whole.text)) && isBegunFrame(line, next, column));
  }
  // printk cuts a long list of modules into records.
  return (
    !shapes.startsItem(line.text) &&
    whole.text.startsWith(MODULES) &&
    !whole.text.includes('[last unloaded') &&
    MODULE_NAMES.test(line.text)
  );
}

/** A line that is broken before the symbol that it must have, or the caller's of 32-bit ARM's two. */
const AWAITS_SYMBOL =
  /(?:^|\s)\?$|^(?:T?PC|RPC|I7): <[\w.]{0,200}$|^(?:[RE]IP|NIP|LR|EPC|epc|pc|lr|ra|PC is at|LR is at|ip is at|IAOQ\[0|Krnl PSW)\b[^+)]{0,120}$|^WARNING: [^+]{1,200}\.c:\d{1,7}(?: \w{1,80})?$/;

/** A frame that is broken inside its symbol, or behind it: nothing else of an oops is a line of one word. */
const LONE_SYMBOL =
  /^(?:\(?\[<?[0-9a-f]{8,16}>?\][ \0]?){0,2}(?:\? )?[(.]?(?=[\w.]{0,200}[a-z_])[A-Za-z_][\w.]{0,200}$/;
/** A frame that is broken inside the address before its symbol. */
const OPEN_ADDRESS = /^\(?(?:\[<?[0-9a-f]{8,16}>?\] ?)?\[<?[0-9a-f]{0,16}>?$/;
/** The same inside its numbers. */
const BEGUN_NUMBERS =
  /^(?:\(?\[<?[0-9a-f]{8,16}>?\] ?){0,2}(?:\? )?\.?[A-Za-z_][\w.]{0,200}\+(?:0(?:x[0-9a-f]{0,8}(?:\/(?:0x?)?)?)?)?$/;

/** A frame that is broken inside its size, or inside the name of its module. */
const OPEN_SIZE = /\+0x[0-9a-f]{1,8}\/0x[0-9a-f]{1,7}$/;
const OPEN_MODULE = /\/0x[0-9a-f]{1,8} \[[\w-]{0,60}$/;

/** 32-bit ARM's, broken inside the caller's name, where no blank is. */
const OPEN_SYMBOL = new RegExp(`${CALLEE_FROM} (?:\\[<[0-9a-f]{8}>\\] \\(\\w{0,200}|[A-Za-z_]\\w{0,200})$`);
const AWAITS_CALLER = new RegExp(`${CALLEE_FROM}(?: \\[<[0-9a-f]{8}>\\])?$`);

/** Stands before the symbol of older kernels' frames, and of powerpc's. */
const ADDRESS = /^\(?\[<?[0-9a-f]{8,16}>?\]/;
const HEADING = /^(?:Call [Tt]race:|Backtrace:|Stack [Tt]race:|<\/?(?:TASK|IRQ|NMI)>)$/;

/** A frame to its end: its size, its source lines, or the module behind them. */
const isWholeFrame = (text: string): boolean =>
  INLINED.test(text) ||
  (isTraceLine(text) &&
    /(?:(?:\/0x[0-9a-f]{1,8}\)?|\))(?: \[[^\]]{1,80}\]| [A-Za-z_][\w-]{0,60})?|:\d{1,7}(?: \[inline\])?| at [0-9a-f]{8,16}(?: \[[^\]]{1,80}\])?)$/.test(
      text,
    ));
/** What may stand behind a frame's size: its module, its place in the source, or more digits. */
const BEHIND_FRAME = /^(?:[[(]|[\w.-]{1,60}\/[\w./-]{0,200}:\d|:\d|[0-9a-f]{1,7}(?:$| [[(]|[)>]))/;
/** x86 ends it with the date of the BIOS. */
const WHOLE_HARDWARE = /^Hardware name: .{1,300}, BIOS .{0,100}\d\d\/\d\d\/\d{4}$/;
/** `check_copy_size include/linux/thread_info.h:150`, which some trackers' frames are. */
const INLINED = /^[A-Za-z_][\w.]{0,200} [\w./-]{1,200}\.[chS]:\d{1,7}$/;

/** A frame that is broken off in its symbol, its numbers, or before its place in the source (decode_stacktrace.sh). */
const BEGUN =
  /^(?:\? )?[A-Za-z_][\w.]{0,200}(?:(\+)[0-9a-fx/]{0,20}|( (?:\([\w./+-]{1,200}(?:[: ].{0,200})?|[\w.-]{1,60}\/[\w./-]{0,200}(?::\d{0,7})?|from\b.{0,200})))?$/;

const SOURCE_PLACE = /^(?:\(|[\w.-]{1,60}\/[\w./-]{1,200}:\d)/;

function isBegunFrame({ text, width }: LogLine, next: LogLine | undefined, column: number | null): boolean {
  if (text === '?') return true;
  if (next !== undefined && OPEN_ADDRESS.test(text) && isTraceLine(text + next.text)) return true;
  const [begun, numbers, place] = BEGUN.exec(text) ?? [];
  if (begun === undefined) return false;
  if (numbers !== undefined || place !== undefined || width === column) return true;
  return (
    next !== undefined &&
    (/^(?:\+|0?x?[0-9a-f]{1,8}\/)/.test(next.text) ||
      SOURCE_PLACE.test(next.text) ||
      (!next.prefixed && !next.gap && isTraceLine(next.text)))
  );
}

/**
 * The column at which a terminal broke lines: no line is longer, and of all that are broken most end there. Null where there is
 * none.
 */
function breakColumn(lines: readonly LogLine[], { startsItem }: Shapes): number | null {
  const LEAST = 2;
  const longest = lines.reduce((width, line) => Math.max(width, line.width), 0);
  const hasPrefixes = lines.some(({ prefixed }) => prefixed);
  let there = 0;
  let elsewhere = 0;
  for (const [index, line] of lines.entries()) {
    const next = lines[index + 1];
    if (next === undefined || next.prefixed || next.gap || (!hasPrefixes && startsItem(next.text))) continue;
    if (line.width === longest) there++;
    else elsewhere++;
  }
  return there >= LEAST && there > 2 * elsewhere ? longest : null;
}
