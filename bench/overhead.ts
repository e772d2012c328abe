/**
 * What the kernel's own check costs on each of its paths, in guest instructions and estimated cycles: no clock of the
 * host, so that every run gives the same.
 */
import { openCycleModel } from '../src/cycles/open.js';
import type { CycleModel } from '../src/cycles/price.js';
import { UsercopyError } from '../src/errors.js';
import type { Guest } from '../src/guest/guest.js';
import { costOfCall } from '../src/guest/path-cost.js';
import { enableStaticKey } from '../src/guest/static-key.js';
import { gateOf } from '../src/introspect/gate.js';
import { type CopyRoutine, copyRoutine } from './copy-routine.js';
import { objectsOf, type PathCopy, type PathName, pathCopies, type Source, startGuest } from './world.js';

/** Paths on which the check lets a copy pass. */
export const PASSING = ['n=0', 'disabled', 'stack', 'slab', 'page', 'vmalloc'] as const;
/** Paths that end in BUG(): most of what they cost is the message. */
export const REFUSING = ['null', 'slab overflow', 'text'] as const;
export type OverheadPath = (typeof PASSING)[number] | (typeof REFUSING)[number];

/** Copies that the literature measures, by the memory they are made from. */
export const WORKLOADS = [
  { name: 'stat: 144 bytes of the stack', path: 'stack', bytes: 144n },
  { name: 'UDP payload: 64 bytes of a slab object', path: 'slab', bytes: 64n },
  { name: 'page cache read: 4096 bytes of a page', path: 'page', bytes: 4096n },
] as const;

export interface Cost {
  readonly instructions: number;
  /** One pass from an idle pipeline, caches warm; null where the core's table does not know them. */
  readonly cycles: number | null;
}

export interface WorkloadCost {
  readonly name: string;
  readonly check: Cost;
  readonly copy: Cost;
  /** Cycles of the check ÷ cycles of the copy; null where either is not known. */
  readonly share: number | null;
}

export interface Overhead {
  readonly variant: string;
  readonly kernel: string;
  /** Rules of a built-in guest; null for a kernel. */
  readonly profile: string | null;
  /** The core that the cycles are of; null without a table. */
  readonly core: string | null;
  /** null: the kernel has no such path; `notes` says why. */
  readonly paths: Readonly<Record<OverheadPath, Cost | null>>;
  readonly workloads: readonly WorkloadCost[];
  readonly notes: readonly string[];
}

/** Names of the paths as `pathCopies` has them. */
const COPIES: Readonly<Record<Exclude<OverheadPath, 'disabled'>, PathName>> = {
  ...{ 'n=0': 'n=0', stack: 'stack', slab: 'slab good', page: 'page', vmalloc: 'vmalloc' },
  ...{ null: 'null', 'slab overflow': 'slab bad', text: 'text' },
};

/** @throws UsercopyError `guest` where the guest's check answers otherwise than expected; `bad-input` without types. */
export async function overheadOf(source: Source): Promise<Overhead> {
  const guest = await startGuest(source, 'check');
  const model = guest.variant.cycles === undefined ? null : await openCycleModel(guest.variant);
  try {
    return await measure(guest, source, model);
  } finally {
    model?.close();
    guest.close();
  }
}

