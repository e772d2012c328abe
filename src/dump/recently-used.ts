/** A cache that forgets what was not asked for longest. */
export class RecentlyUsed<Key, Value> {
  readonly #limit: number;
  /** Least recently used first. */
  readonly #values = new Map<Key, Value>();

  /** @param limit how many values are kept */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: Key): Value | undefined {
    const value = this.#values.get(key);
    if (value !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  set(key: Key, value: Value): void {
    this.#values.set(key, value);
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.#limit) break;
      this.#values.delete(oldest);
    }
  }

  clear(): void {
    this.#values.clear();
  }
}
