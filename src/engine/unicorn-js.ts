/**
 * `Engine` over unicorn.js, the WASM build of Unicorn 2.1: for browsers, and for machines without libunicorn. Its heap is
 * its own, so that guest memory is always foreign to the check; its translation is interpreted, some 50 times slower
 * than libunicorn's. Instructions are counted by a hook on each.
 */

import { badInput, hex, UsercopyError } from '../errors.js';
import type {
  CopyHookSpec,
  Engine,
  EngineBlock,
  EngineSpec,
  Hook,
  MemoryFault,
  MemoryFaultHandler,
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
  ADDRESS_END,
  type InstalledHook,
  MOST_COPY_REGISTERS,
  requireWord,
  UnicornMachine,
} from './unicorn-js/machine.js';
import type { UnicornJsModule } from './unicorn-js/module.js';
import { Constants } from './unicorn-js/names.js';

/** Host time between two looks at the event loop, milliseconds. */
const SLICE_MILLISECONDS = 50;
/** Blocks between two looks at the clock. */
const BLOCKS_PER_LOOK = 32;

/** Opens emulators of one instance of the module; they share its heap. */
export type EngineOpener = (spec: EngineSpec) => Engine;

/** Opens emulators of an instance of unicorn.js that is there already. */
export function unicornJsOpener(module: UnicornJsModule): EngineOpener {
  const constants = new Constants(module);
  return (spec) => {
    requireSpec('openUnicornJs', spec);
    return new UnicornJs(new UnicornMachine(module, constants, spec), spec);
  };
}

/** One hook at an address. */
interface AddressHook {
  /** Grows with every hook: those of one address fire in this order. */
  readonly id: number;
  readonly fire: (pc: bigint) => void;
  /** A copy hook: the registers that it would judge by now; null for other hooks. */
  readonly registers: (() => readonly bigint[]) | null;
  removed: boolean;
}

interface AddressRecord {
  readonly address: bigint;
  readonly installed: InstalledHook;
  readonly hooks: AddressHook[];
}

/** What was done already for the arrival at the address where a run goes on. */
interface Arrival {
  readonly address: bigint;
  /** The block that starts here was counted and told. */
  readonly blockDone: boolean;
  /** Hooks up to this one have fired. */
  readonly fired: number;
}

/**
 * What a run that resumes need not judge again: the copy hooks of one arrival, the one at which the run ended, up to
 * `judged`, which judged these registers. Any arrival at a hook, a register written and a context restored end it.
 */
interface Pass {
  readonly address: bigint;
  readonly judged: AddressHook;
  readonly registers: readonly bigint[];
}

type Ending = 'until' | 'stopped' | 'due' | 'block limit' | 'instruction limit' | 'error' | 'halted';

/** Hooks that are there only while something needs them. */
type SharedHook = 'block' | 'instruction' | 'interrupt' | 'read';

type AddressListener = (address: bigint, size: number) => void;

