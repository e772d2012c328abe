/**
 * What this project asks of an emulator. `unicorn-native.ts` answers for libunicorn through the addon in `native/`;
 * others can follow. Addresses and register values are unsigned 64-bit bigints; 32-bit guests use the low half.
 */

/** What an engine can do beyond the minimum. */
export interface EngineCapabilities {
  /** Guest memory can lie inside a WebAssembly.Memory (`mapShared`). */
  readonly sharedMemory: boolean;
  /** `hookCopy` reads registers straight into WASM memory and calls the check without TypeScript in between. */
  readonly directCheck: boolean;
  /** Runs can price their blocks (`RunOptions.cycles`). */
  readonly cycles: boolean;
}

/** How to open an emulator: names as Unicorn spells its constants, without the prefix. */
export interface EngineSpec {
  /** `X86`, `ARM64`, … (UC_ARCH_*) */
  readonly arch: string;
  /** `64`, `ARM`, `BIG_ENDIAN`, … (UC_MODE_*), or-ed together. */
  readonly mode: readonly string[];
  /** CPU model (`UC_CPU_*` without the prefix, e.g. `ARM64_A72`); Unicorn's default when absent. */
  readonly cpu?: string;
  /**
   * Whether the guest's own page tables are followed (Unicorn's UC_TLB_CPU). By default addresses are those that were
   * mapped, which guests at function level want: since Unicorn 2.1 kernel addresses of x86_64 cannot be reached otherwise.
   * Unicorn before 2.1 follows page tables in any case, once the guest has paging on.
   */
  readonly mmu?: boolean;
}

/** A hook that is on until `remove()`; removing twice is harmless. */
export interface Hook {
  remove(): void;
}

export interface MemoryFault {
  readonly kind: 'read' | 'write' | 'fetch';
  /** Whether the address is mapped but protected. */
  readonly protection: boolean;
  readonly address: bigint;
  readonly size: number;
}

/** A callback's answer to a fault: `true` when the memory is there now and the access should be tried again. */
export type MemoryFaultHandler = (fault: MemoryFault) => boolean;

/**
 * A hook on the entry of a function that copies (or judges a copy). At each arrival the engine reads `registers` in one
 * batch, stores them as consecutive little-endian u64 at `requestOffset` of `memory`, and calls `judge(contextOffset, requestOffset)`.
 * `judge` answers 0 when the guest may go on; anything else calls `onVerdict`, and the guest is stopped before the
 * instruction at `address` when that answers `'stop'`. Every arrival is judged, also when the guest arrives there again
 * with the same registers; only a run with `resume` goes on from a stop without a second judgement.
 */
export interface CopyHookSpec {
  readonly address: bigint;
  readonly memory: WebAssembly.Memory;
  /** Byte offset of the request inside `memory`. */
  readonly requestOffset: number;
  /** First argument of `judge`. */
  readonly contextOffset: number;
  /** Register names in the order of the request's fields; `null` leaves that u64 untouched. At most 16. */
  readonly registers: readonly (string | null)[];
  /** A WASM export `(context: i32, request: i32) => i32`. It must not throw; if it does, the run stops and rethrows. */
  readonly judge: (context: number, request: number) => number;
  /** The same judge as native code, for engines that can call it without leaving their own; others call `judge`. */
  readonly native?: NativeJudge | null;
  readonly onVerdict: (code: number) => 'stop' | 'continue';
  /** Audit: the request is appended to this ring instead, and the guest goes on; `judge` and `onVerdict` are not called. */
  readonly ring?: RequestRing | null;
  /** With a ring: the word of `bytes` bytes that the request's u64 `stackPointer` leads to is stored in its u64 `returnAddress`, by number. */
  readonly stackedReturn?: {
    readonly stackPointer: number;
    readonly returnAddress: number;
    readonly bytes: 4 | 8;
  } | null;
}

/** Requests that hooks append to `memory` and that are judged many at once. */
export interface RequestRingSpec {
  readonly memory: WebAssembly.Memory;
  /** Byte offset of a u32: how many requests wait. */
  readonly countOffset: number;
  /** Byte offset of the first request. */
  readonly firstOffset: number;
  /** From one request to the next. */
  readonly requestBytes: number;
  readonly capacity: number;
  /** Bytes at a request's start that a hook copies from its own request before it stores the registers. */
  readonly headBytes: number;
  readonly contextOffset: number;
  /** Judges `count` requests from `first` on; answers how many deserve a look. */
  readonly judge: (context: number, first: number, count: number) => number;
  readonly native?: NativeJudge | null;
  /** Some of the first `count` requests deserve a look. `stop` ends a run that is under way. */
  readonly onVerdicts: (count: number) => 'stop' | 'continue';
}

/** It is judged when it is full, at the end of every slice of a run, and when it is flushed. */
export interface RequestRing {
  flush(): void;
  /** Forgets what waits; hooks that append to it must have been removed. */
  close(): void;
}

