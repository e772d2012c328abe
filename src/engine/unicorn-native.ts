/** `Engine` over libunicorn, through the addon in `native/`. */

import { badInput, UsercopyError } from '../errors.js';
import { aText, type OptionRule, requireOptions } from '../options.js';
import type {
  BlockPricer,
  CopyHookSpec,
  Engine,
  EngineSpec,
  Hook,
  MemoryFaultHandler,
  RequestRing,
  RequestRingSpec,
  RunEvent,
  RunOptions,
  RunResult,
  SavedContext,
} from './engine.js';
import { requireRunOptions, requireSpec } from './options.js';
import { mapTold } from './overlap.js';
import { RunEvents } from './run-events.js';
import { nextTurn } from './turn.js';
import {
  loadAddon,
  type NativeAddon,
  type NativeCheck,
  type NativeEngine,
  type NativeRunOptions,
} from './unicorn-addon.js';
import { openLibrary } from './unicorn-library.js';

/** Host time between two looks at the event loop, milliseconds. */
const sliceMilliseconds = 50;

/** What `NativeEngine.slice` answers, by index. `due`: the slice is over. */
const outcomes = [
  'until',
  'stopped',
  'due',
  'block limit',
  'instruction limit',
  'cycle limit',
  'error',
  'halted',
] as const;
type Outcome = (typeof outcomes)[number];

/** What the addon writes after each slice, as u64: `cycles` are the bits of a double. */
const status = { pc: 0, error: 1, instructions: 2, slack: 3, cycles: 4 } as const;

const faultKinds = ['read', 'write', 'fetch'] as const;

class Context implements SavedContext {
  #bytes: Uint8Array | null;
  constructor(
    readonly owner: UnicornNative,
    bytes: Uint8Array,
  ) {
    this.#bytes = bytes;
  }
  get bytes(): Uint8Array {
    if (!this.#bytes) throw new UsercopyError('engine', 'this saved context has been freed: save another one');
    return this.#bytes;
  }
  free(): void {
    this.#bytes = null;
  }
}

class Ring implements RequestRing {
  constructor(
    private readonly engine: NativeEngine,
    readonly id: number,
  ) {}
  flush(): void {
    this.engine.flushRing(this.id);
  }
  close(): void {
    this.engine.closeRing(this.id);
  }
}

export interface OpenUnicornOptions {
  /**
   * The libunicorn to use, a file or a prefix (`/usr/local`, a pip wheel's folder). A process uses one only: it counts for
   * the first emulator, and later ones must ask for the same or for none.
   */
  readonly library?: string | undefined;
}

const OPEN_RULES: Readonly<Record<keyof OpenUnicornOptions, OptionRule>> = { library: aText };

/**
 * Opens an emulator. Unknown architecture, mode or CPU model: an error that lists what exists.
 * @throws UsercopyError `missing-dependency` without the addon, without a libunicorn, or when another one is in use.
 */
export function openUnicorn(spec: EngineSpec, options: OpenUnicornOptions = {}): Engine {
  requireOptions('openUnicorn', options, OPEN_RULES);
  requireSpec('openUnicorn', spec);
  const addon = loadAddon();
  openLibrary(addon, options.library);
  return new UnicornNative(addon, spec);
}

class UnicornNative implements Engine {
  readonly name = 'unicorn';
  readonly version: string;
  readonly capabilities = { sharedMemory: true, directCheck: true, cycles: true };
  readonly #addon: NativeAddon;
  readonly #native: NativeEngine;
  readonly #status = new BigUint64Array(Object.keys(status).length);
  readonly #statusAsDoubles = new Float64Array(this.#status.buffer);
  #pricer: { readonly from: BlockPricer; readonly native: NonNullable<NativeRunOptions['cycles']> } | null = null;
  /** A run that has not ended, whether a slice of it is under way or the event loop has its turn. */
  #running = false;
  #stopped = false;
  readonly #runs = new RunEvents();
  #closed = false;

  constructor(
    addon: NativeAddon,
    readonly spec: EngineSpec,
  ) {
    this.#addon = addon;
    this.version = addon.version().join('.');
    this.#native = new addon.Engine(spec.arch, spec.mode, spec.cpu, this.#status, spec.mmu ?? false);
  }

  quirks(): readonly string[] {
    return this.#native.quirks();
  }

  get nativeHandle(): NativeEngine {
    return this.#native;
  }

  readRegister(name: string): bigint {
    return this.#native.readRegister(name);
  }

  writeRegister(name: string, value: bigint): void {
    this.#native.writeRegister(name, value);
    this.#runs.changed();
  }

