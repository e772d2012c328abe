/** BTF's types by id: what kind each is, what it leads to, its size, and how C would write it. */
import { badInput } from '../errors.js';
import { latin1 } from './bytes.js';
import type { Words } from './words.js';

/** Types that may stand between a name and what it means (typedefs, qualifiers, nested anonymous structs). */
export const DEPTH_LIMIT = 64;

/** Most types; 6.12 with everything built in has 200 000. */
const TYPE_LIMIT = 2_000_000;

export enum Kind {
  Int = 1,
  Pointer,
  Array,
  Struct,
  Union,
  Enum,
  Forward,
  Typedef,
  Volatile,
  Const,
  Restrict,
  Function,
  FunctionPrototype,
  Variable,
  DataSection,
  Float,
  DeclarationTag,
  TypeTag,
  Enum64,
}
const LAST_KIND = Kind.Enum64;

export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** A member as its structure has it. */
export interface Member {
  readonly name: string;
  readonly type: number;
  /** From the start of the structure that was asked about. */
  readonly bitOffset: number;
  /** Bits of a bitfield, else 0. */
  readonly bitSize: number;
}

/** Types by id, as BTF has them. Every walk through them is bounded. */
export class BtfTypes {
  /** Byte offset of each type by its id; id 0 is void. */
  readonly #types: Uint32Array;
  #pointerSize: number | null = null;
  constructor(
    readonly words: Words,
    readonly extent: Extent,
    readonly strings: Extent,
    readonly where: string,
  ) {
    this.#types = this.#index();
  }

  /** Members of a struct or union as written, anonymous ones not looked through. */
  *members(id: number, base: number): Generator<Member> {
    const at = this.#at(id);
    const info = this.uint32(at + 4);
    const bitfields = info >>> 31 === 1;
    const count = info & 0xffff;
    for (let index = 0; index < count; index++) {
      const member = at + 12 + index * 12;
      const offset = this.uint32(member + 8);
      const type = this.uint32(member + 4);
      // With kind_flag the upper byte is the width; without it an INT of odd width says so itself (before 5.0).
      const bitSize = bitfields ? offset >>> 24 : 0;
      yield {
        name: this.string(this.uint32(member)),
        type,
        bitOffset: base + (bitfields ? offset & 0xffffff : offset),
        bitSize,
      };
    }
  }

  /** One more than the highest id. */
  get count(): number {
    return this.#types.length;
  }

  /** Where a type's bytes are, the offset of its name among the strings, its info word and the kind in that. */
  header(id: number): { readonly at: number; readonly name: number; readonly info: number; readonly kind: number } {
    const at = this.#at(id);
    const info = this.uint32(at + 4);
    return { at, name: this.uint32(at), info, kind: (info >>> 24) & 0x1f };
  }

