/**
 * A test that never comes back from the emulator's own code cannot be ended by the runner, which waits in the same thread.
 * A second thread ends the process then, and says which test it was.
 */
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach } from 'vitest';

/** More than any test is given (`testTimeout` in vitest.config.ts, or a limit of its own), milliseconds. */
const PATIENCE = 2_400_000;
const NAME_BYTES = 512;

/** A u32 that counts tests, a u32 that is 1 while one runs, and its name. */
const shared = new SharedArrayBuffer(8 + NAME_BYTES);
const state = new Int32Array(shared, 0, 2);
const name = new Uint8Array(shared, 8);

const watcher = new Worker(
  `
  const { workerData: { shared, patience } } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  const state = new Int32Array(shared, 0, 2);
  for (;;) {
    const test = Atomics.load(state, 0);
    if (Atomics.wait(state, 0, test, patience) !== 'timed-out' || Atomics.load(state, 1) === 0) continue;
    const bytes = Buffer.from(new Uint8Array(shared, 8));
    const name = bytes.toString('utf8', 0, bytes.indexOf(0));
    writeSync(2, \`\\n"\${name}" has not come back for \${patience / 1000} seconds: its process is ended\\n\`);
    process.kill(process.pid, 'SIGKILL');
  }`,
  { eval: true, workerData: { shared, patience: Number(process.env['TEST_PATIENCE_MS'] ?? PATIENCE) } },
);
watcher.unref();

function note(running: boolean): void {
  Atomics.store(state, 1, running ? 1 : 0);
  Atomics.add(state, 0, 1);
  Atomics.notify(state, 0);
}

beforeEach(({ task }) => {
  name.fill(0);
  new TextEncoder().encodeInto(`${task.file.name} > ${task.name}`, name.subarray(0, NAME_BYTES - 1));
  note(true);
});
afterEach(() => note(false));
