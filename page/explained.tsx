/** One report explained. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Check } from '../src/check/check.js';
import type { ReportJudgement } from '../src/diagnosis/from-report.js';
import { sceneOf } from '../src/diagnosis/scene.js';
import { type Remedy, remedies, type SideBySide, sideBySide } from '../src/diagnosis/side-by-side.js';
import { decidedBy, printedLine } from '../src/diagnosis/small-memory.js';
import { summaryOf } from '../src/diagnosis/summary.js';
import { hex, messageOf } from '../src/errors.js';
import type { ReportPlace } from '../src/report/excerpts.js';
import { makeCheck } from './data.js';
import { type MarkedText, markedText } from './marks.js';
import { Drawing } from './parts.js';
import { ScenarioOf } from './scenario.js';

/** A check that is there for one purpose: null until it has been compiled, a sentence where it cannot be. */
export function useCheck(): Check | string | null {
  const [check, setCheck] = useState<Check | string | null>(null);
  useEffect(() => {
    let isThere = true;
    makeCheck().then(
      (made) => isThere && setCheck(made),
      (error: unknown) =>
        isThere && setCheck(`check.wasm could not be started, so that nothing can be judged here: ${messageOf(error)}`),
    );
    return () => {
      isThere = false;
    };
  }, []);
  return check;
}

