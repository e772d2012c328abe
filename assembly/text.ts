/** The kernel's text and its alias in the linear map: check_kernel_text_object(). */
import { Context, Request } from './context';
import { noteObject, refuse } from './outcome';
import { Refusal } from './verdict';

/** overlaps() in mm/usercopy.c; the July 2016 mail also counted a copy that ends exactly where the text starts. */
@inline
function overlaps(c: Context, pointer: u64, size: u64, low: u64, high: u64): bool {
  if (pointer >= high) return false;
  const end = (pointer + size) & c.wordMask;
  return c.textTouchCounts ? end >= low : end > low;
}

function refuseText(c: Context, request: Request, reason: Refusal, low: u64, high: u64, pointer: u64, size: u64): i32 {
  noteObject(request, low, high);
  return refuse(c, request, reason, pointer - low, size);
}

/** 0, or the refusal. */
@inline
export function checkText(c: Context, request: Request, pointer: u64, size: u64): i32 {
  if (overlaps(c, pointer, size, c.textStart, c.textEnd)) {
    return refuseText(c, request, Refusal.KERNEL_TEXT, c.textStart, c.textEnd, pointer, size);
  }
  if (c.linearText && overlaps(c, pointer, size, c.linearTextStart, c.linearTextEnd)) {
    return refuseText(c, request, Refusal.LINEAR_KERNEL_TEXT, c.linearTextStart, c.linearTextEnd, pointer, size);
  }
  return 0;
}
