/**
 * Arrivals that are one copy. A copy passes several hooked functions: the kernel's check, `_copy_to_user`, its raw routine.
 * Every arrival is judged; what is told of one copy is told once, and it is counted once. Arrivals are taken for one copy only
 * where that is sure, by the rules below; where it may be so or not, two are told, and it is not known whether the kernel asks its
 * check about the second.
 */
import { count, isToUser, judgeAlone } from './check';
import {
  CheckedRange,
  CheckedRanges,
  Context,
  DirectionKind,
  EntryRole,
  KernelAsked,
  Kind,
  Request,
  ReturnPlace,
} from './context';
import { functionEnd, functionStart } from './functions';
import { readWord } from './memory';
import { VerdictRange } from './verdict';

enum Relation {
  OTHER = 0,
  SAME = 1,
  IN_DOUBT = 2,
}

/** Words of the stack that are looked through for a return address, at most; and how far above a caller's stack pointer callees save theirs. */
const MOST_WORDS: u64 = 192;
const SAVE_AREA_WORDS: u64 = 22;

/** Where the arrival's caller goes on; 0 where it is not known. */
function returnAddressOf(c: Context, request: Request, live: bool): u64 {
  const place = request.returnPlace;
  if (place == ReturnPlace.FIELD) return request.returnAddress & c.wordMask;
  if (place != ReturnPlace.STACK || !live) return 0;
  c.fault = 0;
  const word = readWord(c, Kind.STACK, request.stackPointer & c.wordMask);
  return c.fault ? 0 : word;
}

/**
 * Reached from the function of the arrival before: called by its code, or by a jump in place of a call (then stack pointer and
 * return address are the same). Each start of that function is an arrival of its own, so it has not returned since.
 */
@inline
function isCalledBy(
  sp: u64,
  from: u64,
  entry: u32,
  callerEntry: u32,
  callerSp: u64,
  callerFrom: u64,
  start: u64,
  end: u64,
): bool {
  if (sp > callerSp) return false;
  if (from >= start && from < end) return true;
  return sp == callerSp && from == callerFrom && entry != callerEntry;
}

/**
 * Whether a function's code is to be returned to, as the stack between the arrival and the function's stack pointer says. The
 * word `except` is no sign: it is left over from a call that is done.
 */
function isReturnedTo(c: Context, sp: u64, functionSp: u64, start: u64, end: u64, except: u64): bool {
  let left = MOST_WORDS;
  const last = functionSp + SAVE_AREA_WORDS * c.wordBytes;
  c.fault = 0;
  for (let at = sp; at < last && left; at += c.wordBytes, left--) {
    const word = readWord(c, Kind.STACK, at & c.wordMask);
    if (c.fault) return false;
    if (word >= start && word < end && word != except) return true;
  }
  return false;
}

/** Whether the kernel's check may have been asked about a copy: it was about these bytes, and its caller may be this one's. */
function mayBeChecked(c: Context, kernel: u64, size: u64, toUser: bool, sp: u64): bool {
  for (let i: u32 = 0; i < <u32>CheckedRanges.COUNT; i++) {
    const range = changetype<CheckedRange>(<usize>c.checkedRanges + <usize>i * offsetof<CheckedRange>());
    const skipped = (kernel - range.kernel) & c.wordMask;
    if (!range.size || range.toUser != <u64>toUser || skipped > range.size || size > range.size - skipped) continue;
    // Further up the same stack whoever asked has returned; another stack says nothing.
    if (sp <= range.stackPointer || sp - range.stackPointer > c.threadSize) return true;
  }
  return false;
}

/**
 * Whether a copy is the next part of the range that the copy under way was checked for, made by the same activation of the
 * function that asked, itself or through others.
 */
function isNextOfChecked(c: Context, sp: u64, from: u64, skipped: u64, live: bool): bool {
  if (c.copyRole != EntryRole.CHECK || skipped != c.copyDone || sp > c.copyStackPointer) return false;
  const start = functionStart(c, c.copyReturn);
  if (!start) return false;
  const end = functionEnd(c, c.copyReturn);
  if (sp == c.copyStackPointer) return from >= start && from < end;
  return live && isReturnedTo(c, sp, c.copyStackPointer, start, end, c.copyReturn);
}

/** Whether an arrival at the same stack pointer as the check comes from another function: whoever asked has returned. */
function isOfAnother(c: Context, sp: u64, from: u64): bool {
  if (c.copyRole != EntryRole.CHECK || sp != c.copyStackPointer || !from) return false;
  const start = functionStart(c, c.copyReturn);
  return start != 0 && (from < start || from >= functionEnd(c, c.copyReturn));
}

