/**
 * A kernel reduced to what was asked of it: symbols, members of structures, enumerators, configuration. A shrunk dump carries
 * one, so that it can be judged without the image.
 */

import { findVariant } from '../../arch/index.js';
import { badInput, hex } from '../errors.js';
import { traitsOf } from '../introspect/traits.js';
import type {
  Bits,
  CheckTraits,
  Endian,
  Field,
  Kernel,
  KernelConfig,
  KernelSymbol,
  KernelVersion,
  StructType,
  SymbolTable,
  TypeTable,
} from '../kernel/kernel.js';

type Found = { readonly symbol: KernelSymbol; readonly offset: bigint };

/** As JSON, with addresses as 0x… strings. */
export interface KernelRecord {
  readonly variant: string;
  readonly bits: Bits;
  readonly endian: Endian;
  readonly version: KernelVersion;
  readonly symbols: Readonly<Record<string, string>>;
  /** Symbols that cover an address: [name, address, type, size]. */
  readonly places: Readonly<Record<string, readonly [string, string, string, string]>>;
  readonly source: TypeTable['source'] | null;
  readonly structs: Readonly<
    Record<string, { readonly size: number; readonly whole: boolean; readonly fields: readonly Field[] }>
  >;
  readonly enumerators: Readonly<Record<string, string>>;
  /** null: no configuration was known. */
  readonly config: Readonly<Record<string, string>> | null;
  /** Absent in dumps of earlier versions of this program. */
  readonly traits?: CheckTraits;
}

/** Answers as `kernel` does, and remembers what was asked. */
export class RecordingKernel {
  readonly kernel: Kernel;
  readonly #source: Kernel;
  readonly #symbols = new Map<string, bigint>();
  readonly #places = new Map<bigint, Found>();
  readonly #structs = new Map<string, { type: StructType; whole: boolean; fields: Map<string, Field> }>();
  readonly #enumerators = new Map<string, bigint>();
  readonly #config = new Map<string, string>();

  constructor(kernel: Kernel) {
    this.#source = kernel;
    this.kernel = Object.freeze({
      ...kernel,
      symbols: this.#recordSymbols(kernel.symbols),
      types: kernel.types && this.#recordTypes(kernel.types),
      config: kernel.config && this.#recordConfig(kernel.config),
    });
  }

