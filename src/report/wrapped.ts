/**
 * Lines that were broken first and got a prefix then: a pager's, a chat's, a serial console's. The rest of a line has that
 * prefix, too. Where lines show that they were broken so, what stands before all of them is no more than a mark of quoting.
 */
import { kernelStart, messageStart } from './anchors.js';
import { plainLine } from './characters.js';
import { readSqueezed, squeeze } from './grammar.js';
import { LONGEST_PREFIX, outerPattern } from './prefixes.js';
import type { RawLine } from './raw-lines.js';

/** The kernel's own stamp: what stands before it on its line is the logger's. */
const OWN_STAMP = /(?:<\d{1,3}>)?\[(?: {0,12}[<+]? {0,12}\d{1,10}\.\d{3,9}[^\][]{0,30})?\]/;
const LEAST_LINES = 6;
const MOST_LINES = 200;
/** Of the lines from the first to the last that have it. */
const LEAST_SHARE = 0.9;
const MOST_MISSES = 2;
const MOST_PREFIXES = 8;
/** Narrower is no terminal. */
const NARROWEST = 30;

/** `anchors`: indices of lines with something in them that only a kernel writes. */
export function withoutOuterPrefix(raw: readonly RawLine[], anchors: Iterable<number>): readonly RawLine[] {
  const tried = new Set<string>();
  const plain = new PlainLines(raw);
  for (const index of anchors) {
    if (tried.size >= MOST_PREFIXES) break;
    for (const prefix of outerPrefixes(plain.at(index))) {
      const pattern = outerPattern(prefix);
      if (pattern === null || tried.has(pattern.source)) continue;
      tried.add(pattern.source);
      if (!isBroken(raw, plain, index, pattern)) continue;
      return raw.map((line) => {
        if (line.record) return line;
        const shown = plainLine(line.text);
        const found = pattern.exec(shown);
        return found === null ? line : { ...line, text: shown.slice(found[0].length) };
      });
    }
  }
  return raw;
}

/** Lines around an anchor are looked at for each prefix, and cleaned once. */
class PlainLines {
  readonly #raw: readonly RawLine[];
  readonly #plain = new Map<number, string>();

  constructor(raw: readonly RawLine[]) {
    this.#raw = raw;
  }

  at(index: number): string {
    const known = this.#plain.get(index);
    if (known !== undefined) return known;
    const line = plainLine(this.#raw[index]?.text ?? '');
    this.#plain.set(index, line);
    return line;
  }
}

/** What stands before the kernel's text, up to its own stamp, and shorter beginnings of it: a logger may have put its own before another's. */
function outerPrefixes(line: string): string[] {
  const start = kernelStart(line);
  if (start === null || start > LONGEST_PREFIX) return [];
  const stamp = OWN_STAMP.exec(line.slice(0, start))?.index;
  const whole = line.slice(0, stamp ?? start);
  if (whole.trim() === '') return [];
  const ends = [...whole.matchAll(/\S(?=\s)/g)].map(({ index }) => index + 1);
  return [whole, ...ends.reverse().map((end) => whole.slice(0, end) + blanksAt(whole, end))].filter(
    (prefix, place, all) => all.indexOf(prefix) === place,
  );
}

const blanksAt = (text: string, at: number): string => /^\s*/.exec(text.slice(at))?.[0] ?? '';

/** Whether the lines around one have the prefix, and some of them are the rest of the line before. */
function isBroken(raw: readonly RawLine[], plainLines: PlainLines, anchor: number, pattern: RegExp): boolean {
  const found: string[] = [];
  let misses = 0;
  for (const step of [-1, 1]) {
    let inRow = 0;
    for (let index = step < 0 ? anchor - 1 : anchor; found.length < MOST_LINES && inRow < MOST_MISSES; index += step) {
      const line = raw[index];
      if (line === undefined || line.record) break;
      const plain = plainLines.at(index);
      // A row of a table is whole.
      if (plain.endsWith('|')) break;
      const prefix = pattern.exec(plain);
      if (prefix !== null) {
        const rest = plain.slice(prefix[0].length);
        if (step < 0) found.unshift(rest);
        else found.push(rest);
        inRow = 0;
      } else if (plain.trim() !== '') {
        inRow++;
        misses++;
      }
    }
  }
  // The last ones were behind the end.
  misses = Math.max(0, misses - 2 * MOST_MISSES);
  const lines = found.filter((rest) => rest.trim() !== '');
  if (lines.length < 2 || lines.length < LEAST_SHARE * (lines.length + misses)) return false;
  const stamped = lines.filter((rest) => startsWithStamp(rest)).length;
  if (stamped === 0 && lines.some(isCutMessage)) return true;
  return lines.length >= LEAST_LINES && (stamped === 0 ? isWrapped(lines) : stamped < lines.length);
}

const startsWithStamp = (text: string): boolean => {
  const place = OWN_STAMP.exec(text);
  return place !== null && text.slice(0, place.index).trim() === '';
};

function isCutMessage(text: string): boolean {
  const start = messageStart(text);
  return start !== null && readSqueezed(squeeze(text.slice(start)))?.whole !== true;
}

/** The longest lines end at one column. */
function isWrapped(lines: readonly string[]): boolean {
  const LEAST = 3;
  const widest = lines.reduce((width, { length }) => Math.max(width, length), 0);
  return widest >= NARROWEST && lines.filter(({ length }) => length === widest).length >= LEAST;
}
