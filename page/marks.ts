/** Where in the text a report's fields were found. */
import type { ReproducedCopy } from '../src/diagnosis/outcome.js';
import type { UsercopyReport } from '../src/report/report.js';
import { callerOf } from '../src/report/trace.js';

export interface Mark {
  /** Characters of the text, half-open. */
  readonly start: number;
  readonly end: number;
  readonly field: string;
}

export interface MarkedText {
  /** The report's own lines. */
  readonly text: string;
  /** Number of its first line. */
  readonly line: number;
  readonly marks: readonly Mark[];
  /** Fields that were read but do not stand in the text as such: an encoding, or a break in their middle. */
  readonly unmarked: readonly string[];
}

/** Characters of a text that are shown at most. */
const LONGEST = 200_000;

/** The lines of a report, its fields marked. */
export function markedText(whole: string, report: UsercopyReport, copy: ReproducedCopy): MarkedText {
  const { first, last } = report.lines;
  const text = linesOf(whole, first, last).slice(0, LONGEST);
  const marks: Mark[] = [];
  const unmarked: string[] = [];
  const add = (field: string, found: readonly [number, number] | null): void => {
    if (found === null) unmarked.push(field);
    else marks.push({ start: found[0], end: found[1], field });
  };
  const { message, bugLine, kernelVersion, comm, pid, cpu, hardware, trace, pc } = report;
  if (message !== null) add('message', squeezed(text, message.text));
  if (bugLine !== null) add('BUG line', squeezed(text, bugLine));
  if (kernelVersion !== null) add('release', literal(text, kernelVersion));
  if (comm !== null) add('task', after(text, /\bComm: /, comm));
  if (pid !== null) add('pid', after(text, /\bPID: /, String(pid)));
  if (cpu !== null) add('cpu', after(text, /\bCPU: {0,8}/, String(cpu)));
  if (hardware !== null) add('hardware', squeezed(text, hardware));
  const caller = callerOf(trace, pc);
  if (caller !== null) {
    const offset = caller.offset === null ? '' : `+0x${caller.offset.toString(16)}`;
    add('caller', literal(text, `${caller.symbol}${offset}`) ?? literal(text, caller.symbol));
  }
  if (copy.pointer !== null && copy.pointerFrom === 'registers') add('pointer', value(text, copy.pointer));
  if (copy.size !== null && copy.sizeFrom === 'registers') add('size', value(text, copy.size));
  return { text, line: first, marks: withoutOverlap(marks), unmarked };
}

function linesOf(text: string, first: number, last: number): string {
  let start = 0;
  for (let line = 1; line < first; line++) {
    const next = text.indexOf('\n', start);
    if (next < 0) return text;
    start = next + 1;
  }
  let end = start;
  for (let line = first; line <= last; line++) {
    const next = text.indexOf('\n', end);
    if (next < 0) return text.slice(start);
    end = next + 1;
  }
  return text.slice(start, end);
}

function literal(text: string, wanted: string): readonly [number, number] | null {
  const at = text.indexOf(wanted);
  return at < 0 || wanted === '' ? null : [at, at + wanted.length];
}

function after(text: string, lead: RegExp, wanted: string): readonly [number, number] | null {
  const found = lead.exec(text);
  if (found === null) return null;
  const start = found.index + found[0].length;
  return text.startsWith(wanted, start) ? [start, start + wanted.length] : null;
}

/** Whatever spaces and line ends stand between its letters. */
function squeezed(text: string, wanted: string): readonly [number, number] | null {
  const direct = literal(text, wanted);
  if (direct !== null) return direct;
  const letters: number[] = [];
  let plain = '';
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? '';
    if (letter.trim() === '') continue;
    letters.push(at);
    plain += letter;
  }
  const needle = wanted.replace(/\s+/g, '');
  const at = needle === '' ? -1 : plain.indexOf(needle);
  const start = letters[at];
  const end = letters[at + needle.length - 1];
  return at < 0 || start === undefined || end === undefined ? null : [start, end + 1];
}

/** A number as registers show it: hexadecimal digits, zeros before them. */
function value(text: string, wanted: bigint): readonly [number, number] | null {
  const found = new RegExp(`(?<![0-9a-f])0*${wanted.toString(16)}(?![0-9a-f])`, 'i').exec(text);
  return found === null ? null : [found.index, found.index + found[0].length];
}

function withoutOverlap(marks: readonly Mark[]): Mark[] {
  const sorted = [...marks].sort((left, right) => left.start - right.start || right.end - left.end);
  const kept: Mark[] = [];
  for (const mark of sorted) if (mark.start >= (kept.at(-1)?.end ?? 0)) kept.push(mark);
  return kept;
}
