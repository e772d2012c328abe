/** What a core's documents say otherwise than the model that LLVM has of it, or of the core that stands in for it. */
import type { Cost, CycleTable, Division, Fetch } from '../../src/cycles/table.js';
import { present } from '../present.js';

export interface Documented {
  /** Units that the core has more of than LLVM's model: how many, by what their names begin with. */
  readonly moreUnits?: Readonly<Record<string, number>>;
  /** Loads that compute nothing, from an address without an index, take so many cycles; `units`: what their names begin with that such a load takes, and nothing else does. */
  readonly plainLoad?: { readonly latency: number; readonly units: readonly string[] };
  /** Classes that load what the path has stored at the same place, and cycles in which they get it from the store. */
  readonly forwarded?: { readonly classes: readonly string[]; readonly latency: number };
  /** What the names of the units begin with that a store which loads nothing takes for one cycle each, where LLVM has more. */
  readonly storeUnits?: readonly string[];
  readonly fetch?: Fetch;
  readonly division?: Division;
}

export function asDocumented(
  table: CycleTable,
  { moreUnits = {}, plainLoad, forwarded, storeUnits = [], fetch, division }: Documented,
): CycleTable {
  const wider = Object.entries(moreUnits).reduce(
    (one, [start, count]) => widened(one, (unit) => unit.startsWith(start), start, count),
    table,
  );
  const loading = plainLoad === undefined ? wider : withPlainLoads(wider, plainLoad);
  const told = {
    ...loading,
    costs: loading.costs.map((cost) => withBriefStore(cost, loading, storeUnits)),
    ...(fetch && { fetch }),
    ...(division && { division }),
  };
  return forwarded === undefined ? told : forwarded.classes.reduce(withLatency(forwarded.latency), told);
}

const withLatency =
  (latency: number) =>
  (table: CycleTable, key: string): CycleTable => {
    const cost = { ...present(table.costs[present(table.classes[key])]), latency };
    return {
      ...table,
      costs: [...table.costs, cost],
      classes: { ...table.classes, [key]: table.costs.length },
    };
  };

function withBriefStore(cost: Cost, { groups, units }: CycleTable, starts: readonly string[]): Cost {
  const { flags = '', uses } = cost;
  if (!flags.includes('s') || flags.includes('l')) return cost;
  const isOne = (group: string) =>
    present(groups[group]).every((unit) => starts.some((start) => present(units[unit]).startsWith(start)));
  const brief = Object.entries(uses).map(([group, cycles]) => [group, isOne(group) ? 1 : cycles]);
  return { ...cost, uses: Object.fromEntries(brief) };
}

/** Groups of all units of a kind get the new ones; a group of some of them is what only those can do. */
function widened(table: CycleTable, isOne: (unit: string) => boolean, kind: string, count: number): CycleTable {
  const known = table.units.flatMap((unit, index) => (isOne(unit) ? [index] : []));
  const more = Array.from({ length: count }, (_, index) => table.units.length + index);
  const groups = Object.entries(table.groups).map(([name, members]) => {
    const isWhole = members.length === known.length && known.every((unit) => members.includes(unit));
    return [name, isWhole ? [...members, ...more] : members];
  });
  return {
    ...table,
    units: [...table.units, ...more.map((_, index) => `${kind}, one more (${index + 1})`)],
    groups: Object.fromEntries(groups),
  };
}

/** As operands of a class are written: an address with an index, or anything that is no integer. */
const INDEXED_OR_WIDE = /x(?:byte|d?word|qword)\b|[xyz]mm/;

function withPlainLoads(
  table: CycleTable,
  { latency, units }: { readonly latency: number; readonly units: readonly string[] },
): CycleTable {
  const isLoadUnit = (index: number) => units.some((start) => present(table.units[index]).startsWith(start));
  const isPlain = ({ flags = '', uses }: Cost) =>
    flags.includes('l') &&
    !flags.includes('s') &&
    Object.keys(uses).every((group) => present(table.groups[group]).every(isLoadUnit));
  const costs = [...table.costs];
  const sooner = new Map<number, number>();
  const classes = Object.entries(table.classes).map(([key, number]) => {
    const cost = present(table.costs[number]);
    if (!isPlain(cost) || cost.latency <= latency || INDEXED_OR_WIDE.test(key)) return [key, number] as const;
    const known = sooner.get(number) ?? costs.push({ ...cost, latency }) - 1;
    sooner.set(number, known);
    return [key, known] as const;
  });
  return { ...table, costs, classes: Object.fromEntries(classes) };
}
