/**
 * What the kernel's check lets pass, and a person may want to know all the same: copies from or to slab objects that are free,
 * and over the red zones of those in use. Opt-in; every look (assembly/look.ts) reads the guest's structures anew. The lines are
 * ours, and no kernel's.
 */
import type { Check } from '../check/check.js';
import { type Look, UNKNOWN_STATES, type UnknownState } from '../check/look.js';
import type { Copy } from '../check/verdict.js';
import type { Engine } from '../engine/engine.js';
import { badInput, hex, UsercopyError } from '../errors.js';
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

/** `continue` is another word for `record`. */
export type FindingHandler = (finding: Finding) => 'stop' | 'record' | 'continue';

/** Copies of some bytes that the check let pass, by what a look at them came to; the first five are all of them. */
export interface SanitizerStatistics {
  readonly looks: number;
  /** No slab: nothing that a sanitizer knows. */
  readonly elsewhere: number;
  /** In objects that are in use, their red zones untouched. */
  readonly allocated: number;
  readonly freed: number;
  readonly redzone: number;
  /** The state of an object is not known. */
  readonly unknown: number;
  /** Those by why it is not; only what was met. */
  readonly unknownBy: Readonly<Partial<Record<UnknownState, number>>>;
}

export interface SanitizerOptions {
  readonly sanitize: readonly Sanitizer[];
  readonly onFinding?: 'stop' | 'record' | FindingHandler | undefined;
  readonly keep: number;
}

interface Found extends Pick<Finding, 'sanitizer' | 'copy' | 'object' | 'redZone'> {
  readonly index: number;
}

export class Sanitizers {
  readonly findings: Finding[] = [];
  readonly #engine: Engine;
  readonly #plan: Plan;
  readonly #check: Check;
  readonly #options: SanitizerOptions;
  readonly #call: GuestCall;
  readonly #counts = { looks: 0, elsewhere: 0, allocated: 0, freed: 0, redzone: 0, unknown: 0 };
  readonly #unknownBy: Partial<Record<UnknownState, number>> = {};
  #found: Found | null = null;

  /** @throws UsercopyError `unsupported` when the kernel's slabs cannot be found: its types are not known. */
  constructor(engine: Engine, plan: Plan, check: Check, options: SanitizerOptions) {
    requireSlabs(plan);
    this.#engine = engine;
    this.#plan = plan;
    this.#check = check;
    this.#options = options;
    this.#call = new GuestCall(plan.variant, engine, engineWords(engine, plan.variant));
  }

  /** Looks at a copy that was judged and let pass; whether there is something to `report()`. */
  look(requestOffset: number): boolean {
    const copy = this.#check.copyOf(requestOffset);
    if (copy.size === 0n) return false;
    this.#counts.looks++;
    const look = this.#check.look(requestOffset);
    if (look.unknown !== null) this.#unknownBy[look.unknown] = (this.#unknownBy[look.unknown] ?? 0) + 1;
    if (look.result !== 'freed' && look.result !== 'red zone') {
      this.#counts[look.result]++;
      return false;
    }
    const sanitizer = look.result === 'freed' ? 'freed' : 'redzone';
    this.#counts[sanitizer]++;
    if (!this.#options.sanitize.includes(sanitizer)) return false;
    this.#found = this.#foundBy(sanitizer, copy, look);
    return true;
  }

  #foundBy(sanitizer: Sanitizer, copy: Copy, { object, redZone }: Look): Found {
    const { start, end, index, cache } = object ?? { start: copy.pointer, end: copy.pointer, index: 0, cache: 0n };
    const named = cache === 0n ? null : this.#check.cacheName(cache);
    return { sanitizer, copy, object: { start, end, cache: named }, redZone, index };
  }

  /** Tells of what the last look found; how the guest goes on. */
  report({ entry, address }: PlannedEntry): 'stop' | 'continue' {
    const found = this.#found;
    if (found === null) return 'continue';
    this.#found = null;
    const { live, variant } = this.#plan;
    const { sanitizer, copy, object, redZone } = found;
    const finding: Finding = {
      sanitizer,
      line: lineOf(found),
      copy,
      object,
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
    throw badInput('onFinding', "an answer of 'stop' or 'record'", String(answer));
  }

  /** What they cannot see in this kernel. */
  notes(): string[] {
    return sanitizerNotes(this.#plan, this.#options.sanitize);
  }

  statistics(): SanitizerStatistics {
    return { ...this.#counts, unknownBy: { ...this.#unknownBy } };
  }
}

function requireSlabs({ parameters }: Plan): void {
  if (parameters.introspection !== null) return;
  throw new UsercopyError('unsupported', 'attach: sanitize: expected a kernel whose types are known, found none');
}

/** What sanitizers cannot see in a kernel, whatever its memory holds; empty where the kernel has no types, and none work. */
export function sanitizerNotes({ parameters }: Plan, sanitize: readonly Sanitizer[]): string[] {
  const { introspection } = parameters;
  if (introspection === null) return [];
  const { lists, slab } = introspection;
  const notes: string[] = [];
  const note = (state: UnknownState): void => void notes.push(`sanitizers: ${UNKNOWN_STATES[state]}`);
  if (slab.allocator === 'SLAB') {
    if (lists?.arrays) note('may be in an array');
  } else if (!lists?.freePointer) note('no free pointers');
  else {
    if (lists.cpuSlab !== null && (lists.cpu === null || lists.perCpuOffset === null)) note('slab of a cpu');
    if (lists.cpuSheaves !== null) note('may be in a sheaf');
  }
  if (lists?.quarantine) note('may be in quarantine');
  if (!sanitize.includes('redzone')) return notes;
  if (slab.redLeftPad === null || slab.redZone === 0n)
    return [...notes, 'sanitizer redzone: the kernel has no red zones (SLUB_DEBUG)'];
  const asked = lists?.asked
    ? '; where an allocation of kmalloc() ends is only known with slub_debug=U'
    : '; where an allocation of kmalloc() ends is not known (6.2 on)';
  return [...notes, `sanitizer redzone: only caches with SLAB_RED_ZONE have red zones (slub_debug=Z)${asked}`];
}

function lineOf({ sanitizer, copy, object, redZone, index }: Found): string {
  const direction = copy.direction === 'to_user' ? 'to user' : 'from user';
  const range = `[${hex(copy.pointer)}, ${hex(copy.pointer + copy.size)})`;
  const named = `object ${index} of its slab${object.cache === null ? '' : ` of ${object.cache}`}, [${hex(object.start)}, ${hex(object.end)})`;
  return redZone === null
    ? `sanitizer ${sanitizer}: copy ${direction} of ${range} touches a free object: ${named}`
    : `sanitizer ${sanitizer}: copy ${direction} of ${range} goes over the red zone [${hex(redZone.start)}, ${hex(redZone.end)}) of ${named}`;
}
