/** A plan's entry points, hooked: each copy becomes a request that is judged at once, or appended to the ring of an audit. */
import { Check, type Executor } from '../check/check.js';
import type { Judge } from '../check/executors.js';
import { type CheckCosts, cyclesOf } from '../cycles/check-costs.js';
import type { Engine, Hook, RequestRing } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import type { Plan, PlannedEntry } from './plan.js';
import { requestPresetOf, requestRegisters } from './requests.js';
import type { Sanitizers } from './sanitizers.js';

export interface EntryHooks {
  /** Judges what an audit has noted so far; nothing to do otherwise. */
  flush(): void;
  /** Judges what waits and takes every hook away. Twice is harmless. */
  remove(): void;
}

export interface HookOptions {
  readonly audit: boolean;
  /** Charges the guest's clock with what the kernel's own check would cost. */
  readonly costs: CheckCosts | null;
  /** A verdict deserves a look. */
  readonly report: (entry: PlannedEntry, requestOffset: number) => 'stop' | 'continue';
  /** Looks at copies that the check lets pass. */
  readonly sanitizers: Sanitizers | null;
}

/** What a judge answers for a copy that passed and that a sanitizer does not like; no verdict of the check. */
const FOUND = -1;

/** @throws UsercopyError `unsupported` for an audit on an engine that has no ring. */
export function hookEntries(
  engine: Engine,
  check: Check,
  executor: Executor,
  plan: Plan,
  { audit, costs, report, sanitizers }: HookOptions,
): EntryHooks {
  const nested = plan.judge === 'all';
  const judged = nested ? executor.checkOutermost : executor.check;
  const hooks: Hook[] = [];
  const requests: number[] = [];
  const byNumber = new Map<number, PlannedEntry>();
  const ring = audit ? openRing(engine, check, executor, nested, reportRing) : null;

  function reportRing(count: number): 'stop' | 'continue' {
    let answer: 'stop' | 'continue' = 'continue';
    for (const offset of check.noteworthyOfRing(count)) {
      const planned = byNumber.get(check.entryOf(offset));
      if (planned && report(planned, offset) === 'stop') answer = 'stop';
    }
    return answer;
  }

  const { link } = plan.variant.registers;
  // An audit judges when the stack has changed.
  const stackedReturn =
    nested && link === null
      ? {
          stackPointer: Check.requestFields.indexOf('stackPointer'),
          returnAddress: Check.requestFields.indexOf('returnAddress'),
          bytes: plan.variant.bits === 64 ? (8 as const) : (4 as const),
        }
      : null;

  const charged = costs === null ? judged : charging(engine, check, judged, nested, costs);
  const watched = sanitizers === null ? charged : sanitizing(check, charged, nested, sanitizers);
  for (const planned of plan.entries) {
    const { entry, address } = planned;
    const requestOffset = check.createRequest(requestPresetOf(planned, plan.variant, audit, sanitizers !== null));
    requests.push(requestOffset);
    byNumber.set(check.entryOf(requestOffset), planned);
    hooks.push(
      engine.hookCopy({
        address,
        memory: check.memory,
        requestOffset,
        contextOffset: check.contextOffset,
        registers: requestRegisters(entry, plan.variant, { parameters: plan.parameters, nested, caller: audit }),
        judge: watched,
        native: watched !== judged ? null : executor.native && { check: executor.native, outermost: nested },
        onVerdict: (code) =>
          code === FOUND && sanitizers ? sanitizers.report(planned) : report(planned, requestOffset),
        ring,
        stackedReturn,
      }),
    );
  }

  hooks.push(
    engine.hookRun((event) => {
      if (event === 'end') return;
      ring?.flush();
      check.endCopy();
    }),
  );

  return {
    flush: () => ring?.flush(),
    remove() {
      if (hooks.length === 0) return;
      try {
        ring?.flush();
      } finally {
        for (const hook of hooks.splice(0)) hook.remove();
        for (const request of requests.splice(0)) check.releaseRequests(request);
        ring?.close();
        if (ring) check.releaseRing();
      }
    },
  };
}

function openRing(
  engine: Engine,
  check: Check,
  executor: Executor,
  nested: boolean,
  onVerdicts: (count: number) => 'stop' | 'continue',
): RequestRing {
  if (!engine.openRing) throw new UsercopyError('unsupported', `mode audit: the engine ${engine.name} has no ring`);
  return engine.openRing({
    memory: check.memory,
    ...check.takeRing(),
    requestBytes: check.requestBytes,
    contextOffset: check.contextOffset,
    judge: nested ? executor.checkOutermostBatch : executor.checkBatch,
    native: executor.native && { check: executor.native, outermost: nested },
    onVerdicts,
  });
}

/** `inner` and, of a copy that it lets pass, a look at the objects that it touches. */
function sanitizing(check: Check, inner: Judge, nested: boolean, sanitizers: Sanitizers): Judge {
  return (context, request) => {
    const before = nested ? check.statistics().checks : 0;
    const code = inner(context, request);
    // A copy inside a copy was passed over: it was looked at with the outer one.
    const isJudged = !nested || check.statistics().checks > before;
    // Where the check passes with a warning, or once memory was brought in, its first answer is not 0.
    const isGood = code === 0 || check.verdictOf(request).outcome === 'good';
    return isGood && isJudged && sanitizers.look(request) ? FOUND : code;
  };
}

function charging(engine: Engine, check: Check, inner: Judge, nested: boolean, known: CheckCosts): Judge {
  return (context, request) => {
    const before = nested ? check.statistics().checks : 0;
    const code = inner(context, request);
    // A copy inside a copy was passed over: nothing was judged.
    if (!nested || check.statistics().checks > before) engine.chargeCycles(cyclesOf(known, check.verdictOf(request)));
    return code;
  };
}
