/** The scenario that a report describes, to be taken along: `usercopy run` plays it. */
import { useMemo } from 'preact/hooks';
import type { ReportJudgement } from '../src/diagnosis/from-report.js';
import { guestToPlay, scenarioHead, scenarioOf } from '../src/diagnosis/scenario-of.js';
import type { Scenario } from '../src/scenario/format.js';
import { writeScenario } from '../src/scenario/write.js';
import { guestFacts } from './data.js';
import { Download } from './parts.js';
import { RunIt } from './run/run-it.js';

interface Made {
  readonly scenario: Scenario;
  readonly variant: string;
  readonly text: string;
  readonly notes: readonly string[];
}

function madeOf(judgement: ReportJudgement): Made | string {
  const facts = guestFacts();
  if (facts.size === 0) return 'this page was built without an emulator, which knows the built-in guests';
  const chosen = guestToPlay(judgement, [...facts.keys()]);
  if (typeof chosen === 'string') return chosen;
  const guest = facts.get(chosen.variant);
  if (guest === undefined) return `there is no built-in guest of ${chosen.variant}`;
  const described = scenarioOf(judgement, chosen, guest);
  if (typeof described === 'string') return described;
  return {
    scenario: described.scenario,
    variant: chosen.variant,
    text: writeScenario(described.scenario, scenarioHead(judgement, described)),
    notes: [...(chosen.note === null ? [] : [chosen.note]), ...described.notes],
  };
}

export function ScenarioOf({ judgement }: { readonly judgement: ReportJudgement }) {
  const made = useMemo(() => madeOf(judgement), [judgement]);
  return (
    <section aria-labelledby="scenario">
      <h3 id="scenario">Play it again</h3>
      {typeof made === 'string' ? (
        <p>There is no scenario: {made}.</p>
      ) : (
        <>
          <p>
            This page has no emulator of its own. With one, a built-in guest is brought into this state and makes the
            copy, and its own check answers beside ours. This scenario asks for just that:{' '}
            <code>usercopy run reported.yaml</code> plays it on your machine.{' '}
            <Download name="reported.yaml" text={made.text}>
              Download reported.yaml
            </Download>
          </p>
          {made.notes.map((note) => (
            <p key={note}>
              <small>{note}</small>
            </p>
          ))}
          <RunIt scenario={made.scenario} variant={made.variant} />
          <details>
            <summary>What it says</summary>
            <pre tabIndex={0}>{made.text}</pre>
          </details>
        </>
      )}
    </section>
  );
}