/** What an arrival is to the copy under way. */
function relationOf(
  c: Context,
  request: Request,
  kernel: u64,
  user: u64,
  size: u64,
  toUser: bool,
  from: u64,
  live: bool,
): Relation {
  const sp = request.stackPointer;
  const isCheck = request.role == EntryRole.CHECK;
  const skipped = (kernel - c.copyKernel) & c.wordMask;
  if (c.copyEntry && <u32>toUser == c.copyToUser && skipped <= c.copySize && size <= c.copySize - skipped) {
    const entry = <u32>request.entry;
    if (from) {
      if (isCalledBy(sp, from, entry, c.lastEntry, c.lastStackPointer, c.lastReturn, c.lastBodyStart, c.lastBodyEnd)) {
        return Relation.SAME;
      }
      const outer = c.copyRole == EntryRole.COPY;
      if (
        outer &&
        isCalledBy(sp, from, entry, c.copyEntry, c.copyStackPointer, c.copyReturn, c.copyBodyStart, c.copyBodyEnd)
      ) {
        return Relation.SAME;
      }
      if (!isCheck && isNextOfChecked(c, sp, from, skipped, live)) {
        c.copyDone = skipped + size;
        return Relation.SAME;
      }
      if (!isCheck && isOfAnother(c, sp, from)) return Relation.OTHER;
    }
    if (
      !isCheck &&
      c.copyRole == EntryRole.COPY &&
      entry != c.copyEntry &&
      ((user - c.copyUser) & c.wordMask) == skipped
    ) {
      if (from ? sp < c.copyStackPointer : sp <= c.copyStackPointer) return Relation.IN_DOUBT;
    }
  }
  // The kernel's check begins a copy, unless a function that copies asks it.
  if (isCheck) return Relation.OTHER;
  return mayBeChecked(c, kernel, size, toUser, sp) ? Relation.IN_DOUBT : Relation.OTHER;
}

/** 0 for a good verdict, 1 where the check could not decide, 2 for a refusal. */
@inline
function gravity(code: u32): u32 {
  if (code < <u32>VerdictRange.FIRST_REFUSAL) return 0;
  return code < <u32>VerdictRange.FIRST_UNREADABLE ? 2 : 1;
}

/** One more arrival of the copy under way: it is counted as the graver verdict, once. */
function addToCopy(c: Context, request: Request, code: u32): u32 {
  const toUser = c.copyToUser != 0;
  if (request.role == EntryRole.CHECK) c.copyAsked = KernelAsked.YES;
  if (gravity(code) <= gravity(c.copyCode)) {
    count(c, code, toUser, -1);
    return 0;
  }
  count(c, c.copyCode, toUser, -1);
  c.copyCode = code;
  return code;
}

/** The arrival begins a copy. */
function beginCopy(
  c: Context,
  request: Request,
  kernel: u64,
  user: u64,
  size: u64,
  toUser: bool,
  from: u64,
  code: u32,
): void {
  c.copyEntry = request.entry;
  c.copyRole = request.role;
  c.copyReturn = from;
  c.copyStackPointer = request.stackPointer;
  c.copyKernel = kernel;
  c.copyUser = user;
  c.copySize = size;
  c.copyToUser = <u32>toUser;
  c.copyCode = code;
  c.copyDone = 0;
  c.copyBodyStart = request.bodyStart;
  c.copyBodyEnd = request.bodyEnd;
  if (request.role != EntryRole.CHECK) return;
  const range = changetype<CheckedRange>(<usize>c.checkedRanges + <usize>c.checkedNext * offsetof<CheckedRange>());
  range.kernel = kernel;
  range.size = size;
  range.stackPointer = request.stackPointer;
  range.toUser = <u64>toUser;
  c.checkedNext = (c.checkedNext + 1) % <u32>CheckedRanges.COUNT;
}

/** Judges an arrival; 0 when there is nothing to tell. `live`: the guest stands there, its stack is as it was. */
export function judgeArrival(c: Context, request: Request, live: bool): u32 {
  const code = judgeAlone(c, request);
  const swapped = request.directionKind == DirectionKind.BY_ADDRESS && (request.pointer & c.wordMask) < c.taskSize;
  const kernel = (swapped ? request.other : request.pointer) & c.wordMask;
  const user = (swapped ? request.pointer : request.other) & c.wordMask;
  const size = request.size & (request.sizeBits == 32 ? 0xffffffff : c.wordMask);
  const toUser = isToUser(c, request);
  const from = returnAddressOf(c, request, live);
  const relation = relationOf(c, request, kernel, user, size, toUser, from, live);
  let told: u32 = code < <u32>VerdictRange.FIRST_NOTEWORTHY ? 0 : code;
  if (relation == Relation.SAME) {
    told = addToCopy(c, request, code);
  } else {
    beginCopy(c, request, kernel, user, size, toUser, from, code);
    if (request.role == EntryRole.CHECK) c.copyAsked = KernelAsked.YES;
    else c.copyAsked = relation == Relation.IN_DOUBT ? KernelAsked.NOT_KNOWN : KernelAsked.NO;
  }
  request.kernelAsked = <u8>c.copyAsked;
  c.lastEntry = request.entry;
  c.lastStackPointer = request.stackPointer;
  // The check calls nothing that copies.
  const copies = request.role == EntryRole.COPY;
  c.lastReturn = copies ? from : 0;
  c.lastBodyStart = copies ? request.bodyStart : 0;
  c.lastBodyEnd = copies ? request.bodyEnd : 0;
  return told;
}
