/** Looks at slab objects beyond what the check asks (assembly/look.ts): our words for what they come to. */
import { constantName, type Layout } from './layout.js';

export type LookResult = 'elsewhere' | 'allocated' | 'freed' | 'red zone' | 'unknown';

const RESULTS: readonly LookResult[] = ['elsewhere', 'allocated', 'freed', 'red zone', 'unknown'];

/** Why the state of a slab object is not known, and what a person should know of it. */
export const UNKNOWN_STATES = {
  'not readable': 'guest memory that it stands in is not there',
  'makes no sense':
    "the allocator's lists or the slab's numbers make no sense: they lead out of the slab, or have no end",
  'no free pointers': "the kernel's types do not tell where free pointers lie (kmem_cache.offset)",
  'slab of a cpu':
    'a CPU has the slab for itself, and its list is not found (no kmem_cache_cpu among the types, or no symbol __per_cpu_offset)',
  'may be in a sheaf': 'free objects of this cache also wait in sheaves, not all of which can be found',
  'may be in an array':
    'free objects of SLAB also wait in arrays of the CPUs and nodes (array_cache), which are not read',
  'may be in quarantine': "KASAN's quarantine also holds free objects, which are not read",
  'of kfence': "KFENCE's own record does not tell: the object waits for a grace period, or there is none",
} as const;

export type UnknownState = keyof typeof UNKNOWN_STATES;

const isState = (word: string): word is UnknownState => Object.hasOwn(UNKNOWN_STATES, word);
const STATES = Object.keys(UNKNOWN_STATES).filter(isState);

/** What a look found. Addresses are the guest's; ends are the first byte after. */
export interface Look {
  readonly result: LookResult;
  /** null unless the result is `unknown`. */
  readonly unknown: UnknownState | null;
  /** The object that decided; null where none did. */
  readonly object: {
    readonly start: bigint;
    /** Where a kmalloc()'s object tells what was asked for, that is its end. */
    readonly end: bigint;
    readonly index: number;
    /** Address of its kmem_cache. */
    readonly cache: bigint;
  } | null;
  /** The red zone that the copy touches. */
  readonly redZone: { readonly start: bigint; readonly end: bigint } | null;
  /** Of the objects' places; `leftZone`: bytes of red zone before each object. */
  readonly slab: {
    readonly start: bigint;
    readonly end: bigint;
    readonly objects: number;
    readonly stride: bigint;
    readonly leftZone: bigint;
  } | null;
}

/** A word by its number in the module. */
export class LookWords {
  readonly #results: ReadonlyMap<number, LookResult>;
  readonly #unknown: ReadonlyMap<number, UnknownState>;

  constructor(layout: Layout) {
    this.#results = new Map(RESULTS.map((word) => [layout.get('LookResult', constantName(word)), word]));
    this.#unknown = new Map(STATES.map((word) => [layout.get('Unknown', constantName(word)), word]));
  }

  result(code: number): LookResult {
    return this.#results.get(code) ?? 'unknown';
  }

  unknown(code: number): UnknownState | null {
    return this.#unknown.get(code) ?? null;
  }

  /** For runners of the module that have no words of their own. */
  get unknownByCode(): ReadonlyMap<number, UnknownState> {
    return this.#unknown;
  }
}
