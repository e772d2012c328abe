/**
 * What the kernel's check lets pass, and a person may want to know all the same: copies from or to slab objects that are free,
 * and over the red zones of those in use. Opt-in; every look reads the guest's structures anew. The lines are ours, and no kernel's.
 */
import type { Check } from '../check/check.js';
import type { Introspection } from '../check/parameters.js';
import type { Copy } from '../check/verdict.js';
import type { Engine } from '../engine/engine.js';
import { badInput, hex, UsercopyError } from '../errors.js';
import { MemoryReader } from '../introspect/memory-reader.js';
import { withMemory } from '../introspect/parameters.js';
import { type PageFinder, type Slab, type SlabObject, slabAt, slabStateGaps } from '../introspect/slab-facts.js';
import type { Kernel } from '../kernel/kernel.js';
import {
  type Backtrace,
  type BacktraceMethod,
  backtraceMethod,
  backtraceOf,
  type CodePlace,
  placeOf,
} from '../stack/backtrace.js';
import { engineWords, GuestCall } from '../stack/call.js';
import type { Plan, PlannedEntry } from './plan.js';

export const SANITIZERS = ['freed', 'redzone'] as const;
/** `freed`: the object that is copied from or to is free. `redzone`: the copy goes over a red zone of one in use. */
export type Sanitizer = (typeof SANITIZERS)[number];

/** A copy that the check let pass and a sanitizer did not like. */
export interface Finding {
  readonly sanitizer: Sanitizer;
  /** Our own words: no kernel prints this line. */
  readonly line: string;
  readonly copy: Copy;
  /** The first object that it is about; first byte, and first byte after it. */
  readonly object: { readonly start: bigint; readonly end: bigint; readonly cache: string | null };
  /** The red zone that the copy touches; null for `freed`. */
  readonly redZone: { readonly start: bigint; readonly end: bigint } | null;
  readonly entry: string;
  /** Of the entry point's first instruction. */
  readonly pc: bigint;
  /** Guest instructions of the run before this copy; null when the run does not count them. */
  readonly instructions: number | null;
  readonly caller: CodePlace;
  readonly backtrace: Backtrace;
  readonly backtraceMethod: BacktraceMethod;
}

export type FindingHandler = (finding: Finding) => 'stop' | 'continue';

/** Copies of some bytes that the check let pass, by what a look at them came to; the six are all of them. */
export interface SanitizerStatistics {
  readonly looks: number;
  /** No slab: nothing that a sanitizer knows. */
  readonly elsewhere: number;
  /** In objects that are in use, their red zones untouched. */
  readonly allocated: number;
  readonly freed: number;
  readonly redzone: number;
  /** The slab, or the state of an object in it, is not known. */
  readonly unknown: number;
}

export interface SanitizerOptions {
  readonly sanitize: readonly Sanitizer[];
  readonly onFinding?: 'stop' | 'record' | FindingHandler | undefined;
  readonly keep: number;
}

const PAGE = 4096n;

interface Found {
  readonly sanitizer: Sanitizer;
  readonly copy: Copy;
  readonly cache: string | null;
  readonly object: SlabObject;
  readonly redZone: { readonly start: bigint; readonly end: bigint } | null;
}

export class Sanitizers {
  readonly findings: Finding[] = [];
  readonly #engine: Engine;
  readonly #plan: Plan;
  readonly #check: Check;
  readonly #options: SanitizerOptions;
  readonly #introspection: Introspection;
  readonly #kernel: Kernel;
  readonly #read: MemoryReader;
  readonly #memory: PagesOfOneLook;
  readonly #pages: PageFinder;
  readonly #call: GuestCall;
  readonly #counts = { looks: 0, elsewhere: 0, allocated: 0, freed: 0, redzone: 0, unknown: 0 };
  #found: Found | null = null;

  /** @throws UsercopyError `unsupported` when the kernel's slabs cannot be found: its types are not known. */
  constructor(engine: Engine, plan: Plan, check: Check, options: SanitizerOptions) {
    const { introspection, pageShift } = plan.parameters;
    if (introspection === null) {
      throw new UsercopyError('unsupported', 'attach: sanitize: expected a kernel whose types are known, found none');
    }
    this.#engine = engine;
    this.#plan = plan;
    this.#check = check;
    this.#options = options;
    this.#memory = new PagesOfOneLook(plan.live.read);
    this.#kernel = withMemory(plan.live, (address, length) => this.#memory.read(address, length));
    this.#introspection = introspection;
    this.#read = new MemoryReader(this.#kernel);
    const physical = (address: bigint): bigint | null => {
      const map = introspection.linearMaps.find(({ virtual, size }) => address >= virtual && address < virtual + size);
      return map === undefined ? null : address - map.virtual + map.physical;
    };
    this.#pages = { pageShift, physical };
    this.#call = new GuestCall(plan.variant, engine, engineWords(engine, plan.variant));
  }

