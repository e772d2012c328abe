/** Workers that end while native code calls them: the process goes on. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';

/** Runs the program `closing-worker.ts`: what it printed, and how it ended. */
function endWorkers(...kinds: string[]) {
  const program = packageFile('build/js/test/engine/closing-worker.js');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program, ...kinds], {
    encoding: 'utf8',
    timeout: 110_000,
  });
  return { lines: stdout.trim().split('\n'), status, signal, stderr };
}

// terminate() ends a worker with 1; it ends itself with 3.
describe('a worker that is terminated, or ends itself, in a callback', () => {
  it.each([
    ['a copy', ['violation', 'violation, judged in V8', 'audit', 'audit, judged in V8']],
    ['bytes of the guest', ['foreign bytes', 'missing page', 'memory fault', 'memory read']],
    ['code', ['address', 'block', 'instruction', 'interrupt']],
  ])('about %s', (_, kinds) => {
    const lines = kinds.map((kind) => `${kind}: 1 1 3`);
    expect(endWorkers(...kinds)).toEqual({ lines, status: 0, signal: null, stderr: '' });
  });

  it('about a price, or during a run', () => {
    const lines = ['price: 1 1', 'run: 1 1'];
    expect(endWorkers('price', 'run')).toEqual({ lines, status: 0, signal: null, stderr: '' });
  });
});
