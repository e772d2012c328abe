/** `usercopy run … --snapshot FOLDER`: a guest that is set up, as files that a harness in C or Python loads. */
import { resolve } from 'node:path';
import { badInput, hex } from '../errors.js';
import { runForOne } from '../scenario/guest-process.js';
import type { SnapshotSummary } from '../scenario/snapshot.js';
import type { SnapshotTask } from '../scenario/tasks.js';
import { print, progress, warn } from '../terminal.js';
import { CLEAN, toJson } from './output.js';
import { type CallOptions, guestOf } from './run-scenarios.js';
import { table } from './table.js';

export interface SnapshotOptions extends Omit<CallOptions, 'call'> {
  readonly snapshot: string;
  readonly call?: readonly string[];
}

/** Gives the exit status. */
export async function runSnapshot(what: readonly string[], options: SnapshotOptions): Promise<number> {
  const task = taskOf(what, options);
  progress.show(`writing ${options.snapshot}`);
  const summary = await runForOne(task, (text) => progress.show(text));
  progress.clear();
  for (const warning of summary.warnings) warn(warning);
  print(options.json ? toJson(summary) : describe(summary));
  return CLEAN;
}

function taskOf(what: readonly string[], options: SnapshotOptions): SnapshotTask {
  const { snapshot, call = [] } = options;
  const [path] = what;
  const folder = resolve(snapshot);
  if (call.length > 1)
    throw badInput('run --snapshot', 'at most one --call, at which the guest stands', `${call.length}`);
  if (what.length > 1 || path === 'own' || path === 'lkdtm' || path === 'random') {
    throw badInput('run --snapshot', 'one scenario file, or --kernel IMAGE, or --variant NAME', `'${what.join(' ')}'`);
  }
  if (path !== undefined) {
    if (options.kernel !== undefined || options.variant !== undefined) {
      throw badInput('run --snapshot', 'a scenario file or a guest', 'both');
    }
    return { kind: 'snapshot', source: { path }, call: call[0], folder };
  }
  const scenario = {
    guest: guestOf(options, 'run --snapshot'),
    // Not played: a scenario has one step at least.
    steps: [{ copy: { pointer: 'user', size: 1, direction: 'to_user' as const } }],
  };
  return { kind: 'snapshot', source: { scenario, name: '--snapshot' }, call: call[0], usual: true, folder };
}

function describe({ folder, variant, kernel, at, places }: SnapshotSummary): string {
  return [
    `${folder}: ${variant}, kernel ${kernel}, ${at === null ? 'where calls return to' : `at ${at}`}`,
    table(
      ['place', 'first byte', 'bytes'],
      places.map(({ name, start, end }) => [name, hex(start), String(end - start)]),
    ),
  ].join('\n');
}
