/** Paste or drop a log: its reports, and one of them explained. */
import { useMemo, useState } from 'preact/hooks';
import { judgeReport, type ReportJudgement } from '../src/diagnosis/from-report.js';
import { summaryOf } from '../src/diagnosis/summary.js';
import { UsercopyError } from '../src/errors.js';
import { loggedIn } from '../src/report/panic-url.js';
import { chooseReport, parseReports } from '../src/report/parse.js';
import type { UsercopyReport } from '../src/report/report.js';
import { EXAMPLE } from './example.js';
import { Explained } from './explained.js';
import { FileField, LinkButton, type TabProperties, Trouble, useRested } from './parts.js';
import { logTextOf } from './read-file.js';

/** Longer texts are kept beside the field: editing them there would be slow. */
const LONGEST_FIELD = 400_000;

/** The text, or the log that the address of a panic in it holds, where that is all that it has. */
function readLog(source: string): { readonly text: string; readonly notes: readonly string[] } {
  const { log, notes } = loggedIn(source);
  return log === null || parseReports(source).length > 0 ? { text: source, notes: [] } : { text: log, notes };
}

export function ReportTab({ linked }: TabProperties) {
  const [typed, setTyped] = useState(linked?.text ?? '');
  const [dropped, setDropped] = useState<{ readonly name: string; readonly text: string } | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [number, setNumber] = useState<number | null>(linked?.chosen ?? null);
  const rested = useRested(typed, 200);
  const source = dropped?.text ?? rested;
  const log = useMemo(() => readLog(source), [source]);
  const reports = useMemo(() => parseReports(log.text), [log]);
  const chosen = reports[number ?? -1] ?? chooseReport(reports);

  const take = async (file: File): Promise<void> => {
    setTrouble(null);
    setNumber(null);
    try {
      const text = await logTextOf(file, file.name);
      if (text.length > LONGEST_FIELD) setDropped({ name: file.name, text });
      else {
        setDropped(null);
        setTyped(text);
      }
    } catch (error) {
      setTrouble(error instanceof UsercopyError ? error.message : `${file.name} could not be read.`);
    }
  };
  const type = (text: string): void => {
    setTyped(text);
    setNumber(null);
    setTrouble(null);
  };

  return (
    <>
      <div class="input no-print">
        {dropped === null ? (
          <>
            <label for="log">The kernel's log, or the address in a panic's QR code</label>
            <textarea
              id="log"
              rows={8}
              spellcheck={false}
              autocomplete="off"
              placeholder="usercopy: Kernel memory exposure attempt detected from SLUB object …"
              value={typed}
              onInput={(event) => type(event.currentTarget.value)}
            />
          </>
        ) : (
          <p>
            {dropped.name}: {dropped.text.length} characters.{' '}
            <button type="button" onClick={() => setDropped(null)}>
              Put it away
            </button>
          </p>
        )}
        <FileField
          label="Or a file"
          hint="a log, packed or not (.gz, .xz, .zst, .bz2): choose it, or drop it here"
          onFile={(file) => void take(file)}
        />
        <p>
          <button type="button" onClick={() => type(EXAMPLE)}>
            Show an example
          </button>{' '}
          {chosen === null ? null : <LinkButton linked={() => linkOf(log.text, reports, chosen)} />}
        </p>
      </div>
      {trouble === null ? null : <Trouble>{trouble}</Trouble>}
      {log.notes.map((note) => (
        <p key={note}>{note}.</p>
      ))}
      <div aria-live="polite">
        {source.trim() !== '' && chosen === null ? (
          <p>
            No usercopy report is in this text: no line of it says what hardened usercopy prints, and no crash in it is
            in
            <code> usercopy_abort()</code>.
          </p>
        ) : null}
        {reports.length < 2 ? null : <Reports reports={reports} chosen={chosen} onChoose={setNumber} />}
      </div>
      {chosen === null ? null : <OneReport key={`${chosen.lines.first}`} report={chosen} text={log.text} />}
    </>
  );
}

/** All of the text where it is short; of a long one the lines of the report. */
function linkOf(text: string, reports: readonly UsercopyReport[], chosen: UsercopyReport) {
  const SHORT = 100_000;
  if (text.length <= SHORT) return { tab: 'report', text, chosen: reports.indexOf(chosen) };
  const lines = text.split('\n').slice(chosen.lines.first - 1, chosen.lines.last);
  return { tab: 'report', text: lines.join('\n') };
}

function judged(report: UsercopyReport, profile?: string): ReportJudgement | string {
  try {
    return judgeReport(report, { profile });
  } catch (error) {
    return error instanceof UsercopyError ? error.message : 'This report could not be judged.';
  }
}

function OneReport({ report, text }: { readonly report: UsercopyReport; readonly text: string }) {
  const judgement = useMemo(() => judged(report), [report]);
  return typeof judgement === 'string' ? (
    <Trouble>{judgement}</Trouble>
  ) : (
    <Explained judgement={judgement} text={text} />
  );
}

const MOST_LISTED = 500;

function Reports({
  reports,
  chosen,
  onChoose,
}: {
  readonly reports: readonly UsercopyReport[];
  readonly chosen: UsercopyReport | null;
  readonly onChoose: (number: number) => void;
}) {
  return (
    <section aria-label="Reports in this log">
      <h2>{reports.length} reports in this log</h2>
      <ol class="reports">
        {reports.slice(0, MOST_LISTED).map((report, index) => {
          const judgement = judged(report);
          const title = typeof judgement === 'string' ? judgement : summaryOf(judgement.reproduction).title;
          return (
            <li key={report.lines.first}>
              <button type="button" aria-pressed={report === chosen} onClick={() => onChoose(index)}>
                line {report.lines.first}: {title}
                <small>{report.message?.text ?? 'its message line is missing'}</small>
              </button>
            </li>
          );
        })}
      </ol>
      {reports.length > MOST_LISTED ? <p>{reports.length - MOST_LISTED} more are not listed here.</p> : null}
    </section>
  );
}
