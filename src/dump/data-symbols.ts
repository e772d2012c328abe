/**
 * Addresses of kernel variables that kallsyms does not list: without KALLSYMS_ALL it has functions only. Exported ones are
 * found by their entries in `__ksymtab`, others by what they look like in the dump's memory.
 */

import type { JumpEntry } from '../introspect/jump-entry.js';
import { hiddenKeys, jumpTableOf } from '../introspect/jump-table.js';
import { hasKfence, isIndirect } from '../introspect/slab.js';
import { bytesOf, occurrences } from '../kernel/bytes.js';
import type { Kernel, Segment, StructType } from '../kernel/kernel.js';
import { decodeWord, encodeWord, Words } from '../kernel/words.js';
import type { PhysicalMemory } from './physical.js';
import { findInMemory } from './search.js';

/**
 * Variables that are not exported: `memblock`, `vmap_area_root`, what leads to KFENCE's objects, and the static keys that the check asks. `kernel` must show the
 * dump and know what is exported; `image` is the kernel's own memory in the dump; `entry`: the shape of its jump table's entries;
 * `pageShifts`: log2 of the page sizes that it may have.
 */
export function hiddenVariables(
  kernel: Kernel,
  image: () => Segment,
  physical: PhysicalMemory,
  entry: JumpEntry,
  pageShifts: readonly number[],
): Map<string, bigint> {
  const found = new Map<string, bigint>();
  const missing = (name: string): boolean => kernel.symbols.address(name) === undefined;
  if (missing('memblock')) add(found, 'memblock', findMemblock(kernel, image));
  if (missing('vmap_area_root') && missing('vmap_nodes')) {
    add(found, 'vmap_area_root', findVmapRoot(kernel, image, physical) ?? findTreeOfAreas(kernel, image()));
  }
  const { types } = kernel;
  if (missing('__kfence_pool') && types?.hasStruct('kfence_metadata') && hasKfence(kernel)) {
    const kfence = findKfence(kernel, types.struct('kfence_metadata'), image(), pageShifts);
    add(found, '__kfence_pool', kfence?.pool ?? null);
    add(found, 'kfence_metadata', kfence?.metadata ?? null);
  }
  const running = { ...kernel, segments: [image()] };
  const table = jumpTableOf(running, entry);
  if (table !== null) for (const [name, address] of hiddenKeys(running, table)) found.set(name, address);
  return found;
}

/** Records that must lie in a row; there are hundreds. */
const KFENCE_RECORDS = 4;

interface KfenceVariables {
  readonly pool: bigint;
  readonly metadata: bigint;
}

/**
 * From booting on each record of KFENCE holds an address in its own page of the pool, which is every second one (kfence_init_pool()).
 * No pool was made where no records are like that.
 */
function findKfence(
  kernel: Kernel,
  record: StructType,
  segment: Segment,
  pageShifts: readonly number[],
): KfenceVariables | null {
  const read = pointerReader(kernel);
  const words = new WordReader(segment, kernel);
  const word = kernel.bits / 8;
  const member = record.offset('addr');
  const isPointer = isIndirect(kernel);
  const start = kernel.symbols.address('_etext') ?? segment.address;
  /** The pool whose first records begin at an address. */
  const poolOf = (records: bigint): bigint | null => {
    const first = read(records + BigInt(member));
    const second = first === null || first === 0n ? null : read(records + BigInt(record.size + member));
    if (first === null || second === null || second <= first) return null;
    for (const shift of pageShifts) {
      const page = first >> BigInt(shift);
      const isOwn = (index: number): boolean => {
        const address = read(records + BigInt(index * record.size + member));
        return address !== null && address >> BigInt(shift) === page + 2n * BigInt(index);
      };
      if (Array.from({ length: KFENCE_RECORDS }, (_, index) => index).every(isOwn)) return (page - 2n) << BigInt(shift);
    }
    return null;
  };
  for (let at = Number(start - segment.address); at + word <= segment.bytes.length; at += word) {
    const place = segment.address + BigInt(at);
    const value = isPointer ? words.at(at) : place;
    if (value === null || value < 4096n || value % BigInt(word) !== 0n) continue;
    const pool = poolOf(value);
    if (pool === null) continue;
    // Beside the records something must lead to the pool.
    for (const found of words.places(pool)) return { pool: segment.address + BigInt(found), metadata: place };
  }
  return null;
}

