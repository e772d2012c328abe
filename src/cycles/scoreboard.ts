/**
 * How long a path of instructions takes on a core: a scoreboard of registers and functional units that is fed one
 * instruction after the other, and that can be put away and taken up again between any two. The rules are those of
 * llvm-mca's out-of-order and in-order pipelines for one pass through the code, starting with everything idle: enter
 * (`width` micro-ops a cycle, in order), issue (operands and units there, not before the cycle after entry; of those that
 * could, the oldest), execute (latency), retire (in order, the cycle after). Caches always hit, branches are always
 * foreseen. What llvm-mca has none of is the fetch in front of that, for out-of-order cores whose table describes it; the queue
 * between fetch and entry is never full.
 */
import type { Quotient } from '../../arch/cycles.js';
import type { Fetch } from './table.js';

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
  /** An address that a load or store has moved on, and no data of it. */
  readonly isAddress?: boolean;
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
  readonly first: boolean;
  readonly last: boolean;
  /** Nothing to execute, and what it writes is what it reads: a move that renaming does away with. */
  readonly isEliminatedMove?: boolean;
  /** A call, a return or a jump through a register. */
  readonly turnsLate?: boolean;
  /** Of a division whose quotient can be known. */
  readonly quotient?: Quotient | null;
}

export interface Pipeline {
  readonly order: 'out' | 'in';
  readonly width: number;
  readonly units: number;
  /** Micro-ops that are in flight at once; in-order cores have no such limit. */
  readonly buffer: number;
  /** A store enters only when the one before it has issued. */
  readonly storesInTurn: boolean;
  /** Null where what enters is always there. */
  readonly fetch: Fetch | null;
}

/** When each instruction entered, issued, finished and retired; for tests and for looking at a block. */
export interface Timing {
  readonly entered: number;
  readonly issued: number;
  readonly executed: number;
  readonly retired: number;
}

/** Units of one kind that can do the same work: their indices. */
export type UnitGroup = readonly number[];

/** A core in the middle of a path. Cycles count from the path's start. */
export interface Scoreboard {
  /** The next instruction of the path. */
  add(operation: Operation): Timing;
  /** Cycles of the path so far, up to the retirement of its last instruction, less what filling and draining takes. */
  readonly cycles: number;
  /** The path does not go on behind its last instruction, as was foreseen; `isLate` after what `turnsLate`. */
  turn(isLate: boolean): void;
  /** Nothing enters for so many cycles, and the path takes as many more. */
  stall(cycles: number): void;
  /** The last instruction was a branch that was foreseen wrongly: nothing enters before it has ended and so many cycles have passed. */
  refetch(cycles: number): void;
  /** What later instructions can see of the path, and nothing else: the same for all paths that leave a core alike. */
  save(): string;
  /** Takes up what `save()` gave; cycles count from there on. */
  restore(state: string): void;
}

/** The state of a core on which nothing has run. */
export const IDLE = '';

export const scoreboardOf = (pipeline: Pipeline): Scoreboard =>
  pipeline.order === 'out' ? new OutOfOrder(pipeline) : new InOrder(pipeline);

/**
 * Cycles of a pass that pass before the first instruction works and after the last one has: all but one of a no-op's. Out
 * of order it enters, issues a cycle later, executes for one, and retires in the next.
 */
export const fillOf = ({ order }: Pick<Pipeline, 'order'>): number => (order === 'out' ? 3 : 1);

/** Cycles for one pass through `operations` on an idle core, filling and draining it included; fills `timings` if given. 0 for none. */
export function simulate(operations: readonly Operation[], pipeline: Pipeline, timings?: Timing[]): number {
  if (operations.length === 0) return 0;
  const board = scoreboardOf(pipeline);
  for (const operation of operations) {
    const timing = board.add(operation);
    timings?.push(timing);
  }
  return board.cycles + fillOf(pipeline);
}

/** Units by word and bit, so that a group is two numbers. */
const WORD = 32;

interface Mask {
  readonly low: number;
  readonly high: number;
}

