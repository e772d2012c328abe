/**
 * Types of a kernel that has none: those of the nearest table, when the kernel's own check proves them; where it contradicts some
 * of a structure, the places to which they moved.
 */
import { drivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import type { OffsetTable } from '../image/offset-tables.js';
import type { Kernel } from '../kernel/kernel.js';
import { type ProveOptions, proveTypes, type TypesProof } from './prove-types.js';

/** Tables that are tried; each takes seconds. */
export const MOST_TABLES = 2;
/** Bytes by which members are looked for elsewhere: words of either size are put in or taken out. */
const MOVES = [4, -4, 8, -8, 12, -12, 16, -16, 24, -24];
/** Layouts that are tried for a table, most of them for less than a second. */
const MOST_TRIALS = 300;
/** What only helps to explain; taken away where it is not proved. */
const EXTRAS: Readonly<Record<string, readonly string[]>> = {
  kmem_cache: ['cpu_slab', 'inuse'],
  task_struct: ['comm', 'pid', 'tasks', 'thread_node', 'signal'],
};

/** A table that is proved, with what a person should know of it; without one why there is none. */
export type ProvedTypes =
  | { readonly table: OffsetTable; readonly note: string }
  | { readonly table: null; readonly note: string };

export interface ProofOptions {
  /** Hears what is being done. */
  readonly onProgress?: ((what: string) => void) | undefined;
  /** Structs that are proved and learnt; every one that the check reads when absent. */
  readonly only?: ReadonlySet<string> | undefined;
  /** Layouts that are tried for a table when the kernel contradicts it. */
  readonly mostTrials?: number;
}

/**
 * Finds types for a kernel by running its check.
 * @param tables to try in turn, the likeliest first
 */
export async function provedTypes(
  kernel: Kernel,
  tables: readonly OffsetTable[],
  options: ProofOptions = {},
): Promise<ProvedTypes> {
  const none = (note: string): ProvedTypes => ({ table: null, note });
  const variant = drivers.flatMap(({ variants }) => variants).find(({ name }) => name === kernel.variant);
  if (variant === undefined || 'unsupported' in variant.engine) return none(`no emulator runs ${kernel.variant}`);
  if (tables.length === 0) return none(`there is no table for ${kernel.variant} that could be proved`);
  const failures: string[] = [];
  for (const table of tables.slice(0, MOST_TABLES)) {
    options.onProgress?.(`proving types of ${table.source} on ${kernel.version.release}`);
    const first = await proof(kernel, table, { only: options.only });
    if (first === null) {
      failures.push(`types of ${table.source} make no guest of it`);
      continue;
    }
    const learnt = await new Learning({ ...kernel, symbols: first.symbols }, table, first, options).learn();
    if (typeof learnt !== 'string') return learnt;
    failures.push(`types of ${table.source}: ${learnt}`);
  }
  return none(failures.join('; '));
}

type Proof = Awaited<ReturnType<typeof proveTypes>>;

/** null where the types do not even make a guest. */
async function proof(kernel: Kernel, table: OffsetTable, options?: ProveOptions): Promise<Proof | null> {
  try {
    return await proveTypes(kernel, table, options);
  } catch (error) {
    if (error instanceof UsercopyError && error.kind !== 'missing-dependency') return null;
    throw error;
  }
}

const structOf = (member: string): string => member.replace(/\..*/s, '');

/** Moves members of structures that were contradicted until the kernel agrees. */
class Learning {
  readonly #moved: string[] = [];
  #trials = 0;

  constructor(
    private readonly kernel: Kernel,
    private table: OffsetTable,
    private found: Proof,
    private readonly options: ProofOptions,
  ) {}

  /** What was found; a text where nothing was: why. */
  async learn(): Promise<ProvedTypes | string> {
    // One structure at a time: with one of them wrong, experiments on others that it is needed for are contradicted too.
    while (this.found.contradicted.size > 0) {
      const structs = [...new Set([...this.found.contradicted.keys()].map(structOf))];
      const wrong = this.found.contradicted.size;
      let moved: string | null = null;
      for (const struct of structs) {
        moved = await this.#learnStruct(struct);
        if (moved !== null) break;
      }
      const contradicted = `the kernel contradicts ${structs.join(', ')}`;
      if (this.#isOver)
        return `${contradicted}; the search for where members moved to ended after ${this.#trials} layouts`;
      if (moved === null) return `${contradicted}, and none of ${this.#trials} other layouts is right`;
      const next = await proof(this.kernel, this.table, { only: this.options.only });
      if (next === null || next.contradicted.size >= wrong) return `${contradicted}, and so it does when ${moved}`;
      this.#moved.push(moved);
      this.found = next;
    }
    const missing = this.found.needed.filter((name) => !this.found.proved.includes(name));
    if (missing.length > 0) return `nothing proves ${missing.join(', ')}`;
    return finished(this.table, this.found, this.#moved);
  }

  get #isOver(): boolean {
    return this.#trials >= (this.options.mostTrials ?? MOST_TRIALS);
  }

  /** Says what moved; null where no move makes the kernel agree on everything that it answers for the structure. */
  async #learnStruct(struct: string): Promise<string | null> {
    const { table } = this;
    const members = Object.values(table.structs[struct]?.members ?? {});
    const starts = [...new Set(members.map(([offset]) => offset))].sort((left, right) => left - right);
    const answered = [...this.found.proved, ...this.found.contradicted.keys()].filter(
      (name) => structOf(name) === struct,
    );
    for (const by of MOVES) {
      for (const from of starts) {
        const candidate = withMoved(table, struct, from, by);
        if (candidate === null) continue;
        if (this.#isOver) return null;
        this.#trials++;
        this.options.onProgress?.(`${struct} lies elsewhere: layout ${this.#trials}`);
        const found = await proof(this.kernel, candidate, { only: new Set([struct]), untilContradicted: true });
        if (found === null || !answered.every((name) => found.proved.includes(name))) continue;
        this.table = candidate;
        return `members of ${struct} from ${from} on lie ${by} bytes further`;
      }
    }
    return null;
  }
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

function finished(table: OffsetTable, { proved, unproved }: TypesProof, moved: readonly string[]): ProvedTypes {
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
  return { table: { ...table, structs }, note };
}
