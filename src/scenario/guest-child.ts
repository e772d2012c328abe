/** The process that `guest-process.ts` starts: one task, what comes of it, end. */
import { UsercopyError } from '../errors.js';
import { callObserver } from '../guest/call-observer.js';
import type { ChildMessage } from './guest-process.js';
import { type GuestTask, runTask } from './tasks.js';

const tell = (message: ChildMessage): void => {
  process.send!(message);
};

process.once('message', async (task: GuestTask) => {
  try {
    const listener = {
      result: (result: unknown) => tell({ kind: 'result', result }),
      progress: (text: string) => tell({ kind: 'progress', text }),
    };
    await callObserver.run(
      (symbol) => tell({ kind: 'calling', symbol }),
      () => runTask(task, listener),
    );
    tell({ kind: 'done' });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tell({ kind: 'error', error: error instanceof UsercopyError ? error.kind : null, message });
  }
  process.disconnect();
});
