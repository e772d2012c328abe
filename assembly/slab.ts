/** Slab objects: __check_heap_object() of mm/slub.c and mm/slab.c, and the same for declared slabs. */
import { Context, Declared, Described, Kind, Request } from './context';
import { remainder } from './division';
import { isKfenceAddress, kfenceObjectStart } from './kfence';
import { fault, read32, read8, readField, readSlot, slotAddress, staticKeyEnabled, structure } from './memory';
import { noteWindow, refuse } from './outcome';
import { Acceptance, Refusal, Unreadable } from './verdict';

/** What the copy is held against. `offset` is the copy's, from the object's start; it may have wrapped. */
@inline
function judge(
  c: Context,
  request: Request,
  size: u64,
  offset: u64,
  useroffset: u64,
  usersize: u64,
  /** Mask of the type that the kernel's comparison is made in. */
  typeMask: u64,
): bool {
  return (
    offset >= useroffset &&
    ((offset - useroffset) & typeMask) <= usersize &&
    size <= ((useroffset - offset + usersize) & typeMask)
  );
}

@inline
function inside(size: u64, offset: u64, objectSize: u64): bool {
  return offset <= objectSize && size <= objectSize - offset;
}

/** slab_ksize() of mm/slab.h: what an owner may use, before the whitelists and in their fallback. */
function usableSize(c: Context, cache: u64): u64 {
  if (c.slabAllocator) return readSlot(c, Kind.CACHE, cache, c.cacheObjectSize);
  const flags = readSlot(c, Kind.CACHE, cache, c.cacheFlags);
  if (flags & (c.flagRedZone | c.flagPoison)) return readSlot(c, Kind.CACHE, cache, c.cacheObjectSize);
  if (flags & (c.flagTypesafeByRcu | c.flagStoreUser)) return readSlot(c, Kind.CACHE, cache, c.cacheInuse);
  return readSlot(c, Kind.CACHE, cache, c.cacheSize);
}

function describe(c: Context, request: Request, cache: u64, start: u64): void {
  const before = c.fault;
  const objectSize = readSlot(c, Kind.CACHE, cache, c.cacheObjectSize);
  let useroffset: u64 = 0;
  let usersize = objectSize;
  if (c.whitelist && c.cacheUsersize) {
    useroffset = readSlot(c, Kind.CACHE, cache, c.cacheUseroffset);
    usersize = readSlot(c, Kind.CACHE, cache, c.cacheUsersize);
  }
  c.fault = before;
  const window = start + useroffset;
  noteWindow(
    request,
    start & c.wordMask,
    (start + objectSize) & c.wordMask,
    window & c.wordMask,
    (window + usersize) & c.wordMask,
    Described.SLAB_OBJECT,
  );
  request.cache = cache;
}

/** The last question of both allocators: does the copy stay in the object, or in its whitelist? */
@inline
function judgeObject(
  c: Context,
  request: Request,
  cache: u64,
  at: usize,
  size: u64,
  start: u64,
  offset: u64,
  typeMask: u64,
): i32 {
  let good: bool;
  if (c.whitelist) {
    const useroffset = c.cacheUsersize ? readField(c, Kind.CACHE, at, cache, c.cacheUseroffset) : 0;
    const usersize = readField(c, Kind.CACHE, at, cache, c.cacheUsersize ? c.cacheUsersize : c.cacheObjectSize);
    good = judge(c, request, size, offset, useroffset, usersize, typeMask);
  } else good = inside(size, offset, usableSize(c, cache));
  if (good) {
    if (request.explain) describe(c, request, cache, start);
    return Acceptance.SLAB_OBJECT;
  }
  if (c.fault) return 0;
  describe(c, request, cache, start);
  if (c.whitelist && c.fallback && inside(size, offset, usableSize(c, cache))) {
    request.offset = offset;
    request.printedSize = size;
    return Acceptance.SLAB_OBJECT_BY_FALLBACK;
  }
  return refuse(c, request, Refusal.SLAB_OBJECT, offset, size);
}

/** kmem_cache_debug_flags(s, SLAB_RED_ZONE): asks a static key first from 5.9 on (ca0cab65ea2b). */
@inline
function hasRedZone(c: Context, at: usize, cache: u64): bool {
  if (!c.cacheRedLeftPad) return false;
  if (c.slubDebugEnabled && !staticKeyEnabled(c, c.slubDebugEnabled)) return false;
  return (readField(c, Kind.CACHE, at, cache, c.cacheFlags) & c.flagRedZone) != 0;
}

