/**
 * `__check_object_size` of the kernel in a dump, run in an emulator on the dump's memory with the dump's registers: what it
 * says of a copy, in its own words.
 */

import type { Copy } from '../check/verdict.js';
import { callPlaceOf } from '../dump/call-place.js';
import { type CurrentTaskFound, currentTask, taskOf } from '../dump/current.js';
import { DumpCode } from '../dump/dump-code.js';
import type { Dump } from '../dump/open-dump.js';
import type { Engine, Hook, SavedContext } from '../engine/engine.js';
import { badInput, UsercopyError } from '../errors.js';
import { requireSymbol } from '../introspect/fields.js';
import { closedGate, gateOf, isClosed } from '../introspect/gate.js';
import { type ArgumentPlaces, argumentRegister, variadicPlaces } from '../stack/call.js';
import { entryPointOf } from '../stack/entry-point.js';

export interface Replay {
  /** The line that its printk was given, formatted by its own vsnprintf(), without the log level; null when there is none or the copy passed. */
  readonly message: string | null;
  /** `returned`: it let the copy pass. `bug`: it stopped at BUG(). */
  readonly end: 'returned' | 'bug';
  /** Guest instructions from the check's first to its end, without those of printk. */
  readonly instructions: number;
  /** At BUG(), under the engine's names; null where it returned. */
  readonly registers: ReadonlyMap<string, bigint> | null;
  /** The check's frames at BUG(): from the stack pointer, as an address, to the one at the call; null where it returned. */
  readonly frames: { readonly start: bigint; readonly bytes: Uint8Array } | null;
  /** Virtual pages that its code touched. */
  readonly pages: readonly bigint[];
  /** Where it was not run exactly as in the machine. */
  readonly warnings: readonly string[];
}

export interface ReplayOptions {
  /** Called for every load, by physical address; slow. */
  readonly onLoad?: (physical: bigint, size: number) => void;
  /** Milliseconds for one run; default 10 000. */
  readonly timeLimit?: number;
  /** Guest instructions of one run; no limit when absent. */
  readonly instructionLimit?: number;
}

/** Runs the check on one copy after the other, each in the dump's memory as it was. */
export interface Replaying {
  /** @throws as `replayCopy`. */
  run(copy: Copy): Promise<Replay>;
  /** Pages that are in the engine: there are not many more (see `EmulatedPages`). */
  readonly pageCount: number;
  /** Takes its hooks out of the engine. */
  close(): void;
}

/** The check touches about fifteen pages, its message thirty more. */
const MAXIMUM_PAGES = 512;
/** Bytes between the stack pointer at printk and the ones that its formatting uses; and of the text. */
const BELOW_PRINTK = 512n;
const LONGEST_LINE = 1024n;
/** Functions through which every line passes that printk is asked to write: `(const char *fmt, va_list args)`. */
const PRINTK = [
  { symbol: 'vprintk', asmlinkage: true },
  { symbol: 'vprintk_func', asmlinkage: false },
  { symbol: 'vprintk_default', asmlinkage: false },
] as const;
/** WARN() of HARDENED_USERCOPY_FALLBACK (4.16 to 5.15): the kernel goes on behind it. */
const WARNING_FUNCTION = 'usercopy_warn';
const MOST_WARNINGS = 4;
/** Bytes of an instruction where all are the same length. */
const FIXED_INSTRUCTION = 4;

/**
 * Runs the check on one copy. With a CPU that stands at the check's first instruction nothing but the three arguments is
 * set; else the call is made at the CPU's stack pointer, and `warnings` says so.
 * @throws UsercopyError `bad-input` without the symbols or the task that it needs, `guest` when the code runs into
 *   something unexpected: a page that the dump lacks, an unknown exception, a limit.
 */
export async function replayCopy(engine: Engine, dump: Dump, copy: Copy, options: ReplayOptions = {}): Promise<Replay> {
  const replaying = openReplaying(engine, dump, options);
  try {
    return await replaying.run(copy);
  } finally {
    replaying.close();
  }
}

/** For many copies of one dump: its pages and translated code are kept. The engine must be a fresh one. @throws as `replayCopy`. */
export function openReplaying(engine: Engine, dump: Dump, options: ReplayOptions = {}): Replaying {
  const gate = gateOf(dump.kernel);
  if (!isClosed(gate) || gate.askedBy !== 'callers') return new Replayer(engine, dump, options);
  // Called by hand the check would judge; the machine that was dumped never calls it.
  const closed: Replay = {
    message: null,
    end: 'returned',
    instructions: 0,
    registers: null,
    frames: null,
    pages: [],
    warnings: [`replay: ${closedGate(gate)}`],
  };
  return { run: async () => closed, pageCount: 0, close: () => undefined };
}

/** A page was brought in: the run is made anew. */
const AGAIN = Symbol('again');

