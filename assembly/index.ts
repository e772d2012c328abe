/**
 * What the module exports: five functions, and the numbers that the other side needs. The compiler adds the offsets of
 * the structures' fields (scripts/lib/check-layout.mjs).
 */
import { Context, ContextPlace, Look, Request } from './context';
import { judgeAlone, judgeRequest } from './check';
import { judgeArrival } from './copies';
import { lookAtCopy } from './look';
import { VerdictRange } from './verdict';

export {
  CheckedRanges,
  ContextPlace,
  CurrentKind,
  DeclaredKind,
  Described,
  DirectionKind,
  EntryRole,
  KernelAsked,
  Kind,
  Kmap,
  LookResult,
  Looks,
  PageArrayKind,
  PageSpan,
  ReturnPlace,
  SkipVmalloc,
  Statistics,
  Unknown,
  ValidityKind,
  VmallocRule,
  VmapKind,
  WindowPlace,
} from './context';
export { Acceptance, Refusal, Unreadable, VerdictRange } from './verdict';

/** There is one context in a memory, at one place; another is a mistake of the caller's, and a trap. */
@inline
function contextAt(offset: usize): Context {
  if (offset != <usize>ContextPlace.OFFSET) unreachable();
  return changetype<Context>(<usize>ContextPlace.OFFSET);
}

/** What the caller is told of a verdict: nothing of a plain pass. */
@inline
function told(code: u32): u32 {
  return code < <u32>VerdictRange.FIRST_NOTEWORTHY ? 0 : code;
}

/** Judges the copy in `request`: 0 when the guest may go on without a word, else the verdict's number. */
export function check(context: usize, request: usize): u32 {
  return told(judgeAlone(contextAt(context), changetype<Request>(request)));
}

/**
 * The same for hooks on functions that call each other, at the arrival itself: each arrival is judged; those of one copy are
 * counted once, and objected to once.
 */
export function checkOutermost(context: usize, request: usize): u32 {
  return judgeArrival(contextAt(context), changetype<Request>(request), true);
}

/** Judges `count` consecutive requests and gives how many of them deserve a look. */
export function checkBatch(context: usize, requests: usize, count: u32): u32 {
  const c = contextAt(context);
  let noteworthy: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    if (told(judgeRequest(c, changetype<Request>(requests + <usize>i * offsetof<Request>())))) noteworthy++;
  }
  return noteworthy;
}

/** The same for requests of functions that call each other, in the order of the calls; one that is told already has the code 0. */
export function checkOutermostBatch(context: usize, requests: usize, count: u32): u32 {
  const c = contextAt(context);
  let noteworthy: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const request = changetype<Request>(requests + <usize>i * offsetof<Request>());
    if (judgeArrival(c, request, false)) noteworthy++;
    else request.code = 0;
  }
  return noteworthy;
}

/** Looks at the slab objects that a judged copy touches, beyond what the check asks: gives a `LookResult`. */
export function look(context: usize, look: usize, request: usize): u32 {
  return lookAtCopy(contextAt(context), changetype<Look>(look), changetype<Request>(request));
}
