/**
 * Processes that work through items. One that dies or takes too long costs its item, not the run; one that has done many is
 * replaced, so that memory stays flat.
 */
import { basename, dirname, join } from 'node:path';
import { Child } from '../child.js';
import { packageFile } from '../paths.js';
import type { Item } from './items.js';
import type { TriageRow } from './row.js';

export interface TriageAnswer {
  readonly rows: readonly TriageRow[];
  /** What was not read, and why. */
  readonly error: string | null;
}

/** What a process is asked. `limit` in milliseconds. */
export interface TriageQuestion {
  readonly item: Item;
  readonly limit: number;
}

export interface PoolOptions {
  readonly jobs: number;
  /** Milliseconds for a log, and for reading a dump. */
  readonly logLimit: number;
  readonly dumpLimit: number;
  /** The child's program. */
  readonly child?: string;
}

const CHILD = 'build/cli/triage-child.js';
const ITEMS_OF_A_CHILD = 4000;
/** MiB of a child's heap. */
const HEAP = 512;
/** A dump is read, its kernel's code runs, and it may be read again without that: each has its limit in the child. */
const STAGES_OF_A_DUMP = 4;

/** Calls `onAnswer` once for each item, in the order in which they are done. */
export async function triageItems(
  items: readonly Item[],
  options: PoolOptions,
  onAnswer: (item: Item, answer: TriageAnswer) => void,
): Promise<void> {
  const waiting = items.values();
  const work = async (): Promise<void> => {
    const worker = new PoolWorker(options);
    // All of them take from one iterator.
    for (const item of waiting) onAnswer(item, await worker.answer(item));
    worker.end();
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, items.length) }, work));
}

class PoolWorker {
  readonly #options: PoolOptions;
  #child: Child<TriageQuestion, never, TriageAnswer> | null = null;
  #done = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async answer(item: Item): Promise<TriageAnswer> {
    const answer = await this.#ask(item);
    const report = item.beside?.report;
    if (item.kind !== 'dump' || answer.error === null || answer.rows.length > 0 || report === undefined) return answer;
    // Whatever became of the dump, the log beside it says something.
    const name = join(dirname(item.name), basename(report));
    const log = await this.#ask({ kind: 'log', path: report, name, stamp: item.stamp });
    return { rows: log.rows, error: log.error === null ? answer.error : `${answer.error}; ${log.error}` };
  }

  end(): void {
    this.#child?.end();
    this.#child = null;
  }

  async #ask(item: Item): Promise<TriageAnswer> {
    const { logLimit, dumpLimit, child } = this.#options;
    if (this.#done++ % ITEMS_OF_A_CHILD === 0) this.end();
    this.#child ??= new Child(child ?? packageFile(CHILD), HEAP);
    const limit = item.kind === 'log' ? logLimit : dumpLimit;
    try {
      const outcome = await this.#child.ask(
        { item, limit },
        { limit: item.kind === 'log' ? limit : limit * STAGES_OF_A_DUMP },
      );
      if (outcome.ended === null) return outcome.answer;
      this.#child = null;
      return { rows: [], error: `its process ${outcome.ended}` };
    } catch (error) {
      return { rows: [], error: error instanceof Error ? error.message : String(error) };
    }
  }
}
