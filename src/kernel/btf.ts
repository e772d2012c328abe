/**
 * BTF, the kernel's own description of its types (Documentation/bpf/btf.rst), to 6.12's kinds. Types are indexed in one
 * pass; members are read when asked for. Nothing in it is trusted: every walk through types is bounded.
 */
import { badInput, UsercopyError } from '../errors.js';
import { isElf, parseElf, sectionBytes } from './elf.js';
import type { Endian, Field, StructType, TypeTable } from './kernel.js';
import { decompress } from './payload/decompress.js';

const MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
/** Largest type data that is believed, unpacked; bytes. */
const LIMIT = 256 << 20;
/** Types that may stand between a name and what it means (typedefs, qualifiers, nested anonymous structs). */
const DEPTH_LIMIT = 64;
/** Members that one question may look at. */
const MEMBER_LIMIT = 200_000;

enum Kind {
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

/** Finds BTF in raw memory by its header: magic, version 1, strings right behind the types. */
export function findBtf(bytes: Uint8Array, endian: Endian): Uint8Array | null {
  const little = endian === 'little';
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const signature = Buffer.from(little ? [0x9f, 0xeb, 1, 0, 24, 0, 0, 0] : [0xeb, 0x9f, 1, 0, 0, 0, 0, 24]);
  for (let at = buffer.indexOf(signature); at >= 0; at = buffer.indexOf(signature, at + 1)) {
    if (at + HEADER_SIZE > bytes.length) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_SIZE);
    const [typeStart, typeLength, stringStart, stringLength] = [8, 12, 16, 20].map((field) =>
      view.getUint32(field, little),
    );
    const end = HEADER_SIZE + stringStart! + stringLength!;
    if (typeStart === 0 && typeLength! > 0 && stringStart === typeLength && at + end <= bytes.length)
      return bytes.subarray(at, at + end);
  }
  return null;
}

/** Reads a side file: raw BTF, compressed BTF, or an ELF file with a .BTF section. */
export async function readBtf(file: Uint8Array, where: string): Promise<TypeTable> {
  const bytes = (await decompress(file, 0, LIMIT))?.bytes ?? file;
  if (!isElf(bytes)) return parseBtf(bytes, where);
  const elf = parseElf(bytes, where);
  const section = sectionBytes(elf, '.BTF');
  if (section === undefined) throw badInput(where, 'an ELF file with a .BTF section', 'one without');
  return parseBtf(section, where, elf.endian);
}

/**
 * Indexes BTF.
 * @param where names the data in errors
 * @param endian the byte order that it must have; told by its magic when absent
 */
