/** BTF asked by name: structs, their members, enumerators. */
import { badInput, UsercopyError } from '../errors.js';
import { type BtfTypes, DEPTH_LIMIT, Kind, type Member } from './btf-types.js';
import type { Field, StructType, TypeTable } from './kernel.js';

/** Members that one question may look at. */
const MEMBER_LIMIT = 200_000;
/** Most enumerators of all enums; kernels have 30 000. */
const ENUMERATOR_LIMIT = 1_000_000;

export class BtfTypeTable implements TypeTable {
  readonly source = 'btf';
  /** Ids of structs and unions, by name, and of anonymous ones by their typedef. */
  #names: Map<string, number> | null = null;
  #enumerators: Map<string, bigint> | null = null;
  readonly #structs = new Map<string, StructType>();

  constructor(private readonly types: BtfTypes) {}

  struct(name: string): StructType {
    let struct = this.#structs.get(name);
    if (struct === undefined) {
      const id = this.#lookup(name);
      if (id === undefined)
        throw new UsercopyError(
          'unsupported',
          `${this.types.where}: expected a struct ${name}, found none of this name`,
        );
      struct = new BtfStruct(this.types, name, id);
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

  #lookup(name: string): number | undefined {
    this.#names ??= this.#collectNames();
    return this.#names.get(name);
  }

  /** Structs and unions; then typedefs of anonymous ones (`atomic_t`), which never hide a struct. */
  #collectNames(): Map<string, number> {
    const names = new Map<string, number>();
    const typedefs: number[] = [];
    for (let id = 1; id < this.types.count; id++) {
      const { kind, name: nameOffset } = this.types.header(id);
      if (kind === Kind.Typedef) typedefs.push(id);
      if (kind !== Kind.Struct && kind !== Kind.Union) continue;
      if (nameOffset === 0) continue;
      const name = this.types.string(nameOffset);
      if (!names.has(name)) names.set(name, id);
    }
    for (const id of typedefs) {
      const { at, name: nameOffset } = this.types.header(id);
      const target = this.types.uint32(at + 8);
      if (!this.types.isStruct(target) || this.types.header(target).name !== 0) continue;
      const name = this.types.string(nameOffset);
      if (!names.has(name)) names.set(name, target);
    }
    return names;
  }

  #collectEnumerators(): Map<string, bigint> {
    const values = new Map<string, bigint>();
    for (let id = 1; id < this.types.count; id++) {
      const { at, info, kind } = this.types.header(id);
      if (kind !== Kind.Enum && kind !== Kind.Enum64) continue;
      const isSigned = info >>> 31 === 1;
      const entrySize = kind === Kind.Enum ? 8 : 12;
      for (let index = 0; index < (info & 0xffff); index++) {
        const entry = at + 12 + index * entrySize;
        const name = this.types.string(this.types.uint32(entry));
        if (values.has(name)) continue;
        if (values.size === ENUMERATOR_LIMIT)
          throw badInput(this.types.where, `at most ${ENUMERATOR_LIMIT} enumerators`, 'more');
        const low = this.types.uint32(entry + 4);
        if (kind === Kind.Enum64) {
          const value = (BigInt(this.types.uint32(entry + 8)) << 32n) | BigInt(low);
          values.set(name, isSigned ? BigInt.asIntN(64, value) : value);
        } else values.set(name, BigInt(isSigned ? low | 0 : low));
      }
    }
    return values;
  }
}

class BtfStruct implements StructType {
  readonly size: number;
  #members: readonly Field[] | null = null;
  readonly #fields = new Map<string, Field | null>();

  constructor(
    readonly types: BtfTypes,
    readonly name: string,
    readonly id: number,
  ) {
    this.size = types.size(id);
  }

  get members(): readonly Field[] {
    this.#members ??= [...flatten(this.types, this.id, 0, { left: MEMBER_LIMIT }, 0)].map((member) =>
      fieldOf(this.types, member, member.name),
    );
    return this.#members;
  }

  offset(path: string): number {
    const field = this.field(path);
    if (field === undefined)
      throw new UsercopyError(
        'unsupported',
        `${this.types.where}: expected a member ${path} of struct ${this.name}, found none of this name`,
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
        struct = this.types.resolve(member.type);
        if (!this.types.isStruct(struct)) return null;
        base = member.bitOffset;
      }
      member = undefined;
      for (const candidate of flatten(this.types, struct, base, budget, 0)) {
        if (candidate.name !== name) continue;
        member = candidate;
        break;
      }
      if (member === undefined) return null;
    }
    return member === undefined ? null : fieldOf(this.types, member, path);
  }
}

/** Members with those of anonymous structs and unions in their place, as C sees them. */
function* flatten(
  types: BtfTypes,
  id: number,
  base: number,
  budget: { left: number },
  depth: number,
): Generator<Member> {
  if (depth > DEPTH_LIMIT)
    throw badInput(types.where, `at most ${DEPTH_LIMIT} nested structs`, `more, from type ${id} on`);
  for (const member of types.members(id, base)) {
    if (budget.left-- <= 0) throw badInput(types.where, `at most ${MEMBER_LIMIT} members`, 'more (a loop of types?)');
    if (member.name !== '') yield member;
    else {
      const inner = types.resolve(member.type);
      if (types.isStruct(inner)) yield* flatten(types, inner, member.bitOffset, budget, depth + 1);
    }
  }
}

function fieldOf(types: BtfTypes, member: Member, path: string): Field {
  const narrow = member.bitSize > 0 ? { offset: 0, size: member.bitSize } : types.intBits(member.type);
  const type = types.describe(member.type);
  if (narrow === null) return { path, offset: member.bitOffset / 8, bits: null, size: types.size(member.type), type };
  const first = member.bitOffset + narrow.offset;
  return {
    path,
    offset: Math.floor(first / 8),
    bits: { offset: first % 8, size: narrow.size },
    size: Math.ceil(((first % 8) + narrow.size) / 8),
    type,
  };
}
