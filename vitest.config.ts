import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take a minute and more, the longest first. */
const LONG = [
  ...['dump/dumps', 'dump/after-panic', 'kernel/real-kernels', 'scenario/real-kernels', 'scenario/prove-types'],
  ...['arch/i386-arm', 'attach/failing-copies'],
  ...['arch/s390x-ppc64le', 'engine/versions', 'cycles/charge', 'attach/library/steps', 'attach/library/mutations'],
];

/** None of the long ones is left over at the end, when the other processes have nothing to do. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const found = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return found < 0 ? LONG.length : found;
    };
    return (await super.sort(files)).sort((left, right) => place(left) - place(right));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/watchdog.ts', 'test/tools.ts'],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // A file to a process: each may use a libunicorn of its own, and one that crashes takes no other with it.
    pool: 'forks',
    // By default one processor is left to the runner, which needs little of it: on two that is half of the machine.
    maxWorkers: availableParallelism(),
    sequence: { sequencer: LongFirst },
  },
});
