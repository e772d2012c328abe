/**
 * A text → its lines, each with its number in the text as it came. What holds the log is undone here: the encoding of a
 * mail, a web page, JSON, the journal's own formats, a string with `\n` in it. Every step takes time in proportion to
 * the text.
 */
import { looksLikeKernel } from './anchors.js';
import { decodeQuotedPrintable } from './characters.js';
import { recordsOf } from './records.js';

export interface RawLine {
  /** From 1, in the text as it came. */
  readonly number: number;
  /** Number of its last line, where an encoding broke it. */
  readonly last: number;
  readonly text: string;
  /** A record of its own, as the journal and JSON have them: never the rest of the line before. */
  readonly record: boolean;
}

/** Longer lines are no kernel's; they are cut into pieces. */
const LONGEST_LINE = 8192;
/** A line with a page or a whole log in it is taken apart before it is cut. */
const LONGEST_PAGE = 32 << 20;

/** Containers' logs (CRI) have a long line in parts: `… stdout P the first of it`, and `F` for the last. */
const CONTAINERS_PART = /^(?<head>\d{4}-\d\d-\d\dT\S{8,30} std(?:out|err) )(?<mark>[PF]) (?<rest>.*)$/;

/** Line ends of web pages. */
const BREAK =
  /<(?:br|hr)\s{0,4}\/?>|<\/(?:div|p|pre|li|tr|dd|dt|h[1-6]|blockquote|title|table|ul|ol)>|<(?:div|p|pre|li|tr|table|blockquote)(?:\s[^<>]{0,1000})?>/gi;
const CELL = /<\/t[dh]>/gi;
const IS_PAGE = /<(?:br|div|td|pre|p|li|span|html|body)\b[^<>]{0,1000}>/i;
/** Parts of a page that are no text. */
const NO_TEXT = ['style', 'script', 'head'] as const;
/** The kernel's stamp in the middle of a line, with what a logger puts before it: another record begins there. */
const STAMP_INSIDE =
  /(?:(?:[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]{8,15}(?:Z|[+-]\d\d:?\d\d)) [\w.-]{1,64} kernel: {0,2})?(?:<\d{1,3}>)?\[ {0,6}\d{1,10}\.\d{6}\]/g;
