/**
 * Lines of a log as the kernel wrote them: what a logger put before them, what a mailer, a web page or a terminal did to
 * them is taken away. Every pattern here is anchored or bounded, so that a line costs time in proportion to its length.
 */

export interface LogLine {
  /** From 1, in the text as it came. */
  readonly number: number;
  /** Without prefix and surrounding space. */
  readonly text: string;
  /** Whether a logger's prefix was there. */
  readonly prefixed: boolean;
  /** `T189`, the task or CPU that printed it (CONFIG_PRINTK_CALLER); null where the log does not say. */
  readonly thread: string | null;
}

/** Longer lines are no kernel's; they are cut into pieces. */
const LONGEST_LINE = 8192;
const PREFIXES = 8;

const QUOTE = /^[\s>|]{0,200}[>|] ?/;
const COMMENT = /^\s{0,20}\*\s(?=\s{0,20}\S)/;
const KMSG_RECORD = /^\d{1,3},\d{1,20},\d{1,20},[^,;]{1,8}(?:,[^;]{0,200})?;/;
const PRIORITY = /^<\d{1,3}>(?=\S)/;
const TIMESTAMP = /^\[[ <+]{0,12}\d{1,10}\.\d{1,9}>? {0,4}(?:[@#] {0,2}\d{1,5})?\]/;
const DATE_STAMP = /^\[(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {0,2}\d{1,2} [\d:]{5,8}(?: \d{4})?\]/;
const NO_STAMP = /^\[\](?=\s)/;
const THREAD = /^\[ {0,8}([TC]\d{1,10})\]/;
const VENDOR_THREAD = /^(?:-?\(\d{1,3}\))?\[\d{1,8}:[^\]]{0,40}\]/;
const DATE =
  /^(?:[A-Z][a-z]{2} {1,2}\d{1,2} |\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\s/;
const KERNEL_TAG = /^(?:[\w.-]{1,64} )?(?:kernel|klogd)(?:\[\d{1,10}\])?:/;
/** `dmesg -x` */
const FACILITY = /^(?:kern|user|daemon|syslog) {0,4}:[a-z]{2,8} {0,4}: /;
const OTHER_TAG = /^[\w.-]{1,64} [\w./@-]{1,64}(?:\[\d{1,10}\])?:\s/;

const ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};
const TAG = /<\/?(?:br|p|pre|div|span|code|tt|li|td|tr|table|blockquote|font|a|b|i|em|strong)(?:\s[^<>]{0,300})?\/?>/gi;
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' colours are control characters.
const TERMINAL = /\u001b\[[0-9;?]{0,20}[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f]/g;

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,6})|#x([0-9a-f]{1,5})|([a-z]{2,5}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code >= 32 && code <= 0x10ffff ? String.fromCodePoint(code) : ' ';
  });
}

/** Spaces and quotation marks as the kernel prints them, in place of what web pages and word processors make of them. */
function plainCharacters(text: string): string {
  return text
    .replace(/[\u00a0\u2000-\u200a\u202f\u3000]/g, ' ')
    .replace(/[\u200b\ufeff]/g, '')
    .replace(/[\u2018\u2019]/g, "'")
    .replace(/[\u201c\u201d]/g, '"');
}

/** A mail's body as it was sent: `=` at the end of a line joins it to the next, `=3D` is a character. */
function decodeQuotedPrintable(text: string): string {
  return text
    .replace(/=[ \t]{0,8}\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_whole, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function isQuotedPrintable(text: string): boolean {
  return (
    /^Content-Transfer-Encoding: quoted-printable/im.test(text) || (/=\r?\n/.test(text) && /=(?:3D|20\r?\n)/.test(text))
  );
}

/** Where a text has hardly a line end but many `\n`, it is a string out of JSON or a program. */
function withRealLineEnds(text: string): string {
  if (!text.includes('\\n')) return text;
  const real = text.split('\n', 64).length;
  return real >= 8
    ? text
    : text.replaceAll('\\r', '').replaceAll('\\n', '\n').replaceAll('\\t', '\t').replaceAll('\\"', '"');
}

/** Takes the prefixes off; null for a line that some other program logged. */
function withoutPrefix(line: string): Omit<LogLine, 'number'> | null {
  let text = line;
  let prefixed = false;
  let thread: string | null = null;
  let dated = false;
  for (let round = 0; round < PREFIXES; round++) {
    const quote = QUOTE.exec(text) ?? COMMENT.exec(text);
    if (quote !== null) {
      text = text.slice(quote[0].length);
      continue;
    }
    const start = text.trimStart();
    const caller = prefixed ? (THREAD.exec(start) ?? VENDOR_THREAD.exec(start)) : null;
    if (caller !== null) {
      thread = caller[1] ?? thread;
      text = start.slice(caller[0].length);
      continue;
    }
    const date: RegExpExecArray | null = dated ? null : DATE.exec(start);
    const stamp =
      date ??
      KMSG_RECORD.exec(start) ??
      PRIORITY.exec(start) ??
      FACILITY.exec(start) ??
      TIMESTAMP.exec(start) ??
      DATE_STAMP.exec(start) ??
      NO_STAMP.exec(start) ??
      KERNEL_TAG.exec(start);
    if (stamp === null) {
      if (dated && OTHER_TAG.test(start)) return null;
      break;
    }
    dated ||= date !== null;
    prefixed = true;
    text = start.slice(stamp[0].length);
  }
  return { text: text.trim(), prefixed, thread };
}

/** The kernel's lines in a text; empty ones and those of other programs are left out. */
export function logLines(text: string): LogLine[] {
  let body = plainCharacters(withRealLineEnds(text));
  if (isQuotedPrintable(body)) body = decodeQuotedPrintable(body);
  const lines: LogLine[] = [];
  let number = 0;
  for (let begin = 0; begin < body.length; ) {
    const found = body.indexOf('\n', begin);
    const end = found < 0 ? body.length : found;
    number++;
    // Not split(): millions of empty lines would be millions of strings.
    for (let from = begin; from < end; from += LONGEST_LINE) {
      const read = lineOf(body.slice(from, Math.min(from + LONGEST_LINE, end)));
      if (read !== null && read.text !== '') lines.push({ number, ...read });
    }
    begin = end + 1;
  }
  return lines;
}

function lineOf(raw: string): Omit<LogLine, 'number'> | null {
  let line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
  if (line.endsWith('^M')) line = line.slice(0, -2);
  if (line.includes('&')) line = decodeEntities(line);
  if (line.includes('&lt;') || line.includes('&gt;')) line = decodeEntities(line);
  line = line.replace(TERMINAL, '');
  if (line.includes('<')) line = line.replace(TAG, '');
  return withoutPrefix(line);
}
