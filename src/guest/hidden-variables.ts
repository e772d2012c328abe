/**
 * Variables that an image does not name. Without KALLSYMS_ALL (Debian's arm64 before 6.12, i386, armhf, s390x) kallsyms
 * lists functions only. What the check reads is learnt from the kernel itself: its functions are run, and what they
 * load is watched; static keys are found through the jump table, which is told by its own shape.
 */
import { type AddedSymbols, withSymbols } from '../kernel/added-symbols.js';
import type { Kernel, Segment } from '../kernel/kernel.js';
import type { Guest } from './guest.js';

/** Kernel functions that look for an address and fail at once in an empty kernel. */
const TIME_LIMIT = 1000;
/** As few entries in a row no accident makes. */
const SHORTEST_JUMP_TABLE = 128;
/** Labels are in the same function as their branch, or in its cold part. */
const FARTHEST_LABEL = 0x40_0000;

interface Load {
  readonly address: bigint;
  readonly size: number;
}

/** Whether the image leaves out the names of variables. */
export function hidesVariables(kernel: Kernel): boolean {
  const { symbols } = kernel;
  return (
    symbols.source === 'kallsyms' &&
    symbols.address('__check_object_size') !== undefined &&
    symbols.address('__start___jump_table') === undefined
  );
}

/** The kernel with what `scratch`, a guest of it that is thrown away after, tells about its variables. */
export async function withHiddenVariables(kernel: Kernel, scratch: Guest): Promise<Kernel> {
  const added: AddedSymbols = new Map();
  const note = (name: string, address: bigint | null): void => {
    if (address !== null && kernel.symbols.address(name) === undefined) added.set(name, address);
  };
  note('memblock', await findMemblock(scratch));
  note('vmap_area_root', await findVmapRoot(scratch));
  const table = findJumpTable(kernel, scratch);
  if (table !== null) {
    note('__start___jump_table', table.start);
    note('__stop___jump_table', table.end);
    note('bypass_usercopy_checks', keyAskedBy(kernel, table, '__check_object_size'));
    note('slub_debug_enabled', keyAskedBy(kernel, table, '__check_heap_object'));
  }
  return withSymbols(kernel, added);
}

/** Loads from the image while a function runs; none when it does not come back. */
async function loadsOf(guest: Guest, symbol: string, args: readonly bigint[]): Promise<Load[]> {
  if (guest.kernel.symbols.address(symbol) === undefined) return [];
  const loads: Load[] = [];
  const hook = guest.engine.hookMemoryRead((address, size) => {
    if (isInImage(guest.kernel, address)) loads.push({ address, size });
  });
  try {
    const outcome = await guest.call(symbol, args, { timeLimit: TIME_LIMIT });
    return outcome.kind === 'returned' ? loads : [];
  } catch {
    return [];
  } finally {
    hook.remove();
  }
}

const isInImage = (kernel: Kernel, address: bigint): boolean =>
  kernel.segments.some((segment) => address >= segment.address && address < segment.address + segment.size);

/** memblock_is_map_memory() loads `memory.cnt` and `memory.regions`: two words at a known distance. */
async function findMemblock(guest: Guest): Promise<bigint | null> {
  const { types } = guest.kernel;
  if (!types?.hasStruct('memblock') || !types.hasStruct('memblock_type')) return null;
  const list = types.struct('memblock_type');
  const distance = BigInt(list.offset('regions') - list.offset('cnt'));
  const loads = await loadsOf(guest, 'memblock_is_map_memory', [guest.memory.ram.physicalBase]);
  const count = loads.find(({ address }) => loads.some((other) => other.address === address + distance));
  return count ? count.address - BigInt(types.struct('memblock').offset('memory') + list.offset('cnt')) : null;
}

/** find_vmap_area() takes a lock, then loads the word that points to the top of the tree: NULL in an image. */
async function findVmapRoot(guest: Guest): Promise<bigint | null> {
  const loads = await loadsOf(guest, 'find_vmap_area', [guest.layout.vmallocStart]);
  const word = guest.kernel.bits / 8;
  const taskEnd =
    guest.task +
    BigInt(guest.kernel.types?.hasStruct('task_struct') ? guest.kernel.types.struct('task_struct').size : 0);
  const root = loads.find(
    ({ address, size }) =>
      size === word && guest.memory.readWord(address) === 0n && (address < guest.task || address >= taskEnd),
  );
  return root?.address ?? null;
}

interface JumpTable {
  readonly start: bigint;
  readonly end: bigint;
  /** For each entry: the branch's address and the key's. */
  readonly entries: readonly { readonly code: bigint; readonly key: bigint }[];
}

/** The longest run of { s32 code, s32 target, long key } that all point where such entries must. */
function findJumpTable(kernel: Kernel, guest: Guest): JumpTable | null {
  if (!guest.variant.staticBranch.relativeEntries(kernel)) return null;
  let longest: JumpTable | null = null;
  for (const segment of kernel.segments) {
    const found = longestRun(kernel, segment);
    if (found && found.entries.length > (longest?.entries.length ?? SHORTEST_JUMP_TABLE)) longest = found;
  }
  return longest;
}

function longestRun(kernel: Kernel, segment: Segment): JumpTable | null {
  const { bytes, address } = segment;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = kernel.endian === 'little';
  const word = kernel.bits / 8;
  const size = 8 + word;
  const textStart = Number((kernel.symbols.address('_stext') ?? address) - address);
  const textEnd = Number((kernel.symbols.address('_etext') ?? address) - address);
  const readKey = (at: number): number =>
    word === 8 ? Number(view.getBigInt64(at, little)) : view.getInt32(at, little);
  const isEntry = (at: number): boolean => {
    const toCode = view.getInt32(at, little);
    const toTarget = view.getInt32(at + 4, little);
    const toKey = readKey(at + 8);
    // Zeroes would point to themselves.
    if (toCode === 0 || toTarget === 0 || toKey === 0) return false;
    const code = at + toCode;
    const target = at + 4 + toTarget;
    const key = at + 8 + toKey;
    const inImage = code >= textStart && code < bytes.length && target >= textStart && target < bytes.length;
    return inImage && Math.abs(target - code) <= FARTHEST_LABEL && key >= textEnd && key < Number(segment.size);
  };
  let best = { at: 0, count: 0 };
  for (let at = 0; at + size <= bytes.length; at += word) {
    if (!isEntry(at)) continue;
    let count = 1;
    while (at + (count + 1) * size <= bytes.length && isEntry(at + count * size)) count++;
    if (count > best.count) best = { at, count };
    at += count * size - word;
  }
  if (best.count === 0) return null;
  const entries = Array.from({ length: best.count }, (_, index) => {
    const at = best.at + index * size;
    const key = (at + 8 + readKey(at + 8)) & ~3;
    return { code: address + BigInt(at + view.getInt32(at, little)), key: address + BigInt(key) };
  });
  const start = address + BigInt(best.at);
  return { start, end: start + BigInt(best.count * size), entries };
}

/** The only static key that a function's code asks; null when there are several or none. */
function keyAskedBy(kernel: Kernel, table: JumpTable, symbol: string): bigint | null {
  const found = kernel.symbols.get(symbol);
  if (!found) return null;
  const keys = new Set(
    table.entries
      .filter(({ code }) => code >= found.address && code < found.address + found.size)
      .map(({ key }) => key),
  );
  const [key] = keys;
  return keys.size === 1 && key !== undefined ? key : null;
}
