/** Callbacks that hear of an emulator's runs. */
import type { Hook, RunEvent } from './engine.js';

export class RunEvents {
  readonly #callbacks = new Set<(event: RunEvent) => void>();
  /** Where the last run ended; null when a run cannot go on from there any more. */
  #endedAt: bigint | null = null;

  hook(callback: (event: RunEvent) => void): Hook {
    // An object of its own: one function may be hooked twice.
    const own = (event: RunEvent): void => callback(event);
    this.#callbacks.add(own);
    return { remove: () => this.#callbacks.delete(own) };
  }

  /** A run that says it resumes, and does, is no new one. */
  begin(start: bigint, resume: boolean): void {
    const resumes = resume && start === this.#endedAt;
    this.#endedAt = null;
    if (!resumes) this.#tell('begin');
  }

  /** `pc`: where it ended; null when it failed. */
  end(pc: bigint | null): void {
    this.#endedAt = pc;
    this.#tell('end');
  }

  /** A register was written: the CPU is no longer as the run left it. */
  changed(): void {
    this.#endedAt = null;
  }

  restore(): void {
    this.#endedAt = null;
    this.#tell('restore');
  }

  #tell(event: RunEvent): void {
    for (const callback of this.#callbacks) callback(event);
  }
}
