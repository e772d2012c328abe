/** The page: tabs, what a link brings back, and what is dropped onto it. */
import { render } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { DumpTab } from './dump-tab.js';
import { type Linked, readFragment } from './link.js';
import { OverheadTab } from './overhead-tab.js';
import { Guarded, Trouble } from './parts.js';
import { PlayTab } from './play-tab.js';
import { ReportTab } from './report-tab.js';
import { NOTHING_GIVEN } from './run/emulator-file.js';
import { EmulatorContext } from './run/run-it.js';

const TABS = [
  { name: 'report', label: 'A report', Panel: ReportTab },
  { name: 'dump', label: 'A dump', Panel: DumpTab },
  { name: 'play', label: 'Play with the check', Panel: PlayTab },
  { name: 'overhead', label: 'What the check costs', Panel: OverheadTab },
] as const;

type TabName = (typeof TABS)[number]['name'];

const isTab = (name: string): name is TabName => TABS.some((tab) => tab.name === name);

interface PageProperties {
  readonly linked: Linked | null;
  readonly trouble: string | null;
  readonly program: string;
}

function Page({ linked, trouble, program }: PageProperties) {
  const [chosen, choose] = useState<TabName>(linked !== null && isTab(linked.tab) ? linked.tab : 'report');
  // A tab is made when it is first looked at, and keeps what was put into it.
  const seen = useRef(new Set<TabName>());
  seen.current.add(chosen);
  const buttons = useRef<Partial<Record<TabName, HTMLButtonElement | null>>>({});
  const move = (event: KeyboardEvent): void => {
    const at = TABS.findIndex(({ name }) => name === chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = TABS[(to + TABS.length) % TABS.length]?.name ?? 'report';
    choose(next);
    buttons.current[next]?.focus();
  };
  const [given, give] = useState(NOTHING_GIVEN);
  return (
    <EmulatorContext.Provider value={{ given, give, program }}>
      <header>
        <h1>usercopy</h1>
        <p>
          Linux refused a copy between user and kernel memory, and you have the report. This page says what it means, by
          the rules of the kernel that printed it. Nothing that you put here leaves the page.
        </p>
        <div role="tablist" aria-label="What to look at" onKeyDown={move}>
          {TABS.map(({ name, label }) => (
            <button
              key={name}
              type="button"
              role="tab"
              id={`tab-${name}`}
              aria-selected={name === chosen}
              aria-controls={`panel-${name}`}
              tabIndex={name === chosen ? 0 : -1}
              ref={(button) => {
                buttons.current[name] = button;
              }}
              onClick={() => choose(name)}
            >
              {label}
            </button>
          ))}
        </div>
      </header>
      <main>
        {trouble === null ? null : <Trouble>{trouble}</Trouble>}
        {TABS.map(({ name, Panel }) => (
          <section
            key={name}
            role="tabpanel"
            id={`panel-${name}`}
            aria-labelledby={`tab-${name}`}
            hidden={name !== chosen}
          >
            {seen.current.has(name) ? (
              <Guarded>
                <Panel linked={linked?.tab === name ? linked : null} isShown={name === chosen} />
              </Guarded>
            ) : null}
          </section>
        ))}
      </main>
      <footer>
        <p>unicorn-usercopy. The page makes no connection: its security policy forbids every one.</p>
      </footer>
    </EmulatorContext.Provider>
  );
}

/** `program` is the page's own script. */
export async function start(program: string): Promise<void> {
  // A link that is followed on the open page is another view.
  addEventListener('hashchange', () => location.reload());
  // What is dropped beside a field must not replace the page.
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => event.preventDefault());
  const root = document.getElementById('page');
  if (root === null) return;
  const found = await readFragment(location.hash);
  const linked = typeof found === 'string' ? null : found;
  root.replaceChildren();
  render(<Page linked={linked} trouble={typeof found === 'string' ? found : null} program={program} />, root);
  document.documentElement.dataset['ready'] = 'yes';
}
