/** Whether a log tells of a copy that was named otherwise. */
import type { Copy } from '../check/verdict.js';
import type { Machine } from '../diagnosis/machine.js';
import type { ReproducedCopy } from '../diagnosis/outcome.js';
import { recoverCopy } from '../diagnosis/recover.js';
import { isReportOfCheck } from '../report/of-check.js';
import type { UsercopyReport } from '../report/report.js';

export interface ToldInLog {
  /** The last report that is of this copy; null where none is. */
  readonly report: UsercopyReport | null;
  /** One that may be: not all of its numbers are told, and none is another than the copy's. */
  readonly maybe: UsercopyReport | null;
}

export function toldInLog(reports: readonly UsercopyReport[], copy: Copy, machine: Machine): ToldInLog {
  const of = (report: UsercopyReport): Told => ({ report, told: recoverCopy(report, machine) });
  const isThis = ({ told: { pointer, size, direction } }: Told): boolean =>
    pointer === copy.pointer && size === copy.size && direction === copy.direction;
  const mayBe = ({ report, told: { pointer, size, direction } }: Told): boolean =>
    isReportOfCheck(report) &&
    (pointer === null || pointer === copy.pointer) &&
    (size === null ? String(copy.size).startsWith(report.message?.sizeDigits ?? '') : size === copy.size) &&
    (direction === null || direction === copy.direction);
  const copies = reports.map(of);
  const report = copies.findLast(isThis)?.report ?? null;
  return { report, maybe: report === null ? (copies.findLast(mayBe)?.report ?? null) : null };
}

interface Told {
  readonly report: UsercopyReport;
  readonly told: ReproducedCopy;
}
