/** A cycle table from what llvm-mca says of the instructions in the tuning half of a kernel's blocks. */
import type { CycleTraits } from '../../arch/cycles.js';
import type { Analysed } from '../../src/cycles/price.js';
import type { Cost, CycleTable } from '../../src/cycles/table.js';
import { present } from '../present.js';
import { type Block, isForTuning } from './corpus.js';
import { asDocumented, type Documented } from './documented.js';
import { disassemble, groupingOf, type Information, informationOf, judge, llvmVersion } from './llvm.js';

/** Samples of one class that llvm-mca is asked about. */
const SAMPLES = 6;
const EPSILON = 1e-3;

interface Sample {
  readonly key: string;
  readonly mnemonic: string;
  readonly bytes: Uint8Array;
  readonly instruction: Analysed;
  readonly count: number;
}

/** Instructions by which a core's forwarding paths are found: pairs of them with each class tell when results arrive. */
export interface Forwarding {
  /** Registers that take part, as the table's storage names. */
  readonly registers: RegExp;
  readonly produce: (register: string) => string;
  /** Cycles from `produce` to an instruction that has no forwarding path. */
  readonly latency: number;
  readonly consume: (register: string) => string;
}

/** What is known of the core beyond the costs of its instructions. */
export type CoreFacts = Pick<CycleTable, 'core' | 'order' | 'width'> &
  Partial<Pick<CycleTable, 'buffer' | 'loadLatency' | 'updateLatency' | 'storesInTurn'>> & {
    readonly note?: string;
    readonly forwarding?: Forwarding;
    readonly documented?: Documented;
  };

/** Code that the table is made from: several variants can share a core. */
export interface CodeSource {
  readonly blocks: readonly Block[];
  readonly traits: CycleTraits;
}

/** @param extra Costs of classes that llvm-mca cannot tell; they win. */
export function makeTable(
  sources: readonly CodeSource[],
  facts: CoreFacts,
  extra: Readonly<Record<string, Cost>> = {},
): CycleTable {
  const asked: (Sample & { readonly text: string })[] = [];
  const information: (Information | null)[] = [];
  const grouping: { first: boolean; last: boolean }[] = [];
  const paths: Pick<Cost, 'early' | 'forwards'>[] = [];
  let units: readonly string[] = [];
  for (const { blocks, traits } of sources) {
    const samples = samplesOf(blocks.filter(isForTuning));
    const texts = disassemble(
      samples.map(({ bytes }) => bytes),
      present(traits.llvm),
    );
    // What LLVM cannot read has no text.
    const known = samples.flatMap((sample, index) => {
      const text = texts[index] ?? null;
      return text === null ? [] : [{ ...sample, text }];
    });
    const lines = known.map(({ text }) => text);
    const told = informationOf(lines, present(traits.llvm));
    asked.push(...known);
    information.push(...told.information);
    if (facts.forwarding) paths.push(...pathsOf(known, told.information, facts.forwarding, present(traits.llvm)));
    // A resource's copies are numbered by a byte, not by a digit.
    units = told.units.map((name) =>
      name.at(-2) === '.' ? `${name.slice(0, -1)}${name.charCodeAt(name.length - 1)}` : name,
    );
    if (facts.order === 'out')
      grouping.push(
        ...groupingOf(
          lines,
          told.information.map((info) => info?.microOps ?? 1),
          facts.width,
          present(traits.llvm),
        ),
      );
  }
  const groups = new Map<string, readonly number[]>();
  for (const info of information) if (info) noteGroup(info.pressure, groups, units);

  const costs: Cost[] = [];
  const indexOf = new Map<string, number>();
  const votes = new Map<string, Map<number, number>>();
  const general = new Map<string, Map<number, number>>();
  for (const [index, info] of information.entries()) {
    if (info === null) continue;
    const { key, mnemonic, count } = present(asked[index]);
    const cost = { ...costOf(info, groups, grouping[index]), ...paths[index] };
    const text = JSON.stringify(cost);
    let number = indexOf.get(text);
    if (number === undefined) {
      number = costs.length;
      indexOf.set(text, number);
      costs.push(cost);
    }
    vote(votes, key, number, count);
    vote(general, mnemonic, number, count);
  }
  const classes: Record<string, number> = {};
  for (const mnemonic of [...general.keys()].sort()) classes[mnemonic] = winner(present(general.get(mnemonic)));
  for (const key of [...votes.keys()].sort()) {
    const number = winner(present(votes.get(key)));
    if (classes[present(key.split(' ')[0])] !== number) classes[key] = number;
  }
  const everything = new Map<number, number>();
  for (const counts of general.values())
    for (const [number, count] of counts) everything.set(number, (everything.get(number) ?? 0) + count);
  classes['?'] = winner(everything);
  for (const [key, cost] of Object.entries(extra)) {
    classes[key] = costs.push(cost) - 1;
    for (const name of Object.keys(cost.uses)) groups.set(name, [units.indexOf(name)]);
  }
  const { note, forwarding: _, documented = {}, ...core } = facts;
  const { triple, cpu } = present(present(sources[0]).traits.llvm);
  const source = `LLVM ${llvmVersion()}: llvm-mca -mtriple=${triple} -mcpu=${cpu} -instruction-tables${note === undefined ? '' : `; ${note}`}`;
  const told = renumber({ ...core, source, units, groups: Object.fromEntries(groups), costs, classes });
  return renumber(asDocumented(told, documented));
}

