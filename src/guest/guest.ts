/**
 * A kernel image made runnable at function level: RAM with the image in it, a task with a stack, a user page, and a way
 * to call a function and learn how it ended. Nothing is booted; what is faked is listed in `docs/guests.md`.
 */

import type { BootVariable, FrameLayout, MemoryLayout, Variant } from '../../arch/driver.js';
import { variantOf } from '../../arch/index.js';
import { Check, type CheckSource } from '../check/check.js';
import { builtCheck } from '../engine/built-check.js';
import type { Engine, EngineSpec, RunOptions, RunResult } from '../engine/engine.js';
import { nextTurn } from '../engine/turn.js';
import { openUnicorn } from '../engine/unicorn-native.js';
import { hex, UsercopyError } from '../errors.js';
import { withMemory } from '../introspect/parameters.js';
import { exportedVariables, withSymbols } from '../kernel/added-symbols.js';
import type { Kernel, Segment } from '../kernel/kernel.js';
import {
  aBoolean,
  aCount,
  aDuration,
  aFunction,
  aKernel,
  aNumber,
  anArray,
  aWord,
  having,
  type OptionRule,
  requireOptions,
  requireValue,
} from '../options.js';
import { type ArgumentPlaces, CallWatch, GuestCall } from '../stack/call.js';
import { currentOffsetOf } from '../stack/entry-point.js';
import { BlockBacking, type GuestBacking, SharedBacking } from './backing.js';
import { callObserver } from './call-observer.js';
import { hidesVariables, withHiddenVariables } from './hidden-variables.js';
import { MachineState } from './machine-state.js';
import { GuestMemory, type MemorySnapshot } from './memory.js';

const PAGE = 4096n;
const MIB = 1n << 20n;
/** RAM that is left beside the image, unless more is asked for. */
const SPARE_RAM = 64n * MIB;
/** Room that a called function finds above its stack pointer: what its callers would have used of the stack. */
const CALLER_STACK = 1024n;
const DEFAULT_TIME_LIMIT = 10_000;
/** Of a check that reads memory through the emulator. */
const FOREIGN_GUEST_BYTES = 65_536;

export interface GuestOptions {
  /** Bytes of RAM; at least the image's end. Default: the image and 64 MiB. */
  readonly ramBytes?: bigint | undefined;
  /** Physical address of RAM's first byte. */
  readonly physicalBase?: bigint | undefined;
  /** Memory of its own at fixed virtual addresses, besides RAM. */
  readonly regions?: readonly { readonly address: bigint; readonly size: bigint }[] | undefined;
  /** Opens the emulator: `openUnicorn` (default), or what `openUnicornJs()` gives, whose memory the check reads through it. */
  readonly openEngine?: ((spec: EngineSpec) => Engine) | undefined;
  /** Where check.wasm comes from; default: as the set-up built it. */
  readonly checkSource?: CheckSource | undefined;
}

/** How a called function ended, with the counts of `RunResult`. */
export type CallOutcome = Pick<RunResult, 'instructions' | 'cycles'> &
  (
    | { readonly kind: 'returned'; readonly value: bigint }
    /** BUG() was hit; `pc` is its instruction. */
    | { readonly kind: 'bug'; readonly pc: bigint; readonly symbol: string }
    /** A hook (an attachment, usually) stopped the guest. */
    | { readonly kind: 'stopped'; readonly pc: bigint }
    /** The limit of instructions or cycles was reached. */
    | { readonly kind: 'limited'; readonly pc: bigint }
  );

export interface CallOptions
  extends Pick<RunOptions, 'countInstructions' | 'instructionLimit' | 'cycles' | 'cycleLimit'> {
  /** Stack pointer at the function's first instruction, before anything is pushed; default: near the stack's end. */
  readonly stackPointer?: bigint;
  /** Where arguments go; default `registers`, as far as there are any. */
  readonly places?: ArgumentPlaces;
  /** Milliseconds; default 10 000. */
  readonly timeLimit?: number;
}

/** What `Guest.snapshot()` keeps; only the guest that made it can take it back. */
export interface GuestSnapshot {
  readonly owner: Guest;
  readonly memory: MemorySnapshot;
  readonly machine: MachineState;
  readonly task: bigint;
  readonly stack: { readonly start: bigint; readonly end: bigint };
}

