/** Refusals whose cause somebody has found before: `causes-found.ts`, and how a report is held against it. */
import { findVariant } from '../../arch/index.js';
import type { UsercopyReport } from '../report/report.js';
import { callerOf } from '../report/trace.js';
import { cacheFacts } from './cache-name.js';
import { CAUSES, type Entry, INTERNAL_CACHES } from './causes-found.js';
import { damageOf, poisonIn } from './damage.js';
import { isVendorTree } from './era.js';
import { machineOf, objectOffset } from './machine.js';
import type { KnownCause } from './outcome.js';

/** Whether nobody copies between user memory and objects of a cache: a copy that meets one has a wrong pointer or length. */
export function isInternalCache(cache: string): boolean {
  const name = cache.replace(/\(\d{1,10}:[^)]*\)$/, '');
  return INTERNAL_CACHES.some((known) => (known.endsWith('*') ? name.startsWith(known.slice(0, -1)) : name === known));
}

/** The known cause that fits best; null when none does. */
export function knownCauseOf(report: UsercopyReport): KnownCause | null {
  const poisoned = poisonIn(report) !== null;
  // Numbers that were read from poison are of no rule that was broken.
  const fitting = CAUSES.filter(
    ({ cause, pattern }) => (!poisoned || cause === 'corruption elsewhere') && fits({ cause, pattern }, report),
  );
  const sure = (level: KnownCause['confidence']): Entry | undefined =>
    fitting.find(({ confidence }) => confidence === level);
  const best = sure('certain') ?? sure('likely') ?? sure('possible');
  if (best === undefined) return null;
  const { id, cause, was, fix, source } = best;
  return { id, cause, was, fix, source, confidence: confidenceOf(best, report) };
}

/** The cache that a message that is missing must have named, by what is known of such crashes. */
export const missingCacheOf = (report: UsercopyReport): string | null =>
  CAUSES.find((entry) => entry.object !== undefined && fits(entry, report))?.object ?? null;

const LEVELS: readonly KnownCause['confidence'][] = ['possible', 'likely', 'certain'];

/**
 * A release that is not told, or is a vendor's, proves less: the fix may be there, or the cause may not yet. So does a kernel
 * that was damaged before.
 */
function confidenceOf({ confidence, pattern, cause }: Entry, report: UsercopyReport): KnownCause['confidence'] {
  const { kernelVersion } = report;
  const told = damageOf(report) === null || cause === 'corruption elsewhere' ? confidence : lower(confidence);
  if (pattern.kernels === undefined) return told;
  if (kernelVersion === null) return 'possible';
  return isVendorTree(kernelVersion) && told === 'certain' ? 'likely' : told;
}

const lower = (level: KnownCause['confidence']): KnownCause['confidence'] =>
  LEVELS[Math.max(0, LEVELS.indexOf(level) - 1)] ?? level;

function fits({ pattern, cause }: Pick<Entry, 'pattern' | 'cause'>, report: UsercopyReport): boolean {
  const { message, trace, modules, comm, arch, kernelVersion } = report;
  const caller = callerOf(trace, report.pc)?.symbol ?? null;
  const is = (expression: string | undefined, value: string | null | undefined): boolean =>
    expression === undefined || (value != null && new RegExp(expression).test(value));
  const any = (expression: string | undefined, values: readonly string[]): boolean =>
    expression === undefined || values.some((value) => is(expression, value));
  return (
    (pattern.message ?? message !== null) === (message !== null) &&
    is(pattern.cache, message?.cache) &&
    !(pattern.cache !== undefined && isOfWhitelist(cause) && leavesObject(report)) &&
    is(pattern.region, message?.region) &&
    is(pattern.refusal, message?.refusal) &&
    is(pattern.caller, caller) &&
    any(
      pattern.trace,
      trace.filter(({ reliable }) => reliable).map(({ symbol }) => symbol),
    ) &&
    any(pattern.modules, modules ?? []) &&
    is(pattern.comm, comm) &&
    is(pattern.variant, arch) &&
    (pattern.format === undefined || (message !== null && pattern.format.includes(message.format))) &&
    isWithin(pattern.offset, message?.offset ?? null) &&
    isWithin(pattern.size, message?.size ?? null) &&
    (pattern.end === undefined || endsWithin(BigInt(pattern.end), report)) &&
    (pattern.direction === undefined || pattern.direction === (message?.direction ?? pattern.direction)) &&
    is(pattern.release, kernelVersion) &&
    (pattern.kernels === undefined || kernelVersion === null || isBetween(kernelVersion, pattern.kernels))
  );
}

const isOfWhitelist = (cause: string): boolean => cause.startsWith('whitelist');

/** Where the copy ends, from the object's first byte; null where the message does not tell it. */
function endOf({ message, bits, arch }: UsercopyReport): bigint | null {
  if (message === null || message.offset === null || message.size === null) return null;
  const offset = objectOffset(message, machineOf(bits, findVariant(arch)));
  return offset < 0n ? null : offset + message.size;
}

const endsWithin = (bytes: bigint, report: UsercopyReport): boolean => {
  const end = endOf(report);
  return end !== null && end <= bytes;
};

/** Past the end of an object whose size its cache's name tells: no whitelist lets that pass. */
function leavesObject(report: UsercopyReport): boolean {
  const size = cacheFacts(report.message?.cache ?? '').objectSize;
  return size !== null && !endsWithin(size, report);
}

function isWithin(range: readonly [string, string] | undefined, value: bigint | null): boolean {
  return range === undefined || (value !== null && value >= BigInt(range[0]) && value <= BigInt(range[1]));
}

/** Numbers of a release in the order in which kernels are made: a candidate comes before its release. */
function ranks(release: string): number[] {
  const numbers = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release);
  const candidate = /-rc(\d+)/.exec(release)?.[1];
  const NO_CANDIDATE = 1000;
  return [
    ...[1, 2, 3].map((group) => Number(numbers?.[group] ?? 0)),
    candidate === undefined ? NO_CANDIDATE : Number(candidate),
  ];
}

function isBetween(release: string, [first, before]: readonly [string, string]): boolean {
  // `6.3` as a bound is its first candidate: kernels between two releases belong to the later one.
  const bound = (text: string): number[] =>
    /-rc/.test(text) || text.split('.').length > 2 ? ranks(text) : ranks(`${text}.0-rc0`);
  return compare(ranks(release), bound(first)) >= 0 && compare(ranks(release), bound(before)) < 0;
}

function compare(left: readonly number[], right: readonly number[]): number {
  const differences = left.map((value, index) => value - (right[index] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}
