/**
 * Types of kernels whose images carry no BTF: small tables in `arch/<arch>/offsets/<release>.json`, made from BTF by
 * `scripts/make-offset-table.mjs`, with the structures that this project reads and nothing else.
 *
 * A distribution's stable updates may change a structure without changing the series. So a table serves the releases that
 * it lists and no others; a release is added to a list after its own BTF, or that of the same release on another
 * architecture, was compared, and its own check gave the same answers as ours.
 */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { badInput, UsercopyError } from '../errors.js';
import type { Field, StructType, TypeTable } from '../kernel/kernel.js';
import { isCount } from '../options.js';
import { packageFile } from '../paths.js';

/** Structures and members that tables hold, where the kernel has them. A path with a dot goes into a member. */
export const TABLE_STRUCTS: Readonly<Record<string, readonly string[]>> = {
  cpu_entry_area: [],
  cpuinfo_mips: ['vmbits'],
  cpuinfo_x86: ['x86_phys_bits'],
  folio: ['_folio_order', '_flags_1'],
  kfence_metadata: ['addr'],
  kmem_cache: [
    ...['name', 'size', 'object_size', 'useroffset', 'usersize', 'flags', 'red_left_pad', 'inuse', 'cpu_slab'],
    ...['num', 'reciprocal_buffer_size', 'obj_offset'],
  ],
  lowcore: ['current_task', 'kernel_asce', 'percpu_offset', 'kernel_stack'],
  mem_section: ['section_mem_map', 'usage'],
  mem_section_usage: ['subsection_map'],
  memblock: ['memory', 'reserved'],
  memblock_region: ['base', 'size', 'flags'],
  memblock_type: ['cnt', 'max', 'regions', 'name'],
  paca_struct: ['__current', 'kstack', 'data_offset', 'paca_index'],
  page: ['flags', 'compound_head', 'compound_info', 'compound_order', 'page_type', 'slab_cache', 's_mem'],
  pglist_data: ['node_mem_map', 'node_start_pfn'],
  prb_desc: ['state_var', 'text_blk_lpos.begin', 'text_blk_lpos.next'],
  printk_info: ['seq', 'ts_nsec', 'text_len'],
  printk_ringbuffer: [
    ...['desc_ring.count_bits', 'desc_ring.descs', 'desc_ring.infos'],
    ...['text_data_ring.size_bits', 'text_data_ring.data'],
  ],
  rb_node: ['__rb_parent_color', 'rb_left', 'rb_right'],
  signal_struct: ['thread_head'],
  slab: ['slab_cache', 's_mem'],
  task_struct: ['stack', 'stack_vm_area', 'tasks', 'thread_node', 'signal', 'pagefault_disabled', 'comm', 'pid'],
  thread_info: ['task', 'flags', 'cpu'],
  vm_struct: ['addr', 'size', 'flags'],
  vmap_area: ['va_start', 'va_end', 'rb_node', 'vm'],
  vmap_node: ['busy.root.rb_node'],
};

export const TABLE_ENUMERATORS: readonly string[] = [
  ...['PG_head', 'PG_reserved', 'PG_slab', 'PGTY_slab', 'MEMBLOCK_NOMAP'],
  ...['_SLAB_RED_ZONE', '_SLAB_POISON', '_SLAB_STORE_USER', '_SLAB_TYPESAFE_BY_RCU'],
  ...['FIX_KMAP_BEGIN', 'FIX_KMAP_END', '__end_of_permanent_fixed_addresses', '__end_of_fixed_addresses'],
];

/** What a table's file holds. A member is [offset, size] in bytes, and for a bitfield also [bit offset, width]. */
export interface OffsetTable {
  readonly variant: string;
  /** The release whose BTF it was made from. */
  readonly source: string;
  /** Releases that share it, that one among them. */
  readonly releases: readonly string[];
  readonly structs: Readonly<
    Record<string, { readonly size: number; readonly members: Readonly<Record<string, Member>> }>
  >;
  readonly enumerators: Readonly<Record<string, number>>;
}
type Member = readonly [offset: number, size: number] | readonly [number, number, bitOffset: number, width: number];

type Json = Readonly<Record<string, unknown>>;
const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const everyOf = (value: unknown, holds: (entry: unknown) => boolean): boolean =>
  isJson(value) && Object.values(value).every(holds);

/** [offset, size], and of a bit field two more. */
const isMember = (value: unknown): boolean =>
  Array.isArray(value) && (value.length === 2 || value.length === 4) && value.every(isCount);

const isStruct = (value: unknown): boolean =>
  isJson(value) && isCount(value['size']) && everyOf(value['members'], isMember);

/**
 * A table that was read from a file.
 * @throws UsercopyError `bad-input` for what is no table
 */
export function requireOffsetTable(value: unknown, where: string): OffsetTable {
  const refuse = (expected: string) => badInput(where, expected, 'something else');
  if (!isJson(value)) throw refuse('a table of types');
  const { variant, source, releases, structs, enumerators } = value;
  if (typeof variant !== 'string' || typeof source !== 'string') throw refuse('a variant and a source');
  if (!Array.isArray(releases) || !releases.every((release) => typeof release === 'string'))
    throw refuse('a list of releases');
  if (!everyOf(structs, isStruct)) throw refuse('structs with a size, and members as [offset, size]');
  if (!everyOf(enumerators, Number.isSafeInteger)) throw refuse('enumerators with whole numbers');
  // Every field was looked at.
  return value as unknown as OffsetTable;
}