class Replayer implements Replaying {
  readonly #engine: Engine;
  readonly #dump: Dump;
  readonly #code: DumpCode;
  readonly #options: ReplayOptions;
  #warnings: string[] = [];
  readonly #check: bigint;
  readonly #fresh: SavedContext;
  readonly #hooks: readonly Hook[];
  /** The printk that the CPU stands at. */
  #atPrintk: ArgumentPlaces | null = null;

  constructor(engine: Engine, dump: Dump, options: ReplayOptions) {
    const { kernel, variant } = dump;
    this.#engine = engine;
    this.#dump = dump;
    this.#code = new DumpCode(engine, dump, {
      what: 'replay',
      maximumPages: MAXIMUM_PAGES,
      timeLimit: options.timeLimit,
      instructionLimit: options.instructionLimit,
    });
    this.#options = options;
    // Calls from modules arrive at the symbol, as a call that is made by hand does; others at an entry of their own.
    const check = dump.atCheck
      ? dump.registers.get(variant.registers.pc)
      : kernel.symbols.address('__check_object_size');
    const printk = PRINTK.flatMap(({ symbol, asmlinkage }) => {
      const address = entryPointOf(kernel, variant, symbol);
      return address === undefined
        ? []
        : [{ address, places: asmlinkage ? variadicPlaces(variant) : 'registers' } as const];
    });
    if (check === undefined || printk.length === 0 || kernel.symbols.address('vsnprintf') === undefined) {
      this.#code.close();
      throw new UsercopyError(
        'bad-input',
        `kernel ${kernel.version.release}: expected symbols __check_object_size, ${PRINTK[0].symbol} and vsnprintf, found not all of them`,
      );
    }
    this.#check = check;
    this.#hooks = [
      ...this.#loadHook(),
      ...printk.map(({ address, places }) =>
        engine.hookAddress(address, () => {
          this.#atPrintk = places;
          engine.stop();
        }),
      ),
    ];
    this.#fresh = engine.saveContext();
  }

  async run(copy: Copy): Promise<Replay> {
    const { pages, call } = this.#code;
    this.#warnings = [];
    pages.reset();
    this.#engine.restoreContext(this.#fresh);
    const returnTo = this.#enter(this.#check, copy);
    const top = call.stackPointer;
    const start = this.#engine.saveContext();
    try {
      for (;;) {
        const found = await this.#attempt(returnTo, top);
        if (found !== AGAIN) return { ...found, pages: pages.virtualPages, warnings: this.#warnings };
        pages.reset();
        this.#engine.restoreContext(start);
        call.setReturnAddress(returnTo);
      }
    } finally {
      start.free();
    }
  }

  get pageCount(): number {
    return this.#code.pages.virtualPages.length;
  }

  close(): void {
    for (const hook of this.#hooks) hook.remove();
    this.#code.close();
    this.#fresh.free();
  }

  #loadHook(): Hook[] {
    const { onLoad } = this.#options;
    if (!onLoad) return [];
    const loaded = (address: bigint, size: number): void => {
      for (let done = 0; done < size; done++) {
        const physical = this.#code.pages.physicalOf(address + BigInt(done));
        if (physical !== null) onLoad(physical, 1);
      }
    };
    return [this.#engine.hookMemoryRead(loaded)];
  }

  /** The CPU as it was, or as a call of the check would find it; gives the address that the check returns to. */
  #enter(check: bigint, copy: Copy): bigint {
    const { variant, atCheck } = this.#dump;
    const task = this.#taskFor(copy);
    this.#code.loadRegisters(task);
    if (!task) this.#warnings.push('replay: the current task is not known');
    const args = [copy.pointer, copy.size, copy.direction === 'to_user' ? 1n : 0n];
    if (!atCheck) return this.#makeCall(check, args, task);
    args.forEach((value, index) => {
      this.#engine.writeRegister(argumentRegister(variant, index), BigInt.asUintN(variant.bits, value));
    });
    return this.#code.call.returnAddress;
  }

  /** The copy's own task; where that is gone another one lends its stack, to copies that are not of a stack. */
  #taskFor({ pointer, size }: Copy): CurrentTaskFound | null {
    const { path, kernel, variant, registers, task } = this.#dump;
    if (task !== null) return taskOf(this.#dump);
    const other = currentTask(kernel, variant, registers);
    if (other === null) return null;
    const end = other.stack + variant.threadSize(kernel);
    if (pointer < end && pointer + size > other.stack) {
      throw badInput(path, 'the task that made the copy', 'another one, on whose stack the copy is');
    }
    this.#warnings.push(
      'replay: no task of the dump has the stack on which the copy was refused; called on the stack of another one',
    );
    return other;
  }

  /** A call from where the CPU stands, when that is on the task's stack; else from near the stack's end. */
  #makeCall(target: bigint, args: readonly bigint[], task: CurrentTaskFound | null): bigint {
    const { path } = this.#dump;
    if (!task) throw badInput(path, 'registers that lead to the current task, for a replay', 'none');
    const { stackPointer, fromCpu } = callPlaceOf(this.#dump, task);
    this.#warnings.push(
      fromCpu
        ? 'replay: the CPU does not stand at __check_object_size; called from where its stack pointer is'
        : 'replay: the stack pointer is not known; called from near the end of the stack of the current task',
    );
    // Never executed: it lies on the stack, below everything that the check uses.
    const returnTo = task.stack;
    this.#code.call.enter({ target, arguments: args, stackPointer, returnTo });
    return returnTo;
  }

  /** The check from its first instruction to its end. */
  async #attempt(returnTo: bigint, top: bigint): Promise<Omit<Replay, 'pages' | 'warnings'> | typeof AGAIN> {
    let pc = this.#check;
    let instructions = 0;
    let line: string | null = null;
    for (let warnings = 0; ; ) {
      this.#atPrintk = null;
      const result = await this.#code.run(pc, returnTo);
      instructions += result.instructions ?? 0;
      if (this.#atPrintk !== null) {
        const after = this.#code.call.returnAddress;
        const text = await this.#format(after, this.#atPrintk);
        if (text === AGAIN) return AGAIN;
        line ??= withoutLevel(text);
        pc = after;
        continue;
      }
      const end = this.#code.endOf(result, returnTo);
      switch (end.kind) {
        case 'returned':
          // Where the kernel goes on, what it printed was no refusal.
          if (line !== null) this.#warnings.push(`replay: the kernel let the copy pass and printed: ${line}`);
          return { message: null, end: 'returned', instructions, registers: null, frames: null };
        case 'bug': {
          const after = this.#afterWarning(end.pc);
          if (after === null || warnings++ >= MOST_WARNINGS) {
            const registers = this.#registersAt(end.pc);
            return { message: line, end: 'bug', instructions, registers, frames: this.#framesBelow(top) };
          }
          pc = after;
          continue;
        }
        default:
          if (this.#code.broughtIn(result, end)) return AGAIN;
          throw this.#code.unexpected(result, end);
      }
    }
  }

  /** The line that printk was called with, as vsnprintf() writes it; the CPU then stands behind the call of printk. */
  async #format(after: bigint, places: ArgumentPlaces): Promise<string | typeof AGAIN> {
    const { kernel } = this.#dump;
    const { call, pages } = this.#code;
    const target = requireSymbol(kernel, 'vsnprintf');
    const atPrintk = this.#engine.saveContext();
    const text = call.stackPointer - LONGEST_LINE;
    const [format, args] = [call.argument(0, places), call.argument(1, places)];
    // int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
    const values = [text, LONGEST_LINE, format, args];
    call.enter({ target, arguments: values, stackPointer: text - BELOW_PRINTK, returnTo: after });
    const result = await this.#code.run(target, after);
    const end = this.#code.endOf(result, after);
    if (end.kind !== 'returned') {
      if (this.#code.broughtIn(result, end)) return AGAIN;
      throw this.#code.unexpected(result, end);
    }
    const line = pages.read(text, Number(LONGEST_LINE));
    if (!line) throw new UsercopyError('guest', `${kernel.version.release}: the text of printk cannot be read`);
    this.#engine.restoreContext(atPrintk);
    call.leave(null);
    const stop = line.indexOf(0);
    return Buffer.from(stop < 0 ? line : line.subarray(0, stop)).toString('latin1');
  }

  #framesBelow(top: bigint): Replay['frames'] {
    const start = this.#code.call.stackPointer;
    const bytes = top > start ? this.#code.pages.read(start, Number(top - start)) : undefined;
    return bytes === undefined ? null : { start, bytes };
  }

  #registersAt(pc: bigint): ReadonlyMap<string, bigint> {
    const { all, pc: counter } = this.#dump.variant.registers;
    const values = all.map((name) => [name, this.#engine.readRegister(name)] as const);
    return new Map([...values, [counter, pc]]);
  }

  /** Where the kernel goes on after a WARN(), which traps as a BUG() does; null for a BUG(). */
  #afterWarning(address: bigint): bigint | null {
    const { kernel, variant } = this.#dump;
    if (kernel.symbols.find(address)?.symbol.name.replace(/\..*/, '') !== WARNING_FUNCTION) return null;
    return address + BigInt(variant.bug.encodings?.[0]?.length ?? FIXED_INSTRUCTION);
  }
}

/** KERN_SOH: a level follows (include/linux/kern_levels.h). */
const START_OF_HEADER = '\u0001';

/** printk's text without level and line end. */
function withoutLevel(text: string): string {
  let line = text;
  while (line.startsWith(START_OF_HEADER)) line = line.slice(2);
  return line.replace(/\n+$/, '');
}
