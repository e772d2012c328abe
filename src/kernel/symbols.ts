/** Symbols in sorted arrays: a kernel has 90 000 and more, of which a run asks for a few dozen. */

import { bytesOf, latin1 } from './bytes.js';
import type { KernelSymbol, SymbolTable } from './kernel.js';
import { countBefore } from './sorted.js';

/** Parallel arrays in address order. Names are Latin-1 bytes, one after the other. */
export interface SymbolArrays {
  readonly addresses: BigUint64Array;
  /** Bytes; null: up to the next symbol with a higher address. */
  readonly sizes: BigUint64Array | null;
  /** `nm` letters. */
  readonly types: Uint8Array;
  readonly names: Uint8Array;
  /** Start of each name in `names`, and one more: the end of the last. */
  readonly nameStarts: Uint32Array;
}

/** A symbol without a known size is not believed to reach further than this, bytes. */
const LARGEST_GAP = 1n << 30n;

export class CompactSymbolTable implements SymbolTable {
  readonly count: number;
  /** Open-addressing hash of names: index + 1 of the first symbol of a name; built on first use. */
  #buckets: Uint32Array | null = null;
  /** Next symbol of the same name, index + 1. */
  #next: Uint32Array | null = null;

  constructor(
    readonly source: 'symtab' | 'kallsyms' | 'none',
    private readonly arrays: SymbolArrays,
  ) {
    this.count = arrays.addresses.length;
  }

  address(name: string): bigint | undefined {
    const index = this.#lookup(name);
    return index < 0 ? undefined : this.arrays.addresses[index];
  }

  get(name: string): KernelSymbol | undefined {
    const index = this.#lookup(name);
    return index < 0 ? undefined : this.#symbol(index);
  }

  all(name: string): readonly KernelSymbol[] {
    const found: KernelSymbol[] = [];
    for (let index = this.#lookup(name); index >= 0; index = (this.#next?.[index] ?? 0) - 1) {
      found.push(this.#symbol(index));
    }
    return found;
  }

  find(address: bigint): { readonly symbol: KernelSymbol; readonly offset: bigint } | undefined {
    const { addresses } = this.arrays;
    const end = countBefore(addresses, (start) => start <= address);
    const start = addresses[end - 1];
    if (start === undefined) return undefined;
    // Of several at one address the first is taken, as the kernel's own lookup does, unless it covers nothing.
    let index = end - 1;
    while (index > 0 && addresses[index - 1] === start) index--;
    for (; index < end; index++) {
      const offset = address - start;
      if (offset === 0n || offset < this.#size(index)) return { symbol: this.#symbol(index), offset };
    }
    return undefined;
  }

  *[Symbol.iterator](): Iterator<KernelSymbol> {
    for (let index = 0; index < this.count; index++) yield this.#symbol(index);
  }

  #symbol(index: number): KernelSymbol {
    const { addresses, names, nameStarts, types } = this.arrays;
    return {
      name: latin1(names, nameStarts[index], nameStarts[index + 1]),
      address: addresses[index] ?? 0n,
      type: String.fromCharCode(types[index] ?? 0),
      size: this.#size(index),
    };
  }

  #size(index: number): bigint {
    const { addresses, sizes } = this.arrays;
    const size = sizes?.[index] ?? 0n;
    if (size > 0n) return size;
    const start = addresses[index] ?? 0n;
    let next = index + 1;
    while (addresses[next] === start) next++;
    const gap = (addresses[next] ?? start) - start;
    return gap > LARGEST_GAP ? 0n : gap;
  }

  #lookup(name: string): number {
    const buckets = this.#buckets ?? this.#buildHash();
    const wanted = bytesOf(name);
    const mask = buckets.length - 1;
    for (let slot = hash(wanted, 0, wanted.length) & mask; ; slot = (slot + 1) & mask) {
      const index = (buckets[slot] ?? 0) - 1;
      if (index < 0 || this.#sameName(index, wanted, 0, wanted.length)) return index;
    }
  }

  #sameName(index: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { names, nameStarts } = this.arrays;
    const from = nameStarts[index] ?? 0;
    if ((nameStarts[index + 1] ?? 0) - from !== end - start) return false;
    for (let i = start; i < end; i++) if (names[from + i - start] !== bytes[i]) return false;
    return true;
  }

  #buildHash(): Uint32Array {
    const { names, nameStarts } = this.arrays;
    const buckets = new Uint32Array(2 ** Math.ceil(Math.log2(this.count * 2 + 2)));
    const next = new Uint32Array(this.count);
    const mask = buckets.length - 1;
    // From the last to the first, so that the chain of one name is in address order.
    for (let index = this.count - 1; index >= 0; index--) {
      const start = nameStarts[index] ?? 0;
      const end = nameStarts[index + 1] ?? 0;
      for (let slot = hash(names, start, end) & mask; ; slot = (slot + 1) & mask) {
        const other = buckets[slot] ?? 0;
        if (other !== 0 && !this.#sameName(other - 1, names, start, end)) continue;
        next[index] = other;
        buckets[slot] = index + 1;
        break;
      }
    }
    this.#next = next;
    this.#buckets = buckets;
    return buckets;
  }
}

/** A table without symbols. */
export function noSymbols(): SymbolTable {
  return new CompactSymbolTable('none', {
    addresses: new BigUint64Array(0),
    sizes: null,
    types: new Uint8Array(0),
    names: new Uint8Array(0),
    nameStarts: new Uint32Array(1),
  });
}

/** FNV-1a. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = 0x811c9dc5;
  for (let i = start; i < end; i++) value = Math.imul(value ^ (bytes[i] ?? 0), 0x01000193);
  return (value ^ (value >>> 15)) >>> 0;
}