const RULES: Readonly<Record<keyof GuestOptions, OptionRule>> = {
  ramBytes: aWord,
  physicalBase: aWord,
  regions: anArray,
  openEngine: aFunction,
  checkSource: having('where check.wasm comes from', 'module'),
};

const CALL_RULES: Readonly<Record<keyof CallOptions, OptionRule>> = {
  countInstructions: aBoolean,
  instructionLimit: aCount,
  cycles: aFunction,
  cycleLimit: aNumber,
  stackPointer: aWord,
  places: { words: ['registers', 'stack'] },
  timeLimit: aDuration,
};

export class Guest {
  readonly variant: Variant;
  /** The image's symbols and types, over the guest's memory as it is now. */
  readonly kernel: Kernel;
  readonly engine: Engine;
  readonly check: Check;
  readonly layout: MemoryLayout;
  readonly memory: GuestMemory;
  /** User memory: mapped, zeroed, one MiB. */
  readonly user: { readonly address: bigint; readonly size: bigint };
  #task = 0n;
  #stack: { start: bigint; end: bigint };
  readonly #stopAddress: bigint;
  readonly #frameLayout: FrameLayout | null;
  readonly #guestCall: GuestCall;
  readonly #watch: CallWatch;
  /** The function called last. */
  #called: bigint | null = null;

