/** Numbers that the WASM module exports: offsets of its structures and values of its enumerations. */
import { UsercopyError } from '../errors.js';
import { LITTLE, Words } from '../kernel/words.js';

export class Layout {
  /** Members by enumeration: asked for often, so that no name is put together for it. */
  readonly #numbers = new Map<string, Map<string, number>>();

  /** `numbers` by `Enumeration.member`. */
  constructor(numbers: ReadonlyMap<string, number>) {
    for (const [name, value] of numbers) {
      const [enumeration = '', member = ''] = name.split('.');
      const members = this.#numbers.get(enumeration) ?? new Map<string, number>();
      this.#numbers.set(enumeration, members.set(member, value));
    }
  }

  /** The member of an exported enumeration; an error when this is another module. */
  get(enumeration: string, member: string): number {
    const value = this.#numbers.get(enumeration)?.get(member);
    if (value === undefined) {
      throw new UsercopyError(
        'bad-input',
        `check.wasm: expected the export ${enumeration}.${member}, found none: it is of another version of this package; usercopy doctor says how to build it`,
      );
    }
    return value;
  }
}

/** `spans Reserved and non-Reserved pages` → `SPANS_RESERVED_AND_NON_RESERVED_PAGES`. */
export function constantName(words: string): string {
  return words.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
}

/** A structure in linear memory, its fields by name. Linear memory never grows, so the view stays good. */
export class Structure {
  readonly #words: Words;
  readonly #layout: Layout;
  readonly #enumeration: string;
  readonly offset: number;

  constructor(memory: WebAssembly.Memory, layout: Layout, enumeration: string, offset: number) {
    this.#words = new Words(new Uint8Array(memory.buffer), LITTLE);
    this.#layout = layout;
    this.#enumeration = enumeration;
    this.offset = offset;
  }

  #at(field: string): number {
    return this.offset + this.#layout.get(this.#enumeration, field);
  }

  setU8(field: string, value: number | boolean): void {
    this.#words.setUint8(this.#at(field), Number(value));
  }

  setU16(field: string, value: number): void {
    this.#words.setUint16(this.#at(field), value);
  }

  setU32(field: string, value: number): void {
    this.#words.setUint32(this.#at(field), value);
  }

  setU64(field: string, value: bigint): void {
    this.#words.setUint64(this.#at(field), value);
  }

  u8(field: string): number {
    return this.#words.uint8(this.#at(field));
  }

  u16(field: string): number {
    return this.#words.uint16(this.#at(field));
  }

  u32(field: string): number {
    return this.#words.uint32(this.#at(field));
  }

  u64(field: string): bigint {
    return this.#words.uint64(this.#at(field));
  }
}
