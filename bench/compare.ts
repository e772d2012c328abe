/** Two results side by side: what became slower or faster by more than the margins, and two kernels' own checks. */
import type { AnswerTable, Part } from '../src/cli/answer.js';
import { badInput } from '../src/errors.js';
import { colours } from '../src/terminal.js';
import { type Comparable, comparable, type Guest, type GuestFigures, type Time } from './comparable.js';
import { costCell, figure, NOISY_MARGIN } from './report.js';

/** `noisy`: within margins so wide that nothing can be said. `not judged`: `why` says why. */
export type ChangeVerdict = 'slower' | 'faster' | 'same' | 'noisy' | 'not judged';

/** A time of both results. */
export interface Change {
  /** Where the number stands in the result: `x86_64 own 6.1 copy.enforce.native`. */
  readonly name: string;
  /** Nanoseconds. */
  readonly old: number;
  readonly new: number;
  /** The new one divided by the old one. */
  readonly ratio: number;
  /** Ratios between 1 / (1 + margin) and 1 + margin mean nothing: the margins of both, as parts of 1; null when one was not recorded. */
  readonly margin: number | null;
  /** One of them has a margin above 5 %. */
  readonly noisy: boolean;
  readonly verdict: ChangeVerdict;
}

/** One path of the guests' own check. The figures are exact: any difference is one. */
export interface GuestChange {
  readonly path: string;
  readonly old: GuestFigures;
  readonly new: GuestFigures;
  /** New ÷ old; null where one is 0 or not known. */
  readonly instructions: number | null;
  readonly cycles: number | null;
  readonly verdict: ChangeVerdict;
}

/** A guest of OLD and the one of NEW that it is held against. */
export interface Pair {
  readonly old: string;
  readonly new: string;
  readonly guestCheck: readonly GuestChange[];
}

export interface Comparison {
  readonly pairs: readonly Pair[];
  readonly changes: readonly Change[];
  readonly slower: number;
  readonly faster: number;
  readonly noisy: number;
  /** Figures and guests that only one of the results has. */
  readonly unmatched: readonly string[];
  /** What the reader should know: why something was not judged, how the results differ. */
  readonly notes: readonly string[];
}

/**
 * @throws UsercopyError `bad-input` when one of them is no result, one is a smoke run and the other is not, or they have
 * no figure in common.
 */
export function compareResults(old: unknown, later: unknown): Comparison {
  return compareComparables(comparable(old, 'OLD'), comparable(later, 'NEW'));
}

