/** The kernel's lines in a text, as the kernel wrote them. */
import { kernelStart } from './anchors.js';
import { plainLine } from './characters.js';
import { isOfChat } from './chat.js';
import { edgeMark } from './edge-mark.js';
import { isMisread, withDigits } from './misread.js';
import { Prefixes, stampOf, threadOf } from './prefixes.js';
import { type RawLine, rawLines } from './raw-lines.js';
import { withoutOuterPrefix } from './wrapped.js';

export interface LogLine {
  /** From 1, in the text as it came. */
  readonly number: number;
  /** Number of its last line, where an encoding broke it. */
  readonly last: number;
  /** Without prefix and surrounding space. */
  readonly text: string;
  /** Whether a logger's prefix was there, or a record's field: then it is not the rest of the line before. */
  readonly prefixed: boolean;
  /** `T189`, the task or CPU that printed it (CONFIG_PRINTK_CALLER); null where the log does not say. */
  readonly thread: string | null;
  /** Seconds since boot; null where the log has no such stamp. */
  readonly stamp: number | null;
  /** Columns that the line took with its prefix: a terminal breaks all lines at the same one. */
  readonly width: number;
  /** Blanks before its end, and before its first letter where it has no prefix. */
  readonly blanksAtEnd: number;
  readonly blanksAtStart: number;
  /** An empty line, the fence of a code block or another program's line stands before it. */
  readonly gap: boolean;
  /** Letters stood in it where only digits can. */
  readonly misread: boolean;
  /** A pager's mark says that it went on. */
  readonly cut: boolean;
}

/** A line's number may be an excerpt's: `before` lines stand in front of it. */
export function logLines(text: string, before = 0): readonly LogLine[] {
  const whole = rawLines(text);
  const raw = withoutOuterPrefix(whole, anchorsAt(whole));
  // Known by their looks before they are cleaned: the cleaned copies are not kept.
  const prefixes = Prefixes.learn(anchorsIn(raw));
  const lines: LogLine[] = [];
  const misread = isMisread(text);
  const edge = edgeMark(raw);
  let gap = true;
  for (const { number, last, text: line, record } of withWholeStamps(raw)) {
    const whole = plainLine(line);
    const marked = edge !== null && whole.length === edge.column;
    const shown = marked ? whole.slice(0, -1) : whole;
    const plain = misread ? withDigits(shown) : shown;
    const read = isFence(plain) ? null : prefixes.takeOff(tableRow(plain));
    const own = read?.text.trim().replace(/\t+/g, ' ') ?? '';
    // `10:31:05 PM` is no date of syslog's with a text.
    const mayBeChat = !record && (read?.prefixed === false || /^[ap]\.?m\.?$/i.test(own));
    if (mayBeChat && (isOfChat(plain) || DEVICE_OF_RECORD.test(line))) continue;
    if (read === null || own === '') {
      gap = true;
      continue;
    }
    lines.push({
      number: number + before,
      last: last + before,
      text: own,
      prefixed: read.prefixed || record,
      thread: threadOf(read.prefix),
      stamp: stampOf(read.prefix),
      width: plain.length,
      blanksAtEnd: plain.length - plain.trimEnd().length,
      blanksAtStart: read.prefixed ? 0 : (BLANKS.exec(read.prefix)?.[1] ?? '').length,
      gap,
      misread: plain !== shown,
      cut: marked && edge.cuts,
    });
    gap = false;
  }
  return withoutSuffix(lines);
}

/** /dev/kmsg and extended consoles tell the device of a record on lines of their own. */
const DEVICE_OF_RECORD = /^ (?:SUBSYSTEM|DEVICE)=\S{1,200}\s{0,2}$/;

