/**
 * The kernel as it runs in a dump: the symbols of its image moved to where KASLR put it, its types, and the bytes of the
 * dump's memory. Without an image the symbols and types come from that memory too.
 */

import type { Variant } from '../../arch/driver.js';
import { jumpEntryOf } from '../introspect/jump-entry.js';
import { ExtendedSymbols, exportedVariables } from '../kernel/added-symbols.js';
import type { Kernel, KernelSymbol, Segment, SymbolTable } from '../kernel/kernel.js';
import { hiddenVariables } from './data-symbols.js';
import type { Located } from './locate.js';
import type { PhysicalMemory } from './physical.js';
import type { VirtualMemory } from './virtual.js';

const word = (value: bigint): bigint => BigInt.asUintN(64, value);

/** A symbol table whose kernel addresses lie `slide` higher. Symbols below the image (per-cpu offsets, constants) stay. */
export class SlidSymbols implements SymbolTable {
  readonly count: number;
  readonly source: SymbolTable['source'];
  readonly #table: SymbolTable;
  readonly #slide: bigint;
  /** Lowest address that moves. */
  readonly #start: bigint;

  constructor(table: SymbolTable, slide: bigint) {
    this.#table = table;
    this.#slide = slide;
    this.#start = table.address('_text') ?? table.address('_stext') ?? 0n;
    this.count = table.count;
    this.source = table.source;
  }

  address(name: string): bigint | undefined {
    const found = this.#table.address(name);
    return found === undefined ? undefined : this.#moved(found);
  }

  get(name: string): KernelSymbol | undefined {
    const found = this.#table.get(name);
    return found && this.#symbol(found);
  }

  all(name: string): readonly KernelSymbol[] {
    return this.#table.all(name).map((symbol) => this.#symbol(symbol));
  }

  find(address: bigint): { readonly symbol: KernelSymbol; readonly offset: bigint } | undefined {
    const linked = word(address - this.#slide);
    const found = this.#table.find(linked >= this.#start ? linked : address);
    return found && { symbol: this.#symbol(found.symbol), offset: found.offset };
  }

  *[Symbol.iterator](): Iterator<KernelSymbol> {
    for (const symbol of this.#table) yield this.#symbol(symbol);
  }

  #moved(address: bigint): bigint {
    return address >= this.#start ? word(address + this.#slide) : address;
  }

  #symbol(symbol: KernelSymbol): KernelSymbol {
    return { ...symbol, address: this.#moved(symbol.address) };
  }
}

/**
 * A kernel, seen in the dump: its symbols moved by the slide, and completed by variables that kallsyms does not list and that
 * are found in `memory`, the running image. Its `segments` stay where the image has them.
 */
export function kernelInDump(
  image: Kernel,
  { staticBranch, pageShifts }: Pick<Variant, 'staticBranch' | 'pageShifts'>,
  located: Located,
  physical: PhysicalMemory,
  memory: () => Segment,
): Kernel {
  const read = (address: bigint, length: number): Uint8Array | undefined => located.memory.read(address, length);
  const seen = { ...image, read };
  const slid = new SlidSymbols(image.symbols, located.slide);
  // With KALLSYMS_ALL the table has the variables.
  if (slid.address('init_task') !== undefined) return Object.freeze({ ...seen, symbols: slid });
  const exported = exportedVariables(image);
  const moved = new Map([...exported].map(([name, address]) => [name, word(address + located.slide)]));
  const known = { ...seen, symbols: new ExtendedSymbols(slid, moved) };
  const hidden = hiddenVariables(known, memory, physical, jumpEntryOf(image, staticBranch), pageShifts);
  return Object.freeze({ ...seen, symbols: new ExtendedSymbols(known.symbols, hidden) });
}

/** The memory of a kernel in the dump whose image says how large it is; read when first asked for. */
export function runningImage(image: Kernel, located: Located): () => Segment {
  return once(() => imageSegment(located.memory, located.inside, located.imageOffset, extentOf(image, located.slide)));
}

/** A function that works once and then remembers. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Addresses at which the running image may lie: some images do not tell how much memory follows their contents. */
export interface Extent {
  readonly start: bigint;
  readonly end: bigint;
}

/** Most that an image may have in memory beyond what it tells. */
const UNTOLD = 16n << 20n;

/** Where an image's segments lie, those aside that are not at kernel addresses (x86_64's per-CPU template). */
function extentOf({ segments, symbols }: Kernel, slide: bigint): Extent {
  const text = symbols.address('_stext') ?? 0n;
  const own = segments.filter(({ address, size }) => address + size > text);
  const start = own.reduce((least, { address }) => (address < least ? address : least), text);
  const end = own.reduce((most, { address, size }) => (address + size > most ? address + size : most), text);
  return { start: word(start + slide), end: word(end + slide) + UNTOLD };
}

/** More than any kernel image with its data; a larger mapping is not one. */
const MAXIMUM_IMAGE = 256n << 20n;
const STEP = 2n << 20n;
/** Init code and data that were given back lie between the kernel's text and its data. */
const LARGEST_GAP = 32n << 20n;
const PAGE = 4096;

/**
 * The memory around a kernel address that is mapped as the image is: the kernel image as it lies in memory, within
 * `extent` where that is known. Pages that are not mapped read as zero.
 */
export function imageSegment(
  memory: VirtualMemory,
  inside: bigint,
  imageOffset: bigint,
  extent: Extent = { start: 0n, end: 1n << 64n },
): Segment {
  const belongs = (address: bigint): boolean => {
    for (let page = address; page < address + STEP; page += BigInt(PAGE)) {
      if (memory.translate(page)?.physical === word(page - imageOffset)) return true;
    }
    return false;
  };
  let start = inside & ~(STEP - 1n);
  while (start > extent.start && start >= STEP && inside - start < MAXIMUM_IMAGE && belongs(start - STEP))
    start -= STEP;
  let end = (inside & ~(STEP - 1n)) + STEP;
  for (let at = end; at - end < LARGEST_GAP && at - start < MAXIMUM_IMAGE && at + STEP <= extent.end; at += STEP) {
    if (belongs(at)) end = at + STEP;
  }
  const bytes = new Uint8Array(Number(end - start));
  for (let at = 0; at < bytes.length; ) {
    const address = start + BigInt(at);
    const run = memory.run(address, bytes.length - at);
    const length = run?.length ?? PAGE;
    const piece = bytes.subarray(at, at + length);
    if (run && !memory.readInto(address, piece)) readPages(memory, address, piece);
    at += length;
  }
  return { address: start, physical: word(start - imageOffset), bytes, size: BigInt(bytes.length) };
}

/** Page by page, those that the dump lacks as zeroes. */
function readPages(memory: VirtualMemory, address: bigint, target: Uint8Array): void {
  for (let at = 0; at < target.length; at += PAGE) {
    const page = target.subarray(at, at + PAGE);
    if (!memory.readInto(address + BigInt(at), page)) page.fill(0);
  }
}
