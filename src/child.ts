/**
 * Work in processes of their own: what can crash, hang or eat memory must not do it to this one. A child is asked one
 * question at a time; it may tell events, and gives an answer or an error. It ends with the process that started it, in
 * whatever way that ends and however busy the child is.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { type ErrorKind, UsercopyError } from './errors.js';

/** What a child says: any number of events, then one of the others, for each question. */
export type ChildMessage<Event, Answer> =
  | { readonly kind: 'event'; readonly event: Event }
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** `error` is null for one that nobody meant to throw. */
  | { readonly kind: 'error'; readonly error: ErrorKind | null; readonly message: string };

export type ChildOutcome<Answer> =
  | { readonly ended: null; readonly answer: Answer }
  /** It died or was ended before it answered; how, in words that follow a subject: `died (SIGSEGV)`. */
  | { readonly ended: string };

export interface AskOptions<Event> {
  /** Milliseconds until the child is ended; no limit when absent. */
  readonly limit?: number | undefined;
  /** May answer with another limit, which begins now. */
  readonly onEvent?: ((event: Event) => { readonly limit: number } | undefined) | undefined;
}

/** A process of this package; `Question`, `Event` and `Answer` are structured clones on the way. */
export class Child<Question, Event, Answer> {
  readonly #process: ChildProcess;

  /** `program`: path of a module that calls `answerQuestions`. `heap`: MiB at most. */
  constructor(program: string, heap?: number) {
    this.#process = fork(program, [String(process.pid)], {
      serialization: 'advanced',
      execArgv: heap === undefined ? [] : [`--max-old-space-size=${heap}`],
      // What a dying emulator prints is no one's business: the error says it.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    // A write to a child that has just died must not end this process; that it died is told by `ask`.
    this.#process.on('error', () => undefined);
  }

  /**
   * Asks the child; a child that `ended` can be asked no more.
   * @throws what the work in it throws: a UsercopyError of the same kind, else an Error.
   */
  ask(question: Question, { limit, onEvent }: AskOptions<Event> = {}): Promise<ChildOutcome<Answer>> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | null = null;
      let late: number | null = null;
      const startTimer = (milliseconds: number | undefined): void => {
        if (timer) clearTimeout(timer);
        timer = null;
        if (milliseconds === undefined) return;
        timer = setTimeout(() => {
          late = milliseconds;
          child.kill('SIGKILL');
        }, milliseconds);
      };
      const settle = (act: () => void): void => {
        startTimer(undefined);
        child.off('message', hear).off('error', fail).off('close', end);
        act();
      };
      const hear = (message: unknown): void => {
        // The child is this package's own program, and says nothing else.
        const said = message as ChildMessage<Event, Answer>;
        switch (said.kind) {
          case 'event': {
            const more = onEvent?.(said.event);
            if (more) startTimer(more.limit);
            return;
          }
          case 'answer':
            settle(() => resolve({ ended: null, answer: said.answer }));
            return;
          case 'error': {
            const { error, message: text } = said;
            settle(() => reject(error === null ? new Error(text) : new UsercopyError(error, text)));
          }
        }
      };
      const fail = (error: Error): void => {
        // A process that could not be started has no number; one that has ends with 'close'.
        if (child.pid === undefined) settle(() => resolve({ ended: `could not be started (${error.message})` }));
      };
      // Messages that are on their way come before 'close'.
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        const how = late === null ? `died (${signal ?? `exit code ${code}`})` : `ran longer than ${late / 1000} s`;
        settle(() => resolve({ ended: how }));
      };
      child.on('message', hear).on('error', fail).on('close', end);
      startTimer(limit);
      // A question is plain data, which its type parameter cannot say.
      child.send(question as object);
    });
  }

  /** No more questions: the child ends. */
  end(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

/** Asks one question of a child that is there for it alone. */
export async function askChild<Question, Event, Answer>(
  program: string,
  question: Question,
  options: AskOptions<Event> = {},
): Promise<ChildOutcome<Answer>> {
  const child = new Child<Question, Event, Answer>(program);
  try {
    return await child.ask(question, options);
  } finally {
    child.end();
  }
}

/**
 * The child's side: does `work` for each question. `tell` resolves when the parent's end of the channel has the event: what
 * was told is not lost when the process dies behind it.
 */
export function answerQuestions<Question, Event, Answer>(
  work: (question: Question, tell: (event: Event) => Promise<void>) => Promise<Answer>,
): void {
  endWithParent(Number(process.argv[2]));
  const say = (message: ChildMessage<Event, Answer>): Promise<void> =>
    new Promise((resolve, reject) => {
      // A child has a channel to its parent.
      process.send!(message, undefined, {}, (error) => (error ? reject(error) : resolve()));
    });
  process.on('message', async (question) => {
    try {
      // What `Child.ask` sent.
      const answer = await work(question as Question, (event) => say({ kind: 'event', event }));
      await say({ kind: 'answer', answer });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await say({ kind: 'error', error: error instanceof UsercopyError ? error.kind : null, message });
    }
  });
  process.on('disconnect', () => process.exit());
}

const WATCH_INTERVAL = 200;

/**
 * Ends this process when the one that started it is no more. The channel between them tells that as well, but only to an
 * event loop that is not busy: this is a thread, which looks whether the process has been given another parent.
 */
function endWithParent(parent: number): void {
  const program = `
    const { workerData } = require('node:worker_threads');
    setInterval(() => {
      if (process.ppid !== workerData.parent) process.kill(process.pid, 'SIGKILL');
    }, workerData.interval);`;
  new Worker(program, { eval: true, workerData: { parent, interval: WATCH_INTERVAL } }).unref();
}
