/** What `attach()` may be told. */
import { Check, type ExecutorName } from '../check/check.js';
import { EXECUTORS } from '../check/executors.js';
import type { Declaration } from '../check/parameters.js';
import { badInput } from '../errors.js';
import { aBoolean, aCount, aFunction, anArray, aText, type OptionRule, requireOptions } from '../options.js';
import type { JudgeMode, PlanOptions } from './plan.js';
import { type FindingHandler, SANITIZERS, type Sanitizer } from './sanitizers.js';
import type { Suppression } from './suppression.js';
import type { ViolationHandler } from './violation.js';

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
   * afterwards, by the memory that the guest has then: it is recorded, or a callback is asked, whose `stop` ends the run.
   */
  readonly mode?: 'enforce' | 'audit' | undefined;
  /** Stop the guest before the bad copy (default), record the violation and go on (an audit's default), record it and let the copy fail, or ask. */
  readonly onViolation?: 'stop' | 'record' | 'fail' | ViolationHandler | undefined;
  /** Violations that are counted and otherwise passed over: the guest goes on. */
  readonly suppress?: readonly Suppression[] | undefined;
  /** Where guest memory lies: `foreign` (default; read through the engine), or the check whose memory the engine maps. */
  readonly memory?: 'foreign' | Check | undefined;
  /** Who runs the check at the hooks; `auto` (default): the check's own, native code where it was built. */
  readonly executor?: 'auto' | ExecutorName | undefined;
  /** A profile's name, with switches (`4.16,pagespan`); `auto` (default) picks by the kernel's contents, its vendor, its version. */
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
  /**
   * Looks at copies that the check lets pass, too: at the state of the slab objects (`freed`), and at their red zones (`redzone`).
   * What is found is `Attachment.findings`, no violation. Each judged copy then crosses into JavaScript, and the guest's lists of
   * free objects are read for it. Not in an audit, whose copies have happened.
   */
  readonly sanitize?: readonly Sanitizer[] | undefined;
  /** Stop the guest before a copy that a sanitizer found (default), record it and go on, or ask. */
  readonly onFinding?: 'stop' | 'record' | FindingHandler | undefined;
  /** Whether a violation has a backtrace (default). Reading the stack is about half of what a violation takes. */
  readonly backtrace?: boolean | undefined;
  /** Violations kept in `Attachment.violations`, and findings; the oldest go first. Default 1000. */
  readonly keep?: number | undefined;
  /** Hears, at the end of a run, what was not judged although it looks as if all was well; `process.emitWarning` when absent. */
  readonly onBlindSpot?: ((spot: string) => void) | undefined;
}

export interface HarnessOptions extends Omit<PlanOptions, 'declares' | 'read'> {
  /** Memory that no kernel structure describes. */
  readonly declarations?: readonly Declaration[] | undefined;
}

const DEPTH = {
  accepts: (value: unknown) => typeof value === 'object' && value !== null && 'check' in value && 'print' in value,
  expected: '{ check, print }, both in bytes',
};

const GUEST_RULES: Readonly<Record<Exclude<keyof AttachOptions, 'memory'>, OptionRule>> = {
  judge: { words: ['kernel', 'all'] },
  mode: { words: ['enforce', 'audit'] },
  onViolation: { words: ['stop', 'record', 'fail'], ...aFunction },
  suppress: anArray,
  executor: { words: ['auto', ...EXECUTORS] },
  profile: aText,
  declarations: anArray,
  frames: aBoolean,
  stackDepth: DEPTH,
  cycles: { words: ['estimate'] },
  charge: aBoolean,
  sanitize: {
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((name) => SANITIZERS.includes(name)),
    expected: `a list of ${SANITIZERS.join(', ')}`,
  },
  onFinding: { words: ['stop', 'record'], ...aFunction },
  backtrace: aBoolean,
  keep: aCount,
  onBlindSpot: aFunction,
};

const RULES: Readonly<Record<keyof AttachOptions, OptionRule>> = {
  ...GUEST_RULES,
  memory: { words: ['foreign'], accepts: (value) => value instanceof Check, expected: 'a Check' },
};

/** @throws UsercopyError `bad-input` for an unknown option, a value that none takes, and for two that exclude each other. */
export function requireAttachOptions(options: AttachOptions): void {
  requireOptions('attach', options, RULES);
  const { mode, onViolation, charge, sanitize, onFinding } = options;
  if (onFinding !== undefined && sanitize === undefined) {
    throw badInput('attach: onFinding', 'sanitize beside it, which says what to look for', 'none');
  }
  if (mode !== 'audit') return;
  if (onViolation === 'stop' || onViolation === 'fail') {
    throw badInput(
      'attach: onViolation',
      "'record' or a function in mode 'audit'",
      `'${onViolation}': the copies have happened`,
    );
  }
  if (sanitize) {
    throw badInput(
      'attach: sanitize',
      "mode 'enforce' (an audit looks when objects may have been freed)",
      "mode 'audit'",
    );
  }
  if (charge) throw badInput('attach: charge', "mode 'enforce' (an audit judges after the fact)", "mode 'audit'");
}

const HARNESS_RULES: Readonly<Record<keyof HarnessOptions, OptionRule>> = {
  judge: GUEST_RULES.judge,
  profile: GUEST_RULES.profile,
  declarations: GUEST_RULES.declarations,
  frames: GUEST_RULES.frames,
  stackDepth: GUEST_RULES.stackDepth,
};

/** The same for an attachment that a harness makes. */
export function requireHarnessOptions(options: HarnessOptions): void {
  requireOptions('prepareHarness', options, HARNESS_RULES);
}

/** The same for a guest, whose memory is known. */
export function requireGuestAttachOptions(options: object): asserts options is Omit<AttachOptions, 'memory'> {
  requireOptions('attach', options, GUEST_RULES);
}
