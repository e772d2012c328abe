/**
 * The check, for TypeScript: the WASM module of `assembly/` with its linear memory. Control area first, guest memory
 * after it; the memory never grows. Hooks call `judgeExport` themselves; everything else goes through here.
 */
import type { Engine } from '../engine/engine.js';
import { badInput } from '../errors.js';
import { latin1 } from '../kernel/bytes.js';
import { decodeUnsigned, LITTLE, Words } from '../kernel/words.js';
import { aBoolean, aByteArray, aCount, anObject, type OptionRule, requireFields, requireOptions } from '../options.js';
import { ContextWriter } from './context.js';
import { type ControlArea, layOutControlArea, RING_HEAD } from './control.js';
import { DeclarationTables } from './declarations.js';
import {
  allocateMemory,
  type CheckSource,
  EXECUTORS,
  type Executor,
  type ExecutorName,
  exportedNumbers,
  type HostRead,
  type Judge,
  type JudgeBatch,
  makeExecutor,
} from './executors.js';
import { Layout, Structure } from './layout.js';
import { type Look, LookWords, type UnknownState } from './look.js';
import type { CheckParameters, Declaration, Slot } from './parameters.js';
import { type MappedRegion, RegionTable } from './regions.js';
import { SlotTable } from './slots.js';
import { type CheckedObject, type Copy, type Direction, requireCopy, type Verdict } from './verdict.js';
import { type CheckStatistics, type Reason, reasonsByCode, StatisticsTable } from './verdicts.js';
import { Windows } from './windows.js';

export { type CheckSource, type Executor, type ExecutorName, type ExecutorState, executors } from './executors.js';
export type { MappedRegion } from './regions.js';
export type { CheckStatistics, ReasonCount } from './verdicts.js';

export interface CheckOptions {
  /** What runs the check: `builtCheck` in Node.js. */
  readonly source: CheckSource;
  /** Bytes of guest memory inside linear memory; 0 for foreign memory. */
  readonly guestBytes: number;
  /** Declarations of one kind; 4096 when absent. */
  readonly declaredCapacity?: number;
  /** Mapped regions; 1024 when absent. */
  readonly regionCapacity?: number;
  /** Request slots; 4096 when absent. */
  readonly requestCapacity?: number;
  /** Requests that wait to be judged in an audit; 1024 when absent. */
  readonly ringCapacity?: number;
  /** Functions of the kernel whose starts are known (`knowFunctions`); 262 144 when absent. */
  readonly functionCapacity?: number;
  /** Who runs the check; `auto` (default) is the fastest that is available, see `executors()`. */
  readonly executor?: 'auto' | ExecutorName;
  /** The module; the source's own when absent. */
  readonly wasm?: Uint8Array;
}

/** Requests in linear memory that wait to be judged, in the order in which they were made. */
export interface Ring {
  /** Offset of a u32: how many wait. */
  readonly countOffset: number;
  /** Offset of the first request; they are `requestBytes` apart. */
  readonly firstOffset: number;
  readonly capacity: number;
  /** Bytes at a request's start that are set when it is made: its registers, and what is known before. */
  readonly headBytes: number;
}

/** What a hook knows of a copy before a register is read. */
export interface RequestPreset {
  /** `register`: the request's `direction` is a bool, true is to_user. `by address`: `pointer` is the destination, `other` the source. */
  readonly direction: Direction | 'register' | 'by address';
  /** Only the low half of `size` counts. */
  readonly sizeBits?: 32 | undefined;
  /** Of a copy that passes, too, `copyOf()` and `verdictOf()` tell all. Costs some nanoseconds a copy. */
  readonly explain?: boolean | undefined;
  /** What the judges of whole copies (`Executor.checkOutermost`) have to know besides. */
  readonly function?: RequestFunction | undefined;
}

/** The function whose entry a request is made at. */
export interface RequestFunction {
  /** `CHECK`: the kernel's own check. */
  readonly role: 'COPY' | 'CHECK';
  /** Where it returns to: in the request's `returnAddress`, or in the word that its `stackPointer` leads to. */
  readonly returnPlace: 'FIELD' | 'STACK';
  /** Its code: first byte, and first byte after it. */
  readonly start: bigint;
  readonly end: bigint;
}

