/** Caches and the TLB of one named core: how much longer than from the nearest cache a load takes. */
import * as fs from 'node:fs/promises';
import { UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';

export interface CacheLevel {
  /** `L1D` */
  readonly name: string;
  readonly bytes: number;
  readonly ways: number;
  /** Bytes of a line. */
  readonly line: number;
  /** Cycles from a load's issue to the use of what it loads, when it hits here. */
  readonly latency: number;
}

/** Cycles throughout; what the core's documents and measurements say is named in `sources`. */
export interface CoreMemory {
  /** The nearest one first: its latency is in the costs of the core's loads. */
  readonly caches: readonly CacheLevel[];
  /** Of a load that hits no cache. */
  readonly memory: number;
  readonly tlb: {
    /** Of the last level; all others lie in it. */
    readonly entries: number;
    /** Bytes that an entry covers in the kernel's own maps, the array of struct pages among them. */
    readonly covers: number;
    /** What a translation that is not there adds to its load. */
    readonly refill: number;
  };
  /** From the end of a branch that was foreseen wrongly to the entry of the next instruction. */
  readonly mispredict: number;
  /** What each figure is from, in sentences. */
  readonly sources: string;
}

/** A load, as the guest made it: virtual address and bytes. */
export interface Load {
  readonly address: bigint;
  readonly size: number;
}

/** Addresses from `start` to before `end`. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

const ABOVE_ALL = 1n << 64n;

/** What is known of a core; null where this package has no figures. In `arch/<arch>/memory.json`, by the cores of its cycle tables. */
export async function readCoreMemory(linuxArch: string, core: string): Promise<CoreMemory | null> {
  const file = `arch/${linuxArch}/memory.json`;
  const text = await fs.readFile(packageFile(file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw new UsercopyError('bad-input', `${file}: expected a readable file, found ${error.message}`);
  });
  const all: Readonly<Record<string, CoreMemory>> = JSON.parse(text);
  return all[core] ?? null;
}

/** Least recently used entries leave first. */
class Level {
  readonly #sets: bigint[][] = [];
  readonly #setCount: bigint;

  constructor(
    private readonly entryBytes: bigint,
    entries: number,
    private readonly ways: number,
  ) {
    this.#setCount = BigInt(Math.max(1, Math.floor(entries / ways)));
  }

  /** Whether the entry for an address was there; it is there afterwards. */
  touch(address: bigint): boolean {
    const entry = address / this.entryBytes;
    const set = this.#setOf(entry);
    const at = set.indexOf(entry);
    if (at >= 0) set.splice(at, 1);
    else if (set.length >= this.ways) set.pop();
    set.unshift(entry);
    return at >= 0;
  }

  evict(start: bigint, end: bigint): void {
    for (const [index, set] of this.#sets.entries())
      this.#sets[index] = (set ?? []).filter(
        (entry) => (entry + 1n) * this.entryBytes <= start || entry * this.entryBytes >= end,
      );
  }

  #setOf(entry: bigint): bigint[] {
    const index = Number(entry % this.#setCount);
    let set = this.#sets[index];
    if (set === undefined) {
      set = [];
      this.#sets[index] = set;
    }
    return set;
  }
}

/**
 * Caches that are filled by the loads that they are told, and by nothing else: no stores, no prefetches, no other code.
 * Virtual addresses stand for physical ones.
 */
export class Caches {
  readonly #levels: readonly Level[];
  readonly #tlb: Level;

  /** @param apart Memory that shares no translation with any other, wherever it lies. */
  constructor(
    private readonly core: CoreMemory,
    private readonly apart: Range = { start: 0n, end: 0n },
  ) {
    this.#levels = core.caches.map(({ bytes, ways, line }) => new Level(BigInt(line), bytes / line, ways));
    this.#tlb = new Level(BigInt(core.tlb.covers), core.tlb.entries, core.tlb.entries);
  }

  /** Makes a load, and says how many cycles longer it takes than one that hits the nearest cache. */
  load({ address, size }: Load): number {
    const [nearest] = this.core.caches;
    if (nearest === undefined) return 0;
    const line = BigInt(nearest.line);
    let longest = 0;
    for (let at = address - (address % line); at < address + BigInt(size); at += line) {
      const translation = this.#tlb.touch(this.#translated(at)) ? 0 : this.core.tlb.refill;
      longest = Math.max(longest, translation + this.#latency(at) - nearest.latency);
    }
    return longest;
  }

  /** Nothing of a range, and no translation of it, is there any more. */
  evict({ start, end }: Range): void {
    for (const level of this.#levels) level.evict(start, end);
    this.#tlb.evict(this.#translated(start), this.#translated(end - 1n) + 1n);
  }

  /** Addresses as the TLB tells them apart: those of memory apart are moved above all others. */
  #translated(address: bigint): bigint {
    const { start, end } = this.apart;
    return address >= start && address < end ? ABOVE_ALL + address - start : address;
  }

  /** The line is in every level afterwards. */
  #latency(address: bigint): number {
    let latency: number | null = null;
    for (const [index, level] of this.#levels.entries())
      if (level.touch(address)) latency ??= this.core.caches[index]?.latency ?? null;
    return latency ?? this.core.memory;
  }
}
