/**
 * The plugin itself: hooks on a kernel's uaccess entry points, a verdict for every copy, an event for every bad one.
 */

import { Check, type ExecutorName } from '../check/check.js';
import type { Verdict } from '../check/verdict.js';
import { readCheckCosts } from '../cycles/check-costs.js';
import { blockPricer, IGNORED, openCycleModel } from '../cycles/open.js';
import { builtCheck } from '../engine/built-check.js';
import type { BlockPricer, Engine } from '../engine/engine.js';
import { badInput } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { aGuest, aKernel, anEngine, type OptionRule, requireValue } from '../options.js';
import { messageOf } from '../report/format.js';
import { type DepthGuest, measureStackDepth, type StackDepth } from '../stack/depth.js';
import { BlindSpots } from './blind-spots.js';
import { hookEntries } from './hooks.js';
import { notesOf, nothingJudged } from './notes.js';
import { type AttachOptions, requireAttachOptions, requireGuestAttachOptions } from './options.js';
import { functionStarts, type JudgeMode, planOf } from './plan.js';
import { DEFAULT_KEPT, Reporter } from './reporter.js';
import { type Finding, type SanitizerStatistics, Sanitizers } from './sanitizers.js';
import type { SuppressionCount } from './suppression.js';
import type { Violation, ViolationStatistics } from './violation.js';

export interface Attachment {
  readonly check: Check;
  /** Name of the profile in force. */
  readonly profile: string;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  readonly judge: JudgeMode;
  readonly mode: 'enforce' | 'audit';
  /** Who runs the check at the hooks. */
  readonly executor: ExecutorName;
  /** Entry points that are hooked. */
  readonly entries: readonly { readonly symbol: string; readonly address: bigint }[];
  readonly violations: readonly Violation[];
  /** What the sanitizers found, apart from what the check refused; empty without any. */
  readonly findings: readonly Finding[];
  /** For `RunOptions.cycles`; null when no estimate was asked for. */
  readonly pricer: BlockPricer | null;
  /** What a person should know: types that are missing, depth that is not known, and after a run what was not judged. */
  readonly notes: readonly string[];
  /** Every copy that was judged, by verdict and direction. */
  statistics(): ReturnType<Check['statistics']>;
  violationStatistics(): ViolationStatistics;
  /** Looks of the sanitizers since the attachment was made; null without any. */
  sanitizerStatistics(): SanitizerStatistics | null;
  /** Judges what an audit has noted so far; nothing to do otherwise. Throws what a violation handler throws. */
  flush(): void;
  /** The suppression list, with how often each rule silenced a violation. */
  suppressed(): readonly SuppressionCount[];
  /** Judges what waits and takes every hook away; the emulator is as it was. Twice is harmless. */
  detach(): void;
}

const FOREIGN_GUEST_BYTES = 65_536;

/** A guest as `Guest.create()` makes it: its emulator maps the memory of its check. */
export interface AttachableGuest extends DepthGuest {
  readonly kernel: Kernel;
  readonly engine: Engine;
  readonly check: Check;
}

/**
 * Attaches the check to a guest. Its memory is shared, and how much stack its kernel's own check uses is learnt by calling
 * it, unless `stackDepth` says it: the guest must not be running.
 * @throws UsercopyError `bad-input` for options that are none, when the kernel lacks what the check needs and nothing was
 *   declared instead, and where the guest's check is attached already.
 */
export async function attach(guest: AttachableGuest, options?: Omit<AttachOptions, 'memory'>): Promise<Attachment>;
/**
 * Attaches the check to an emulator that runs (or will run) code of `kernel`. Several attachments of one emulator work
 * beside each other, each with a check of its own.
 * @throws UsercopyError as for a guest; `unsupported` for an architecture without an emulator.
 */
export async function attach(engine: Engine, kernel: Kernel, options?: AttachOptions): Promise<Attachment>;
export async function attach(
  target: AttachableGuest | Engine,
  kernelOrOptions: Kernel | Omit<AttachOptions, 'memory'> = {},
  options: AttachOptions = {},
): Promise<Attachment> {
  requireValue('attach: first argument', target, A_TARGET);
  if (!('check' in target)) {
    if (typeof kernelOrOptions !== 'object' || kernelOrOptions === null || !('symbols' in kernelOrOptions)) {
      throw badInput('attach', 'a guest, or an engine and the kernel that it runs', 'an engine alone');
    }
    requireValue('attach: kernel', kernelOrOptions, aKernel);
    return attachTo(target, kernelOrOptions, options);
  }
  requireGuestAttachOptions(kernelOrOptions);
  const given: AttachOptions = kernelOrOptions;
  const stackDepth = given.stackDepth ?? (await learnStackDepth(target));
  return attachTo(target.engine, target.kernel, { ...given, memory: target.check, stackDepth });
}

const A_TARGET: OptionRule = {
  accepts: (value) => aGuest.accepts?.(value) === true || anEngine.accepts?.(value) === true,
  expected: 'a guest, as Guest.create() makes it, or an emulator, as openUnicorn() opens it',
};

async function learnStackDepth(guest: AttachableGuest): Promise<StackDepth | undefined> {
  if (guest.kernel.types === null) return undefined;
  // The calls pass the hooks of an attachment that there is already.
  guest.check.claim();
  try {
    return (await measureStackDepth(guest)) ?? undefined;
  } finally {
    guest.check.release();
  }
}

