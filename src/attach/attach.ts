/**
 * The plugin itself: hooks on a kernel's uaccess entry points, a verdict for every copy, an event for every bad one.
 */

import type { UaccessEntry, Variant } from '../../arch/driver.js';
import { variants } from '../../arch/index.js';
import { Check, type Executor, type ExecutorName } from '../check/check.js';
import type { Judge } from '../check/executors.js';
import type { Declaration } from '../check/parameters.js';
import { parseProfile, profileForVersion } from '../check/profiles.js';
import type { Copy, Verdict } from '../check/verdict.js';
import { type CheckCosts, cyclesOf, readCheckCosts } from '../cycles/check-costs.js';
import { blockPricer, IGNORED, openCycleModel } from '../cycles/open.js';
import type { BlockPricer, Engine, Hook, RequestRing } from '../engine/engine.js';
import { badInput, UsercopyError } from '../errors.js';
import { checkParametersOf, withMemory } from '../introspect/parameters.js';
import type { Kernel } from '../kernel/kernel.js';
import { explainVerdict } from '../report/explain.js';
import { formatMessage } from '../report/format.js';
import {
  type Backtrace,
  type BacktraceMethod,
  backtraceMethod,
  backtraceOf,
  type CodePlace,
  describeStackAddress,
  placeOf,
} from '../stack/backtrace.js';
import { entryPointOf } from '../stack/entry-point.js';
import { FailingCopies, FunctionReturn } from './failing-copies.js';
import { requestRegisters } from './request-registers.js';
import { type Suppression, type SuppressionCount, SuppressionList } from './suppression.js';
import { Tally } from './tally.js';

/** A copy that the check refused, or could not judge. */
export interface Violation {
  readonly copy: Copy;
  readonly verdict: Exclude<Verdict, { outcome: 'good' }>;
  /** The kernel's line, without the log prefix; null where it prints none or the copy could not be judged. */
  readonly message: string | null;
  /** The entry point at which the guest was caught. */
  readonly entry: string;
  /** Whether the kernel's own check is asked about this copy too (it never is about constant sizes). */
  readonly kernelJudges: boolean;
  /** Of the entry point's first instruction. */
  readonly pc: bigint;
  /** Guest instructions of the run before this copy; null when the run does not count them, and in an audit. */
  readonly instructions: number | null;
  /** Estimated guest cycles of the run before this copy, earlier charges included; null without a pricer, and in an audit. */
  readonly cycles: number | null;
  /** null when it was not recorded: in an audit, where no register holds the return address. */
  readonly caller: CodePlace | null;
  /** Empty in an audit. */
  readonly backtrace: Backtrace;
  /** By what the backtrace was followed. */
  readonly backtraceMethod: BacktraceMethod;
  /** An audit found it after the copy had happened; memory may have changed in between. */
  readonly judgedAfterwards: boolean;
  /** For a person: the object, its bounds, and by how much the copy misses. */
  readonly explanation: readonly string[];
}

/** `fail`: the copy is not made, and its caller is told so, as after -EFAULT (`failing-copies.ts`). */
export type ViolationHandler = (violation: Violation) => 'stop' | 'continue' | 'fail';

/** Violations by what they have in common, the most frequent first; suppressed ones are among them. */
export interface ViolationStatistics {
  readonly byDirection: ReturnType<Tally['read']>;
  /** By verdict: `slab object`, `process stack`, …, `unreadable`. */
  readonly byRegion: ReturnType<Tally['read']>;
  /** By slab cache, where there is one. */
  readonly byCache: ReturnType<Tally['read']>;
  /** By the function that the copy returns to. */
  readonly byCaller: ReturnType<Tally['read']>;
}

