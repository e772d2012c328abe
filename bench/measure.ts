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

/** Milliseconds that each task may take, warm-up apart. */
const TIME = 2_000;
const WARM_UP = 700;
/** tinybench must not stop before this many samples. */
const ITERATIONS = 12;

/** Measures tasks one after the other; a task that throws ends the benchmark with its error. */
export async function measure(tasks: readonly Task[]): Promise<Measurement[]> {
  const bench = new Bench({
    time: TIME,
    iterations: ITERATIONS,
    warmupTime: WARM_UP,
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
    const { p50, rme, samplesCount } = result.latency;
    return { name, executor, unit, nanoseconds: (p50 * 1e6) / units, margin: rme, samples: samplesCount };
  });
}
