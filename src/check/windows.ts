/** The windows through which the module reads guest memory: one for each kind of what it reads, see `Window` in assembly/context.ts. */
import type { ControlArea } from './control.js';
import { type Layout, Structure } from './layout.js';

/** Bytes that any kind may be asked for: a word. */
const WORD = 8;

export class Windows {
  readonly #layout: Layout;
  /** By `Kind`. */
  readonly #all: readonly Structure[];

  constructor(memory: WebAssembly.Memory, layout: Layout, area: ControlArea) {
    this.#layout = layout;
    const start = area.context + layout.get('WindowPlace', 'OFFSET');
    const bytes = layout.get('WindowLayout', 'BYTES');
    this.#all = Array.from(
      { length: layout.get('Kind', 'COUNT') },
      (_, kind) => new Structure(memory, layout, 'WindowLayout', start + kind * bytes),
    );
  }

  /** Regions have changed: nothing is shown until it is looked for again. */
  close(): void {
    for (const window of this.#all) window.setU64('room', 0n);
  }

  /** Says how many bytes of a structure are read at once, by `Kind`; a word where it is not said. */
  setReach(longest: Readonly<Record<string, number>>): void {
    for (const window of this.#all) window.setU32('reach', WORD);
    for (const [kind, bytes] of Object.entries(longest)) {
      this.#all[this.#layout.get('Kind', kind)]?.setU32('reach', Math.max(WORD, bytes));
    }
    this.close();
  }
}