export interface AttachOptions {
  /**
   * `kernel`: judge what the kernel judges, at `__check_object_size`; the default where it has that function.
   * `all`: judge every copy, at its outermost entry point.
   */
  readonly judge?: 'kernel' | 'all';
  /**
   * `enforce` (default): the check runs before the copy. `audit`: hooks note the copy and let it happen; many are judged at
   * once, when a ring is full, at the end of every slice of a run, and by `Attachment.flush()`. A violation is found
   * afterwards, by the memory that the guest has then: `stop` stops the run when it is found, `fail` is refused.
   */
  readonly mode?: 'enforce' | 'audit';
  /** Stop the guest before the bad copy (default), record the violation and go on, record it and let the copy fail, or ask. */
  readonly onViolation?: 'stop' | 'record' | 'fail' | ViolationHandler;
  /** Violations that are counted and otherwise passed over: the guest goes on. */
  readonly suppress?: readonly Suppression[];
  /** Where guest memory lies: `foreign` (default; read through the engine), or the check whose memory the engine maps. */
  readonly memory?: 'foreign' | Check;
  /** Who runs the check at the hooks; `auto` (default): the check's own, native code where it was built. */
  readonly executor?: 'auto' | ExecutorName;
  /** A profile's name, with switches (`4.16,pagespan`); `auto` (default) picks by version and config. */
  readonly profile?: string;
  /** Memory that no kernel structure describes. */
  readonly declarations?: readonly Declaration[];
  /** Check stack frames, or not; default: as the profile says, else as the kernel does. An error where it does not link them. */
  readonly frames?: boolean;
  /** Bytes of stack that the kernel's own check uses (`measureStackDepth`); 0n each when absent. */
  readonly stackDepth?: { readonly check: bigint; readonly print: bigint };
  /** Makes `Attachment.pricer`, which estimates cycles: give it to the runs (`RunOptions.cycles`). */
  readonly cycles?: 'estimate';
  /**
   * Adds to the guest's clock what the kernel's own check would cost for each judged copy, for a guest without it.
   * Needs runs with a pricer. Each judged copy then crosses into JavaScript (about 0.1 µs more).
   */
  readonly charge?: boolean;
  /** Violations kept in `Attachment.violations`; the oldest go first. Default 1000. */
  readonly keep?: number;
}

export interface Attachment {
  readonly check: Check;
  /** Name of the profile in force. */
  readonly profile: string;
  readonly judge: 'kernel' | 'all';
  readonly mode: 'enforce' | 'audit';
  /** Who runs the check at the hooks. */
  readonly executor: ExecutorName;
  /** Entry points that are hooked. */
  readonly entries: readonly { readonly symbol: string; readonly address: bigint }[];
  readonly violations: readonly Violation[];
  /** For `RunOptions.cycles`; null when no estimate was asked for. */
  readonly pricer: BlockPricer | null;
  /** What a person should know: types that are missing, depth that is not known. */
  readonly notes: readonly string[];
  /** Every copy that was judged, by verdict and direction. */
  statistics(): ReturnType<Check['statistics']>;
  violationStatistics(): ViolationStatistics;
  /** Judges what an audit has noted so far; nothing to do otherwise. Throws what a violation handler throws. */
  flush(): void;
  /** The suppression list, with how often each rule silenced a violation. */
  suppressed(): readonly SuppressionCount[];
  /** Judges what waits and takes every hook away; the emulator is as it was. Twice is harmless. */
  detach(): void;
}

const FOREIGN_GUEST_BYTES = 65_536;

/** @throws UsercopyError `unsupported` for a name that is none. */
export function variantOf(name: string): Variant {
  const variant = variants.find((candidate) => candidate.name === name);
  if (!variant) {
    const known = variants.map((candidate) => candidate.name).join(', ');
    throw new UsercopyError('unsupported', `architecture: expected one of ${known}, found ${name}`);
  }
  return variant;
}

/** The entry points to hook for a way of judging; those whose symbol the kernel has. */
export function entriesFor(kernel: Kernel, variant: Variant, judge: 'kernel' | 'all'): UaccessEntry[] {
  return variant.uaccess.filter(
    (entry) => (entry.role === 'judge') === (judge === 'kernel') && kernel.symbols.address(entry.symbol) !== undefined,
  );
}

