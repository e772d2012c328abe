/** Paste or drop a log: its reports, and one of them explained. */
import { useMemo, useState } from 'preact/hooks';
import { judgeReport, type ReportJudgement } from '../src/diagnosis/from-report.js';
import { summaryOf } from '../src/diagnosis/summary.js';
import { messageOf } from '../src/errors.js';
import { type ReportPlace, reportsIn, withoutZeros } from '../src/report/excerpts.js';
import { chooseReport } from '../src/report/parse.js';
import type { UsercopyReport } from '../src/report/report.js';
import { EXAMPLE } from './example.js';
import { Explained } from './explained.js';
import { FileField, LinkButton, type TabProperties, Trouble, troubleWith, useNewest, useRested } from './parts.js';
import { logTextOf } from './read-file.js';

/** Longer texts are kept beside the field: editing them there would be slow. */
const LONGEST_FIELD = 400_000;

export function ReportTab({ linked }: TabProperties) {
  const [typed, setTyped] = useState(linked?.text ?? '');
  const [dropped, setDropped] = useState<{ readonly name: string; readonly text: string } | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [number, setNumber] = useState<number | null>(linked?.chosen ?? null);
  const begin = useNewest();
  const rested = useRested(typed, 200);
  const source = dropped?.text ?? rested;
  const { reports, placeOf } = useMemo(() => reportsIn(withoutZeros(source)), [source]);
  const chosen = reports[number ?? -1] ?? chooseReport(reports);
  const judgements = useMemo(
    () => new Map(reports.slice(0, MOST_LISTED).map((report) => [report, judged(report)])),
    [reports],
  );
  const judgement = useMemo(
    () => (chosen === null ? null : (judgements.get(chosen) ?? judged(chosen))),
    [judgements, chosen],
  );

  /** What was shown before is put away. */
  const show = (text: string, name: string | null): void => {
    setTrouble(null);
    setNumber(null);
    setDropped(name === null ? null : { name, text });
    if (name === null) setTyped(text);
  };
  const take = async (file: File): Promise<void> => {
    const isNewest = begin();
    setTrouble(null);
    try {
      const text = await logTextOf(file, file.name);
      if (isNewest()) show(text, text.length > LONGEST_FIELD ? file.name : null);
    } catch (error) {
      if (isNewest()) setTrouble(troubleWith(file, error));
    }
  };
  const type = (text: string): void => {
    begin();
    show(text, null);
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
            <button type="button" onClick={() => type('')}>
              Put it away
            </button>
          </p>
        )}
        <FileField
          label="Or a file"
          hint="a log, packed or not (.gz, .xz, .zst, .bz2): choose it, or drop it here"
          onFiles={([file]) => void take(file)}
        />
        <p>
          <button type="button" onClick={() => type(EXAMPLE)}>
            Show an example
          </button>{' '}
          {chosen === null ? null : <LinkButton linked={() => linkOf(source, placeOf(chosen), reports, chosen)} />}
        </p>
      </div>
      {trouble === null ? null : <Trouble>{trouble}</Trouble>}
      <div aria-live="polite">
        {source.trim() !== '' && chosen === null ? (
          <p>
            No usercopy report is in this text: no line of it says what hardened usercopy prints, and no crash in it is
            in
            <code> usercopy_abort()</code>.
          </p>
        ) : null}
        {reports.length < 2 ? null : (
          <Reports reports={reports} judgements={judgements} chosen={chosen} onChoose={setNumber} />
        )}
      </div>
      {chosen === null || judgement === null ? null : typeof judgement === 'string' ? (
        <Trouble>{judgement}</Trouble>
      ) : (
        <Explained key={reports.indexOf(chosen)} judgement={judgement} place={placeOf(chosen)} />
      )}
    </>
  );
}

/** All of the text where it is short; of a long one the lines of the report. */
function linkOf(whole: string, place: ReportPlace, reports: readonly UsercopyReport[], chosen: UsercopyReport) {
  const SHORT = 100_000;
  if (whole.length <= SHORT) return { tab: 'report', text: whole, chosen: reports.indexOf(chosen) };
  const lines = place.text.split('\n').slice(place.lines.first - 1, place.lines.last);
  return { tab: 'report', text: lines.join('\n') };
}

function judged(report: UsercopyReport): ReportJudgement | string {
  try {
    return judgeReport(report);
  } catch (error) {
    return `This report could not be judged: ${messageOf(error)}`;
  }
}

const MOST_LISTED = 500;

function Reports({
  reports,
  judgements,
  chosen,
  onChoose,
}: {
  readonly reports: readonly UsercopyReport[];
  /** Of the reports that are listed. */
  readonly judgements: ReadonlyMap<UsercopyReport, ReportJudgement | string>;
  readonly chosen: UsercopyReport | null;
  readonly onChoose: (number: number) => void;
}) {
  return (
    <section aria-label="Reports in this log">
      <h2>{reports.length} reports in this log</h2>
      <ol class="reports">
        {[...judgements].map(([report, judgement], index) => {
          const title = typeof judgement === 'string' ? judgement : summaryOf(judgement.reproduction).title;
          return (
            <li key={index}>
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