async function measure(guest: Guest, source: Source, model: CycleModel | null): Promise<Overhead> {
  if (guest.kernel.symbols.address('__check_object_size') === undefined) {
    throw new UsercopyError(
      'guest',
      `kernel ${guest.kernel.version.release}: expected __check_object_size, found none (built without CONFIG_HARDENED_USERCOPY)`,
    );
  }
  const copies = pathCopies(guest, objectsOf(guest, source));
  const before = guest.snapshot();
  const notes: string[] = [];
  const check = async (name: string, { pointer, size, outcome }: PathCopy): Promise<Cost> => {
    const cost = await costOfCall(guest, '__check_object_size', [pointer, size, 1n], model);
    guest.restore(before);
    if ((cost.outcome.kind === 'bug') === (outcome === 'bad') && cost.outcome.kind !== 'limited') return cost;
    throw new UsercopyError(
      'guest',
      `${guest.variant.name} ${guest.kernel.version.release}, path ${name}: expected ${outcome === 'bad' ? 'BUG()' : 'a return'}, found ${cost.outcome.kind}`,
    );
  };
  // Filled below, path by path.
  const paths = {} as Record<OverheadPath, Cost | null>;
  for (const path of [...PASSING, ...REFUSING])
    paths[path] = path === 'disabled' ? null : costOnly(await check(path, copies[COPIES[path]]));
  const gate = disabledBy(guest, source);
  if (typeof gate === 'string') notes.push(gate);
  else {
    gate();
    paths.disabled = costOnly(await check('disabled', copies['slab good']));
  }
  const workloads: WorkloadCost[] = [];
  const routine = routineOf(guest, source);
  if (typeof routine === 'string') notes.push(routine);
  else {
    for (const { name, path, bytes } of WORKLOADS) {
      const { pointer } = copies[COPIES[path]];
      const start = path === 'page' ? pointer - (pointer & 0xfffn) : pointer;
      const judged = costOnly(
        await check(name, { pointer: start, size: path === 'slab' ? 64n : bytes, outcome: 'good' }),
      );
      const copied = await copyCost(guest, routine, start, bytes, model);
      guest.restore(before);
      if (copied.cycles === null && model !== null)
        notes.push(`${name}: the kernel copies with a string instruction, whose cycles the table does not know`);
      const share = judged.cycles === null || copied.cycles === null ? null : judged.cycles / copied.cycles;
      workloads.push({ name, check: judged, copy: copied, share });
    }
  }
  return {
    variant: guest.variant.name,
    kernel: guest.kernel.version.release,
    profile: source.kind === 'own' ? source.profile : null,
    core: model?.table.core ?? null,
    paths,
    workloads,
    notes,
  };
}

const costOnly = ({ instructions, cycles }: Cost): Cost => ({ instructions, cycles });

/** What closes the kernel's gate (`hardened_usercopy=off`), or why its check knows none. */
function disabledBy(guest: Guest, source: Source): (() => void) | string {
  if (source.kind === 'own') {
    const flag = guest.kernel.symbols.address('bypass_usercopy_checks');
    return flag === undefined
      ? 'disabled: this guest has no such switch'
      : () => guest.memory.writeUnsigned(flag, 4, 1n);
  }
  const gate = gateOf(guest.kernel);
  if (gate === null) return 'disabled: no static key was found (they came with 4.18)';
  if (gate.askedBy === 'callers')
    return 'disabled: callers ask before they call (fc13a78e1f68, 6.15): what is left is a nop in each';
  return () => enableStaticKey(guest, gate.address);
}

/** The built-in guests' own copies are loops over bytes, which say nothing of a kernel's. */
function routineOf(guest: Guest, source: Source): CopyRoutine | string {
  if (source.kind === 'own') return 'workloads: only kernels have a copy routine to compare with';
  return copyRoutine(guest);
}

async function copyCost(
  guest: Guest,
  routine: CopyRoutine,
  pointer: bigint,
  bytes: bigint,
  model: CycleModel | null,
): Promise<Cost> {
  const { outcome, path, ...cost } = await costOfCall(guest, routine.address, routine.arguments(pointer, bytes), model);
  if (outcome.kind !== 'returned' || outcome.value !== 0n) {
    throw new UsercopyError(
      'guest',
      `${guest.variant.name}, ${routine.symbol}: expected a copy to be made whole, found ${outcome.kind === 'returned' ? `${outcome.value} bytes left` : outcome.kind}`,
    );
  }
  const repeats = model !== null && path.some((block) => model.hasStringInstruction(block));
  return { instructions: cost.instructions, cycles: repeats ? null : cost.cycles };
}