class Context implements SavedContext {
  #bytes: Uint8Array | null;
  constructor(
    readonly owner: UnicornJs,
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

class UnicornJs implements Engine {
  readonly #runs = new RunEvents();
  readonly name = 'unicorn.js';
  readonly version: string;
  readonly capabilities = { sharedMemory: false, directCheck: true, cycles: false };
  readonly nativeHandle = null;
  readonly #machine: UnicornMachine;

  #nextHook = 1;
  readonly #records = new Map<bigint, AddressRecord>();
  readonly #blocks = new Set<AddressListener>();
  readonly #steps = new Set<AddressListener>();
  readonly #reads = new Set<AddressListener>();
  readonly #faults = new Set<MemoryFaultHandler>();
  readonly #interrupts = new Set<(number: number) => void>();
  readonly #shared = new Map<SharedHook, InstalledHook>();
  #until: bigint | null = null;

  /** A run that has not ended, whether a slice of it is under way or the event loop has its turn. */
  #running = false;
  #emulating = false;
  #stopRequested = false;
  #reached: 'until' | 'block limit' | 'instruction limit' | 'due' | null = null;
  /** Hooks changed: translated code must go before the emulation goes on. */
  #stale = false;
  #failure: { readonly error: unknown } | null = null;
  #arrival: Arrival | null = null;
  #pass: Pass | null = null;
  /** The last copy hook that has judged in this arrival, or need not. */
  #judged: AddressHook | null = null;
  /** Where the emulation was asked to end: the instruction there has not been executed. */
  #leftAt: bigint | null = null;
  #callbackPc: bigint | null = null;
  #wantedPc: bigint | null = null;

  #counts = false;
  #instructions = 0;
  #instructionLimit = Number.POSITIVE_INFINITY;
  #blocksLeft = Number.POSITIVE_INFINITY;
  #deadline = Number.POSITIVE_INFINITY;
  #blocksToLook = 0;

  constructor(
    machine: UnicornMachine,
    readonly spec: EngineSpec,
  ) {
    this.#machine = machine;
    this.version = machine.version;
    const invalid = ['READ', 'WRITE', 'FETCH'].map((kind) => this.#constant(`HOOK_MEM_${kind}_INVALID`));
    machine.install(
      invalid.reduce((all, bit) => all | bit),
      'iiijiji',
      (_uc: number, type: number, address: bigint, size: number) =>
        this.#guarded(false, () => this.#onFault(type, BigInt.asUintN(64, address), size)) ? 1 : 0,
    );
  }

  #constant(name: string): number {
    return this.#machine.constants.get(name);
  }

  readRegister(name: string): bigint {
    this.#machine.requireOpen();
    const id = this.#machine.registerId(name);
    const pc = this.#wantedPc ?? this.#callbackPc;
    return pc !== null && this.#machine.isPc(id) ? pc : this.#machine.readRegister(id);
  }

  readRegisters(names: readonly string[]): bigint[] {
    return names.map((name) => this.readRegister(name));
  }

  writeRegister(name: string, value: bigint): void {
    this.#machine.requireOpen();
    const id = this.#machine.registerId(name);
    requireWord('register value', value);
    this.#pass = null;
    this.#judged = null;
    if (!this.#emulating) this.#arrival = null;
    else if (this.#machine.isPc(id)) {
      // Written when the callback has ended.
      this.#wantedPc = value;
      return;
    }
    this.#machine.require(`uc_reg_write(${name}, ${hex(value)})`, this.#machine.writeRegister(id, value));
    this.#runs.changed();
  }

  writeRegisters(values: Readonly<Record<string, bigint>>): void {
    for (const [name, value] of Object.entries(values)) this.writeRegister(name, value);
  }

  map(address: bigint, size: bigint, permissions: string): void {
    mapTold(
      () => this.regions(),
      address,
      size,
      () => this.#machine.map(address, size, permissions),
    );
  }

  allocateBlock(bytes: number): EngineBlock {
    return this.#machine.allocateBlock(bytes, (address, size, show) =>
      mapTold(() => this.regions(), address, size, show),
    );
  }

  mapShared(): void {
    throw new UsercopyError(
      'unsupported',
      "mapShared: unicorn.js keeps guest memory in a heap of its own; use map() or allocateBlock(), and attach with memory 'foreign'",
    );
  }

  unmap(address: bigint, size: bigint): void {
    this.#machine.unmap(address, size);
  }

  regions(): { start: bigint; end: bigint; permissions: string }[] {
    return this.#machine.regions();
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#machine.read(address, length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#machine.write(address, bytes);
  }

  dropCode(address: bigint, length: number): void {
    this.#machine.requireOpen();
    if (length > 0) this.#machine.dropCode(address, BigInt(length));
  }

  hookAddress(address: bigint, callback: (pc: bigint) => void): Hook {
    return this.#addAddressHook(address, callback, null);
  }

  hookCopy(spec: CopyHookSpec): Hook {
    this.#machine.requireOpen();
    const { registers, memory, requestOffset, contextOffset } = spec;
    if (registers.length > MOST_COPY_REGISTERS) {
      throw badInput('copy hook', `at most ${MOST_COPY_REGISTERS} registers`, String(registers.length));
    }
    const end = requestOffset + 8 * registers.length;
    if (!(requestOffset >= 0 && end <= memory.buffer.byteLength)) {
      throw badInput('copy hook', 'a request inside the memory', `bytes to ${end} of ${memory.buffer.byteLength}`);
    }
    const request = this.#machine.requestWriter(spec);
    const pcSlot = registers.findIndex((name) => name !== null && this.#machine.isPc(this.#machine.registerId(name)));
    const judge = (pc: bigint): void => {
      request.store();
      if (pcSlot >= 0) request.put(pcSlot, pc);
      const code = spec.judge(contextOffset, requestOffset);
      if (code === 0) return;
      const decision: unknown = spec.onVerdict(code);
      if (decision === 'stop') this.#stopRequested = true;
      else if (decision !== 'continue') {
        throw badInput('copy hook', "onVerdict to answer 'stop' or 'continue'", String(decision));
      }
    };
    const names = registers.filter((name, slot): name is string => name !== null && slot !== pcSlot);
    return this.#addAddressHook(
      spec.address,
      judge,
      () => this.readRegisters(names),
      () => request.free(),
    );
  }

  #addAddressHook(
    address: bigint,
    fire: (pc: bigint) => void,
    registers: AddressHook['registers'],
    release = (): void => {},
  ): Hook {
    this.#machine.requireOpen();
    requireWord('address', address);
    const hook: AddressHook = { id: this.#nextHook++, fire, registers, removed: false };
    this.#recordAt(address).hooks.push(hook);
    return {
      remove: () => {
        if (hook.removed) return;
        hook.removed = true;
        release();
        if (this.#emulating) this.#stale = true;
        else this.#sweep();
      },
    };
  }

  #recordAt(address: bigint): AddressRecord {
    const found = this.#records.get(address);
    if (found) return found;
    const fire = (): void => {
      // The hook on every instruction, while it is there, comes to the record itself, so that the order is ours.
      if (!this.#shared.has('instruction')) this.#guarded(false, () => this.#arrive(address));
    };
    const installed = this.#machine.install(this.#constant('HOOK_CODE'), 'vijii', fire, address, address);
    const record = { address, installed, hooks: [] };
    this.#records.set(address, record);
    if (this.#emulating) this.#stale = true;
    else this.#machine.dropCode(address, 1n);
    return record;
  }

  /** Takes away what nobody needs any more; never while the emulator may still call it. */
  #sweep(): void {
    if (!this.#machine.isOpen) return;
    for (const record of this.#records.values()) {
      const kept = record.hooks.filter((hook) => !hook.removed);
      record.hooks.splice(0, record.hooks.length, ...kept);
      if (kept.length > 0 || record.address === this.#until) continue;
      this.#records.delete(record.address);
      this.#machine.dropCode(record.address, 1n);
      this.#machine.uninstall(record.installed);
    }
  }

  hookBlock(callback: AddressListener): Hook {
    return this.#listen(this.#blocks, callback);
  }

  hookInstruction(callback: AddressListener): Hook {
    return this.#listen(this.#steps, callback);
  }

  hookMemoryRead(callback: AddressListener): Hook {
    return this.#listen(this.#reads, callback);
  }

  hookMemoryFault(callback: MemoryFaultHandler): Hook {
    return this.#listen(this.#faults, callback);
  }

  hookInterrupt(callback: (number: number) => void): Hook {
    return this.#listen(this.#interrupts, callback);
  }

  #listen<Callback>(listeners: Set<Callback>, callback: Callback): Hook {
    this.#machine.requireOpen();
    listeners.add(callback);
    if (this.#emulating) this.#stale = true;
    return { remove: () => void listeners.delete(callback) };
  }

  // Callbacks of the emulator. No exception may unwind its frames: it is kept, the emulation ends, and the run throws it.

  #guarded<Result>(otherwise: Result, work: () => Result): Result {
    if (this.#failure !== null) return otherwise;
    try {
      return work();
    } catch (error) {
      this.#failure ??= { error };
      this.#machine.stop();
      return otherwise;
    }
  }

  get #interrupted(): boolean {
    return this.#stopRequested || this.#failure !== null || this.#stale || this.#reached !== null;
  }

  #leave(address: bigint): void {
    this.#leftAt = address;
    this.#machine.stop();
  }

  /** Whether the instruction at the address will be executed now. */
  #arrive(address: bigint): boolean {
    if (this.#leftAt !== null) return false;
    if (address === this.#until) this.#reached = 'until';
    if (this.#interrupted) {
      this.#leave(address);
      return false;
    }
    const before = this.#arrival?.address === address ? this.#arrival : null;
    this.#arrival = null;
    let fired = before?.fired ?? 0;
    const passed = this.#takePass(address);
    this.#judged = passed;
    this.#callbackPc = address;
    for (const hook of this.#records.get(address)?.hooks.slice() ?? []) {
      if (hook.removed || hook.id <= fired || (hook.registers && passed && hook.id <= passed.id)) continue;
      if (hook.registers) this.#judged = hook;
      try {
        hook.fire(address);
      } catch (error) {
        this.#failure ??= { error };
      }
      fired = hook.id;
      if (this.#failure !== null || this.#stopRequested || this.#wantedPc !== null) break;
    }
    if (this.#finishArrival({ address, blockDone: true, fired })) return true;
    if (this.#arrival !== null) this.#givePass(address);
    return false;
  }

  /** The run ends at an arrival whose copies have been judged. */
  #givePass(address: bigint): void {
    const judged = this.#judged;
    if (judged === null || judged.registers === null || judged.removed) return;
    this.#pass = { address, judged, registers: judged.registers() };
  }

  /** The last of this arrival's copy hooks that need not judge again. */
  #takePass(address: bigint): AddressHook | null {
    const pass = this.#pass;
    this.#pass = null;
    if (pass?.address !== address || pass.judged.removed) return null;
    const now = pass.judged.registers?.() ?? [];
    return pass.registers.every((value, index) => value === now[index]) ? pass.judged : null;
  }

  /** After the callbacks of one arrival: on (true), elsewhere, or out of the emulation. */
  #finishArrival(done: Arrival): boolean {
    this.#callbackPc = null;
    if (this.#interrupted) {
      if (this.#failure === null && this.#wantedPc === null) this.#arrival = done;
      this.#leave(done.address);
      return false;
    }
    return !this.#goElsewhere();
  }

  /** Whether a callback has sent the guest elsewhere. */
  #goElsewhere(): boolean {
    if (this.#wantedPc === null) return false;
    const pc = this.#wantedPc;
    this.#wantedPc = null;
    this.#arrival = null;
    this.#machine.pc = pc;
    return true;
  }

  #onBlock(address: bigint, size: number): void {
    if (this.#leftAt !== null || address === this.#until) return;
    if (--this.#blocksToLook <= 0) {
      this.#blocksToLook = BLOCKS_PER_LOOK;
      if (performance.now() >= this.#deadline) this.#reached = 'due';
    }
    const arrival = this.#arrival?.address === address ? this.#arrival : null;
    if (!this.#interrupted && !arrival?.blockDone && this.#blocksLeft-- <= 0) {
      this.#blocksLeft = 0;
      this.#reached = 'block limit';
    }
    if (this.#interrupted) {
      this.#leave(address);
      return;
    }
    if (arrival?.blockDone || this.#blocks.size === 0) return;
    this.#tell(this.#blocks, address, size);
    this.#finishArrival({ address, blockDone: true, fired: arrival?.fired ?? 0 });
  }

  #onInstruction(address: bigint, size: number): void {
    if (this.#leftAt !== null) return;
    if (this.#records.has(address) && !this.#arrive(address)) return;
    if (this.#instructions >= this.#instructionLimit) {
      this.#reached = 'instruction limit';
      if (this.#records.has(address)) this.#givePass(address);
      this.#leave(address);
      return;
    }
    if (this.#steps.size > 0) {
      this.#tell(this.#steps, address, size);
      if (!this.#finishArrival({ address, blockDone: true, fired: this.#nextHook })) return;
    }
    this.#instructions++;
  }

  #tell(listeners: ReadonlySet<AddressListener>, address: bigint, size: number): void {
    this.#callbackPc = address;
    for (const callback of [...listeners]) {
      if (!listeners.has(callback)) continue;
      callback(address, size);
      if (this.#stopRequested || this.#wantedPc !== null) break;
    }
  }

  #onFault(type: number, address: bigint, size: number): boolean {
    const fault = this.#describeFault(type, address, size);
    if (fault.kind === 'fetch' && address === this.#until) {
      this.#reached = 'until';
      this.#leftAt = address;
      return false;
    }
    if (![...this.#faults].some((callback) => callback(fault))) return false;
    if (fault.kind === 'fetch') this.#machine.noteOrphans();
    this.#goElsewhere();
    this.#stopUnlessBlocksAreSeen();
    return true;
  }

  #describeFault(type: number, address: bigint, size: number): MemoryFault {
    const kinds = { read: 'READ', write: 'WRITE', fetch: 'FETCH' } as const;
    for (const kind of ['read', 'write', 'fetch'] as const) {
      const name = kinds[kind];
      const protection = type === this.#constant(`MEM_${name}_PROT`);
      if (protection || type === this.#constant(`MEM_${name}_UNMAPPED`)) return { kind, protection, address, size };
    }
    throw new UsercopyError('engine', `unicorn.js: expected a kind of memory fault, found ${type}`);
  }

  /** Without a hook on every block nothing else would look at the request. */
  #stopUnlessBlocksAreSeen(): void {
    if (this.#stopRequested && !this.#shared.has('block')) this.#machine.stop();
  }

  #onInterrupt(number: number): void {
    if (this.#leftAt !== null) return;
    for (const callback of [...this.#interrupts]) callback(number);
    if (this.#interrupted) this.#machine.stop();
    else this.#goElsewhere();
  }

  #onRead(address: bigint, size: number): void {
    if (this.#leftAt !== null) return;
    for (const callback of [...this.#reads]) callback(address, size);
    this.#stopUnlessBlocksAreSeen();
  }

  hookRun(callback: (event: RunEvent) => void): Hook {
    return this.#runs.hook(callback);
  }

  async run(options: RunOptions): Promise<RunResult> {
    const { signal, timeLimit } = options;
    signal?.throwIfAborted();
    this.#begin(options);
    let pc: bigint | null = null;
    try {
      const end = timeLimit === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeLimit;
      const slice = (): number => Math.min(performance.now() + SLICE_MILLISECONDS, end);
      let ending = this.#slice(options.until, options.start, slice());
      while (ending === 'due' && performance.now() < end) {
        await nextTurn();
        signal?.throwIfAborted();
        if (!this.#machine.isOpen) throw new UsercopyError('engine', 'the emulator was closed during a run');
        ending = this.#stopRequested ? 'stopped' : this.#slice(options.until, this.#machine.pc, slice());
      }
      const result = this.#result(ending);
      pc = result.pc;
      return result;
    } finally {
      this.#running = false;
      this.#runs.end(pc);
    }
  }

  runSync(options: RunOptions): RunResult {
    this.#begin(options);
    let pc: bigint | null = null;
    try {
      const { start, until, timeLimit } = options;
      const end = timeLimit === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeLimit;
      const result = this.#result(this.#slice(until, start, end));
      pc = result.pc;
      return result;
    } finally {
      this.#running = false;
      this.#runs.end(pc);
    }
  }

  #begin(options: RunOptions): void {
    requireRunOptions(options);
    this.#machine.requireOpen();
    if (this.#running) {
      throw new UsercopyError('engine', 'run: this emulator is running already; wait for that run, or stop() it first');
    }
    const { start, until, timeLimit, blockLimit, instructionLimit } = options;
    requireWord('start', start);
    requireWord('until', until);
    if (timeLimit !== undefined && !(timeLimit > 0)) {
      throw badInput('timeLimit', 'milliseconds above 0', `${timeLimit}`);
    }
    requireCount('blockLimit', blockLimit);
    requireCount('instructionLimit', instructionLimit);
    if (options.cycles !== undefined || options.cycleLimit !== undefined) {
      throw new UsercopyError('unsupported', 'cycles: unicorn.js counts instructions only (see its capabilities)');
    }
    this.#runs.begin(start, options.resume === true);
    this.#running = true;
    this.#stopRequested = false;
    this.#instructions = 0;
    this.#counts = options.countInstructions === true || instructionLimit !== undefined;
    this.#instructionLimit = instructionLimit ?? Number.POSITIVE_INFINITY;
    this.#blocksLeft = blockLimit ?? Number.POSITIVE_INFINITY;
    // What has fired for this arrival fires again; what was judged is not judged again only where that was asked for.
    this.#arrival = null;
    if (!options.resume) this.#pass = null;
  }

  /** Runs until something ends the slice; `deadline` by `performance.now()`. */
  #slice(until: bigint, start: bigint, deadline: number): Ending {
    this.#setUntil(until);
    this.#deadline = deadline;
    this.#blocksToLook = 0;
    for (let pc = start; ; pc = this.#machine.pc) {
      if (this.#arrival?.address !== pc) this.#arrival = null;
      if (this.#pass?.address !== pc) this.#pass = null;
      if (this.#stopRequested) {
        this.#machine.pc = pc;
        return 'stopped';
      }
      this.#adjustSharedHooks();
      const code = this.#emulate(pc);
      const ending = this.#endingOf(code);
      if (ending !== null) return ending;
    }
  }

  /** One emulation; gives its `uc_err`, the pc being right. */
  #emulate(pc: bigint): number {
    this.#reached = null;
    this.#leftAt = null;
    this.#wantedPc = null;
    this.#emulating = true;
    let code = 0;
    try {
      code = this.#machine.start(pc, this.#until ?? pc);
    } catch (error) {
      // An abort, or WASM that trapped: nothing in the module can be relied on any more.
      this.#failure ??= {
        error: new UsercopyError(
          'engine',
          `unicorn.js itself failed (${error instanceof Error ? error.message : String(error)}): load it anew to go on`,
          { cause: error },
        ),
      };
    }
    this.#emulating = false;
    this.#callbackPc = null;
    this.#sweep();
    // The emulator itself ends there too, where a block begins.
    if (code === 0 && this.#leftAt === null && !this.#interrupted && this.#machine.pc === this.#until) {
      this.#reached = 'until';
    }
    const at = this.#placeOfPc();
    if (at !== null) this.#machine.pc = at;
    return code;
  }

  /** Where the guest stands, if a callback or the end of the emulation decided it; the emulator knows it otherwise. */
  #placeOfPc(): bigint | null {
    const at = this.#wantedPc ?? this.#leftAt;
    this.#wantedPc = null;
    return at;
  }

  /** How the slice ended; null when the emulation goes on after a change of hooks. */
  #endingOf(code: number): Ending | null {
    if (this.#failure !== null) {
      const { error } = this.#failure;
      this.#failure = null;
      throw error;
    }
    this.#errorCode = code;
    if (this.#reached === 'until') return 'until';
    if (code !== 0) return 'error';
    if (this.#stopRequested) return 'stopped';
    if (this.#reached !== null) return this.#reached;
    return this.#stale ? null : 'halted';
  }

  /** The last emulation's `uc_err`. */
  #errorCode = 0;

  #setUntil(until: bigint): void {
    if (this.#until === until) return;
    this.#until = until;
    this.#recordAt(until);
    this.#sweep();
  }

  /** Translated code goes when one of them comes or goes. */
  #adjustSharedHooks(): void {
    const limited = Number.isFinite(this.#deadline) || Number.isFinite(this.#blocksLeft);
    this.#adjust('block', limited || this.#blocks.size > 0, 'HOOK_BLOCK', 'vijii', (_uc, address, size) =>
      // Unicorn's own callback types: address a bigint, size a number.
      this.#onBlock(BigInt.asUintN(64, address as bigint), size as number),
    );
    this.#adjust('instruction', this.#counts || this.#steps.size > 0, 'HOOK_CODE', 'vijii', (_uc, address, size) =>
      // The same.
      this.#onInstruction(BigInt.asUintN(64, address as bigint), size as number),
    );
    this.#adjust('interrupt', this.#interrupts.size > 0, 'HOOK_INTR', 'viii', (_uc, number) =>
      // The same.
      this.#onInterrupt((number as number) >>> 0),
    );
    this.#adjust('read', this.#reads.size > 0, 'HOOK_MEM_READ', 'viijiji', (_uc, _type, address, size) =>
      // The same.
      this.#onRead(BigInt.asUintN(64, address as bigint), size as number),
    );
    if (!this.#stale) return;
    this.#stale = false;
    this.#machine.dropCode(0n, ADDRESS_END);
  }

  #adjust(
    name: SharedHook,
    wanted: boolean,
    type: string,
    signature: string,
    callback: (...args: (number | bigint)[]) => void,
  ): void {
    const installed = this.#shared.get(name);
    if (wanted === (installed !== undefined)) return;
    if (installed) {
      this.#machine.uninstall(installed);
      this.#shared.delete(name);
    } else {
      const guarded = (...args: (number | bigint)[]): void => this.#guarded(undefined, () => callback(...args));
      this.#shared.set(name, this.#machine.install(this.#constant(type), signature, guarded));
    }
    this.#stale = true;
  }

  #result(ending: Ending): RunResult {
    const counted = { instructions: this.instructionCount, instructionsRange: null, cycles: null };
    const common = { pc: this.#machine.pc, ...counted };
    if (ending === 'error') {
      const code = this.#machine.constants.errorName(this.#errorCode);
      return { reason: 'error', ...common, error: { code, text: this.#machine.errorText(this.#errorCode) } };
    }
    if (ending === 'halted') {
      const error = { code: 'HALTED', text: 'The guest executed an instruction that halts the CPU' };
      return { reason: 'error', ...common, error };
    }
    return { reason: ending === 'due' ? 'time limit' : ending, ...common, error: null };
  }

  stop(): void {
    this.#stopRequested = true;
  }

  get instructionCount(): number | null {
    return this.#counts ? this.#instructions : null;
  }

  readonly cycleCount = null;

  chargeCycles(): void {}

  saveContext(): SavedContext {
    return new Context(this, this.#machine.saveContext());
  }

  restoreContext(context: SavedContext): void {
    if (!(context instanceof Context) || context.owner !== this) {
      throw new UsercopyError('engine', 'restoreContext: expected a context that this emulator saved');
    }
    this.#machine.restoreContext(context.bytes);
    this.#runs.restore();
    if (this.#emulating) this.#wantedPc = this.#machine.pc;
    this.#arrival = null;
    this.#pass = null;
    this.#judged = null;
  }

  close(): void {
    if (this.#emulating) {
      throw new UsercopyError('engine', 'close: the emulator is running; a callback cannot do this: stop() first');
    }
    this.#machine.close();
    this.#records.clear();
  }
}

function requireCount(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw badInput(name, 'an integer of 0 or more', `${value}`);
}
