/**
 * Finds the task that a dumped CPU was running. Registers say it where the dump has them; else the kernel's task list is
 * searched for the task whose stack holds the stack pointer (QEMU's arm64 dumps have no SP_EL0).
 */
import type { Variant } from '../../arch/driver.js';
import type { RegisterValues } from '../../arch/dump.js';
import type { Kernel } from '../kernel/kernel.js';
import { decodeWord } from '../kernel/words.js';
import { currentOffsetOf } from '../stack/entry-point.js';

/** PID_MAX_LIMIT of a 64-bit kernel is 4 Mi; a dump with more tasks than this has a corrupt list. */
const MAXIMUM_TASKS = 1 << 18;

const word = (value: bigint): bigint => BigInt.asUintN(64, value);

export interface CurrentTaskFound {
  /** Address of the task_struct. */
  readonly task: bigint;
  /** Where its stack begins. */
  readonly stack: bigint;
  readonly by: 'registers' | 'task list' | 'note';
}

/**
 * The current task of a CPU, or null when neither its registers nor the task list tell. `kernel.read` must show the dump.
 */
export function currentTask(kernel: Kernel, variant: Variant, registers: RegisterValues): CurrentTaskFound | null {
  const reader = TaskReader.of(kernel, variant);
  if (!reader) return null;
  for (const task of candidates(kernel, variant, registers, reader)) {
    const stack = reader.stackOf(task);
    if (stack !== null) return { task, stack, by: 'registers' };
  }
  const sp = registers.get(variant.registers.sp);
  return sp === undefined ? null : withStack(reader, sp);
}

/** The task that a dump's copy belongs to: what a report told, else the one that its registers lead to. */
export function taskOf({
  kernel,
  variant,
  registers,
  task,
}: {
  readonly kernel: Kernel;
  readonly variant: Variant;
  readonly registers: RegisterValues;
  /** As `Dump` has it. */
  readonly task?: CurrentTaskFound | null;
}): CurrentTaskFound | null {
  return task === undefined ? currentTask(kernel, variant, registers) : task;
}

/** The task whose stack an address lies on; null when it lies on none. */
export function taskWithStack(kernel: Kernel, variant: Variant, address: bigint): CurrentTaskFound | null {
  const reader = TaskReader.of(kernel, variant);
  return reader && withStack(reader, address);
}

function withStack(reader: TaskReader, address: bigint): CurrentTaskFound | null {
  for (const task of reader.tasks()) {
    const stack = reader.stackOf(task);
    if (stack !== null && address >= stack && address < stack + reader.threadSize) {
      return { task, stack, by: 'task list' };
    }
  }
  return null;
}

function* candidates(
  kernel: Kernel,
  variant: Variant,
  registers: RegisterValues,
  reader: TaskReader,
): Iterable<bigint> {
  const { current, dump } = variant;
  const base = dump?.currentBase(registers) ?? null;
  if (current.kind === 'register') {
    if (base !== null) yield base;
    return;
  }
  if (current.kind !== 'memory') return;
  const offset = currentOffsetOf(kernel, current);
  if (offset === undefined) return;
  // Without SMP a per-cpu variable is a plain one.
  for (const address of base === null ? [offset] : [BigInt.asUintN(kernel.bits, base + offset), offset]) {
    const task = reader.pointer(address);
    if (task !== null) yield task;
  }
}

/** Reads task_struct fields in the dump. */
class TaskReader {
  readonly threadSize: bigint;
  readonly #kernel: Kernel;
  readonly #stack: number;
  /** Offsets of `tasks` and, where there is one, of the list of threads with its head. */
  readonly #tasks: number;
  readonly #threads: { readonly signal: number; readonly head: number; readonly node: number } | null;

  private constructor(
    kernel: Kernel,
    variant: Variant,
    stack: number,
    tasks: number,
    threads: { signal: number; head: number; node: number } | null,
  ) {
    this.#kernel = kernel;
    this.#stack = stack;
    this.#tasks = tasks;
    this.#threads = threads;
    this.threadSize = variant.threadSize(kernel);
  }

  /** null when the kernel's types are not known. */
  static of(kernel: Kernel, variant: Variant): TaskReader | null {
    if (!kernel.types?.hasStruct('task_struct')) return null;
    const task = kernel.types.struct('task_struct');
    if (!task.has('stack') || !task.has('tasks')) return null;
    // Threads hang on signal_struct in every kernel that has the check.
    const signal = kernel.types.hasStruct('signal_struct') ? kernel.types.struct('signal_struct') : null;
    const threads =
      signal?.has('thread_head') && task.has('signal') && task.has('thread_node')
        ? { signal: task.offset('signal'), head: signal.offset('thread_head'), node: task.offset('thread_node') }
        : null;
    return new TaskReader(kernel, variant, task.offset('stack'), task.offset('tasks'), threads);
  }

  pointer(address: bigint): bigint | null {
    const bytes = this.#kernel.read(address, this.#kernel.bits / 8);
    return bytes ? decodeWord(bytes, this.#kernel) : null;
  }

  /** Start of a task's stack; null when it is not one: zero, not aligned, or not to be read. */
  stackOf(task: bigint): bigint | null {
    if (task === 0n || task % 8n !== 0n) return null;
    const stack = this.pointer(word(task + BigInt(this.#stack)));
    return stack === null || stack === 0n || stack % 4096n !== 0n ? null : stack;
  }

  /** init_task, every process after it, and every thread of each. */
  *tasks(): Iterable<bigint> {
    const init = this.#kernel.symbols.address('init_task');
    if (init === undefined) return;
    let budget = MAXIMUM_TASKS;
    for (const task of this.#list(word(init + BigInt(this.#tasks)), this.#tasks, true)) {
      if (--budget < 0) return;
      yield task;
      if (!this.#threads) continue;
      const signal = this.pointer(word(task + BigInt(this.#threads.signal)));
      if (signal === null || signal === 0n) continue;
      for (const thread of this.#list(word(signal + BigInt(this.#threads.head)), this.#threads.node, false)) {
        if (--budget < 0) return;
        if (thread !== task) yield thread;
      }
    }
  }

  /** Entries of a circular list; `includesHead` when the head is itself an entry. */
  *#list(head: bigint, offset: number, includesHead: boolean): Iterable<bigint> {
    if (includesHead) yield word(head - BigInt(offset));
    let node = this.pointer(head);
    for (let count = 0; node !== null && node !== 0n && node !== head && count < MAXIMUM_TASKS; count++) {
      yield word(node - BigInt(offset));
      node = this.pointer(node);
    }
  }
}
