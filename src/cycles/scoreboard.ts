/**
 * How long a straight run of instructions takes on a core: a scoreboard of registers and functional units. The rules are
 * those of llvm-mca's out-of-order and in-order pipelines for one pass through the code, starting with everything idle:
 * enter (`width` micro-ops a cycle, in order), issue (operands and units there, not before the cycle after entry), execute
 * (latency), retire (in order, the cycle after). Caches always hit, branches are always foreseen.
 */

export interface Read {
  readonly register: number;
  /** Cycles after issue at which the value is needed. */
  readonly after: number;
}

export interface Write {
  readonly register: number;
  readonly latency: number;
  /** Cycles by which the value can be there sooner for a read that comes after issue. */
  readonly forwards: number;
}

export interface Operation {
  readonly latency: number;
  readonly microOps: number;
  /** Units to take, one of each group, and for how many cycles; scarce ones first. */
  readonly uses: readonly { readonly units: UnitGroup; readonly cycles: number }[];
  readonly reads: readonly Read[];
  readonly writes: readonly Write[];
  readonly load: boolean;
  readonly store: boolean;
  readonly barrier: boolean;
  readonly first: boolean;
  readonly last: boolean;
}

export interface Pipeline {
  readonly order: 'out' | 'in';
  readonly width: number;
  readonly units: number;
}

/** When each instruction entered, issued, finished and retired; for tests and for looking at a block. */
export interface Timing {
  readonly entered: number;
  readonly issued: number;
  readonly executed: number;
  readonly retired: number;
}

/** Units of one kind that can do the same work; made once per table, as its identity is what turns are kept by. */
export type UnitGroup = readonly number[];

/** When units are free, and which of a group is taken next: in turn, from the highest down, as llvm-mca does by default. */
class Units {
  readonly #freeAt: number[];
  readonly #turns = new Map<UnitGroup, number[]>();

  constructor(count: number) {
    this.#freeAt = new Array<number>(count).fill(0);
  }

