/** A process of triage: reads one file at a time and tells what it found. */
import { basename, dirname, join } from 'node:path';
import { answerQuestions } from '../child.js';
import { withCauses } from '../diagnosis/causes.js';
import { judgeReport } from '../diagnosis/from-report.js';
import { UsercopyError } from '../errors.js';
import { readWhole } from '../image/files.js';
import { chooseLastReport } from '../report/parse.js';
import type { UsercopyReport } from '../report/report.js';
import { reproduceDump } from '../repro/from-dump.js';
import { readLog } from '../repro/read-log.js';
import type { Item } from './items.js';
import type { TriageAnswer, TriageQuestion } from './pool.js';
import { rowOf, type TriageRow } from './row.js';

/** Bytes of `info registers`. */
const LARGEST_REGISTERS = 16 << 20;
const MOST_REPORTS = 1000;
/** Milliseconds that a dump's own kernel may run. */
const EMULATION_LIMIT = 60_000;

function answerOfLog(name: string, reports: readonly UsercopyReport[]): TriageAnswer {
  const read = reports.slice(0, MOST_REPORTS);
  return {
    rows: read.map((report) => rowOf(name, judgeReport(report).reproduction)),
    error: read.length === reports.length ? null : `only the first ${MOST_REPORTS} of ${reports.length} reports`,
  };
}

/** The dump with the report that it was made at; what else the log beside it holds are reports of their own. */
async function answerOfDump({ path, name, beside = {} }: Item, limit: number): Promise<TriageAnswer> {
  const { kernel, btf, config, regs, report } = beside;
  const reports = report === undefined ? [] : await readLog(report);
  const said = chooseLastReport(reports);
  const reproduction = await reproduceDump(
    {
      dump: path,
      registers:
        regs === undefined ? null : { text: readWhole(regs, LARGEST_REGISTERS).toString('latin1'), path: regs },
      kernel,
      btf,
      config,
    },
    null,
    said,
    { readingLimit: limit, emulationLimit: Math.min(limit, EMULATION_LIMIT) },
  );
  const row: TriageRow = rowOf(name, withCauses(reproduction));
  if (report === undefined) return { rows: [row], error: null };
  const others = answerOfLog(
    join(dirname(name), basename(report)),
    reports.filter((other) => other !== said && !isCopyOf(other, said)),
  );
  return { rows: [row, ...others.rows], error: others.error };
}

/** A log may have the line of a report a second time, alone. */
const isCopyOf = ({ message, trace }: UsercopyReport, said: UsercopyReport | null): boolean =>
  trace.length === 0 && message !== null && message.canonical === said?.message?.canonical;

answerQuestions<TriageQuestion, never, TriageAnswer>(async ({ item, limit }) => {
  try {
    if (item.kind === 'dump') return await answerOfDump(item, limit);
    return answerOfLog(item.name, await readLog(item.path));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { rows: [], error: error instanceof UsercopyError ? message : `unexpected: ${message}` };
  }
});