  private constructor(
    kernel: Kernel,
    variant: Variant,
    engine: Engine,
    check: Check,
    memory: GuestMemory,
    user: bigint,
  ) {
    this.variant = variant;
    this.engine = engine;
    this.check = check;
    this.memory = memory;
    this.kernel = withMemory(kernel, (address, length) => memory.tryRead(address, length));
    this.layout = variant.layout(this.kernel);
    this.user = { address: user, size: USER_BYTES };
    this.#frameLayout = variant.frames.layout(this.kernel);
    this.#stopAddress = memory.allocate(PAGE);
    if (variant.stopCode !== undefined) memory.write(this.#stopAddress, variant.stopCode);
    const boot = memory.allocate(variant.threadSize(kernel));
    this.#stack = { start: boot, end: boot + variant.threadSize(kernel) };
    this.#guestCall = new GuestCall(variant, engine, memory);
    this.#watch = new CallWatch(variant, engine, (address, length) => memory.tryRead(address, length));
  }

  /**
   * Lays out RAM, loads the image and readies the emulator.
   * @throws UsercopyError `unsupported` when no emulator runs this architecture, `bad-input` when RAM is too small,
   *   `missing-dependency` without libunicorn.
   */
  static async create(kernel: Kernel, options: GuestOptions = {}): Promise<Guest> {
    requireValue('Guest.create: kernel', kernel, aKernel);
    requireOptions('Guest.create', options, RULES);
    if (!hidesVariables(kernel)) return Guest.#build(kernel, options);
    const exported = withSymbols(kernel, exportedVariables(kernel));
    const scratch = await Guest.#build(exported, options);
    try {
      return await Guest.#build(await withHiddenVariables(exported, scratch), options);
    } finally {
      scratch.close();
    }
  }

  static async #build(kernel: Kernel, options: GuestOptions): Promise<Guest> {
    const variant = variantOf(kernel.variant);
    if ('unsupported' in variant.engine) {
      throw new UsercopyError('unsupported', `${variant.name} cannot run: ${variant.engine.unsupported}`);
    }
    const physicalBase = options.physicalBase ?? 0n;
    const bootVariables = placeBootVariables(kernel, variant.bootVariables(kernel, physicalBase));
    const booted = withMemory(kernel, (address, length) => {
      const variable = bootVariables.find((candidate) => candidate.address === address && candidate.size === length);
      return variable ? encodeNumber(variable.value, length, kernel.endian === 'little') : kernel.read(address, length);
    });
    const layout = variant.layout(booted);
    const placed = placeImage(kernel, layout, physicalBase);
    const imageEnd = placed.reduce((end, { physical, segment }) => max(end, physical + segment.size), physicalBase);
    const ramBytes = options.ramBytes ?? roundUp(imageEnd - physicalBase + SPARE_RAM, 2n * MIB);
    if (imageEnd - physicalBase > ramBytes) {
      throw new UsercopyError(
        'bad-input',
        `guest RAM: expected at least ${imageEnd - physicalBase} bytes for the image, found ${ramBytes}`,
      );
    }

    const regions = options.regions ?? [];
    const extra = regions.reduce((sum, region) => sum + roundUp(region.size, PAGE), USER_BYTES);
    // Node.js runs the finalizers of earlier guests' emulators only between turns of the event loop.
    await nextTurn();
    const { openEngine = openUnicorn, checkSource = builtCheck } = options;
    const engine = openEngine(variant.engine);
    try {
      const { check, backing } = await makeMemory(engine, checkSource, Number(ramBytes + extra), kernel);
      const memory = new GuestMemory(engine, backing, kernel, variant, {
        physicalBase,
        bytes: ramBytes,
        firstFree: imageEnd,
      });
      const linear = layout.linearMaps.find((map) => map.virtual === layout.pageOffset);
      if (!linear) throw new UsercopyError('unsupported', `${variant.name}: its layout has no linear map`);
      memory.mapRam(layout.pageOffset + (physicalBase - linear.physical), physicalBase, ramBytes);
      mapImage(memory, placed, layout);
      for (const { segment, physical } of placed) memory.writePhysical(physical, segment.bytes);
      for (const { address, size, value } of bootVariables) memory.writeUnsigned(address, size, value);
      for (const region of regions) memory.mapOwn(region.address, region.size);
      memory.mapOwn(USER_ADDRESS, USER_BYTES);
      variant.prepare(engine, { kernel });
      const guest = new Guest(kernel, variant, engine, check, memory, USER_ADDRESS);
      guest.#preparePerCpu();
      guest.#boot();
      const initTask = kernel.symbols.address('init_task');
      if (initTask !== undefined && kernel.types !== null) guest.enterTask(initTask);
      return guest;
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  /** The task_struct that is `current`. */
  get task(): bigint {
    return this.#task;
  }

  /** The stack that calls run on: of `current`, or a spare one before there is a task. */
  get stack(): { readonly start: bigint; readonly end: bigint } {
    return this.#stack;
  }

  /** The stack pointer at which calls start by default. */
  get stackPointer(): bigint {
    return this.#stack.end - CALLER_STACK;
  }

  /** The stack pointer that a called function sees at its first instruction, the return address pushed. */
  get stackPointerAtEntry(): bigint {
    return this.#guestCall.entryStackPointer(this.stackPointer);
  }

  /** Argument `index` of the function at whose first instruction the guest stands: a register's, or a word on the stack. */
  argument(index: number, places: ArgumentPlaces = 'registers'): bigint {
    return this.#guestCall.argument(index, places);
  }

  /** The first `count` arguments of that function, as unsigned words. */
  arguments(count: number): bigint[] {
    const { registers, bits } = this.variant;
    const values = this.engine.readRegisters(registers.arguments.slice(0, count));
    for (let index = values.length; index < count; index++) values.push(this.argument(index));
    return values.map((value) => BigInt.asUintN(bits, value));
  }

  /** Makes a task current and runs on its stack from now on. */
  enterTask(task: bigint): void {
    const { current } = this.variant;
    const types = this.kernel.types;
    if (types === null) {
      throw new UsercopyError('bad-input', 'a task cannot be entered: the kernel has no types; give them with --btf');
    }
    if (current.kind === 'register') this.engine.writeRegister(current.register, task);
    if (current.kind === 'memory') {
      const base = current.base === null ? 0n : this.engine.readRegister(current.base);
      const offset = currentOffsetOf(this.kernel, current) ?? current.offset;
      this.memory.writeWord(BigInt.asUintN(64, base + offset), task);
    }
    this.#task = task;
    const stack = this.memory.readWord(task + BigInt(types.struct('task_struct').offset('stack')));
    this.#stack = { start: stack, end: stack + this.variant.threadSize(this.kernel) };
    if (current.kind === 'masked stack pointer' && current.register !== undefined)
      this.engine.writeRegister(current.register, stack);
  }

  /** Address of a symbol. @throws UsercopyError `bad-input` when the kernel has none of that name. */
  symbol(name: string): bigint {
    const address = this.kernel.symbols.address(name);
    if (address === undefined) {
      throw new UsercopyError(
        'bad-input',
        `kernel ${this.kernel.version.release}: expected a symbol ${name}, found none`,
      );
    }
    return address;
  }

  /**
   * Calls a function by name or address with word arguments.
   * @throws UsercopyError `guest` when it faults, raises an unknown exception or does not end within the limit: with the
   *   function's name and the address.
   */
  async call(target: string | bigint, args: readonly bigint[], options: CallOptions = {}): Promise<CallOutcome> {
    requireOptions('Guest.call', options, CALL_RULES);
    const address = typeof target === 'string' ? this.symbol(target) : target;
    this.#setUpCall(address, args, options);
    return this.#run(address, options);
  }

  /** Like `call`, in one go, for short functions called very often. `timeLimit` in milliseconds. */
  callOnce(address: bigint, args: readonly bigint[], timeLimit: number, countInstructions = false): CallOutcome {
    this.#setUpCall(address, args, {});
    this.#watch.begin();
    return this.#outcome(
      this.engine.runSync({ start: address, until: this.#stopAddress, timeLimit, countInstructions }),
      address,
      timeLimit,
    );
  }

  /** Runs on from where a hook stopped the guest; what was judged there is not judged again (`RunOptions.resume`). */
  async resume(options: CallOptions = {}): Promise<CallOutcome> {
    const pc = this.engine.readRegister(this.variant.registers.pc);
    return this.#run(pc, options, true);
  }

  /** Where called functions return to; no code lies there. */
  get returnAddress(): bigint {
    return this.#stopAddress;
  }

  /** Leaves the guest at the function's first instruction as `call` would have it, without running it; null: where calls return to. */
  stand(target: string | null, args: readonly bigint[] = []): void {
    const address = target === null ? this.#stopAddress : this.symbol(target);
    this.#setUpCall(address, args, {});
    this.engine.writeRegister(this.variant.registers.pc, address);
  }

  /** Calls a function and gives its value. @throws UsercopyError `guest` when it does not return. */
  async callForValue(target: string | bigint, args: readonly bigint[], options: CallOptions = {}): Promise<bigint> {
    const outcome = await this.call(target, args, options);
    if (outcome.kind === 'returned') return outcome.value;
    throw new UsercopyError(
      'guest',
      `${this.#describe(target)}: expected it to return, but it ended in ${outcome.kind} at ${this.#describe(outcome.pc)}`,
    );
  }

  /**
   * CPU, memory, the current task, and what was mapped and taken of RAM, as they are now. By copy on every engine: all
   * memory is looked at, what is not zero is kept (docs/performance.md says what that costs). Also in a callback.
   */
  snapshot(): GuestSnapshot {
    return {
      owner: this,
      // With memory that somebody mapped into the emulator himself.
      machine: new MachineState(this.engine, ({ start }) => !this.memory.maps(start)),
      memory: this.memory.snapshot(),
      task: this.#task,
      stack: this.#stack,
    };
  }

  /**
   * Puts a snapshot of this guest back, as often as one likes. Attachments stay, and drop what they knew of the run before.
   * @throws UsercopyError `guest` for a snapshot of another guest; `engine` when the guest is closed, or when memory that
   *   somebody mapped into its emulator has been unmapped since.
   */
  restore(snapshot: GuestSnapshot): void {
    if (snapshot.owner !== this) {
      throw new UsercopyError('guest', 'Guest.restore: expected a snapshot of this guest, found one of another');
    }
    // First the CPU: what waits in an audit is judged then, by the memory that it was noted in.
    snapshot.machine.restore();
    this.memory.restore(snapshot.memory);
    this.#task = snapshot.task;
    this.#stack = snapshot.stack;
  }

  /** Closes the emulator and the check, whose memory the collector takes. Twice is harmless. */
  close(): void {
    this.engine.close();
    this.check.close();
    this.memory.close();
  }

  #preparePerCpu(): void {
    const { current } = this.variant;
    if (current.kind !== 'memory' || current.base === null || current.symbols.length === 0) return;
    const { symbols } = this.kernel;
    const start = symbols.address('__per_cpu_start');
    const end = symbols.address('__per_cpu_end');
    const load = symbols.address('__per_cpu_load');
    if (start === undefined || end === undefined || load === undefined || end <= start) return;
    const area = this.memory.allocate(roundUp(end - start, PAGE));
    this.memory.write(area, this.memory.read(load, Number(end - start)));
    const offset = BigInt.asUintN(64, area - start);
    this.engine.writeRegister(current.base, offset);
    const own = symbols.address('this_cpu_off');
    if (own !== undefined) this.memory.writeWord(BigInt.asUintN(64, own + offset), offset);
    const offsets = symbols.address('__per_cpu_offset');
    if (offsets !== undefined) this.memory.writeWord(offsets, offset);
  }

  /** What the driver does in boot code's place, and the functions that cannot run. */
  #boot(): void {
    const { kernel, engine, memory, variant } = this;
    variant.boot?.({
      kernel,
      engine,
      ram: memory.ram,
      user: this.user,
      allocate: (size, alignment) => memory.allocateAligned(size, alignment),
      write: (address, size, value) => memory.writeUnsigned(address, size, value),
    });
    for (const { symbol, code } of variant.stubs ?? []) {
      const address = kernel.symbols.address(symbol);
      if (address !== undefined) memory.write(address, code);
    }
  }

  #setUpCall(target: bigint, args: readonly bigint[], options: Pick<CallOptions, 'stackPointer' | 'places'>): void {
    if (target !== this.#called) {
      this.#called = target;
      callObserver.getStore()?.(this.#describe(target));
    }
    const entry = this.#guestCall.enter({
      target,
      arguments: args,
      stackPointer: options.stackPointer ?? this.stackPointer,
      returnTo: this.#stopAddress,
      places: options.places,
    });
    this.#linkFrame(entry);
  }

  /** The frame at `sp` is the outermost but one: the last has a record of zeroes near the stack's end, where walks end. */
  #linkFrame(sp: bigint): void {
    const { registers } = this.variant;
    const layout = this.#frameLayout;
    if (layout === null) return;
    const last = this.#stack.end - CALLER_STACK / 2n;
    this.memory.writeWord(last + BigInt(layout.savedFrame), 0n);
    this.memory.writeWord(last + BigInt(layout.returnAddress), 0n);
    const link = last - BigInt(layout.bias);
    // Where the stack pointer itself begins the chain, the record that it leads to holds the first link.
    if (registers.fp === registers.sp) this.memory.writeWord(sp + BigInt(layout.bias + layout.savedFrame), link);
    else this.engine.writeRegister(registers.fp, link);
  }

  async #run(
    start: bigint,
    { stackPointer: _, places: __, ...options }: CallOptions,
    resume = false,
  ): Promise<CallOutcome> {
    this.#watch.begin();
    const timeLimit = options.timeLimit ?? DEFAULT_TIME_LIMIT;
    const result = await this.engine.run({ ...options, start, resume, until: this.#stopAddress, timeLimit });
    return this.#outcome(result, start, timeLimit);
  }

  #outcome(result: RunResult, described: bigint, timeLimit: number): CallOutcome {
    const { pc } = result;
    const counts = { instructions: result.instructions, cycles: result.cycles };
    const end = this.#watch.endOf(result, this.#stopAddress);
    switch (end.kind) {
      case 'returned':
        return { kind: 'returned', value: this.engine.readRegister(this.variant.registers.returnValue), ...counts };
      case 'bug':
        return { kind: 'bug', pc: end.pc, symbol: this.#describe(end.pc), ...counts };
      case 'exception':
        throw this.#error(described, `raised exception ${end.number} at ${this.#describe(pc)}`);
      case 'other':
    }
    switch (result.reason) {
      case 'until':
      case 'stopped':
        return { kind: 'stopped', pc, ...counts };
      case 'instruction limit':
      case 'cycle limit':
        return { kind: 'limited', pc, ...counts };
      case 'time limit':
      case 'block limit':
        throw this.#error(described, `did not return within ${timeLimit} ms; it was at ${this.#describe(pc)}`);
      case 'error':
        throw this.#error(described, `ended at ${this.#describe(pc)}: ${this.#whyEnded(result)}`);
    }
  }

  #whyEnded({ error }: RunResult): string {
    const { fault } = this.#watch;
    if (fault === null) return error?.text ?? 'an unknown error';
    const what = fault.protection ? `${fault.kind} of protected memory` : `${fault.kind} of memory that is not there`;
    return `${what} at ${hex(fault.address)}`;
  }

  #error(described: bigint, what: string): UsercopyError {
    return new UsercopyError('guest', `${this.#describe(described)}: the function ${what}`);
  }

  #describe(target: string | bigint): string {
    if (typeof target === 'string') return target;
    const found = this.kernel.symbols.find(target);
    const address = hex(target);
    if (!found) return address;
    return found.offset === 0n ? found.symbol.name : `${found.symbol.name}+${hex(found.offset)}`;
  }
}

