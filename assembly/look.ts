/**
 * What the kernel's check lets pass: a look at the slab objects that a copy touches, whether they are in use and whether it
 * goes over their red zones. No part of the check: it is called on its own, for copies that were judged.
 */
import { Context, Kind, Look, LookResult, Looks, Request, Unknown } from './context';
import { isFree, noteFree } from './free';
import { frameOf, frameValid, headAddress, headFrom, pageOf } from './introspected';
import { readSlot, readWord } from './memory';
import { Unreadable } from './verdict';

/** Notes the object that decides; `end` is the first byte after what its owner may use. */
function noteObject(c: Context, l: Look, start: u64, end: u64): void {
  l.objectStart = start & c.wordMask;
  l.objectEnd = end & c.wordMask;
}

/** Whether [from, to) has bytes of [start, end); notes it as the red zone then. */
function touches(c: Context, l: Look, start: u64, end: u64, from: u64, to: u64): bool {
  if (start >= end || from >= end || to <= start) return false;
  l.zoneStart = start & c.wordMask;
  l.zoneEnd = end & c.wordMask;
  return true;
}

@inline
function tellsAsked(l: Look, flags: u64): bool {
  return l.flagsOfAsked != 0 && (flags & l.flagsOfAsked) == l.flagsOfAsked;
}

/** Where an object's bytes end for its owner: at what was asked for, where SLUB keeps that, else at the cache's object size. */
function usableEnd(c: Context, l: Look, start: u64, flags: u64): u64 {
  if (!tellsAsked(l, flags)) return start + l.objectSize;
  // get_info_end(): a free pointer behind the object comes first.
  const pointer = readSlot(c, Kind.CACHE, l.cache, l.freePointer);
  const info = start + l.inuse + (pointer >= l.inuse ? <u64>c.wordBytes : 0);
  const asked = readSlot(c, Kind.AREA, info, l.asked);
  return start + (asked && asked <= l.objectSize ? asked : l.objectSize);
}

/** Notes an object by its number in the slab; its first byte. */
function noteIndex(c: Context, l: Look, index: u32): u64 {
  const start = l.slabStart + <u64>index * l.stride + l.lead;
  l.index = index;
  noteObject(c, l, start, start + l.objectSize);
  return start;
}

/** The copy's objects in turn: the first that is free, or has a red zone in the copy, decides. */
function lookAtObjects(c: Context, l: Look, pointer: u64, end: u64, flags: u64): u32 {
  const last = end >= l.slabEnd ? l.count - 1 : <u32>((end - 1 - l.slabStart) / l.stride);
  let known: bool = true;
  for (let index = <u32>((pointer - l.slabStart) / l.stride); index <= last; index++) {
    const start = noteIndex(c, l, index);
    if (isFree(l, index)) return LookResult.FREED;
    if (l.unknown) {
      known = false;
      continue;
    }
    if (touches(c, l, start - l.leftZone, start, pointer, end)) return LookResult.RED_ZONE;
    const usable = usableEnd(c, l, start, flags);
    if (touches(c, l, usable, start + l.inuse, pointer, end)) {
      noteObject(c, l, start, usable);
      return LookResult.RED_ZONE;
    }
    if (c.fault) return LookResult.UNKNOWN;
  }
  return known ? LookResult.ALLOCATED : LookResult.UNKNOWN;
}

/** Bounds of the slab's objects, and of what belongs to one; false where they make no sense. */
function measure(c: Context, l: Look, head: u64, slab: u64, flags: u64): bool {
  l.stride = readSlot(c, Kind.CACHE, l.cache, c.cacheSize);
  l.objectSize = readSlot(c, Kind.CACHE, l.cache, c.cacheObjectSize);
  // SLUB's two red zones (d86bd1bece6f, 4.5): before the object, and from its size to `inuse`. SLAB's are not known.
  const zones = c.cacheRedLeftPad != 0 && (flags & c.flagRedZone) != 0;
  l.leftZone = zones ? readSlot(c, Kind.CACHE, l.cache, c.cacheRedLeftPad) : 0;
  l.inuse = zones || tellsAsked(l, flags) ? readSlot(c, Kind.CACHE, l.cache, c.cacheInuse) : l.objectSize;
  l.slabStart = c.slabAllocator ? readSlot(c, Kind.PAGE, head, c.slabMem) : slab;
  const count = c.slabAllocator
    ? readSlot(c, Kind.CACHE, l.cache, c.cacheNum)
    : (readSlot(c, Kind.PAGE, head, l.objects) >> l.objectsShift) & l.objectsMask;
  l.lead = l.leftZone + (c.slabAllocator ? readSlot(c, Kind.CACHE, l.cache, c.cacheObjOffset) : 0);
  if (!l.stride || !count || count > <u64>Looks.OBJECTS) return false;
  l.count = <u32>count;
  l.slabEnd = l.slabStart + count * l.stride;
  return true;
}

