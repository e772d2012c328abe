/** What the check costs on each path: the guest's own in instructions and cycles, ours in nanoseconds. */
import { driverOf } from '../arch/index.js';
import { attach } from '../src/attach/attach.js';
import { requestRegisters } from '../src/attach/requests.js';
import { type ExecutorName, executors } from '../src/check/check.js';
import { modelDigest } from '../src/cycles/digest.js';
import { openCycleModel } from '../src/cycles/open.js';
import { builtCheck } from '../src/engine/built-check.js';
import { UsercopyError } from '../src/errors.js';
import type { Guest } from '../src/guest/guest.js';
import { costOfCall } from '../src/guest/path-cost.js';
import { entryPointOf } from '../src/stack/entry-point.js';
import { type Effort, measure, type Task } from './measure.js';
import { present } from './present.js';
import type { Measurement } from './report.js';
import { PATHS, type PathCopy, type PathName } from './world.js';

export interface GuestCost {
  /** From the first instruction of `__check_object_size` to its return, or to BUG(). */
  readonly instructions: number;
  /** Of one pass through the whole path, branches predicted, for a named core; null for an architecture without a table. */
  readonly cycles: number | null;
}

type Paths = Readonly<Record<PathName, PathCopy>>;

export interface GuestCheck {
  readonly costs: Record<PathName, GuestCost>;
  /** The core that the cycles are of. */
  readonly core: string | null;
  /** Which model they are of, as `modelDigest()` says. */
  readonly cycleModel: string | null;
}

/** Runs the guest's own check once on each path. @throws UsercopyError `guest` where its answer is not the expected one. */
export async function countGuestCheck(guest: Guest, paths: Paths): Promise<GuestCheck> {
  const model = guest.variant.cycles === undefined ? null : await openCycleModel(guest.variant);
  const before = guest.snapshot();
  const costs: Partial<Record<PathName, GuestCost>> = {};
  try {
    for (const path of PATHS) {
      const { pointer, size, outcome } = paths[path];
      const call = await costOfCall(guest, '__check_object_size', [pointer, size, 1n], model);
      guest.restore(before);
      if ((call.outcome.kind === 'bug') !== (outcome === 'bad')) {
        throw new UsercopyError(
          'guest',
          `${guest.variant.name}, path ${path}: expected ${outcome}, found ${call.outcome.kind}`,
        );
      }
      costs[path] = { instructions: call.instructions, cycles: call.cycles };
    }
    const linuxArch = driverOf(guest.variant)?.linuxArch;
    const cycleModel = model === null || linuxArch === undefined ? null : await modelDigest(linuxArch, model.table);
    // Every path was run above.
    return { costs: costs as Record<PathName, GuestCost>, core: model?.table.core ?? null, cycleModel };
  } finally {
    model?.close();
  }
}

/** Verdicts in a sample. */
const BATCH = 256;

/** Measures our check on each path by every executor; null for one that is not there. All must give the expected verdict. */
export async function timeCheck(
  guest: Guest,
  paths: Paths,
  profile: string | undefined,
  effort: Effort,
): Promise<Record<ExecutorName, Record<PathName, Measurement> | null>> {
  const attachment = await attach(guest.engine, guest.kernel, {
    memory: guest.check,
    ...(profile === undefined ? {} : { profile }),
  });
  attachment.detach();
  const { check } = attachment;
  const entry = present(guest.variant.uaccess.find(({ role }) => role === 'judge'));
  const names = requestRegisters(entry, guest.variant, {
    ...{ parameters: check.parameters, nested: false, caller: false },
  });
  const address = present(entryPointOf(guest.kernel, guest.variant, entry.symbol));
  let atEntry: readonly bigint[] = [];
  const hook = guest.engine.hookAddress(address, () => {
    atEntry = names.map((name) => (name === null ? 0n : guest.engine.readRegister(name)));
  });
  await guest.call(entry.symbol, [paths['n=0'].pointer, 0n, 1n]);
  hook.remove();
  const requests = check.createRequests({ direction: 'to_user' }, BATCH);
  const fill = ({ pointer, size }: PathCopy): void => {
    const values = check.requestFields.map((field, index) =>
      field === 'pointer' ? pointer : field === 'size' ? size : (atEntry[index] ?? 0n),
    );
    for (let index = 0; index < BATCH; index++) {
      new BigUint64Array(check.memory.buffer, requests + index * check.requestBytes, values.length).set(values);
    }
  };

  const tasks: Task[] = [];
  // The executors of one path follow each other: they are what is compared.
  for (const path of PATHS) {
    for (const { name: executor, available } of executors(builtCheck)) {
      if (!available) continue;
      const { checkBatch } = await check.executorFor(executor);
      const run = (): undefined => void checkBatch(check.contextOffset, requests, BATCH);
      const enter = () => {
        fill(paths[path]);
        run();
        const { outcome } = check.verdictOf(requests);
        if (outcome === paths[path].outcome) return () => {};
        throw new UsercopyError(
          'bad-input',
          `${guest.variant.name}, path ${path}, ${executor}: expected ${paths[path].outcome}, found ${outcome}`,
        );
      };
      tasks.push({
        ...{ name: `${guest.variant.name}: ${path}, ${executor}`, executor, unit: 'check', units: BATCH },
        ...{ run, enter },
      });
    }
  }
  const measured = await measure(tasks, effort);
  const timesOf = (executor: ExecutorName) => {
    const mine = measured.filter((one) => one.executor === executor);
    return mine.length === 0 ? null : Object.fromEntries(PATHS.map((path, index) => [path, present(mine[index])]));
  };
  // Every executor has its entry.
  return Object.fromEntries(executors(builtCheck).map(({ name }) => [name, timesOf(name)])) as Record<
    ExecutorName,
    Record<PathName, Measurement> | null
  >;
}
