/**
 * What an attachment did not see while it looked as if there was nothing to see. Told at the end of a run, once: copies that
 * passed without the kernel's check being asked, and a guest without a page array.
 */
import type { Check } from '../check/check.js';
import type { Acceptance } from '../check/verdict.js';
import type { CheckStatistics } from '../check/verdicts.js';
import type { Engine, Hook } from '../engine/engine.js';
import { pageArrayGap } from './page-array.js';
import type { Plan, PlannedEntry } from './plan.js';

/** So many copies of which not one had to do with an object are no accident. */
const BLIND_COPIES = 10_000;
const FOUND_NOTHING: ReadonlySet<string> = new Set<Acceptance>(['empty copy', 'bypassed', 'nothing objects']);

export class BlindSpots {
  /** In the order in which they were found. */
  readonly found: string[] = [];
  readonly #plan: Plan;
  readonly #check: Check;
  readonly #tell: (spot: string) => void;
  readonly #run: Hook;
  /** Hooks that fire once, so that they cost a run nothing. */
  readonly #once: Hook[] = [];
  /** Functions that copied. */
  readonly #copied = new Set<string>();
  #asked = false;
  #copiesAreKnown = false;
  #pagesAreKnown = false;
  #objectsAreKnown = false;

  constructor(engine: Engine, plan: Plan, check: Check, tell: (spot: string) => void) {
    this.#plan = plan;
    this.#check = check;
    this.#tell = tell;
    this.#pagesAreKnown = plan.parameters.introspection === null;
    if (plan.unjudged.length > 0) this.#watchCopies(engine);
    this.#run = engine.hookRun((event) => {
      if (event === 'end') this.#look();
    });
  }

  #watchCopies(engine: Engine): void {
    const once = ({ address }: PlannedEntry, arrived: () => void): void => {
      const hook = engine.hookAddress(address, () => {
        hook.remove();
        arrived();
      });
      this.#once.push(hook);
    };
    for (const planned of this.#plan.unjudged) once(planned, () => this.#copied.add(planned.entry.symbol));
    for (const planned of this.#plan.entries) {
      once(planned, () => {
        this.#asked = true;
        this.#forgetCopies();
      });
    }
  }

  #forgetCopies(): void {
    for (const hook of this.#once.splice(0)) hook.remove();
  }

  #look(): void {
    const { parameters, live } = this.#plan;
    if (!this.#copiesAreKnown && !this.#asked && this.#copied.size > 0) {
      this.#copiesAreKnown = true;
      const reached = [...this.#copied].join(', ');
      this.#add(
        `the guest copied (${reached}), but never asked its check: judge 'kernel' judged nothing; judge 'all' judges every copy`,
      );
    }
    if (!this.#pagesAreKnown) {
      this.#pagesAreKnown = true;
      const gap = pageArrayGap(parameters, live);
      if (gap !== null) this.#add(noPagesNote(gap));
    }
    if (!this.#objectsAreKnown) this.#lookForObjects(this.#check.statistics());
  }

  #lookForObjects({ checks, reasons }: CheckStatistics): void {
    const blind = reasons.reduce((sum, { by, count }) => (by !== null && FOUND_NOTHING.has(by) ? sum + count : sum), 0);
    this.#objectsAreKnown = blind < checks || checks >= BLIND_COPIES;
    if (blind < checks || checks < BLIND_COPIES) return;
    this.#add(
      `${checks} copies were let through and not one object was found: the guest's memory is not what its kernel describes, or was never set up; nothing is judged`,
    );
  }

  #add(spot: string): void {
    this.found.push(spot);
    this.#tell(spot);
  }

  close(): void {
    this.#run.remove();
    this.#forgetCopies();
  }
}

/** What a guest without a page array means for whoever reads verdicts. */
export function noPagesNote(gap: string): string {
  return `the guest has no page array (${gap}): no slab object and no page is known, only stacks, vmalloc areas and the kernel's text are judged`;
}