/** An object of the KFENCE pool (mm/kfence): a page has one, and what the owner did not ask for is filled with a pattern. */
function lookAtKfence(c: Context, l: Look, pool: u64, pointer: u64, end: u64): u32 {
  l.unknown = Unknown.OF_KFENCE;
  if (!l.kfenceState) return LookResult.UNKNOWN;
  const pair = ((pointer - pool) & c.wordMask) / (c.pageSize * 2);
  if (!pair || pair >= c.kfencePoolSize / (c.pageSize * 2)) return LookResult.UNKNOWN;
  const metadata = c.kfenceIndirect ? readWord(c, Kind.VARIABLE, c.kfenceMetadata) : c.kfenceMetadata;
  const record = metadata + (pair - 1) * c.kfenceMetadataSize;
  const state = readSlot(c, Kind.VARIABLE, record, l.kfenceState);
  const start = readSlot(c, Kind.VARIABLE, record, c.kfenceObjectAddress);
  const size = readSlot(c, Kind.VARIABLE, record, l.kfenceSize);
  const page = pool + pair * c.pageSize * 2;
  if (c.fault || start < page || start + size > page + c.pageSize) return LookResult.UNKNOWN;
  l.cache = l.kfenceCache ? readSlot(c, Kind.VARIABLE, record, l.kfenceCache) : 0;
  l.slabStart = page;
  l.slabEnd = page + c.pageSize;
  l.stride = c.pageSize;
  l.count = 1;
  noteObject(c, l, start, start + size);
  if (state == l.kfenceFreed) {
    l.unknown = 0;
    return LookResult.FREED;
  }
  if (state != l.kfenceAllocated) return LookResult.UNKNOWN;
  l.unknown = 0;
  const isOver =
    touches(c, l, page, start, pointer, end) || touches(c, l, start + size, page + c.pageSize, pointer, end);
  return isOver ? LookResult.RED_ZONE : LookResult.ALLOCATED;
}

function lookAtMemory(c: Context, l: Look, pointer: u64, end: u64): u32 {
  if (!c.introspected) return LookResult.ELSEWHERE;
  const pool = c.kfencePool ? readWord(c, Kind.VARIABLE, c.kfencePool) : 0;
  if (pool && ((pointer - pool) & c.wordMask) < c.kfencePoolSize) return lookAtKfence(c, l, pool, pointer, end);
  const frame = frameOf(c, pointer);
  if (!frameValid(c, frame) || c.fault) return LookResult.ELSEWHERE;
  const page = pageOf(c, frame);
  const head = headFrom(c, page, readSlot(c, Kind.PAGE, page, c.compoundHead));
  if ((readSlot(c, Kind.PAGE, head, c.slabField) & c.slabMask) != c.slabValue) return LookResult.ELSEWHERE;
  l.cache = readSlot(c, Kind.PAGE, head, c.slabCache);
  const flags = readSlot(c, Kind.CACHE, l.cache, c.cacheFlags);
  const isSlab = measure(c, l, head, headAddress(c, head, page, frame), flags);
  if (c.fault) return LookResult.UNKNOWN;
  if (!isSlab) {
    l.unknown = Unknown.MAKES_NO_SENSE;
    return LookResult.UNKNOWN;
  }
  if (pointer < l.slabStart || pointer >= l.slabEnd) return LookResult.ELSEWHERE;
  // Which object it is stays known where its state is not.
  noteIndex(c, l, <u32>((pointer - l.slabStart) / l.stride));
  noteFree(c, l, head);
  return c.fault ? LookResult.UNKNOWN : lookAtObjects(c, l, pointer, end, flags);
}

/** Looks at the copy of a request that was judged; gives the `LookResult`, which stands in `l` with what it is about. */
export function lookAtCopy(c: Context, l: Look, request: Request): u32 {
  c.fault = 0;
  l.unknown = 0;
  l.missing = 0;
  l.cache = 0;
  l.index = 0;
  l.count = 0;
  l.stride = 0;
  l.leftZone = 0;
  l.slabStart = 0;
  l.slabEnd = 0;
  noteObject(c, l, 0, 0);
  l.zoneStart = 0;
  l.zoneEnd = 0;
  const pointer = request.judgedPointer;
  const end = pointer + request.size < pointer ? u64.MAX_VALUE : pointer + request.size;
  l.result = request.size ? lookAtMemory(c, l, pointer, end) : LookResult.ELSEWHERE;
  if (c.fault) {
    l.result = LookResult.UNKNOWN;
    l.unknown = c.fault == Unreadable.MISSING ? Unknown.NOT_READABLE : Unknown.MAKES_NO_SENSE;
    l.missing = c.fault == Unreadable.MISSING ? c.faultAddress : 0;
    c.fault = 0;
  }
  return l.result;
}