/** A piece of code that the emulator translated as one: entered at its start, left at its end or by an exception. */
export interface CodeBlock {
  readonly address: bigint;
  /** Its bytes; empty where they cannot be read. */
  readonly code: Uint8Array;
  readonly instructions: number;
  /** Thumb code (32-bit ARM only). */
  readonly thumb: boolean;
}

/**
 * Says how many cycles a block takes: 0 or more, finite. Asked once per block and engine, before the block first runs,
 * and again when its bytes have changed, or when a run is given another pricer.
 */
export type BlockPricer = (block: CodeBlock) => number;

/**
 * `begin`: a run begins, other than one that resumes. `end`: a run has ended, in whichever
 * way. `restore`: a saved context was restored.
 */
export type RunEvent = 'begin' | 'end' | 'restore';

/** What an addon's `NativeCheck` does at a hook. */
export interface NativeJudge {
  readonly check: object;
  /** Arrivals of one copy are told once (`Executor.checkOutermost`). */
  readonly outermost: boolean;
}

export interface RunOptions {
  /**
   * The run goes on from where the one before ended: at `start`, its `RunResult.pc`. What copy hooks have judged of that
   * arrival is not judged again: once, and only if nothing has happened since, no other run, no register written, no
   * context restored, the hook not removed; otherwise the arrival is a new one and is judged. Plain hooks fire again.
   */
  readonly resume?: boolean;
  /** On 32-bit ARM with bit 0 set for Thumb code; where the CPU already is, it goes on in its state. */
  readonly start: bigint;
  /** The run ends before the instruction at this address. */
  readonly until: bigint;
  /**
   * Milliseconds of host time; no limit when absent. It is looked at on entering a block, as are the slices of `run`:
   * about a nanosecond a block, which `runSync` without limits does not pay.
   */
  readonly timeLimit?: number | undefined;
  /** Translation blocks entered; no limit when absent. */
  readonly blockLimit?: number | undefined;
  /**
   * Count guest instructions, one per UC_HOOK_CODE firing: what is executed, or raises an exception. Counted by block;
   * exact but after a memory fault (`RunResult.instructionsRange`). Instructions of Thumb's IT blocks whose condition fails
   * count as ARM's conditional ones do, although Unicorn 2.0.1 fires only for the latter.
   */
  readonly countInstructions?: boolean | undefined;
  /**
   * The run ends when so many instructions have been executed, also in the middle of a block. Counts them too. It may
   * end a little earlier where Unicorn cannot be stopped without harm: on SPARC and MIPS before the branch instead of in its
   * delay slot, before the IT instruction instead of in what it makes conditional, on s390x before the block where this
   * libunicorn loses the condition code inside it (up to 2.1.1; `quirks()` says so).
   */
  readonly instructionLimit?: number | undefined;
  /**
   * Adds up the prices of the blocks entered. A block that is left before its end costs the part of its price that its
   * executed instructions are of all. Counts instructions too.
   */
  readonly cycles?: BlockPricer | undefined;
  /** With `cycles`: the run ends before the first block at which so many cycles have been reached. */
  readonly cycleLimit?: number | undefined;
  /** Aborts between slices: `run` rejects with the signal's reason. `runSync` does not look at it. */
  readonly signal?: AbortSignal | undefined;
}

export interface RunResult {
  readonly reason: /** `until` was reached. */
    | 'until'
    /** `stop()` was called, or a copy hook stopped the guest. */
    | 'stopped'
    | 'time limit'
    | 'block limit'
    | 'instruction limit'
    | 'cycle limit'
    /** The emulator gave up, or the guest halted its CPU; `error` says why. */
    | 'error';
  /** Program counter after the run: where it goes on, also after `'stopped'` (stale after a memory fault: Unicorn's pc is then that of the block). */
  readonly pc: bigint;
  /** Guest instructions executed, when counting was asked for; with an `instructionsRange`, the least. */
  readonly instructions: number | null;
  /**
   * Set where the count is not exact. Loads and stores that fault do not tell which instruction of their block it was
   * (the pc is stale); a fault that a callback mended leaves no doubt.
   */
  readonly instructionsRange: { readonly least: number; readonly most: number } | null;
  /** Cycles, when `cycles` was given: the prices of what was executed, and what was charged. */
  readonly cycles: number | null;
  /**
   * Unicorn's error: the name of its constant without the prefix (`INSN_INVALID`, `READ_UNMAPPED`), and its text;
   * `HALTED` when the guest halted.
   */
  readonly error: { readonly code: string; readonly text: string } | null;
}

/** Memory that an emulator owns, see `Engine.allocateBlock`. Offsets are bytes from its start. */
export interface EngineBlock {
  readonly bytes: number;
  /** A copy. */
  read(offset: number, length: number): Uint8Array;
  /** Translated code stays: see `Engine.dropCode`. */
  write(offset: number, bytes: Uint8Array): void;
  /** Shows `size` bytes from `offset` on at an address, as `Engine.map` and `mapShared` do. */
  map(address: bigint, size: bigint, permissions: string, offset: number): void;
}

