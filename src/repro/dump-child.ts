/** The process that `from-dump.ts` starts: one request, its answers, end. */
import { UsercopyError } from '../errors.js';
import { examineDump } from './examine-dump.js';
import type { ChildAnswer, ChildRequest } from './from-dump.js';

const tell = (answer: ChildAnswer): Promise<void> =>
  new Promise((resolve, reject) => {
    process.send!(answer, undefined, {}, (error) => (error ? reject(error) : resolve()));
  });

process.once('message', async ({ question, withoutEmulator }: ChildRequest) => {
  try {
    const reproduction = await examineDump(question, {
      withoutEmulator,
      beforeEmulation: (known) => tell({ kind: 'emulating', known }),
    });
    await tell({ kind: 'done', reproduction });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await tell({ kind: 'error', error: error instanceof UsercopyError ? error.kind : null, message });
  }
  process.disconnect();
});