  available(group: UnitGroup, cycle: number): boolean {
    for (const unit of group) if (this.#freeAt[unit]! <= cycle) return true;
    return false;
  }

  take(group: UnitGroup, cycle: number, cycles: number): void {
    let turn = this.#turns.get(group);
    let unit = turn === undefined ? undefined : this.#highest(turn, cycle);
    if (unit === undefined) {
      // None is free when another kind of work of the same instruction has just taken it: the first that will be.
      unit = this.#highest(group, cycle) ?? group.reduce((a, b) => (this.#freeAt[b]! < this.#freeAt[a]! ? b : a));
      turn = [...group];
      this.#turns.set(group, turn);
    }
    turn!.splice(turn!.indexOf(unit), 1);
    this.#freeAt[unit] = Math.max(this.#freeAt[unit]!, cycle) + cycles;
  }

  #highest(group: UnitGroup, cycle: number): number | undefined {
    for (let i = group.length - 1; i >= 0; i--) if (this.#freeAt[group[i]!]! <= cycle) return group[i];
    return undefined;
  }
}

/** Cycles for one pass through `operations`; fills `timings` if given. 0 for an empty block. */
export function simulate(operations: readonly Operation[], pipeline: Pipeline, timings?: Timing[]): number {
  if (operations.length === 0) return 0;
  return pipeline.order === 'out' ? outOfOrder(operations, pipeline, timings) : inOrder(operations, pipeline, timings);
}

function outOfOrder(operations: readonly Operation[], pipeline: Pipeline, timings?: Timing[]): number {
  const units = new Units(pipeline.units);
  const entered = enter(operations, pipeline.width);
  const issued = new Array<number>(operations.length).fill(-1);
  // Who writes what each operation reads: fixed in program order, before anything moves.
  const producers: { by: number; latency: number; sooner: number }[][] = [];
  const lastWriter = new Map<number, { by: number; latency: number; forwards: number }>();
  let lastStore = -1;
  let lastLoad = -1;
  let lastBarrier = -1;
  const order: number[][] = [];
  for (const [index, operation] of operations.entries()) {
    producers.push(
      operation.reads.flatMap(({ register, after }) => {
        const writer = lastWriter.get(register);
        return writer === undefined
          ? []
          : [{ by: writer.by, latency: writer.latency, sooner: Math.min(after, writer.forwards) }];
      }),
    );
    for (const { register, latency, forwards } of operation.writes)
      lastWriter.set(register, { by: index, latency, forwards });
    const waits: number[] = [];
    if (operation.store) {
      if (lastStore >= 0) waits.push(lastStore);
      if (lastLoad >= 0) waits.push(lastLoad);
      lastStore = index;
    }
    if (operation.load && lastBarrier >= 0) waits.push(lastBarrier);
    if (operation.load) lastLoad = index;
    if (operation.barrier && (operation.load || operation.store)) lastBarrier = index;
    order.push(waits);
  }

  const waiting: number[] = [];
  for (const [index, operation] of operations.entries()) {
    if (isFree(operation)) issued[index] = entered[index]!;
    else waiting.push(index);
  }
  let finish = 0;
  for (let cycle = 1; waiting.length > 0; cycle++) {
    for (let at = 0; at < waiting.length; ) {
      const index = waiting[at]!;
      if (entered[index]! >= cycle) break;
      const operation = operations[index]!;
      const ready =
        producers[index]!.every(
          ({ by, latency, sooner }) => issued[by]! >= 0 && issued[by]! + latency - sooner <= cycle,
        ) &&
        order[index]!.every((before) => issued[before]! >= 0) &&
        operation.uses.every(({ units: group }) => units.available(group, cycle));
      if (!ready) {
        at++;
        continue;
      }
      for (const { units: group, cycles } of operation.uses) units.take(group, cycle, cycles);
      issued[index] = cycle;
      waiting.splice(at, 1);
    }
  }
  let retired = 0;
  for (const [index, operation] of operations.entries()) {
    const executed = issued[index]! + operation.latency;
    retired = Math.max(retired, executed + 1);
    timings?.push({ entered: entered[index]!, issued: issued[index]!, executed, retired });
    finish = retired + 1;
  }
  return finish;
}

/** Handled where instructions enter: zeroing idioms, nothing to execute. */
const isFree = ({ latency, uses }: Operation): boolean => latency === 0 && uses.length === 0;

/** Cycle at which each operation enters. One with more micro-ops than fit starts a cycle and takes several. */
function enter(operations: readonly Operation[], width: number): number[] {
  let cycle = 0;
  let room = width;
  return operations.map((operation, index) => {
    const needed = Math.min(operation.microOps, width);
    if (room < needed || (operation.first && room < width) || operations[index - 1]?.last) {
      if (room < width) cycle++;
      room = width;
    }
    const at = cycle;
    if (operation.microOps > width) {
      const more = operation.microOps - width;
      cycle += Math.floor(more / width) + 1;
      room = width - (more % width);
    } else room -= operation.microOps;
    return at;
  });
}

function inOrder(operations: readonly Operation[], pipeline: Pipeline, timings?: Timing[]): number {
  const units = new Units(pipeline.units);
  const writtenAt = new Map<number, { at: number; forwards: number }>();
  let cycle = 0;
  let room = pipeline.width;
  let lastWriteBack = 0;
  let finish = 0;
  for (const operation of operations) {
    let at =
      room < Math.min(operation.microOps, pipeline.width) || (operation.first && room < pipeline.width)
        ? cycle + 1
        : cycle;
    for (const { register, after } of operation.reads) {
      const written = writtenAt.get(register);
      if (written !== undefined) at = Math.max(at, written.at - Math.min(after, written.forwards));
    }
    const firstWriteBack = operation.writes.reduce(
      (least, { latency }) => Math.min(least, latency),
      Number.POSITIVE_INFINITY,
    );
    if (firstWriteBack !== Number.POSITIVE_INFINITY) at = Math.max(at, lastWriteBack - firstWriteBack);
    while (!operation.uses.every(({ units: group }) => units.available(group, at))) at++;
    if (at > cycle) {
      cycle = at;
      room = pipeline.width;
    }
    for (const { units: group, cycles } of operation.uses) units.take(group, at, cycles);
    room -= operation.microOps;
    while (room < 0) {
      cycle++;
      room += pipeline.width;
    }
    for (const { register, latency, forwards } of operation.writes) {
      writtenAt.set(register, { at: at + latency, forwards });
      lastWriteBack = Math.max(lastWriteBack, at + latency);
    }
    const executed = at + operation.latency;
    finish = Math.max(finish, executed);
    timings?.push({ entered: at, issued: at, executed, retired: executed });
  }
  return finish + 1;
}
