/**
 * What went wrong, in a form that a caller can act on: what was expected, what came, and what to do.
 * Every error that this project throws on purpose is a `UsercopyError`; the command line prints its message
 * without a stack trace and exits with 2; with 1 when it was a guest that ended its emulator.
 */
export type ErrorKind =
  /** A file or option that is not what it should be: truncated, hostile, wrong architecture. */
  | 'bad-input'
  /** Something that the machine lacks: libunicorn, a Debian package, a compiler. */
  | 'missing-dependency'
  /** The guest did something that ends the run: an unmapped access, an invalid instruction, a limit. */
  | 'guest'
  /** The guest ended the emulator and with it the process that it ran in. */
  | 'crash'
  /** The emulator refused a call. */
  | 'engine'
  /** A thing that this project does not do, with the reason. */
  | 'unsupported';

export class UsercopyError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UsercopyError';
    this.kind = kind;
  }
}

/** Whether no emulator can be had, or none that runs what was asked for. */
export const isOfEmulator = (error: unknown): error is UsercopyError =>
  error instanceof UsercopyError && ['missing-dependency', 'unsupported', 'engine'].includes(error.kind);

/** Shorthand for the most frequent kind. `where` names the file, section or offset. */
export function badInput(where: string, expected: string, came: string): UsercopyError {
  return new UsercopyError('bad-input', `${where}: expected ${expected}, found ${came}`);
}

/** An address, or another number that is read in hexadecimal, as messages and reports show it. */
export const hex = (value: bigint | number): string => (value < 0 ? `${value}` : `0x${value.toString(16)}`);

/** What a thrown value says; anything can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of an error of the system (`ENOENT`); what it says where it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : messageOf(error);
}

/** A word of a command that an advice shows, as a shell takes it: a file's name may hold anything. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
