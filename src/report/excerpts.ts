/**
 * Reports out of a text that comes in pieces, of any length: what is short is read whole, of what is long only the
 * surroundings of lines that speak of usercopy are kept.
 */
import { once } from './once.js';
import { loggedIn, PANIC_MARK } from './panic-url.js';
import { parseReports } from './parse.js';
import type { UsercopyReport } from './report.js';

/** Characters that are read as one text. */
const WHOLE = 32 << 20;
/** Characters that are kept before and after a line that speaks of usercopy: an oops has some ten thousand. */
const AROUND = 256 << 10;
const LONGEST_LINE = 1 << 20;
const MOST_REPORTS = 10_000;
/** Words of which every report has one, and the address of a panic; looked for one by one, which is many times faster than a pattern. */
const WORDS = ['usercopy', 'ernel memory ', '__check_object_size', '__check_heap_object', 'PAX: ', PANIC_MARK];
const speaks = (text: string): boolean => WORDS.some((word) => text.includes(word));
const BANNER = /\bLinux version (\d{1,2}\.\d{1,3}\S{0,120})/g;

/** Reads every report in a text. Each crash once, in the order of the text; line numbers are the whole text's. */
export async function readReports(pieces: AsyncIterable<string> | Iterable<string>): Promise<UsercopyReport[]> {
  const reader = new Excerpts();
  for await (const piece of pieces) reader.push(piece);
  return reader.end();
}

export interface ReportPlace {
  /** The text that a report stands in: the one that was read, or the log that an address of a panic in it holds. */
  readonly text: string;
  /** Its lines there, from 1. */
  readonly lines: UsercopyReport['lines'];
}

/** The reports of a text. Their lines are the text's: of the log of a panic's address, the line of that address. */
export interface TextReports {
  readonly reports: readonly UsercopyReport[];
  placeOf(report: UsercopyReport): ReportPlace;
}

/** Each crash that a text tells, and the log of a panic's address in it, once. `before`: as `parseReports` has it. */
export function reportsIn(text: string, before = 0): TextReports {
  const places = new Map<UsercopyReport['lines'], ReportPlace>();
  let counted = { at: 0, lines: 0 };
  const told = loggedIn(text).flatMap(({ log, at, notes }) => {
    counted = { at, lines: counted.lines + linesIn(text.slice(counted.at, at), at - counted.at) };
    const line = before + counted.lines + 1;
    return parseReports(log).map((report) => {
      const lines = { first: line, last: line };
      places.set(lines, { text: log, lines: report.lines });
      return { ...report, lines, notes: [...notes, ...report.notes] };
    });
  });
  return {
    reports: once([...parseReports(text, before), ...told]),
    // A report that another one tells as well is a copy with a note: its lines are the same object.
    placeOf: ({ lines }) =>
      places.get(lines) ?? { text, lines: { first: lines.first - before, last: lines.last - before } },
  };
}

/** A machine that lost its power leaves blocks of zeros in its log. */
export const withoutZeros = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '') : text);

class Excerpts {
  readonly #found: UsercopyReport[] = [];
  /** All of it, until it is too long for that. */
  #whole: string[] | null = [];
  #length = 0;
  /** The last line, which may go on. */
  #rest = '';
  /** Lines that lie behind, and how many lines of the text stand before them. */
  readonly #recent: string[] = [];
  #recentLength = 0;
  #before = 0;
  /** What is being kept, and for how long nothing in it has spoken of usercopy. */
  #open: string | null = null;
  #quiet = 0;
  #release: string | null = null;

  push(piece: string): void {
    const text = withoutZeros(piece);
    if (this.#whole === null) {
      this.#take(text);
      return;
    }
    this.#whole.push(text);
    this.#length += text.length;
    if (this.#length <= WHOLE) return;
    const all = this.#whole;
    this.#whole = null;
    for (const part of all) this.#take(part);
  }

  end(): UsercopyReport[] {
    if (this.#whole !== null) return [...reportsIn(this.#whole.join('')).reports];
    this.#lines(this.#rest);
    this.#close();
    return once(this.#found.slice(0, MOST_REPORTS));
  }

  #take(text: string): void {
    const all = this.#rest + text;
    const end = all.lastIndexOf('\n') + 1;
    this.#rest = all.slice(end);
    if (end > 0) this.#lines(all.slice(0, end));
    if (this.#rest.length > LONGEST_LINE) {
      this.#lines(this.#rest);
      this.#rest = '';
    }
  }

  /** Whole lines. */
  #lines(text: string): void {
    if (text.includes('Linux version ')) this.#release = [...text.matchAll(BANNER)].at(-1)?.[1] ?? this.#release;
    const isOurs = speaks(text);
    if (this.#open === null && !isOurs) {
      this.#keepRecent(text);
      return;
    }
    this.#open = (this.#open ?? this.#recent.join('')) + text;
    this.#quiet = isOurs ? 0 : this.#quiet + text.length;
    if (this.#quiet > AROUND || this.#open.length > WHOLE) this.#close();
  }

  #keepRecent(text: string): void {
    this.#recent.push(text);
    this.#recentLength += text.length;
    for (;;) {
      const [oldest] = this.#recent;
      if (oldest === undefined || this.#recentLength - oldest.length <= AROUND) return;
      this.#recent.shift();
      this.#recentLength -= oldest.length;
      this.#before += linesIn(oldest, oldest.length);
    }
  }

  #close(): void {
    if (this.#open === null) return;
    if (this.#found.length < MOST_REPORTS) {
      for (const report of reportsIn(this.#open, this.#before).reports) this.#found.push(this.#withRelease(report));
    }
    this.#before += linesIn(this.#open, this.#open.length);
    this.#open = null;
    this.#recent.length = 0;
    this.#recentLength = 0;
    this.#quiet = 0;
  }

  #withRelease(report: UsercopyReport): UsercopyReport {
    if (report.kernelVersion !== null || this.#release === null) return report;
    const notes = [...report.notes, 'the release comes from elsewhere in the log'];
    return { ...report, kernelVersion: this.#release, notes };
  }
}

/** Line ends in the first `end` characters. */
function linesIn(text: string, end: number): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}
