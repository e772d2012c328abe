/**
 * Pages of a dump in an emulator, brought in as the code that runs there touches them. The emulator has copies; the dump
 * is never written. A physical page is one copy, however many virtual addresses show it.
 */
import { allocateMemory } from '../check/executors.js';
import type { Engine, MemoryFault } from '../engine/engine.js';
import { hex, UsercopyError } from '../errors.js';
import { encodeWord } from '../kernel/words.js';
import { currentOffsetOf } from '../stack/entry-point.js';
import type { CurrentTaskFound } from './current.js';
import type { Dump } from './open-dump.js';

const WASM_PAGE = 65_536;

export interface EmulatedPagesOptions {
  /** Pages at most; code that wants more has gone astray. Mapping gets slow long before it gets large. */
  readonly limit: number;
}

/** Why a page could not be had. */
export interface MissingPage {
  /** Virtual address that was touched. */
  readonly address: bigint;
  readonly kind: MemoryFault['kind'];
  readonly why: 'not mapped' | 'not in the dump' | 'protected' | 'too many pages';
}

export class EmulatedPages {
  /** Bytes of a page here: the emulator's own smallest one. */
  readonly pageSize: bigint;
  readonly #engine: Engine;
  readonly #dump: Dump;
  readonly #limit: number;
  readonly #memory: WebAssembly.Memory;
  readonly #bytes: Uint8Array;
  /** Physical page → slot, and the slot's bytes as the dump has them. */
  readonly #slots = new Map<bigint, { readonly slot: number; readonly original: Uint8Array }>();
  /** Virtual page (as the CPU addresses it) → slot. */
  readonly #mapped = new Map<bigint, number>();
  /** Virtual pages that show what lies some bytes above them. */
  readonly #moved = new Map<bigint, bigint>();
  #kernelPlaces: readonly bigint[] | null = null;

  constructor(engine: Engine, dump: Dump, { limit }: EmulatedPagesOptions) {
    this.#engine = engine;
    this.#dump = dump;
    this.#limit = limit;
    this.pageSize = 1n << BigInt(Math.max(12, Math.min(...dump.variant.pageShifts)));
    const pages = Math.ceil((limit * Number(this.pageSize)) / WASM_PAGE);
    this.#memory = allocateMemory(pages);
    this.#bytes = new Uint8Array(this.#memory.buffer);
  }