export function Explained({ judgement, place }: { readonly judgement: ReportJudgement; readonly place: ReportPlace }) {
  const { reproduction } = judgement;
  const { report, explanation, copy } = reproduction;
  const summary = useMemo(() => summaryOf(reproduction), [judgement]);
  const scene = useMemo(() => sceneOf(reproduction), [judgement]);
  const { text, lines } = place;
  const marked = useMemo(
    () => (report === null ? null : markedText(text, { ...report, lines }, copy)),
    [judgement, text],
  );
  const badge = summary.refused === null ? 'unknown' : summary.refused ? 'refused' : 'passed';
  return (
    <article>
      <h2>{summary.title}</h2>
      <p class="verdict">
        <span class={`badge ${badge}`}>{badge}</span> {summary.text}
      </p>
      <Judged judgement={judgement} />
      <section aria-labelledby="drawn">
        <h3 id="drawn">Object and copy</h3>
        {typeof scene === 'string' ? <p>{scene}</p> : <Drawing scene={scene} />}
      </section>
      <section aria-labelledby="means">
        <h3 id="means">What it means</h3>
        <ul>
          {explanation.lines.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      </section>
      <Causes judgement={judgement} />
      <Others judgement={judgement} />
      <ScenarioOf judgement={judgement} />
      {marked === null ? null : <Marked marked={marked} />}
      <Facts judgement={judgement} />
    </article>
  );
}

const MEANINGS: Readonly<Record<string, string>> = {
  consistent: 'The message follows from its own numbers under these rules.',
  contradictory: 'The message cannot have been printed by these rules: it was altered, or the kernel is another one.',
  unknown: 'What the log has does not decide it.',
};

function Judged({ judgement: { reproduction } }: { readonly judgement: ReportJudgement }) {
  const { outcome, variant, kernel, profile } = reproduction;
  return (
    <p>
      <strong>{outcome}</strong>
      {': '}
      {MEANINGS[outcome] ?? ''} Architecture {variant ?? 'not in the log'}, kernel {kernel ?? 'not in the log'}, rules
      of {profile === null ? 'no kernel known here' : `profile ${profile}`}.
    </p>
  );
}

function Causes({ judgement: { reproduction } }: { readonly judgement: ReportJudgement }) {
  const { causes, known } = reproduction.explanation;
  if (causes.length === 0 && known === null) return null;
  return (
    <section aria-labelledby="causes">
      <h3 id="causes">Causes</h3>
      <ul>
        {causes.map(({ cause, because }) => (
          <li key={cause}>
            <strong>{cause}</strong>: {because}
          </li>
        ))}
        {known === null ? null : (
          <li>
            <strong>{known.confidence === 'certain' ? 'known' : `${known.confidence}, as others found`}</strong>:{' '}
            {known.was}
            {known.fix === null
              ? ''
              : `; mended by ${known.fix.commit ?? ''} “${known.fix.title}” (${known.fix.version})`}{' '}
            — {known.source}
          </li>
        )}
      </ul>
    </section>
  );
}

function Others({ judgement }: { readonly judgement: ReportJudgement }) {
  const check = useCheck();
  const found = useMemo(
    () => (check === null || typeof check === 'string' ? check : othersOf(judgement, check)),
    [check, judgement],
  );
  return (
    <section aria-labelledby="others">
      <h3 id="others">The same copy under the rules of each era</h3>
      {found === null ? (
        <p>…</p>
      ) : typeof found === 'string' ? (
        <p>{found}.</p>
      ) : (
        <>
          <OtherRows found={found.others} />
          <Remedies found={found.offered} />
        </>
      )}
    </section>
  );
}

function othersOf(judgement: ReportJudgement, check: Check) {
  const others = sideBySide(judgement, check);
  return typeof others === 'string' ? others : { others, offered: remedies(judgement, others, check) };
}

function Remedies({ found }: { readonly found: readonly Remedy[] }) {
  if (found.length === 0) return null;
  return (
    <>
      <h3>What would make it pass</h3>
      <ul>
        {found.map(({ text, code }) => (
          <li key={text}>
            {text}
            {code === null ? null : (
              <>
                {' '}
                <code>{code}</code>
              </>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

function OtherRows({ found: { rows, memory } }: { readonly found: SideBySide }) {
  return (
    <>
      <section class="scroll" tabIndex={0} aria-label="Rules of each era">
        <table>
          <thead>
            <tr>
              <th>kernels</th>
              <th>it would have printed</th>
              <th>decided by</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ profile, kernels, isOwn, verdict }) => (
              <tr key={profile} class={isOwn ? 'own' : ''}>
                <th scope="row">
                  {kernels}
                  {isOwn ? <small> the reported kernel</small> : null}
                </th>
                <td>{printedLine(verdict)}</td>
                <td>{decidedBy(verdict)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {memory.notes.map((note) => (
        <p key={note}>
          <small>{note}</small>
        </p>
      ))}
    </>
  );
}

function Marked({ marked: { text, line, marks, unmarked } }: { readonly marked: MarkedText }) {
  const pieces: preact.JSX.Element[] = [];
  let at = 0;
  for (const { start, end, field } of marks) {
    pieces.push(<span key={at}>{text.slice(at, start)}</span>);
    pieces.push(
      <mark key={start} title={field}>
        {text.slice(start, end)}
        <small>{field}</small>
      </mark>,
    );
    at = end;
  }
  pieces.push(<span key={at}>{text.slice(at)}</span>);
  return (
    <section aria-labelledby="marked">
      <h3 id="marked">What was read, in the text from line {line} on</h3>
      <pre class="log" tabIndex={0}>
        {pieces}
      </pre>
      {unmarked.length === 0 ? null : (
        <p>Read, but not marked: {unmarked.join(', ')}. The text has it in another form, or under another mark.</p>
      )}
    </section>
  );
}

function Facts({ judgement: { reproduction } }: { readonly judgement: ReportJudgement }) {
  const { report } = reproduction;
  if (report === null) return null;
  const rows: readonly (readonly [string, string | null])[] = [
    ['architecture', report.arch === null ? null : `${report.arch} (${report.archFrom ?? ''})`],
    ['release', report.kernelVersion],
    ['task', report.comm === null ? null : `${report.comm}${report.pid === null ? '' : `, pid ${report.pid}`}`],
    ['cpu', report.cpu === null ? null : `${report.cpu}`],
    ['taint', report.taint === '' ? 'none' : report.taint],
    ['hardware', report.hardware],
    ['stopped in', report.pc?.symbol ?? null],
    ['stack pointer', report.stackPointer === null ? null : hex(report.stackPointer)],
    [
      'calls',
      report.trace.length === 0
        ? null
        : report.trace.map(({ symbol, reliable }) => `${reliable ? '' : '? '}${symbol}`).join(', '),
    ],
    ['modules of another tree', report.foreignModules.length === 0 ? null : report.foreignModules.join(', ')],
    ['trouble before', report.trouble],
  ];
  return (
    <details>
      <summary>Everything that was read</summary>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value ?? 'not in the log'}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
