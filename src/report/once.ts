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
  // Nothing but all else tells that two without the message are one.
  if (mine === null)
    return sameTime && its === null && sameBug(report.bugLine, other.bugLine ?? '') && sameCrash(report, other);
  if (its === null) return false;
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

interface Placed {
  readonly index: number;
  readonly report: UsercopyReport;
}

/** The reports, each crash once: the fullest account of it, in the order of the log. */
export function once(reports: readonly UsercopyReport[]): UsercopyReport[] {
  // Compared are only reports of one message, else thousands in a log would take a square of time.
  const MOST_COMPARED = 64;
  const groups = new Map<string, Placed[]>();
  const cut: Placed[] = [];
  for (const [index, report] of reports.entries()) {
    const key = report.message?.canonical ?? null;
    const placed = { index, report };
    if (key === null) cut.push(placed);
    else groups.set(key, [...(groups.get(key)?.slice(-MOST_COMPARED) ?? []), placed]);
  }
  /** Reports that another tells as well, and which. */
  const gone = new Map<UsercopyReport, UsercopyReport>();
  const compare = (mine: Placed, candidates: Iterable<Placed>): void => {
    for (const its of candidates) {
      if (its.index === mine.index || gone.has(mine.report) || gone.has(its.report)) continue;
      const more = fullness(its.report) - fullness(mine.report);
      const better = more > 0 || (more === 0 && its.index < mine.index);
      if (better && isToldBy(mine.report, its.report)) gone.set(mine.report, its.report);
    }
  };
  for (const group of groups.values()) for (const placed of group) compare(placed, group);
  const all = [...groups.values()].flat().slice(0, MOST_COMPARED);
  for (const placed of cut.slice(0, MOST_COMPARED)) compare(placed, [...all, ...cut.slice(0, MOST_COMPARED)]);
  const again = new Map<UsercopyReport, number[]>();
  for (const [mine, its] of gone) again.set(its, [...(again.get(its) ?? []), mine.lines.first]);
  return reports.flatMap((report) => {
    if (gone.has(report)) return [];
    const told = again.get(report);
    if (told === undefined) return [report];
    const where = told.length === 1 ? `line ${told[0]}` : `lines ${told.slice(0, 5).join(', ')}`;
    return [{ ...report, notes: [...report.notes, `told again in ${where} of the text`] }];
  });
}
