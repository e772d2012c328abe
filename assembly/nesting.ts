/**
 * Copies inside copies: a uaccess function that calls another (`_copy_to_user` its raw routine) copies the same bytes
 * twice past the hooks. Only the outermost is judged.
 */
import { isToUser } from './check';
import { Context, DirectionKind, Request } from './context';

/**
 * Whether the copy is part of the one that was judged last: reached from the same depth of the stack or deeper, through
 * another entry point, between the same bytes in the same direction. What is passed over here was judged a moment before, as part of a larger copy; so
 * nothing is missed even where the outer function has returned meanwhile.
 */
function isPartOfOuter(c: Context, request: Request, kernel: u64, user: u64, size: u64, toUser: bool): bool {
  if (!c.outerEntry || c.outerEntry == <u32>request.entry) return false;
  if (request.stackPointer > c.outerStackPointer || <u32>toUser != c.outerToUser) return false;
  const skipped = (kernel - c.outerKernel) & c.wordMask;
  return skipped <= c.outerSize && size <= c.outerSize - skipped && ((user - c.outerUser) & c.wordMask) == skipped;
}

/** Notes the copy as the outermost one and gives true, unless it is part of the one before. */
export function isOutermost(c: Context, request: Request): bool {
  const swapped = request.directionKind == DirectionKind.BY_ADDRESS && (request.pointer & c.wordMask) < c.taskSize;
  const kernel = (swapped ? request.other : request.pointer) & c.wordMask;
  const user = (swapped ? request.pointer : request.other) & c.wordMask;
  const size = request.size & (request.sizeBits == 32 ? 0xffffffff : c.wordMask);
  const toUser = isToUser(c, request);
  if (isPartOfOuter(c, request, kernel, user, size, toUser)) return false;
  c.outerEntry = request.entry;
  c.outerStackPointer = request.stackPointer;
  c.outerKernel = kernel;
  c.outerUser = user;
  c.outerSize = size;
  c.outerToUser = <u32>toUser;
  return true;
}
