/** Memory that somebody allocated: check_heap_object(). */
import { Context, Declared, DeclaredKind, Kind, Kmap, PageSpan, Request, SkipVmalloc, VmallocRule } from './context';
import { pagefaultDisabled } from './current';
import { declaredObject, declaredVmallocArea, isDeclaredKmap, isInDeclaredVmallocSpace } from './declared';
import { frameOf, frameValid, headAddress, headFrom, isIntrospectedKmap, pageAt, pageOf } from './introspected';
import { readField, readSlot } from './memory';
import { accept, noteObject, refuse } from './outcome';
import { checkDeclaredSlab, checkSlabAllocator, checkSlub } from './slab';
import { checkPageSpan } from './span';
import { Acceptance, Refusal } from './verdict';
import { areaAt, findVmapArea } from './vmap';

/** is_kmap_addr(): PKMAP; the fixmap slots of kmap_local_page() too since f3837ab7adbc (6.3). */
function isKmap(c: Context, pointer: u64, declared: Declared | null): bool {
  if (isDeclaredKmap(c, pointer)) return true;
  if (declared || !c.kmapRangeCount) return false;
  return isIntrospectedKmap(c, pointer, c.kmap == Kmap.PKMAP ? 1 : c.kmapRangeCount);
}

/** A kmapped page stands alone (4e140f59d285, 5.19-rc1). */
function checkKmap(c: Context, request: Request, pointer: u64, size: u64): i32 {
  const offset = pointer & (c.pageSize - 1);
  const start = pointer - offset;
  const end = (start + c.pageSize) & c.wordMask;
  if (size <= c.pageSize - offset) return accept(request, Acceptance.KMAP, start, end);
  noteObject(request, start, end);
  return refuse(c, request, Refusal.KMAP, offset, size);
}

/** is_vmalloc_addr() of an address that no declared area holds: they are vmalloc space, too. */
@inline
function isVmallocSpace(c: Context, pointer: u64, declared: Declared | null): bool {
  if (isInDeclaredVmallocSpace(c, pointer)) return true;
  return !declared && pointer >= c.vmallocStart && pointer < c.vmallocEnd;
}

/** is_vmalloc_addr() */
@inline
function isVmalloc(c: Context, pointer: u64, declared: Declared | null): bool {
  return declaredVmallocArea(c, pointer) != null || isVmallocSpace(c, pointer, declared);
}

/** is_vmalloc_or_module_addr() */
function isVmallocOrModule(c: Context, pointer: u64, declared: Declared | null): bool {
  return isVmalloc(c, pointer, declared) || (!declared && pointer >= c.modulesStart && pointer < c.modulesEnd);
}

/**
 * A vmalloc area: without its guard page by its vm_struct (0aef499f3172, 5.19-rc1), with it by its vmap_area (35fb9ae4aa2e).
 * A declared area is what may be copied; it has no guard page.
 */
function checkVmalloc(c: Context, request: Request, pointer: u64, size: u64, declared: Declared | null): i32 {
  let start: u64 = 0;
  let end: u64 = 0;
  let known: bool = false;
  if (declared) {
    start = declared.start;
    end = declared.end;
    known = true;
  } else if (!isInDeclaredVmallocSpace(c, pointer)) {
    const area = findVmapArea(c, pointer);
    if (area) {
      const at = areaAt(c, area);
      start = readField(c, Kind.AREA, at, area, c.vaStart);
      end = readField(c, Kind.AREA, at, area, c.vaEnd);
      known = true;
      if (c.vmalloc == VmallocRule.VM_STRUCT) {
        const vm = readSlot(c, Kind.AREA, area, c.vmStruct);
        known = vm != 0;
        if (known) {
          const guard = readSlot(c, Kind.AREA, vm, c.vmFlags) & c.vmapNoGuard ? 0 : c.pageSize;
          end = (start + readSlot(c, Kind.AREA, vm, c.vmSize) - guard) & c.wordMask;
        }
      }
    }
  }
  if (c.fault) return 0;
  if (!known) return refuse(c, request, Refusal.VMALLOC_NO_AREA, 0, size);
  const offset = pointer - start;
  const bad =
    c.vmalloc == VmallocRule.VM_STRUCT
      ? ((offset + size) & c.wordMask) > ((end - start) & c.wordMask)
      : size > ((end - pointer) & c.wordMask);
  if (!bad) return accept(request, Acceptance.VMALLOC, start, end);
  noteObject(request, start, end);
  return refuse(c, request, Refusal.VMALLOC, offset, size);
}