  /** Virtual pages that were brought in, in the order in which they were wanted. */
  get virtualPages(): readonly bigint[] {
    return [...this.#mapped.keys()];
  }

  /** Physical pages behind them, by slot. */
  get physicalPages(): readonly bigint[] {
    return [...this.#slots.keys()];
  }

  /** Makes a task `current`, in the register or at the address where the kernel looks. */
  enterTask(found: CurrentTaskFound): void {
    const { variant, kernel, registers, task } = this.#dump;
    const { current } = variant;
    if (current.kind === 'register') this.#engine.writeRegister(current.register, found.task);
    if (current.kind !== 'memory') return;
    const base = variant.dump?.currentBase(registers) ?? null;
    const offset = currentOffsetOf(kernel, current);
    if (base !== null && current.base !== null) this.#engine.writeRegister(current.base, base);
    // The emulator adds no base: the CPU's own variables are shown where their symbols point.
    else if (base !== null && offset !== undefined) this.#moved.set(this.#page(offset), base);
    if (!task || offset === undefined) return;
    // The CPU's variable names the task that it went on to.
    const address = current.base === null ? offset : this.#word((base ?? 0n) + offset);
    this.#change(address, encodeWord(found.task, variant));
  }

  /** A word that is another than in the dump, from now on. */
  #change(address: bigint, bytes: Uint8Array): void {
    this.write(address, bytes);
    const page = this.#page(address);
    const slot = this.#mapped.get(page);
    const known = [...this.#slots.values()].find((candidate) => candidate.slot === slot);
    known?.original.set(bytes, Number(address - page));
  }

  /** Brings in what an access lacked: two pages when it crosses from one to the next. null when all is there now. */
  resolve(fault: MemoryFault): MissingPage | null {
    const { address, kind, size, protection } = fault;
    if (protection) return { address, kind, why: 'protected' };
    const first = this.bringIn(address);
    if (first !== null && first !== 'there') return { address, kind, why: first };
    const last = this.#word(address + BigInt(Math.max(size, 1) - 1));
    const second = this.#page(last) === this.#page(address) ? null : this.bringIn(last);
    if (second !== null && second !== 'there') return { address: last, kind, why: second };
    return first === 'there' && second !== null ? { address, kind, why: 'protected' } : null;
  }

  /** Maps the page at a virtual address: null when it was brought in now, `there` when it was before, else why not. */
  bringIn(address: bigint): 'there' | Exclude<MissingPage['why'], 'protected'> | null {
    const page = this.#page(this.#word(address));
    if (this.#mapped.has(page)) return 'there';
    if (this.#mapped.size >= this.#limit) return 'too many pages';
    const found = this.#translate(page);
    if (!found) return 'not mapped';
    const slot = this.#slot(found.physical);
    if (slot === null) return 'not in the dump';
    // A CPU that drops bits fetches from one of the two addresses and loads from the other.
    for (const view of new Set([page, found.address, found.address & (this.#dump.variant.addressMask ?? -1n)])) {
      if (this.#mapped.has(view)) continue;
      this.#engine.mapShared(view, this.pageSize, 'rwx', this.#memory, slot * Number(this.pageSize));
      this.#mapped.set(view, slot);
    }
    return null;
  }

  /** Physical address behind a virtual one that was brought in; null for any other. */
  physicalOf(address: bigint): bigint | null {
    const word = this.#word(address);
    const slot = this.#mapped.get(this.#page(word));
    const physical = slot === undefined ? undefined : this.physicalPages[slot];
    return physical === undefined ? null : physical + (word % this.pageSize);
  }

  /** All pages as the dump has them; what code wrote is gone. */
  reset(): void {
    for (const { slot, original } of this.#slots.values()) this.#bytes.set(original, slot * Number(this.pageSize));
  }

  /** Writes at a virtual address, bringing pages in. @throws UsercopyError `guest` when the dump lacks them. */
  write(address: bigint, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = this.#word(address + BigInt(done));
      const page = this.#page(at);
      const why = this.bringIn(page);
      const slot = this.#mapped.get(page);
      if (slot === undefined) throw missing(at, why ?? 'not mapped');
      const within = Number(at - page);
      const count = Math.min(bytes.length - done, Number(this.pageSize) - within);
      this.#bytes.set(bytes.subarray(done, done + count), slot * Number(this.pageSize) + within);
      done += count;
    }
  }

  /** Bytes at a virtual address as they are now; undefined where the dump has none. */
  read(address: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = this.#word(address + BigInt(done));
      const page = this.#page(at);
      this.bringIn(page);
      const slot = this.#mapped.get(page);
      if (slot === undefined) return undefined;
      const start = slot * Number(this.pageSize) + Number(at - page);
      const count = Math.min(length - done, (slot + 1) * Number(this.pageSize) - start);
      bytes.set(this.#bytes.subarray(start, start + count), done);
      done += count;
    }
    return bytes;
  }

  /**
   * Physical address of a virtual page, and its whole virtual one. A CPU that runs without translation may drop bits of
   * addresses; what they were is told by where the kernel keeps things.
   */
  #translate(page: bigint): { readonly physical: bigint; readonly address: bigint } | null {
    const { memory } = this.#dump.located;
    const distance = this.#moved.get(page) ?? 0n;
    for (const address of [...this.#unmasked(page), page]) {
      const found = memory.translate(this.#word(address + distance));
      if (found) return { physical: found.physical, address };
    }
    return null;
  }

  *#unmasked(page: bigint): Iterable<bigint> {
    const { variant } = this.#dump;
    if (variant.addressMask === undefined) return;
    const dropped = BigInt.asUintN(variant.bits, ~variant.addressMask);
    if ((page & dropped) !== 0n) return;
    const seen = new Set<bigint>([page]);
    for (const place of this.#places()) {
      const address = page | (place & dropped);
      if (!seen.has(address)) yield address;
      seen.add(address);
    }
  }

  /** An address in each part of the kernel's memory, the linear map first. */
  #places(): readonly bigint[] {
    this.#kernelPlaces ??= (({ pageOffset, vmallocStart, modulesStart, vmemmap }) => [
      pageOffset,
      this.#dump.located.inside,
      vmallocStart,
      modulesStart,
      ...(vmemmap === null ? [] : [vmemmap]),
    ])(this.#dump.variant.layout(this.#dump.kernel));
    return this.#kernelPlaces;
  }

  #slot(physical: bigint): number | null {
    const known = this.#slots.get(physical);
    if (known) return known.slot;
    const size = Number(this.pageSize);
    const bytes = this.#dump.physical.read(physical, size);
    if (!bytes) return null;
    const slot = this.#slots.size;
    const original = bytes.slice();
    this.#bytes.set(original, slot * size);
    this.#slots.set(physical, { slot, original });
    return slot;
  }

  #page(address: bigint): bigint {
    return address - (address % this.pageSize);
  }

  #word(address: bigint): bigint {
    return BigInt.asUintN(this.#dump.variant.bits, address);
  }
}

function missing(address: bigint, why: string): UsercopyError {
  return new UsercopyError('guest', `the dump's memory at ${hex(address)}: expected it to be there, but it is ${why}`);
}
