/**
 * What loggers put before a line. Some prefixes are known by their looks. Any other is learnt: what stands before the
 * kernel's message, or before another line that only a kernel writes, is the prefix of the lines around it too.
 * Every pattern is anchored or bounded, so that a line costs time in proportion to its length.
 */
import { isHeader, kernelStart, messageStart } from './anchors.js';

/** A line without what the logger put before it. */
export interface Unprefixed {
  readonly text: string;
  /** What was taken off. */
  readonly prefix: string;
  /** Whether a logger's prefix was there; quoting alone is none. */
  readonly prefixed: boolean;
}

const ROUNDS = 8;
/** `>)` is the rest of a broken `(<process stack>)`. */
const QUOTE = /^(?!>\))[\s>|]{0,200}[>|] ?/;
/** A line of a comment in C, or of what a test in Python was given. */
const COMMENT = /^(?:\s{0,20}\*\s|E {3})(?=\s{0,20}\S)/;
const KMSG_RECORD = /^\d{1,3},\d{1,20},\d{1,20},[^,;]{1,8}(?:,[^;]{0,200})?;/;
const PRIORITY = /^<\d{1,3}>(?=\S)/;
/** `[  100.000001]`, `[  100.000001 <    0.000002>]` of dmesg -d, `[<    0.000002>]`, with a CPU or a task behind it. */
const TIMESTAMP =
  /^\[[ <+]{0,12}\d{1,10}\.\d{1,9}>?(?: {1,4}<[ +]{0,12}\d{1,10}\.\d{1,9}>)? {0,4}(?:[@#] {0,2}\d{1,5})?\]/;
const DATE_STAMP = /^\[(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {0,2}\d{1,2} [\d:]{5,8}(?: \d{4})?\]/;
const NO_STAMP = /^\[\](?=\s)/;
const THREAD = /^\[ {0,8}[TC]\d{1,10}\]/;
const VENDOR_THREAD = /^(?:-?\(\d{1,3}\))?\[\d{1,8}:[^\]]{0,40}\]/;
const DATE =
  /^(?:[A-Z][a-z]{2} {1,2}\d{1,2} |\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\s/;
const KERNEL_TAG = /^(?:[\w.-]{1,64} )?(?:kernel|klogd)(?:\[\d{1,10}\])?:/;
/** `dmesg -x` */
const FACILITY = /^(?:kern|user|daemon|syslog) {0,4}:[a-z]{2,8} {0,4}: /;
const OTHER_TAG = /^[\w.-]{1,64} [\w./@-]{1,64}(\[\d{1,10}\])?:\s/;
/** `01-05 12:00:00.123     0     0 E `: what follows is cut in two at its first colon, the tag filled up with spaces. */
const LOGCAT = /^\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6} {1,8}\d{1,8} {1,8}\d{1,8} [VDIWEFS] /;

export const LONGEST_PREFIX = 240;
const MOST_SHAPES = 8;
const MOST_LEARNT = 256;

/** A prefix that was learnt. */
interface Shape {
  readonly pattern: RegExp;
  /** Its first part, a date: a line that has this and not the whole is another program's. Null where nothing tells that. */
  readonly date: RegExp | null;
}

/** The prefixes of one text. */
export class Prefixes {
  readonly #shapes: readonly Shape[];
  /** The kernel's lines name it behind the date: one that names another program is not the kernel's. */
  readonly #tagged: boolean;

  private constructor(shapes: readonly Shape[], tagged: boolean) {
    this.#shapes = shapes;
    this.#tagged = tagged;
  }

  /** Learns from lines that only a kernel writes. */
  static learn(lines: Iterable<string>): Prefixes {
    const ofMessage = new Map<string, Shape>();
    const ofOthers = new Map<string, { readonly shape: Shape; readonly prefix: string; count: number }>();
    let tagged = false;
    for (const line of lines) {
      const start = kernelStart(line);
      if (start === null || start === 0 || start > LONGEST_PREFIX) continue;
      const prefix = line.slice(0, start);
      const known = withoutKnown(prefix, false);
      tagged ||= known?.tagged === true;
      if (known === null || known.text === '' || LOGCAT.test(prefix) || isHeader(known.text)) continue;
      const shape = shapeOf(prefix.slice(quoteLength(prefix)));
      if (shape === null) continue;
      const key = shape.pattern.source;
      if (messageStart(line) !== null) {
        if (ofMessage.size < MOST_SHAPES) ofMessage.set(key, shape);
        continue;
      }
      const seen = ofOthers.get(key);
      if (seen !== undefined) seen.count++;
      else if (ofOthers.size < MOST_LEARNT) ofOthers.set(key, { shape, prefix, count: 1 });
    }
    // One line alone may be a sentence that quotes the kernel; the message's own prefix comes first in any case.
    // A program that repeats the kernel's lines has the date of the message's prefix, and a name of its own.
    const isOther = (prefix: string): boolean =>
      [...ofMessage.values()].some(({ date, pattern }) => date?.test(prefix) === true && !pattern.test(prefix));
    const others = [...ofOthers.values()]
      .filter(({ count, prefix }) => count > 1 && !isOther(prefix))
      .map(({ shape }) => (ofMessage.size === 0 ? shape : { ...shape, date: null }));
    return new Prefixes([...ofMessage.values(), ...others].slice(0, MOST_SHAPES), tagged);
  }

  /** Takes the prefix off; null for a line that some other program logged. */
  takeOff(line: string): Unprefixed | null {
    const quote = quoteLength(line);
    const rest = quote === 0 ? line : line.slice(quote);
    if (LOGCAT.test(rest)) return withoutLogcat(rest);
    let foreign = false;
    for (const { pattern, date } of this.#shapes) {
      const found = pattern.exec(rest);
      if (found !== null) {
        let text = rest.slice(found[0].length);
        const mark = found.groups?.['quote'];
        if (mark !== undefined && mark !== '') text = quotedText(text, mark);
        const more = withoutKnown(text, false);
        return {
          text: more?.text ?? text,
          prefix: found[0] + (more?.prefix ?? ''),
          prefixed: true,
        };
      }
      foreign ||= date?.test(rest) === true;
    }
    const known = withoutKnown(line, this.#tagged);
    if (foreign && known?.tagged !== true) return null;
    return known === null ? null : { text: known.text, prefix: known.prefix, prefixed: known.prefixed };
  }
}

const quoteLength = (line: string): number => {
  let length = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const rest = line.slice(length);
    const quote = QUOTE.exec(rest) ?? COMMENT.exec(rest);
    if (quote === null) break;
    length += quote[0].length;
  }
  return length;
};

interface Known extends Unprefixed {
  /** A date, and the kernel's name behind it. */
  readonly tagged: boolean;
}

/** Takes the known prefixes off; null for a line that names another program, where the kernel's name the kernel. */
function withoutKnown(line: string, mustBeTagged: boolean): Known | null {
  let text = line;
  let prefixed = false;
  let dated = false;
  let tagged = false;
  for (let round = 0; round < ROUNDS; round++) {
    const quote = QUOTE.exec(text) ?? COMMENT.exec(text);
    if (quote !== null) {
      text = text.slice(quote[0].length);
      continue;
    }
    const start = text.trimStart();
    const caller = prefixed ? (THREAD.exec(start) ?? VENDOR_THREAD.exec(start)) : null;
    if (caller !== null) {
      text = start.slice(caller[0].length);
      continue;
    }
    const date: RegExpExecArray | null = dated ? null : DATE.exec(start);
    const tag: RegExpExecArray | null = date === null ? KERNEL_TAG.exec(start) : null;
    const stamp =
      date ??
      tag ??
      KMSG_RECORD.exec(start) ??
      PRIORITY.exec(start) ??
      FACILITY.exec(start) ??
      TIMESTAMP.exec(start) ??
      DATE_STAMP.exec(start) ??
      NO_STAMP.exec(start);
    if (stamp === null) {
      const other = dated && !tagged ? OTHER_TAG.exec(start) : null;
      // A process id in the tag is never the kernel's.
      if (other !== null && (mustBeTagged || other[1] !== undefined)) return null;
      break;
    }
    dated ||= date !== null;
    tagged ||= tag !== null;
    prefixed = true;
    text = start.slice(stamp[0].length);
  }
  const rest = text.trimStart();
  return { text: rest, prefix: line.slice(0, line.length - rest.length), prefixed, tagged: tagged && dated };
}

/** Puts a line together that logcat took for a tag and a text. */
function withoutLogcat(line: string): Unprefixed {
  const [prefix = ''] = LOGCAT.exec(line) ?? [];
  const rest = line.slice(prefix.length);
  const colon = rest.indexOf(': ');
  const tag = colon < 0 ? '' : rest.slice(0, colon).trimEnd();
  const said = colon < 0 ? rest : rest.slice(colon + 2);
  const glued = /-$/.test(tag) ? `${tag}${said}` : /\.c$/.test(tag) && /^\d/.test(said) ? `${tag}:${said}` : null;
  return { text: (glued ?? (tag === '' ? said : `${tag}: ${said}`)).trim(), prefix, prefixed: true };
}

/** What stands in a field of CSV, in a literal or behind `msg="`, up to the quotation mark that ends it. */
function quotedText(text: string, mark: string): string {
  const [end = ''] =
    (mark === '"' ? /^(?:[^"\\]|""|\\.){0,8000}/ : /^(?:[^'\\]|'(?!\s*(?:$|[,;)\]}]))|\\.){0,8000}/).exec(text) ?? [];
  return end
    .replaceAll(mark + mark, mark)
    .replaceAll(`\\${mark}`, mark)
    .replaceAll('\\t', '\t')
    .replace(/(?:\\[nr]){1,4}$/, '');
}

const LEVEL = 'emerg|panic|alert|crit|critical|err|error|warn|warning|notice|info|debug';
const LEVELS = new RegExp(`^(?:${LEVEL})$`, 'i');
const TOKEN =
  /\[[^\][]{0,160}\]|\([^()]{0,80}\)|<[^<>]{0,80}>|"[^"]{0,200}"(?=[,;\t])|[ \t]+|[\p{L}\p{M}\p{N}_]+|[\s\S]/gu;
const TIME = /\d\d:\d\d:\d\d|\d\d?:\d\d [AP]M/;

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** What other lines have in place of a prefix, with as many blanks behind it as this one has; null for one that is too vague. */
export function outerPattern(prefix: string): RegExp | null {
  const blanks = prefix.length - prefix.trimEnd().length;
  const source = shapeOf(prefix)?.pattern.source;
  return source === undefined ? null : new RegExp(source.replace(/\[ \\t\]\*$/, `[ \\t]{0,${blanks}}`), 'u');
}

/** Where letters and numbers of a prefix may differ from line to line, and where they may not; null for one that is too vague. */
function shapeOf(prefix: string): Shape | null {
  const time = TIME.exec(prefix);
  const timeEnds = time === null ? -1 : time.index + time[0].length;
  let source = '';
  let dateSource: string | null = null;
  let names = false;
  let marks = 0;
  let at = 0;
  const quote = quoteAt(prefix);
  for (const [token] of prefix.matchAll(TOKEN)) {
    const next = prefix[at + token.length] ?? '';
    // Fields are quoted where they must be, and Python takes the mark that the text has not.
    if (at <= quote.at && at + token.length > quote.at) {
      source += quote.begins ? `${literal(token)}(?<quote>"?)` : `(?<quote>["']?)`;
      at += token.length;
      marks++;
      continue;
    }
    if (timeEnds >= 0 && at >= timeEnds && dateSource === null && /^\s/.test(token)) dateSource = `${source}[ \\t]`;
    const piece = pieceOf(token, next, at < timeEnds);
    if (timeEnds >= 0 && at >= timeEnds && /^\p{L}{2,}$/u.test(token)) names = true;
    if (piece.mark) marks++;
    source += piece.source;
    at += token.length;
  }
  // Digits and spaces alone would be anything's prefix, unless a tab or a mark is among them.
  if (marks === 0 && !/^\s*\d{1,7}[:.)]?[ \t]+$/.test(prefix)) return null;
  return {
    pattern: new RegExp(`^[ \\t]{0,8}${source.replace(/^\[ \\t\]\+/, '')}`, 'u'),
    date: names && dateSource !== null ? new RegExp(`^[ \\t]{0,8}${dateSource}`, 'u') : null,
  };
}

/** The place of the mark that the text is quoted by; of what stands before the place where one may begin (`begins`); -1 for none. */
function quoteAt(prefix: string): { readonly at: number; readonly begins: boolean } {
  // What stands behind it are the kernel's own stamps and names.
  const isKnown = (from: number): boolean =>
    from === prefix.length || withoutKnown(prefix.slice(from), false)?.text === '';
  for (const { index, 0: found } of prefix.matchAll(/(?<![^,;\t=:{[( ])[bur]?["']/g)) {
    const end = index + found.length;
    if (isKnown(end)) return { at: end - 1, begins: false };
  }
  for (const { index } of prefix.matchAll(/[,;\t]/g)) if (isKnown(index + 1)) return { at: index, begins: true };
  return { at: -1, begins: false };
}

interface Piece {
  readonly source: string;
  /** Something that ordinary text does not begin with. */
  readonly mark: boolean;
}

function pieceOf(token: string, next: string, beforeTime: boolean): Piece {
  const first = token.slice(0, 1);
  if (token.length > 1 && '[(<"'.includes(first)) return { source: groupOf(token), mark: true };
  if (/^[ \t]/.test(token)) return { source: next === '' ? '[ \\t]*' : '[ \\t]+', mark: token.includes('\t') };
  if (/^\p{N}+$/u.test(token)) return { source: '\\p{N}+', mark: false };
  if (/^[\p{L}\p{M}\p{N}_]+$/u.test(token)) {
    if (/^\p{L}$/u.test(token)) return { source: '\\p{L}', mark: false };
    if (LEVELS.test(token)) return { source: `(?:${LEVEL}|${LEVEL.toUpperCase()})`, mark: true };
    if (beforeTime && /^[\p{L}\p{M}]+$/u.test(token)) return { source: '[\\p{L}\\p{M}]+', mark: false };
    return { source: literal(token).replace(/\p{N}+/gu, '\\p{N}+'), mark: true };
  }
  // `grep -n` has `:` before what was found and `-` before the lines around it.
  if ((token === ':' || token === '-') && next !== ' ' && next !== '\t') return { source: '[:\\-]', mark: true };
  return { source: literal(token), mark: true };
}

/** What stands in brackets differs; without letters it has none in other lines either. */
function groupOf(token: string): string {
  const [open, close] = [token.slice(0, 1), token.slice(-1)];
  const inside = token.slice(1, -1);
  const but = literal(open === close ? open : `${open}${close}`);
  if (open === '"') return `"[^"]{0,200}"`;
  if (/\p{L}/u.test(inside)) return `${literal(open)}[^${but}]{0,160}${literal(close)}`;
  const needs = /[.:]/.exec(inside)?.[0];
  const ahead = needs === undefined ? '' : `(?=[^${but}]{0,160}${literal(needs)})`;
  return `${literal(open)}${ahead}[^${but}\\p{L}]{0,160}${literal(close)}`;
}

/** `T189`, the task or CPU that printed a line (CONFIG_PRINTK_CALLER and vendors' forms of it); null where the prefix does not say. */
export function threadOf(prefix: string): string | null {
  const caller = /\[ {0,8}([TC]\d{1,10})\]/.exec(prefix)?.[1];
  if (caller !== undefined) return caller;
  // Numbers alone are a time of day.
  const vendor = /\[pid:(\d{1,10}),|\[\d{1,3}: {0,20}(?=[^\s\]]{0,19}[^\s\]\d:.])\S{1,20}: {0,10}(\d{1,10})\]/.exec(
    prefix,
  );
  return vendor === null ? null : `T${vendor[1] ?? vendor[2]}`;
}

/** Seconds since boot by the kernel's own stamp; null where the prefix has none. */
export function stampOf(prefix: string): number | null {
  const seconds = /(?:\[ {0,12}|^|[\s:-])(\d{1,10}\.\d{6})s?\b(?:[ <+\d.>@#]{0,30}\])/.exec(prefix)?.[1];
  if (seconds !== undefined) return Number(seconds);
  const record = /^\d{1,3},\d{1,20},(\d{1,16}),/.exec(prefix)?.[1];
  return record === undefined ? null : Number(record) / 1e6;
}
