/**
 * Guests in processes of their own. Some instructions end the emulator and with it the process (powerpc's mftb in Unicorn
 * 2.0.1): that is one error then, and what the guest said before is kept.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { type ErrorKind, UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';
import type { GuestTask, ResultOf, TaskListener } from './tasks.js';

/** What the child tells: any number of the first three, then one of the others. */
export type ChildMessage =
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'progress'; readonly text: string }
  /** The guest is about to run this function. */
  | { readonly kind: 'calling'; readonly symbol: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly error: ErrorKind | null; readonly message: string };

const CHILD = 'build/js/src/scenario/guest-child.js';

/**
 * Does a task in a process of its own.
 * @throws UsercopyError `crash` when the process dies: with the signal and the guest's function; and what the task throws.
 */
export function runIsolated<Task extends GuestTask>(task: Task, listener: TaskListener<ResultOf<Task>>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(packageFile(CHILD), [], {
      serialization: 'advanced',
      execArgv: [],
      // What a dying emulator prints is no one's business: the error says it.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let calling: string | null = null;
    child.on('message', (message: ChildMessage) => {
      switch (message.kind) {
        case 'result':
          return listener.result(message.result as ResultOf<Task>);
        case 'progress':
          return listener.progress(message.text);
        case 'calling':
          calling = message.symbol;
          return;
        case 'done':
          return resolve();
        case 'error':
          return reject(
            message.error === null ? new Error(message.message) : new UsercopyError(message.error, message.message),
          );
      }
    });
    child.on('error', reject);
    // Messages that are on their way come before 'close'. After 'done' or 'error' this changes nothing.
    child.on('close', (code, signal) => {
      const where = calling === null ? 'before any function of the guest ran' : `in the guest's function ${calling}`;
      const how = signal === null ? `exit status ${code}` : signal;
      reject(new UsercopyError('crash', `${nameOf(task)}: the emulator's process ended (${how}) ${where}`));
    });
    child.send(task);
  });
}

/** Does tasks, as many at a time as there are processors; a task that fails does not keep the others from it. */
export async function runAllIsolated<Task extends GuestTask>(
  tasks: readonly Task[],
  listenerOf: (index: number) => TaskListener<ResultOf<Task>>,
): Promise<PromiseSettledResult<void>[]> {
  const outcomes: PromiseSettledResult<void>[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < tasks.length) {
      const index = next++;
      const [outcome] = await Promise.allSettled([runIsolated(tasks[index]!, listenerOf(index))]);
      outcomes[index] = outcome!;
    }
  };
  await Promise.all(Array.from({ length: Math.min(tasks.length, availableParallelism()) }, work));
  return outcomes;
}

/** What an error calls the task. */
function nameOf(task: GuestTask): string {
  switch (task.kind) {
    case 'own':
      return task.variant;
    case 'lkdtm':
      return task.kernel;
    case 'random':
      return task.guest.kernel ?? task.guest.variant ?? 'guest';
    case 'scenario':
      return 'path' in task.source ? task.source.path : task.source.name;
  }
}
