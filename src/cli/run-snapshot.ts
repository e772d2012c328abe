/** `usercopy run … --snapshot FOLDER`: a guest that is set up, as files that a harness in C or Python loads. */
import { resolve } from 'node:path';
import { badInput, hex, shellWord } from '../errors.js';
import { runForOne } from '../scenario/guest-process.js';
import type { SnapshotSummary } from '../scenario/snapshot.js';
import type { SnapshotTask } from '../scenario/tasks.js';
import { progress, warn } from '../terminal.js';
import { type Part, printAnswer } from './answer.js';
import { CLEAN, toJson } from './output.js';
import { type CallOptions, guestOf } from './run-scenarios.js';

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
  const guest =
    what[0] === undefined
      ? options.kernel === undefined
        ? null
        : `--kernel ${shellWord(options.kernel)} --snapshot ${shellWord(options.snapshot)}`
      : shellWord(what[0]);
  printAnswer(options, {
    json: () => toJson(summary),
    parts: () => partsOf(summary),
    next:
      guest === null ? undefined : `usercopy prepare ${guest} -o attach.json  # what a harness in C or Python attaches`,
  });
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

function partsOf({ folder, variant, kernel, at, places }: SnapshotSummary): Part[] {
  return [
    { heading: `${folder}: ${variant}, kernel ${kernel}, ${at === null ? 'where calls return to' : `at ${at}`}` },
    {
      head: ['place', 'first byte', 'bytes'],
      rows: places.map(({ name, start, end }) => [name, hex(start), String(end - start)]),
      about: { folder, variant, kernel },
    },
  ];
}