  kind(id: number): number {
    return id === 0 ? 0 : (this.uint32(this.#at(id) + 4) >>> 24) & 0x1f;
  }

  /** Through typedefs, qualifiers and tags. */
  resolve(id: number): number {
    let type = id;
    for (let depth = 0; depth < DEPTH_LIMIT; depth++) {
      const kind = this.kind(type);
      const isName =
        kind === Kind.Typedef ||
        kind === Kind.Volatile ||
        kind === Kind.Const ||
        kind === Kind.Restrict ||
        kind === Kind.TypeTag;
      if (!isName) return type;
      type = this.uint32(this.#at(type) + 8);
    }
    throw badInput(this.where, `at most ${DEPTH_LIMIT} typedefs in a row`, `more, from type ${id} on`);
  }

  isStruct(id: number): boolean {
    const kind = this.kind(id);
    return kind === Kind.Struct || kind === Kind.Union;
  }

  /** Bytes. Pointers take the size of `unsigned long`. */
  size(id: number): number {
    let type = this.resolve(id);
    let elements = 1;
    for (let depth = 0; depth < DEPTH_LIMIT; depth++) {
      const at = type === 0 ? 0 : this.#at(type);
      switch (this.kind(type)) {
        case Kind.Int:
        case Kind.Struct:
        case Kind.Union:
        case Kind.Enum:
        case Kind.Float:
        case Kind.Enum64:
        case Kind.DataSection:
          return elements * this.uint32(at + 8);
        case Kind.Pointer:
          return elements * this.pointerSize;
        case Kind.Array:
          elements *= this.uint32(at + 20);
          type = this.resolve(this.uint32(at + 12));
          break;
        default:
          return 0;
      }
    }
    throw badInput(this.where, `at most ${DEPTH_LIMIT} array dimensions`, `more, from type ${id} on`);
  }

  /** A type as C would write it, without a declarator's name. */
  describe(id: number, depth = 0): string {
    if (id === 0) return 'void';
    if (depth > DEPTH_LIMIT) return '…';
    const at = this.#at(id);
    const name = this.string(this.uint32(at));
    const inner = () => this.describe(this.uint32(at + 8), depth + 1);
    switch (this.kind(id)) {
      case Kind.Pointer: {
        const target = inner();
        if (target.endsWith(')')) return target.replace('(', '(*)(');
        return target.endsWith('*') ? `${target}*` : `${target} *`;
      }
      case Kind.Array: {
        const element = this.describe(this.uint32(at + 12), depth + 1);
        const dimensions = element.indexOf('[');
        const own = `[${this.uint32(at + 20)}]`;
        return dimensions < 0 ? element + own : element.slice(0, dimensions) + own + element.slice(dimensions);
      }
      case Kind.Struct:
        return name === '' ? 'struct' : `struct ${name}`;
      case Kind.Union:
        return name === '' ? 'union' : `union ${name}`;
      case Kind.Enum:
      case Kind.Enum64:
        return name === '' ? 'enum' : `enum ${name}`;
      case Kind.Forward:
        return `${this.uint32(at + 4) >>> 31 === 1 ? 'union' : 'struct'} ${name}`;
      case Kind.Volatile:
        return qualified(inner(), 'volatile');
      case Kind.Const:
        return qualified(inner(), 'const');
      case Kind.Restrict:
        return qualified(inner(), 'restrict');
      case Kind.TypeTag:
        return inner();
      case Kind.FunctionPrototype:
        return `${inner()} ()`;
      default:
        return name;
    }
  }

  /** Bits of an INT that is narrower than its bytes: how bitfields were told before kind_flag. */
  intBits(id: number): { offset: number; size: number } | null {
    const type = this.resolve(id);
    if (this.kind(type) !== Kind.Int) return null;
    const at = this.#at(type);
    const encoding = this.uint32(at + 12);
    const size = encoding & 0xff;
    return size === this.uint32(at + 8) * 8 ? null : { offset: (encoding >>> 16) & 0xff, size };
  }

  uint32(at: number): number {
    return this.words.uint32(at);
  }

  string(offset: number): string {
    const start = this.strings.start + offset;
    if (offset === 0 || start >= this.strings.end) return '';
    const end = this.words.bytes.indexOf(0, start);
    const stop = end < 0 || end > this.strings.end ? this.strings.end : end;
    return latin1(this.words.bytes, start, Math.min(stop, start + 512));
  }

  /** Bytes of a pointer: BTF does not say, but every kernel has `unsigned long`. */
  get pointerSize(): number {
    this.#pointerSize ??= this.#sizeOfLong();
    return this.#pointerSize;
  }

  #sizeOfLong(): number {
    for (const name of ['long unsigned int', 'unsigned long', 'long int', 'long']) {
      const id = this.#integer(name);
      if (id !== undefined) return this.uint32(this.#at(id) + 8);
    }
    return 8;
  }

  #at(id: number): number {
    const at = this.#types[id];
    if (at === undefined || id === 0)
      throw badInput(this.where, `a type id below ${this.#types.length}`, `a reference to type ${id}`);
    return at;
  }

  #index(): Uint32Array {
    let types = new Uint32Array(1 << 16);
    let count = 1;
    let at = this.extent.start;
    while (at < this.extent.end) {
      if (at + 12 > this.extent.end) throw badInput(this.where, 'a whole type', `${this.extent.end - at} bytes of one`);
      if (count === types.length) {
        if (count > TYPE_LIMIT) throw badInput(this.where, `at most ${TYPE_LIMIT} types`, 'more');
        const larger = new Uint32Array(types.length * 2);
        larger.set(types);
        types = larger;
      }
      types[count++] = at;
      const info = this.uint32(at + 4);
      const kind = (info >>> 24) & 0x1f;
      if (kind === 0 || kind > LAST_KIND)
        throw badInput(this.where, `kinds 1 to ${LAST_KIND} (Linux 6.12)`, `kind ${kind} of type ${count - 1}`);
      at += 12 + sizeAfterHeader(kind, info & 0xffff);
    }
    if (at !== this.extent.end)
      throw badInput(this.where, 'a whole last type', `${at - this.extent.end} bytes too few`);
    return types.slice(0, count);
  }

  #integer(name: string): number | undefined {
    for (let id = 1; id < Math.min(this.#types.length, 4096); id++)
      if (this.kind(id) === Kind.Int && this.string(this.uint32(this.#at(id))) === name) return id;
    return undefined;
  }
}

/** Bytes of a type behind its first twelve. */
function sizeAfterHeader(kind: number, count: number): number {
  switch (kind) {
    case Kind.Int:
    case Kind.Variable:
    case Kind.DeclarationTag:
      return 4;
    case Kind.Array:
      return 12;
    case Kind.Struct:
    case Kind.Union:
    case Kind.DataSection:
    case Kind.Enum64:
      return count * 12;
    case Kind.Enum:
    case Kind.FunctionPrototype:
      return count * 8;
    default:
      return 0;
  }
}

function qualified(type: string, word: string): string {
  return type.endsWith('*') ? `${type} ${word}` : `${word} ${type}`;
}
