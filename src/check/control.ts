/** Where things lie in the control area, the part of linear memory before guest memory. */
import { badInput } from '../errors.js';
import type { Layout } from './layout.js';

export const WASM_PAGE = 65536;
/** Linear memory never exceeds 3.5 GiB. */
export const LINEAR_LIMIT = 3.5 * 2 ** 30;
export const LINEAR_MAP_CAPACITY = 64;
export const KMAP_RANGE_CAPACITY = 16;
/** Tables of declarations: stacks, kmaps, vmalloc spaces, vmalloc areas, objects. */
export const DECLARED_TABLES = 5;

/** Bytes before the first request of a ring. */
export const RING_HEAD = 64;

/** So many hints, as a power of two, that those of a full table seldom meet. At least two, which a shift of u32 can tell apart. */
export const hintBits = (declared: number): number => Math.max(1, Math.ceil(Math.log2(Math.max(1, 2 * declared))));

export interface Capacities {
  readonly guestBytes: number;
  readonly declared: number;
  readonly regions: number;
  readonly requests: number;
  /** Requests that wait in the ring of an audit. */
  readonly ring: number;
  /** Functions of the kernel whose starts are known. */
  readonly functions: number;
}

/** Byte offsets in linear memory. */
export interface ControlArea {
  readonly context: number;
  readonly linearMaps: number;
  readonly kmapRanges: number;
  readonly regions: number;
  readonly declared: number;
  /** For each table of declarations, `2 ** hintBits()` of u32. */
  readonly declaredHints: number;
  readonly requests: number;
  readonly requestsEnd: number;
  /** A u32, how many requests wait; they begin 64 bytes further on. */
  readonly ring: number;
  readonly checkedRanges: number;
  readonly functions: number;
  /** What looks at slab objects need, and a bit for each object of a slab. */
  readonly look: number;
  readonly lookBits: number;
  readonly guest: number;
  /** Of the whole memory. */
  readonly pages: number;
}

/** Lays out the control area; an error when the whole does not fit into linear memory. */
export function layOutControlArea(layout: Layout, capacities: Capacities): ControlArea {
  let end = layout.get('ContextPlace', 'OFFSET');
  const take = (bytes: number): number => {
    const start = end;
    end = Math.ceil((end + bytes) / 64) * 64;
    return start;
  };
  for (const [name, value] of Object.entries(capacities)) {
    if (!Number.isSafeInteger(value) || value < 0) throw badInput(`check: ${name}`, 'a whole number', String(value));
  }
  const windows = layout.get('Kind', 'COUNT') * layout.get('WindowLayout', 'BYTES');
  const context = take(layout.get('WindowPlace', 'OFFSET') + windows);
  const linearMaps = take(LINEAR_MAP_CAPACITY * layout.get('LinearMapLayout', 'BYTES'));
  const kmapRanges = take(KMAP_RANGE_CAPACITY * layout.get('RangeLayout', 'BYTES'));
  const regions = take(capacities.regions * layout.get('RegionLayout', 'BYTES'));
  const declared = take(DECLARED_TABLES * capacities.declared * layout.get('DeclaredLayout', 'BYTES'));
  const declaredHints = take(DECLARED_TABLES * 4 * 2 ** hintBits(capacities.declared));
  const requests = take(capacities.requests * layout.get('RequestLayout', 'BYTES'));
  const requestsEnd = requests + capacities.requests * layout.get('RequestLayout', 'BYTES');
  const ring = take(RING_HEAD + capacities.ring * layout.get('RequestLayout', 'BYTES'));
  const checkedRanges = take(layout.get('CheckedRanges', 'COUNT') * layout.get('CheckedRangeLayout', 'BYTES'));
  const look = take(layout.get('LookLayout', 'BYTES'));
  const lookBits = take(layout.get('Looks', 'OBJECTS') / 8);
  const functions = take(4 * capacities.functions);
  const guest = Math.ceil(end / WASM_PAGE) * WASM_PAGE;
  const total = guest + capacities.guestBytes;
  if (total > LINEAR_LIMIT) {
    throw badInput(
      'check: guest memory',
      `at most ${LINEAR_LIMIT - guest} bytes beside ${guest} of tables`,
      `${capacities.guestBytes} bytes`,
    );
  }
  return {
    context,
    linearMaps,
    kmapRanges,
    regions,
    declared,
    declaredHints,
    requests,
    requestsEnd,
    ring,
    checkedRanges,
    functions,
    look,
    lookBits,
    guest,
    pages: Math.ceil(total / WASM_PAGE),
  };
}
