/** What a run has done, as lines of JSON in a file: a later run goes on from there. */
import { appendFileSync, closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { badInput, codeOf } from '../errors.js';
import type { Item } from './items.js';
import type { TriageAnswer } from './pool.js';

interface StateLine extends TriageAnswer {
  /** The item's name. */
  readonly path: string;
  readonly stamp: string;
}

const LARGEST_STATE = 1 << 30;
const CHUNK = 1 << 20;

export class TriageState {
  readonly #path: string;
  readonly #done = new Map<string, StateLine>();

  /** @throws UsercopyError `bad-input` when the file is there and is something else. */
  constructor(path: string) {
    this.#path = path;
    if (!existsSync(path)) return;
    const status = statSync(path);
    if (!status.isFile()) throw badInput(path, 'a state file of triage', 'a directory, device or pipe');
    if (status.size > LARGEST_STATE) {
      throw badInput(path, `a state file of at most ${LARGEST_STATE} bytes`, `${status.size} bytes`);
    }
    let broken = 0;
    for (const text of linesOf(path)) {
      const line = parse(text);
      if (line === null) broken++;
      // A file that has changed was done again.
      else this.#done.set(line.path, line);
    }
    // A run that was cut off leaves one broken line.
    if (this.#done.size === 0 && broken > 0) throw badInput(path, 'a state file of triage', 'another file');
  }

  /** What was found in the file as it is now; null when it was not looked at. */
  answerOf(item: Item): TriageAnswer | null {
    const line = this.#done.get(item.name);
    return line?.stamp === item.stamp ? line : null;
  }

  /** Everything in it, by the item's name. */
  get done(): ReadonlyMap<string, TriageAnswer & { readonly stamp: string }> {
    return this.#done;
  }

  add(item: Item, answer: TriageAnswer): void {
    // A newline first: the last line may have been cut off.
    const text = `${JSON.stringify({ path: item.name, stamp: item.stamp, ...answer })}\n`;
    try {
      appendFileSync(this.#path, this.#started ? text : `\n${text}`);
    } catch (error) {
      throw badInput(this.#path, 'a file that can be written', codeOf(error));
    }
    this.#started = true;
  }

  #started = false;
}

/** What several runs have done, each a part of a folder or all of it. */
export interface MergedStates {
  /** null where none has looked at the file as it is now. */
  answerOf(item: Item): TriageAnswer | null;
  /** Of names that are not among `items`: files that are gone. */
  gone(items: readonly Item[]): readonly TriageAnswer[];
}

/**
 * An item counts once however many files have it: an answer without an error wins over one with.
 * @throws UsercopyError `bad-input` for a file that is not there or is something else.
 */
export function mergeStates(paths: readonly string[]): MergedStates {
  const states = paths.map((path) => {
    if (!existsSync(path)) throw badInput(path, 'a state file of triage', 'nothing');
    return new TriageState(path);
  });
  const better = (found: readonly TriageAnswer[]): TriageAnswer | null =>
    found.find(({ error }) => error === null) ?? found[0] ?? null;
  return {
    answerOf: (item) => better(states.map((state) => state.answerOf(item)).filter((answer) => answer !== null)),
    gone(items) {
      const there = new Set(items.map(({ name }) => name));
      const names = new Set(states.flatMap(({ done }) => [...done.keys()].filter((name) => !there.has(name))));
      return [...names].flatMap(
        (name) => better(states.map(({ done }) => done.get(name)).filter((answer) => answer !== undefined)) ?? [],
      );
    },
  };
}

function parse(text: string): StateLine | null {
  try {
    // Looked at below, member by member.
    const line = JSON.parse(text) as StateLine;
    return typeof line.path === 'string' &&
      typeof line.stamp === 'string' &&
      Array.isArray(line.rows) &&
      line.rows.every(isRow) &&
      (line.error === null || typeof line.error === 'string')
      ? line
      : null;
  } catch {
    return null;
  }
}

const ROW_TEXTS = ['variant', 'kernel', 'message', 'direction', 'region', 'cache', 'offset', 'size', 'caller'] as const;

/** What later versions do not write may be missing; what is there is what it should be. */
function isRow(row: unknown): boolean {
  if (typeof row !== 'object' || row === null) return false;
  const { file, line, outcome, causes, ...rest }: Readonly<Record<string, unknown>> = { ...row };
  return (
    typeof file === 'string' &&
    (line === null || Number.isSafeInteger(line)) &&
    typeof outcome === 'string' &&
    Array.isArray(causes) &&
    causes.every((cause) => typeof cause === 'string') &&
    ROW_TEXTS.every((name) => rest[name] == null || typeof rest[name] === 'string')
  );
}

function* linesOf(path: string): Iterable<string> {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(CHUNK);
    let rest = Buffer.alloc(0);
    for (;;) {
      const read = readSync(file, buffer, 0, CHUNK, null);
      if (read === 0) break;
      rest = Buffer.concat([rest, buffer.subarray(0, read)]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        if (end > 0) yield rest.toString('utf8', 0, end);
        rest = rest.subarray(end + 1);
      }
    }
    if (rest.length > 0) yield rest.toString('utf8');
  } finally {
    closeSync(file);
  }
}
