/** The thread that reads the inputs: it may hang or run out of memory, its parent (fuzz.ts) looks after that. */
import { Session } from 'node:inspector';
import { parentPort, workerData } from 'node:worker_threads';
import { UsercopyError } from '../../src/errors.js';
import { mutated, Random } from './mutate.js';
import { targets } from './targets.js';

export interface WorkerTask {
  readonly target: string;
  readonly seed: number;
  /** Inputs beside the seeds themselves; Infinity: until the parent has had enough. */
  readonly rounds: number;
  /** Whether inputs that reach code that none reached before are mutated further. */
  readonly coverage: boolean;
  /** Bytes that the process may grow by for one input. */
  readonly memoryLimit: number;
  /** Three numbers: how many inputs were begun, the length of the one that is being read, how many were kept. */
  readonly state: SharedArrayBuffer;
  /** The input that is being read. */
  readonly input: SharedArrayBuffer;
}

export type WorkerMessage =
  | { readonly kind: 'fault'; readonly input: Uint8Array; readonly reason: string }
  | { readonly kind: 'done' };

const task = workerData as WorkerTask;
const state = new Int32Array(task.state);
const shared = new Uint8Array(task.input);
const send = (message: WorkerMessage): void => parentPort!.postMessage(message);

/** V8 takes milliseconds to tell: inputs are looked at together. */
const LOOK_EVERY = 8;

/** Answers whether the inputs since the last time ran a block of our own code that none ran before. */
function coverageWatch(): () => boolean {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  // Without counts V8 tells each block once: what is told again is new.
  session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  return () => {
    let found = false;
    session.post('Profiler.takePreciseCoverage', (_error, answer) => {
      found = answer.result.some(({ url }) => url.startsWith('file:') && !url.includes('/test/fuzz/'));
    });
    return found;
  };
}

/** What is wrong with how the input was taken; null when nothing is. */
async function faultOf(run: (bytes: Uint8Array) => unknown, input: Uint8Array): Promise<string | null> {
  const before = process.resourceUsage().maxRSS;
  try {
    await run(Uint8Array.from(input));
  } catch (error) {
    if (!(error instanceof UsercopyError))
      return error instanceof Error ? (error.stack ?? error.message) : String(error);
    const { message } = error;
    if (message.length > 2000) return `an error of ${message.length} characters: ${message.slice(0, 200)}`;
    if (message.includes('\n')) return `an error of several lines: ${JSON.stringify(message.slice(0, 500))}`;
  }
  const grown = (process.resourceUsage().maxRSS - before) * 1024;
  return grown > task.memoryLimit ? `the process grew by ${grown >> 20} MiB` : null;
}

async function work(): Promise<void> {
  const target = targets.find(({ name }) => name === task.target)!;
  const inputs = [...target.seeds()];
  const random = new Random(task.seed);
  const first = inputs.length;
  // What a library warns of reaches the terminal, raw.
  process.on('warning', ({ message }) => {
    send({
      kind: 'fault',
      input: shared.slice(0, Atomics.load(state, 1)),
      reason: `a warning was printed: ${message}`,
    });
  });
  const isNew = task.coverage ? coverageWatch() : () => false;
  let fresh: Uint8Array[] = [];
  for (let round = 0; round < first + task.rounds; round++) {
    const input = round < first ? inputs[round]! : mutated(inputs, random, target.words);
    shared.set(input.subarray(0, shared.length));
    Atomics.store(state, 1, Math.min(input.length, shared.length));
    Atomics.add(state, 0, 1);
    const reason = await faultOf(target.run, input);
    if (reason !== null) send({ kind: 'fault', input, reason });
    if (round < first || input.length === 0) continue;
    fresh.push(input);
    if (fresh.length < LOOK_EVERY) continue;
    if (isNew()) inputs.push(...fresh);
    fresh = [];
    Atomics.store(state, 2, inputs.length - first);
  }
  send({ kind: 'done' });
}

await work();
