/** Starts the worker in which a scenario is played, and ends it: when it has answered, when it takes too long, or when nobody waits any more. */
import { messageOf } from '../../src/errors.js';
import { TRAILER } from './factory.js';
import { type PlayedRun, type RunNews, type RunOrder, readNews } from './messages.js';

export interface RunListener {
  readonly onProgress: (what: string) => void;
  readonly onEnd: (end: PlayedRun | string) => void;
}

/**
 * `program` is the page's own script, `script` the emulator's file; `limit` in seconds. Gives what ends the worker without a word.
 * Page and file are one script, so that the page's policy allows no script but its own and this worker's.
 */
export function startRun(
  order: RunOrder,
  program: string,
  script: string,
  limit: number,
  { onProgress, onEnd }: RunListener,
): () => void {
  const url = URL.createObjectURL(new Blob([program, '\n;', script, TRAILER], { type: 'text/javascript' }));
  const worker = new Worker(url);
  let stage = `loading ${order.emulator}`;
  const close = (): void => {
    clearTimeout(timer);
    worker.terminate();
    URL.revokeObjectURL(url);
  };
  const end = (what: PlayedRun | string): void => {
    close();
    onEnd(what);
  };
  const timer = setTimeout(() => {
    end(
      `${order.emulator}: stopped after ${limit} s while ${stage}. Give it more seconds, or another build of unicorn.js.`,
    );
  }, limit * 1000);
  worker.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    let news: RunNews;
    try {
      news = readNews(data);
    } catch (error) {
      return end(`${order.emulator}: the file speaks in the place of the page's program (${messageOf(error)})`);
    }
    if (news.kind === 'done') end(news.run);
    else if (news.kind === 'failed') end(news.message);
    else {
      stage = news.what;
      onProgress(stage);
    }
  });
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    end(
      `${order.emulator}: expected unicorn.js as a classic script, found a file that ended with an error (${event.message || 'the browser tells nothing of it'})`,
    );
  });
  worker.postMessage(order);
  return close;
}