  /** Looks at a copy that was judged and let pass; whether there is something to `report()`. */
  look(requestOffset: number): boolean {
    const copy = this.#check.copyOf(requestOffset);
    if (copy.size === 0n) return false;
    this.#counts.looks++;
    this.#memory.forget();
    const slab = this.#slabAt(copy.pointer);
    const result = slab === null ? 'unknown' : slab === 'no slab' ? 'elsewhere' : judge(slab, copy);
    if (typeof result === 'string') {
      this.#counts[result]++;
      return false;
    }
    this.#counts[result.sanitizer]++;
    if (!this.#options.sanitize.includes(result.sanitizer)) return false;
    this.#found = result;
    return true;
  }

  /** What lies outside of the linear map is no slab. */
  #slabAt(address: bigint): ReturnType<typeof slabAt> {
    if (this.#pages.physical(address) === null) return 'no slab';
    return slabAt(this.#kernel, this.#read, this.#introspection, this.#pages, address);
  }

  /** Tells of what the last look found; how the guest goes on. */
  report({ entry, address }: PlannedEntry): 'stop' | 'continue' {
    const found = this.#found;
    if (found === null) return 'continue';
    this.#found = null;
    const { live, variant } = this.#plan;
    const { sanitizer, copy, cache, object, redZone } = found;
    const finding: Finding = {
      sanitizer,
      line: lineOf(found),
      copy,
      object: { start: object.start, end: object.end, cache },
      redZone,
      entry: entry.symbol,
      pc: address,
      instructions: this.#engine.instructionCount,
      caller: placeOf(live, this.#call.link),
      backtrace: backtraceOf(this.#engine, live, variant),
      backtraceMethod: backtraceMethod(live, variant),
    };
    this.findings.push(finding);
    if (this.findings.length > this.#options.keep) this.findings.shift();
    const { onFinding = 'stop' } = this.#options;
    const answer = typeof onFinding === 'function' ? onFinding(finding) : onFinding;
    if (answer === 'stop') return 'stop';
    if (answer === 'record' || answer === 'continue') return 'continue';
    throw badInput('onFinding', "an answer of 'stop' or 'continue'", String(answer));
  }

  /** What they cannot see in this kernel. */
  notes(): string[] {
    const { live } = this.#plan;
    const gaps = slabStateGaps(live, this.#introspection).map((gap) => `sanitizers: ${gap}`);
    if (!this.#options.sanitize.includes('redzone')) return gaps;
    return this.#introspection.slab.redLeftPad === null
      ? [...gaps, 'sanitizer redzone: the kernel has no red zones (SLUB_DEBUG)']
      : [...gaps, 'sanitizer redzone: only caches with SLAB_RED_ZONE have red zones (slub_debug=Z)'];
  }

  statistics(): SanitizerStatistics {
    return { ...this.#counts };
  }
}

/** What is wrong with a copy that begins in a slab; the first object decides. */
function judge(slab: Slab, copy: Copy): Found | 'elsewhere' | 'allocated' | 'unknown' {
  const end = copy.pointer + copy.size;
  if (copy.pointer < slab.start || copy.pointer >= slab.end) return 'elsewhere';
  const indexOf = (address: bigint): number => Number((address - slab.start) / slab.stride);
  const last = Math.min(end > slab.end ? slab.objects - 1 : indexOf(end - 1n), slab.objects - 1);
  let isKnown = true;
  for (let index = indexOf(copy.pointer); index <= last; index++) {
    const object = slab.object(index);
    if (object.state === 'free') return { sanitizer: 'freed', copy, cache: slab.cache, object, redZone: null };
    if (object.state === null) isKnown = false;
    else {
      const redZone = slab.redZones(index).find((zone) => copy.pointer < zone.end && end > zone.start);
      if (redZone !== undefined) return { sanitizer: 'redzone', copy, cache: slab.cache, object, redZone };
    }
  }
  return isKnown ? 'allocated' : 'unknown';
}

function lineOf({ sanitizer, copy, cache, object, redZone }: Found): string {
  const direction = copy.direction === 'to_user' ? 'to user' : 'from user';
  const range = `[${hex(copy.pointer)}, ${hex(copy.pointer + copy.size)})`;
  const named = `object ${object.index} of its slab${cache === null ? '' : ` of ${cache}`}, [${hex(object.start)}, ${hex(object.end)})`;
  return redZone === null
    ? `sanitizer ${sanitizer}: copy ${direction} of ${range} touches a free object: ${named}`
    : `sanitizer ${sanitizer}: copy ${direction} of ${range} goes over the red zone [${hex(redZone.start)}, ${hex(redZone.end)}) of ${named}`;
}

/** Guest memory as one look reads it: page by page, since it reads a few structures word by word. */
class PagesOfOneLook {
  readonly #read: Kernel['read'];
  readonly #pages = new Map<bigint, Uint8Array | null>();

  constructor(read: Kernel['read']) {
    this.#read = read;
  }

  forget(): void {
    this.#pages.clear();
  }

  read(address: bigint, length: number): Uint8Array | undefined {
    const offset = Number(address % PAGE);
    if (offset + length > Number(PAGE)) return this.#read(address, length);
    const start = address - BigInt(offset);
    let page = this.#pages.get(start);
    if (page === undefined) {
      page = this.#read(start, Number(PAGE)) ?? null;
      this.#pages.set(start, page);
    }
    return page === null ? this.#read(address, length) : page.subarray(offset, offset + length);
  }
}
