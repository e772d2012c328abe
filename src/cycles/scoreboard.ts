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
    for (const unit of group) if (this.#freeFrom(unit) <= cycle) return true;
    return false;
  }

  take(group: UnitGroup, cycle: number, cycles: number): void {
    let turn = this.#turns.get(group);
    let unit = turn === undefined ? undefined : this.#highest(turn, cycle);
    if (turn === undefined || unit === undefined) {
      // None is free when another kind of work of the same instruction has just taken it: the first that will be.
      unit = this.#highest(group, cycle) ?? group.reduce((a, b) => (this.#freeFrom(b) < this.#freeFrom(a) ? b : a));
      turn = [...group];
      this.#turns.set(group, turn);
    }
    turn.splice(turn.indexOf(unit), 1);
    this.#freeAt[unit] = Math.max(this.#freeFrom(unit), cycle) + cycles;
  }

  #freeFrom(unit: number): number {
    return this.#freeAt[unit] ?? 0;
  }

  #highest(group: UnitGroup, cycle: number): number | undefined {
    return group.findLast((unit) => this.#freeFrom(unit) <= cycle);
  }
}

/** Cycles for one pass through `operations`; fills `timings` if given. 0 for an empty block. */
export function simulate(operations: readonly Operation[], pipeline: Pipeline, timings?: Timing[]): number {
  if (operations.length === 0) return 0;
  return pipeline.order === 'out' ? outOfOrder(operations, pipeline, timings) : inOrder(operations, pipeline, timings);
}

function outOfOrder(operations: readonly Operation[], pipeline: Pipeline, timings?: Timing[]): number {
  const units = new Units(pipeline.units);
  const all = enteredOperations(operations, pipeline);
  const waiting = all.filter(({ issued }) => issued < 0);
  for (let cycle = 1; waiting.length > 0; cycle++) {
    let at = 0;
    for (let next = waiting[at]; next !== undefined && next.entered < cycle; next = waiting[at]) {
      const { operation, producers, waits } = next;
      const ready =
        producers.every(({ by, latency, sooner }) => by.issued >= 0 && by.issued + latency - sooner <= cycle) &&
        waits.every(({ issued }) => issued >= 0) &&
        operation.uses.every(({ units: group }) => units.available(group, cycle));
      if (!ready) {
        at++;
        continue;
      }
      for (const { units: group, cycles } of operation.uses) units.take(group, cycle, cycles);
      next.issued = cycle;
      waiting.splice(at, 1);
    }
  }
  let retired = 0;
  for (const { operation, entered, issued } of all) {
    const executed = issued + operation.latency;
    retired = Math.max(retired, executed + 1);
    timings?.push({ entered, issued, executed, retired });
  }
  return retired + 1;
}

interface Entered {
  readonly operation: Operation;
  /** Cycles; `issued` is -1 until it is. */
  readonly entered: number;
  issued: number;
  /** Who writes what it reads, and how long that takes. */
  readonly producers: readonly { readonly by: Entered; readonly latency: number; readonly sooner: number }[];
  /** Whose memory accesses go first. */
  readonly waits: readonly Entered[];
}

/** Operations in program order, by which it is fixed what each waits for before anything moves. */
function enteredOperations(operations: readonly Operation[], pipeline: Pipeline): Entered[] {
  const cycles = enter(operations, pipeline.width);
  const lastWriter = new Map<number, { readonly by: Entered; readonly latency: number; readonly forwards: number }>();
  let lastStore: Entered | null = null;
  let lastLoad: Entered | null = null;
  let lastBarrier: Entered | null = null;
  const all: Entered[] = [];
  for (const [index, operation] of operations.entries()) {
    const entered = cycles[index] ?? 0;
    const producers = operation.reads.flatMap(({ register, after }) => {
      const writer = lastWriter.get(register);
      return writer === undefined
        ? []
        : [{ by: writer.by, latency: writer.latency, sooner: Math.min(after, writer.forwards) }];
    });
    const waits: Entered[] = [];
    if (operation.store && lastStore) waits.push(lastStore);
    if (operation.store && lastLoad) waits.push(lastLoad);
    if (operation.load && lastBarrier) waits.push(lastBarrier);
    const own: Entered = { operation, entered, issued: isFree(operation) ? entered : -1, producers, waits };
    for (const { register, latency, forwards } of operation.writes)
      lastWriter.set(register, { by: own, latency, forwards });
    if (operation.store) lastStore = own;
    if (operation.load) lastLoad = own;
    if (operation.barrier && (operation.load || operation.store)) lastBarrier = own;
    all.push(own);
  }
  return all;
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
