/** Runs tasks under tinybench and reads off what the report needs. */
import { Bench } from 'tinybench';
import type { ExecutorName } from '../src/check/check.js';
import { present } from './present.js';
import type { Measurement } from './report.js';

export interface Task {
  readonly name: string;
  readonly executor?: ExecutorName;
  readonly unit: string;
  /** Units of work that one call does. */
  readonly units: number;
  /** Does the work; returns its milliseconds where only a part of the call counts. */
  readonly run: () => undefined | number;
  /** Makes ready for a round of this task, outside of its time; gives what undoes it. */
  readonly enter?: () => Leave | Promise<Leave>;
}

type Leave = () => void;

/** How long each task is measured: milliseconds and samples at least, over all rounds. */
export interface Effort {
  readonly time: number;
  readonly warmUp: number;
  readonly iterations: number;
  /** The tasks take turns so often: what the machine does meanwhile meets all of them. */
  readonly rounds: number;
}

/** A smoke run measures nothing that could be quoted. */
export const QUICK: Effort = { time: 5, warmUp: 0, iterations: 3, rounds: 1 };
export const LONG: Effort = { time: 2_100, warmUp: 700, iterations: 14, rounds: 7 };
/** Each size of a series has been run once before it is measured; ten million copies are their own average. */
export const GROWTH: Effort = { time: 200, warmUp: 0, iterations: 3, rounds: 1 };
export const SHORT: Effort = { time: 300, warmUp: 60, iterations: 15, rounds: 5 };

/** One round of one task: milliseconds a call, and half the 95 % confidence interval of the mean in percent. */
interface Round {
  readonly median: number;
  readonly p99: number;
  readonly margin: number;
  readonly samples: number;
}

/**
 * Measures tasks in turns; a task that throws ends the benchmark with its error. The figures are the medians of the
 * rounds' figures; the margin is never less than what the rounds' medians differ by.
 */
export async function measure(tasks: readonly Task[], effort: Effort): Promise<Measurement[]> {
  const rounds: Round[][] = tasks.map(() => []);
  for (let round = 0; round < effort.rounds; round++) {
    for (const [index, task] of tasks.entries()) {
      const leave = await task.enter?.();
      try {
        present(rounds[index]).push(await measureRound(task, effort));
      } finally {
        leave?.();
      }
    }
  }
  return tasks.map(({ name, executor = null, unit, units }, index) => {
    const mine = present(rounds[index]);
    const middle = (of: (round: Round) => number) => present(mine.map(of).sort((a, b) => a - b)[mine.length >> 1]);
    const medians = mine.map(({ median }) => median);
    const median = middle((round) => round.median);
    const apart = ((Math.max(...medians) - Math.min(...medians)) / 2 / median) * 100;
    const nanoseconds = (milliseconds: number) => (milliseconds * 1e6) / units;
    return {
      ...{
        name,
        executor,
        unit,
        margin: Math.max(
          apart,
          middle(({ margin }) => margin),
        ),
      },
      samples: mine.reduce((sum, { samples }) => sum + samples, 0),
      ...{ nanoseconds: nanoseconds(median), p99: nanoseconds(middle(({ p99 }) => p99)) },
    };
  });
}

async function measureRound({ name, run }: Task, { time, warmUp, iterations, rounds }: Effort): Promise<Round> {
  const bench = new Bench({
    time: time / rounds,
    iterations: Math.ceil(iterations / rounds),
    warmup: warmUp > 0,
    warmupTime: warmUp / rounds,
    warmupIterations: 2,
    throws: true,
  });
  bench.add(
    name,
    () => {
      const milliseconds = run();
      return milliseconds === undefined ? undefined : { overriddenDuration: milliseconds };
    },
    { async: false },
  );
  await bench.run();
  const result = bench.getTask(name)?.result;
  if (result === undefined || result.state !== 'completed') throw new Error(`${name} was not measured`);
  const { p50, p99, rme, samplesCount } = result.latency;
  return { median: p50, p99, margin: rme, samples: samplesCount };
}
