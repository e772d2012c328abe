/** A small seeded generator (xorshift128, Marsaglia 2003): the same seed gives the same run on every machine. */
export class SeededRandom {
  #x: number;
  #y = 362_436_069;
  #z = 521_288_629;
  #w = 88_675_123;

  constructor(seed: number) {
    this.#x = seed >>> 0 || 123_456_789;
    for (let warmUp = 0; warmUp < 16; warmUp++) this.next();
  }

  /** An integer in [0, 2^32). */
  next(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = (this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return this.#w;
  }

  /** An integer in [0, end). */
  below(end: number): number {
    return this.next() % end;
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  pick<Item>(items: readonly Item[]): Item {
    // An index below the length: nobody picks out of nothing.
    return items[this.below(items.length)]!;
  }
}
