/** A report without a dump: what its copy was, and whether its message follows from its own numbers. */
import { findVariant } from '../../arch/index.js';
import { type Profile, parseProfile } from '../check/profiles.js';
import { profileForRelease } from '../check/vendor-profiles.js';
import { type Copy, requireCopy } from '../check/verdict.js';
import { hex } from '../errors.js';
import { anArray, anObject, aText, type OptionRule, orNull, requireFields, requireOptions } from '../options.js';
import type { UsercopyReport } from '../report/report.js';
import { blamesNextFunction, callerOf } from '../report/trace.js';
import { cacheFacts } from './cache-name.js';
import { isOfMessage, likelyCauses } from './causes.js';
import { type Candidate, candidatesFor, ruledOut, versionOf } from './era.js';
import { messageFollows, type WholeMessage } from './follows.js';
import { hasHashedAddress } from './hashed.js';
import { knownCauseOf } from './known-causes.js';
import { type Machine, machineOf } from './machine.js';
import { missingLine } from './missing-line.js';
import { explainNumbers } from './numbers.js';
import type { ExplainedObject, Explanation, Outcome, ReproducedCopy, Reproduction } from './outcome.js';
import { recoverCopy } from './recover.js';

/** What the rules say of a report. */
interface Judged {
  readonly outcome: Outcome;
  readonly profile: Profile | null;
  /** Sentences: why, and what memory must have been like. */
  readonly reasons: readonly string[];
  /** The rules of its kernel do not print the message, so that nothing of it tells a cause. */
  readonly isForeign?: boolean;
}

export interface ReportJudgement {
  readonly reproduction: Reproduction;
  /** For a scenario: the message and the rules by which it follows; null where it does not, or is not whole. */
  readonly whole: { readonly message: WholeMessage; readonly profile: Profile } | null;
  readonly machine: Machine;
}

const bytes = (count: bigint): string => (count === 1n ? '1 byte' : `${count} bytes`);

export interface JudgeReportOptions {
  /** A profile's name, with switches; `auto` (default) is by the report's release. */
  readonly profile?: string | undefined;
  /** The copy, where it is known from elsewhere. */
  readonly given?: Copy | null | undefined;
}

const RULES: Readonly<Record<keyof JudgeReportOptions, OptionRule>> = { profile: aText, given: orNull(anObject) };
const REPORT_NEEDS = { registers: anObject, trace: anArray, registerObjects: anArray, notes: anArray };

/**
 * Judges a report by its kernel's rules, or by `profile`. With `given`, a copy that the user names, the message must be
 * about that copy.
 * @throws UsercopyError `bad-input` for what is no report of `parseReports`, no copy, or no option.
 */
export function judgeReport(report: UsercopyReport, options: JudgeReportOptions = {}): ReportJudgement {
  requireFields('judgeReport: report', report, REPORT_NEEDS);
  requireOptions('judgeReport', options, RULES);
  const variant = findVariant(report.arch);
  const machine = machineOf(report.bits, variant);
  const { given = null } = options;
  if (given !== null) requireCopy('judgeReport: given', given);
  const recovered = recoverCopy(report, machine);
  const copy: ReproducedCopy =
    given === null ? recovered : { ...given, pointerFrom: 'given', sizeFrom: 'given', directionFrom: 'given' };
  const message = wholeMessage(report);
  const judged = judge(report, message, machine, options.profile, given);
  const explanation: Explanation = {
    region: report.message?.refusal ?? null,
    object: objectOf(report, copy),
    field: null,
    lines: [
      ...judged.reasons,
      ...(report.message === null ? missingLine(report, copy.direction) : []),
      ...explainNumbers(report, machine),
      ...copyLines(report, copy),
      ...traceLines(report),
      ...report.notes.map((note) => `note: ${note}`),
    ],
    causes: likelyCauses(report, copy).filter(({ cause }) => !judged.isForeign || !isOfMessage(cause)),
    known: judged.isForeign ? null : knownCauseOf(report),
  };
  const whole =
    judged.outcome === 'consistent' && message !== null && judged.profile !== null
      ? { message, profile: judged.profile }
      : null;
  return {
    reproduction: {
      outcome: judged.outcome,
      variant: report.arch,
      profile: judged.profile?.name ?? null,
      kernel: report.kernelVersion,
      copy,
      report,
      check: null,
      replay: null,
      explanation,
    },
    whole,
    machine,
  };
}

/** The message with its rule and all its numbers, a hashed address taken out; null when something is missing. */
function wholeMessage(report: UsercopyReport): WholeMessage | null {
  const { message } = report;
  if (message === null || message.refusal === null || message.size === null) return null;
  return {
    ...message,
    refusal: message.refusal,
    size: message.size,
    address: hasHashedAddress(report) ? null : message.address,
  };
}

