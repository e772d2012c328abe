/**
 * The dumped kernel's own `__check_object_size`, run in an emulator on the dump's memory with the dump's registers: what it
 * says of a copy, in its own words.
 */

import type { Copy } from '../check/verdict.js';
import { type CurrentTaskFound, currentTask } from '../dump/current.js';
import { EmulatedPages, type MissingPage } from '../dump/emulated-pages.js';
import type { Dump } from '../dump/open-dump.js';
import type { Engine, Hook, MemoryFault, RunResult } from '../engine/engine.js';
import { badInput, UsercopyError } from '../errors.js';
import { entryPointOf } from '../stack/entry-point.js';

export interface Replay {
  /** The line that its printk was given, formatted by its own vsnprintf(), without the log level; null when there is none or the copy passed. */
  readonly message: string | null;
  /** `returned`: it let the copy pass. `bug`: it stopped at BUG(). */
  readonly end: 'returned' | 'bug';
  /** Guest instructions from the check's first to its end, without those of printk. */
  readonly instructions: number;
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
}

/** The check touches about fifteen pages, its message thirty more. */
const MAXIMUM_PAGES = 512;
const DEFAULT_TIME_LIMIT = 10_000;
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
/** A call that is made where none was: below what leaf functions may use, and with room for the check and its message. */
const RED_ZONE = 512n;
const LEAST_STACK = 4096n;
const FROM_TOP = 2048n;

/**
 * Runs the check on one copy. With a CPU that stands at the check's first instruction nothing but the three arguments is
 * set; else the call is made at the CPU's stack pointer, and `warnings` says so.
 * @throws UsercopyError `bad-input` without the symbols or the task that it needs, `guest` when the code runs into
 *   something unexpected: a page that the dump lacks, an unknown exception, the time limit.
 */
export async function replayCopy(engine: Engine, dump: Dump, copy: Copy, options: ReplayOptions = {}): Promise<Replay> {
  return new Replayer(engine, dump, options).run(copy);
}

/** A page was brought in: the run is made anew, so that nothing depends on how an emulator goes on after a fault. */
const AGAIN = Symbol('again');

class Replayer {
  readonly #engine: Engine;
  readonly #dump: Dump;
  readonly #pages: EmulatedPages;
  readonly #options: ReplayOptions;
  readonly #timeLimit: number;
  readonly #wordBytes: number;
  readonly #warnings: string[] = [];
  readonly #vsnprintf: bigint | undefined;
  #fault: MemoryFault | null = null;
  #interrupt: number | null = null;
  /** The printk that the CPU stands at. */
  #atPrintk: { readonly asmlinkage: boolean } | null = null;

  constructor(engine: Engine, dump: Dump, options: ReplayOptions) {
    this.#engine = engine;
    this.#dump = dump;
    this.#pages = new EmulatedPages(engine, dump, { limit: MAXIMUM_PAGES });
    this.#options = options;
    this.#timeLimit = options.timeLimit ?? DEFAULT_TIME_LIMIT;
    this.#wordBytes = dump.variant.bits / 8;
    this.#vsnprintf = dump.kernel.symbols.address('vsnprintf');
  }

