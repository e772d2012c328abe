/** The order of the questions: __check_object_size(). The first that objects decides the message. */
import { checkBogus } from './bogus';
import { Context, Described, DirectionKind, Request } from './context';
import { checkHeap } from './heap';
import { staticKeyEnabled } from './memory';
import { beginOutcome } from './outcome';
import { checkStack } from './stack';
import { checkText } from './text';
import { Acceptance, Refusal, VerdictRange } from './verdict';

/** Whether the user reads the kernel's bytes. */
@inline
export function isToUser(c: Context, request: Request): bool {
  switch (<i32>request.directionKind) {
    case DirectionKind.TO_USER:
      return true;
    case DirectionKind.FROM_USER:
      return false;
    case DirectionKind.REGISTER:
      return (request.direction & 0xff) != 0;
    default:
      return (request.pointer & c.wordMask) < c.taskSize;
  }
}

/** As in the mails of July 2016; apart, so that the code of the usual order does not have it twice. */
function checkStackLast(c: Context, request: Request, pointer: u64, size: u64): i32 {
  return checkStack(c, request, pointer, size);
}

/** The questions of a copy that is not empty; gives the verdict's number. */
function ask(c: Context, request: Request, pointer: u64, size: u64, toUser: bool): i32 {
  const bogus = checkBogus(c, request, pointer, size);
  if (bogus) return bogus;
  if (c.stackFirst) {
    const stack = checkStack(c, request, pointer, size);
    if (stack || c.fault) return stack;
  }
  const heap = checkHeap(c, request, pointer, size, toUser);
  if (heap >= Refusal.WRAPPED_ADDRESS || c.fault) return heap;
  if (!c.stackFirst) {
    const stack = checkStackLast(c, request, pointer, size);
    if (stack || c.fault) return stack;
  }
  const text = checkText(c, request, pointer, size);
  if (text) return text;
  return heap ? heap : Acceptance.NOTHING_OBJECTS;
}

@inline
function isBypassed(c: Context): bool {
  return c.bypass || (c.bypassKey && staticKeyEnabled(c, c.bypassKey));
}

/** Adds to a verdict's count. */
@inline
export function count(c: Context, code: u32, toUser: bool, by: u64): void {
  const counter = changetype<usize>(c) + offsetof<Context>() + <usize>((code << 1) + <u32>toUser) * sizeof<u64>();
  store<u64>(counter, load<u64>(counter) + by);
}

/** Judges one request, notes the verdict in it and counts it; gives the verdict's number. */
@inline
export function judgeRequest(c: Context, request: Request): u32 {
  const toUser = isToUser(c, request);
  let pointer = request.pointer & c.wordMask;
  let size = request.size & c.wordMask;
  if (request.sizeBits == 32) size &= 0xffffffff;
  if (request.directionKind == DirectionKind.BY_ADDRESS && toUser) {
    pointer = request.other & c.wordMask;
    // From user to user: the kernel never judges it.
    if (pointer < c.taskSize) size = 0;
  }
  c.fault = 0;
  beginOutcome(request, toUser);

  let code: i32;
  if (isBypassed(c)) code = Acceptance.BYPASSED;
  else code = size ? ask(c, request, pointer, size, toUser) : Acceptance.EMPTY_COPY;
  if (c.fault) {
    code = c.fault;
    request.offset = c.faultAddress;
  }
  request.code = <u16>code;
  if (code >= VerdictRange.FIRST_NOTEWORTHY || request.explain) {
    request.judgedPointer = pointer;
    request.size = size;
  }
  count(c, code, toUser, 1);
  return code;
}

/** The same for one that comes alone. */
export function judgeAlone(c: Context, request: Request): u32 {
  return judgeRequest(c, request);
}