/** The same of results that were read already. */
export function compareComparables(before: Comparable, after: Comparable): Comparison {
  const quick = [before, after].filter(({ timed }) => timed !== null).map(({ timed }) => timed?.quick);
  if (quick.includes(true) && quick.includes(false))
    throw badInput('bench --compare', 'two full results or two of --quick', 'one of each, whose times do not compare');
  const notes: string[] = [];
  const why = quick.includes(true) ? 'Both are smoke runs: their times say nothing and are not judged.' : null;
  if (why !== null) notes.push(why);
  const otherMachine = differenceOf(before, after, 'cpu');
  if (otherMachine !== null)
    notes.push(`The results are of two machines (${otherMachine}): their times are not judged.`);
  for (const what of ['node', 'unicorn'] as const) {
    const differs = differenceOf(before, after, what);
    if (differs !== null) notes.push(`${what === 'node' ? 'Node' : 'Unicorn'} differs, too: ${differs}.`);
  }
  const judged = why === null && otherMachine === null;
  const areBothTimed = before.timed !== null && after.timed !== null;
  if (!areBothTimed && before.timed !== after.timed)
    notes.push(`${before.timed === null ? 'OLD' : 'NEW'} has no times: the guest's own check alone is compared.`);
  const { pairs: paired, left } = pairsOf(before.guests, after.guests);
  const changes: Change[] = [];
  const unmatched: string[] = [];
  const compareTimes = (prefix: string, one: ReadonlyMap<string, Time>, two: ReadonlyMap<string, Time>) => {
    for (const [name, time] of one) {
      const other = two.get(name);
      if (other !== undefined) changes.push(changeOf(prefix + name, time, other, judged));
    }
    if (one.size === 0 && two.size === 0) return;
    if (one.size === 0 || two.size === 0) {
      if (areBothTimed)
        notes.push(
          `${prefix || 'Batches and growth'}${prefix ? 'has' : ' have'} times in ${one.size > 0 ? 'OLD' : 'NEW'} alone.`,
        );
      return;
    }
    for (const name of new Set([...one.keys(), ...two.keys()]))
      if (!one.has(name) || !two.has(name)) unmatched.push(prefix + name);
  };
  const pairs = paired.map(([one, two]): Pair => {
    compareTimes(`${one.name === two.name ? one.name : `${one.name} → ${two.name}`} `, one.times, two.times);
    const why = whyCyclesDoNotCompare(one, two);
    const compares = why === null;
    if (why !== null) notes.push(`${one.name === two.name ? one.name : `${one.name}, ${two.name}`}: ${why}`);
    const guestCheck = [...one.guestCheck].flatMap(([path, figures]) => {
      const other = two.guestCheck.get(path);
      return other === undefined ? [] : [guestChange(path, figures, other, compares)];
    });
    const other = [...two.guestCheck.keys()].filter((path) => !one.guestCheck.has(path));
    const alone = [...one.guestCheck.keys()].filter((path) => !two.guestCheck.has(path));
    unmatched.push(...alone.map((path) => `${one.name} ${path}`), ...other.map((path) => `${two.name} ${path}`));
    return { old: one.name, new: two.name, guestCheck };
  });
  unmatched.push(...left.map(({ name }) => name));
  compareTimes('', before.times, after.times);
  if (pairs.length === 0 && changes.length === 0)
    throw badInput('bench --compare', 'two results with a figure in common', `only in one: ${unmatched.join(', ')}`);
  if (changes.some(({ margin }) => margin === null))
    notes.push('Times without a margin, of an older usercopy, are not judged.');
  const all = [...changes, ...pairs.flatMap(({ guestCheck }) => guestCheck)];
  const count = (verdict: ChangeVerdict) => all.filter((one) => one.verdict === verdict).length;
  return {
    ...{ pairs, changes, slower: count('slower'), faster: count('faster'), noisy: count('noisy') },
    ...{ unmatched, notes },
  };
}

/** What of the machines differs, as `OLD, NEW`; null when nothing does, or one of the results has no times. */
function differenceOf({ timed: one }: Comparable, { timed: two }: Comparable, what: 'cpu' | 'node' | 'unicorn') {
  return one === null || two === null || one[what] === two[what] ? null : `${one[what]}, ${two[what]}`;
}

/** Why the cycles of two guests are not held against each other; null when they are, or when there are none. */
function whyCyclesDoNotCompare(one: Guest, two: Guest): string | null {
  if (one.core !== two.core) return `cycles of two cores (${one.core}, ${two.core}) are not judged.`;
  if (one.core === null || (one.cycleModel !== null && one.cycleModel === two.cycleModel)) return null;
  const silent = one.cycleModel === null ? 'OLD' : two.cycleModel === null ? 'NEW' : null;
  return silent === null
    ? 'cycles of two cycle models are not judged; instructions are.'
    : `${silent} does not say which cycle model its cycles are of: they are not judged, instructions are.`;
}

/**
 * Guests of both results that belong together: of the same name; of what is left, the only one of its variant and rules
 * on each side; of what is left then, the only one of its variant. Two architectures never belong together.
 */
function pairsOf(old: readonly Guest[], later: readonly Guest[]) {
  const pairs: [Guest, Guest][] = [];
  const before = [...old];
  const after = [...later];
  const pairBy = (key: (guest: Guest) => string) => {
    const only = (guests: readonly Guest[], guest: Guest) =>
      guests.filter((other) => key(other) === key(guest)).length === 1;
    for (const one of [...before]) {
      const two = after.find((other) => key(other) === key(one));
      if (two === undefined || !only(before, one) || !only(after, two)) continue;
      pairs.push([one, two]);
      before.splice(before.indexOf(one), 1);
      after.splice(after.indexOf(two), 1);
    }
  };
  pairBy(({ name }) => name);
  pairBy(({ variant, profile }) => `${variant} ${profile}`);
  pairBy(({ variant }) => variant);
  return { pairs, left: [...before, ...after] };
}

