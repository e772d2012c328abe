/**
 * The plugin itself: hooks on a kernel's uaccess entry points, a verdict for every copy, an event for every bad one.
 */
import { Check, type ExecutorName } from '../check/check.js';
import type { Declaration } from '../check/parameters.js';
import { readCheckCosts } from '../cycles/check-costs.js';
import { blockPricer, IGNORED, openCycleModel } from '../cycles/open.js';
import { builtCheck } from '../engine/built-check.js';
import type { BlockPricer, Engine } from '../engine/engine.js';
import { badInput } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { BlindSpots } from './blind-spots.js';
import { type EntryHooks, hookEntries } from './hooks.js';
import { notesOf } from './notes.js';
import { functionStarts, type JudgeMode, planOf } from './plan.js';
import { Reporter } from './reporter.js';
import type { Suppression, SuppressionCount } from './suppression.js';
import type { Violation, ViolationHandler, ViolationStatistics } from './violation.js';

export interface AttachOptions {
  /**
   * `kernel`: judge what the kernel judges, at `__check_object_size`; the default where it has that function.
   * `all`: judge every copy, at `__check_object_size` where the kernel has it and at each function that copies. What is told
   * of one copy is told once; where two arrivals may be one copy or not, two are told (`Violation.kernelJudges` is null then).
   */
  readonly judge?: JudgeMode | undefined;
  /**
   * `enforce` (default): the check runs before the copy. `audit`: hooks note the copy and let it happen; many are judged at
   * once, when a ring is full, at the end of every slice of a run, and by `Attachment.flush()`. A violation is found
   * afterwards, by the memory that the guest has then: `stop` stops the run when it is found, `fail` is refused.
   */
  readonly mode?: 'enforce' | 'audit' | undefined;
  /** Stop the guest before the bad copy (default), record the violation and go on, record it and let the copy fail, or ask. */
  readonly onViolation?: 'stop' | 'record' | 'fail' | ViolationHandler | undefined;
  /** Violations that are counted and otherwise passed over: the guest goes on. */
  readonly suppress?: readonly Suppression[] | undefined;
  /** Where guest memory lies: `foreign` (default; read through the engine), or the check whose memory the engine maps. */
  readonly memory?: 'foreign' | Check | undefined;
  /** Who runs the check at the hooks; `auto` (default): the check's own, native code where it was built. */
  readonly executor?: 'auto' | ExecutorName | undefined;
  /** A profile's name, with switches (`4.16,pagespan`); `auto` (default) picks by version and config. */
  readonly profile?: string | undefined;
  /** Memory that no kernel structure describes. */
  readonly declarations?: readonly Declaration[] | undefined;
  /** Check stack frames, or not; default: as the profile says, else as the kernel does. An error where it does not link them. */
  readonly frames?: boolean | undefined;
  /** Bytes of stack that the kernel's own check uses (`measureStackDepth`); 0n each when absent. */
  readonly stackDepth?: { readonly check: bigint; readonly print: bigint } | undefined;
  /** Makes `Attachment.pricer`, which estimates cycles: give it to the runs (`RunOptions.cycles`). */
  readonly cycles?: 'estimate' | undefined;
  /**
   * Adds to the guest's clock what the kernel's own check would cost for each judged copy, for a guest without it.
   * Needs runs with a pricer. Each judged copy then crosses into JavaScript (about 0.1 µs more).
   */
  readonly charge?: boolean | undefined;
  /** Violations kept in `Attachment.violations`; the oldest go first. Default 1000. */
  readonly keep?: number | undefined;
  /** Hears, at the end of a run, what was not judged although it looks as if all was well; `process.emitWarning` when absent. */
  readonly onBlindSpot?: ((spot: string) => void) | undefined;
}

