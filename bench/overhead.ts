/**
 * What the kernel's own check costs on each of its paths, in guest instructions and estimated cycles: no clock of the
 * host, so that every run gives the same.
 */
import { driverOf } from '../arch/index.js';
import { modelDigest } from '../src/cycles/digest.js';
import { type CoreMemory, readCoreMemory } from '../src/cycles/memory.js';
import { openCycleModel } from '../src/cycles/open.js';
import { coldCycles } from '../src/cycles/path.js';
import type { CycleModel } from '../src/cycles/price.js';
import type { CodeBlock } from '../src/engine/engine.js';
import { UsercopyError } from '../src/errors.js';
import type { Guest } from '../src/guest/guest.js';
import type { KernelObjects } from '../src/guest/objects.js';
import { costOfCall, type LoadTrace, loadsOfCall, type PathCost } from '../src/guest/path-cost.js';
import { enableStaticKey } from '../src/guest/static-key.js';
import { gateOf } from '../src/introspect/gate.js';
import { profileOf } from '../src/introspect/profile.js';
import { type CopyRoutine, findCopyRoutine } from './copy-routine.js';
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
  /**
   * One pass from an idle pipeline, what it loads in the nearest cache, branches predicted: the figure that `usercopy bench` has, too.
   * null where the core's table does not know them.
   */
  readonly cycles: number | null;
  /**
   * The same with the struct pages in no cache and not in the TLB, and with the branches mispredicted that no passing path takes that
   * way: those that refuse. null where the core's caches are not known, or were not asked for.
   */
  readonly cold: number | null;
}

export interface WorkloadCost {
  readonly name: string;
  readonly check: Cost;
  readonly copy: Cost;
  /** Cycles of the check ÷ cycles of the copy; null where either is not known. */
  readonly share: number | null;
  /** The same with the check's struct page cold. */
  readonly shareCold: number | null;
}

export interface Overhead {
  readonly variant: string;
  readonly kernel: string;
  /** Rules of a built-in guest; null for a kernel. */
  readonly profile: string | null;
  /** The core that the cycles are of; null without a table. */
  readonly core: string | null;
  /** Which model the cycles are of (`modelDigest()`): those of two models do not compare. null without a table. */
  readonly cycleModel: string | null;
  /** Where the core's caches, its TLB and what a mispredict costs are from; null where `cold` is not known. */
  readonly memorySources: string | null;
  /** null: the kernel has no such path; `notes` says why. */
  readonly paths: Readonly<Record<OverheadPath, Cost | null>>;
  readonly workloads: readonly WorkloadCost[];
  readonly notes: readonly string[];
}

/** A kernel that could not be measured, and why. */
export interface Unmeasured {
  readonly source: string;
  readonly error: string;
}

/** Names of the paths as `pathCopies` has them. */
export const COPIES: Readonly<Record<Exclude<OverheadPath, 'disabled'>, PathName>> = {
  ...{ 'n=0': 'n=0', stack: 'stack', slab: 'slab good', page: 'page', vmalloc: 'vmalloc' },
  ...{ null: 'null', 'slab overflow': 'slab bad', text: 'text' },
};

export interface OverheadOptions {
  /** `memory`: with caches, the TLB and mispredicted branches of the named core; `path`: instructions alone. */
  readonly cycles: { readonly model: 'path' | 'memory'; readonly core?: string | undefined };
}

/** @throws UsercopyError `guest` where the guest's check answers otherwise than expected; `bad-input` without types. */
export async function overheadOf(
  source: Source,
  { cycles }: OverheadOptions = { cycles: { model: 'memory' } },
): Promise<Overhead> {
  const guest = await startGuest(source, 'check');
  let model: CycleModel | null = null;
  try {
    if (guest.variant.cycles !== undefined || cycles.core !== undefined)
      model = await openCycleModel(guest.variant, cycles.core);
    const linuxArch = driverOf(guest.variant)?.linuxArch;
    const memory =
      model === null || linuxArch === undefined || cycles.model === 'path'
        ? null
        : await readCoreMemory(linuxArch, model.table.core);
    const cycleModel = model === null || linuxArch === undefined ? null : await modelDigest(linuxArch, model.table);
    const overhead = { ...(await new Measuring(guest, source, model, memory).measure()), cycleModel };
    if (memory !== null || model === null || cycles.model === 'path') return overhead;
    const note = `no cold cycles: this package has no figures for the caches of the ${model.table.core}`;
    return { ...overhead, notes: [...overhead.notes, note] };
  } finally {
    model?.close();
    guest.close();
  }
}

