/** One crash that a text tells more than once is one report: a mail's subject, a broadcast and its log line, a reply that quotes all. */
import type { UsercopyReport } from './report.js';

/** A message alone, with nothing of its crash. */
export const isBare = ({ message, bugLine, trace, registers, comm }: UsercopyReport): boolean =>
  message !== null && bugLine === null && comm === null && trace.length === 0 && registers.size === 0;

const isEmpty = ({ message, trace, registers, comm }: UsercopyReport): boolean =>
  message === null && comm === null && trace.length === 0 && registers.size === 0;

/** How much a report tells. */
const fullness = (report: UsercopyReport): number =>
  report.trace.length +
  report.registers.size +
  (report.bugLine === null ? 0 : 4) +
  (report.comm === null ? 0 : 4) +
  (report.message?.canonical == null ? 0 : 2) +
  (report.hardware === null ? 0 : 1);

/** Whether the second tells all that the first does, of the same crash. */
function isToldBy(report: UsercopyReport, other: UsercopyReport): boolean {
  const sameTime = report.stamp === null || other.stamp === null || report.stamp === other.stamp;
  // A BUG line alone, as a subject has it.
  if (isEmpty(report)) return sameTime && other.bugLine !== null && sameBug(report.bugLine, other.bugLine);
  const [mine, its] = [report.message, other.message];
  if (mine === null || its === null) return false;
  if (mine.canonical === null) {
    // Cut, as where two consoles write at once: the whole line begins with it.
    return isBare(report) && its.canonical?.toLowerCase().startsWith(plain(mine.text)) === true;
  }
  if (mine.canonical !== its.canonical || !sameTime) return false;
  if (isBare(report)) return true;
  return sameCrash(report, other);
}

const plain = (text: string): string => text.replace(/\s+/g, ' ').trim().toLowerCase();

const sameBug = (mine: string | null, its: string): boolean =>
  mine === null || mine.replace(/\s/g, '') === its.replace(/\s/g, '') || its.includes(mine);

/** What both tell of the crash agrees, and they have enough in common. */
function sameCrash(report: UsercopyReport, other: UsercopyReport): boolean {
  const pairs = [
    [report.comm, other.comm],
    [report.pid, other.pid],
    [report.kernelVersion, other.kernelVersion],
    [report.stackPointer, other.stackPointer],
  ] as const;
  const both = pairs.filter(([mine, its]) => mine !== null && its !== null);
  const stamps = report.stamp !== null && report.stamp === other.stamp;
  return both.every(([mine, its]) => mine === its) && (stamps || (both.length >= 3 && report.stackPointer !== null));
}

/** The reports, each crash once: the fullest account of it, in the order of the log. */
export function once(reports: readonly UsercopyReport[]): UsercopyReport[] {
  // Compared are only reports of one message, else thousands in a log would take a square of time.
  const MOST_COMPARED = 64;
  const groups = new Map<string, number[]>();
  const cut: number[] = [];
  for (const [index, { message }] of reports.entries()) {
    const key = message?.canonical ?? null;
    if (key === null) cut.push(index);
    else groups.set(key, [...(groups.get(key)?.slice(-MOST_COMPARED) ?? []), index]);
  }
  const gone = new Map<number, number>();
  const compare = (mine: number, candidates: Iterable<number>): void => {
    const report = reports[mine]!;
    for (const its of candidates) {
      if (its === mine || gone.has(mine) || gone.has(its)) continue;
      const other = reports[its]!;
      const better = fullness(other) > fullness(report) || (fullness(other) === fullness(report) && its < mine);
      if (better && isToldBy(report, other)) gone.set(mine, its);
    }
  };
  for (const indices of groups.values()) for (const index of indices) compare(index, indices);
  const all = [...groups.values()].flat().slice(0, MOST_COMPARED);
  for (const index of cut.slice(0, MOST_COMPARED)) compare(index, [...all, ...cut.slice(0, MOST_COMPARED)]);
  return reports.flatMap((report, index) => {
    if (gone.has(index)) return [];
    const told = [...gone].filter(([, its]) => its === index).map(([mine]) => reports[mine]!.lines.first);
    if (told.length === 0) return [report];
    const where = told.length === 1 ? `line ${told[0]}` : `lines ${told.slice(0, 5).join(', ')}`;
    return [{ ...report, notes: [...report.notes, `told again in ${where} of the text`] }];
  });
}
