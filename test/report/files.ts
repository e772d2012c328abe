/**
 * Logs as files, each with what is expected of it beside: NAME.log and NAME.json. Adding one is adding two files.
 * What is expected was written by hand after the log's own text, in the words of `usercopy repro --json`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFile } from '../../src/paths.js';

export interface ReportFile {
  readonly name: string;
  /** What it shows. */
  readonly about: string;
  readonly log: string;
  /** What each report in it must hold, at least; `caller` is the function that made the copy. */
  readonly reports: readonly Readonly<Record<string, unknown>>[];
  /** What `usercopy repro --json` must say of the one that it takes, at least. */
  readonly judged: Readonly<Record<string, unknown>> | null;
  /** Pieces of text that its lines must and must not have. */
  readonly says: readonly string[];
  readonly saysNot: readonly string[];
}

/** Inputs shared by everybody who works on the project; not part of it. */
const SHARED = packageFile('../shared/reports/cases');
export const sharedAreThere = existsSync(SHARED);

/** The cases of a folder of `test/report`; those of `shared` have their logs elsewhere. */
export function reportFiles(folder: 'logs' | 'cases' | 'shared'): ReportFile[] {
  const expectations = packageFile(join('test/report', folder));
  if (folder === 'shared' && !sharedAreThere) return [];
  return readdirSync(expectations)
    .filter((file) => file.endsWith('.json'))
    .map((file) => {
      const name = file.slice(0, -'.json'.length);
      const path = folder === 'shared' ? join(SHARED, `${name}.txt`) : join(expectations, `${name}.log`);
      const {
        about,
        reports,
        judged = null,
        says = [],
        says_not = [],
      } = JSON.parse(readFileSync(join(expectations, file), 'utf8'));
      return { name, about, log: readFileSync(path, 'utf8'), reports, judged, says, saysNot: says_not };
    });
}
