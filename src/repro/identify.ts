/** What lies at an address of a dumped kernel: its object, cache, member, state and owner. */

import type { ExplainedObject, ExplainedSurroundings } from '../diagnosis/outcome.js';
import { taskWithStack } from '../dump/current.js';
import type { DumpJudge } from '../dump/judge.js';
import type { Dump } from '../dump/open-dump.js';
import { hex } from '../errors.js';
import { MemoryReader } from '../introspect/memory-reader.js';
import { requireTypes } from '../kernel/require-types.js';
import { describeObject } from '../report/explain.js';
import { placeOf } from '../stack/backtrace.js';
import { objectOf, placeFactsOf } from './explain-dump.js';

export interface DumpedTask {
  readonly comm: string | null;
  readonly pid: number | null;
  /** Address of its task_struct, and bounds of its stack. */
  readonly task: bigint;
  readonly stack: { readonly start: bigint; readonly end: bigint } | null;
}

export interface Identified {
  readonly address: bigint;
  /** Architecture variant, and release. */
  readonly variant: string;
  readonly kernel: string;
  /** In a phrase. */
  readonly what: string;
  /** false where it is not mapped, or the dump lacks what would tell. */
  readonly known: boolean;
  /** null where no page table maps it. */
  readonly physical: bigint | null;
  /** `symbol+0x1c`, of the kernel or of a module. */
  readonly symbol: string | null;
  readonly module: string | null;
  readonly object: ExplainedObject | null;
  /** The member of the object's structure, where cache and size tell which it is. */
  readonly member: string | null;
  readonly struct: string | null;
  readonly neighbours: ExplainedSurroundings['neighbours'];
  readonly area: ExplainedSurroundings['area'];
  /** Whose stack it is, or whose task_struct. */
  readonly task: DumpedTask | null;
  /** Who has it: a task, a module, who asked for the area; null where nothing in the dump tells. */
  readonly owner: string | null;
  /** A few sentences; why something is not told is among them. */
  readonly lines: readonly string[];
}

const COMM_LENGTH = 16;

/**
 * The bytes are looked at as the check looks at them, and by the kernel's symbols, tasks and modules. A `judge` that minds
 * a closed gate knows no object.
 */
export async function identifyIn(judge: DumpJudge, address: bigint): Promise<Identified> {
  const { dump } = judge;
  const { kernel, variant } = dump;
  const judgement = await judge.judge({ pointer: address, size: 1n, direction: 'to_user' });
  const { verdict } = judgement;
  const facts = placeFactsOf(judge, judgement);
  const translated = dump.located.memory.translate(address);
  const place = placeOf(kernel, address, dump.modules());
  const { field, surroundings } = facts;
  const checked = verdict.outcome === 'unreadable' ? null : verdict.object;
  const object = facts.object ?? (checked && objectOf(checked));
  const stackOwner = taskWithStack(kernel, variant, address);
  const task =
    stackOwner !== null
      ? taskAt(dump, stackOwner.task)
      : field?.struct === 'task_struct' && object?.start != null
        ? taskAt(dump, object.start)
        : null;
  const symbol = place.symbol === null ? null : `${place.symbol}+${hex(place.offset)}`;
  const { area } = surroundings;
  const perCpuEnd = kernel.symbols.address('__per_cpu_end') ?? 0n;
  const what = whatIs({
    ...{ verdict, stackOwner: stackOwner !== null, object, symbol, place },
    mapped: translated !== null,
    isPerCpuOffset: kernel.symbols.address('__per_cpu_start') === 0n && address < perCpuEnd,
  });
  return {
    address,
    variant: variant.name,
    kernel: kernel.version.release,
    what,
    known: translated !== null && (verdict.outcome !== 'unreadable' || symbol !== null || task !== null),
    physical: translated?.physical ?? null,
    symbol,
    module: place.module,
    object,
    member: field?.first ?? null,
    struct: field?.struct ?? null,
    neighbours: surroundings.neighbours,
    area,
    task,
    owner: ownerOf(task, place.module, area),
    lines: [
      ...(checked ? describeObject(checked) : []),
      ...facts.ofPlace,
      ...judgement.memoryWarnings.map((warning) => `note: ${warning}`),
      ...(verdict.outcome === 'unreadable' ? ['the dump lacks the memory that would say what it is'] : []),
    ],
  };
}

interface Found {
  readonly verdict: { readonly outcome: string; readonly by?: string };
  readonly stackOwner: boolean;
  readonly object: ExplainedObject | null;
  readonly symbol: string | null;
  readonly place: { readonly module: string | null };
  readonly mapped: boolean;
  /**
   * Symbols of per-CPU variables are their offsets in each CPU's area, where they count from 0: x86_64 since 3e5d8f978435; so in Debian's
   * 6.12, and in its 7.3 no more.
   */
  readonly isPerCpuOffset: boolean;
}

function whatIs({ verdict, stackOwner, object, symbol, place, mapped, isPerCpuOffset }: Found): string {
  if (!mapped) return isPerCpuOffset ? 'not mapped (an offset of per-CPU data)' : 'not mapped';
  if (object?.cache != null) return `slab object of ${object.cache}`;
  if (stackOwner) return 'stack of a task';
  if (place.module !== null) return `module ${place.module}`;
  if (symbol !== null) return 'kernel image';
  return verdict.by ?? 'memory that cannot be judged';
}

function taskAt(dump: Dump, task: bigint): DumpedTask {
  const { kernel, variant } = dump;
  const read = new MemoryReader(kernel);
  const type = requireTypes(kernel, 'task_struct').struct('task_struct');
  const pid = read.member(task, type, 'pid');
  const stack = read.member(task, type, 'stack');
  return {
    comm: type.has('comm') ? read.text(task + BigInt(type.offset('comm')), COMM_LENGTH) : null,
    pid: pid === null ? null : Number(pid),
    task,
    stack: stack === null ? null : { start: stack, end: stack + variant.threadSize(kernel) },
  };
}

function ownerOf(task: DumpedTask | null, module: string | null, area: Identified['area']): string | null {
  if (task !== null) return `task ${task.comm ?? hex(task.task)}${task.pid === null ? '' : ` (pid ${task.pid})`}`;
  if (module !== null) return `module ${module}`;
  return area?.caller == null ? null : `asked for by ${area.caller}`;
}
