/**
 * Code of the kernel in a dump, run in an emulator on a copy of the dump's pages, which are brought in as they are touched. The
 * dump is not changed.
 */
import type { Engine, RunResult } from '../engine/engine.js';
import { hex, UsercopyError } from '../errors.js';
import { requireSymbol } from '../introspect/fields.js';
import { decodeWord, encodeWord } from '../kernel/words.js';
import { type CallEnd, CallWatch, GuestCall, type WordMemory } from '../stack/call.js';
import { type DepthGuest, measureStackDepth, type StackDepth } from '../stack/depth.js';
import { FROM_STACK_END } from './call-place.js';
import type { CurrentTaskFound } from './current.js';
import { type Dump, machineStateOf } from './dump.js';
import { EmulatedPages, type MissingPage } from './emulated-pages.js';

export interface DumpCodeOptions {
  /** Names what is done, in errors. */
  readonly what: string;
  /** See `EmulatedPages`. */
  readonly maximumPages: number;
  /** Milliseconds for one run; default 10 000. The first run of an emulator sets up its translator, for which 2 s were seen. */
  readonly timeLimit?: number | undefined;
  /** Guest instructions of one run; no limit when absent. */
  readonly instructionLimit?: number | undefined;
}

const DEFAULT_TIME_LIMIT = 10_000;

export class DumpCode {
  readonly engine: Engine;
  readonly dump: Dump;
  readonly pages: EmulatedPages;
  /** The call that the emulated CPU stands at. */
  readonly call: GuestCall;
  readonly words: WordMemory;
  readonly #watch: CallWatch;
  readonly #what: string;
  readonly #timeLimit: number;
  readonly #instructionLimit: number | undefined;

  /** Prepares the emulator, which must be a fresh one of the dump's architecture. */
  constructor(engine: Engine, dump: Dump, options: DumpCodeOptions) {
    const { what, maximumPages, timeLimit = DEFAULT_TIME_LIMIT, instructionLimit } = options;
    const { variant, kernel } = dump;
    this.engine = engine;
    this.dump = dump;
    this.#what = what;
    this.#timeLimit = timeLimit;
    this.#instructionLimit = instructionLimit;
    this.pages = new EmulatedPages(engine, dump, { limit: maximumPages });
    this.words = {
      readWord: (address) => {
        const bytes = this.pages.read(address, variant.bits / 8);
        if (!bytes) throw this.#cannotHave({ address, kind: 'read', why: 'not in the dump' });
        return decodeWord(bytes, variant);
      },
      writeWord: (address, value) => this.pages.write(address, encodeWord(value, variant)),
    };
    this.call = new GuestCall(variant, engine, this.words);
    this.#watch = new CallWatch(variant, engine, (address, length) => kernel.read(address, length));
    variant.prepare(engine, machineStateOf(dump));
  }

  /** Registers as the dump has them, but those that say how the CPU translates; and its task made current. */
  loadRegisters(task: CurrentTaskFound | null): void {
    const { variant, registers } = this.dump;
    const values: Record<string, bigint> = {};
    for (const name of variant.registers.all) {
      const value = registers.get(name);
      const own = name === variant.registers.pc || variant.registers.machineState?.includes(name);
      if (value !== undefined && !own) values[name] = value;
    }
    this.engine.writeRegisters(values);
    if (task) this.pages.enterTask(task);
  }

  async run(start: bigint, until: bigint): Promise<RunResult> {
    this.#watch.begin();
    // The first page must be there: what a fault on the first fetch leaves behind differs between emulated CPUs.
    this.pages.bringIn(start);
    const { timeLimit, instructionLimit } = { timeLimit: this.#timeLimit, instructionLimit: this.#instructionLimit };
    return this.engine.run({ start, until, timeLimit, instructionLimit, countInstructions: true });
  }

  endOf(result: RunResult, until: bigint): CallEnd {
    return this.#watch.endOf(result, until);
  }

  /**
   * Whether the page that the last run lacked is there now: the run is to be made anew, so that nothing depends on how an
   * emulator goes on after a fault. @throws UsercopyError `guest` when it cannot be had.
   */
  broughtIn({ pc }: RunResult, end: CallEnd): boolean {
    const { fault } = this.#watch;
    // Unicorn 2.0.1's s390x raises an exception where it fetches from a page that is not mapped.
    if (fault === null) return end.kind === 'exception' && this.pages.bringIn(pc) === null;
    const missing = this.pages.resolve(fault);
    if (missing !== null) throw this.#cannotHave(missing);
    return true;
  }

  /** The error of a run that ended in a way that nothing foresaw. */
  unexpected(result: RunResult, end: CallEnd): UsercopyError {
    const found = this.dump.kernel.symbols.find(result.pc);
    const place = found ? `${found.symbol.name}+${hex(found.offset)}` : hex(result.pc);
    const why =
      end.kind === 'exception'
        ? `exception ${end.number}`
        : result.reason === 'time limit'
          ? `it ran longer than ${this.#timeLimit} ms`
          : (result.error?.text ?? result.reason);
    return new UsercopyError(
      'guest',
      `${this.#what}: expected __check_object_size to return or to refuse, but it ended at ${place}: ${why}`,
    );
  }

  /** Takes the hooks away. */
  close(): void {
    this.#watch.remove();
  }

  #cannotHave({ address, kind, why }: MissingPage): UsercopyError {
    return new UsercopyError('guest', `${this.#what}: the ${kind} of ${hex(address)} needs memory that is ${why}`);
  }
}

/** The check touches a dozen pages; a run that wants more has gone astray. */
const MAXIMUM_PAGES = 256;

/**
 * How much stack the check of the kernel in the dump uses; null when it has no rule about the stack pointer.
 * @throws UsercopyError as `measureStackDepth`; `guest` too where the dump lacks memory that the check needs.
 */
export async function stackDepthOfDump(
  engine: Engine,
  dump: Dump,
  current: CurrentTaskFound,
): Promise<StackDepth | null> {
  const code = new DumpCode(engine, dump, { what: 'depth of the stack', maximumPages: MAXIMUM_PAGES });
  try {
    return await measureStackDepth(depthGuestOf(code, current));
  } finally {
    code.close();
  }
}

/** Calls near the end of a task's stack; each finds the dump's memory as it was. */
function depthGuestOf(code: DumpCode, current: CurrentTaskFound): DepthGuest {
  const { engine, dump, pages, call } = code;
  const { kernel, variant } = dump;
  const stackPointer = current.stack + variant.threadSize(kernel) - FROM_STACK_END;
  // Never executed: it lies on the stack, below everything that the check uses.
  const returnTo = current.stack;
  code.loadRegisters(current);
  // No frame is linked to the call's own.
  if (variant.registers.fp !== variant.registers.sp) engine.writeRegister(variant.registers.fp, 0n);
  const fresh = engine.saveContext();
  return {
    kernel,
    variant,
    engine,
    stackPointerAtEntry: call.entryStackPointer(stackPointer),
    argument: (index) => call.argument(index),
    async call(symbol, args) {
      const target = requireSymbol(kernel, symbol);
      for (;;) {
        pages.reset();
        engine.restoreContext(fresh);
        call.enter({ target, arguments: args, stackPointer, returnTo });
        const result = await code.run(target, returnTo);
        const end = code.endOf(result, returnTo);
        if (end.kind === 'returned' || end.kind === 'bug') return end;
        if (result.reason === 'stopped' && end.kind === 'other') return { kind: 'stopped' };
        if (!code.broughtIn(result, end)) throw code.unexpected(result, end);
      }
    },
  };
}