  get record(): KernelRecord {
    const { variant, bits, endian, version, types, config } = this.#source;
    return {
      variant,
      bits,
      endian,
      version,
      symbols: Object.fromEntries([...this.#symbols].map(([name, address]) => [name, hex(address)])),
      places: Object.fromEntries(
        [...this.#places].map(([address, { symbol }]) => [
          hex(address),
          [symbol.name, hex(symbol.address), symbol.type, hex(symbol.size)] as const,
        ]),
      ),
      source: types?.source ?? null,
      structs: Object.fromEntries(
        [...this.#structs].map(([name, { type, whole, fields }]) => [
          name,
          {
            size: type.size,
            whole,
            fields: whole ? [...new Set([...type.members, ...fields.values()])] : [...fields.values()],
          },
        ]),
      ),
      enumerators: Object.fromEntries([...this.#enumerators].map(([name, value]) => [name, String(value)])),
      config: config && Object.fromEntries(this.#config),
      ...this.#traits(),
    };
  }

  #traits(): { traits?: CheckTraits } {
    const variant = findVariant(this.#source.variant);
    return variant === null ? {} : { traits: traitsOf(this.#source, variant) };
  }

  #recordSymbols(table: SymbolTable): SymbolTable {
    const note = (name: string, address: bigint | undefined): bigint | undefined => {
      if (address !== undefined) this.#symbols.set(name, address);
      return address;
    };
    return {
      count: table.count,
      source: table.source,
      address: (name) => note(name, table.address(name)),
      get: (name) => {
        note(name, table.address(name));
        return table.get(name);
      },
      all: (name) => {
        note(name, table.address(name));
        return table.all(name);
      },
      find: (address) => {
        const found = table.find(address);
        if (found) this.#places.set(address, found);
        return found;
      },
      [Symbol.iterator]: () => table[Symbol.iterator](),
    };
  }

  #recordTypes(types: TypeTable): TypeTable {
    const entry = (name: string) => {
      let known = this.#structs.get(name);
      if (!known) {
        known = { type: types.struct(name), whole: false, fields: new Map() };
        this.#structs.set(name, known);
      }
      return known;
    };
    return {
      source: types.source,
      hasStruct: (name) => {
        const has = types.hasStruct(name);
        if (has) entry(name);
        return has;
      },
      struct: (name) => {
        const known = entry(name);
        const { type, fields } = known;
        const field = (path: string): Field | undefined => {
          const found = type.field(path);
          if (found) fields.set(path, found);
          return found;
        };
        return {
          name: type.name,
          size: type.size,
          get members() {
            known.whole = true;
            return type.members;
          },
          field,
          has: (path) => field(path) !== undefined,
          offset: (path) => field(path)?.offset ?? type.offset(path),
        };
      },
      enumerator: (name) => {
        const value = types.enumerator(name);
        if (value !== undefined) this.#enumerators.set(name, value);
        return value;
      },
    };
  }

  #recordConfig(config: KernelConfig): KernelConfig {
    const get = (name: string): string | undefined => {
      const value = config.get(name);
      if (value !== undefined) this.#config.set(name.replace(/^CONFIG_/, ''), value);
      return value;
    };
    return {
      get,
      enabled: (name) => {
        get(name);
        return config.enabled(name);
      },
    };
  }
}

/** The kernel that a record is of; what was not asked then is not known. */
export function kernelFromRecord(
  record: KernelRecord,
  read: (address: bigint, length: number) => Uint8Array | undefined,
): Kernel {
  const symbols = new Map(Object.entries(record.symbols).map(([name, address]) => [name, BigInt(address)]));
  const places = new Map(
    Object.entries(record.places).map(([address, [name, start, type, size]]) => [
      BigInt(address),
      { name, address: BigInt(start), type, size: BigInt(size) },
    ]),
  );
  const symbol = (name: string): KernelSymbol | undefined => {
    const address = symbols.get(name);
    return address === undefined ? undefined : { name, address, type: '?', size: 0n };
  };
  const { config, source } = record;
  const plain = (name: string): string => name.replace(/^CONFIG_/, '');
  return Object.freeze({
    variant: record.variant,
    bits: record.bits,
    endian: record.endian,
    segments: [],
    version: record.version,
    traits: record.traits,
    read,
    symbols: {
      count: symbols.size,
      source: 'none' as const,
      address: (name: string) => symbols.get(name),
      get: symbol,
      all: (name: string) => [symbol(name)].filter((found) => found !== undefined),
      find: (address: bigint) => {
        const found = places.get(address);
        return found && { symbol: found, offset: address - found.address };
      },
      *[Symbol.iterator]() {
        for (const name of symbols.keys()) {
          const found = symbol(name);
          if (found) yield found;
        }
      },
    },
    types: source && recordedTypes(record, source),
    config: config && {
      get: (name: string) => config[plain(name)],
      enabled: (name: string) => ['y', 'm'].includes(config[plain(name)] ?? ''),
    },
  });
}

function recordedTypes({ structs, enumerators }: KernelRecord, source: TypeTable['source']): TypeTable {
  const has = (name: string): boolean => Object.hasOwn(structs, name);
  return {
    source,
    hasStruct: has,
    struct(name) {
      const found = has(name) ? structs[name] : undefined;
      if (!found) throw badInput('kernel record', `a struct ${name}`, 'none of this name');
      const { size, fields } = found;
      const field = (path: string): Field | undefined => fields.find((candidate) => candidate.path === path);
      return {
        name,
        size,
        members: fields,
        field,
        has: (path) => field(path) !== undefined,
        offset(path) {
          const member = field(path);
          if (!member) throw badInput('kernel record', `a member ${path} of struct ${name}`, 'none of this name');
          return member.offset;
        },
      };
    },
    enumerator(name) {
      const value = Object.hasOwn(enumerators, name) ? enumerators[name] : undefined;
      return value === undefined ? undefined : BigInt(value);
    },
  };
}
