/** Whether a log tells of a copy that was named otherwise. */
import type { Copy } from '../check/verdict.js';
import type { Machine } from '../diagnosis/machine.js';
import { recoverCopy } from '../diagnosis/recover.js';
import type { UsercopyReport } from '../report/report.js';

export interface ToldInLog {
  /** The last report that is of this copy; null where none is. */
  readonly report: UsercopyReport | null;
  /** One that may be: its size and direction are the copy's, its address is not told. */
  readonly maybe: UsercopyReport | null;
}

export function toldInLog(reports: readonly UsercopyReport[], copy: Copy, machine: Machine): ToldInLog {
  const fitting = (isAddress: (pointer: bigint | null) => boolean): UsercopyReport | null =>
    reports.findLast((report) => {
      const { pointer, size, direction } = recoverCopy(report, machine);
      return size === copy.size && direction === copy.direction && isAddress(pointer);
    }) ?? null;
  const report = fitting((pointer) => pointer === copy.pointer);
  return { report, maybe: report === null ? fitting((pointer) => pointer === null) : null };
}
