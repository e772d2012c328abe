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

/** So many copies that a check was not held against anything are no accident. */
const BLIND_COPIES = 10_000;

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

  #lookForObjects(statistics: CheckStatistics): void {
    const note = noObjectsNote(statistics);
    this.#objectsAreKnown = note !== null || copiesThatMet(statistics) > 0;
    if (note !== null) this.#add(note);
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

const countOf = ({ reasons }: CheckStatistics, acceptance: Acceptance): number =>
  reasons.reduce((sum, { by, count }) => (by === acceptance ? sum + count : sum), 0);

/** Copies that were held against something: a stack, an object, a page, the kernel's text. */
const copiesThatMet = (statistics: CheckStatistics): number =>
  statistics.checks -
  countOf(statistics, 'empty copy') -
  countOf(statistics, 'bypassed') -
  countOf(statistics, 'nothing objects');

/**
 * What it may mean that none of very many copies was held against anything; null while they are fewer, or one was. Copies of
 * no bytes do not count. `native/library/report.cc` says the same.
 */
export function noObjectsNote(statistics: CheckStatistics): string | null {
  const bypassed = countOf(statistics, 'bypassed');
  const unknown = countOf(statistics, 'nothing objects');
  if (copiesThatMet(statistics) > 0 || bypassed + unknown < BLIND_COPIES) return null;
  if (unknown === 0) return `none of ${bypassed} copies was judged: the guest's kernel has its check switched off`;
  const others = bypassed === 0 ? '' : `; ${bypassed} more passed while the guest's kernel had its check switched off`;
  return (
    `none of ${unknown} copies met anything that the check knows (a stack, a slab object, pages of several, a vmalloc area, ` +
    `the kernel's text)${others}: this happens if a guest copies only single pages or static data, or if its memory is ` +
    'not what its kernel describes, or was never set up'
  );
}
