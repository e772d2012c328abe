/** The kernel's lines in a text, as the kernel wrote them. */
import { kernelStart } from './anchors.js';
import { plainLine } from './characters.js';
import { Prefixes, stampOf, threadOf } from './prefixes.js';
import { rawLines } from './raw-lines.js';

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
}

/** A line's number may be an excerpt's: `before` lines stand in front of it. */
export function logLines(text: string, before = 0): readonly LogLine[] {
  const raw = rawLines(text);
  // Known by their looks before they are cleaned: the cleaned copies are not kept.
  const prefixes = Prefixes.learn(anchorsIn(raw));
  const lines: LogLine[] = [];
  let gap = true;
  for (const { number, last, text: line, record } of raw) {
    const plain = plainLine(line);
    const read = isFence(plain) ? null : prefixes.takeOff(tableRow(plain));
    const whole = read?.text.trim() ?? '';
    if (read === null || whole === '') {
      gap = true;
      continue;
    }
    lines.push({
      number: number + before,
      last: last + before,
      text: whole,
      prefixed: read.prefixed || record,
      thread: threadOf(read.prefix),
      stamp: stampOf(read.prefix),
      width: plain.length,
      blanksAtEnd: plain.length - plain.trimEnd().length,
      blanksAtStart: read.prefixed ? 0 : (BLANKS.exec(read.prefix)?.[1] ?? '').length,
      gap,
    });
    gap = false;
  }
  return withoutSuffix(lines);
}

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

function* anchorsIn(raw: readonly { readonly text: string }[]): Iterable<string> {
  let found = 0;
  for (const { text } of raw) {
    // Not every line is cleaned twice: only those with a word of the kernel in them.
    if (
      !/usercopy|ernel memory|BUG|cut here|WARNING|nvalid opcode|nternal error|PID: |ardware name|all [Tt]race|odules linked|end trace/.test(
        text,
      )
    ) {
      continue;
    }
    const line = plainLine(text);
    if (kernelStart(line) === null) continue;
    yield tableRow(line);
    if (++found >= MOST_ANCHORS) return;
  }
}
