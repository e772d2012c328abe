/** A process of triage: reads one file at a time and tells what it found. */
import { readFileSync } from 'node:fs';
import { UsercopyError } from '../errors.js';
import { chooseReport, parseReports } from '../report/parse.js';
import { withCauses } from '../repro/causes.js';
import { reproduceDump } from '../repro/from-dump.js';
import { judgeReport } from '../repro/from-report.js';
import type { Item } from './items.js';
import type { TriageAnswer } from './pool.js';
import { rowOf, type TriageRow } from './row.js';

const MOST_REPORTS = 1000;

async function rowsOf(item: Item): Promise<TriageRow[]> {
  if (item.kind === 'log') {
    const reports = parseReports(readFileSync(item.path, 'utf8')).slice(0, MOST_REPORTS);
    return reports.map((report) => rowOf(item.path, judgeReport(report).reproduction));
  }
  const { kernel, btf, config, regs, report } = item.beside ?? {};
  const said = report === undefined ? null : chooseReport(parseReports(readFileSync(report, 'utf8')));
  const reproduction = await reproduceDump(
    {
      dump: item.path,
      registers: regs === undefined ? null : { text: readFileSync(regs, 'latin1'), path: regs },
      ...(kernel === undefined ? {} : { kernel }),
      ...(btf === undefined ? {} : { btf }),
      ...(config === undefined ? {} : { config }),
    },
    null,
    said,
  );
  return [rowOf(item.path, withCauses(reproduction))];
}

process.on('message', async (item: Item) => {
  let answer: TriageAnswer;
  try {
    answer = { rows: await rowsOf(item), error: null };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    answer = { rows: [], error: error instanceof UsercopyError ? message : `unexpected: ${message}` };
  }
  process.send!(answer);
});
process.on('disconnect', () => process.exit());
