/** How often something was seen, by name; names come from guests, so that their number is bounded. */
export class Tally {
  readonly #counts = new Map<string, number>();
  readonly #most: number;

  /** Beyond `most` different names, further ones are counted together as `(others)`. */
  constructor(most = 4096) {
    this.#most = most;
  }

  add(name: string): void {
    const key = this.#counts.has(name) || this.#counts.size < this.#most ? name : '(others)';
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** The most frequent first. */
  read(): TallyCount[] {
    return [...this.#counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count);
  }
}

/** A name, and how often it was seen. */
export interface TallyCount {
  readonly name: string;
  readonly count: number;
}
