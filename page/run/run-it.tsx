/** Runs a scenario in the user's own unicorn.js: the guest's own check beside ours. */
import { createContext } from 'preact';
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import { messageOf } from '../../src/errors.js';
import type { Scenario } from '../../src/scenario/format.js';
import { checkModule, guestElf } from '../data.js';
import { FileField, Trouble, troubleWith } from '../parts.js';
import { besides, type Given, NOTHING_GIVEN, withFile } from './emulator-file.js';
import type { PlayedRow, PlayedRun } from './messages.js';
import { startRun } from './run.js';

export interface Emulator {
  readonly given: Given;
  readonly give: (change: (given: Given) => Given) => void;
  /** The page's own program, which runs in the worker, too. */
  readonly program: string;
}

/** One emulator for all of the page. */
export const EmulatorContext = createContext<Emulator>({ given: NOTHING_GIVEN, give: () => {}, program: '' });

const LIMIT = 60;
const LONGEST_LIMIT = 3600;

type State =
  | { readonly kind: 'rests' }
  | { readonly kind: 'runs'; readonly what: string }
  | { readonly kind: 'ended'; readonly run: PlayedRun | string };

export function RunIt({ scenario, variant }: { readonly scenario: Scenario; readonly variant: string }) {
  const { given, give, program } = useContext(EmulatorContext);
  const [state, setState] = useState<State>({ kind: 'rests' });
  const [trouble, setTrouble] = useState<string | null>(null);
  const [limit, setLimit] = useState(LIMIT);
  const stop = useRef<() => void>(() => {});
  // Another scenario, or another emulator: what runs is of no use, and what was found is not of this one.
  useEffect(() => {
    setState({ kind: 'rests' });
    return () => stop.current();
  }, [scenario, given.script, given.wasm]);

  const take = async (files: readonly File[]): Promise<void> => {
    setTrouble(null);
    let together = NOTHING_GIVEN;
    for (const file of files) {
      try {
        together = await withFile(together, file);
      } catch (error) {
        setTrouble(troubleWith(file, error));
      }
    }
    give((before) => besides(before, together));
  };
  const run = (): void => {
    const { script, wasm, guests } = given;
    if (script === null) return;
    stop.current();
    setState({ kind: 'runs', what: `loading ${script.name}` });
    const end = (found: PlayedRun | string): void => setState({ kind: 'ended', run: found });
    try {
      const guest = guests[variant] ?? guestElf(variant);
      if (guest === null) {
        end(withoutGuest(variant));
        return;
      }
      const order = {
        ...{ scenario, variant, guest },
        check: checkModule(),
        emulator: script.name,
        wasm: wasm?.bytes ?? null,
      };
      stop.current = startRun(order, program, script.text, limit, {
        onProgress: (what) => setState({ kind: 'runs', what }),
        onEnd: end,
      });
    } catch (error) {
      end(`The run could not begin: ${messageOf(error)}.`);
    }
  };
  const cancel = (): void => {
    stop.current();
    setState({ kind: 'ended', run: 'Stopped.' });
  };
  return (
    <div class="run-it no-print">
      <p>
        Or run it here, in a unicorn.js of yours: the {variant} guest makes the copy in your browser, and what its own
        check prints stands beside what ours says. The file stays in this page.
      </p>
      <FileField
        label="unicorn.js"
        hint={`a build for ${variant}, as one .js file or as .js and .wasm; choose it, or drop it here`}
        many
        onFiles={(files) => void take(files)}
      />
      {trouble === null ? null : <Trouble>{trouble}</Trouble>}
      {given.script === null ? (
        <p>{given.wasm === null ? 'No emulator was given yet.' : `${given.wasm.name} needs its .js file beside it.`}</p>
      ) : (
        <p>
          {[given.script.name, given.wasm?.name, ...Object.keys(given.guests).map((name) => `the ${name} guest`)]
            .filter((name) => name !== undefined)
            .join(', ')}
          :{' '}
          {state.kind === 'runs' ? (
            <button type="button" onClick={cancel}>
              Stop
            </button>
          ) : (
            <button type="button" onClick={() => run()}>
              Run the copy
            </button>
          )}{' '}
          <label>
            at most{' '}
            <input
              class="seconds"
              type="number"
              min={1}
              max={LONGEST_LIMIT}
              value={limit}
              onInput={({ currentTarget: { valueAsNumber } }) => {
                if (valueAsNumber >= 1) setLimit(Math.min(LONGEST_LIMIT, valueAsNumber));
              }}
            />{' '}
            seconds
          </label>{' '}
          <button type="button" onClick={() => give(() => NOTHING_GIVEN)}>
            Put the files away
          </button>
        </p>
      )}
      <div aria-live="polite">
        {state.kind === 'runs' ? <p>{state.what} …</p> : null}
        {state.kind !== 'ended' ? null : typeof state.run === 'string' ? (
          <Trouble>{state.run}</Trouble>
        ) : (
          <Played run={state.run} />
        )}
      </div>
    </div>
  );
}

const withoutGuest = (variant: string): string =>
  `The ${variant} guest is not in this page, which would be too large with all of them: drop guests/elf/${variant}.elf of the package unicorn-usercopy beside unicorn.js.`;

/** As `usercopy run` shows it. */
function Played({ run }: { readonly run: PlayedRun }) {
  return (
    <div class="played">
      <p class="verdict">
        <span class={`badge ${run.ok ? 'passed' : 'refused'}`}>{run.ok ? 'as expected' : 'NOT as expected'}</span>{' '}
        {run.variant}, kernel {run.kernel}, profile {run.profile}, on {run.engine}.
      </p>
      <section class="scroll" aria-label="The guest's own check beside ours" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th>case</th>
              <th>guest's own check</th>
              <th>ours</th>
              <th>beside each other</th>
              <th>instructions</th>
            </tr>
          </thead>
          <tbody>
            {run.rows.map((row, index) => (
              <tr key={index}>
                <th scope="row">{row.case}</th>
                <td>{row.identical === null ? 'not asked' : (row.guest ?? 'nothing: the copy passes')}</td>
                <td>{saidOf(row)}</td>
                <td>{row.identical === null ? 'not compared' : row.identical ? 'identical' : 'differs'}</td>
                <td>{row.guestInstructions}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <ul>
        {run.rows.flatMap((row, index) => row.unmet.map((what) => <li key={`${index} ${what}`}>{what}</li>))}
        {run.notes.map((note) => (
          <li key={note}>note: {note}</li>
        ))}
      </ul>
    </div>
  );
}

function saidOf({ outcome, ours }: PlayedRow): string {
  if (outcome === null) return 'not asked';
  if (outcome === 'unreadable') return 'cannot be judged: memory that is not there';
  return ours ?? 'nothing: the copy passes';
}