/** The registers that the check asks for, beside the copy itself. */
export interface JudgedAt {
  readonly stackPointer: bigint;
  readonly framePointer: bigint;
  /** What `StackParameters.current` starts from. */
  readonly currentBase: bigint;
}

const REQUEST_FIELDS = [
  'pointer',
  'size',
  'other',
  'direction',
  'stackPointer',
  'framePointer',
  'currentBase',
  'returnAddress',
] as const;

const NEEDED = {
  source: {
    accepts: (value) => typeof value === 'object' && value !== null && 'module' in value,
    expected: 'where check.wasm comes from (builtCheck in Node.js)',
  },
  guestBytes: aCount,
} satisfies Partial<Record<keyof CheckOptions, OptionRule>>;

const RULES: Readonly<Record<keyof CheckOptions, OptionRule>> = {
  ...NEEDED,
  declaredCapacity: aCount,
  regionCapacity: aCount,
  requestCapacity: aCount,
  ringCapacity: aCount,
  functionCapacity: aCount,
  executor: { words: ['auto', ...EXECUTORS] },
  wasm: aByteArray,
};

const PRESET_RULES = {
  direction: { words: ['to_user', 'from_user', 'register', 'by address'] },
  sizeBits: { accepts: (value) => value === 32, expected: '32, where only the low half counts' },
  explain: aBoolean,
  function: anObject,
} satisfies Record<keyof RequestPreset, OptionRule>;

const DIRECTION_KINDS = {
  to_user: 'TO_USER',
  from_user: 'FROM_USER',
  register: 'REGISTER',
  'by address': 'BY_ADDRESS',
} as const;

/** See `Check.image()`. */
export interface CheckImage {
  /** check.wasm itself. */
  readonly module: Uint8Array;
  readonly bytes: Uint8Array;
  /** Offset of the context in them. */
  readonly context: number;
  readonly verdicts: ReadonlyMap<number, Reason>;
  /** Caches of declared slabs, by the number in a request's `cache`. */
  readonly declaredCaches: ReadonlyMap<number, string>;
  /** Offset of the Look, and the words for its `unknown`. */
  readonly look: number;
  readonly unknownStates: ReadonlyMap<number, UnknownState>;
}

/** A judgement is repeated at most so often while memory is brought in. */
const RETRY_LIMIT = 64;
const FUNCTION_CAPACITY = 262_144;
const MOST_ENTRIES = 255;
/** Cache names are read to their NUL, or this far. */
const NAME_LIMIT = 256;

/** Everything of a check that holds its linear memory: gone when it is closed, so that the collector can have it. */
interface Open {
  readonly memory: WebAssembly.Memory;
  readonly executor: Executor;
  readonly executors: Map<ExecutorName, Executor>;
  readonly regions: RegionTable;
  readonly declarations: DeclarationTables;
  readonly statistics: StatisticsTable;
  readonly context: Structure;
  /** The ranges that the kernel's check was asked about last. */
  readonly checkedRanges: readonly Structure[];
}

export class Check {
  /** Order of the request's u64 fields, for hooks. */
  static readonly requestFields = REQUEST_FIELDS;
  readonly requestFields = REQUEST_FIELDS;

  /** Where guest memory starts in linear memory; a multiple of 64 KiB. */
  readonly guestOffset: number;
  readonly guestBytes: number;
  /** First argument of `judgeExport`. */
  readonly contextOffset: number;
  /** The request that `judge()` uses. */
  readonly requestOffset: number;
  /** Bytes from one request to the next of `createRequests()`. */
  readonly requestBytes: number;
  /** Who runs the check. */
  readonly executor: ExecutorName;
  /** Reads guest memory that no region covers: exactly `length` bytes, or undefined where they cannot be had. */
  #foreignReader: ((address: bigint, length: number) => Uint8Array | undefined) | null = null;
  /** Brings in the bytes at an address (and maps them); whether it could. */
  missing: ((address: bigint) => boolean) | null = null;

  readonly #layout: Layout;
  readonly #area: ControlArea;
  readonly #reasons: ReadonlyMap<number, Reason>;
  readonly #lookWords: LookWords;
  readonly #firstNoteworthy: number;
  readonly #source: CheckSource;
  readonly #module: Uint8Array;
  readonly #hostRead: HostRead;
  readonly #requests: SlotTable;
  #foreignEngine: Engine | null = null;
  #parameters: CheckParameters | null = null;
  #open: Open | null;
  /** What had been judged when it was closed. */
  #lastStatistics: CheckStatistics | null = null;
  #entries = 0;
  readonly #ring: Ring;
  #ringTaken = false;
  #claimed = false;

