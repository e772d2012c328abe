/** Options of public functions, looked at when they are given: a slip of the pen is no option that nobody reads. */
import { closest } from 'fastest-levenshtein';
import { badInput } from './errors.js';

/** What an option may be: one of some words, or what `accepts` says yes to, or both. */
export interface OptionRule {
  readonly words?: readonly string[];
  readonly accepts?: (value: unknown) => boolean;
  /** In words, for what `accepts` says yes to: `a function`. */
  readonly expected?: string;
}

export const aBoolean: OptionRule = { accepts: (value) => typeof value === 'boolean', expected: 'true or false' };
export const aText: OptionRule = { accepts: (value) => typeof value === 'string', expected: 'a text' };
export const aFunction: OptionRule = { accepts: (value) => typeof value === 'function', expected: 'a function' };
export const anArray: OptionRule = { accepts: (value) => Array.isArray(value), expected: 'an array' };
export const aBigInt: OptionRule = { accepts: (value) => typeof value === 'bigint', expected: 'a bigint' };
export const aWord: OptionRule = {
  accepts: (value) => typeof value === 'bigint' && value >= 0n,
  expected: 'a bigint of 0 or more',
};
export const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
export const anObject: OptionRule = {
  accepts: (value) => typeof value === 'object' && value !== null,
  expected: 'an object',
};
export const aByteArray: OptionRule = { accepts: (value) => value instanceof Uint8Array, expected: 'a Uint8Array' };
export const aNumber: OptionRule = {
  accepts: (value) => typeof value === 'number' && value >= 0,
  expected: 'a number of 0 or more',
};
export const aDuration: OptionRule = {
  accepts: (value) => typeof value === 'number' && value > 0,
  expected: 'milliseconds above 0',
};
/** Also null, for what may be known to be none. */
export const orNull = ({ words, accepts, expected }: OptionRule): OptionRule => ({
  ...(words ? { words } : {}),
  accepts: (value) => value === null || accepts?.(value) === true,
  expected: `${expected ?? 'one of them'} or null`,
});
/** An object that has all of these fields; `expected` says what it is and who makes one. */
export const having = (expected: string, ...fields: readonly string[]): OptionRule => ({
  accepts: (value) =>
    typeof value === 'object' && value !== null && fields.every((field) => Reflect.get(value, field) !== undefined),
  expected,
});
/** What functions of several rooms are given. */
export const aKernel = having('a kernel, as loadKernel() gives it', 'symbols', 'segments', 'variant', 'version');
export const anEngine = having('an emulator, as openUnicorn() opens it', 'hookAddress', 'read', 'regions');
export const aVariant = having("an architecture's variant, as variantOf() gives it", 'name', 'engine', 'layout');
export const aGuest = having('a guest, as Guest.create() makes it', 'kernel', 'engine', 'variant', 'call');
export const aCount: OptionRule = { accepts: isCount, expected: 'a whole number of 0 or more' };

/**
 * @param where names the function in the error.
 * @throws UsercopyError `bad-input` for an option that is none, with the nearest and all that there are; and for a value that
 *   an option does not take. `undefined` is taken by every option.
 */
export function requireOptions(where: string, options: unknown, rules: Readonly<Record<string, OptionRule>>): void {
  if (typeof options !== 'object' || options === null) throw badInput(where, 'an object with options', shown(options));
  const known = Object.keys(rules);
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) throw unknown(where, name, known);
    if (value !== undefined) requireValue(`${where}: ${name}`, value, rule);
  }
}

/**
 * For an object that must have all of these; what else is in it does not matter.
 * @throws UsercopyError `bad-input` for what is missing, or is not what the rule says.
 */
export function requireFields(where: string, value: unknown, rules: Readonly<Record<string, OptionRule>>): void {
  if (typeof value !== 'object' || value === null) throw badInput(where, 'an object', shown(value));
  for (const [name, rule] of Object.entries(rules)) requireValue(`${where}: ${name}`, Reflect.get(value, name), rule);
}

/**
 * Only the names, for calls that are made often.
 * @throws UsercopyError `bad-input` for an option that is none.
 */
export function requireKnown(where: string, options: object, known: ReadonlySet<string>): void {
  for (const name in options) if (!known.has(name)) throw unknown(where, name, [...known]);
}

function unknown(where: string, name: string, known: readonly string[]): Error {
  const found = `'${name}' (did you mean '${closest(name, known)}'?)`;
  return badInput(`${where}: option`, `one of ${known.join(', ')}`, found);
}

/** @throws UsercopyError `bad-input` that says what is taken. */
export function requireValue(where: string, value: unknown, { words = [], accepts, expected }: OptionRule): void {
  if (words.some((word) => word === value) || accepts?.(value)) return;
  const choices = [...words.map((word) => `'${word}'`), ...(expected === undefined ? [] : [expected])].join(', ');
  const hint = typeof value === 'string' && words.length > 0 ? ` (did you mean '${closest(value, words)}'?)` : '';
  throw badInput(where, words.length > 0 ? `one of ${choices}` : choices, `${shown(value)}${hint}`);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`;
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 60);
}
