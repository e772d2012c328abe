/** Which structure a slab cache holds, and which member lies at an offset. */
import type { Field, StructType, TypeTable } from '../kernel/kernel.js';

/**
 * Caches whose name is not their structure's, as their kmem_cache_create() calls have them. Any other cache is taken for
 * the structure of the same name, with and without what such names end in.
 */
const STRUCTURES: Readonly<Record<string, string>> = {
  cred_jar: 'cred',
  files_cache: 'files_struct',
  fs_cache: 'fs_struct',
  signal_cache: 'signal_struct',
  sighand_cache: 'sighand_struct',
  filp: 'file',
  proc_inode_cache: 'proc_inode',
  sock_inode_cache: 'socket_alloc',
  skbuff_head_cache: 'sk_buff',
  nsproxy: 'nsproxy',
  mnt_cache: 'mount',
  bdev_cache: 'bdev_inode',
  pde_opener: 'pde_opener',
  proc_dir_entry: 'proc_dir_entry',
  eventpoll_epi: 'epitem',
  eventpoll_pwq: 'eppoll_entry',
  kernfs_node_cache: 'kernfs_node',
  radix_tree_node: 'xa_node',
  buffer_head: 'buffer_head',
  names_cache: '',
};
/** Structures that are allocated with more or less than their size: a CPU mask behind, or a CPU state that fits the machine. */
const VARIABLE_SIZE = new Set(['task_struct', 'mm_struct', 'proc_dir_entry', 'pid']);
/** SLUB rounds object sizes up to a word at most; SLAB and creators to a few more. */
const MOST_PADDING = 16;
const MOST_DEPTH = 12;

/** The structure that a cache's objects are; null when its name and size do not both say so. */
export function structOfCache(types: TypeTable, cache: string, objectSize: number): StructType | null {
  const listed = STRUCTURES[cache];
  const candidates =
    listed === undefined
      ? [
          cache,
          cache.replace(/_inode_cache$/, '_inode_info'),
          cache.replace(/(_cache|_jar|_cachep)$/, ''),
          `${cache}_struct`,
        ]
      : [listed];
  for (const name of candidates) {
    if (name === '' || !types.hasStruct(name)) continue;
    const struct = types.struct(name);
    const padding = objectSize - struct.size;
    if (VARIABLE_SIZE.has(name) || (padding >= 0 && padding <= MOST_PADDING)) return struct;
  }
  return null;
}

/** Members of a drawing on each side of what is copied, and in all. */
const MEMBERS_ASIDE = 3;
const MOST_MEMBERS = 24;

/** Members that [start, end) covers, with a few before and behind; of a union the first. Bitfields have no bytes of their own. */
export function membersAround(
  { members }: StructType,
  start: number,
  end: number,
): { readonly name: string; readonly offset: number; readonly size: number }[] {
  const apart: Field[] = [];
  for (const member of [...members].sort((left, right) => left.offset - right.offset)) {
    const last = apart.at(-1);
    if (member.bits === null && member.size > 0 && (last === undefined || member.offset >= last.offset + last.size)) {
      apart.push(member);
    }
  }
  const first = apart.findIndex(({ offset, size }) => offset + size > start);
  const behind = apart.findIndex(({ offset }) => offset >= end);
  if (first < 0) return [];
  return apart
    .slice(Math.max(0, first - MEMBERS_ASIDE), (behind < 0 ? apart.length : behind) + MEMBERS_ASIDE)
    .slice(0, MOST_MEMBERS)
    .map(({ path, offset, size }) => ({ name: path, offset, size }));
}

/**
 * The member at a byte offset, as C would reach it: `comm[3]`, `se.load.weight`, with `+n` for a byte inside a number. Of
 * the members of a union the first one. null behind the structure's end; between two members `(padding)`.
 */
export function memberAt(types: TypeTable, struct: StructType, offset: number, depth = 0): string | null {
  if (offset < 0 || offset >= struct.size) return null;
  const field = struct.members.find(
    (member) => offset >= member.offset && offset < member.offset + Math.max(member.size, member.bits ? 1 : 0),
  );
  if (!field) return '(padding)';
  return field.path + inside(types, field, offset - field.offset, depth);
}

function inside(types: TypeTable, field: Field, offset: number, depth: number): string {
  const array = /^(.*?)((?:\[\d+\])+)$/.exec(field.type);
  if (array) {
    const [, elementType = '', dimensions = ''] = array;
    const counts = [...dimensions.matchAll(/\d+/g)].map(([count]) => Number(count));
    const element = field.size / counts.reduce((product, count) => product * count, 1);
    let rest = Math.floor(offset / element);
    const indices: number[] = [];
    for (const count of [...counts].reverse()) {
      indices.unshift(rest % count);
      rest = Math.floor(rest / count);
    }
    const path = indices.map((index) => `[${index}]`).join('');
    return (
      path + inside(types, { ...field, type: elementType.trim(), size: element, offset: 0 }, offset % element, depth)
    );
  }
  const name = /^(?:struct|union) (\w+)$/.exec(field.type)?.[1] ?? (/^\w+$/.test(field.type) ? field.type : null);
  if (name !== null && depth < MOST_DEPTH && types.hasStruct(name)) {
    const inner = types.struct(name);
    const member = inner.size === field.size ? memberAt(types, inner, offset, depth + 1) : null;
    if (member !== null) return `.${member}`;
  }
  return offset === 0 ? '' : `+${offset}`;
}