const USER_ADDRESS = 0x1000_0000n;
const USER_BYTES = MIB;

interface PlacedSegment {
  readonly segment: Segment;
  readonly physical: bigint;
}

const max = (left: bigint, right: bigint): bigint => (left > right ? left : right);
const min = (left: bigint, right: bigint): bigint => (left < right ? left : right);
const roundUp = (value: bigint, to: bigint): bigint => ((value + to - 1n) / to) * to;

function encodeNumber(value: bigint, length: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const shift = BigInt(8 * (little ? index : length - 1 - index));
    bytes[index] = Number((value >> shift) & 0xffn);
  }
  return bytes;
}

interface PlacedVariable {
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  readonly value: bigint;
}

/** Boot variables with their addresses; those whose symbol or type the kernel lacks are left out. */
function placeBootVariables(kernel: Kernel, variables: readonly BootVariable[]): PlacedVariable[] {
  return variables.flatMap(({ symbol, member, value }) => {
    const address = kernel.symbols.address(symbol);
    if (address === undefined) return [];
    if (!member) return [{ address, size: kernel.bits / 8, value }];
    const [struct, path] = member;
    const field = kernel.types?.hasStruct(struct) ? kernel.types.struct(struct).field(path) : undefined;
    return field ? [{ address: address + BigInt(field.offset), size: field.size, value }] : [];
  });
}