function maskOf(group: UnitGroup): Mask {
  let low = 0;
  let high = 0;
  for (const unit of group) {
    if (unit < WORD) low |= 1 << unit;
    else high |= 1 << (unit - WORD);
  }
  return { low, high };
}

/** Cycles ahead for which it is known which units are taken: more than a full buffer of slow instructions needs. */
const HORIZON = 1 << 13;

/** Which units are taken at which cycle. */
class Calendar {
  readonly #low = new Int32Array(HORIZON);
  readonly #high = new Int32Array(HORIZON);
  readonly #cycle = new Float64Array(HORIZON).fill(-1);
  readonly #masks = new Map<UnitGroup, Mask>();

  clear(): void {
    this.#cycle.fill(-1);
  }

  /**
   * Whether one unit of the group is free at a cycle. What comes later is not asked: a core gives a unit to the instruction that
   * is ready, though an older one will want it soon.
   */
  available(group: UnitGroup, cycle: number): boolean {
    const { low, high } = this.#free(group, cycle);
    return (low | high) !== 0;
  }

  /** Takes one, from the first cycle on at which it is free, and says the last one: other work of the same instruction may be first. */
  take(group: UnitGroup, cycle: number, cycles: number): number {
    let from = cycle;
    while (!this.available(group, from)) from++;
    const { low, high } = this.#free(group, from);
    const unit = high !== 0 ? { low: 0, high: highest(high) } : { low: highest(low), high: 0 };
    for (let at = from; at < from + cycles; at++) this.mark(at, unit.low, unit.high);
    return from + cycles - 1;
  }

  mark(cycle: number, low: number, high: number): void {
    const slot = cycle & (HORIZON - 1);
    if (this.#cycle[slot] !== cycle) {
      this.#cycle[slot] = cycle;
      this.#low[slot] = 0;
      this.#high[slot] = 0;
    }
    this.#low[slot] = (this.#low[slot] ?? 0) | low;
    this.#high[slot] = (this.#high[slot] ?? 0) | high;
  }

