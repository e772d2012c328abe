/**
 * Variables that an image does not name. Without KALLSYMS_ALL (Debian's arm64 before 6.12, i386, armhf, s390x) kallsyms
 * lists functions only. What the check reads is learnt from the kernel itself: its functions are run, and what they
 * load is watched; static keys are found through the jump table, which is told by its own shape.
 */
import type { Variant } from '../../arch/driver.js';
import type { MemoryLayout } from '../../arch/layout.js';
import type { Engine } from '../engine/engine.js';
import { jumpEntryOf } from '../introspect/jump-entry.js';
import { hiddenKeys, jumpTableOf } from '../introspect/jump-table.js';
import { isIndirect } from '../introspect/slab.js';
import { type AddedSymbols, withSymbols } from '../kernel/added-symbols.js';
import type { Kernel } from '../kernel/kernel.js';
import { requireTypes } from '../kernel/require-types.js';
import type { GuestMemory } from './memory.js';

/** Of kernel functions that look for an address and fail after some hundred instructions in an empty kernel; with wrong types a tree has loops. */
const LIMITS = { instructionLimit: 200_000, timeLimit: 10_000 } as const;
const PAGE = 4096n;

/** What is asked of a guest; a `Guest` while it is being made needs what is learnt here, so it is not named. */
interface Scratch {
  readonly kernel: Kernel;
  readonly variant: Variant;
  readonly layout: MemoryLayout;
  readonly engine: Engine;
  readonly memory: GuestMemory;
  readonly task: bigint;
  readonly stack: { readonly start: bigint; readonly end: bigint };
  call(symbol: string, args: readonly bigint[], options: typeof LIMITS): Promise<{ readonly kind: string }>;
  callForValue(symbol: string, args: readonly bigint[], options: typeof LIMITS): Promise<bigint>;
}

interface Load {
  readonly address: bigint;
  readonly size: number;
}

/** What every kernel has under one of these names. The linker's own marks are listed by kernels that hide all variables (arm 6.12). */
const VARIABLES: readonly (readonly string[])[] = [
  ['init_task'],
  ['memblock'],
  ['vmap_area_root', 'vmap_nodes'],
  ['__start___jump_table'],
];

/** Whether the image leaves out names of variables: of each kind one must be found. */
export function hidesVariables(kernel: Kernel): boolean {
  const { symbols } = kernel;
  const isFound = (name: string): boolean => symbols.address(name) !== undefined;
  return (
    symbols.source === 'kallsyms' && isFound('__check_object_size') && !VARIABLES.every((names) => names.some(isFound))
  );
}

/** The kernel with what `scratch`, a guest of it that is thrown away after, tells about its variables. */
export async function withHiddenVariables(kernel: Kernel, scratch: Scratch): Promise<Kernel> {
  const added: AddedSymbols = new Map();
  const note = (name: string, address: bigint | null): void => {
    if (address !== null && kernel.symbols.address(name) === undefined) added.set(name, address);
  };
  note('memblock', await findMemblock(scratch));
  const areas = await findVmapRoot(scratch);
  note('vmap_area_root', areas?.root ?? null);
  note('vmap_initialized', areas?.initialized ?? null);
  const kfence = await findKfence(scratch);
  note('__kfence_pool', kfence?.pool ?? null);
  note('kfence_metadata', kfence?.metadata ?? null);
  const table = jumpTableOf(kernel, jumpEntryOf(kernel, scratch.variant.staticBranch));
  if (table !== null) {
    note('__start___jump_table', table.start);
    note('__stop___jump_table', table.end);
    for (const [name, address] of hiddenKeys(kernel, table)) note(name, address);
  }
  return withSymbols(kernel, added);
}

/** Loads from the image while a function runs; none when it does not come back. */
async function loadsOf(guest: Scratch, symbol: string, args: readonly bigint[]): Promise<readonly Load[]> {
  const { loads, returned } = await watch(guest, symbol, args);
  return returned ? loads : [];
}

/** Loads from the image while a function runs, up to where it ends. */
async function watch(
  guest: Scratch,
  symbol: string,
  args: readonly bigint[],
): Promise<{ readonly loads: readonly Load[]; readonly returned: boolean }> {
  const loads: Load[] = [];
  if (guest.kernel.symbols.address(symbol) === undefined) return { loads, returned: false };
  const hook = guest.engine.hookMemoryRead((told, size) => {
    const address = guest.memory.aliasesOf(told).find((place) => isInImage(guest.kernel, place));
    // The first task's stack is part of the image.
    const isOnStack = address !== undefined && address >= guest.stack.start && address < guest.stack.end;
    if (address !== undefined && !isOnStack) loads.push({ address, size });
  });
  try {
    const outcome = await guest.call(symbol, args, LIMITS);
    return { loads, returned: outcome.kind === 'returned' };
  } catch {
    return { loads, returned: false };
  } finally {
    hook.remove();
  }
}

const isInImage = (kernel: Kernel, address: bigint): boolean =>
  kernel.segments.some((segment) => address >= segment.address && address < segment.address + segment.size);

/** memblock_is_map_memory() loads `memory.cnt` and `memory.regions`: two words at a known distance. */
async function findMemblock(guest: Scratch): Promise<bigint | null> {
  const { types } = guest.kernel;
  if (!types?.hasStruct('memblock') || !types.hasStruct('memblock_type')) return null;
  const list = types.struct('memblock_type');
  const distance = BigInt(list.offset('regions') - list.offset('cnt'));
  const loads = await loadsOf(guest, 'memblock_is_map_memory', [guest.memory.ram.physicalBase]);
  // The first array of regions is part of the image; constants beside the code may lie at the same distance by chance.
  const count = loads.find(
    ({ address }) =>
      loads.some((other) => other.address === address + distance) &&
      isInImage(guest.kernel, guest.memory.readWord(address + distance)),
  );
  return count ? count.address - BigInt(types.struct('memblock').offset('memory') + list.offset('cnt')) : null;
}

