/** The kernel's modules: names, where their code lies, their symbols. */

import type { Kernel, StructType } from '../kernel/kernel.js';
import { requireTypes } from '../kernel/require-types.js';
import { countBefore } from '../kernel/sorted.js';
import { Words } from '../kernel/words.js';
import { MemoryReader } from './memory-reader.js';

export interface ModuleRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** A place in a module. */
export interface ModulePlace {
  readonly module: string;
  /** A symbol, else a section (`.text`), else null: then `offset` counts from the module's start. */
  readonly symbol: string | null;
  readonly offset: bigint;
}

/** MODULE_NAME_LEN (include/linux/moduleparam.h): the end of the name's place counts. */
const nameLength = (wordBytes: number): number => 64 - wordBytes;
const NAME = /^[A-Za-z0-9_.+-]+$/;
/** A distribution's kernel loads some hundred: what is longer is no list of modules. */
const MOST_MODULES = 1 << 16;
const MOST_SYMBOLS = 1 << 18;
const MOST_SECTIONS = 512;
const LONGEST_SYMBOL = 512;
/** enum mod_mem_type: text, data, rodata, ro_after_init, and three of init. */
const MOD_MEM_NUM_TYPES = 7;

interface ModuleSymbol {
  readonly name: string;
  readonly address: bigint;
}

interface LoadedModule {
  readonly address: bigint;
  readonly name: string;
  readonly ranges: readonly ModuleRange[];
}

/** Modules of a kernel whose memory `kernel.read` shows. */
export class Modules {
  readonly #kernel: Kernel;
  readonly #read: MemoryReader;
  readonly #modules: readonly LoadedModule[];
  /** By module, in the order of addresses. */
  readonly #symbols = new Map<LoadedModule, readonly ModuleSymbol[]>();

  private constructor(kernel: Kernel, modules: readonly LoadedModule[]) {
    this.#kernel = kernel;
    this.#read = new MemoryReader(kernel);
    this.#modules = modules;
  }

  /** Of the list that begins at `head`; null when it is no list of modules. */
  static at(kernel: Kernel, head: bigint): Modules | null {
    const type = kernel.types?.hasStruct('module') ? kernel.types.struct('module') : null;
    if (!type?.has('list') || !type.has('name')) return null;
    const read = new MemoryReader(kernel);
    const list = BigInt(type.offset('list'));
    const modules: LoadedModule[] = [];
    let node = read.word(head);
    let before = head;
    while (node !== null && node !== head) {
      if (modules.length === MOST_MODULES) return null;
      if (read.word(node + BigInt(read.wordBytes)) !== before) return null;
      const name = read.text(node - list + BigInt(type.offset('name')), nameLength(read.wordBytes));
      if (name === null || !NAME.test(name)) return null;
      modules.push({ address: node - list, name, ranges: rangesOf(kernel, read, type, node - list) });
      before = node;
      node = read.word(node);
    }
    return node === null ? null : new Modules(kernel, modules);
  }

  get names(): readonly string[] {
    return this.#modules.map(({ name }) => name);
  }

  /** Whether any of them has memory. */
  get hasCode(): boolean {
    return this.#modules.some(({ ranges }) => ranges.length > 0);
  }

  /** Whether an address lies in a module. */
  contains(address: bigint): boolean {
    return this.#moduleOf(address) !== undefined;
  }

  /** What lies at an address; null outside of modules. */
  find(address: bigint): ModulePlace | null {
    const module = this.#moduleOf(address);
    if (module === undefined) return null;
    const symbol = lastAtOrBelow(this.#symbolsOf(module), address) ?? lastAtOrBelow(this.#sectionsOf(module), address);
    const start = symbol?.address ?? module.ranges[0]?.start ?? address;
    return { module: module.name, symbol: symbol?.name ?? null, offset: address - start };
  }

  /** Addresses of a symbol of a module. */
  addresses(module: string, symbol: string): readonly bigint[] {
    return this.#modules
      .filter(({ name }) => name === module)
      .flatMap((found) => this.#symbolsOf(found).filter(({ name }) => name === symbol))
      .map(({ address }) => address);
  }

  #moduleOf(address: bigint): LoadedModule | undefined {
    return this.#modules.find(({ ranges }) => ranges.some(({ start, end }) => address >= start && address < end));
  }

  #symbolsOf(module: LoadedModule): readonly ModuleSymbol[] {
    let symbols = this.#symbols.get(module);
    if (symbols === undefined) {
      symbols = this.#readSymbols(module);
      this.#symbols.set(module, symbols);
    }
    return symbols;
  }