/** Measures one kernel or guest after the other; what could not be measured is told. `name` is what errors call it. */
export async function measureAll(
  sources: readonly { readonly name: string; readonly source: Source }[],
  options: OverheadOptions,
  onProgress: (name: string) => void,
): Promise<{ readonly results: Overhead[]; readonly unmeasured: Unmeasured[] }> {
  const results: Overhead[] = [];
  const unmeasured: Unmeasured[] = [];
  for (const { name, source } of sources) {
    onProgress(name);
    try {
      results.push(await overheadOf(source, options));
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      unmeasured.push({ source: name, error: error.message });
    }
  }
  return { results, unmeasured };
}

/** Whether the kernel's check looks vmap areas up: 0aef499f3172 (5.18) on. */
const asksForAreas = ({ kernel, variant }: Guest): boolean =>
  profileOf(kernel, variant).profile.switches.vmalloc !== 'off';

/** A call whose cycles are priced when it is known which way its branches usually go. */
interface Call {
  readonly cost: PathCost;
  readonly trace: LoadTrace | null;
}

class Measuring {
  readonly #objects: KernelObjects;
  readonly #copies: Record<PathName, PathCopy>;
  readonly #before: ReturnType<Guest['snapshot']>;
  readonly #notes: string[] = [];
  readonly #usual: (readonly CodeBlock[])[] = [];
  #loadsAreTold = false;

  /** @throws UsercopyError `guest` for a kernel without the check. */
  constructor(
    private readonly guest: Guest,
    private readonly source: Source,
    private readonly model: CycleModel | null,
    private readonly memory: CoreMemory | null,
  ) {
    if (guest.kernel.symbols.address('__check_object_size') === undefined) {
      throw new UsercopyError(
        'guest',
        `kernel ${guest.kernel.version.release}: expected __check_object_size, found none (built without CONFIG_HARDENED_USERCOPY)`,
      );
    }
    this.#objects = objectsOf(guest, source);
    this.#copies = pathCopies(guest, this.#objects);
    this.#before = guest.snapshot();
  }

