/** The process that `guest-process.ts` starts. */
import { answerQuestions } from '../child.js';
import { callObserver } from '../guest/call-observer.js';
import type { GuestEvent } from './guest-process.js';
import { type GuestTask, runTask } from './tasks.js';

answerQuestions<GuestTask, GuestEvent, null>(async (task, tell) => {
  const listener = {
    result: (result: unknown) => void tell({ kind: 'result', result }),
    progress: (text: string) => void tell({ kind: 'progress', text }),
  };
  await callObserver.run(
    (symbol) => void tell({ kind: 'calling', symbol }),
    () => runTask(task, listener),
  );
  return null;
});
