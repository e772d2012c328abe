/**
 * Symbols beside those that an image lists. Without KALLSYMS_ALL kallsyms has functions only; variables that are exported
 * to modules are found by their entries in `__ksymtab`.
 */

import { bytesOf, occurrences } from './bytes.js';
import type { Bits, Kernel, KernelSymbol, Segment, SymbolTable } from './kernel.js';
import { Words, wordFormat } from './words.js';

/** Names and addresses to add. */
export type AddedSymbols = Map<string, bigint>;

/** The kernel with more symbols; those that it has already win. */
export function withSymbols(kernel: Kernel, added: ReadonlyMap<string, bigint>): Kernel {
  return added.size === 0 ? kernel : Object.freeze({ ...kernel, symbols: new ExtendedSymbols(kernel.symbols, added) });
}

/** Variables that layouts and the check ask for and that are exported to modules. */
const EXPORTED = [
  ...['init_task', 'mem_section', 'mem_map', 'max_mapnr', 'high_memory', 'node_data', 'validate_usercopy_range'],
  ...['current_task', 'pcpu_hot', 'this_cpu_off', '__pv_phys_pfn_offset'],
  ...['memstart_addr', 'kimage_voffset', 'page_offset_base', 'vmalloc_base', 'vmemmap_base', 'phys_base'],
  // of the CPUs: how wide their addresses are
  'cpu_data',
  // layouts that boot code computes
  ...['VMALLOC_START', 'VMALLOC_END', 'vmemmap', 'vm_layout'],
];

/** A symbol table with more symbols; those that it has already win. */
export class ExtendedSymbols implements SymbolTable {
  readonly count: number;
  readonly source: SymbolTable['source'];
  readonly #table: SymbolTable;
  readonly #more: ReadonlyMap<string, bigint>;

  constructor(table: SymbolTable, more: ReadonlyMap<string, bigint>) {
    this.#table = table;
    this.#more = more;
    this.count = table.count + more.size;
    this.source = table.source;
  }

  address(name: string): bigint | undefined {
    return this.#table.address(name) ?? this.#more.get(name);
  }

  get(name: string): KernelSymbol | undefined {
    const found = this.#table.get(name);
    const address = this.#more.get(name);
    return found ?? (address === undefined ? undefined : { name, address, type: '?', size: 0n });
  }

  all(name: string): readonly KernelSymbol[] {
    const found = this.#table.all(name);
    const own = found.length > 0 ? undefined : this.get(name);
    return own ? [own] : found;
  }

  find(address: bigint): { readonly symbol: KernelSymbol; readonly offset: bigint } | undefined {
    return this.#table.find(address);
  }

  *[Symbol.iterator](): Iterator<KernelSymbol> {
    yield* this.#table;
    for (const name of this.#more.keys()) {
      const symbol = this.get(name);
      if (symbol) yield symbol;
    }
  }
}

/** Exported variables by the segments that have them, which never change: every opening of a dump and every guest asks for them again. */
const knownVariables = new WeakMap<readonly Segment[], ReadonlyMap<string, bigint>>();

/** Addresses of variables that a kernel exports to modules, as far as layouts and the check ask for them, as in its image. */
export function exportedVariables({ segments, endian, bits }: Kernel): ReadonlyMap<string, bigint> {
  const known = knownVariables.get(segments);
  if (known !== undefined) return known;
  const found = findExported(segments, endian === 'little', bits);
  knownVariables.set(segments, found);
  return found;
}

/**
 * By `__ksymtab`: entries { value, name, namespace } (the namespace since 5.4) of 32-bit self-relative offsets
 * (HAVE_ARCH_PREL32_RELOCATIONS), or of words that hold addresses, as on architectures without (arm, s390). It is the form
 * that finds more names.
 */
function findExported(segments: readonly Segment[], littleEndian: boolean, bits: Bits): ReadonlyMap<string, bigint> {
  const relative = new Map<string, bigint>();
  const absolute = new Map<string, bigint>();
  const isInImage = (at: bigint): boolean => segments.some(({ address, size }) => at >= address && at < address + size);
  for (const segment of segments) {
    const names = exportedNames(segment.bytes);
    if (names.size === 0) continue;
    relativeEntries(segment, names, littleEndian, isInImage, relative);
    absoluteEntries(segment, names, littleEndian, bits, isInImage, absolute);
  }
  return absolute.size > relative.size ? absolute : relative;
}

/** Offsets of the wanted names, as strings of their own. */
function exportedNames(bytes: Uint8Array): Map<number, string> {
  const names = new Map<number, string>();
  for (const name of EXPORTED) {
    for (const at of occurrences(bytes, bytesOf(`\0${name}\0`))) names.set(at + 1, name);
  }
  return names;
}

function relativeEntries(
  segment: Segment,
  names: ReadonlyMap<number, string>,
  littleEndian: boolean,
  isInImage: (address: bigint) => boolean,
  found: Map<string, bigint>,
): void {
  const { bytes, address } = segment;
  const view = new Words(bytes, wordFormat(32, littleEndian));
  const offsets = [...names.keys()];
  const lowest = Math.min(...offsets);
  const highest = Math.max(...offsets);
  for (let at = 4; at + 4 <= bytes.length; at += 4) {
    const target = at + view.int32(at);
    if (target < lowest || target > highest) continue;
    const name = names.get(target);
    if (name === undefined || found.has(name)) continue;
    const value = at - 4 + view.int32(at - 4);
    // A variable lies in the image, on a word, and is not the string itself.
    if (value % 4 !== 0 || value === target || !isInImage(address + BigInt(value))) continue;
    found.set(name, address + BigInt(value));
  }
}

function absoluteEntries(
  segment: Segment,
  names: ReadonlyMap<number, string>,
  littleEndian: boolean,
  bits: Bits,
  isInImage: (address: bigint) => boolean,
  found: Map<string, bigint>,
): void {
  const { bytes, address } = segment;
  const view = new Words(bytes, wordFormat(bits, littleEndian));
  const word = bits / 8;
  // Addresses of an image agree in their upper halves: the low ones are compared first.
  const low = (offset: number): number => Number(BigInt.asUintN(32, address + BigInt(offset)));
  const wanted = new Map([...names].map(([offset, name]) => [low(offset), name]));
  for (let at = word; at + word <= bytes.length; at += word) {
    const name = wanted.get(view.lowHalf(at));
    if (name === undefined || found.has(name) || !names.has(Number(view.word(at) - address))) continue;
    const value = view.word(at - word);
    if (value % 4n !== 0n || !isInImage(value)) continue;
    found.set(name, value);
  }
}