  async measure(): Promise<Omit<Overhead, 'cycleModel'>> {
    const { guest, source, model, memory } = this;
    const calls = new Map<OverheadPath, Call>();
    for (const path of [...PASSING, ...REFUSING]) {
      if (path === 'disabled') continue;
      if (path === 'vmalloc' && this.#objects.facts.vmap.kind === 'none' && asksForAreas(guest)) {
        this.#notes.push('vmalloc: where this kernel keeps its vmap areas was not found');
        continue;
      }
      calls.set(path, await this.#check(path, this.#copies[COPIES[path]]));
    }
    const gate = disabledBy(guest, source);
    if (typeof gate === 'string') this.#notes.push(gate);
    else calls.set('disabled', await this.#check('disabled', this.#copies['slab good'], gate));
    for (const path of PASSING) this.#usual.push(calls.get(path)?.cost.path ?? []);
    const priced = (path: OverheadPath) => {
      const call = calls.get(path);
      return call === undefined ? null : this.#price(call);
    };
    const workloads = await this.#workloads();
    return {
      variant: guest.variant.name,
      kernel: guest.kernel.version.release,
      profile: source.kind === 'own' ? source.profile : null,
      core: model?.table.core ?? null,
      memorySources: memory?.sources ?? null,
      // Every path has its entry.
      paths: Object.fromEntries([...PASSING, ...REFUSING].map((path) => [path, priced(path)])) as Overhead['paths'],
      workloads,
      notes: this.#notes,
    };
  }

  /** `prepare` is done before each call; memory is put back after it. */
  async #call(target: string | bigint, args: readonly bigint[], prepare?: () => void): Promise<Call> {
    const { guest, model, memory } = this;
    prepare?.();
    const cost = await costOfCall(guest, target, args, model);
    guest.restore(this.#before);
    if (memory === null) return { cost, trace: null };
    prepare?.();
    const trace = await loadsOfCall(guest, target, args);
    if (trace.loads.size > 0) this.#loadsAreTold = true;
    guest.restore(this.#before);
    return { cost, trace };
  }

  async #check(name: string, { pointer, size, outcome }: PathCopy, prepare?: () => void): Promise<Call> {
    const call = await this.#call('__check_object_size', [pointer, size, 1n], prepare);
    const { kind } = call.cost.outcome;
    if ((kind === 'bug') === (outcome === 'bad') && kind !== 'limited') return call;
    const { variant, kernel } = this.guest;
    throw new UsercopyError(
      'guest',
      `${variant.name} ${kernel.version.release}, path ${name}: expected ${outcome === 'bad' ? 'BUG()' : 'a return'}, found ${kind}`,
    );
  }

  #price({ cost, trace }: Call): Cost {
    const { model, memory } = this;
    const { instructions, cycles, path, outcome } = cost;
    if (model === null || memory === null || trace === null) return { instructions, cycles, cold: null };
    if (trace.instructions !== instructions || trace.outcome.kind !== outcome.kind) {
      this.#note('no cold cycles of some paths: they run differently in single steps on this libunicorn');
      return { instructions, cycles, cold: null };
    }
    if (!this.#loadsAreTold) {
      this.#note('no cold cycles: this libunicorn does not report loads');
      return { instructions, cycles, cold: null };
    }
    const cold = coldCycles(
      model,
      memory,
      { path, instructions, loads: trace.loads },
      { range: this.#objects.structPages(), usual: this.#usual },
    );
    return { instructions, cycles, cold };
  }

  #note(text: string): void {
    if (!this.#notes.includes(text)) this.#notes.push(text);
  }

  async #workloads(): Promise<WorkloadCost[]> {
    const { guest, source, model } = this;
    const routine = routineOf(guest, source);
    if (typeof routine === 'string') {
      this.#notes.push(routine);
      return [];
    }
    const workloads: WorkloadCost[] = [];
    for (const { name, path, bytes } of WORKLOADS) {
      const { pointer } = this.#copies[COPIES[path]];
      const start = path === 'page' ? pointer - (pointer & 0xfffn) : pointer;
      const judged = this.#price(
        await this.#check(name, { pointer: start, size: path === 'slab' ? 64n : bytes, outcome: 'good' }),
      );
      const copied = await this.#copy(routine, start, bytes);
      if (copied.cycles === null && model !== null)
        this.#notes.push(`${name}: the kernel copies with a string instruction, whose cycles the table does not know`);
      const shareOf = (check: number | null) =>
        check === null || copied.cycles === null ? null : check / copied.cycles;
      workloads.push({
        ...{ name, check: judged, copy: copied },
        ...{ share: shareOf(judged.cycles), shareCold: shareOf(judged.cold) },
      });
    }
    return workloads;
  }

  async #copy(routine: CopyRoutine, pointer: bigint, bytes: bigint): Promise<Cost> {
    const { model } = this;
    const call = await this.#call(routine.address, routine.arguments(pointer, bytes));
    const { outcome, path, instructions } = call.cost;
    if (outcome.kind !== 'returned' || outcome.value !== 0n) {
      throw new UsercopyError(
        'guest',
        `${this.guest.variant.name}, ${routine.symbol}: expected a copy to be made whole, found ${outcome.kind === 'returned' ? `${outcome.value} bytes left` : outcome.kind}`,
      );
    }
    const repeats = model !== null && path.some((block) => model.hasStringInstruction(block));
    return repeats ? { instructions, cycles: null, cold: null } : this.#price(call);
  }
}

/** What closes the kernel's gate (`hardened_usercopy=off`), or why its check knows none. */
function disabledBy(guest: Guest, source: Source): (() => void) | string {
  if (source.kind === 'own') {
    const flag = guest.kernel.symbols.address('bypass_usercopy_checks');
    return flag === undefined
      ? 'disabled: this guest has no such switch'
      : () => guest.memory.writeUnsigned(flag, 4, 1n);
  }
  const gate = gateOf(guest.kernel);
  if (gate === null)
    return 'disabled: the symbols of the image name no static key (b5cb15d9372a, 4.18, brought the first; an image may name functions alone)';
  if (gate.askedBy === 'callers')
    return 'disabled: callers ask before they call (fc13a78e1f68, 6.15): what is left is a nop in each';
  return () => enableStaticKey(guest, gate.address);
}

/** The built-in guests' own copies are loops over bytes, which say nothing of a kernel's. */
function routineOf(guest: Guest, source: Source): CopyRoutine | string {
  if (source.kind === 'own') return 'workloads: only kernels have a copy routine to compare with';
  return findCopyRoutine(guest) ?? 'workloads: the kernel has no routine that copies to the user: it copies inline';
}
