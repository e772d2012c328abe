/** Where a part of a scenario stands in its file: errors name line and column. */
import { badInput, UsercopyError } from '../errors.js';

/** Keys and indices from the whole to the part. */
export type Path = readonly (string | number)[];

/** As Ajv spells paths (RFC 6901, JSON pointer). */
export const pointerOf = (path: Path): string =>
  path.map((part) => `/${String(part).replace(/~/g, '~0').replace(/\//g, '~1')}`).join('');

export interface Position {
  readonly line: number;
  readonly column: number;
}

export class Positions {
  readonly #file: string;
  readonly #values = new Map<string, Position>();
  readonly #names = new Map<string, Position>();

  readonly #isSeen: boolean;

  /** `file` is what errors call the scenario. `isSeen`: a person has its text before them, where lines and columns mean something. */
  constructor(file: string, isSeen = true) {
    this.#file = file;
    this.#isSeen = isSeen;
  }

  get file(): string {
    return this.#file;
  }

  setValue(path: Path, position: Position): void {
    this.#values.set(pointerOf(path), position);
  }

  setName(path: Path, position: Position): void {
    this.#names.set(pointerOf(path), position);
  }

  /** `case.yaml:12:5`; of the nearest part around it where the part itself is not in the file. `scenario: steps[0].call` where nobody sees lines. */
  at(path: Path | string): string {
    let pointer = typeof path === 'string' ? path : pointerOf(path);
    if (!this.#isSeen) return [this.#file, wordsOf(pointer)].filter((part) => part !== '').join(': ');
    for (;;) {
      const position = this.#values.get(pointer);
      if (position) return this.#told(position);
      if (pointer === '') return this.#file;
      pointer = pointer.slice(0, pointer.lastIndexOf('/'));
    }
  }

  /** An error at a part's value. */
  refuse(path: Path | string, expected: string, came: string): UsercopyError {
    return badInput(this.at(path), expected, came);
  }

  /** An error at a part's name. */
  refuseName(path: Path | string, expected: string, came: string): UsercopyError {
    const position = this.#names.get(typeof path === 'string' ? path : pointerOf(path));
    return badInput(position && this.#isSeen ? this.#told(position) : this.at(path), expected, came);
  }

  #told({ line, column }: Position): string {
    return `${this.#file}:${line}:${column}`;
  }
}

/** `/steps/0/call` as a program has it: `steps[0].call`. */
const wordsOf = (pointer: string): string =>
  pointer
    .replace(/\/(\d+)(?=\/|$)/g, '[$1]')
    .replace(/\//g, '.')
    .replace(/^\./, '')
    .replace(/~1/g, '/')
    .replace(/~0/g, '~');

/** Runs a part and says in its errors where in the file the part stands. */
export async function located<Result>(
  positions: Positions,
  path: Path,
  part: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await part();
  } catch (error) {
    if (!(error instanceof UsercopyError) || error.message.startsWith(`${positions.file}:`)) throw error;
    throw new UsercopyError(error.kind, `${positions.at(path)}: ${error.message}`, { cause: error });
  }
}