/** Hears the verdict that deserves a look, and the kernel's line of it; null where that prints none. */
export type VerdictListener = (verdict: Verdict, message: string | null) => 'stop' | 'continue';

/** Options of who wants verdicts alone: none that says what is done with a violation, or kept of it. */
export type ListenerOptions = Pick<
  AttachOptions,
  'judge' | 'memory' | 'executor' | 'profile' | 'declarations' | 'frames' | 'stackDepth'
>;

/**
 * Attaches for somebody who hears of every verdict that deserves a look, and of nothing else about it: callers are not looked for, nothing
 * is counted or kept of violations, which takes most of the time that one takes.
 */
export function attachListener(
  engine: Engine,
  kernel: Kernel,
  options: ListenerOptions,
  listener: VerdictListener,
): Promise<Attachment> {
  return attachTo(engine, kernel, options, listener);
}

async function attachTo(
  engine: Engine,
  kernel: Kernel,
  options: AttachOptions,
  listener: VerdictListener | null = null,
): Promise<Attachment> {
  requireAttachOptions(options);
  const mode = options.mode ?? 'enforce';
  const audit = mode === 'audit';
  const declarations = options.declarations ?? [];
  const read = (address: bigint, length: number) => readOrNothing(engine, address, length);
  const shared = options.memory instanceof Check ? options.memory : null;
  const declares = declarations.length > 0 || (shared?.declared ?? 0) > 0;
  const plan = planOf(kernel, { ...options, declares, read });

  const wanted = options.executor ?? 'auto';
  const check =
    shared ?? (await Check.create({ source: builtCheck, guestBytes: FOREIGN_GUEST_BYTES, executor: wanted }));
  const executor = await check.executorFor(wanted);
  const model = options.cycles === 'estimate' || options.charge ? await openCycleModel(plan.variant) : null;
  const costs = options.charge ? await readCheckCosts(plan.variant) : null;

  /** What takes back each step, in the order in which they were made. */
  const undo: (() => void)[] = [];
  try {
    check.claim();
    undo.push(() => check.release());
    if (model !== null) undo.push(() => model.close());
    check.configure(plan.parameters);
    if (plan.judge === 'all' && plan.kernelJudges) check.knowFunctions(functionStarts(kernel));
    check.endCopy();
    if (!shared) {
      check.readFromEngine(engine);
      undo.push(() => {
        check.foreignReader = null;
      });
    }
    for (const declaration of declarations) {
      check.declare(declaration);
      undo.push(() => check.undeclare(declaration.start));
    }
    const reporter = new Reporter(engine, kernel, plan, check, { ...options, audit });
    undo.push(() => reporter.close());
    // Hooks of one address fire in order, and a copy that is stopped or fails ends an arrival: these come first.
    const tell = options.onBlindSpot ?? ((spot) => process.emitWarning(spot, 'UsercopyWarning'));
    const blindSpots = new BlindSpots(engine, plan, check, tell);
    undo.push(() => blindSpots.close());
    const { sanitize, onFinding, keep = DEFAULT_KEPT } = options;
    const sanitizers = sanitize ? new Sanitizers(engine, plan, check, { sanitize, onFinding, keep }) : null;
    const hooks = hookEntries(engine, check, executor, plan, {
      audit,
      costs,
      report: (entry, requestOffset) => {
        if (listener === null) return reporter.report(entry, requestOffset);
        const verdict = check.verdictOf(requestOffset);
        if (verdict.outcome === 'good') return 'continue';
        return listener(verdict, messageOf(verdict, check.copyOf(requestOffset), plan.style));
      },
      sanitizers,
    });
    undo.push(() => hooks.remove());
    const notes = [
      ...(model === null ? [] : [`cycles are estimates for ${model.table.core}: ${IGNORED}`]),
      ...nothingJudged(plan),
      ...notesOf(plan, options.stackDepth !== undefined),
      ...(sanitizers?.notes() ?? []),
    ];
    return {
      check,
      profile: plan.profile.name,
      profileBy: plan.profileBy,
      judge: plan.judge,
      mode,
      executor: executor.name,
      entries: plan.entries.map(({ entry, address }) => ({ symbol: entry.symbol, address })),
      violations: reporter.violations,
      findings: sanitizers?.findings ?? [],
      pricer: model && blockPricer(model),
      get notes() {
        return [...notes, ...blindSpots.found];
      },
      statistics: () => check.statistics(),
      violationStatistics: () => reporter.statistics(),
      sanitizerStatistics: () => sanitizers?.statistics() ?? null,
      suppressed: () => reporter.suppressed(),
      flush: () => hooks.flush(),
      detach: () => takeBack(undo),
    };
  } catch (error) {
    takeBack(undo);
    throw error;
  }
}

/** The last step first; all of them, though one fails. */
function takeBack(undo: (() => void)[]): void {
  let failure: { readonly error: unknown } | null = null;
  for (const step of undo.splice(0).reverse()) {
    try {
      step();
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== null) throw failure.error;
}

function readOrNothing(engine: Engine, address: bigint, length: number): Uint8Array | undefined {
  try {
    return engine.read(address, length);
  } catch {
    return undefined;
  }
}
