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
  if (copy.pointer !== null && copy.pointerFrom === 'registers')
    add('pointer', inRegister(text, report.registers, copy.pointer));
  if (copy.size !== null && copy.sizeFrom === 'registers') add('size', inRegister(text, report.registers, copy.size));
  const kept = withoutOverlap(marks);
  const covered = marks.filter((mark) => !kept.includes(mark)).map(({ field }) => field);
  return { text, line: first, marks: kept, unmarked: [...unmarked, ...covered] };
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

/** A value behind the name of a register that has it, or in its place of a row of registers. */
function inRegister(
  text: string,
  registers: ReadonlyMap<string, bigint>,
  value: bigint,
): readonly [number, number] | null {
  const names = [...registers].flatMap(([name, its]) => (its === value ? [name] : []));
  const digits = `0*${value.toString(16)}(?![0-9a-f])`;
  const found = names.flatMap((name) => {
    const named = new RegExp(`(?<!\\w)${name}\\s{0,3}[:=]\\s{0,20}(?:0x)?(${digits})`, 'id').exec(text);
    const place = named?.indices?.[1] ?? inRow(text, name, new RegExp(`^${digits}`, 'i'));
    return place === null ? [] : [place];
  });
  return found.sort(([left], [right]) => left - right)[0] ?? null;
}

/** powerpc and s390 print rows, told by the number of the first register in them; s390's four rows have one heading. */
const ROWS = /\bGPR(\d\d):((?: +[0-9a-f]{8,16}){1,8})|\bKrnl GPRS:((?:[^\n]*\n){1,4})/gi;

function inRow(text: string, name: string, value: RegExp): readonly [number, number] | null {
  const number = Number(/\d{1,2}$/.exec(name)?.[0] ?? Number.NaN);
  for (const { index, 0: row, 1: first = '0', 2: words, 3: lines = '' } of text.matchAll(ROWS)) {
    const values = words ?? lines;
    const start = index + row.length - values.length;
    const place = [...values.matchAll(/(?<![\w.])[0-9a-f]{8,16}(?!\w)/gi)][number - Number(first)];
    if (place !== undefined && value.test(place[0]))
      return [start + place.index, start + place.index + place[0].length];
  }
  return null;
}

function withoutOverlap(marks: readonly Mark[]): Mark[] {
  const sorted = [...marks].sort((left, right) => left.start - right.start || right.end - left.end);
  const kept: Mark[] = [];
  for (const mark of sorted) if (mark.start >= (kept.at(-1)?.end ?? 0)) kept.push(mark);
  return kept;
}