  /** Taken units after `cycle`, up to the last cycle at which one is. */
  *after(cycle: number, last: number): Generator<readonly [ahead: number, low: number, high: number]> {
    for (let at = cycle + 1; at <= last; at++) {
      const slot = at & (HORIZON - 1);
      if (this.#cycle[slot] === at) yield [at - cycle, this.#low[slot] ?? 0, this.#high[slot] ?? 0];
    }
  }

  #free(group: UnitGroup, cycle: number): Mask {
    let mask = this.#masks.get(group);
    if (mask === undefined) {
      mask = maskOf(group);
      this.#masks.set(group, mask);
    }
    const slot = cycle & (HORIZON - 1);
    if (this.#cycle[slot] !== cycle) return mask;
    return { low: mask.low & ~(this.#low[slot] ?? 0), high: mask.high & ~(this.#high[slot] ?? 0) };
  }
}

const highest = (mask: number): number => (mask === 0 ? 0 : 1 << (31 - Math.clz32(mask)));

interface Written {
  /** Cycle at which the value is there. */
  readonly at: number;
  readonly forwards: number;
}

/** Handled where instructions enter: zeroing idioms, eliminated moves, nothing to execute. */
export const isFree = ({ latency, uses }: Pick<Operation, 'latency' | 'uses'>): boolean =>
  latency === 0 && uses.length === 0;

/**
 * Instructions are placed in program order, each at the first cycle that the older ones leave to it. That is what a core
 * does that prefers the oldest: a younger one takes only what no older one wants at that cycle. Where it keeps a unit for longer
 * than that, an older one that wants it soon is not held up; a core would hold it up.
 */
class OutOfOrder implements Scoreboard {
  readonly #pipeline: Pipeline;
  readonly #calendar = new Calendar();
  readonly #written = new Map<number, Written>();
  /** Cycle and micro-ops of what has entered and not retired, oldest first. */
  readonly #inFlight: [retires: number, microOps: number][] = [];
  #microOps = 0;
  #cycle = 0;
  #room = 0;
  #groupEnded = false;
  #lastStore = 0;
  #lastLoad = 0;
  #lastTaken = 0;
  #lastExecuted = 0;
  #retired = 0;
  /** Cycle in which the latest instruction was fetched, and what can still come in it. */
  #fetched = 0;
  #fetchRoom = 0;
  /** What had retired when the path was taken up. */
  #start = 0;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
    this.restore(IDLE);
  }

  get cycles(): number {
    return this.#retired - this.#start;
  }

  add(operation: Operation): Timing {
    const entered = this.#enter(operation);
    let issued = entered;
    if (!isFree(operation)) {
      issued = entered + 1;
      for (const { register, after } of operation.reads) {
        const written = this.#written.get(register);
        if (written !== undefined) issued = Math.max(issued, written.at - Math.min(after, written.forwards));
      }
      if (operation.store) issued = Math.max(issued, this.#lastStore, this.#lastLoad);
      while (!operation.uses.every(({ units }) => this.#calendar.available(units, issued))) issued++;
      for (const { units, cycles } of operation.uses) {
        this.#lastTaken = Math.max(this.#lastTaken, this.#calendar.take(units, issued, cycles));
      }
    }
    const moved = operation.isEliminatedMove ? this.#lastRead(operation) : null;
    for (const { register, latency, forwards } of operation.writes)
      this.#written.set(register, moved ?? { at: issued + latency, forwards });
    if (operation.store) this.#lastStore = issued;
    if (operation.load) this.#lastLoad = issued;
    const executed = issued + operation.latency;
    this.#lastExecuted = executed;
    this.#retired = Math.max(this.#retired, executed + 1);
    this.#fly(this.#retired, operation.microOps);
    return { entered, issued, executed, retired: this.#retired };
  }

  /** The value that it reads and that is there last; null where all of them have long been. */
  #lastRead({ reads }: Operation): Written | null {
    let last: Written | null = null;
    for (const { register } of reads) {
      const written = this.#written.get(register);
      if (written !== undefined && (last === null || written.at > last.at)) last = written;
    }
    return last;
  }

  /** Cycle at which it enters. One with more micro-ops than fit starts a cycle and takes several. */
  #enter({ microOps, first, last, store }: Operation): number {
    const { width, buffer } = this.#pipeline;
    const needed = Math.min(microOps, width);
    this.#fetch(microOps);
    if (this.#room < needed || (first && this.#room < width) || this.#groupEnded) {
      if (this.#room < width) this.#cycle++;
      this.#room = width;
    }
    this.#groupEnded = last;
    this.#leave();
    let [oldest] = this.#inFlight;
    while (oldest !== undefined && this.#microOps + Math.min(microOps, buffer) > buffer) {
      this.#cycle = oldest[0];
      this.#room = width;
      this.#leave();
      [oldest] = this.#inFlight;
    }
    if (store && this.#pipeline.storesInTurn && this.#lastStore > this.#cycle) {
      this.#cycle = this.#lastStore;
      this.#room = width;
      this.#leave();
    }
    const entered = this.#cycle;
    if (microOps > width) {
      const more = microOps - width;
      this.#cycle += Math.floor(more / width) + 1;
      this.#room = width - (more % width);
    } else this.#room -= microOps;
    return entered;
  }

  /** What has not been fetched cannot enter. */
  #fetch(microOps: number): void {
    const { fetch, width } = this.#pipeline;
    if (fetch === null) return;
    const needed = Math.min(microOps, fetch.width);
    if (this.#fetchRoom < needed) {
      this.#fetched++;
      this.#fetchRoom = fetch.width;
    }
    this.#fetchRoom -= needed;
    if (this.#fetched <= this.#cycle) return;
    this.#cycle = this.#fetched;
    this.#room = width;
    this.#groupEnded = false;
  }

  turn(isLate: boolean): void {
    const { fetch } = this.#pipeline;
    if (fetch === null) return;
    this.#fetchRoom = 0;
    if (isLate) this.#fetched += fetch.bubbles;
  }

  /** Fetch begins anew in the current cycle. */
  #startFetch(): void {
    this.#fetched = this.#cycle;
    this.#fetchRoom = this.#pipeline.fetch?.width ?? 0;
  }

  #fly(retires: number, microOps: number): void {
    const youngest = this.#inFlight.at(-1);
    if (youngest?.[0] === retires) youngest[1] += microOps;
    else this.#inFlight.push([retires, microOps]);
    this.#microOps += microOps;
  }

  /** What has retired is in flight no longer. */
  #leave(): void {
    let gone = 0;
    for (const [retires, microOps] of this.#inFlight) {
      if (retires > this.#cycle) break;
      this.#microOps -= microOps;
      gone++;
    }
    if (gone > 0) this.#inFlight.splice(0, gone);
  }

  stall(cycles: number): void {
    this.#retired = Math.max(this.#retired, this.#cycle) + cycles;
    this.#cycle = this.#retired;
    this.#room = this.#pipeline.width;
    this.#startFetch();
  }

  refetch(cycles: number): void {
    this.#cycle = Math.max(this.#cycle, this.#lastExecuted + cycles);
    this.#room = this.#pipeline.width;
    this.#groupEnded = false;
    this.#startFetch();
  }

  save(): string {
    this.#leave();
    const now = this.#cycle;
    // Nothing issues before the next cycle in any case.
    const ahead = (cycle: number) => (cycle <= now + 1 ? 0 : cycle - now);
    const taken = [...this.#calendar.after(now, this.#lastTaken)];
    const flight = this.#inFlight.map(([at, microOps]) => `${at - now}x${microOps}`);
    const order = [this.#lastStore, this.#lastLoad].map(ahead);
    const fetch = this.#pipeline.fetch === null ? [0, 0] : [this.#fetched - now, this.#fetchRoom];
    return [
      `${this.#room},${Number(this.#groupEnded)},${this.#retired - now},${order.join()},${fetch.join()}`,
      savedRegisters(this.#written, now, now + 1),
      savedUnits(taken),
      flight.join(),
    ].join(';');
  }

  restore(state: string): void {
    const { width } = this.#pipeline;
    this.#calendar.clear();
    this.#written.clear();
    this.#inFlight.length = 0;
    this.#microOps = 0;
    this.#cycle = 0;
    this.#room = width;
    this.#groupEnded = false;
    this.#lastStore = this.#lastLoad = this.#lastTaken = 0;
    this.#retired = this.#start = fillOf(this.#pipeline) - 1;
    this.#startFetch();
    if (state === IDLE) return;
    const [numbers = '', registers = '', taken = '', flight = ''] = state.split(';');
    const [room = 0, ended = 0, retired = 0, store = 0, load = 0, fetched = 0, fetchRoom = 0] = numbers
      .split(',')
      .map(Number);
    // Cycles must be above 0: they are moved by what the path has retired before now.
    const now = Math.max(0, 1 - retired);
    this.#cycle = now;
    this.#room = room;
    this.#groupEnded = ended !== 0;
    this.#retired = now + retired;
    this.#start = this.#retired;
    this.#lastStore = now + store;
    this.#lastLoad = now + load;
    this.#fetched = now + fetched;
    this.#fetchRoom = fetchRoom;
    restoreRegisters(registers, now, this.#written);
    this.#lastTaken = restoreUnits(taken, now, this.#calendar);
    for (const entry of parts(flight)) {
      const [at = 0, microOps = 0] = entry.split('x').map(Number);
      this.#fly(now + at, microOps);
    }
  }
}

class InOrder implements Scoreboard {
  readonly #pipeline: Pipeline;
  readonly #calendar = new Calendar();
  readonly #written = new Map<number, Written>();
  #cycle = 0;
  #room = 0;
  #lastWriteBack = 0;
  #lastTaken = 0;
  #lastExecuted = 0;
  #finished = 0;
  #start = 0;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
    this.restore(IDLE);
  }

  get cycles(): number {
    return this.#finished - this.#start;
  }

  add(operation: Operation): Timing {
    const { width } = this.#pipeline;
    const mustWait = this.#room < Math.min(operation.microOps, width) || (operation.first && this.#room < width);
    let issued = mustWait ? this.#cycle + 1 : this.#cycle;
    for (const { register, after } of operation.reads) {
      const written = this.#written.get(register);
      if (written !== undefined) issued = Math.max(issued, written.at - Math.min(after, written.forwards));
    }
    // Results are written in order; what writes none ends in order.
    let firstWriteBack = operation.latency;
    for (const { latency } of operation.writes) firstWriteBack = Math.min(firstWriteBack, latency);
    issued = Math.max(issued, this.#lastWriteBack - firstWriteBack);
    // A unit that is free is free for good: nothing older is placed later.
    while (!operation.uses.every(({ units }) => this.#calendar.available(units, issued))) issued++;
    if (issued > this.#cycle) {
      this.#cycle = issued;
      this.#room = width;
    }
    for (const { units, cycles } of operation.uses) {
      this.#lastTaken = Math.max(this.#lastTaken, this.#calendar.take(units, issued, cycles));
    }
    this.#room -= operation.microOps;
    while (this.#room < 0) {
      this.#cycle++;
      this.#room += width;
    }
    for (const { register, latency, forwards } of operation.writes) {
      this.#written.set(register, { at: issued + latency, forwards });
      this.#lastWriteBack = Math.max(this.#lastWriteBack, issued + latency);
    }
    const executed = issued + operation.latency;
    this.#lastExecuted = executed;
    this.#finished = Math.max(this.#finished, executed);
    return { entered: issued, issued, executed, retired: executed };
  }

  /** Nobody has described the fetch of a core in order. */
  turn(): void {}

  stall(cycles: number): void {
    this.#finished = Math.max(this.#finished, this.#cycle) + cycles;
    this.#cycle = this.#finished;
    this.#room = this.#pipeline.width;
  }

  refetch(cycles: number): void {
    this.#cycle = Math.max(this.#cycle, this.#lastExecuted + cycles);
    this.#room = this.#pipeline.width;
  }

  save(): string {
    const now = this.#cycle;
    const numbers = [this.#room, this.#finished - now, Math.max(0, this.#lastWriteBack - now)];
    const taken = [...this.#calendar.after(now - 1, this.#lastTaken)];
    return [numbers.join(), savedRegisters(this.#written, now, now), savedUnits(taken)].join(';');
  }

  restore(state: string): void {
    this.#calendar.clear();
    this.#written.clear();
    this.#cycle = 0;
    this.#room = this.#pipeline.width;
    this.#lastWriteBack = this.#lastTaken = 0;
    this.#finished = this.#start = 0;
    if (state === IDLE) return;
    const [numbers = '', registers = '', taken = ''] = state.split(';');
    const [room = 0, finished = 0, writeBack = 0] = numbers.split(',').map(Number);
    const now = Math.max(1, 1 - finished);
    this.#cycle = now;
    this.#room = room;
    this.#finished = this.#start = now + finished;
    this.#lastWriteBack = now + writeBack;
    restoreRegisters(registers, now, this.#written);
    this.#lastTaken = restoreUnits(taken, now - 1, this.#calendar);
  }
}

/** Registers whose values are there only after cycle `seen`, in cycles from `now`. */
function savedRegisters(written: ReadonlyMap<number, Written>, now: number, seen: number): string {
  const late = [...written].filter(([, { at }]) => at > seen).sort(([a], [b]) => a - b);
  return late.map(([register, { at, forwards }]) => `${register}:${at - now}:${forwards}`).join();
}

function restoreRegisters(text: string, now: number, written: Map<number, Written>): void {
  for (const entry of parts(text)) {
    const [register = 0, at = 0, forwards = 0] = entry.split(':').map(Number);
    written.set(register, { at: now + at, forwards });
  }
}

const savedUnits = (taken: readonly (readonly number[])[]): string => taken.map((entry) => entry.join(':')).join();

/** Returns the last cycle at which a unit is taken. */
function restoreUnits(text: string, now: number, calendar: Calendar): number {
  let last = 0;
  for (const entry of parts(text)) {
    const [ahead = 0, low = 0, high = 0] = entry.split(':').map(Number);
    calendar.mark(now + ahead, low, high);
    last = now + ahead;
  }
  return last;
}

const parts = (text: string): string[] => (text === '' ? [] : text.split(','));