/** A compound page as a whole (ab502103ae3c, 5.19-rc1). */
@inline
function checkFolio(c: Context, request: Request, pointer: u64, size: u64, start: u64, bytes: u64): i32 {
  const end = (start + bytes) & c.wordMask;
  const offset = (pointer - start) & c.wordMask;
  if (size <= ((bytes - offset) & c.wordMask)) return accept(request, Acceptance.PAGE_ALLOC, start, end);
  noteObject(request, start, end);
  return refuse(c, request, Refusal.PAGE_ALLOC, offset, size);
}

@inline
function checkDeclared(c: Context, request: Request, pointer: u64, size: u64, toUser: bool, object: Declared): i32 {
  if (object.kind == DeclaredKind.SLAB) return checkDeclaredSlab(c, request, pointer, size, object);
  if (c.pageSpan != PageSpan.OFF) return checkPageSpan(c, request, pointer, size, toUser, false);
  if (c.folio && object.kind == DeclaredKind.COMPOUND_PAGE) {
    return checkFolio(c, request, pointer, size, object.start, object.end - object.start);
  }
  return 0;
}

@inline
function checkIntrospected(c: Context, request: Request, pointer: u64, size: u64, toUser: bool): i32 {
  const frame = frameOf(c, pointer);
  if (!frameValid(c, frame) || c.fault) return 0;
  if (c.highmem && !c.kmap && isIntrospectedKmap(c, pointer, c.kmapRangeCount)) {
    return c.pageSpan ? checkPageSpan(c, request, pointer, size, toUser, true) : 0;
  }
  const page = pageOf(c, frame);
  let at = pageAt(c, page);
  const info = readField(c, Kind.PAGE, at, page, c.compoundHead);
  const head = headFrom(c, page, info);
  if (head != page) at = pageAt(c, head);
  if ((readField(c, Kind.PAGE, at, head, c.slabField) & c.slabMask) == c.slabValue) {
    if (c.fault) return 0;
    const cache = readField(c, Kind.PAGE, at, head, c.slabCache);
    return c.slabAllocator
      ? checkSlabAllocator(c, request, pointer, size, head, cache)
      : checkSlub(c, request, pointer, size, headAddress(c, head, page, frame), cache);
  }
  if (c.fault) return 0;
  if (c.pageSpan) return checkPageSpan(c, request, pointer, size, toUser, false);
  if (!c.folio) return 0;
  const isHead = (readField(c, Kind.PAGE, at, head, c.pageFlags) & c.headMask) != 0;
  if (!isHead && !(c.tailsAreCompound && info & 1)) return 0;
  // compound_order() of a page that is no head is 0.
  const order = isHead ? readSlot(c, Kind.PAGE, head, c.order) & c.orderMask : 0;
  return checkFolio(c, request, pointer, size, headAddress(c, head, page, frame), (c.pageSize << order) & c.wordMask);
}

/** 0 when nothing objects; else the acceptance or the refusal. */
@inline
export function checkHeap(c: Context, request: Request, pointer: u64, size: u64, toUser: bool): i32 {
  const declared = declaredObject(c, pointer);
  if (c.kmap && c.declaredKmapCount | c.kmapRangeCount && isKmap(c, pointer, declared))
    return checkKmap(c, request, pointer, size);
  if (c.vmalloc) {
    const area = declaredVmallocArea(c, pointer);
    if (
      (area || isVmallocSpace(c, pointer, declared)) &&
      !(c.vmalloc == VmallocRule.VMAP_AREA_PAGE_FAULTS_ENABLED && pagefaultDisabled(c, request))
    ) {
      return checkVmalloc(c, request, pointer, size, area);
    }
  } else if (c.skipVmalloc == SkipVmalloc.VMALLOC_OR_MODULE && isVmallocOrModule(c, pointer, declared)) return 0;
  else if (c.skipVmalloc == SkipVmalloc.VMALLOC && isVmalloc(c, pointer, declared)) return 0;
  if (declared) return checkDeclared(c, request, pointer, size, toUser, declared);
  if (c.highmem && c.pageSpan && isDeclaredKmap(c, pointer)) {
    return checkPageSpan(c, request, pointer, size, toUser, true);
  }
  return c.introspected ? checkIntrospected(c, request, pointer, size, toUser) : 0;
}
