/**
 * `examineDump()` in a process of its own: a dump can make an emulator crash or hang, which must not be this program's end.
 * What was found before that is kept.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Copy } from '../check/verdict.js';
import { type ErrorKind, UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';
import type { UsercopyReport } from '../report/report.js';
import { type DumpInput, type DumpQuestion, withNotes } from './examine-dump.js';
import type { Reproduction } from './outcome.js';

export type { DumpInput } from './examine-dump.js';

/** What the child is asked. */
export interface ChildRequest {
  readonly question: DumpQuestion;
  readonly withoutEmulator: string | null;
}

/** What it answers, in this order: any number of `emulating`, then one of the others. */
export type ChildAnswer =
  | { readonly kind: 'emulating'; readonly known: Reproduction | null }
  | { readonly kind: 'done'; readonly reproduction: Reproduction }
  | { readonly kind: 'error'; readonly error: ErrorKind | null; readonly message: string };

export interface ChildOptions {
  /** The child's program. */
  readonly child?: string;
  /** Milliseconds that code of the dump may run, with the emulator's own start; default 60 000. */
  readonly emulationLimit?: number;
}

const CHILD = 'build/js/src/repro/dump-child.js';
const EMULATION_LIMIT = 60_000;

/**
 * Judges one copy against a dump and lets the dump's own kernel judge it. Without `copy` it is taken from the registers at
 * the check's first instruction.
 * @throws UsercopyError `bad-input` for files that are not what they should be, or no copy to judge.
 */
export async function reproduceDump(
  input: DumpInput,
  copy: Copy | null,
  report: UsercopyReport | null,
  options: ChildOptions = {},
): Promise<Reproduction> {
  const question = { input, copy, report };
  const first = await ask({ question, withoutEmulator: null }, options);
  if (first.ended === null) return first.reproduction;
  const note = `no replay: the emulator ${first.ended}`;
  if (first.known) return withNotes(first.known, [note]);
  const second = await ask({ question, withoutEmulator: `the emulator ${first.ended}` }, options);
  if (second.ended === null) return second.reproduction;
  throw new UsercopyError('guest', `${input.dump}: the process that reads it ${second.ended}`);
}

type Ending =
  | { readonly ended: null; readonly reproduction: Reproduction }
  /** It died or was ended; `known` is the last that it told. */
  | { readonly ended: string; readonly known: Reproduction | null };

function ask(request: ChildRequest, options: ChildOptions): Promise<Ending> {
  const limit = options.emulationLimit ?? EMULATION_LIMIT;
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(options.child ?? packageFile(CHILD), [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let known: Reproduction | null = null;
    let timer: NodeJS.Timeout | null = null;
    let timedOut = false;
    const settle = (act: () => void): void => {
      if (timer) clearTimeout(timer);
      timer = null;
      act();
    };
    child.on('message', (answer: ChildAnswer) => {
      if (answer.kind === 'emulating') {
        known = answer.known;
        if (timer) clearTimeout(timer);
        timer = setTimeout(() => {
          timedOut = true;
          child.kill('SIGKILL');
        }, limit);
      } else if (answer.kind === 'done') {
        settle(() => resolve({ ended: null, reproduction: answer.reproduction }));
      } else {
        const { error, message } = answer;
        settle(() => reject(error === null ? new Error(message) : new UsercopyError(error, message)));
      }
    });
    child.on('error', (error) => settle(() => reject(error)));
    child.on('exit', (code, signal) =>
      settle(() => {
        const how = timedOut ? `ran longer than ${limit / 1000} s` : `died (${signal ?? `exit code ${code}`})`;
        resolve({ ended: how, known });
      }),
    );
    child.send(request);
  });
}