/** Drops costs, groups and units that no class uses, and writes equal costs once. */
function renumber(table: CycleTable): CycleTable {
  const costs: Cost[] = [];
  const numbers = new Map<string, number>();
  const classes = Object.entries(table.classes).map(([key, old]) => {
    const text = JSON.stringify(table.costs[old]);
    let number = numbers.get(text);
    if (number === undefined) {
      number = costs.push(present(table.costs[old])) - 1;
      numbers.set(text, number);
    }
    return [key, number] as const;
  });
  const groups = new Set(costs.flatMap(({ uses }) => Object.keys(uses)));
  const kept = Object.entries(table.groups).filter(([name]) => groups.has(name));
  const units = [...new Set(kept.flatMap(([, members]) => members))].sort((a, b) => a - b);
  return {
    ...table,
    units: units.map((unit) => present(table.units[unit])),
    groups: Object.fromEntries(kept.map(([name, members]) => [name, members.map((unit) => units.indexOf(unit))])),
    costs,
    classes: Object.fromEntries(classes),
  };
}

function vote(votes: Map<string, Map<number, number>>, key: string, number: number, count: number): void {
  const counts = votes.get(key) ?? new Map<number, number>();
  votes.set(key, counts.set(number, (counts.get(number) ?? 0) + count));
}

const winner = (counts: ReadonlyMap<number, number>): number =>
  present([...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0])[0];

/** The most frequent encodings of each class, with how often they occur. */
function samplesOf(blocks: readonly Block[]): Sample[] {
  const classes = new Map<string, Map<string, { bytes: Uint8Array; instruction: Analysed; count: number }>>();
  for (const { bytes, instructions } of blocks) {
    const base = present(instructions[0]).offset;
    for (const instruction of instructions) {
      const { keys, offset, size } = instruction;
      const code = bytes.subarray(offset - base, offset - base + size);
      const text = Buffer.from(code).toString('latin1');
      const encodings =
        classes.get(keys[0]) ?? new Map<string, { bytes: Uint8Array; instruction: Analysed; count: number }>();
      classes.set(keys[0], encodings);
      const known = encodings.get(text);
      if (known) known.count++;
      else encodings.set(text, { bytes: code, instruction, count: 1 });
    }
  }
  return [...classes].flatMap(([key, encodings]) =>
    [...encodings.values()]
      .sort((a, b) => b.count - a.count)
      .slice(0, SAMPLES)
      .map((encoding) => ({ key, mnemonic: present(key.split(' ')[0]), ...encoding })),
  );
}

/**
 * A group shows itself by equal shares on its units that add up to whole cycles. LLVM numbers the copies of one resource
 * (`ALU.0`, `ALU.1`): they are a group of their own where their shares are whole, else part of a larger one.
 */
function noteGroup(
  pressure: ReadonlyMap<number, number>,
  groups: Map<string, readonly number[]>,
  units: readonly string[],
): void {
  const isWhole = (cycles: number) => Math.abs(cycles - Math.round(cycles)) < EPSILON;
  const note = (members: readonly number[]) => {
    if (members.length > 0 && isWhole(present(pressure.get(present(members[0]))) * members.length))
      groups.set(nameOf(members, units), members);
  };
  const shares = new Map<number, number[]>();
  for (const [unit, cycles] of [...pressure].sort((a, b) => a[0] - b[0])) {
    if (cycles <= EPSILON) continue;
    const share = Math.round(cycles / EPSILON);
    if (isWhole(cycles)) note([unit]);
    else shares.set(share, [...(shares.get(share) ?? []), unit]);
  }
  for (const members of shares.values()) {
    const share = present(pressure.get(present(members[0])));
    const resources = new Map<string, number[]>();
    for (const unit of members) {
      const resource = /^(.*)\.\d+$/.exec(present(units[unit]))?.[1] ?? '';
      resources.set(resource, [...(resources.get(resource) ?? []), unit]);
    }
    const apart = [...resources.values()].filter((copies) => isWhole(share * copies.length));
    for (const copies of apart) note(copies);
    note(members.filter((unit) => !apart.some((copies) => copies.includes(unit))));
  }
}