function judge(
  report: UsercopyReport,
  message: WholeMessage | null,
  machine: Machine,
  profileName: string | undefined,
  given: Copy | null,
): Judged {
  const { kernelVersion: release } = report;
  const version = release === null ? null : versionOf(release);
  const named = profileName === undefined || profileName === 'auto' ? null : parseProfile(profileName);
  const own = named ?? (version === null ? null : profileForRelease(version).profile);
  if (message === null) return { outcome: 'unknown', profile: own, reasons: [whyUnknown(report)] };
  const otherCopy = given === null ? null : contradictsCopy(message, given, machine);
  if (otherCopy !== null) return { outcome: 'contradictory', profile: own, reasons: [otherCopy] };
  const gone = ruledOut(release, message);
  if (gone !== null)
    return { outcome: 'contradictory', profile: own, reasons: [`kernel ${release}: ${gone}`], isForeign: true };
  const candidates: readonly Candidate[] =
    named === null ? candidatesFor(release, message) : [{ profile: named, note: null }];
  let refusal: string | null = null;
  for (const { profile, note } of candidates) {
    const following = messageFollows(message, profile.switches, machine, report.registerObjects, version);
    if (following.follows) {
      return { outcome: 'consistent', profile, reasons: [...(note === null ? [] : [note]), ...following.assuming] };
    }
    refusal ??= following.because;
  }
  const by = own ?? candidates[0]?.profile ?? null;
  const where = by === null ? '' : ` (profile ${by.name})`;
  const reasons = [`the message does not follow${where}: ${refusal}`];
  return { outcome: 'contradictory', profile: by, reasons, isForeign: true };
}

function whyUnknown(report: UsercopyReport): string {
  const { message, registerText } = report;
  if (message !== null) {
    return message.refusal === null
      ? `no kernel known here prints '${message.region}': nothing can be said about it`
      : 'the message is cut off: its size is missing';
  }
  if (registerText === null) return 'the message line is missing, and no register holds a piece of it';
  const pieces = [...registerText.pieces].map(([name, text]) => `${name} '${text}'`).join(', ');
  const region = registerText.region === null ? '' : `; it was about ${registerText.region}`;
  return `the message line is missing; registers still hold pieces of it: ${pieces}${region}`;
}

/** Why a message cannot be about a copy; null when it can. */
function contradictsCopy(message: WholeMessage, copy: Copy, machine: Machine): string | null {
  if (message.direction !== copy.direction)
    return `the message is about a copy ${message.direction}, the given one goes ${copy.direction}`;
  const wrapped = message.refusal === 'wrapped address' && message.format === 'new';
  const printed = wrapped ? BigInt.asUintN(machine.bits, copy.pointer + copy.size) : copy.size;
  if (printed !== message.size)
    return `the message's size is ${message.size}, the given copy's would be printed as ${printed}`;
  const pointer = message.refusal === 'null address' ? (message.offset ?? message.address) : message.address;
  if (pointer !== null && pointer !== copy.pointer)
    return `the message's pointer is ${hex(pointer)}, the given one ${hex(copy.pointer)}`;
  return null;
}

/** The object, as far as the report tells it: its size by the cache's name, its place by a register. */
function objectOf(report: UsercopyReport, copy: ReproducedCopy): ExplainedObject | null {
  const { message } = report;
  if (message?.cache == null) return null;
  const told = report.registerObjects.find(
    (object) => object.cache === message.cache && (message.offset === null || BigInt(object.offset) === message.offset),
  );
  const size = told === undefined ? cacheFacts(message.cache).objectSize : BigInt(told.size);
  const start =
    told?.start ?? (copy.pointer !== null && message.offset !== null ? copy.pointer - message.offset : null);
  return {
    start,
    end: start === null || size === null ? null : start + size,
    size,
    cache: message.cache,
    index: null,
    state: null,
    window: null,
  };
}

function copyLines(report: UsercopyReport, copy: ReproducedCopy): string[] {
  const { pointer, size, direction, pointerFrom, sizeFrom, directionFrom } = copy;
  const from = (source: string | null): string => (source === null ? '' : ` (${source})`);
  const where = pointer === null ? 'at an unknown address' : `at ${hex(pointer)}${from(pointerFrom)}`;
  const way = direction === null ? 'in an unknown direction' : `${direction.replace('_', ' ')}${from(directionFrom)}`;
  const count = size === null ? 'of an unknown size' : `of ${bytes(size)}${from(sizeFrom)}`;
  const caller = callerOf(report.trace, report.pc);
  const by = caller === null ? '' : `, by ${caller.symbol}()${caller.module === null ? '' : ` of ${caller.module}`}`;
  return [`the copy: ${way}, ${count}, ${where}${by}`];
}

function traceLines(report: UsercopyReport): string[] {
  return report.trace
    .slice(0, 3)
    .filter(blamesNextFunction)
    .map(({ symbol }) => `note: ${symbol}() in the trace is only what lies behind a call that does not return`);
}
