/**
 * Pages that are not slab, before 5.19: check_page_span(), and the same rules inside check_heap_object() of the
 * July 2016 mails.
 */
import { Context, DeclaredKind, Kind, PageSpan, Request } from './context';
import { declaredObject } from './declared';
import { frameOfPage, headFrame, headOf, isCmaPage, NO_FRAME, pageOf } from './introspected';
import { fault, readSlot } from './memory';
import { noteObject, refuse } from './outcome';
import { Acceptance, Refusal, Unreadable } from './verdict';

/** Where a page's head was found: two heads are the same page only when they come from the same place. */
const UNKNOWN: u32 = 0;
const DECLARED: u32 = 1;
const STRUCT_PAGE: u32 = 2;
/** A copy over more pages than this (64 GiB of 4 KiB) is not walked to its end. */
const PAGE_LIMIT: u32 = 1 << 24;

/** virt_to_head_page() with PageReserved(), as the kernel tests it. */
function lookUpPage(c: Context, address: u64): void {
  c.pageReserved = 0;
  c.pageCma = 0;
  const declared = declaredObject(c, address);
  if (declared) {
    c.pageOrigin = DECLARED;
    const single = <i32>declared.kind >= DeclaredKind.PLAIN_PAGES;
    c.pageHead = single ? address & ~(c.pageSize - 1) : declared.start;
    c.pageReserved = declared.kind == DeclaredKind.RESERVED_PAGES ? 1 : 0;
    c.pageCma = declared.kind == DeclaredKind.CMA_PAGES ? 1 : 0;
    return;
  }
  const frame = c.introspected ? frameOfPage(c, address) : NO_FRAME;
  if (frame == NO_FRAME) {
    c.pageOrigin = UNKNOWN;
    c.pageHead = address & ~(c.pageSize - 1);
    return;
  }
  c.pageOrigin = STRUCT_PAGE;
  const page = pageOf(c, frame);
  c.pageHead = headOf(c, page);
  c.pageFrame = headFrame(c, c.pageHead, page, frame);
  c.pageReserved = readSlot(c, Kind.PAGE, c.pageHead, c.pageFlags) & c.reservedMask ? 1 : 0;
}

/** is_migrate_cma_page() of the head that `lookUpPage()` found. */
function isCmaHead(c: Context): bool {
  return c.pageOrigin == STRUCT_PAGE ? isCmaPage(c, c.pageHead, c.pageFrame) : c.pageCma != 0;
}

/** Every page from `pointer` in steps of a page: from the unaligned pointer, so the last page may be left out. */
function checkPages(c: Context, request: Request, from: u64, last: u64, size: u64, reserved: bool, cma: bool): i32 {
  const named = c.pageSpan == PageSpan.V4_8;
  let at = from;
  for (let count: u32 = 0; at <= last; count++) {
    if (count == PAGE_LIMIT) {
      fault(c, Unreadable.CORRUPT, at);
      return 0;
    }
    lookUpPage(c, at);
    if (c.fault) return 0;
    if (reserved && !c.pageReserved) {
      const reason = named ? Refusal.SPANS_RESERVED_AND_NON_RESERVED_PAGES : Refusal.SPANS_MULTIPLE_PAGES;
      return refuse(c, request, reason, 0, size);
    }
    if (cma && !isCmaHead(c)) {
      if (c.fault) return 0;
      const reason = named ? Refusal.SPANS_CMA_AND_NON_CMA_PAGES : Refusal.SPANS_MULTIPLE_PAGES;
      return refuse(c, request, reason, 0, size);
    }
    const next = (at + c.pageSize) & c.wordMask;
    if (next < at) break;
    at = next;
  }
  return Acceptance.RESERVED_OR_CMA_PAGES;
}

/** `isPlain`: the first page is a kmapped one, of which no more is known than that it is ordinary memory. */
export function checkPageSpan(c: Context, request: Request, pointer: u64, size: u64, toUser: bool, isPlain: bool): i32 {
  const last = (pointer + (size - 1)) & c.wordMask;
  if (pointer >= c.rodataStart && last <= c.rodataEnd) {
    if (toUser) return Acceptance.RODATA;
    noteObject(request, c.rodataStart, c.rodataEnd);
    return refuse(c, request, Refusal.RODATA, 0, size);
  }
  if (pointer >= c.dataStart && last <= c.dataEnd) return Acceptance.DATA;
  if (pointer >= c.bssStart && last <= c.bssEnd) return Acceptance.DATA;
  const pageMask = ~(c.pageSize - 1);
  if ((pointer & pageMask) == (last & pageMask)) return Acceptance.ONE_PAGE;

  lookUpPage(c, last);
  const lastHead = c.pageHead;
  const lastOrigin = c.pageOrigin;
  if (c.fault) return 0;
  // The struct page behind a kmap slot is not the one that the slot's own address leads to: do not read that.
  if (isPlain) return refuse(c, request, Refusal.SPANS_MULTIPLE_PAGES, 0, size);
  lookUpPage(c, pointer);
  if (c.fault) return 0;
  if (c.pageHead == lastHead && c.pageOrigin == lastOrigin) return Acceptance.PAGE_ALLOC;

  const reserved = c.pageReserved != 0;
  // The first mail knew Reserved pages only.
  const cma = c.pageSpan != PageSpan.V3 && isCmaHead(c);
  if (c.fault) return 0;
  if (!reserved && !cma) return refuse(c, request, Refusal.SPANS_MULTIPLE_PAGES, 0, size);
  const second = (pointer + c.pageSize) & c.wordMask;
  if (second < pointer) return Acceptance.RESERVED_OR_CMA_PAGES;
  return checkPages(c, request, second, last, size, reserved, cma);
}