/** SLUB. Offsets are `unsigned int` there: a pointer before a KFENCE object wraps at 2^32. */
@inline
export function checkSlub(c: Context, request: Request, pointer: u64, size: u64, slab: u64, cache: u64): i32 {
  if (pointer < slab) {
    if (c.oldFormat) describe(c, request, cache, slab);
    return refuse(c, request, Refusal.SLAB_OBJECT_NOT_IN_SLAB_PAGE, 0, size);
  }
  const at = structure(c, Kind.CACHE, cache, c.cacheFieldsEnd);
  let start: u64;
  let offset: u64;
  if (isKfenceAddress(c, pointer)) {
    start = kfenceObjectStart(c, pointer);
    offset = <u64>(<u32>(pointer - start));
  } else {
    const stride = readField(c, Kind.CACHE, at, cache, c.cacheSize);
    if (!stride) {
      fault(c, Unreadable.CORRUPT, slotAddress(c, cache, c.cacheSize));
      return 0;
    }
    offset = remainder(pointer - slab, stride);
    start = pointer - offset;
    if (hasRedZone(c, at, cache)) {
      const pad = readField(c, Kind.CACHE, at, cache, c.cacheRedLeftPad);
      start += pad;
      if (offset < pad) {
        if (c.fault) return 0;
        describe(c, request, cache, start);
        return refuse(c, request, Refusal.SLAB_OBJECT_IN_LEFT_RED_ZONE, offset, size);
      }
      offset -= pad;
    }
  }
  return judgeObject(c, request, cache, at, size, start, offset, 0xffffffff);
}

/** reciprocal_divide() of lib/reciprocal_div.c, by the guest's own multiplier. */
function reciprocalDivide(c: Context, value: u32, reciprocal: u64): u32 {
  const multiplier = read32(c, Kind.CACHE, reciprocal);
  const shift1 = <u32>read8(c, Kind.CACHE, (reciprocal + 4) & c.wordMask);
  const shift2 = <u32>read8(c, Kind.CACHE, (reciprocal + 5) & c.wordMask);
  const high = <u32>((<u64>value * multiplier) >> 32);
  return (high + ((value - high) >> shift1)) >> shift2;
}

/** SLAB (until 6.8). Offsets are `unsigned long`; one that underflows fails the whitelist. */
export function checkSlabAllocator(c: Context, request: Request, pointer: u64, size: u64, head: u64, cache: u64): i32 {
  const objects = readSlot(c, Kind.PAGE, head, c.slabMem);
  const index = reciprocalDivide(c, <u32>(pointer - objects), (cache + (c.cacheReciprocal & 0xffffff)) & c.wordMask);
  if (index >= <u32>readSlot(c, Kind.CACHE, cache, c.cacheNum)) {
    if (c.fault) return 0;
    request.described = <u8>Described.CACHE;
    request.cache = cache;
    return refuse(c, request, Refusal.SLAB_OBJECT_INDEX_OUT_OF_RANGE, 0, size);
  }
  const start = isKfenceAddress(c, pointer)
    ? kfenceObjectStart(c, pointer)
    : objects +
      <u64>(<u32>readSlot(c, Kind.CACHE, cache, c.cacheSize) * index) +
      readSlot(c, Kind.CACHE, cache, c.cacheObjOffset);
  const offset = (pointer - start) & c.wordMask;
  return judgeObject(c, request, cache, 0, size, start, offset, c.wordMask);
}

function describeDeclared(c: Context, request: Request, slab: Declared, start: u64): void {
  const window = c.whitelist ? start + slab.useroffset : start;
  const windowSize = c.whitelist ? <u64>slab.usersize : slab.objectSize;
  noteWindow(
    request,
    start & c.wordMask,
    (start + slab.objectSize) & c.wordMask,
    window & c.wordMask,
    (window + windowSize) & c.wordMask,
    Described.DECLARED_OBJECT,
  );
  request.cache = slab.id;
}

/** A declared slab, by SLUB's arithmetic. */
@inline
export function checkDeclaredSlab(c: Context, request: Request, pointer: u64, size: u64, slab: Declared): i32 {
  let offset = remainder(pointer - slab.start, slab.objectStride);
  const start = pointer - offset + slab.redLeftPad;
  if (offset < slab.redLeftPad) {
    describeDeclared(c, request, slab, start);
    return refuse(c, request, Refusal.SLAB_OBJECT_IN_LEFT_RED_ZONE, offset, size);
  }
  offset -= slab.redLeftPad;
  const good = c.whitelist
    ? judge(c, request, size, offset, slab.useroffset, slab.usersize, 0xffffffff)
    : inside(size, offset, slab.objectSize);
  if (good && !request.explain) return Acceptance.SLAB_OBJECT;
  describeDeclared(c, request, slab, start);
  if (good) return Acceptance.SLAB_OBJECT;
  if (c.fallback && inside(size, offset, slab.objectSize)) {
    request.offset = offset;
    request.printedSize = size;
    return Acceptance.SLAB_OBJECT_BY_FALLBACK;
  }
  return refuse(c, request, Refusal.SLAB_OBJECT, offset, size);
}
