/** The module's verdict numbers and our words for them. */

import { LITTLE, Words } from '../kernel/words.js';
import { constantName, type Layout } from './layout.js';
import { ACCEPTANCES, type Acceptance, type Direction, REFUSALS, type Refusal } from './verdict.js';

/** A verdict's number taken apart. */
export type Reason =
  | { readonly outcome: 'good'; readonly by: Acceptance }
  | { readonly outcome: 'bad'; readonly by: Refusal }
  /** `missing`: bringing the bytes in may help. */
  | { readonly outcome: 'unreadable'; readonly missing: boolean };

export function reasonsByCode(layout: Layout): ReadonlyMap<number, Reason> {
  const reasons = new Map<number, Reason>();
  for (const by of ACCEPTANCES) {
    reasons.set(layout.get('Acceptance', constantName(by)), { outcome: 'good', by });
  }
  for (const by of REFUSALS) {
    reasons.set(layout.get('Refusal', constantName(by)), { outcome: 'bad', by });
  }
  reasons.set(layout.get('Unreadable', 'MISSING'), { outcome: 'unreadable', missing: true });
  reasons.set(layout.get('Unreadable', 'CORRUPT'), { outcome: 'unreadable', missing: false });
  return reasons;
}

/** How often one verdict was given. */
export interface ReasonCount {
  readonly outcome: 'good' | 'bad' | 'unreadable';
  /** null for `unreadable`. */
  readonly by: Acceptance | Refusal | null;
  readonly direction: Direction;
  readonly count: number;
}

export interface CheckStatistics {
  /** Copies judged since the last reset. */
  readonly checks: number;
  readonly good: number;
  readonly bad: number;
  readonly unreadable: number;
  /** What was seen at least once. */
  readonly reasons: readonly ReasonCount[];
}

/** Reads the counters behind the context: a u64 for each verdict and direction, from_user first. */
export class StatisticsTable {
  readonly #words: Words;
  readonly #start: number;
  readonly #bytes: number;
  readonly #reasons: ReadonlyMap<number, Reason>;

  constructor(memory: WebAssembly.Memory, layout: Layout, context: number, reasons: ReadonlyMap<number, Reason>) {
    this.#words = new Words(new Uint8Array(memory.buffer), LITTLE);
    this.#start = context + layout.get('ContextLayout', 'BYTES');
    this.#bytes = layout.get('Statistics', 'BYTES');
    this.#reasons = reasons;
  }

  #at(code: number, direction: Direction): number {
    return this.#start + (code * 2 + (direction === 'to_user' ? 1 : 0)) * 8;
  }

  read(): CheckStatistics {
    const totals = { good: 0, bad: 0, unreadable: 0 };
    const reasons: ReasonCount[] = [];
    for (const [code, reason] of this.#reasons) {
      for (const direction of ['to_user', 'from_user'] as const) {
        const count = Number(this.#words.uint64(this.#at(code, direction)));
        if (!count) continue;
        totals[reason.outcome] += count;
        const by = reason.outcome === 'unreadable' ? null : reason.by;
        reasons.push({ outcome: reason.outcome, by, direction, count });
      }
    }
    return { checks: totals.good + totals.bad + totals.unreadable, ...totals, reasons };
  }

  reset(): void {
    this.#words.bytes.fill(0, this.#start, this.#start + this.#bytes);
  }

  /** Takes back one count: the copy is judged again. */
  takeBack(code: number, direction: Direction): void {
    const at = this.#at(code, direction);
    this.#words.setUint64(at, this.#words.uint64(at) - 1n);
  }
}