const nameOf = (members: readonly number[], units: readonly string[]): string =>
  members.map((unit) => units[unit]).join('|');

/** Pressure per unit → cycles per group: the fewest groups whose shares add up to it. */
function costOf(
  info: Information,
  groups: Map<string, readonly number[]>,
  grouping?: { first: boolean; last: boolean },
): Cost {
  const uses = decompose(info.pressure, groups);
  const flags = `${info.loads ? 'l' : ''}${info.stores ? 's' : ''}${info.sideEffects ? 'b' : ''}${grouping?.first ? 'f' : ''}${grouping?.last ? 'e' : ''}`;
  return {
    latency: info.latency,
    throughput: Math.round(info.throughput * 100) / 100,
    microOps: info.microOps,
    uses,
    ...(flags === '' ? {} : { flags }),
  };
}

function decompose(
  pressure: ReadonlyMap<number, number>,
  groups: ReadonlyMap<string, readonly number[]>,
): Record<string, number> {
  const candidates = [...groups].filter(([, members]) => members.every((unit) => (pressure.get(unit) ?? 0) > EPSILON));
  candidates.sort((a, b) => b[1].length - a[1].length);
  /** By unit: the last candidate that it is in. */
  const last = new Map<number, number>();
  for (const [index, [, members]] of candidates.entries()) for (const unit of members) last.set(unit, index);
  const search = (left: Map<number, number>, from: number, most: number): Record<string, number> | null => {
    const open = [...left].filter(([, cycles]) => Math.abs(cycles) >= 0.02).map(([unit]) => unit);
    if (open.length === 0) return {};
    const largest = candidates.slice(from, from + most).reduce((sum, [, members]) => sum + members.length, 0);
    if (open.length > largest || open.some((unit) => (last.get(unit) ?? -1) < from)) return null;
    for (let index = from; index < candidates.length; index++) {
      const [name, members] = present(candidates[index]);
      const room = Math.min(...members.map((unit) => left.get(unit) ?? 0)) * members.length;
      for (let cycles = Math.floor(room + 0.02); cycles >= 1; cycles--) {
        const rest = new Map(left);
        for (const unit of members) rest.set(unit, present(rest.get(unit)) - cycles / members.length);
        const found = search(rest, index + 1, most - 1);
        if (found !== null) return { [name]: cycles, ...found };
      }
    }
    return null;
  };
  for (let most = 1; most <= 7; most++) {
    const found = search(new Map(pressure), 0, most);
    if (found !== null) return found;
  }
  return {};
}

/** How much sooner than latencies say each instruction can take a forwarded operand, and give its own result. */
function pathsOf(
  samples: readonly (Sample & { readonly text: string })[],
  information: readonly (Information | null)[],
  { registers, produce, latency, consume }: Forwarding,
  llvm: NonNullable<CycleTraits['llvm']>,
): Pick<Cost, 'early' | 'forwards'>[] {
  const operands = samples.map(({ instruction: { reads, writes, data, hasMemory } }) => ({
    read: (hasMemory ? data : reads).find((name) => registers.test(name)),
    written: writes.find((name) => registers.test(name)),
  }));
  const pairs = operands.flatMap(({ read, written }, index) => {
    const { text } = present(samples[index]);
    return [read === undefined ? [] : [produce(read), text], written === undefined ? [] : [text, consume(written)]];
  });
  const apart = judge(pairs, llvm, true).map((judgement) => {
    const [first, second] = judgement?.timeline ?? [];
    return first === undefined || second === undefined ? null : second.issued - first.issued;
  });
  return samples.map((_, index) => {
    const own = information[index]?.latency ?? 0;
    const early = latency - (apart[2 * index] ?? latency);
    const forwards = own - (apart[2 * index + 1] ?? own);
    return { ...(early > 0 ? { early } : {}), ...(forwards > 0 ? { forwards } : {}) };
  });
}