  async run(copy: Copy): Promise<Replay> {
    const { kernel, variant } = this.#dump;
    const check = entryPointOf(kernel, variant, '__check_object_size');
    const printk = PRINTK.flatMap(({ symbol, asmlinkage }) => {
      const address = entryPointOf(kernel, variant, symbol);
      return address === undefined ? [] : [{ address, asmlinkage }];
    });
    if (check === undefined || printk.length === 0 || this.#vsnprintf === undefined) {
      throw new UsercopyError(
        'bad-input',
        `kernel ${kernel.version.release}: expected symbols __check_object_size, ${PRINTK[0].symbol} and vsnprintf, found not all of them`,
      );
    }
    const hooks = [
      this.#engine.hookMemoryFault((fault) => {
        this.#fault ??= fault;
        return false;
      }),
      this.#engine.hookInterrupt((number) => {
        this.#interrupt = number;
        this.#engine.stop();
      }),
      ...this.#loadHook(),
      ...printk.map(({ address, asmlinkage }) =>
        this.#engine.hookAddress(address, () => {
          this.#atPrintk = { asmlinkage };
          this.#engine.stop();
        }),
      ),
    ];
    try {
      variant.prepare(this.#engine);
      const returnTo = this.#enter(copy);
      const start = this.#engine.saveContext();
      for (;;) {
        this.#engine.restoreContext(start);
        const found = await this.#attempt(check, returnTo);
        if (found !== AGAIN) return { ...found, pages: this.#pages.virtualPages, warnings: this.#warnings };
        this.#pages.reset();
        this.#writeReturnAddress(returnTo);
      }
    } finally {
      for (const hook of hooks) hook.remove();
    }
  }

  #loadHook(): Hook[] {
    const { onLoad } = this.#options;
    if (!onLoad) return [];
    const loaded = (address: bigint, size: number): void => {
      for (let done = 0; done < size; done++) {
        const physical = this.#pages.physicalOf(address + BigInt(done));
        if (physical !== null) onLoad(physical, 1);
      }
    };
    return [this.#engine.hookMemoryRead(loaded)];
  }

  /** The CPU as it was, or as a call of the check would find it; gives the address that the check returns to. */
  #enter(copy: Copy): bigint {
    const { variant, kernel, registers, atCheck } = this.#dump;
    const task = currentTask(kernel, variant, registers);
    const values: Record<string, bigint> = {};
    for (const name of variant.registers.all) {
      const value = registers.get(name);
      const own = name === variant.registers.pc || variant.registers.machineState?.includes(name);
      if (value !== undefined && !own) values[name] = value;
    }
    this.#engine.writeRegisters(values);
    if (task) this.#pages.enterTask(task);
    else this.#warnings.push('replay: the current task is not known');
    const given = [copy.pointer, copy.size, copy.direction === 'to_user' ? 1n : 0n];
    given.forEach((value, index) => {
      this.#engine.writeRegister(variant.registers.arguments[index]!, BigInt.asUintN(variant.bits, value));
    });
    const returnTo = atCheck ? this.#returnAddress() : this.#makeCall(task);
    this.#writeReturnAddress(returnTo);
    return returnTo;
  }

  #returnAddress(): bigint {
    const { registers, call } = this.#dump.variant;
    if (registers.link !== null) return this.#engine.readRegister(registers.link) + BigInt(call.returnOffset ?? 0);
    return this.#readWord(this.#stackPointer());
  }

  /** A call from where the CPU stands, when that is on the task's stack; else from near the stack's end. */
  #makeCall(task: CurrentTaskFound | null): bigint {
    const { variant, kernel, registers, path } = this.#dump;
    if (!task) throw badInput(path, 'registers that lead to the current task, for a replay', 'none');
    const end = task.stack + variant.threadSize(kernel);
    const sp = registers.get(variant.registers.sp);
    const onStack = sp !== undefined && sp > task.stack + LEAST_STACK && sp < end;
    this.#warnings.push(
      onStack
        ? 'replay: the CPU does not stand at __check_object_size; called from where its stack pointer is'
        : 'replay: the stack pointer is not known; called from near the end of the stack of the current task',
    );
    const top = onStack ? sp - RED_ZONE : end - FROM_TOP;
    const { stackAlignment, reservedBytes, pushesReturnAddress } = variant.call;
    const aligned = top - (top % BigInt(stackAlignment)) - BigInt(reservedBytes);
    const entry = pushesReturnAddress ? aligned - BigInt(this.#wordBytes) : aligned;
    this.#engine.writeRegister(variant.registers.sp, entry - BigInt(variant.call.stackBias ?? 0));
    // Never executed: it lies on the stack, below everything that the check uses.
    return task.stack;
  }

  #writeReturnAddress(returnTo: bigint): void {
    const { registers, call } = this.#dump.variant;
    if (call.pushesReturnAddress) this.#writeWord(this.#stackPointer(), returnTo);
    else if (registers.link !== null) {
      this.#engine.writeRegister(registers.link, returnTo - BigInt(call.returnOffset ?? 0));
    }
  }

  /** The check from its first instruction to its end. */
  async #attempt(
    check: bigint,
    returnTo: bigint,
  ): Promise<Pick<Replay, 'message' | 'end' | 'instructions'> | typeof AGAIN> {
    let pc = check;
    let instructions = 0;
    let line: string | null = null;
    for (let warnings = 0; ; ) {
      const result = await this.#runFrom(pc, returnTo);
      instructions += result.instructions ?? 0;
      if (this.#atPrintk) {
        const after = this.#returnAddress();
        const text = await this.#format(after, this.#atPrintk.asmlinkage);
        if (text === AGAIN) return AGAIN;
        line ??= withoutLevel(text);
        pc = after;
        continue;
      }
      if (this.#returned(result, returnTo)) {
        // Where the kernel goes on, what it printed was no refusal.
        if (line !== null) this.#warnings.push(`replay: the kernel let the copy pass and printed: ${line}`);
        return { message: null, end: 'returned', instructions };
      }
      const bug = this.#bugAt(result);
      if (bug !== null) {
        const after = this.#afterWarning(bug);
        if (after === null || warnings++ >= MOST_WARNINGS) return { message: line, end: 'bug', instructions };
        pc = after;
        continue;
      }
      if (this.#broughtIn(result)) return AGAIN;
      throw this.#unexpected(result);
    }
  }

  /** The line that printk was called with, as vsnprintf() writes it; the CPU then stands behind the call of printk. */
  async #format(after: bigint, asmlinkage: boolean): Promise<string | typeof AGAIN> {
    const { variant, kernel } = this.#dump;
    const { registers, call } = variant;
    const engine = this.#engine;
    const atPrintk = engine.saveContext();
    const sp = this.#stackPointer();
    const [format, args] = (
      asmlinkage && call.asmlinkageOnStack
        ? [1, 2].map((slot) => this.#readWord(sp + BigInt(slot * this.#wordBytes)))
        : engine.readRegisters(registers.arguments.slice(0, 2))
    ) as [bigint, bigint];
    const text = sp - LONGEST_LINE;
    const values = [text, LONGEST_LINE, format, args];
    const onStack = values.slice(registers.arguments.length);
    const free = text - BELOW_PRINTK - BigInt(onStack.length * this.#wordBytes);
    const aligned = free - (free % BigInt(call.stackAlignment)) - BigInt(call.reservedBytes);
    const entry = call.pushesReturnAddress ? aligned - BigInt(this.#wordBytes) : aligned;
    engine.writeRegister(registers.sp, entry - BigInt(call.stackBias ?? 0));
    const firstOnStack = entry + BigInt(call.reservedBytes + (call.pushesReturnAddress ? this.#wordBytes : 0));
    onStack.forEach((value, index) => {
      this.#writeWord(firstOnStack + BigInt(index * this.#wordBytes), value);
    });
    values.slice(0, registers.arguments.length).forEach((value, index) => {
      engine.writeRegister(registers.arguments[index]!, value);
    });
    this.#writeReturnAddress(after);
    if (call.entryRegister !== undefined) engine.writeRegister(call.entryRegister, this.#vsnprintf!);
    const result = await this.#runFrom(this.#vsnprintf!, after);
    if (!this.#returned(result, after)) {
      if (this.#broughtIn(result)) return AGAIN;
      throw this.#unexpected(result);
    }
    const line = this.#pages.read(text, Number(LONGEST_LINE));
    if (!line) throw new UsercopyError('guest', `${kernel.version.release}: the text of printk cannot be read`);
    engine.restoreContext(atPrintk);
    if (call.pushesReturnAddress) {
      engine.writeRegister(registers.sp, engine.readRegister(registers.sp) + BigInt(this.#wordBytes));
    }
    const end = line.indexOf(0);
    return Buffer.from(end < 0 ? line : line.subarray(0, end)).toString('latin1');
  }

  async #runFrom(start: bigint, until: bigint): Promise<RunResult> {
    this.#fault = null;
    this.#interrupt = null;
    this.#atPrintk = null;
    // The first page must be there: what a fault on the first fetch leaves behind differs between emulated CPUs.
    this.#pages.bringIn(start);
    return this.#engine.run({ start, until, timeLimit: this.#timeLimit, countInstructions: true });
  }

  /** Some emulated CPUs fetch or decode what stands at `until` before they stop, and fail there. */
  #returned({ reason, pc }: RunResult, until: bigint): boolean {
    if (reason === 'until') return true;
    const fetchFault = this.#fault !== null && this.#fault.kind === 'fetch' && this.#fault.address === until;
    return fetchFault || (this.#fault === null && pc === until && !this.#atPrintk);
  }

  /** Address of the BUG() that ended a run; null when it was something else. */
  #bugAt({ pc, reason }: RunResult): bigint | null {
    const { bug } = this.#dump.variant;
    if (this.#fault !== null) return null;
    if (bug.kind === 'invalid instruction') return reason === 'error' && this.#stands(pc, bug.encodings) ? pc : null;
    if (this.#interrupt !== bug.number) return null;
    const at = pc - BigInt(bug.pcOffset ?? 0);
    return !bug.encodings || this.#stands(at, bug.encodings) ? at : null;
  }

  #stands(address: bigint, encodings: readonly Uint8Array[]): boolean {
    return encodings.some((encoding) => {
      const bytes = this.#dump.kernel.read(address, encoding.length);
      return bytes !== undefined && Buffer.compare(bytes, encoding) === 0;
    });
  }

  /** Where the kernel goes on after a WARN(), which traps as a BUG() does; null for a BUG(). */
  #afterWarning(address: bigint): bigint | null {
    const { kernel, variant } = this.#dump;
    if (kernel.symbols.find(address)?.symbol.name.replace(/\..*/, '') !== WARNING_FUNCTION) return null;
    return address + BigInt(variant.bug.encodings?.[0]?.length ?? FIXED_INSTRUCTION);
  }

  /** Whether the page that the last run lacked is there now. @throws UsercopyError `guest` when it cannot be had. */
  #broughtIn({ pc }: RunResult): boolean {
    // Unicorn 2.0.1's s390x raises an exception where it fetches from a page that is not mapped.
    if (this.#fault === null) return this.#interrupt !== null && this.#pages.bringIn(pc) === null;
    const missing = this.#pages.resolve(this.#fault);
    if (missing !== null) throw cannotHave(missing);
    return true;
  }

  #unexpected(result: RunResult): UsercopyError {
    const { kernel } = this.#dump;
    const found = kernel.symbols.find(result.pc);
    const place = found ? `${found.symbol.name}+0x${found.offset.toString(16)}` : `0x${result.pc.toString(16)}`;
    const why =
      this.#interrupt === null
        ? result.reason === 'time limit'
          ? `it ran longer than ${this.#timeLimit} ms`
          : (result.error?.text ?? result.reason)
        : `exception ${this.#interrupt}`;
    return new UsercopyError(
      'guest',
      `replay: expected __check_object_size to return or to reach BUG(), but it ended at ${place}: ${why}`,
    );
  }

  #stackPointer(): bigint {
    const { registers, call } = this.#dump.variant;
    return this.#engine.readRegister(registers.sp) + BigInt(call.stackBias ?? 0);
  }

  #readWord(address: bigint): bigint {
    const bytes = this.#pages.read(address, this.#wordBytes);
    if (!bytes) throw cannotHave({ address, kind: 'read', why: 'not in the dump' });
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const little = this.#dump.kernel.endian === 'little';
    return this.#wordBytes === 8 ? view.getBigUint64(0, little) : BigInt(view.getUint32(0, little));
  }

  #writeWord(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(this.#wordBytes);
    const view = new DataView(bytes.buffer);
    const little = this.#dump.kernel.endian === 'little';
    if (this.#wordBytes === 8) view.setBigUint64(0, value, little);
    else view.setUint32(0, Number(value), little);
    this.#pages.write(address, bytes);
  }
}

function cannotHave({ address, kind, why }: MissingPage): UsercopyError {
  return new UsercopyError('guest', `replay: the ${kind} of 0x${address.toString(16)} needs memory that is ${why}`);
}

/** KERN_SOH: a level follows (include/linux/kern_levels.h). */
const START_OF_HEADER = '\u0001';

/** printk's text without level and line end. */
function withoutLevel(text: string): string {
  let line = text;
  while (line.startsWith(START_OF_HEADER)) line = line.slice(2);
  return line.replace(/\n+$/, '');
}
