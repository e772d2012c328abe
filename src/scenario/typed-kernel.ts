/**
 * Kernels whose images have no types: those of the nearest table, when the kernel's own check proves them; where it contradicts some
 * of a structure, the places to which they moved.
 */
import { drivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { type LoadKernelOptions, loadKernel } from '../image/load.js';
import { nearestOffsetTables, type OffsetTable, typesFromTable } from '../image/offset-tables.js';
import type { Kernel, TypeTable } from '../kernel/kernel.js';
import { proveTypes, type TypesProof } from './prove-types.js';

/** Tables that are tried; each takes seconds. */
const MOST_TABLES = 2;
/** Bytes by which members are looked for elsewhere: words of either size are put in or taken out. */
const MOVES = [4, -4, 8, -8, 12, -12, 16, -16, 24, -24];
/** Without these nothing of slabs can be said, whatever else is right. */
const ESSENTIAL = ['kmem_cache.name', 'kmem_cache.size', 'kmem_cache.usersize'];
/** What only helps to explain; taken away where it is not proved. */
const EXTRAS: Readonly<Record<string, readonly string[]>> = {
  kmem_cache: ['cpu_slab', 'inuse'],
  task_struct: ['comm', 'pid', 'tasks', 'thread_node', 'signal'],
};

/**
 * Loads an image; where neither it nor what lies beside it has types, those that are proved on it.
 * @throws UsercopyError as `loadKernel`; a kernel of which no table is proved comes without types
 */
export async function loadTypedKernel(path: string, options: LoadKernelOptions = {}): Promise<Kernel> {
  const kernel = await loadKernel(path, options);
  if (kernel.types !== null || kernel.symbols.address('__check_object_size') === undefined) return kernel;
  const types = await provedTypes(kernel);
  return types === null ? kernel : { ...kernel, types };
}

/**
 * Types of the nearest table that the kernel's own check proves, as found or with members moved; null when there is none.
 * @param given tables to try in turn; those of the project, the nearest first, when absent
 */
export async function provedTypes(kernel: Kernel, given?: readonly OffsetTable[]): Promise<TypeTable | null> {
  const driver = drivers.find(({ variants }) => variants.some(({ name }) => name === kernel.variant));
  const variant = driver?.variants.find(({ name }) => name === kernel.variant);
  if (driver === undefined || variant === undefined || 'unsupported' in variant.engine) return null;
  const tables = given ?? (await nearestOffsetTables(driver.linuxArch, kernel.variant, kernel.version.release));
  for (const table of tables.slice(0, MOST_TABLES)) {
    const found = await proof(kernel, table);
    if (found === null) continue;
    if (found.contradicted.size === 0) {
      if (isEnough(found)) return finished(table, found, []);
      continue;
    }
    const learnt = await learn({ ...kernel, symbols: found.symbols }, table, found);
    if (learnt !== null) return finished(learnt.table, learnt.proof, learnt.moved);
  }
  return null;
}

type Proof = Awaited<ReturnType<typeof proveTypes>>;

/** null where the types do not even make a guest. */
async function proof(kernel: Kernel, table: OffsetTable, only?: ReadonlySet<string>): Promise<Proof | null> {
  try {
    return await proveTypes(kernel, table, only);
  } catch (error) {
    if (error instanceof UsercopyError && error.kind !== 'missing-dependency') return null;
    throw error;
  }
}

const isEnough = ({ proved }: TypesProof): boolean => ESSENTIAL.every((name) => proved.includes(name));

/** Moves members of the structures that were contradicted until the kernel agrees. */
async function learn(
  kernel: Kernel,
  table: OffsetTable,
  { contradicted }: TypesProof,
): Promise<{ table: OffsetTable; proof: Proof; moved: string[] } | null> {
  let current = table;
  const moved: string[] = [];
  for (const struct of new Set([...contradicted.keys()].map((name) => name.replace(/\..*/s, '')))) {
    const found = await learnStruct(kernel, current, struct);
    if (found === null) return null;
    current = found.table;
    moved.push(found.moved);
  }
  const last = await proof(kernel, current);
  return last === null || last.contradicted.size > 0 || !isEnough(last) ? null : { table: current, proof: last, moved };
}

async function learnStruct(
  kernel: Kernel,
  table: OffsetTable,
  struct: string,
): Promise<{ table: OffsetTable; moved: string } | null> {
  const members = Object.values(table.structs[struct]?.members ?? {});
  const starts = [...new Set(members.map(([offset]) => offset))].sort((left, right) => left - right);
  for (const by of MOVES) {
    for (const from of starts) {
      const candidate = withMoved(table, struct, from, by);
      const found = candidate === null ? null : await proof(kernel, candidate, new Set([struct]));
      if (candidate !== null && found !== null && found.contradicted.size === 0 && found.proved.length > 0)
        return { table: candidate, moved: `members of ${struct} from ${from} on lie ${by} bytes further` };
    }
  }
  return null;
}

/** The table with a structure's members from an offset on moved; null when one would lie before the structure. */
export function withMoved(table: OffsetTable, struct: string, from: number, by: number): OffsetTable | null {
  const old = table.structs[struct];
  if (old === undefined) throw badInput('offset table', `a struct ${struct}`, 'none');
  if (from + by < 0) return null;
  const members: Record<string, (typeof old)['members'][string]> = {};
  for (const [name, [offset, ...rest]] of Object.entries(old.members)) {
    members[name] = [offset < from ? offset : offset + by, ...rest];
  }
  return { ...table, structs: { ...table.structs, [struct]: { size: old.size + Math.max(by, 0), members } } };
}

function finished(table: OffsetTable, { proved, unproved }: TypesProof, moved: readonly string[]): TypeTable {
  const structs = Object.fromEntries(
    Object.entries(table.structs).map(([name, struct]) => {
      const away = (EXTRAS[name] ?? []).filter((member) => !proved.includes(`${name}.${member}`));
      const members = Object.fromEntries(Object.entries(struct.members).filter(([member]) => !away.includes(member)));
      return [name, { ...struct, members }];
    }),
  );
  const note =
    `types of ${table.source}, ${proved.length} members of them proved by this kernel's own check` +
    `${moved.length === 0 ? '' : `, after learning that ${moved.join(' and ')}`}; not proved: ${unproved.join(', ')}`;
  return typesFromTable({ ...table, structs }, `types of ${table.source}`, note);
}