  readRegisters(names: readonly string[]): bigint[] {
    return this.#native.readRegisters(names);
  }

  writeRegisters(values: Readonly<Record<string, bigint>>): void {
    for (const [name, value] of Object.entries(values)) this.writeRegister(name, value);
  }

  map(address: bigint, size: bigint, permissions: string): void {
    mapTold(
      () => this.regions(),
      address,
      size,
      () => this.#native.map(address, size, permissions),
    );
  }

  mapShared(address: bigint, size: bigint, permissions: string, memory: WebAssembly.Memory, offset: number): void {
    mapTold(
      () => this.regions(),
      address,
      size,
      () => this.#native.mapShared(address, size, permissions, memory, offset),
    );
  }

  unmap(address: bigint, size: bigint): void {
    this.#native.unmap(address, size);
  }

  regions(): { start: bigint; end: bigint; permissions: string }[] {
    return this.#native.regions();
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#native.read(address, length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#native.write(address, bytes);
  }

  dropCode(address: bigint, length: number): void {
    this.#native.dropCode(address, length);
  }

  hookAddress(address: bigint, callback: (pc: bigint) => void): Hook {
    const id = this.#native.addAddressHook(address, callback);
    return { remove: () => this.#native.removeAddressHook(address, id) };
  }

  hookCopy(spec: CopyHookSpec): Hook {
    const { address, memory, requestOffset, contextOffset, registers, judge, native, onVerdict, stackedReturn } = spec;
    const id = this.#native.addCopyHook(
      address,
      memory,
      requestOffset,
      contextOffset,
      registers,
      judge,
      onVerdict,
      // Made by this addon, which knows its own object again and refuses another.
      native?.check as NativeCheck | undefined,
      native?.outermost ?? false,
      // Opened by this engine.
      spec.ring ? (spec.ring as Ring).id : undefined,
      stackedReturn && [stackedReturn.stackPointer, stackedReturn.returnAddress, stackedReturn.bytes],
    );
    return { remove: () => this.#native.removeAddressHook(address, id) };
  }

  openRing(spec: RequestRingSpec): RequestRing {
    const { memory, countOffset, firstOffset, requestBytes, headBytes, capacity, contextOffset, native } = spec;
    const id = this.#native.openRing(
      memory,
      [countOffset, firstOffset, requestBytes, headBytes, capacity, contextOffset],
      spec.judge,
      spec.onVerdicts,
      // Made by this addon, which knows its own object again and refuses another.
      native?.check as NativeCheck | undefined,
      native?.outermost ?? false,
    );
    return new Ring(this.#native, id);
  }

  hookBlock(callback: (address: bigint, size: number) => void): Hook {
    return this.#eventHook(this.#native.addBlockHook(callback));
  }

  hookMemoryFault(callback: MemoryFaultHandler): Hook {
    const id = this.#native.addFaultHook((kind, protection, address, size) =>
      // The addon counts in the same list.
      callback({ kind: faultKinds[kind]!, protection, address, size }),
    );
    return this.#eventHook(id);
  }

  hookInterrupt(callback: (number: number) => void): Hook {
    return this.#eventHook(this.#native.addInterruptHook(callback));
  }

  hookMemoryRead(callback: (address: bigint, size: number) => void): Hook {
    return this.#eventHook(this.#native.addReadHook(callback));
  }

  hookInstruction(callback: (address: bigint, size: number) => void): Hook {
    return this.#eventHook(this.#native.addInstructionHook(callback));
  }

  #eventHook(id: number): Hook {
    return { remove: () => this.#native.removeEventHook(id) };
  }

  hookRun(callback: (event: RunEvent) => void): Hook {
    return this.#runs.hook(callback);
  }

  async run(options: RunOptions): Promise<RunResult> {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#begin(options);
    let pc: bigint | null = null;
    try {
      const end = options.timeLimit === undefined ? Infinity : performance.now() + options.timeLimit;
      let outcome = this.#slice(
        options,
        options.start,
        Math.min(sliceMilliseconds, options.timeLimit ?? Infinity),
        this.#nativeOptions(options),
      );
      while (outcome === 'due' && performance.now() < end) {
        await nextTurn();
        signal?.throwIfAborted();
        if (this.#closed) throw new UsercopyError('engine', 'the emulator was closed during a run');
        if (this.#stopped) {
          outcome = 'stopped';
          break;
        }
        const left = Math.max(end - performance.now(), 0.01);
        // `status` counts the fields that there are; so it does below.
        outcome = this.#slice(options, this.#status[status.pc]!, Math.min(sliceMilliseconds, left), null);
      }
      const result = this.#result(outcome, options);
      pc = result.pc;
      return result;
    } finally {
      this.#end(pc);
    }
  }