/** What stands before a kernel's line: its own stamp with the caller behind it, or syslog's date, host and tag. */
const WHOLE_STAMPS: readonly RegExp[] = [
  /^[^[\]]{0,80}\[ {0,12}\d{1,10}\.\d{6}\](?: ?\[ {0,8}[TC]\d{1,10}\])?/,
  /^(?:(?:[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]{8,15}(?:Z|[+-]\d\d:?\d\d)) [\w.-]{1,64} )?kernel: /,
];
const LONGEST_STAMP = 120;
const BEGINS_STAMP =
  /^(?:[^[\]]{0,80}\[[ \d.]{0,23}(?:\] ?(?:\[[ TC\d]{0,18})?)?|[A-Z\d][\w :.+-]{0,100}|k[ernl]{0,5}:?)$/;

/** A break inside what stands before a line is undone: else the line would be another's rest. */
function withWholeStamps(raw: readonly RawLine[]): readonly RawLine[] {
  const whole: RawLine[] = [];
  for (const line of raw) {
    const before = whole.at(-1);
    const isBegun = before !== undefined && before.text.length < LONGEST_STAMP && BEGINS_STAMP.test(before.text);
    if (isBegun && !line.record && isRestOfStamp(before.text, line.text))
      whole[whole.length - 1] = { ...before, last: line.last, text: `${before.text}${line.text}` };
    else whole.push(line);
  }
  return whole;
}

/** Whether the first line ends inside the stamp that both together begin with, which the second has not alone. */
const isRestOfStamp = (begun: string, rest: string): boolean =>
  WHOLE_STAMPS.some((stamp) => {
    const length = stamp.exec(begun + rest.slice(0, LONGEST_STAMP))?.[0].length ?? 0;
    return length > begun.length && !stamp.test(rest);
  });

/** Where a line of the kernel's ends for sure, and what stands behind it. */
const SUFFIX = /(?:, size \d{1,20}\)!|\(\d{1,20} bytes\)|\.c:\d{1,7}!|--\[ end trace [0-9a-f]{16} \]---)(\S{1,16})$/;

/** What stands behind the message on its own line ends the lines around it too: `"`, `</line>`, `\par`. */
function withoutSuffix(lines: readonly LogLine[]): readonly LogLine[] {
  const LEAST = 3;
  const MOST = 4;
  const suffixes = new Set(lines.flatMap(({ text }) => SUFFIX.exec(text)?.[1] ?? []));
  for (const suffix of [...suffixes].slice(0, MOST)) {
    const ended = lines.filter(({ text }) => text.endsWith(suffix)).length;
    if (ended < LEAST || 2 * ended < lines.length) continue;
    return lines.map((line) =>
      line.text.endsWith(suffix) ? { ...line, text: line.text.slice(0, -suffix.length).trimEnd() } : line,
    );
  }
  return lines;
}

/** What stands before a line that has no prefix: marks of quoting, one blank that belongs to them, and the line's own. */
const BLANKS = /(?:[>|*] ?|E {3})?(\s{0,200})$/;

const isFence = (line: string): boolean => /^[\s>|]{0,40}(?:`{3,}|~{3,})\s{0,4}\w{0,20}\s{0,10}$/.test(line);

/** `| text |`, a row of a table in Markdown. */
const tableRow = (line: string): string =>
  /^\s{0,8}\|.{0,8000}\|\s{0,8}$/.test(line) ? line.replace(/\|\s*$/, '') : line;

const MOST_ANCHORS = 2000;
/** Not every line is cleaned twice: only those with a word of the kernel in them. */
const WORDS =
  /usercopy|ernel memory|BUG|cut here|WARNING|nvalid opcode|nternal error|PID: |ardware name|all [Tt]race|odules linked|end trace/;

function* anchorsIn(raw: readonly { readonly text: string }[]): Iterable<string> {
  for (const index of anchorsAt(raw)) yield tableRow(plainLine(raw[index]?.text ?? ''));
}

function* anchorsAt(raw: readonly { readonly text: string }[]): Iterable<number> {
  let found = 0;
  for (const [index, { text }] of raw.entries()) {
    if (!WORDS.test(text) || kernelStart(plainLine(text)) === null) continue;
    yield index;
    if (++found >= MOST_ANCHORS) return;
  }
}
