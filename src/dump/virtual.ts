/** Kernel virtual memory of a dump: page-table walks over its physical memory, with the pages found kept. */
import type { LinearMap } from '../../arch/driver.js';
import type { PageTables, ReadPhysical, RegisterValues, Translate, Translation } from '../../arch/dump.js';
import { decodeWord, wordFormat } from '../kernel/words.js';
import type { PhysicalMemory } from './physical.js';

/** Translations that are kept, by 4 KiB page; when they are more, all are forgotten. */
const CACHED_PAGES = 1 << 16;
const PAGE_SHIFT = 12n;
const MAXIMUM_READ = 256 << 20;
const ADDRESS_SPACE = 1n << 64n;

/** The part of an architecture's dump convention that translation needs. */
export interface Translator {
  readonly translate: Translate;
  prefix?(registers: RegisterValues): { readonly address: bigint; readonly size: bigint } | null;
}

export class VirtualMemory {
  readonly tables: PageTables;
  readonly #memory: PhysicalMemory;
  readonly #translator: Translator;
  readonly #registers: RegisterValues;
  readonly #translate: Translate;
  readonly #readPhysical: ReadPhysical;
  readonly #prefix: { readonly address: bigint; readonly size: bigint } | null;
  readonly #pages = new Map<bigint, Translation | null>();
  /** What the tables do not show. */
  #hidden: readonly LinearMap[] = [];

  /** `walked`: where the page tables are read. */
  constructor(
    memory: PhysicalMemory,
    translator: Translator,
    tables: PageTables,
    registers: RegisterValues,
    walked: PhysicalMemory = memory,
  ) {
    this.tables = tables;
    this.#memory = memory;
    this.#translator = translator;
    this.#registers = registers;
    this.#translate = translator.translate;
    this.#readPhysical = (address, length) => walked.read(address, length);
    this.#prefix = translator.prefix?.(registers) ?? null;
  }

  /** The same addresses, with `memory` behind them, and their page tables in `walked`. */
  over(memory: PhysicalMemory, walked: PhysicalMemory = memory): VirtualMemory {
    const other = new VirtualMemory(memory, this.#translator, this.tables, this.#registers, walked);
    other.show(this.#hidden);
    return other;
  }

  /** Adds mappings that are not in the page tables; what the tables say wins. */
  show(mappings: readonly LinearMap[]): void {
    this.#hidden = mappings;
    this.#pages.clear();
  }

  /** Mappings that were added. */
  get hidden(): readonly LinearMap[] {
    return this.#hidden;
  }

  /** Where a virtual address lies in physical memory, and the size of its page in bytes; null when it is not mapped. */
  translate(address: bigint): Translation | null {
    const page = address >> PAGE_SHIFT;
    let found = this.#pages.get(page);
    if (found === undefined) {
      found =
        this.#translate(this.#readPhysical, this.tables, page << PAGE_SHIFT) ??
        this.#translateHidden(page << PAGE_SHIFT);
      // A prefix area cuts a large page in pieces.
      if (found && this.#prefix) found = { physical: this.#absolute(found.physical), size: 1n << PAGE_SHIFT };
      if (this.#pages.size >= CACHED_PAGES) this.#pages.clear();
      this.#pages.set(page, found);
    }
    return found && { physical: found.physical + (address & ((1n << PAGE_SHIFT) - 1n)), size: found.size };
  }

  /** `length` bytes at a virtual address; undefined unless all are mapped and in the dump. The result must not be written to. */
  read(address: bigint, length: number): Uint8Array | undefined {
    if (length < 0 || length > MAXIMUM_READ || address + BigInt(length) > ADDRESS_SPACE) return undefined;
    const within = Number(address & ((1n << PAGE_SHIFT) - 1n));
    if (within + length <= 1 << Number(PAGE_SHIFT)) {
      const found = this.translate(address);
      return found ? this.#memory.read(found.physical, length) : undefined;
    }
    const bytes = new Uint8Array(length);
    return this.readInto(address, bytes) ? bytes : undefined;
  }

  /** Fills `target` from a virtual address; false unless all of it is mapped and in the dump. */
  readInto(address: bigint, target: Uint8Array): boolean {
    if (target.length > MAXIMUM_READ || address + BigInt(target.length) > ADDRESS_SPACE) return false;
    for (let done = 0; done < target.length; ) {
      const run = this.run(address + BigInt(done), target.length - done);
      if (!run || !this.#memory.readInto(run.physical, target.subarray(done, done + run.length))) return false;
      done += run.length;
    }
    return true;
  }

  /** A word of 4 or 8 bytes; undefined when it cannot be read. */
  word(address: bigint, size: 4 | 8, littleEndian: boolean): bigint | undefined {
    const bytes = this.read(address, size);
    return bytes && decodeWord(bytes, wordFormat(size === 8 ? 64 : 32, littleEndian));
  }

  /** The longest physically contiguous piece from `address` on, at most `limit` bytes; null when it is not mapped. */
  run(address: bigint, limit: number): { readonly physical: bigint; readonly length: number } | null {
    const first = this.translate(address);
    if (!first) return null;
    let length = Number(rest(address, first.size));
    while (length < limit) {
      const next = this.translate(address + BigInt(length));
      if (!next || next.physical !== first.physical + BigInt(length)) break;
      length += Number(rest(address + BigInt(length), next.size));
    }
    return { physical: first.physical, length: Math.min(length, limit) };
  }

  #translateHidden(page: bigint): Translation | null {
    const map = this.#hidden.find(({ virtual, size }) => page >= virtual && page < virtual + size);
    return map ? { physical: page - map.virtual + map.physical, size: 1n << PAGE_SHIFT } : null;
  }

  /** Real to absolute: the CPU's prefix area and the first bytes of storage change places (s390x). */
  #absolute(real: bigint): bigint {
    const prefix = this.#prefix;
    if (!prefix) return real;
    if (real < prefix.size) return real + prefix.address;
    if (real >= prefix.address && real < prefix.address + prefix.size) return real - prefix.address;
    return real;
  }
}

/** Bytes from an address to the end of its page of `size` bytes; a page of more than 4 KiB counts whole only below 1 GiB. */
function rest(address: bigint, size: bigint): bigint {
  const page = size > 1n << 30n ? 1n << 30n : size;
  return page - (address & (page - 1n));
}
