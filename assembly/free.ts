/**
 * Which objects of a slab are free, by the allocator's own lists (mm/slub.c, mm/slab.c): a bit for each. Every walk is bounded,
 * since the guest may have overwritten what it follows.
 */
import { Context, Kind, Look, Unknown } from './context';
import { fault, read32, readSlot, readWord } from './memory';

/** Sheaves of one cache, and objects in them: a CPU has some tens, a barn ten full sheaves. */
const MOST_WAITING: u32 = 1 << 16;

/** How a free pointer is stored: CONFIG_SLAB_FREELIST_HARDENED xors it with a number of the cache and its own address. */
enum Stored {
  /** The address with its bytes swapped, since 1ad53d9fa3f6 (5.7). */
  SWAPPED = 0,
  HARDENED = 1,
  PLAIN = 2,
  COUNT = 3,
}

@inline
function place(l: Look, index: u32): usize {
  return <usize>l.bits + <usize>(index >>> 3);
}

export function isFree(l: Look, index: u32): bool {
  return ((load<u8>(place(l, index)) >> (index & 7)) & 1) != 0;
}

function setFree(l: Look, index: u32): void {
  store<u8>(place(l, index), load<u8>(place(l, index)) | ((<u8>1) << (<u8>(index & 7))));
}

function forget(l: Look): void {
  const end = place(l, l.count - 1);
  for (let at = <usize>l.bits; at <= end; at++) store<u8>(at, 0);
}

/** Index of the object that begins at an address; `count` when none of this slab does. */
function indexOf(l: Look, object: u64): u32 {
  const first = l.slabStart + l.lead;
  const distance = object - first;
  if (object < first || object >= l.slabEnd || distance % l.stride) return l.count;
  return <u32>(distance / l.stride);
}

function decoded(c: Context, stored: u64, at: u64, random: u64, how: i32): u64 {
  if (how == Stored.PLAIN) return stored;
  const swapped: u64 = c.wordBytes == 8 ? bswap<u64>(at) : bswap<u32>(<u32>at);
  return (stored ^ random ^ (how == Stored.SWAPPED ? swapped : at)) & c.wordMask;
}

/** Notes the objects of a chain; false when it leaves the slab, does not end or cannot be read. */
function follow(c: Context, l: Look, head: u64, pointer: u64, random: u64, how: i32): bool {
  for (let object = head; object; ) {
    const index = indexOf(l, object);
    if (index == l.count || isFree(l, index)) return false;
    setFree(l, index);
    const at = (object + pointer) & c.wordMask;
    const stored = readWord(c, Kind.AREA, at);
    if (c.fault) return false;
    object = decoded(c, stored, at, random, how);
  }
  return true;
}

/** How many words of `__per_cpu_offset` there are to look at. */
function cpusOf(c: Context, l: Look): u64 {
  const count = l.cpuCount ? read32(c, Kind.VARIABLE, l.cpuCount) : l.mostCpus;
  return count < l.mostCpus ? count : l.mostCpus;
}

@inline
function perCpu(c: Context, l: Look, cpu: u64): u64 {
  return readWord(c, Kind.VARIABLE, (l.perCpuOffset + cpu * c.wordBytes) & c.wordMask);
}

/** Whether some CPU may have the slab for itself. */
function mayBeOfCpu(c: Context, l: Look, head: u64): bool {
  return !l.frozen || ((readSlot(c, Kind.PAGE, head, l.frozen) >> l.frozenShift) & 1) != 0;
}

/** The list of the CPU whose slab it is; 0 where it is no CPU's. CPUs that are not there all lead to the same data. */
function findCpu(c: Context, l: Look, head: u64): u64 {
  const base = readSlot(c, Kind.CACHE, l.cache, l.cpuSlab);
  const cpus = cpusOf(c, l);
  let before: u64 = 0;
  for (let cpu: u64 = 0; cpu < cpus && !c.fault; cpu++) {
    const offset = perCpu(c, l, cpu);
    if (cpu && (!offset || offset == before)) continue;
    before = offset;
    const own = (base + offset) & c.wordMask;
    if (readSlot(c, Kind.PER_CPU, own, l.cpuSlabPage) != head) continue;
    if (!l.cpuFreelist) l.unknown = Unknown.SLAB_OF_A_CPU;
    return readSlot(c, Kind.PER_CPU, own, l.cpuFreelist);
  }
  return 0;
}

