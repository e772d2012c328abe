/** What the verbs answer: exit statuses, JSON for programs, and lines that several of them print. */
import { hex, UsercopyError } from '../errors.js';
import { ANSWER_MARK } from '../report/own-output.js';
import { printError, progress } from '../terminal.js';

/** Exit statuses of every verb. */
export const CLEAN = 0;
/** A copy was refused, or a check said something else. */
export const VIOLATION = 1;
export const BAD_INPUT = 2;

/** Says what a command failed of, and sets its exit status. */
export function tellFailure(error: unknown): void {
  progress.clear();
  const message = error instanceof Error ? error.message : String(error);
  const prefix = error instanceof UsercopyError ? '' : 'unexpected: ';
  printError(`usercopy: ${prefix}${message}`);
  process.exitCode = error instanceof UsercopyError && error.kind === 'crash' ? VIOLATION : BAD_INPUT;
}

const replacer = (_key: string, part: unknown): unknown => (typeof part === 'bigint' ? hex(part) : part);

/** With the mark by which nobody takes the kernel's lines in it for a log. */
const marked = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(marked);
  return typeof value === 'object' && value !== null ? { ...ANSWER_MARK, ...value } : value;
};

/** An answer as JSON with bigints as 0x… strings (addresses) and two-space indentation. */
export const toJson = (value: unknown): string => JSON.stringify(marked(value), replacer, 2);

/** The same on one line: for streams, one value a line. */
export const toJsonLine = (value: unknown): string => JSON.stringify(marked(value), replacer);

/** Counts of bytes as numbers where they are exact, else as decimal strings: the kernel prints some as huge unsigned ones. */
export function count(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}

/** Differences as large as this would be no offsets: below 2^64 (or 2^32) they are negative numbers that the kernel prints as unsigned ones. */
const FARTHEST = 1n << 24n;

/** A number that the kernel prints as an unsigned word of `bits`, when it means a negative one; null for any other. */
export function negative(value: bigint, bits: number): bigint | null {
  const signed = BigInt.asIntN(bits, value);
  return BigInt.asUintN(bits, value) === value && signed < 0n && signed >= -FARTHEST ? signed : null;
}

/** What a kernel's line about a copy would say with negative numbers: `offset -8`; empty when none of its numbers is one. */
export const negativesIn = (message: string, bits: number): string =>
  [...message.matchAll(/\b(offset|size) (\d+)\b/g)]
    .flatMap(([, name, digits = '0']) => {
      const signed = negative(BigInt(digits), bits);
      return signed === null ? [] : [`${name} ${signed}`];
    })
    .join(', ');

/** Lines that say what a profile was picked by, unless it was named, and whose types were used, unless they are the kernel's own. */
export const byLine = (profileBy: string | null, typesBy: string | null = null): string[] => [
  ...(profileBy === null ? [] : [`note: the profile was picked by ${profileBy}`]),
  ...(typesBy === null ? [] : [`note: ${typesBy}`]),
];

/** The last line of an answer for people: the command that a user wants next. */
export const nextLine = (command: string): string => `next: ${command}`;
