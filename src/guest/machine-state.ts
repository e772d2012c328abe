/**
 * An emulator as it was: CPU and memory, kept by copy, so on every engine and for memory of every kind. libunicorn's own
 * snapshots (UC_CTL_CONTEXT_MEMORY, from 2.1 on) move written pages into memory of their own, see docs/decisions.md.
 */

import type { Engine, SavedContext } from '../engine/engine.js';
import { hex, UsercopyError } from '../errors.js';
import { equalBytes } from '../kernel/bytes.js';
import { anEngine, requireValue } from '../options.js';

interface Span {
  readonly start: bigint;
  /** First byte after. */
  readonly end: bigint;
}

interface Region extends Span {
  readonly permissions: string;
}

/** Bytes that are compared, and written where they differ, at a time. */
const PIECE = 65_536;

/** Those of an emulator's regions that are to be kept. */
export type RegionFilter = (region: Span) => boolean;

export class MachineState {
  readonly #engine: Engine;
  readonly #context: SavedContext;
  readonly #regions: readonly (Region & { readonly bytes: Uint8Array })[];
  readonly #keeps: RegionFilter;

  /** @throws UsercopyError `engine` when the emulator is closed. */
  constructor(engine: Engine, keeps: RegionFilter = () => true) {
    this.#engine = engine;
    this.#keeps = keeps;
    this.#context = engine.saveContext();
    this.#regions = engine
      .regions()
      .filter(keeps)
      .map((region) => ({ ...region, bytes: engine.read(region.start, Number(region.end - region.start)) }));
  }

  /**
   * Puts CPU and memory back. Memory that was mapped since is unmapped; code is dropped where bytes differ. Attachments hear
   * of it before the bytes change: what waits in an audit is judged by the memory that it was noted in.
   * @throws UsercopyError `engine` when memory that was there has been unmapped since, or is mapped with other permissions,
   *   with its address; nothing is changed then.
   */
  restore(): void {
    const engine = this.#engine;
    const now = engine.regions().filter(this.#keeps);
    const gone = outside(this.#regions, now)[0];
    if (gone) {
      throw new UsercopyError(
        'engine',
        `restore: the memory at ${hex(gone.start)} to ${hex(gone.end)} was unmapped since the snapshot: map it again first`,
      );
    }
    const other = now.find(({ start, end, permissions }) =>
      this.#regions.some((saved) => saved.start < end && start < saved.end && saved.permissions !== permissions),
    );
    if (other) {
      throw new UsercopyError(
        'engine',
        `restore: the memory at ${hex(other.start)} has other permissions than in the snapshot, now ${other.permissions}: map it as it was first`,
      );
    }
    engine.restoreContext(this.#context);
    for (const { start, end } of outside(now, this.#regions)) engine.unmap(start, end - start);
    for (const { start, bytes } of this.#regions) this.#putBack(start, bytes);
  }

  #putBack(start: bigint, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const saved = bytes.subarray(at, at + PIECE);
      const address = start + BigInt(at);
      if (!equalBytes(this.#engine.read(address, saved.length), saved)) this.#engine.write(address, saved);
    }
  }
}

/** An emulator's CPU and memory as they are now; `restore()` puts them back. For guests: `Guest.snapshot()`. */
export function saveMachine(engine: Engine): MachineState {
  requireValue('saveMachine: engine', engine, anEngine);
  return new MachineState(engine);
}

/** The parts of `spans` that none of `others` covers; both in address order. */
function outside(spans: readonly Span[], others: readonly Span[]): Span[] {
  const parts: Span[] = [];
  for (const span of spans) {
    let { start } = span;
    for (const other of others) {
      if (other.end <= start || other.start >= span.end) continue;
      if (other.start > start) parts.push({ start, end: other.start });
      start = other.end;
    }
    if (start < span.end) parts.push({ start, end: span.end });
  }
  return parts;
}