function add(found: Map<string, bigint>, name: string, address: bigint | null): void {
  if (address !== null) found.set(name, address);
}

/** `memblock` names its two lists "memory" and "reserved": the only pair of such pointers at that distance. */
function findMemblock(kernel: Kernel, image: () => Segment): bigint | null {
  const { types } = kernel;
  if (!types?.hasStruct('memblock') || !types.hasStruct('memblock_type')) return null;
  const block = types.struct('memblock');
  const list = types.struct('memblock_type');
  if (!list.has('name')) return null;
  const memoryName = block.offset('memory') + list.offset('name');
  const distance = block.offset('reserved') - block.offset('memory');
  const segment = image();
  const words = new WordReader(segment, kernel);
  const reserved = stringsEnding(segment, 'reserved');
  for (const at of words.placesOfAny(stringsEnding(segment, 'memory'))) {
    const other = words.at(at + distance);
    if (other !== null && reserved.has(other)) return segment.address + BigInt(at - memoryName);
  }
  return null;
}

/** Addresses of a text before a NUL: linkers let a string share the end of a longer one. */
function stringsEnding({ bytes, address }: Segment, text: string): Set<bigint> {
  const places = new Set<bigint>();
  for (const at of occurrences(bytes, bytesOf(`${text}\0`))) places.add(address + BigInt(at));
  return places;
}

/**
 * The vmap area of a task's stack (VMAP_STACK) is found by its pointer to the stack's vm_struct; the tree's parents lead
 * from it to the top node, and one word of the kernel's data points to that.
 */
function findVmapRoot(kernel: Kernel, image: () => Segment, physical: PhysicalMemory): bigint | null {
  const { types } = kernel;
  const init = kernel.symbols.address('init_task');
  if (!types || init === undefined || !types.hasStruct('vmap_area')) return null;
  const task = types.struct('task_struct');
  const area = types.struct('vmap_area');
  const node = types.struct('rb_node');
  if (!task.has('stack_vm_area')) return null;
  const read = pointerReader(kernel);
  const vm = firstStackArea(kernel, read);
  if (vm === null) return null;
  const start = read(vm + BigInt(types.struct('vm_struct').offset('addr')));
  const pattern = encodeWord(vm, kernel);
  for (const place of findInMemory(physical, pattern, 4096, BigInt(kernel.bits / 8))) {
    const bytes = physical.read(place - BigInt(area.offset('vm')), area.size);
    if (!bytes || decodeWord(bytes, kernel, area.offset('va_start')) !== start) continue;
    let parent = decodeWord(bytes, kernel, area.offset('rb_node') + node.offset('__rb_parent_color')) & ~3n;
    // A red-black tree of 2^32 areas is 64 deep; a top node reached at once is the area itself, met by no other way.
    for (let depth = 0; parent !== 0n && depth < 128; depth++) {
      const above = read(parent + BigInt(node.offset('__rb_parent_color')));
      if (above === null) break;
      if ((above & ~3n) === 0n) return rootWord(kernel, image(), parent, read);
      parent = above & ~3n;
    }
  }
  return null;
}

/** How far below a tree's top an area with a vm_struct is looked for: areas of vm_map_ram() have none. */
const LEVELS = 3;

/**
 * Without VMAP_STACK: the word of the kernel's data that points to the top of a tree of areas which know their vm_struct.
 * Free areas, in a tree of the same shape, keep a size in its place.
 */