/**
 * The list of the CPU that has the slab for itself (kmem_cache.cpu_slab, until 32c894c7274b "slab: remove struct kmem_cache_cpu",
 * 7.0); 0 where none has it. Where one does, and its data is not found or cannot be read, nothing is known of the slab.
 */
function listOfCpu(c: Context, l: Look, head: u64): u64 {
  if (!l.cpuSlabPage || !l.perCpuOffset) {
    if (mayBeOfCpu(c, l, head)) l.unknown = Unknown.SLAB_OF_A_CPU;
    return 0;
  }
  const list = findCpu(c, l, head);
  const reason = c.fault;
  if (!reason) return list;
  const address = c.faultAddress;
  c.fault = 0;
  if (mayBeOfCpu(c, l, head)) fault(c, reason, address);
  return 0;
}

/** Notes the objects of a sheaf; what is left of `MOST_WAITING`. */
function noteSheaf(c: Context, l: Look, sheaf: u64, left: u32): u32 {
  if (!sheaf) return left;
  const size = readSlot(c, Kind.AREA, sheaf, l.sheafSize);
  if (size >= left) {
    l.unknown = Unknown.MAKES_NO_SENSE;
    return 0;
  }
  for (let i: u64 = 0; i < size && !c.fault; i++) {
    const index = indexOf(l, readWord(c, Kind.AREA, (sheaf + l.sheafObjects + i * c.wordBytes) & c.wordMask));
    if (index < l.count) setFree(l, index);
  }
  return left - <u32>size - 1;
}

/** The full sheaves of a node's barn. */
function noteBarn(c: Context, l: Look, barn: u64, budget: u32): u32 {
  const list = (barn + l.barnFull) & c.wordMask;
  let left = budget;
  let entry = readWord(c, Kind.AREA, list);
  while (left && entry && entry != list && !c.fault) {
    left = noteSheaf(c, l, (entry - l.sheafBarnList) & c.wordMask, left);
    entry = readWord(c, Kind.AREA, entry);
  }
  return left;
}

/**
 * Whether a cache has sheaves: cpu_sheaves is null where it has none, until f3421f8d154c "slab: introduce percpu sheaves bootstrap"
 * (7.0) gives one empty sheaf to all of them. From then on cache_has_sheaves() asks for the capacity, which is 0 in every cache
 * with debugging flags. What cannot be read may have some.
 */
function hasSheaves(c: Context, l: Look): bool {
  const has =
    (!l.sheafCapacity || readSlot(c, Kind.CACHE, l.cache, l.sheafCapacity) != 0) &&
    readSlot(c, Kind.CACHE, l.cache, l.cpuSheaves) != 0;
  return has || c.fault != 0;
}

/**
 * From 6.18 on (2d517aa09bbc) free objects wait in sheaves, too: of CPUs, of nodes (a barn is a member of kmem_cache_node, since
 * 5ba6bc27b1f9 "slab: decouple pointer to barn from kmem_cache_node", 7.1, beside it in the cache), and of RCU callbacks that
 * nothing leads to. Who is in none that is found may still be free.
 */
function noteSheaves(c: Context, l: Look): void {
  if (!hasSheaves(c, l)) return;
  const base = c.fault ? 0 : readSlot(c, Kind.CACHE, l.cache, l.cpuSheaves);
  l.unknown = Unknown.MAY_BE_IN_A_SHEAF;
  if (base && l.sheafSize) noteSheavesOf(c, l, base);
  // Those that cannot be read are some that are not found.
  c.fault = 0;
}

