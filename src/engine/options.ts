/** Options of public functions, looked at when they are given: a slip of the pen is no option that nobody reads. */
import { closest } from 'fastest-levenshtein';
import { badInput } from '../errors.js';

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
export const aWord: OptionRule = {
  accepts: (value) => typeof value === 'bigint' && value >= 0n,
  expected: 'a bigint of 0 or more',
};
export const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
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
    if (rule === undefined) {
      throw badInput(
        `${where}: option`,
        `one of ${known.join(', ')}`,
        `'${name}' (did you mean '${closest(name, known)}'?)`,
      );
    }
    if (value !== undefined) requireValue(`${where}: ${name}`, value, rule);
  }
}

function requireValue(where: string, value: unknown, { words = [], accepts, expected }: OptionRule): void {
  if (words.some((word) => word === value) || accepts?.(value)) return;
  const choices = [...words.map((word) => `'${word}'`), ...(expected === undefined ? [] : [expected])].join(', ');
  const hint = typeof value === 'string' && words.length > 0 ? ` (did you mean '${closest(value, words)}'?)` : '';
  throw badInput(where, words.length > 0 ? `one of ${choices}` : choices, `${shown(value)}${hint}`);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`;
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 60);
}
