/** Writing down what was found. */
import { Context, Described, Request } from './context';
import { Acceptance, Refusal } from './verdict';

/** Before the questions: the direction, and no object yet. The two lie side by side. */
@inline
export function beginOutcome(request: Request, toUser: bool): void {
  store<u16>(
    changetype<usize>(request) + offsetof<Request>('described'),
    ((<u32>toUser) << 8) | <u32>Described.NOTHING,
  );
}

/** Notes the object that a copy is held against, without a whitelist. Of a copy that passes only where somebody asked. */
@inline
export function noteObject(request: Request, start: u64, end: u64): void {
  noteWindow(request, start, end, start, end, Described.BOUNDS);
}

/** A copy that passes: its object is told where somebody asked. */
@inline
export function accept(request: Request, by: Acceptance, start: u64, end: u64): i32 {
  if (request.explain) noteObject(request, start, end);
  return by;
}

export function noteWindow(
  request: Request,
  start: u64,
  end: u64,
  windowStart: u64,
  windowEnd: u64,
  described: i32,
): void {
  request.described = <u8>described;
  request.objectStart = start;
  request.objectEnd = end;
  request.windowStart = windowStart;
  request.windowEnd = windowEnd;
}

/** A refusal with the numbers that the kernel prints. */
export function refuse(c: Context, request: Request, reason: Refusal, offset: u64, size: u64): i32 {
  request.offset = offset & c.wordMask;
  request.printedSize = size & c.wordMask;
  return reason;
}
