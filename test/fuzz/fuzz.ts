/** Runs one target: in a thread, with a limit of time and of memory for each input. */
import { Worker } from 'node:worker_threads';
import { packageFile } from '../../src/paths.js';
import type { WorkerMessage, WorkerTask } from './worker.js';

export interface FuzzOptions {
  readonly target: string;
  readonly seed: number;
  /** Inputs beside the seeds. */
  readonly rounds?: number;
  /** Ends after this long, whatever `rounds` says. */
  readonly seconds?: number;
  readonly coverage?: boolean;
}

export interface Fault {
  readonly input: Uint8Array;
  readonly reason: string;
}

export interface FuzzResult {
  /** Inputs that were begun, the seeds among them. */
  readonly inputs: number;
  /** Inputs that went on to be mutated, since code was reached among them that none had reached before. */
  readonly kept: number;
  /** One for each first line of a reason. */
  readonly faults: readonly Fault[];
}

/** For one input, on a machine that has other things to do too. */
const TIME_LIMIT = 10_000;
/** Whoever reads longer than this when the time is over may hang: it is waited for. */
const SHORT = 1_000;
const MEMORY_LIMIT = 256 << 20;
const HEAP_LIMIT_MIB = 768;
const LARGEST_INPUT = 4 << 20;
const MOST_FAULTS = 20;

const WORKER = 'build/js/test/fuzz/worker.js';

/** Never rejects for what the target does; a thread that cannot start is an error. */
export function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { target, seed, rounds = Number.POSITIVE_INFINITY, seconds, coverage = false } = options;
  const task: WorkerTask = {
    ...{ target, seed, rounds, coverage, memoryLimit: MEMORY_LIMIT },
    state: new SharedArrayBuffer(12),
    input: new SharedArrayBuffer(LARGEST_INPUT),
  };
  const state = new Int32Array(task.state);
  const current = (): Uint8Array => new Uint8Array(task.input).slice(0, Atomics.load(state, 1));
  return new Promise((resolve) => {
    const faults: Fault[] = [];
    const seen = new Set<string>();
    const add = (fault: Fault): void => {
      const [line] = fault.reason.replaceAll(/\d+/g, 'N').split('\n');
      if (seen.has(line!) || seen.size >= MOST_FAULTS) return;
      seen.add(line!);
      faults.push(fault);
    };
    const worker = new Worker(packageFile(WORKER), {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_LIMIT_MIB },
    });
    let inputs = 0;
    let since = Date.now();
    const begun = Date.now();
    const end = (): void => {
      clearInterval(watch);
      void worker.terminate();
      resolve({ inputs: Atomics.load(state, 0), kept: Atomics.load(state, 2), faults });
    };
    const watch = setInterval(() => {
      const now = Date.now();
      if (Atomics.load(state, 0) !== inputs) {
        inputs = Atomics.load(state, 0);
        since = now;
      }
      if (inputs > 0 && now - since > TIME_LIMIT) {
        add({ input: current(), reason: `no end after ${TIME_LIMIT / 1000} s` });
        end();
      } else if (seconds !== undefined && now - begun > seconds * 1000 && now - since < SHORT) end();
    }, 100);
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'fault') add(message);
      else end();
    });
    // Out of memory, or an error outside of the target's promise.
    worker.on('error', (error) => {
      add({ input: current(), reason: error.stack ?? String(error) });
      end();
    });
    worker.on('exit', () => end());
  });
}