interface VmapRoot {
  /** The word that points to the top of the tree. */
  readonly root: bigint;
  /** `vmap_initialized`, where the function asks for it. */
  readonly initialized: bigint | null;
}

/**
 * find_vmap_area() takes a lock, then loads the word that points to the top of the tree: NULL in an image. Where locks are
 * as wide as words, the right one is that at which a planted area is found. Since "mm: vmalloc: bail out early in
 * find_vmap_area() if vmap is not init" (6.9) it asks a flag before, a byte that booting sets. The trees of an image that has not
 * booted are one, also since 6.9, when they became several: `vmap_nodes` begins as one node.
 */
async function findVmapRoot(guest: Scratch): Promise<VmapRoot | null> {
  const { types } = guest.kernel;
  if (!types?.hasStruct('vmap_area') || !types.hasStruct('task_struct')) return null;
  const loads = await loadsOf(guest, 'find_vmap_area', [guest.layout.vmallocStart]);
  const root = await rootOfLoads(guest, loads);
  if (root !== null) return { root, initialized: null };
  const flags = loads.filter(({ address, size }) => size === 1 && guest.memory.readUnsigned(address, 1) === 0n);
  for (const initialized of new Set(flags.map(({ address }) => address))) {
    const before = guest.memory.snapshot();
    guest.memory.writeUnsigned(initialized, 1, 1n);
    const behind = await rootOfLoads(guest, await loadsOf(guest, 'find_vmap_area', [guest.layout.vmallocStart]));
    guest.memory.restore(before);
    if (behind !== null) return { root: behind, initialized };
  }
  return null;
}

/** The word of those that find_vmap_area() loads at which it finds an area that is planted there. */
async function rootOfLoads(guest: Scratch, loads: readonly Load[]): Promise<bigint | null> {
  const types = requireTypes(guest.kernel, 'find_vmap_area()');
  const address = guest.layout.vmallocStart;
  const taskEnd = guest.task + BigInt(types.struct('task_struct').size);
  const candidates = new Set(
    loads
      .filter(
        (load) =>
          load.size === guest.kernel.bits / 8 &&
          guest.memory.readWord(load.address) === 0n &&
          (load.address < guest.task || load.address >= taskEnd),
      )
      .map((load) => load.address),
  );
  const area = types.struct('vmap_area');
  const planted = guest.memory.allocate(PAGE);
  guest.memory.writeWord(planted + BigInt(area.offset('va_start')), address);
  guest.memory.writeWord(planted + BigInt(area.offset('va_end')), address + PAGE);
  // The lock is loaded before the root; with a pointer in it the function would spin.
  for (const candidate of [...candidates].reverse()) {
    const before = guest.memory.snapshot();
    guest.memory.writeWord(candidate, planted + BigInt(area.offset('rb_node')));
    const found = await guest.callForValue('find_vmap_area', [address], LIMITS).catch(() => null);
    guest.memory.restore(before);
    if (found === planted) return candidate;
  }
  return null;
}

interface KfenceVariables {
  readonly pool: bigint;
  readonly metadata: bigint;
}

/**
 * kfence_object_start() loads `__kfence_pool`, NULL in an image, and for an address of the pool the record's `addr`: of an
 * array, or of one that a variable points to. What is planted there has to come back.
 */
async function findKfence(guest: Scratch): Promise<KfenceVariables | null> {
  const { types, symbols } = guest.kernel;
  if (!types?.hasStruct('kfence_metadata') || symbols.address('kfence_object_start') === undefined) return null;
  const { memory } = guest;
  const member = BigInt(types.struct('kfence_metadata').offset('addr'));
  const pageBytes = 1n << BigInt(guest.layout.pageShift);
  const planted = memory.allocateAligned(4n * pageBytes, pageBytes);
  // The first two pages of the pool hold no object.
  const object = planted + 2n * pageBytes;
  const start = object + 64n;
  const record = memory.allocate(pageBytes);
  memory.writeWord(record + member, start);
  const ask = (): Promise<bigint | null> =>
    guest.callForValue('kfence_object_start', [object], LIMITS).catch(() => null);
  const empty = (loads: readonly Load[]): bigint[] => {
    const words = loads.filter(
      ({ address, size }) => size === guest.kernel.bits / 8 && memory.readWord(address) === 0n,
    );
    return [...new Set(words.map(({ address }) => address))];
  };
  const before = memory.snapshot();
  for (const pool of empty(await loadsOf(guest, 'kfence_object_start', [object]))) {
    memory.writeWord(pool, planted);
    // It ends where a record is looked for behind a pointer that is NULL.
    const { loads } = await watch(guest, 'kfence_object_start', [object]);
    for (const place of empty(loads)) {
      const isPointer = isIndirect(guest.kernel);
      const word = memory.readWord(place);
      memory.writeWord(place, isPointer ? record : start);
      const found = await ask();
      memory.writeWord(place, word);
      if (found !== start) continue;
      memory.restore(before);
      return { pool, metadata: isPointer ? place : place - member };
    }
    memory.restore(before);
  }
  return null;
}
