/** From a verdict that deserves a look to an event: counted, suppressed or told, and how the guest goes on. */
import type { Check } from '../check/check.js';
import type { Copy, Verdict } from '../check/verdict.js';
import type { Engine } from '../engine/engine.js';
import { badInput, hex } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { explainVerdict } from '../report/explain.js';
import { formatMessage } from '../report/format.js';
import { backtraceMethod, backtraceOf, type CodePlace, describeStackAddress, placeOf } from '../stack/backtrace.js';
import { engineWords, GuestCall } from '../stack/call.js';
import { FailingCopies } from './failing-copies.js';
import type { Plan, PlannedEntry } from './plan.js';
import { type Suppression, type SuppressionCount, SuppressionList } from './suppression.js';
import { Tally } from './tally.js';
import type { Violation, ViolationHandler, ViolationStatistics } from './violation.js';

/** Violations, and findings of sanitizers, that are kept unless somebody says otherwise. */
export const DEFAULT_KEPT = 1000;
const NOT_KNOWN =
  'it is not known whether the kernel judges this copy: it may be part of one that its check was asked about before';

export interface ReporterOptions {
  /** Copies are judged after they have happened. */
  readonly audit: boolean;
  readonly onViolation?: 'stop' | 'record' | 'fail' | ViolationHandler | undefined;
  readonly suppress?: readonly Suppression[] | undefined;
  readonly keep?: number | undefined;
  /** Default true. */
  readonly backtrace?: boolean | undefined;
}

export class Reporter {
  readonly violations: Violation[] = [];
  readonly #engine: Engine;
  readonly #plan: Plan;
  readonly #check: Check;
  readonly #options: ReporterOptions;
  readonly #suppressions: SuppressionList;
  readonly #tallies = { direction: new Tally(), region: new Tally(), cache: new Tally(), caller: new Tally() };
  readonly #failing: FailingCopies;
  readonly #call: GuestCall;

  constructor(engine: Engine, kernel: Kernel, plan: Plan, check: Check, options: ReporterOptions) {
    this.#engine = engine;
    this.#plan = plan;
    this.#check = check;
    this.#options = options;
    this.#suppressions = new SuppressionList(options.suppress ?? []);
    this.#failing = new FailingCopies(engine, kernel, plan.variant);
    this.#call = new GuestCall(plan.variant, engine, engineWords(engine, plan.variant));
  }

  /** Looks at the verdict in a request that was made at an entry point. */
  report({ entry, address }: PlannedEntry, requestOffset: number): 'stop' | 'continue' {
    const verdict = this.#check.verdictOf(requestOffset);
    if (verdict.outcome === 'good') return 'continue';
    const { audit, keep = DEFAULT_KEPT, backtrace = true } = this.#options;
    const { live, variant } = this.#plan;
    const copy = this.#check.copyOf(requestOffset);
    const caller = this.#callerOf(requestOffset);
    const region = verdict.outcome === 'bad' ? verdict.by : 'unreadable';
    const cache = verdict.outcome === 'bad' ? (verdict.object?.cache ?? null) : null;
    this.#tallies.direction.add(copy.direction);
    this.#tallies.region.add(region);
    if (cache !== null) this.#tallies.cache.add(cache);
    this.#tallies.caller.add(caller ? (caller.symbol ?? hex(caller.address)) : 'not recorded');
    const facts = { caller: caller?.symbol ?? null, cache, region, direction: copy.direction, entry: entry.symbol };
    if (this.#suppressions.silences(facts)) return 'continue';
    const kernelJudges = this.#kernelJudges(entry, requestOffset);
    const violation: Violation = {
      copy,
      verdict,
      message: formatMessage(verdict, copy, this.#plan.style),
      entry: entry.symbol,
      kernelJudges,
      pc: address,
      instructions: audit ? null : this.#engine.instructionCount,
      cycles: audit ? null : this.#engine.cycleCount,
      caller,
      backtrace: audit || !backtrace ? [] : backtraceOf(this.#engine, live, variant),
      backtraceMethod: backtraceMethod(live, variant),
      judgedAfterwards: audit,
      explanation: [
        ...explainVerdict(verdict, copy),
        ...this.#circumstances(verdict, copy),
        ...(kernelJudges === null ? [NOT_KNOWN] : []),
      ],
    };
    this.violations.push(violation);
    if (this.violations.length > keep) this.violations.shift();
    return this.#answer(violation, entry);
  }

  #answer(violation: Violation, entry: PlannedEntry['entry']): 'stop' | 'continue' {
    const { audit, onViolation = audit ? 'record' : 'stop' } = this.#options;
    const answer = typeof onViolation === 'function' ? onViolation(violation) : onViolation;
    switch (answer) {
      case 'stop':
        return 'stop';
      case 'fail':
        if (audit) throw badInput('onViolation', "'stop' or 'record' in an audit", "'fail'");
        this.#failing.fail(entry, violation.copy);
        return 'continue';
      case 'record':
      case 'continue':
        return 'continue';
      default:
        throw badInput('onViolation', "an answer of 'stop', 'record' or 'fail'", String(answer));
    }
  }

  #kernelJudges(entry: PlannedEntry['entry'], requestOffset: number): boolean | null {
    if (entry.role === 'judge') return true;
    return this.#plan.kernelJudges && this.#check.kernelAskedOf(requestOffset);
  }

  #callerOf(requestOffset: number): CodePlace | null {
    const { live } = this.#plan;
    if (!this.#options.audit) return placeOf(live, this.#call.link);
    const address = this.#check.returnAddressOf(requestOffset);
    return address === 0n ? null : placeOf(live, address);
  }

  #circumstances(verdict: Verdict, copy: Copy): string[] {
    if (this.#options.audit) return ['the copy was judged after it had happened'];
    if (verdict.outcome !== 'bad' || verdict.by !== 'process stack') return [];
    const { live, variant } = this.#plan;
    return [`the copy begins ${describeStackAddress(this.#engine, live, variant, copy.pointer)}`];
  }

  statistics(): ViolationStatistics {
    return {
      byDirection: this.#tallies.direction.read(),
      byRegion: this.#tallies.region.read(),
      byCache: this.#tallies.cache.read(),
      byCaller: this.#tallies.caller.read(),
    };
  }

  suppressed(): SuppressionCount[] {
    return this.#suppressions.counts();
  }

  /** Takes hooks away that wait for a copy to fail. */
  close(): void {
    this.#failing.disarm();
  }
}