export interface Attachment {
  readonly check: Check;
  /** Name of the profile in force. */
  readonly profile: string;
  readonly judge: JudgeMode;
  readonly mode: 'enforce' | 'audit';
  /** Who runs the check at the hooks. */
  readonly executor: ExecutorName;
  /** Entry points that are hooked. */
  readonly entries: readonly { readonly symbol: string; readonly address: bigint }[];
  readonly violations: readonly Violation[];
  /** For `RunOptions.cycles`; null when no estimate was asked for. */
  readonly pricer: BlockPricer | null;
  /** What a person should know: types that are missing, depth that is not known, and after a run what was not judged. */
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

/**
 * Attaches the check to an emulator that runs (or will run) code of `kernel`.
 * @throws UsercopyError `unsupported` for an architecture without an emulator, `bad-input` when the kernel lacks what
 *   the check needs and nothing was declared instead.
 */
export async function attach(engine: Engine, kernel: Kernel, options: AttachOptions = {}): Promise<Attachment> {
  const mode = options.mode ?? 'enforce';
  const audit = mode === 'audit';
  if (audit && options.onViolation === 'fail') {
    throw badInput('mode audit', "onViolation 'stop', 'record' or a callback", "'fail': the copies have happened");
  }
  if (audit && options.charge) {
    throw badInput('attach', "charge with mode 'enforce' (an audit judges after the fact)", "mode 'audit'");
  }
  const declarations = options.declarations ?? [];
  const read = (address: bigint, length: number) => readOrNothing(engine, address, length);
  const shared = options.memory instanceof Check ? options.memory : null;
  const declares = declarations.length > 0 || (shared?.declared ?? 0) > 0;
  const plan = planOf(kernel, { ...options, declares, read });
  const { variant, profile } = plan;

  const wanted = options.executor ?? 'auto';
  const check =
    shared ?? (await Check.create({ source: builtCheck, guestBytes: FOREIGN_GUEST_BYTES, executor: wanted }));
  const executor = await check.executorFor(wanted);
  const model = options.cycles === 'estimate' || options.charge ? await openCycleModel(variant) : null;
  const costs = options.charge ? await readCheckCosts(variant) : null;
  check.configure(plan.parameters);
  if (plan.judge === 'all' && plan.kernelJudges) check.knowFunctions(functionStarts(kernel));
  check.endCopy();
  if (!shared) check.readFromEngine(engine);
  for (const declaration of declarations) check.declare(declaration);

  const reporter = new Reporter(engine, kernel, plan, check, { ...options, audit });
  // Hooks of one address fire in order, and a copy that is stopped or fails ends an arrival: these come first.
  const tell = options.onBlindSpot ?? ((spot) => process.emitWarning(spot, 'UsercopyWarning'));
  const blindSpots = new BlindSpots(engine, plan, tell);
  let hooks: EntryHooks;
  try {
    hooks = hookEntries(engine, check, executor, plan, {
      audit,
      costs,
      report: (entry, requestOffset) => reporter.report(entry, requestOffset),
    });
  } catch (error) {
    blindSpots.close();
    throw error;
  }
  const notes = [
    ...(model === null ? [] : [`cycles are estimates for ${model.table.core}: ${IGNORED}`]),
    ...notesOf(plan, options.stackDepth !== undefined),
  ];
  let attached = true;

  return {
    check,
    profile: profile.name,
    judge: plan.judge,
    mode,
    executor: executor.name,
    entries: plan.entries.map(({ entry, address }) => ({ symbol: entry.symbol, address })),
    violations: reporter.violations,
    pricer: model && blockPricer(model),
    get notes() {
      return [...notes, ...blindSpots.found];
    },
    statistics: () => check.statistics(),
    violationStatistics: () => reporter.statistics(),
    suppressed: () => reporter.suppressed(),
    flush: () => hooks.flush(),
    detach() {
      if (!attached) return;
      attached = false;
      try {
        hooks.remove();
      } finally {
        reporter.close();
        blindSpots.close();
        model?.close();
        if (!shared) check.foreignReader = null;
        for (const declaration of declarations) check.undeclare(declaration.start);
      }
    },
  };
}

function readOrNothing(engine: Engine, address: bigint, length: number): Uint8Array | undefined {
  try {
    return engine.read(address, length);
  } catch {
    return undefined;
  }
}