function findTreeOfAreas(kernel: Kernel, segment: Segment): bigint | null {
  const { types } = kernel;
  if (!types?.hasStruct('vmap_area') || !types.hasStruct('vm_struct')) return null;
  const area = types.struct('vmap_area');
  const node = types.struct('rb_node');
  const link = area.offset('rb_node');
  const vmAddress = BigInt(types.struct('vm_struct').offset('addr'));
  const read = pointerReader(kernel);
  const start = kernel.symbols.address('_etext') ?? segment.address;
  const words = new WordReader(segment, kernel);
  const word = kernel.bits / 8;
  const isArea = (top: bigint, parent: bigint, level: number): boolean => {
    const bytes = top % BigInt(word) === 0n ? kernel.read(top - BigInt(link), area.size) : undefined;
    if (!bytes || (decodeWord(bytes, kernel, link + node.offset('__rb_parent_color')) & ~3n) !== parent) return false;
    const from = decodeWord(bytes, kernel, area.offset('va_start'));
    const to = decodeWord(bytes, kernel, area.offset('va_end'));
    if (from === 0n || to <= from || ((from | to) & 0xfffn) !== 0n) return false;
    const vm = decodeWord(bytes, kernel, area.offset('vm'));
    if (vm !== 0n && read(vm + vmAddress) === from) return true;
    if (level === 0) return false;
    return ['rb_left', 'rb_right'].some((side) => {
      const child = decodeWord(bytes, kernel, link + node.offset(side));
      return child !== 0n && isArea(child, top, level - 1);
    });
  };
  for (let at = Number(start - segment.address); at + word <= segment.bytes.length; at += word) {
    const top = words.at(at);
    if (top !== null && top > 4096n && isArea(top, 0n, LEVELS)) return segment.address + BigInt(at);
  }
  return null;
}

/** Address of the word that points to the tree's top node: of several, the last one that lies in the image. */
function rootWord(
  kernel: Kernel,
  segment: Segment,
  top: bigint,
  read: (address: bigint) => bigint | null,
): bigint | null {
  const words = new WordReader(segment, kernel);
  let found: bigint | null = null;
  for (const at of words.places(top)) {
    const address = segment.address + BigInt(at);
    // The dump and the copy of it must agree.
    if (read(address) === top) found = address;
  }
  return found;
}

/** vm_struct of the first task that has one: init_task's own stack is part of the image. */
function firstStackArea(kernel: Kernel, read: (address: bigint) => bigint | null): bigint | null {
  const init = kernel.symbols.address('init_task');
  if (init === undefined || !kernel.types) return null;
  const task = kernel.types.struct('task_struct');
  const list = BigInt(task.offset('tasks'));
  const area = BigInt(task.offset('stack_vm_area'));
  let next = read(init + list);
  for (let count = 0; next !== null && next !== 0n && next !== init + list && count < 4096; count++) {
    const vm = read(next - list + area);
    if (vm !== null && vm !== 0n) return vm;
    next = read(next);
  }
  return null;
}

function pointerReader(kernel: Kernel): (address: bigint) => bigint | null {
  return (address) => {
    const bytes = kernel.read(BigInt.asUintN(64, address), kernel.bits / 8);
    return bytes ? decodeWord(bytes, kernel, 0) : null;
  };
}

/** Aligned words of a segment. */
class WordReader {
  readonly #segment: Segment;
  readonly #kernel: Kernel;

  constructor(segment: Segment, kernel: Kernel) {
    this.#segment = segment;
    this.#kernel = kernel;
  }

  at(offset: number): bigint | null {
    const { bytes } = this.#segment;
    return offset < 0 || offset + this.#kernel.bits / 8 > bytes.length ? null : decodeWord(bytes, this.#kernel, offset);
  }

  /** Offsets at which a value stands, aligned. */
  *places(value: bigint): Iterable<number> {
    const { bytes } = this.#segment;
    const pattern = encodeWord(value, this.#kernel);
    for (const at of occurrences(bytes, pattern)) {
      if (at % pattern.length === 0) yield at;
    }
  }

  /** Offsets of aligned words that hold one of some addresses, in one pass. */
  *placesOfAny(values: ReadonlySet<bigint>): Iterable<number> {
    const { bytes } = this.#segment;
    const words = new Words(bytes, this.#kernel);
    const lowHalves = new Set([...values].map((value) => Number(value & 0xffff_ffffn)));
    for (let at = 0; at + words.wordBytes <= bytes.length; at += words.wordBytes) {
      if (lowHalves.has(words.lowHalf(at)) && values.has(words.word(at))) yield at;
    }
  }
}