/** The part of a kernel's types that tables hold. */
export function makeOffsetTable(types: TypeTable, variant: string, source: string): OffsetTable {
  const structs: Record<string, { size: number; members: Record<string, Member> }> = {};
  for (const [name, paths] of Object.entries(TABLE_STRUCTS)) {
    if (!types.hasStruct(name)) continue;
    const struct = types.struct(name);
    const members: Record<string, Member> = {};
    for (const path of paths) {
      const field = struct.field(path);
      if (!field) continue;
      members[path] = field.bits
        ? [field.offset, field.size, field.bits.offset, field.bits.size]
        : [field.offset, field.size];
    }
    structs[name] = { size: struct.size, members };
  }
  const enumerators: Record<string, number> = {};
  for (const name of TABLE_ENUMERATORS) {
    const value = types.enumerator(name);
    if (value !== undefined) enumerators[name] = Number(value);
  }
  return { variant, source, releases: [source], structs, enumerators };
}

/** Types out of a table. `where` names it in errors; `note` as in `TypeTable`. */
export function typesFromTable(table: OffsetTable, where: string, note?: string): TypeTable {
  const structs = new Map(
    Object.entries(table.structs).map(([name, { size, members }]) => [
      name,
      new TableStruct(name, size, members, where),
    ]),
  );
  return {
    source: 'table',
    note,
    hasStruct: (name) => structs.has(name),
    struct(name) {
      const struct = structs.get(name);
      if (!struct)
        throw new UsercopyError('unsupported', `${where}: expected a struct ${name}, found none of this name`);
      return struct;
    },
    enumerator(name) {
      const value = table.enumerators[name];
      return value === undefined ? undefined : BigInt(value);
    },
  };
}

/**
 * The table that serves a release; null when none does.
 * @param linuxArch folder in `arch/`
 */
export async function findOffsetTable(linuxArch: string, variant: string, release: string): Promise<TypeTable | null> {
  for (const { table, name } of await readTables(linuxArch))
    if (table.variant === variant && table.releases.includes(release)) return typesFromTable(table, name);
  return null;
}

/** `6.1.0-50-686-pae` → its series and what it was built for. */
function kindOf(release: string): { readonly major: number; readonly minor: number; readonly flavour: string } | null {
  const [, major, minor, rest = ''] = /^(\d+)\.(\d+)(.*)$/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return null;
  return { major: Number(major), minor: Number(minor), flavour: /-([a-z][a-z0-9-]*)$/.exec(rest)?.[1] ?? '' };
}

/**
 * Tables that may fit a release which none lists, the likeliest first: of the same series and flavour, then of the series, then of
 * the nearest series. Whether one fits has to be proved.
 */
export async function nearestOffsetTables(
  linuxArch: string,
  variant: string,
  release: string,
): Promise<readonly OffsetTable[]> {
  const wanted = kindOf(release);
  if (wanted === null) return [];
  const tables = (await readTables(linuxArch)).map(({ table }) => table).filter((table) => table.variant === variant);
  const distance = ({ source }: OffsetTable): number => {
    const kind = kindOf(source);
    if (kind === null) return Number.POSITIVE_INFINITY;
    const series = Math.abs((wanted.major - kind.major) * 20 + wanted.minor - kind.minor);
    return series * 2 + (kind.flavour === wanted.flavour ? 0 : 1);
  };
  return tables.sort((left, right) => distance(left) - distance(right));
}

async function readTables(linuxArch: string): Promise<{ table: OffsetTable; name: string }[]> {
  const directory = packageFile(join('arch', linuxArch, 'offsets'));
  const names = await fs.readdir(directory).catch(() => []);
  return Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map(async (name) => ({
        name: `offsets/${name}`,
        table: requireOffsetTable(JSON.parse(await fs.readFile(join(directory, name), 'utf8')), `offsets/${name}`),
      })),
  );
}

class TableStruct implements StructType {
  readonly members: readonly Field[];
  readonly #fields: ReadonlyMap<string, Field>;

  constructor(
    readonly name: string,
    readonly size: number,
    members: Readonly<Record<string, Member>>,
    private readonly where: string,
  ) {
    this.members = Object.entries(members).map(([path, [offset, bytes, bitOffset, width]]) => ({
      path,
      offset,
      size: bytes,
      bits: bitOffset === undefined || width === undefined ? null : { offset: bitOffset, size: width },
      type: '',
    }));
    this.#fields = new Map(this.members.map((field) => [field.path, field]));
  }

  offset(path: string): number {
    const field = this.field(path);
    if (!field)
      throw new UsercopyError(
        'unsupported',
        `${this.where}: expected a member ${path} of struct ${this.name}, found none of this name`,
      );
    return field.offset;
  }

  has(path: string): boolean {
    return this.#fields.has(path);
  }

  field(path: string): Field | undefined {
    return this.#fields.get(path);
  }
}
