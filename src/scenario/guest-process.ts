/**
 * Guests in processes of their own. Some instructions end the emulator and with it the process (powerpc's mftb in Unicorn
 * 2.0.1): that is one error then, and what the guest said before is kept.
 */
import { availableParallelism } from 'node:os';
import { askChild } from '../child.js';
import { UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';
import type { GuestTask, ResultOf, TaskListener } from './tasks.js';

export type GuestEvent =
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'progress'; readonly text: string }
  /** The guest is about to run this function. */
  | { readonly kind: 'calling'; readonly symbol: string };

const CHILD = 'build/cli/guest-child.js';

/**
 * Does a task in a process of its own.
 * @throws UsercopyError `crash` when the process dies: with the signal and the guest's function; and what the task throws.
 */
export async function runIsolated<Task extends GuestTask>(
  task: Task,
  listener: TaskListener<ResultOf<Task>>,
): Promise<void> {
  let calling: string | null = null;
  const onEvent = (event: GuestEvent): undefined => {
    switch (event.kind) {
      case 'result':
        // The child does this very task.
        listener.result(event.result as ResultOf<Task>);
        break;
      case 'progress':
        listener.progress(event.text);
        break;
      case 'calling':
        calling = event.symbol;
    }
  };
  const { ended } = await askChild<Task, GuestEvent, null>(packageFile(CHILD), task, { onEvent });
  if (ended === null) return;
  const where = calling === null ? 'before any function of the guest ran' : `in the guest's function ${calling}`;
  throw new UsercopyError('crash', `${nameOf(task)}: the emulator's process ${ended} ${where}`);
}

/** The same for a task that has one result. */
export async function runForOne<Task extends GuestTask>(
  task: Task,
  progress: (text: string) => void,
): Promise<ResultOf<Task>> {
  const results: ResultOf<Task>[] = [];
  await runIsolated(task, { result: (result) => results.push(result), progress });
  const [result] = results;
  if (result !== undefined) return result;
  throw new UsercopyError('crash', `${nameOf(task)}: expected a result of the emulator's process, found none`);
}

/** Does tasks, as many at a time as there are processors; a task that fails does not keep the others from it. */
export async function runAllIsolated<Task extends GuestTask>(
  tasks: readonly Task[],
  listenerOf: (index: number) => TaskListener<ResultOf<Task>>,
): Promise<PromiseSettledResult<void>[]> {
  const outcomes: PromiseSettledResult<void>[] = [];
  const waiting = tasks.entries();
  const work = async (): Promise<void> => {
    // All of them take from one iterator.
    for (const [index, task] of waiting) {
      outcomes[index] = await runIsolated(task, listenerOf(index)).then(
        (value) => ({ status: 'fulfilled', value }),
        (reason: unknown) => ({ status: 'rejected', reason }),
      );
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
    case 'snapshot':
      return 'path' in task.source ? task.source.path : task.source.name;
  }
}