export function parseBtf(bytes: Uint8Array, where: string, endian?: Endian): TypeTable {
  if (bytes.length < HEADER_SIZE)
    throw badInput(where, `a BTF header of ${HEADER_SIZE} bytes`, `${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = view.getUint16(0, true) === MAGIC;
  if (!little && view.getUint16(0, false) !== MAGIC)
    throw badInput(where, 'BTF (magic eb9f)', `0x${view.getUint16(0).toString(16).padStart(4, '0')}`);
  if (endian !== undefined && little !== (endian === 'little'))
    throw badInput(where, `${endian}-endian BTF`, 'the other byte order');
  const header = view.getUint32(4, little);
  const [typeStart, typeLength, stringStart, stringLength] = [8, 12, 16, 20].map((at) => view.getUint32(at, little));
  const types = { start: header + typeStart!, end: header + typeStart! + typeLength! };
  const strings = { start: header + stringStart!, end: header + stringStart! + stringLength! };
  if (bytes[2] !== 1 || header < HEADER_SIZE || types.end > bytes.length || strings.end > bytes.length)
    throw badInput(
      where,
      'BTF version 1 with its types and strings inside the data',
      `version ${bytes[2]}, types up to byte ${types.end}, strings up to ${strings.end} of ${bytes.length}`,
    );
  return new BtfTypeTable(bytes, view, little, types, strings, where);
}

interface Extent {
  readonly start: number;
  readonly end: number;
}

/** What a name or reference leads to once typedefs and qualifiers are looked through. */
interface Member {
  readonly name: string;
  readonly type: number;
  /** From the start of the structure that was asked about. */
  readonly bitOffset: number;
  /** Bits of a bitfield, else 0. */
  readonly bitSize: number;
}

class BtfTypeTable implements TypeTable {
  readonly source = 'btf';
  /** Byte offset of each type by its id; id 0 is void. */
  readonly #types: Uint32Array;
  /** Name (its offset in the strings) to ids, of structs and unions, and of typedefs. */
  #names: Map<string, number> | null = null;
  #enumerators: Map<string, bigint> | null = null;
  readonly #structs = new Map<string, StructType>();

  constructor(
    readonly bytes: Uint8Array,
    readonly view: DataView,
    readonly little: boolean,
    readonly extent: Extent,
    readonly strings: Extent,
    readonly where: string,
  ) {
    this.#types = this.#index();
  }

  struct(name: string): StructType {
    let struct = this.#structs.get(name);
    if (struct === undefined) {
      const id = this.#lookup(name);
      if (id === undefined)
        throw new UsercopyError('unsupported', `${this.where}: expected a struct ${name}, found none of this name`);
      struct = new BtfStruct(this, name, id);
      this.#structs.set(name, struct);
    }
    return struct;
  }

  hasStruct(name: string): boolean {
    return this.#lookup(name) !== undefined;
  }

  enumerator(name: string): bigint | undefined {
    this.#enumerators ??= this.#collectEnumerators();
    return this.#enumerators.get(name);
  }

  /** Members of a struct or union as written, anonymous ones not looked through. */
  *members(id: number, base: number): Generator<Member> {
    const at = this.#types[id]!;
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
    return this.view.getUint32(at, this.little);
  }

  string(offset: number): string {
    const start = this.strings.start + offset;
    if (offset === 0 || start >= this.strings.end) return '';
    const end = this.bytes.indexOf(0, start);
    const stop = end < 0 || end > this.strings.end ? this.strings.end : end;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, Math.min(stop - start, 512)).toString(
      'latin1',
    );
  }

  get pointerSize(): number {
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

  #lookup(name: string): number | undefined {
    this.#names ??= this.#collectNames();
    return this.#names.get(name);
  }

  /** Structs and unions; then typedefs of anonymous ones (`atomic_t`), which never hide a struct. */
  #collectNames(): Map<string, number> {
    const names = new Map<string, number>();
    const typedefs: number[] = [];
    for (let id = 1; id < this.#types.length; id++) {
      const at = this.#types[id]!;
      const kind = (this.uint32(at + 4) >>> 24) & 0x1f;
      if (kind === Kind.Typedef) typedefs.push(id);
      if (kind !== Kind.Struct && kind !== Kind.Union) continue;
      const nameOffset = this.uint32(at);
      if (nameOffset === 0) continue;
      const name = this.string(nameOffset);
      if (!names.has(name)) names.set(name, id);
    }
    for (const id of typedefs) {
      const target = this.uint32(this.#types[id]! + 8);
      if (target === 0 || !this.isStruct(target) || this.uint32(this.#at(target)) !== 0) continue;
      const name = this.string(this.uint32(this.#types[id]!));
      if (!names.has(name)) names.set(name, target);
    }
    return names;
  }

  #collectEnumerators(): Map<string, bigint> {
    const values = new Map<string, bigint>();
    for (let id = 1; id < this.#types.length; id++) {
      const at = this.#types[id]!;
      const info = this.uint32(at + 4);
      const kind = (info >>> 24) & 0x1f;
      if (kind !== Kind.Enum && kind !== Kind.Enum64) continue;
      const isSigned = info >>> 31 === 1;
      const entrySize = kind === Kind.Enum ? 8 : 12;
      for (let index = 0; index < (info & 0xffff); index++) {
        const entry = at + 12 + index * entrySize;
        const name = this.string(this.uint32(entry));
        if (values.has(name)) continue;
        const low = this.uint32(entry + 4);
        if (kind === Kind.Enum64) {
          const value = (BigInt(this.uint32(entry + 8)) << 32n) | BigInt(low);
          values.set(name, isSigned ? BigInt.asIntN(64, value) : value);
        } else values.set(name, BigInt(isSigned ? low | 0 : low));
      }
    }
    return values;
  }

  #integer(name: string): number | undefined {
    for (let id = 1; id < Math.min(this.#types.length, 4096); id++)
      if (this.kind(id) === Kind.Int && this.string(this.uint32(this.#types[id]!)) === name) return id;
    return undefined;
  }
}

class BtfStruct implements StructType {
  readonly size: number;
  #members: readonly Field[] | null = null;
  readonly #fields = new Map<string, Field | null>();

  constructor(
    readonly table: BtfTypeTable,
    readonly name: string,
    readonly id: number,
  ) {
    this.size = table.size(id);
  }

  get members(): readonly Field[] {
    this.#members ??= [...flatten(this.table, this.id, 0, { left: MEMBER_LIMIT }, 0)].map((member) =>
      fieldOf(this.table, member, member.name),
    );
    return this.#members;
  }

  offset(path: string): number {
    const field = this.field(path);
    if (field === undefined)
      throw new UsercopyError(
        'unsupported',
        `${this.table.where}: expected a member ${path} of struct ${this.name}, found none of this name`,
      );
    return field.offset;
  }

  has(path: string): boolean {
    return this.field(path) !== undefined;
  }

  field(path: string): Field | undefined {
    let field = this.#fields.get(path);
    if (field === undefined) {
      field = this.#find(path);
      this.#fields.set(path, field);
    }
    return field ?? undefined;
  }

  #find(path: string): Field | null {
    const budget = { left: MEMBER_LIMIT };
    let struct = this.id;
    let base = 0;
    let member: Member | undefined;
    for (const name of path.split('.')) {
      if (member !== undefined) {
        struct = this.table.resolve(member.type);
        if (!this.table.isStruct(struct)) return null;
        base = member.bitOffset;
      }
      member = undefined;
      for (const candidate of flatten(this.table, struct, base, budget, 0)) {
        if (candidate.name !== name) continue;
        member = candidate;
        break;
      }
      if (member === undefined) return null;
    }
    return member === undefined ? null : fieldOf(this.table, member, path);
  }
}

/** Members with those of anonymous structs and unions in their place, as C sees them. */
function* flatten(
  table: BtfTypeTable,
  id: number,
  base: number,
  budget: { left: number },
  depth: number,
): Generator<Member> {
  if (depth > DEPTH_LIMIT)
    throw badInput(table.where, `at most ${DEPTH_LIMIT} nested structs`, `more, from type ${id} on`);
  for (const member of table.members(id, base)) {
    if (budget.left-- <= 0) throw badInput(table.where, `at most ${MEMBER_LIMIT} members`, 'more (a loop of types?)');
    if (member.name !== '') yield member;
    else {
      const inner = table.resolve(member.type);
      if (table.isStruct(inner)) yield* flatten(table, inner, member.bitOffset, budget, depth + 1);
    }
  }
}

function fieldOf(table: BtfTypeTable, member: Member, path: string): Field {
  const narrow = member.bitSize > 0 ? { offset: 0, size: member.bitSize } : table.intBits(member.type);
  const type = table.describe(member.type);
  if (narrow === null) return { path, offset: member.bitOffset / 8, bits: null, size: table.size(member.type), type };
  const first = member.bitOffset + narrow.offset;
  return {
    path,
    offset: Math.floor(first / 8),
    bits: { offset: first % 8, size: narrow.size },
    size: Math.ceil(((first % 8) + narrow.size) / 8),
    type,
  };
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
