/** The current task's stack: check_stack_object() and arch_within_stack_frames(). */
import { Context, CurrentKind, Kind, Request } from './context';
import { currentTask } from './current';
import { declaredStack } from './declared';
import { fault, readSlotHere, readWord } from './memory';
import { accept, noteObject, refuse } from './outcome';
import { Acceptance, Refusal, Unreadable } from './verdict';

/** More frames than any stack holds: a chain this long goes round in circles. */
const FRAME_LIMIT: u32 = 16384;

/**
 * The frames of x86 with FRAME_POINTER (arch/x86/include/asm/thread_info.h): the copy must lie between two linked frames,
 * above the saved registers of the lower one. Off the chain is bad, so depth is never asked.
 */
function withinFrames(c: Context, request: Request, low: u64, high: u64, pointer: u64, size: u64): bool {
  const end = (pointer + size) & c.wordMask;
  let lower = (request.stackPointer + c.frameEntryToCaller) & c.wordMask;
  let frame = (request.framePointer + c.frameBias) & c.wordMask;
  for (let count: u32 = 0; low <= frame && frame < high; count++) {
    if (end <= frame) {
      // powerpc's innermost record is at the stack pointer: nothing lies between, and the stack stays noted.
      if (lower < frame) noteObject(request, lower, frame);
      return pointer >= lower;
    }
    if (count == FRAME_LIMIT) {
      fault(c, Unreadable.CORRUPT, frame);
      return false;
    }
    lower = (frame + c.frameHeader) & c.wordMask;
    frame = (readWord(c, Kind.STACK, (frame + c.frameSaved) & c.wordMask) + c.frameBias) & c.wordMask;
    if (c.fault) return false;
  }
  return false;
}

/** Every bad stack prints the distance from the stack pointer from 5.18 on (2792d84e6da5), 0 before. */
function refuseStack(c: Context, request: Request, pointer: u64, size: u64, low: u64, high: u64): i32 {
  noteObject(request, low, high);
  return refuseNoted(c, request, pointer, size);
}

function refuseNoted(c: Context, request: Request, pointer: u64, size: u64): i32 {
  const offset = c.depth ? request.stackPointer - c.depthOfPrint - pointer : 0;
  return refuse(c, request, Refusal.PROCESS_STACK, offset, size);
}

/** A copy inside the stack, where frames are checked: the frame that it touches is noted in place of the stack. */
function checkFrames(c: Context, request: Request, pointer: u64, size: u64, low: u64, high: u64): i32 {
  noteObject(request, low, high);
  if (withinFrames(c, request, low, high, pointer, size)) return Acceptance.STACK_FRAME;
  return c.fault ? 0 : refuseNoted(c, request, pointer, size);
}

/** 0 when the copy does not touch the stack; else the acceptance or the refusal. */
@inline
export function checkStack(c: Context, request: Request, pointer: u64, size: u64): i32 {
  let low: u64 = 0;
  let high: u64 = 0;
  const kind = c.currentKind;
  const declared = c.declaredStackCount
    ? declaredStack(c, request.stackPointer & c.wordMask, pointer, size, kind != CurrentKind.DECLARED)
    : null;
  if (declared) {
    low = declared.start;
    high = declared.end;
  } else {
    if (kind == CurrentKind.DECLARED) return 0;
    low =
      kind == CurrentKind.MASKED_STACK_POINTER
        ? request.stackPointer & c.wordMask & ~(c.threadSize - 1)
        : readSlotHere(c, Kind.TASK, currentTask(c, request), c.taskStack);
    if (c.fault) return 0;
    high = (low + c.threadSize) & c.wordMask;
  }

  const end = (pointer + size) & c.wordMask;
  if (end <= low || high <= pointer) return 0;
  if (pointer < low || high < end) return refuseStack(c, request, pointer, size, low, high);
  if (c.checksFrames) return checkFrames(c, request, pointer, size, low, high);
  if (c.depth && pointer < ((request.stackPointer - c.depthOfCheck) & c.wordMask)) {
    return refuseStack(c, request, pointer, size, low, high);
  }
  return accept(request, Acceptance.STACK, low, high);
}