/** Guest memory inside the check's, where the emulator can map that; else a block of the emulator's that the check reads through it. */
async function makeMemory(
  engine: Engine,
  source: CheckSource,
  guestBytes: number,
  kernel: Kernel,
): Promise<{ readonly check: Check; readonly backing: GuestBacking }> {
  if (engine.capabilities.sharedMemory) {
    const check = await Check.create({ source, guestBytes });
    return { check, backing: new SharedBacking(engine, check, kernel) };
  }
  const block = engine.allocateBlock?.(guestBytes);
  if (block === undefined) {
    throw new UsercopyError('unsupported', `${engine.name}: expected an emulator that shows memory at two addresses`);
  }
  const check = await Check.create({ source, guestBytes: FOREIGN_GUEST_BYTES });
  return { check, backing: new BlockBacking(engine, check, block, kernel) };
}

/** Segments that belong to the image's own mapping, with their physical addresses; the per-cpu template at 0 is not one. */
function placeImage(kernel: Kernel, layout: MemoryLayout, physicalBase: bigint): PlacedSegment[] {
  const placed = kernel.segments
    .filter((segment) => segment.address >= layout.imageOffset && segment.size > 0n)
    .map((segment) => ({ segment, physical: segment.address - layout.imageOffset }));
  const stray = placed.find(({ physical }) => physical < physicalBase);
  if (placed.length === 0 || stray) {
    const found = stray ? `a segment at physical ${hex(stray.physical)}` : 'none';
    throw new UsercopyError(
      'bad-input',
      `kernel ${kernel.version.release}: expected segments above physical ${hex(physicalBase)}, found ${found}`,
    );
  }
  return placed;
}

/** Bytes of RAM that are seen beside the image at its own addresses, as boot code's large pages show them. */
const IMAGE_MARGIN = 2n * MIB;

function mapImage(memory: GuestMemory, placed: readonly PlacedSegment[], layout: MemoryLayout): void {
  const last = placed.reduce((high, { physical, segment }) => max(high, physical + segment.size), 0n);
  const first = placed.reduce((low, { physical }) => min(low, physical), last);
  const { physicalBase, bytes } = memory.ram;
  const wanted = first - (first % PAGE) - IMAGE_MARGIN;
  const start = max(wanted, physicalBase);
  const end = min(roundUp(last, PAGE) + IMAGE_MARGIN, physicalBase + bytes);
  const address = start + layout.imageOffset;
  if (!memory.isMapped(address)) memory.mapRam(address, start, end - start);
}
