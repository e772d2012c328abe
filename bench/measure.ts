/** Runs tasks under tinybench and reads off what the report needs. */
import { Bench } from 'tinybench';
import type { ExecutorName } from '../src/check.js';
import type { Measurement } from './report.js';

export interface Task {
  readonly name: string;
  readonly executor?: ExecutorName;
  readonly unit: string;
  /** Units of work that one call does. */
  readonly units: number;
  /** Does the work; returns its milliseconds where only a part of the call counts. */
  readonly run: () => undefined | number;
}

/** How long each task is measured: milliseconds, and samples at least. */
export interface Effort {
  readonly time: number;
  readonly warmUp: number;
  readonly iterations: number;
}

/** A smoke run measures nothing that could be quoted. */
export const QUICK: Effort = { time: 5, warmUp: 0, iterations: 3 };
export const LONG: Effort = { time: 2_000, warmUp: 700, iterations: 12 };
/** Each size of a series has been run once before it is measured; ten million copies are their own average. */
export const GROWTH: Effort = { time: 200, warmUp: 0, iterations: 3 };
export const SHORT: Effort = { time: 250, warmUp: 50, iterations: 12 };

/** Measures tasks one after the other; a task that throws ends the benchmark with its error. */
export async function measure(tasks: readonly Task[], effort: Effort): Promise<Measurement[]> {
  const bench = new Bench({
    time: effort.time,
    iterations: effort.iterations,
    warmup: effort.warmUp > 0,
    warmupTime: effort.warmUp,
    warmupIterations: 2,
    throws: true,
  });
  for (const task of tasks) {
    bench.add(
      task.name,
      () => {
        const milliseconds = task.run();
        return milliseconds === undefined ? undefined : { overriddenDuration: milliseconds };
      },
      { async: false },
    );
  }
  await bench.run();
  return tasks.map(({ name, executor = null, unit, units }) => {
    const result = bench.getTask(name)?.result;
    if (result === undefined || result.state !== 'completed') throw new Error(`${name} was not measured`);
    const { p50, p99, rme, samplesCount } = result.latency;
    const nanoseconds = (milliseconds: number) => (milliseconds * 1e6) / units;
    return {
      ...{ name, executor, unit, margin: rme, samples: samplesCount },
      ...{ nanoseconds: nanoseconds(p50), p99: nanoseconds(p99) },
    };
  });
}