function readOrNothing(engine: Engine, address: bigint, length: number): Uint8Array | undefined {
  try {
    return engine.read(address, length);
  } catch {
    return undefined;
  }
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

/** How to judge: as wanted; else what the kernel itself judges, where it judges. */
export function chooseJudge(kernel: Kernel, variant: Variant, wanted: 'kernel' | 'all' | undefined): 'kernel' | 'all' {
  const hasCheck = entriesFor(kernel, variant, 'kernel').length > 0;
  if (wanted === 'kernel' && !hasCheck) {
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: judge 'kernel' expects a function __check_object_size, found none; it was built without HARDENED_USERCOPY: use judge 'all'`,
    );
  }
  return wanted ?? (hasCheck ? 'kernel' : 'all');
}

/**
 * Attaches the check to an emulator that runs (or will run) code of `kernel`.
 * @throws UsercopyError `unsupported` for an architecture without an emulator, `bad-input` when the kernel lacks what
 *   the check needs and nothing was declared instead.
 */
export async function attach(engine: Engine, kernel: Kernel, options: AttachOptions = {}): Promise<Attachment> {
  const variant = variantOf(kernel.variant);
  const judge = chooseJudge(kernel, variant, options.judge);
  const mode = options.mode ?? 'enforce';
  if (mode === 'audit' && options.onViolation === 'fail') {
    throw badInput('mode audit', "onViolation 'stop', 'record' or a callback", "'fail': the copies have happened");
  }
  const shared = options.memory instanceof Check ? options.memory : null;
  const live = withMemory(kernel, (address, length) => readOrNothing(engine, address, length));
  const profile =
    options.profile === undefined || options.profile === 'auto'
      ? profileForVersion(kernel.version, kernel.config)
      : parseProfile(options.profile);
  const parameters = checkParametersOf(live, variant, {
    switches: profile.switches,
    declaredOnly: kernel.types === null && (options.declarations?.length ?? 0) > 0,
    ...(options.frames === undefined ? {} : { frames: options.frames }),
    depthOfCheck: options.stackDepth?.check ?? 0n,
    depthOfPrint: options.stackDepth?.print ?? 0n,
  });
  const wanted = options.executor ?? 'auto';
  const check = shared ?? (await Check.create({ guestBytes: FOREIGN_GUEST_BYTES, executor: wanted }));
  const executor = await check.executorFor(wanted);
  check.configure(parameters);
  if (!shared) check.readFromEngine(engine);
  for (const declaration of options.declarations ?? []) check.declare(declaration);

  if (options.charge && mode === 'audit')
    throw badInput('attach', "charge with mode 'enforce' (an audit judges after the fact)", "mode 'audit'");
  const model = options.cycles === 'estimate' || options.charge ? await openCycleModel(variant) : null;
  const costs = options.charge ? await readCheckCosts(variant) : null;
  const violations: Violation[] = [];
  const keep = options.keep ?? 1000;
  const onViolation = options.onViolation ?? 'stop';
  const style = {
    format: profile.switches.format,
    bits: kernel.bits,
    allocator: profile.switches.allocator ?? parameters.introspection?.slab.allocator ?? 'SLUB',
  } as const;

  const suppressions = new SuppressionList(options.suppress ?? []);
  const tallies = { byDirection: new Tally(), byRegion: new Tally(), byCache: new Tally(), byCaller: new Tally() };
  const failing = new FailingCopies(engine, kernel, variant);
  const functionReturn = new FunctionReturn(engine, kernel, variant);

  const callerOf = (requestOffset: number): CodePlace | null => {
    if (mode === 'enforce') return placeOf(kernel, functionReturn.address);
    return variant.registers.link === null ? null : placeOf(kernel, check.returnAddressOf(requestOffset));
  };
  const circumstances = (verdict: Verdict, copy: Copy): string[] => {
    if (mode === 'audit') return ['the copy was judged after it had happened'];
    if (verdict.outcome !== 'bad' || verdict.by !== 'process stack') return [];
    return [`the copy begins ${describeStackAddress(engine, live, variant, copy.pointer)}`];
  };

  const report = (entry: UaccessEntry, pc: bigint, requestOffset: number): 'stop' | 'continue' => {
    const verdict = check.verdictOf(requestOffset);
    if (verdict.outcome === 'good') return 'continue';
    const copy = check.copyOf(requestOffset);
    const caller = callerOf(requestOffset);
    const region = verdict.outcome === 'bad' ? verdict.by : 'unreadable';
    const cache = verdict.outcome === 'bad' ? (verdict.object?.cache ?? null) : null;
    tallies.byDirection.add(copy.direction);
    tallies.byRegion.add(region);
    if (cache !== null) tallies.byCache.add(cache);
    tallies.byCaller.add(caller ? (caller.symbol ?? `0x${caller.address.toString(16)}`) : 'not recorded');
    const facts = { caller: caller?.symbol ?? null, cache, region, direction: copy.direction, entry: entry.symbol };
    if (suppressions.silences(facts)) return 'continue';
    const violation: Violation = {
      copy,
      verdict,
      message: formatMessage(verdict, copy, style),
      entry: entry.symbol,
      kernelJudges: entry.role === 'judge',
      pc,
      instructions: mode === 'audit' ? null : engine.instructionCount,
      cycles: mode === 'audit' ? null : engine.cycleCount,
      caller,
      backtrace: mode === 'audit' ? [] : backtraceOf(engine, live, variant),
      backtraceMethod: backtraceMethod(live, variant),
      judgedAfterwards: mode === 'audit',
      explanation: [...explainVerdict(verdict, copy), ...circumstances(verdict, copy)],
    };
    violations.push(violation);
    if (violations.length > keep) violations.shift();
    const answer = typeof onViolation === 'function' ? onViolation(violation) : onViolation;
    switch (answer) {
      case 'stop':
        return 'stop';
      case 'fail':
        if (mode === 'audit') throw badInput('onViolation', "'stop' or 'continue' in an audit", "'fail'");
        failing.fail(entry, copy);
        return 'continue';
      case 'record':
      case 'continue':
        return 'continue';
      default:
        throw badInput('onViolation', "an answer of 'stop', 'continue' or 'fail'", String(answer));
    }
  };

  const entries = entriesFor(kernel, variant, judge);
  if (entries.length === 0) {
    const expected = variant.uaccess.map((entry) => entry.symbol).join(', ');
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: expected a symbol among ${expected}, found none to hook`,
    );
  }
  const nested = judge === 'all';
  const judged = nested ? executor.checkOutermost : executor.check;
  const charging =
    (inner: Judge, known: CheckCosts): Judge =>
    (context, request) => {
      const before = nested ? check.statistics().checks : 0;
      const code = inner(context, request);
      // A copy inside a copy was passed over: nothing was judged.
      if (!nested || check.statistics().checks > before) engine.chargeCycles(cyclesOf(known, check.verdictOf(request)));
      return code;
    };
  const hooks: Hook[] = [];
  const hooked = new Map<bigint, string>();
  const byNumber = new Map<number, { entry: UaccessEntry; address: bigint }>();
  const ring = mode === 'audit' ? openRing(engine, check, executor, nested, reportRing) : null;
  function reportRing(count: number): 'stop' | 'continue' {
    let answer: 'stop' | 'continue' = 'continue';
    for (const offset of check.noteworthyOfRing(count)) {
      const { entry, address } = byNumber.get(check.entryOf(offset))!;
      if (report(entry, address, offset) === 'stop') answer = 'stop';
    }
    return answer;
  }
  for (const entry of entries) {
    const address = entryPointOf(kernel, variant, entry.symbol)!;
    // Aliases of one function (arm's weak arm_copy_to_user) are hooked once.
    if (hooked.has(address)) continue;
    hooked.set(address, entry.symbol);
    const requestOffset = check.createRequest({
      direction: typeof entry.direction === 'object' ? 'register' : entry.direction,
      ...(entry.sizeBits === undefined ? {} : { sizeBits: entry.sizeBits }),
    });
    byNumber.set(check.entryOf(requestOffset), { entry, address });
    hooks.push(
      engine.hookCopy({
        address,
        memory: check.memory,
        requestOffset,
        contextOffset: check.contextOffset,
        registers: requestRegisters(entry, variant, { parameters, nested, caller: mode === 'audit' }),
        judge: costs === null ? judged : charging(judged, costs),
        native: costs !== null ? null : executor.native && { check: executor.native, outermost: nested },
        onVerdict: () => report(entry, address, requestOffset),
        ring,
      }),
    );
  }

  const notes: string[] = [];
  if (model !== null) notes.push(`cycles are estimates for ${model.table.core}: ${IGNORED}`);
  if (judge === 'all')
    notes.push('judges every copy: the kernel itself may not judge these (constant sizes, no check built in)');
  if (parameters.introspection === null) notes.push('the kernel has no types: only declared memory is judged');
  else if (profile.switches.whitelist && parameters.introspection.slab.useroffset === null) {
    notes.push('kmem_cache has no whitelist fields: the whole object may be copied');
  }
  if (parameters.switches.depth && options.stackDepth === undefined) {
    notes.push(
      "stack depth is measured at the entry point: printed stack offsets differ from the kernel's by its own frames",
    );
  }

  return {
    check,
    profile: profile.name,
    judge,
    mode,
    executor: executor.name,
    entries: [...hooked].map(([address, symbol]) => ({ symbol, address })),
    violations,
    pricer: model && blockPricer(model),
    notes,
    statistics: () => check.statistics(),
    violationStatistics: () => ({
      byDirection: tallies.byDirection.read(),
      byRegion: tallies.byRegion.read(),
      byCache: tallies.byCache.read(),
      byCaller: tallies.byCaller.read(),
    }),
    suppressed: () => suppressions.counts(),
    flush: () => ring?.flush(),
    detach() {
      if (hooks.length === 0) return;
      try {
        ring?.flush();
      } finally {
        removeAll();
      }
    },
  };

  function removeAll(): void {
    for (const hook of hooks.splice(0)) hook.remove();
    ring?.close();
    if (ring) check.releaseRing();
    model?.close();
    failing.disarm();
    if (!shared) check.foreignReader = null;
    for (const declaration of options.declarations ?? []) check.undeclare(declaration.start);
  }
}
