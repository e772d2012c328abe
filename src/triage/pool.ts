/**
 * Processes that work through items. One that dies or takes too long costs its item, not the run; one that has done many is
 * replaced, so that memory stays flat.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { packageFile } from '../paths.js';
import type { Item } from './items.js';
import type { TriageRow } from './row.js';

export interface TriageAnswer {
  readonly rows: readonly TriageRow[];
  /** Why there are none. */
  readonly error: string | null;
}

export interface PoolOptions {
  readonly jobs: number;
  /** Milliseconds for a log, and for a dump. */
  readonly logLimit: number;
  readonly dumpLimit: number;
  /** The child's program. */
  readonly child?: string;
}

const CHILD = 'build/js/src/triage/child.js';
const ITEMS_OF_A_CHILD = 400;
/** MiB of a child's heap. */
const HEAP = 512;

/** Calls `onAnswer` once for each item, in the order in which they are done. */
export async function triageItems(
  items: readonly Item[],
  options: PoolOptions,
  onAnswer: (item: Item, answer: TriageAnswer) => void,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    let child: ChildProcess | null = null;
    let done = 0;
    while (next < items.length) {
      const item = items[next++]!;
      child ??= start(options);
      const answer = await ask(child, item, item.kind === 'log' ? options.logLimit : options.dumpLimit);
      onAnswer(item, answer.answer);
      done++;
      if (answer.dead || done % ITEMS_OF_A_CHILD === 0) {
        if (!answer.dead) child.disconnect();
        child = null;
      }
    }
    child?.disconnect();
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, items.length) }, worker));
}

function start(options: PoolOptions): ChildProcess {
  return fork(options.child ?? packageFile(CHILD), [], {
    serialization: 'advanced',
    execArgv: [`--max-old-space-size=${HEAP}`],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}

function ask(child: ChildProcess, item: Item, limit: number): Promise<{ answer: TriageAnswer; dead: boolean }> {
  return new Promise((resolve) => {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, limit);
    const settle = (answer: TriageAnswer, dead: boolean): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      // A write to a child that has just died must not end this process.
      child.on('error', () => undefined);
      resolve({ answer, dead });
    };
    child.once('message', (answer) => settle(answer as TriageAnswer, false));
    child.once('error', (error) => settle({ rows: [], error: `its process failed: ${error.message}` }, true));
    child.once('exit', (code, signal) => {
      const how = timedOut
        ? `took longer than ${limit / 1000} s`
        : `its process died (${signal ?? `exit code ${code}`})`;
      settle({ rows: [], error: how }, true);
    });
    child.send(item);
  });
}
