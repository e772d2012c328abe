/** `Engine` over libunicorn, through the addon in `native/`. */
import { badInput, UsercopyError } from '../errors.js';
import type {
  CopyHookSpec,
  Engine,
  EngineSpec,
  Hook,
  MemoryFaultHandler,
  RunOptions,
  RunResult,
  SavedContext,
} from './engine.js';
import { loadAddon, type NativeAddon, type NativeEngine } from './unicorn-addon.js';

/** Host time between two looks at the event loop, milliseconds. */
const sliceMilliseconds = 50;

/** What `NativeEngine.slice` answers, by index. `due`: the slice is over. */
const outcomes = ['until', 'stopped', 'due', 'block limit', 'error', 'halted'] as const;
type Outcome = (typeof outcomes)[number];

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

/** Opens an emulator. Unknown architecture, mode or CPU model: an error that lists what exists. */
export function openUnicorn(spec: EngineSpec): Engine {
  return new UnicornNative(loadAddon(), spec);
}

class UnicornNative implements Engine {
  readonly name = 'unicorn';
  readonly version: string;
  readonly capabilities = { sharedMemory: true, directCheck: true };
  readonly #addon: NativeAddon;
  readonly #native: NativeEngine;
  /** Written by the addon after each slice: pc, instructions, error code. */
  readonly #status = new BigUint64Array(3);
  /** A run that has not ended, whether a slice of it is under way or the event loop has its turn. */
  #running = false;
  #stopped = false;
  #closed = false;

  constructor(
    addon: NativeAddon,
    readonly spec: EngineSpec,
  ) {
    this.#addon = addon;
    this.version = addon.version().join('.');
    this.#native = new addon.Engine(spec.arch, spec.mode, spec.cpu, this.#status);
  }

  readRegister(name: string): bigint {
    return this.#native.readRegister(name);
  }

  writeRegister(name: string, value: bigint): void {
    this.#native.writeRegister(name, value);
  }

  readRegisters(names: readonly string[]): bigint[] {
    return this.#native.readRegisters(names);
  }

  writeRegisters(values: Readonly<Record<string, bigint>>): void {
    for (const [name, value] of Object.entries(values)) this.#native.writeRegister(name, value);
  }

  map(address: bigint, size: bigint, permissions: string): void {
    this.#native.map(address, size, permissions);
  }

  mapShared(address: bigint, size: bigint, permissions: string, memory: WebAssembly.Memory, offset: number): void {
    this.#native.mapShared(address, size, permissions, memory, offset);
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
    const { address, memory, requestOffset, contextOffset, registers, judge, onVerdict } = spec;
    const id = this.#native.addCopyHook(address, memory, requestOffset, contextOffset, registers, judge, onVerdict);
    return { remove: () => this.#native.removeAddressHook(address, id) };
  }

  hookBlock(callback: (address: bigint, size: number) => void): Hook {
    return this.#eventHook(this.#native.addBlockHook(callback));
  }

  hookMemoryFault(callback: MemoryFaultHandler): Hook {
    const id = this.#native.addFaultHook((kind, protection, address, size) =>
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

  #eventHook(id: number): Hook {
    return { remove: () => this.#native.removeEventHook(id) };
  }

  async run(options: RunOptions): Promise<RunResult> {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#begin(options);
    try {
      const end = options.timeLimit === undefined ? Infinity : performance.now() + options.timeLimit;
      let outcome = this.#slice(
        options,
        options.start,
        Math.min(sliceMilliseconds, options.timeLimit ?? Infinity),
        true,
      );
      while (outcome === 'due' && performance.now() < end) {
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
        if (this.#closed) throw new UsercopyError('engine', 'the emulator was closed during a run');
        if (this.#stopped) {
          outcome = 'stopped';
          break;
        }
        const left = Math.max(end - performance.now(), 0.01);
        outcome = this.#slice(options, this.#status[0]!, Math.min(sliceMilliseconds, left), false);
      }
      return this.#result(outcome, options);
    } finally {
      this.#running = false;
    }
  }

  runSync(options: RunOptions): RunResult {
    this.#begin(options);
    try {
      return this.#result(this.#slice(options, options.start, options.timeLimit ?? 0, true), options);
    } finally {
      this.#running = false;
    }
  }

  #begin({ timeLimit, blockLimit }: RunOptions): void {
    if (this.#running) {
      throw new UsercopyError('engine', 'run: this emulator is running already; wait for that run, or stop() it first');
    }
    if (timeLimit !== undefined && !(timeLimit > 0))
      throw badInput('timeLimit', 'milliseconds above 0', `${timeLimit}`);
    if (blockLimit !== undefined && !(Number.isSafeInteger(blockLimit) && blockLimit >= 0)) {
      throw badInput('blockLimit', 'an integer of 0 or more', `${blockLimit}`);
    }
    this.#running = true;
    this.#stopped = false;
  }

  #slice(options: RunOptions, start: bigint, milliseconds: number, first: boolean): Outcome {
    const { until, blockLimit = -1, countInstructions = false } = options;
    return outcomes[this.#native.slice(start, until, milliseconds, blockLimit, countInstructions, first)]!;
  }

  #result(outcome: Outcome, options: RunOptions): RunResult {
    const [pc, instructions, code] = this.#status as unknown as [bigint, bigint, bigint];
    const counted = options.countInstructions ? Number(instructions) : null;
    if (outcome === 'error') {
      return { reason: 'error', pc, instructions: counted, error: this.#addon.errorText(Number(code)) };
    }
    if (outcome === 'halted') {
      const error = { code: 'HALTED', text: 'The guest executed an instruction that halts the CPU' };
      return { reason: 'error', pc, instructions: counted, error };
    }
    return { reason: outcome === 'due' ? 'time limit' : outcome, pc, instructions: counted, error: null };
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
  }

  close(): void {
    this.#native.close();
    this.#closed = true;
  }
}
