/** Options that several verbs read the same way. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Copy } from '../check/verdict.js';
import { badInput, shellWord, UsercopyError } from '../errors.js';
import { readWhole } from '../image/files.js';
import { wordOf } from '../scenario/expression.js';
import type { Forms } from './answer.js';

export interface CopyOptions {
  readonly at?: string;
  readonly size?: string;
  readonly toUser?: boolean;
  readonly fromUser?: boolean;
}

/** The copy that --at, --size and a direction describe; null when none of them is there. `verb` is named in errors. */
export function copyOf({ at, size, toUser, fromUser }: CopyOptions, verb: string): Copy | null {
  if (toUser && fromUser) throw badInput(verb, 'one of --to-user and --from-user', 'both');
  if (at === undefined && size === undefined && !toUser && !fromUser) return null;
  if (at === undefined || size === undefined || (!toUser && !fromUser)) {
    const missing = [
      at === undefined ? '--at' : null,
      size === undefined ? '--size' : null,
      toUser || fromUser ? null : '--to-user or --from-user',
    ].filter((option) => option !== null);
    throw new UsercopyError(
      'bad-input',
      `${verb}: a copy is --at, --size and a direction together; missing: ${missing.join(', ')}`,
    );
  }
  return {
    pointer: wordOf(at, '--at'),
    size: wordOf(size, '--size'),
    direction: toUser ? 'to_user' : 'from_user',
  };
}

const FORMS: readonly (keyof Forms)[] = ['json', 'markdown', 'csv'];

const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Options that say which dump is meant, and which copy. */
export const FILES_OF_DUMP = ['dump', 'kernel', 'btf', 'config', 'regs'] as const;
export const WORDS_OF_COPY = ['at', 'size', 'toUser', 'fromUser'] as const;

/** Options as a command has them that repeats these: `--dump vmcore --to-user`. */
export const commandWords = <T extends object>(options: T, names: readonly (keyof T & string)[]): string =>
  names
    .flatMap((name) => {
      const value = options[name];
      if (typeof value === 'string') return [flagOf(name), shellWord(value)];
      return value === true ? [flagOf(name)] : [];
    })
    .join(' ');

/**
 * An option that is taken and not used would be ignored in silence. `where` names what is asked for, `used` what it uses
 * beside the forms of an answer.
 * @throws UsercopyError `bad-input` for an option that is there and not among `used`.
 */
export function refuseStray<T extends object>(where: string, options: T, used: readonly (keyof T & string)[]): void {
  const names = new Set<string>([...used, ...FORMS]);
  const stray = Object.entries(options).find(([name, value]) => value !== undefined && !names.has(name));
  if (stray === undefined) return;
  throw badInput(
    where,
    used.length === 0 ? 'no options beside it' : `no options but those that it uses (${used.map(flagOf).join(', ')})`,
    flagOf(stray[0]),
  );
}

/** Options of all verbs whose files are written, and whose files are read. */
const WRITTEN = ['output', 'shrink', 'log', 'html', 'coverage'];
const READ = ['report', 'debug', 'compare', ...FILES_OF_DUMP];

/**
 * A file that an option reads is not one to write to: it may be a dump that nobody can make again. `args` are files that are read.
 * @throws UsercopyError `bad-input` where a file is to be written that is read too, under whatever name, or written twice; and for `-`.
 */
export function refuseOverwriting(verb: string, options: object, args: readonly string[]): void {
  const files = (names: readonly string[]) =>
    Object.entries(options).flatMap(([name, value]) =>
      names.includes(name) ? [value].flat().map((path) => ({ as: flagOf(name), path: String(path) })) : [],
    );
  const taken = [...files(READ), ...args.map((path) => ({ as: path, path }))];
  for (const { as, path } of files(WRITTEN)) {
    if (path === '-') throw badInput(`${verb} ${as}`, 'a file: the answer goes to standard output', "'-'");
    const other = taken.find((one) => fileOf(one.path) === fileOf(path));
    if (other !== undefined) throw badInput(`${verb} ${as}`, 'a file of its own', `the one of ${other.as}`);
    taken.push({ as, path });
  }
}

/** The same for all names of a file. */
function fileOf(path: string): string {
  const status = statSync(path, { throwIfNoEntry: false });
  return status === undefined || !status.isFile() ? resolve(path) : `${status.dev}:${status.ino}`;
}

/** Seconds that a dump may be read, as `--timeout` says them when it is absent. */
export const DEFAULT_TIMEOUT = '300';
const MOST_SECONDS = 86_400;

/** A whole number of an option. @throws UsercopyError `bad-input` when it is none from 1 to `most`. */
export function numberOf(option: string, text: string, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw badInput(option, `a number from 1 to ${most}`, `'${text}'`);
  return value;
}

export const secondsOf = (option: string, text: string): number => numberOf(option, text, MOST_SECONDS);

/** Reads a regular file of at most `limit` bytes as text, a byte a character. */
export function readText(path: string, limit: number, encoding: 'latin1' | 'utf8' = 'latin1'): string {
  return readWhole(path, limit).toString(encoding);
}

/** `info registers` of a machine with many CPUs. */
const MAXIMUM_REGISTER_TEXT = 16 << 20;

/** QEMU's `info registers` in a file; null without one. */
export function readRegisters(path: string | undefined): { readonly text: string; readonly path: string } | null {
  return path === undefined ? null : { text: readText(path, MAXIMUM_REGISTER_TEXT), path };
}
