/** What triage keeps of one report: enough to group it and to find it again. */

import type { Direction } from '../check/verdict.js';
import { cacheFacts } from '../diagnosis/cache-name.js';
import type { Outcome, Reproduction } from '../diagnosis/outcome.js';
import { summaryOf } from '../diagnosis/summary.js';

export interface TriageRow {
  readonly file: string;
  /** First line of the report in its log; null for a dump. */
  readonly line: number | null;
  readonly outcome: Outcome;
  readonly variant: string | null;
  readonly kernel: string | null;
  readonly message: string | null;
  readonly direction: Direction | null;
  readonly region: string | null;
  /** Without the memory cgroup's suffix. */
  readonly cache: string | null;
  /** Decimal, as printed. */
  readonly offset: string | null;
  readonly size: string | null;
  readonly caller: string | null;
  readonly causes: readonly string[];
  /** As syzbot titles it. */
  readonly title: string;
  /** A known cause, by its id. */
  readonly known: string | null;
}

export function rowOf(file: string, reproduction: Reproduction): TriageRow {
  const { outcome, variant, kernel, copy, report, check, explanation } = reproduction;
  const message = report?.message ?? null;
  const cache = message?.cache ?? explanation.object?.cache ?? null;
  const facts = cache === null ? null : cacheFacts(cache);
  const printed = check?.message ?? null;
  const { caller, title } = summaryOf(reproduction);
  return {
    file,
    line: report === null || check !== null ? null : report.lines.first,
    outcome,
    variant,
    kernel,
    message: message?.text ?? printed,
    direction: copy.direction,
    region: explanation.region,
    cache: cache === null || facts?.cgroup == null ? cache : cache.slice(0, -facts.cgroup.length),
    offset: message?.offset?.toString() ?? /\(offset (\d+)/.exec(printed ?? '')?.[1] ?? null,
    size: copy.size?.toString() ?? null,
    caller,
    causes: explanation.causes.map(({ cause }) => cause),
    title,
    known: explanation.known?.id ?? null,
  };
}

/** Reports of one cause: the same place in the same kind of object, copied by the same function. */
export interface TriageGroup {
  readonly region: string | null;
  readonly cache: string | null;
  readonly offset: string | null;
  readonly caller: string | null;
  readonly direction: Direction | null;
  readonly count: number;
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>;
  readonly kernels: readonly string[];
  readonly variants: readonly string[];
  readonly causes: readonly string[];
  readonly title: string;
  readonly known: readonly string[];
  /** The first few places. */
  readonly examples: readonly string[];
}

const MOST_EXAMPLES = 5;
const MOST_NAMES = 20;

/** Collects rows without keeping them. */
export class Grouping {
  readonly #groups = new Map<string, { -readonly [Key in keyof TriageGroup]: TriageGroup[Key] }>();

  add(row: TriageRow): void {
    const { region, cache, offset, caller, direction } = row;
    const key = JSON.stringify([region, cache, offset, caller, direction]);
    const group = this.#groups.get(key) ?? {
      region,
      cache,
      offset,
      caller,
      direction,
      count: 0,
      outcomes: {},
      kernels: [],
      variants: [],
      causes: [],
      title: row.title ?? '',
      known: [],
      examples: [],
    };
    group.count++;
    group.outcomes = { ...group.outcomes, [row.outcome]: (group.outcomes[row.outcome] ?? 0) + 1 };
    group.kernels = withName(group.kernels, row.kernel);
    group.variants = withName(group.variants, row.variant);
    // A state file of an older run has neither.
    group.known = withName(group.known, row.known ?? null);
    for (const cause of row.causes) group.causes = withName(group.causes, cause);
    if (group.examples.length < MOST_EXAMPLES) {
      group.examples = [...group.examples, row.line === null ? row.file : `${row.file}:${row.line}`];
    }
    this.#groups.set(key, group);
  }

  /** The largest first. */
  groups(): TriageGroup[] {
    return [...this.#groups.values()].sort((left, right) => right.count - left.count);
  }
}

const withName = (names: readonly string[], name: string | null): readonly string[] =>
  name === null || names.includes(name) || names.length >= MOST_NAMES ? names : [...names, name];