/** A saved CPU state; belongs to the engine that made it. */
export interface SavedContext {
  /** The opaque bytes as Unicorn keeps them (some quirks are mended there); `restoreContext` takes changes into account. */
  readonly bytes: Uint8Array;
  free(): void;
}

export interface Engine {
  readonly name: string;
  /** Version of the emulator, `2.0.1`. */
  readonly version: string;
  readonly spec: EngineSpec;
  readonly capabilities: EngineCapabilities;
  /**
   * What the emulator that is loaded cannot do for this machine where another release can, in words. It is tried, once for a
   * process. Absent where the engine tries nothing.
   */
  quirks?(): readonly string[];
  /** What a native check reads this emulator's memory through; null where there is no such thing. */
  readonly nativeHandle: object | null;

  /** Register names are Unicorn's, lower case without the prefix: `rax`, `gs_base`, `x0`, `sp_el0`. Unknown: an error. */
  readRegister(name: string): bigint;
  writeRegister(name: string, value: bigint): void;
  readRegisters(names: readonly string[]): bigint[];
  writeRegisters(values: Readonly<Record<string, bigint>>): void;

  /** Maps zeroed memory that the emulator owns. Address and size in bytes, multiples of 4096 (of 8192 on sparc64). */
  map(address: bigint, size: bigint, permissions: string): void;
  /** Maps `size` bytes at `offset` of a WASM memory; the memory stays alive while it is mapped. */
  mapShared(address: bigint, size: bigint, permissions: string, memory: WebAssembly.Memory, offset: number): void;
  /**
   * Zeroed memory of the emulator's own, `bytes` long, that can be shown at any number of addresses. For emulators without
   * `sharedMemory`; absent in others. It is given back when the emulator is closed.
   */
  allocateBlock?(bytes: number): EngineBlock;
  unmap(address: bigint, size: bigint): void;
  /** Mapped regions in address order: `end` is the first byte after. */
  regions(): { start: bigint; end: bigint; permissions: string }[];
  read(address: bigint, length: number): Uint8Array;
  /** Also drops code that was translated from these bytes. */
  write(address: bigint, bytes: Uint8Array): void;
  /** Drops translated code of a range: for bytes that were changed behind the emulator's back (shared memory). */
  dropCode(address: bigint, length: number): void;

  /**
   * Fires before the instruction at `address`, also when that code has run before; added in a callback, from the next
   * block on. Writing the pc in the callback makes the guest go on there. In a delay slot of SPARC's the run fails with
   * `unsupported` where Unicorn forgets the jump for a hook (2.1.4 does).
   */
  hookAddress(address: bigint, callback: (pc: bigint) => void): Hook;
  hookBlock(callback: (address: bigint, size: number) => void): Hook;
  hookMemoryFault(callback: MemoryFaultHandler): Hook;
  /** Fires at every load from memory that is mapped; slow, for looking at short pieces of code. `size` in bytes. */
  hookMemoryRead(callback: (address: bigint, size: number) => void): Hook;
  /** Fires before every instruction; slow, for looking at short pieces of code. `size` in bytes. */
  hookInstruction(callback: (address: bigint, size: number) => void): Hook;
  /** Interrupts and exceptions, by the emulator's number. */
  hookInterrupt(callback: (number: number) => void): Hook;
  hookCopy(spec: CopyHookSpec): Hook;
  /** Tells of the emulator's runs; costs nothing inside of them. */
  hookRun(callback: (event: RunEvent) => void): Hook;
  /** Absent where hooks cannot append: no audits then. */
  openRing?(spec: RequestRingSpec): RequestRing;

  /** Runs in slices of about 50 ms, so that timers and signals are served. An exception in a callback stops the run and rejects. */
  run(options: RunOptions): Promise<RunResult>;
  /** Like `run`, in one go and without serving the event loop; give limits. */
  runSync(options: RunOptions): RunResult;
  /**
   * Ends the run at the next block; callable from callbacks, where it ends the run before the instruction that the
   * callback was called for; for one in a delay slot of SPARC's or MIPS', at the block after it, since the jump would be forgotten.
   * In a memory fault callback of a `runSync` without limits the pc is stale afterwards.
   */
  stop(): void;

  /**
   * Guest instructions executed by the run that is under way (else the last one); null when it does not count. In a
   * callback: before the instruction that it is called for, that is before the block for `hookBlock`, and after the
   * instruction that raised an exception for `hookInterrupt`. In callbacks for memory the least that it can be.
   */
  readonly instructionCount: number | null;
  /** The same for cycles; null when the run has no pricer. */
  readonly cycleCount: number | null;
  /** Adds to the cycles of the run; nothing happens when it does not count them. A finite number of 0 or more. */
  chargeCycles(cycles: number): void;

  saveContext(): SavedContext;
  restoreContext(context: SavedContext): void;

  /** Closes the emulator; every later call is an error. Twice is harmless. */
  close(): void;
}