  private constructor(
    module: Uint8Array,
    memory: WebAssembly.Memory,
    executor: Executor,
    hostRead: HostRead,
    layout: Layout,
    area: ControlArea,
    options: CheckOptions,
  ) {
    this.#source = options.source;
    this.#module = module;
    this.#hostRead = hostRead;
    this.executor = executor.name;
    this.#layout = layout;
    this.#area = area;
    this.guestOffset = area.guest;
    this.guestBytes = options.guestBytes;
    this.contextOffset = area.context;
    this.requestBytes = layout.get('RequestLayout', 'BYTES');
    this.#reasons = reasonsByCode(layout);
    this.#lookWords = new LookWords(layout);
    const context = new Structure(memory, layout, 'ContextLayout', area.context);
    const windows = new Windows(memory, layout, area);
    const rangeBytes = layout.get('CheckedRangeLayout', 'BYTES');
    context.setU32('checkedRanges', area.checkedRanges);
    context.setU32('functions', area.functions);
    this.#open = {
      memory,
      executor,
      executors: new Map([[executor.name, executor]]),
      regions: new RegionTable(memory, layout, area, windows, options.regionCapacity ?? 1024),
      declarations: new DeclarationTables(memory, layout, area, options.declaredCapacity ?? 4096),
      statistics: new StatisticsTable(memory, layout, area.context, this.#reasons),
      context,
      checkedRanges: Array.from(
        { length: layout.get('CheckedRanges', 'COUNT') },
        (_, index) => new Structure(memory, layout, 'CheckedRangeLayout', area.checkedRanges + index * rangeBytes),
      ),
    };
    this.#firstNoteworthy = layout.get('VerdictRange', 'FIRST_NOTEWORTHY');
    this.#requests = new SlotTable(
      area.requests,
      this.requestBytes,
      Math.floor((area.requestsEnd - area.requests) / this.requestBytes),
    );
    this.#ring = {
      countOffset: area.ring,
      firstOffset: area.ring + RING_HEAD,
      capacity: options.ringCapacity ?? 1024,
      headBytes: layout.get('RequestLayout', 'judgedPointer'),
    };
    this.requestOffset = this.createRequest({ direction: 'to_user' });
    this.#request(this.requestOffset).setU8('explain', true);
  }

  /**
   * Makes the linear memory and an executor on it. Call `configure()` next.
   * @throws UsercopyError `missing-dependency` when the executor asked for is not available.
   */
  static async create(options: CheckOptions): Promise<Check> {
    requireOptions('Check.create', options, RULES);
    requireFields('Check.create', options, NEEDED);
    const module = options.wasm ?? options.source.module();
    const layout = new Layout(await exportedNumbers(options.source, module));
    const area = layOutControlArea(layout, {
      guestBytes: options.guestBytes,
      declared: options.declaredCapacity ?? 4096,
      regions: options.regionCapacity ?? 1024,
      requests: (options.requestCapacity ?? 4096) + 1,
      ring: options.ringCapacity ?? 1024,
      functions: options.functionCapacity ?? FUNCTION_CAPACITY,
    });
    const memory = allocateMemory(area.pages);
    let check: Check | null = null;
    const read: HostRead = (low, high, length, destination) =>
      check ? check.#readForeign(low, high, length, destination) : 0;
    const executor = await makeExecutor(options.executor ?? 'auto', options.source, module, memory, read);
    check = new Check(module, memory, executor, read, layout, area, options);
    return check;
  }

  get #live(): Open {
    if (this.#open === null) throw badInput('check', 'one that is open', 'one that was closed');
    return this.#open;
  }

  /** Control area first, guest memory from `guestOffset` on. */
  get memory(): WebAssembly.Memory {
    return this.#live.memory;
  }

  /** The module's export: 0 when the guest may go on, else ask `verdictOf(request)`. */
  get judgeExport(): Judge {
    return this.#live.executor.check;
  }

  /** The same for hooks on functions that call each other: copies inside a copy are passed over. */
  get judgeOutermostExport(): Judge {
    return this.#live.executor.checkOutermost;
  }

  /** The module's export: judges consecutive requests, gives how many deserve a look. */
  get judgeBatchExport(): JudgeBatch {
    return this.#live.executor.checkBatch;
  }

  /**
   * Lets go of linear memory, guest memory in it, which the collector takes when nobody else holds `memory`: close the
   * emulator that maps it first (`Guest.close()` does both). `statistics()` still tells what was judged; taking things back
   * (detaching, undeclaring) is harmless; anything else is an error. Twice is harmless.
   */
  close(): void {
    if (this.#open === null) return;
    this.#lastStatistics = this.#open.statistics.read();
    this.#open.executors.get('native')?.native?.close();
    this.#open = null;
    this.#foreignReader = null;
    this.#foreignEngine = null;
    this.missing = null;
  }

  /** An executor on this check's memory, for hooks; made when it is first asked for. `auto` is the check's own. */
  async executorFor(wanted: 'auto' | ExecutorName): Promise<Executor> {
    const name = wanted === 'auto' ? this.executor : wanted;
    const { executors } = this.#live;
    const known = executors.get(name);
    if (known) return known;
    const made = await makeExecutor(name, this.#source, this.#module, this.memory, this.#hostRead);
    executors.set(name, made);
    made.native?.readFrom(this.#foreignEngine?.nativeHandle ?? undefined);
    return made;
  }

  /** Says what kind of guest this is; may be called again. */
  configure(parameters: CheckParameters): void {
    new ContextWriter(this.memory, this.#layout, this.#area).write(parameters);
    this.#parameters = parameters;
  }

  get parameters(): CheckParameters {
    if (!this.#parameters) throw badInput('check', 'configure() before its parameters are used', 'none');
    return this.#parameters;
  }

  get foreignReader(): ((address: bigint, length: number) => Uint8Array | undefined) | null {
    return this.#foreignReader;
  }

  set foreignReader(reader: ((address: bigint, length: number) => Uint8Array | undefined) | null) {
    this.#readForeignFrom(reader, null);
  }

  /** Reads guest memory that no region covers from this emulator. */
  readFromEngine(engine: Engine): void {
    this.#readForeignFrom((address, length) => {
      try {
        return engine.read(address, length);
      } catch {
        return undefined;
      }
    }, engine);
  }

  #readForeignFrom(reader: typeof this.foreignReader, engine: Engine | null): void {
    if (this.#open === null && reader === null) return;
    this.#live.context.setU8('hostReads', reader !== null);
    this.#live.executors.get('native')?.native?.readFrom(engine?.nativeHandle ?? undefined);
    this.#foreignReader = reader;
    this.#foreignEngine = engine;
  }

  #readForeign(low: number, high: number, length: number, destination: number): number {
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const bytes = this.#foreignReader?.(address, length);
    if (!bytes || bytes.length < length) return 0;
    new Uint8Array(this.memory.buffer, destination >>> 0, length).set(bytes.subarray(0, length));
    return 1;
  }

  /** Mapped regions in address order. */
  get regions(): readonly MappedRegion[] {
    return this.#live.regions.list;
  }

  /** Guest addresses [address, address + size) lie at `offset` of linear memory. Overlap is an error; two addresses of the same bytes are fine. */
  mapRegion(address: bigint, size: bigint, offset: number): void {
    this.#live.regions.map(address, size, offset);
  }

  unmapRegion(address: bigint): void {
    this.#live.regions.unmap(address);
  }

  declare(declaration: Declaration): void {
    this.#live.declarations.add(declaration);
  }

  /** How many declarations there are. */
  get declared(): number {
    return this.#live.declarations.count;
  }

  /** Takes back what was declared at this first address. */
  undeclare(start: bigint): void {
    this.#open?.declarations.remove(start);
  }

  clearDeclarations(): void {
    this.#live.declarations.clear();
  }

  /** A fresh request slot for one entry point; gives its offset. It is there until `releaseRequests()`. */
  createRequest(preset: RequestPreset): number {
    return this.createRequests(preset, 1);
  }

  /** Consecutive request slots of one entry point, `requestBytes` apart, for `judgeBatchExport`; gives the first one's offset. */
  createRequests(preset: RequestPreset, count: number): number {
    requireOptions('check: requests', preset, PRESET_RULES);
    requireFields('check: requests', preset, { direction: PRESET_RULES.direction });
    if (!Number.isInteger(count) || count < 1) throw badInput('check: requests', 'one or more', String(count));
    const first = this.#requests.take(count);
    if (first === undefined) {
      throw badInput('check: requests', `at most ${this.#requests.largest} more (requestCapacity)`, String(count));
    }
    const end = first + count * this.requestBytes;
    // 0 is no entry point. Two that share a number are judged both where one calls the other: nothing is missed.
    this.#entries = (this.#entries % MOST_ENTRIES) + 1;
    for (let offset = first; offset < end; offset += this.requestBytes) {
      const request = this.#request(offset);
      this.#preset(request, preset.direction, preset.sizeBits ?? 64);
      request.setU8('explain', preset.explain ?? false);
      request.setU8('entry', this.#entries);
      if (preset.function) this.#presetFunction(request, preset.function);
    }
    return first;
  }

  /** Takes back what `createRequests()` gave, once: no hook may use it any more, and the offset may soon be another's. */
  releaseRequests(first: number): void {
    if (first !== this.requestOffset) this.#requests.giveBack(first);
  }

  #preset(request: Structure, direction: RequestPreset['direction'], sizeBits: number): void {
    request.setU8('directionKind', this.#layout.get('DirectionKind', DIRECTION_KINDS[direction]));
    request.setU8('sizeBits', sizeBits);
  }

  #presetFunction(request: Structure, { role, returnPlace, start, end }: RequestFunction): void {
    request.setU8('role', this.#layout.get('EntryRole', role));
    request.setU8('returnPlace', this.#layout.get('ReturnPlace', returnPlace));
    request.setU64('bodyStart', start);
    request.setU64('bodyEnd', end);
  }

  /**
   * Says where the kernel's functions begin, in ascending order: the judges of whole copies tell by them whether two calls
   * are made by one function. Beyond the capacity, and 4 GiB from the first, none is known.
   */
  knowFunctions(starts: readonly bigint[]): void {
    const [base = 0n] = starts;
    const capacity = Math.floor((this.#area.guest - this.#area.functions) / 4);
    const table = new Uint32Array(this.memory.buffer, this.#area.functions, capacity);
    let count = 0;
    for (const start of starts) {
      if (count === capacity || start - base > 0xffff_ffffn) break;
      table[count++] = Number(start - base);
    }
    this.#live.context.setU64('functionBase', base);
    this.#live.context.setU32('functionCount', count);
  }

  /** No arrival from now on is part of a copy that is under way: the guest runs anew, or from another state. */
  endCopy(): void {
    this.#live.context.setU32('copyEntry', 0);
    this.#live.context.setU32('lastEntry', 0);
    for (const range of this.#live.checkedRanges) range.setU64('size', 0n);
  }

  #request(offset: number): Structure {
    return new Structure(this.memory, this.#layout, 'RequestLayout', offset);
  }

  /** Judges one copy; brings memory in where `missing` can. */
  judge(copy: Copy, at: JudgedAt): Verdict {
    requireCopy('check: copy', copy);
    if (!this.#parameters) throw badInput('check', 'configure() before judge()', 'none');
    const request = this.#request(this.requestOffset);
    this.#preset(request, copy.direction, 64);
    request.setU64('pointer', copy.pointer);
    request.setU64('size', copy.size);
    request.setU64('stackPointer', at.stackPointer);
    request.setU64('framePointer', at.framePointer);
    request.setU64('currentBase', at.currentBase);
    this.judgeExport(this.contextOffset, this.requestOffset);
    return this.verdictOf(this.requestOffset);
  }

  /** Judges a request again as long as bytes are missing and can be brought in. */
  #settle(offset: number): void {
    const request = this.#request(offset);
    let last = -1n;
    for (let attempt = 0; attempt < RETRY_LIMIT && this.missing; attempt++) {
      const code = request.u16('code');
      const reason = this.#reasons.get(code);
      if (reason?.outcome !== 'unreadable' || !reason.missing) return;
      const address = request.u64('offset');
      if (address === last || !this.missing(address)) return;
      last = address;
      this.#live.statistics.takeBack(code, this.#directionOf(request));
      this.judgeExport(this.contextOffset, offset);
      if (this.#live.context.u32('copyEntry') === request.u8('entry'))
        this.#live.context.setU32('copyCode', request.u16('code'));
    }
  }

  /** Whether the kernel's own check is asked about a copy that `Executor.checkOutermost` judged; null: it is not known. */
  kernelAskedOf(requestOffset: number): boolean | null {
    const asked = this.#request(requestOffset).u8('kernelAsked');
    if (asked === this.#layout.get('KernelAsked', 'NOT_KNOWN')) return null;
    return asked === this.#layout.get('KernelAsked', 'YES');
  }

  /** The number of the entry point that a request was made at. */
  entryOf(requestOffset: number): number {
    return this.#request(requestOffset).u8('entry');
  }

  /** Where the caller of a request's entry point goes on, as far as it was recorded. */
  returnAddressOf(requestOffset: number): bigint {
    return this.#request(requestOffset).u64('returnAddress');
  }

  /** For one attachment at a time: its rules are the check's. @throws UsercopyError `bad-input` while another has it. */
  claim(): void {
    if (this.#claimed) {
      throw badInput(
        'attach',
        'attachments one at a time on one check: detach the other, or attach by foreign memory',
        'another',
      );
    }
    this.#claimed = true;
  }

  release(): void {
    this.#claimed = false;
  }

  /** The empty ring, for one audit at a time. */
  takeRing(): Ring {
    if (this.#ringTaken) throw badInput('audit', 'one at a time on one check', 'another that is attached');
    this.#ringTaken = true;
    new Words(new Uint8Array(this.memory.buffer), LITTLE).setUint32(this.#ring.countOffset, 0);
    return this.#ring;
  }

  releaseRing(): void {
    this.#ringTaken = false;
  }

  /** Offsets of those of the ring's first `count` requests whose verdict deserves a look. */
  noteworthyOfRing(count: number): number[] {
    const offsets = Array.from({ length: count }, (_, index) => this.#ring.firstOffset + index * this.requestBytes);
    return offsets.filter((offset) => this.#request(offset).u16('code') >= this.#firstNoteworthy);
  }

  #directionOf(request: Structure): Direction {
    return request.u8('toUser') ? 'to_user' : 'from_user';
  }

  /**
   * What the export last wrote into a request. Where it lacked bytes that `missing` can bring in, it is asked again. A
   * plain pass is known by name only, unless `judge()` asked.
   */
  verdictOf(requestOffset: number): Verdict {
    this.#settle(requestOffset);
    const request = this.#request(requestOffset);
    const reason = this.#reasons.get(request.u16('code'));
    if (!reason) throw badInput(`check: request at ${requestOffset}`, 'one that was judged', 'none');
    if (reason.outcome === 'unreadable') return { outcome: 'unreadable', address: request.u64('offset') };
    const plain = request.u16('code') < this.#firstNoteworthy && !request.u8('explain');
    const object = plain ? null : this.#objectOf(request);
    if (reason.outcome === 'good') return { outcome: 'good', by: reason.by, object };
    return {
      outcome: 'bad',
      by: reason.by,
      offset: request.u64('offset'),
      size: request.u64('printedSize'),
      object,
    };
  }

  #objectOf(request: Structure): CheckedObject | null {
    const described = request.u8('described');
    const is = (name: string): boolean => described === this.#layout.get('Described', name);
    if (is('NOTHING')) return null;
    const cache = is('SLAB_OBJECT') || is('CACHE') ? this.cacheName(request.u64('cache')) : null;
    if (is('CACHE')) {
      const pointer = request.u64('judgedPointer');
      return { start: pointer, end: pointer, windowStart: pointer, windowEnd: pointer, cache };
    }
    const declaration = is('DECLARED_OBJECT') ? this.#live.declarations.get(Number(request.u64('cache'))) : undefined;
    return {
      start: request.u64('objectStart'),
      end: request.u64('objectEnd'),
      windowStart: request.u64('windowStart'),
      windowEnd: request.u64('windowEnd'),
      cache: declaration?.kind === 'slab' ? declaration.cache : cache,
    };
  }

  /** The copy that a request was judged as: masked, and the kernel's side picked. Known after a verdict that is no plain pass. */
  copyOf(requestOffset: number): Copy {
    const request = this.#request(requestOffset);
    return {
      pointer: request.u64('judgedPointer'),
      size: request.u64('size'),
      direction: this.#directionOf(request),
    };
  }

  /**
   * Looks beyond the check at the slab objects that a judged copy touches; the request must explain what passes
   * (`RequestPreset.explain`). Brings memory in where `missing` can. Nothing is kept from one look to the next.
   */
  look(requestOffset: number): Look {
    const { executor } = this.#live;
    const found = this.#lookStructure;
    let last = -1n;
    for (let attempt = 0; ; attempt++) {
      const result = this.#lookWords.result(executor.look(this.contextOffset, found.offset, requestOffset));
      const unknown = result === 'unknown' ? this.#lookWords.unknown(found.u32('unknown')) : null;
      const address = found.u64('missing');
      const isRepeatable = unknown === 'not readable' && address !== last && attempt < RETRY_LIMIT;
      if (!isRepeatable || !this.missing?.(address)) return this.#lookOf(result, unknown);
      last = address;
    }
  }

  /** The same for the object at an address. */
  lookAt(address: bigint): Look {
    const request = this.#request(this.requestOffset);
    request.setU64('judgedPointer', address);
    request.setU64('size', 1n);
    return this.look(this.requestOffset);
  }

  get #lookStructure(): Structure {
    return new Structure(this.memory, this.#layout, 'LookLayout', this.#area.look);
  }

  #lookOf(result: Look['result'], unknown: UnknownState | null): Look {
    const found = this.#lookStructure;
    const range = (name: string) => ({ start: found.u64(`${name}Start`), end: found.u64(`${name}End`) });
    const object = range('object');
    const redZone = range('zone');
    const objects = found.u32('count');
    return {
      result,
      unknown,
      object:
        object.end === 0n || result === 'elsewhere'
          ? null
          : { ...object, index: found.u32('index'), cache: found.u64('cache') },
      redZone: redZone.end === 0n ? null : redZone,
      slab:
        objects === 0
          ? null
          : { ...range('slab'), objects, stride: found.u64('stride'), leftZone: found.u64('leftZone') },
    };
  }

  /** Guest bytes from regions, the foreign reader or `missing`; undefined where they cannot all be had. */
  read(address: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = this.#mask(address + BigInt(done));
      const part = this.#readPart(at, length - done);
      if (!part?.length) return undefined;
      bytes.set(part, done);
      done += part.length;
    }
    return bytes;
  }

  #readPart(address: bigint, length: number): Uint8Array | undefined {
    const here = this.#live.regions.read(address, length);
    if (here) return here;
    const foreign = this.#foreignReader?.(address, length) ?? this.#foreignReader?.(address, 1);
    if (foreign) return foreign.subarray(0, length);
    return this.missing?.(address) ? this.#live.regions.read(address, length) : undefined;
  }

  #mask(address: bigint): bigint {
    return BigInt.asUintN(this.#parameters?.bits ?? 64, address);
  }

  #readWord(address: bigint, slot: Slot): bigint | undefined {
    const bytes = this.read(address + BigInt(slot.offset), slot.size);
    return bytes && decodeUnsigned(bytes, this.parameters.endian);
  }

  /** The C string that `kmem_cache.name` points to, as Latin-1; null where it cannot be read. */
  cacheName(cache: bigint): string | null {
    const slot = this.parameters.introspection?.slab.name;
    const address = slot && this.#readWord(cache, slot);
    if (!address) return null;
    let name = '';
    while (name.length < NAME_LIMIT) {
      const part = this.#readPart(this.#mask(address + BigInt(name.length)), NAME_LIMIT - name.length);
      if (!part?.length) return null;
      const end = part.indexOf(0);
      name += latin1(part, 0, end < 0 ? part.length : end);
      if (end >= 0) break;
    }
    return name;
  }

  /** The control area as it is now, and where things lie in it: all that another runner of the same module needs. */
  image(): CheckImage {
    return {
      module: this.#module,
      bytes: new Uint8Array(this.memory.buffer.slice(0, this.#area.guest)),
      context: this.#area.context,
      verdicts: this.#reasons,
      declaredCaches: this.#live.declarations.slabCaches(),
      look: this.#area.look,
      unknownStates: this.#lookWords.unknownByCode,
    };
  }

  /** What was judged since the last reset, by every caller of this check. */
  statistics(): CheckStatistics {
    return this.#lastStatistics ?? this.#live.statistics.read();
  }

  resetStatistics(): void {
    this.#live.statistics.reset();
    this.endCopy();
  }
}