  runSync(options: RunOptions): RunResult {
    this.#begin(options);
    let pc: bigint | null = null;
    try {
      const outcome = this.#slice(options, options.start, options.timeLimit ?? 0, this.#nativeOptions(options));
      const result = this.#result(outcome, options);
      pc = result.pc;
      return result;
    } finally {
      this.#end(pc);
    }
  }

  #begin(options: RunOptions): void {
    requireRunOptions(options);
    const { start, resume, timeLimit, blockLimit, instructionLimit, cycleLimit, cycles } = options;
    if (this.#running) {
      throw new UsercopyError('engine', 'run: this emulator is running already; wait for that run, or stop() it first');
    }
    if (timeLimit !== undefined && !(timeLimit > 0))
      throw badInput('timeLimit', 'milliseconds above 0', `${timeLimit}`);
    for (const [name, limit] of Object.entries({ blockLimit, instructionLimit })) {
      if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 0)) {
        throw badInput(name, 'an integer of 0 or more', `${limit}`);
      }
    }
    if (cycleLimit !== undefined && !(cycleLimit >= 0)) throw badInput('cycleLimit', '0 or more', `${cycleLimit}`);
    if (cycleLimit !== undefined && cycles === undefined) {
      throw badInput('cycleLimit', 'cycles beside it, which says what a block costs', 'none');
    }
    this.#runs.begin(start, resume === true);
    this.#running = true;
    this.#stopped = false;
  }

  #end(pc: bigint | null): void {
    this.#running = false;
    this.#runs.end(pc);
  }

  #nativeOptions({
    resume,
    blockLimit,
    countInstructions,
    instructionLimit,
    cycles,
    cycleLimit,
  }: RunOptions): NativeRunOptions {
    if (cycles && this.#pricer?.from !== cycles) {
      this.#pricer = {
        from: cycles,
        native: (address, code, instructions, thumb) => cycles({ address, code, instructions, thumb }),
      };
    }
    return {
      resume: resume ?? false,
      blockLimit,
      countInstructions,
      instructionLimit,
      cycleLimit,
      cycles: cycles && this.#pricer ? this.#pricer.native : undefined,
    };
  }

  #slice(options: RunOptions, start: bigint, milliseconds: number, first: NativeRunOptions | null): Outcome {
    // The addon counts in the same list.
    return outcomes[this.#native.slice(start, options.until, milliseconds, first)]!;
  }

  #result(outcome: Outcome, options: RunOptions): RunResult {
    // A field of `status`.
    const cycles = options.cycles ? this.#statusAsDoubles[status.cycles]! : null;
    const counts = options.countInstructions || options.instructionLimit !== undefined || cycles !== null;
    const least = Number(this.#status[status.instructions]);
    const slack = Number(this.#status[status.slack]);
    return {
      reason: outcome === 'halted' ? 'error' : outcome === 'due' ? 'time limit' : outcome,
      // A field of `status`.
      pc: this.#status[status.pc]!,
      instructions: counts ? least : null,
      instructionsRange: counts && slack > 0 ? { least, most: least + slack } : null,
      cycles,
      error:
        outcome === 'error'
          ? this.#addon.errorText(Number(this.#status[status.error]))
          : outcome === 'halted'
            ? { code: 'HALTED', text: 'The guest executed an instruction that halts the CPU' }
            : null,
    };
  }

  get instructionCount(): number | null {
    return this.#native.instructionCount();
  }

  get cycleCount(): number | null {
    return this.#native.cycleCount();
  }

  chargeCycles(cycles: number): void {
    if (!(Number.isFinite(cycles) && cycles >= 0)) throw badInput('cycles', 'a number of 0 or more', `${cycles}`);
    this.#native.chargeCycles(cycles);
  }

  stop(): void {
    this.#stopped = true;
    this.#native.stop();
  }

  saveContext(): SavedContext {
    return new Context(this, this.#native.saveContext());
  }

  restoreContext(context: SavedContext): void {
    if (!(context instanceof Context) || context.owner !== this) {
      throw new UsercopyError('engine', 'restoreContext: expected a context that this emulator saved');
    }
    this.#native.restoreContext(context.bytes);
    this.#runs.restore();
  }

  close(): void {
    this.#native.close();
    this.#closed = true;
  }
}
