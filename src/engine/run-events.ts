/** Callbacks that hear of an emulator's runs. */
import type { Hook, RunEvent } from './engine.js';

export class RunEvents {
  readonly #callbacks = new Set<(event: RunEvent) => void>();

  hook(callback: (event: RunEvent) => void): Hook {
    // An object of its own: one function may be hooked twice.
    const own = (event: RunEvent): void => callback(event);
    this.#callbacks.add(own);
    return { remove: () => this.#callbacks.delete(own) };
  }

  tell(event: RunEvent): void {
    for (const callback of this.#callbacks) callback(event);
  }
}