  /**
   * An ELF symbol table whose values are addresses: in a struct mod_kallsyms since 8244062ef1e5 (4.5), in the module itself before.
   */
  #readSymbols({ address }: LoadedModule): readonly ModuleSymbol[] {
    const types = requireTypes(this.#kernel, 'module');
    const isApart = types.hasStruct('mod_kallsyms');
    const holder = isApart ? this.#read.member(address, types.struct('module'), 'kallsyms') : address;
    if (holder === null || holder === 0n) return [];
    const type = types.struct(isApart ? 'mod_kallsyms' : 'module');
    const count = Number(this.#read.member(holder, type, 'num_symtab') ?? 0n);
    const table = this.#read.member(holder, type, 'symtab');
    const names = this.#read.member(holder, type, 'strtab');
    if (table === null || names === null || count > MOST_SYMBOLS) return [];
    const wide = this.#kernel.bits === 64;
    const size = wide ? 24 : 16;
    const bytes = this.#read.bytes(table, count * size);
    if (bytes === null) return [];
    const words = new Words(bytes, this.#kernel);
    const symbols: ModuleSymbol[] = [];
    for (let index = 0; index < count; index++) {
      const at = index * size;
      const section = words.uint16(at + (wide ? 6 : 14));
      const value = words.word(at + (wide ? 8 : 4));
      if (section === 0 || value === 0n) continue;
      const name = this.#read.text(names + BigInt(words.uint32(at)), LONGEST_SYMBOL);
      // Mapping symbols ($x, $d) and compilers' labels name no function.
      if (name !== null && name !== '' && !/^[$.]/.test(name)) symbols.push({ name, address: value });
    }
    return symbols.sort((left, right) => (left.address < right.address ? -1 : 1));
  }

  /** struct module_sect_attrs, up to 6.13 with an address of its own for each section. */
  #sectionsOf({ address }: LoadedModule): readonly ModuleSymbol[] {
    const types = requireTypes(this.#kernel, 'module');
    const type = types.struct('module');
    if (!type.has('sect_attrs') || !types.hasStruct('module_sect_attrs') || !types.hasStruct('module_sect_attr'))
      return [];
    const holder = types.struct('module_sect_attrs');
    const entry = types.struct('module_sect_attr');
    const name = ['battr.attr.name', 'name', 'mattr.attr.name'].find((path) => entry.has(path));
    const attributes = this.#read.member(address, type, 'sect_attrs');
    if (name === undefined || !entry.has('address') || !holder.has('attrs') || attributes === null) return [];
    const count = Number(this.#read.member(attributes, holder, 'nsections') ?? 0n);
    const sections: ModuleSymbol[] = [];
    for (let index = 0; index < count && index < MOST_SECTIONS; index++) {
      const at = attributes + BigInt(holder.offset('attrs') + index * entry.size);
      const text = this.#read.member(at, entry, name);
      const start = this.#read.member(at, entry, 'address');
      const label = text === null ? null : this.#read.text(text, 64);
      if (label !== null && start !== null) sections.push({ name: label, address: start });
    }
    return sections.sort((left, right) => (left.address < right.address ? -1 : 1));
  }
}

/**
 * Memory by kind since ac3b43283923 "module: replace module_layout with module_memory" (6.4); a layout for all of it since
 * 7523e4dc5057 (4.5), and one for data where they may lie apart (01dc0386efb7, 5.18); plain members before.
 */
function rangesOf(kernel: Kernel, read: MemoryReader, type: StructType, module: bigint): ModuleRange[] {
  const ranges: ModuleRange[] = [];
  const add = (start: bigint | null, size: bigint | null): void => {
    if (start !== null && size !== null && start !== 0n && size !== 0n) ranges.push({ start, end: start + size });
  };
  if (type.has('mem') && kernel.types?.hasStruct('module_memory')) {
    const memory = kernel.types.struct('module_memory');
    for (let kind = 0; kind < MOD_MEM_NUM_TYPES; kind++) {
      const at = module + BigInt(type.offset('mem') + kind * memory.size);
      add(read.member(at, memory, 'base'), read.member(at, memory, 'size'));
    }
    return ranges;
  }
  for (const layout of ['core_layout', 'data_layout', 'init_layout']) {
    if (!type.has(`${layout}.base`)) continue;
    add(read.member(module, type, `${layout}.base`), read.member(module, type, `${layout}.size`));
  }
  for (const part of ['core', 'init']) {
    if (type.has(`module_${part}`))
      add(read.member(module, type, `module_${part}`), read.member(module, type, `${part}_size`));
  }
  return ranges;
}

function lastAtOrBelow(symbols: readonly ModuleSymbol[], address: bigint): ModuleSymbol | undefined {
  return symbols[countBefore(symbols, (symbol) => symbol.address <= address) - 1];
}

/** The list of modules where no symbol says its head: by what it looks like in the kernel's own data. */
export function findModules(
  kernel: Kernel,
  data: { readonly address: bigint; readonly bytes: Uint8Array },
): Modules | null {
  const type = kernel.types?.hasStruct('module') ? kernel.types.struct('module') : null;
  if (!type?.has('list') || !type.has('name')) return null;
  const read = new MemoryReader(kernel);
  const words = new Words(data.bytes, kernel);
  const { wordBytes } = words;
  const end = data.address + BigInt(data.bytes.length);
  for (let at = 0; at + 2 * wordBytes <= words.length; at += wordBytes) {
    // Most words are no pointers: told without making a number of them.
    if (words.lowHalf(at) % wordBytes !== 0 || words.lowHalf(at + wordBytes) % wordBytes !== 0) continue;
    if (words.lowHalf(at) === 0 || words.lowHalf(at + wordBytes) === 0) continue;
    if (Math.abs(words.highHalf(at) - words.highHalf(at + wordBytes)) > 1) continue;
    const next = words.word(at);
    const head = data.address + BigInt(at);
    if (next >= data.address && next < end) continue;
    if (read.word(next + BigInt(wordBytes)) !== head) continue;
    const name = read.text(
      next - BigInt(type.offset('list')) + BigInt(type.offset('name')),
      nameLength(read.wordBytes),
    );
    if (name === null || !NAME.test(name)) continue;
    const found = Modules.at(kernel, head);
    if (found !== null && found.names.length > 0 && found.hasCode) return found;
  }
  return null;
}