function changeOf(name: string, one: Time, two: Time, judged: boolean): Change {
  const ratio = two.ns / one.ns;
  const margin = one.margin === null || two.margin === null ? null : (one.margin + two.margin) / 100;
  const noisy = Math.max(one.margin ?? 0, two.margin ?? 0) > NOISY_MARGIN;
  const verdict = (): ChangeVerdict => {
    if (!judged || margin === null) return 'not judged';
    if (ratio > 1 + margin) return 'slower';
    if (ratio < 1 / (1 + margin)) return 'faster';
    return noisy ? 'noisy' : 'same';
  };
  return { name, old: one.ns, new: two.ns, ratio, margin, noisy, verdict: verdict() };
}

function guestChange(path: string, one: GuestFigures, two: GuestFigures, compares: boolean): GuestChange {
  const ratioOf = (before: number | null, after: number | null) =>
    before === null || after === null || before === 0 ? null : after / before;
  const cycles = compares ? ratioOf(one.cycles, two.cycles) : null;
  const instructions = ratioOf(one.instructions, two.instructions);
  const ratio = cycles ?? instructions ?? 1;
  const verdict = ratio > 1 ? 'slower' : ratio < 1 ? 'faster' : 'same';
  return { path, old: one, new: two, instructions, cycles, verdict };
}

const COLOURS = {
  slower: colours.red,
  faster: colours.green,
  noisy: colours.yellow,
  'not judged': colours.yellow,
  same: (text: string) => text,
} as const;

export function comparisonParts(comparison: Comparison): Part[] {
  const { pairs, changes, slower, faster, noisy, unmatched, notes } = comparison;
  const total = changes.length + pairs.reduce((sum, { guestCheck }) => sum + guestCheck.length, 0);
  return [
    ...pairs.flatMap(pairParts),
    ...(changes.length === 0 ? [] : [{ heading: '\nTimes' }, timesTable(changes)]),
    ...(unmatched.length === 0 ? [] : [`Only in one of them: ${unmatched.join(', ')}`]),
    ...notes,
    `${slower} slower, ${faster} faster beyond the margins, ${noisy} too noisy to say, of ${total}`,
  ];
}

const times = (ratio: number | null): string => (ratio === null ? '–' : `${ratio.toFixed(2)} ×`);

function pairParts({ old, new: later, guestCheck }: Pair): Part[] {
  const title = old === later ? old : `${old} and ${later}`;
  if (guestCheck.length === 0) return [];
  if (old === later && guestCheck.every(({ verdict }) => verdict === 'same'))
    return [`${old}: the guest's own check costs the same on all ${guestCheck.length} paths`];
  const rows = guestCheck.map(({ path, old: one, new: two, instructions, cycles, verdict }) => [
    ...[path, costCell(one), costCell(two), times(instructions), times(cycles)],
    COLOURS[verdict](verdict),
  ]);
  const head = ['path', 'old', 'new', 'instructions', 'cycles', 'verdict'];
  return [
    { heading: `\n${title}: the guest's own check, instructions (cycles)` },
    { head, rows, about: { 'old guest': old, 'new guest': later } },
  ];
}

function timesTable(changes: readonly Change[]): AnswerTable {
  return {
    head: ['time', 'old, ns', 'new, ns', 'ratio', 'margins', 'verdict'],
    rows: changes.map(({ name, old, new: later, ratio, margin, noisy, verdict }) => [
      ...[name, figure(old), figure(later), COLOURS[verdict](times(ratio))],
      margin === null ? '–' : `± ${(margin * 100).toFixed(0)} %`,
      COLOURS[verdict](noisy && verdict !== 'noisy' ? `${verdict}, noisy` : verdict),
    ]),
  };
}