function noteSheavesOf(c: Context, l: Look, base: u64): void {
  let left = MOST_WAITING;
  const cpus = l.perCpuOffset ? cpusOf(c, l) : 0;
  let before: u64 = 0;
  for (let cpu: u64 = 0; cpu < cpus && !c.fault; cpu++) {
    const offset = perCpu(c, l, cpu);
    if (cpu && (!offset || offset == before)) continue;
    before = offset;
    const own = (base + offset) & c.wordMask;
    left = noteSheaf(c, l, readSlot(c, Kind.PER_CPU, own, l.sheafMain), left);
    left = noteSheaf(c, l, readSlot(c, Kind.PER_CPU, own, l.sheafSpare), left);
    left = noteSheaf(c, l, readSlot(c, Kind.PER_CPU, own, l.sheafRcuFree), left);
  }
  for (let at = l.nodes; at + l.nodeStride <= l.nodesEnd && l.nodeBarn && !c.fault; at += l.nodeStride) {
    const element = (l.cache + at) & c.wordMask;
    const node = l.nodesInline ? element : readWord(c, Kind.CACHE, element);
    const barn = node ? readSlot(c, Kind.AREA, node, l.nodeBarn) : 0;
    if (barn) left = noteBarn(c, l, barn, left);
  }
}

/** SLUB: the slab's own chain and that of the CPU that has the slab. Only one way to read the pointers stays in the slab. */
function noteSlub(c: Context, l: Look, head: u64): void {
  if (!l.freePointer) {
    l.unknown = Unknown.NO_FREE_POINTERS;
    return;
  }
  const own = readSlot(c, Kind.PAGE, head, l.freelist);
  const ofCpu = l.cpuSlab ? listOfCpu(c, l, head) : 0;
  if (c.fault || l.unknown) return;
  const pointer = readSlot(c, Kind.CACHE, l.cache, l.freePointer);
  const random = l.random ? readSlot(c, Kind.CACHE, l.cache, l.random) : 0;
  for (let how: i32 = l.random ? Stored.SWAPPED : Stored.PLAIN; how < Stored.COUNT && !c.fault; how++) {
    forget(l);
    if (!follow(c, l, own, pointer, random, how) || !follow(c, l, ofCpu, pointer, random, how)) continue;
    if (l.cpuSheaves) noteSheaves(c, l);
    return;
  }
  l.unknown = Unknown.MAKES_NO_SENSE;
}

/**
 * SLAB (until 16a1d968358a "mm/slab: remove mm/slab.c and slab_def.h", 6.8): a list of indices, of which the first `active` are in
 * use. A slab without free objects has no list where the list lies in one of them (OBJFREELIST_SLAB, b03a017bebc4, 4.6).
 */
function noteSlab(c: Context, l: Look, head: u64): void {
  if (l.arrays) l.unknown = Unknown.MAY_BE_IN_AN_ARRAY;
  const list = readSlot(c, Kind.PAGE, head, l.freelist);
  const active = readSlot(c, Kind.PAGE, head, l.active);
  if (active > l.count || (active < l.count && !list)) {
    l.unknown = Unknown.MAKES_NO_SENSE;
    return;
  }
  for (let position = active; position < l.count && !c.fault; position++) {
    const index = readSlot(c, Kind.AREA, list + position * l.indexBytes, l.indexBytes << 24);
    if (index < l.count) setFree(l, <u32>index);
    else l.unknown = Unknown.MAKES_NO_SENSE;
  }
}

/** Notes which objects are free. `l.unknown`: why others may be free, too; none is noted where nothing is known. */
export function noteFree(c: Context, l: Look, head: u64): void {
  forget(l);
  if (c.slabAllocator) noteSlab(c, l, head);
  else noteSlub(c, l, head);
  if (!l.unknown && l.quarantine) l.unknown = Unknown.MAY_BE_IN_QUARANTINE;
  const isPartial =
    l.unknown == Unknown.MAY_BE_IN_A_SHEAF ||
    l.unknown == Unknown.MAY_BE_IN_AN_ARRAY ||
    l.unknown == Unknown.MAY_BE_IN_QUARANTINE;
  if (l.unknown && !isPartial) forget(l);
}
