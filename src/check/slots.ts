/** Slots of one size in a row of linear memory, handed out in runs and taken back. */
export class SlotTable {
  readonly #first: number;
  readonly #bytes: number;
  /** Free runs in address order, none beside another: index of the first slot, and how many. */
  readonly #free: { index: number; count: number }[];
  /** How many slots each run that is out has, by its first one's index. */
  readonly #taken = new Map<number, number>();

  /** `first`: offset of slot 0. `bytes`: from one slot to the next. */
  constructor(first: number, bytes: number, capacity: number) {
    this.#first = first;
    this.#bytes = bytes;
    this.#free = [{ index: 0, count: capacity }];
  }

  /** The largest run that can be had. */
  get largest(): number {
    return this.#free.reduce((most, { count }) => Math.max(most, count), 0);
  }

  /** Offset of the first of `count` consecutive slots; undefined when there are not so many beside each other. */
  take(count: number): number | undefined {
    const at = this.#free.findIndex((run) => run.count >= count);
    const run = this.#free[at];
    if (run === undefined) return undefined;
    const { index } = run;
    if (run.count === count) this.#free.splice(at, 1);
    else this.#free[at] = { index: index + count, count: run.count - count };
    this.#taken.set(index, count);
    return this.#first + index * this.#bytes;
  }

  /** Takes back the run that begins at `offset`; whether there was one. */
  giveBack(offset: number): boolean {
    const index = (offset - this.#first) / this.#bytes;
    const count = this.#taken.get(index);
    if (count === undefined) return false;
    this.#taken.delete(index);
    const after = this.#free.findIndex((run) => run.index > index);
    const at = after === -1 ? this.#free.length : after;
    this.#free.splice(at, 0, { index, count });
    this.#joinAt(at);
    this.#joinAt(at - 1);
    return true;
  }

  /** Makes one of a free run and the one after it where they touch. */
  #joinAt(at: number): void {
    const run = this.#free[at];
    const next = this.#free[at + 1];
    if (run === undefined || next === undefined || run.index + run.count !== next.index) return;
    this.#free.splice(at, 2, { index: run.index, count: run.count + next.count });
  }
}