/** Where lines of a log begin that stand on one line, without stamps. */
const ITEM_INSIDE =
  /(?:(?<!-)-{4,}\[ ?cut here ?\]|[kK]ernel BUG at |\binvalid opcode: |\bInternal error: |\bOops: |\bCPU: \d{1,5} (?:UID|PID): |\bHardware name: |\bR(?:IP|SP): 00|\bEIP: |\bCode: |\bR(?:AX|DX|BP|10|13): [0-9a-f]{16}|\bE(?:AX|SI): [0-9a-f]{8}|\bCall [Tt]race:|<\/?TASK>|\bModules linked in: ?|---\[ end trace|(?<=\s)(?:\? )?[A-Za-z_][\w.]{0,100}\+0x[0-9a-f]{1,8}\/0x[0-9a-f]{1,8})/g;

/** Every line of the text; empty ones too, since they end a paragraph. */
export function rawLines(text: string): RawLine[] {
  const lines: RawLine[] = [];
  const body = withRealLineEnds(text);
  const records = recordsOf(body);
  if (records !== null) {
    for (const { number, text: value } of records) {
      for (const [index, part] of value.split(/\r?\n|\r/).entries()) push(lines, [number, number], part, index === 0);
    }
    return lines;
  }
  const quoted = isQuotedPrintable(body);
  const inParts = !quoted && body.includes(' P ');
  let pending = '';
  let pendingNumber = 0;
  let number = 0;
  // Not split(): millions of empty lines would be millions of strings.
  for (let begin = 0; begin < body.length; ) {
    const found = body.indexOf('\n', begin);
    const end = found < 0 ? body.length : found;
    number++;
    let line = body.slice(begin, end);
    begin = end + 1;
    if (quoted) {
      const soft = /=[ \t]{0,8}\r?$/.exec(line);
      if (soft !== null && pending.length < LONGEST_LINE) {
        if (pending === '') pendingNumber = number;
        pending += line.slice(0, soft.index);
        continue;
      }
      line = decodeQuotedPrintable(pending + line);
    }
    const { head, mark, rest } = { ...(inParts ? CONTAINERS_PART.exec(line)?.groups : null) };
    if (head !== undefined && rest !== undefined && (mark === 'P' || pending !== '')) {
      if (pending === '') pendingNumber = number;
      pending = pending === '' ? `${head}F ${rest}` : pending + rest;
      if (mark === 'P' && pending.length < LONGEST_LINE) continue;
      line = pending;
    }
    const at = pending === '' ? number : pendingNumber;
    pending = '';
    splitLine(lines, [at, number], line);
  }
  if (pending !== '') splitLine(lines, [pendingNumber, number], quoted ? decodeQuotedPrintable(pending) : pending);
  return lines;
}

type Numbers = readonly [first: number, last: number];

function push(lines: RawLine[], [number, last]: Numbers, text: string, record: boolean): void {
  if (text.length <= LONGEST_LINE) {
    lines.push({ number, last, text, record });
    return;
  }
  for (let from = 0; from < text.length; from += LONGEST_LINE) {
    lines.push({ number, last, text: text.slice(from, from + LONGEST_LINE), record: record && from === 0 });
  }
}

/** One line of the text, which may hold many of the log. */
function splitLine(lines: RawLine[], numbers: Numbers, line: string): void {
  const bare = line.endsWith('\r') ? line.slice(0, -1) : line;
  for (const part of bare.includes('\r') ? bare.split('\r') : [bare]) {
    if (part.includes('<') && part.length <= LONGEST_PAGE && IS_PAGE.test(part)) {
      for (const piece of pageLines(part)) splitItems(lines, numbers, piece);
    } else splitItems(lines, numbers, part);
  }
}

function pageLines(line: string): string[] {
  let page = line;
  for (const name of NO_TEXT) page = without(page, name);
  return page.replace(CELL, ' ').replace(BREAK, '\n').split('\n');
}

function without(page: string, name: string): string {
  const lower = page.toLowerCase();
  let kept = '';
  let from = 0;
  for (;;) {
    const begin = lower.indexOf(`<${name}`, from);
    // `<header>` is none.
    const isOne = begin >= 0 && /[\s>]/.test(lower[begin + name.length + 1] ?? '');
    const end = isOne ? lower.indexOf(`</${name}>`, begin) : -1;
    // An element without an end holds the rest of nothing.
    if (begin < 0 || (isOne && end < 0)) return kept + page.slice(from);
    if (!isOne) {
      kept += page.slice(from, begin + name.length + 1);
      from = begin + name.length + 1;
      continue;
    }
    kept += `${page.slice(from, begin)}\n`;
    from = end + name.length + 3;
  }
}

/** A string of JSON, of Python or of C that others stand beside. */
const LITERAL =
  /(?:(?<![\w"'])[bur]?)(?:"((?:[^"\\]|\\.){1,8000})"|'((?:[^'\\]|\\.){1,8000})')(?=\s{0,20}(?:[,\])}]|$))/g;

/** The strings of a list that the kernel's lines are; null where the line is none. */
function literalsOf(line: string): string[] | null {
  if (!/usercopy|__check_/.test(line)) return null;
  const LEAST = 3;
  const all = [...line.matchAll(LITERAL)].map(([, double, single]) =>
    (double ?? single ?? '')
      .replace(/\\[nr]$/, '')
      .replace(/\\(["'\\])/g, '$1')
      .replace(/\\t/g, '\t'),
  );
  // One with the whole log in it is no line.
  const own = all.filter((text) => looksLikeKernel(text) && placesIn(text).length === 0);
  // Beside each may stand its time in numbers, as Loki has it.
  return all.length < LEAST || own.length === 0 ? null : all.filter((text) => !/^[\d.]{10,30}$/.test(text));
}

/** A whole log on one line is taken apart where its lines must have begun. */
function splitItems(lines: RawLine[], numbers: Numbers, line: string): void {
  const literals = line.length < 160 ? null : literalsOf(line);
  if (literals !== null) {
    for (const literal of literals) for (const part of literal.split('\\n')) push(lines, numbers, part, true);
    return;
  }
  const places = line.length < 160 ? [] : placesIn(line);
  let from = 0;
  for (const place of places) {
    if (line.slice(from, place).trim() !== '') push(lines, numbers, line.slice(from, place), from !== 0);
    from = place;
  }
  push(lines, numbers, line.slice(from), from !== 0);
}

function placesIn(line: string): number[] {
  const stamps = [...line.matchAll(STAMP_INSIDE)].map(({ index }) => index);
  if (stamps.length >= 3) return stamps.filter((index) => index > 0);
  if (!/usercopy/i.test(line)) return [];
  const items = [...line.matchAll(ITEM_INSIDE)].map(({ index }) => index);
  const MOST_IN_A_LINE = 3;
  return items.length > MOST_IN_A_LINE ? items.filter((index) => index > 0) : [];
}

function isQuotedPrintable(text: string): boolean {
  if (/^Content-Transfer-Encoding: quoted-printable/im.test(text)) return true;
  if (!/=\r?\n/.test(text)) return false;
  return /=(?:3D|20\r?\n)/.test(text) || SOFT_BREAK.test(text);
}

/** Its lines have 76 columns at most, of which the last is for the mark; fewer where an encoded letter would be cut. */
const SOFT_BREAK = /^.{72,75}=\r?$/m;

/** Where a text has hardly a line end but many `\n`, it is a string out of JSON or a program. */
function withRealLineEnds(text: string): string {
  if (!text.includes('\\n') || text.trimStart().startsWith('{') || text.trimStart().startsWith('[{')) return text;
  const real = text.split('\n', 64).length;
  return real >= 8
    ? text
    : text
        .replaceAll('\\r', '')
        .replaceAll('\\n', '\n')
        .replaceAll('\\t', '\t')
        .replaceAll('\\"', '"')
        .replaceAll("\\'", "'");
}
