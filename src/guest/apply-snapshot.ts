/** A snapshot put into an emulator: its memory, and the registers that the emulator knows. */

import { machinesWithoutVariant } from '../../arch/dumpers.js';
import { variants } from '../../arch/index.js';
import { allocateMemory } from '../check/executors.js';
import type { Engine } from '../engine/engine.js';
import { badInput, UsercopyError } from '../errors.js';
import { anEngine, having, requireValue } from '../options.js';
import { dumperNameOf, inAddressOrder, type Snapshot, type SnapshotSegment } from './snapshot.js';

const A_SNAPSHOT = having('a snapshot, as readSnapshot() reads it', 'segments', 'registers');

/**
 * Maps a snapshot's memory into a fresh emulator and sets the registers that it knows; gives those that it does not.
 * Segments that touch and have the same permissions become one region; those that share memory show the same bytes.
 * @throws UsercopyError `bad-input` when the snapshot is of another architecture than the engine, `unsupported` when segments
 * share memory and the engine cannot map one memory twice.
 */
export function applySnapshot(engine: Engine, snapshot: Snapshot): { readonly unknownRegisters: readonly string[] } {
  requireValue('applySnapshot: engine', engine, anEngine);
  requireValue('applySnapshot: snapshot', snapshot, A_SNAPSHOT);
  requireMachine(engine, snapshot.arch);
  const regions = regionsOf(snapshot.segments);
  const memories = sharedMemories(regions);
  if (memories.length > 0 && !engine.capabilities.sharedMemory) {
    throw new UsercopyError(
      'unsupported',
      `${engine.name}: expected an engine that can map one memory at several addresses, as this snapshot does`,
    );
  }
  for (const { start, end, permissions, memory } of regions) {
    const shared = memory === null ? undefined : memories.find((one) => memory >= one.start && memory < one.end);
    if (shared === undefined || memory === null) engine.map(start, end - start, permissions);
    else engine.mapShared(start, end - start, permissions, shared.memory, Number(memory - shared.start));
  }
  for (const { start, bytes } of inAddressOrder(snapshot.segments)) if (bytes) engine.write(start, bytes);
  const unknownRegisters: string[] = [];
  for (const [name, value] of inWritingOrder(snapshot.registers)) {
    try {
      engine.writeRegister(name, value);
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      unknownRegisters.push(name);
    }
  }
  const variant = variants.find((one) => dumperNameOf(one) === snapshot.arch);
  variant?.completeRegisters?.(engine, snapshot.registers);
  return { unknownRegisters };
}

function requireMachine({ spec }: Engine, arch: string | null): void {
  if (arch === null) return;
  const machines = new Map(Object.entries(machinesWithoutVariant));
  for (const variant of variants) {
    if (!('unsupported' in variant.engine)) machines.set(dumperNameOf(variant), variant.engine);
  }
  const machine = machines.get(arch);
  if (machine === undefined) {
    throw badInput('snapshot, _index.json.arch.arch', `one of ${[...machines.keys()].sort().join(', ')}`, arch);
  }
  if (machine.arch === spec.arch && widthAndOrder(machine.mode) === widthAndOrder(spec.mode)) return;
  const found = [spec.arch, ...spec.mode].join(' ');
  throw badInput('snapshot', `an emulator of ${arch}, which the guest was written down on`, found);
}

/** What of a mode makes another machine: the width of its words and their byte order, not the set of instructions. */
function widthAndOrder(mode: readonly string[]): string {
  return mode
    .filter((name) => /(16|32|64)$|^BIG_ENDIAN$/.test(name))
    .sort()
    .join(' ');
}

type Region = { start: bigint; end: bigint; permissions: string; memory: bigint | null };

function regionsOf(segments: readonly SnapshotSegment[]): Region[] {
  const regions: Region[] = [];
  for (const { start, end, permissions, memory } of inAddressOrder(segments)) {
    const last = regions.at(-1);
    const next = last === undefined || last.memory === null ? null : last.memory + (last.end - last.start);
    if (last?.end === start && last.permissions === permissions && memory === next) last.end = end;
    else regions.push({ start, end, permissions, memory });
  }
  return regions;
}

interface SharedMemory {
  /** Of the guest's memory: first byte and first byte after. */
  readonly start: bigint;
  readonly end: bigint;
  readonly memory: WebAssembly.Memory;
}

/** The parts of the guest's memory that more than one region shows. */
function sharedMemories(regions: readonly Region[]): SharedMemory[] {
  const parts: { start: bigint; end: bigint; regions: number }[] = [];
  const places = regions.flatMap(({ start, end, memory }) =>
    memory === null ? [] : [{ start: memory, end: memory + (end - start) }],
  );
  for (const { start, end } of places.sort((a, b) => (a.start < b.start ? -1 : 1))) {
    const last = parts.at(-1);
    if (last === undefined || start >= last.end) {
      parts.push({ start, end, regions: 1 });
    } else {
      last.regions++;
      if (end > last.end) last.end = end;
    }
  }
  return parts
    .filter(({ regions }) => regions > 1)
    .map(({ start, end }) => {
      const pages = Math.ceil(Number(end - start) / 65536);
      return { start, end, memory: allocateMemory(pages) };
    });
}

/**
 * The pc before the status, which may say that it leads to Thumb code: an even pc would take that back. The status before
 * the others, since it says which bank of them is meant.
 */
function inWritingOrder(registers: ReadonlyMap<string, bigint>): [string, bigint][] {
  const rank = (name: string): number => (WRITTEN_FIRST.includes(name) ? WRITTEN_FIRST.indexOf(name) : Infinity);
  return [...registers].sort(([one], [other]) => (rank(one) < rank(other) ? -1 : rank(one) > rank(other) ? 1 : 0));
}

const WRITTEN_FIRST = ['pc', 'rip', 'eip', 'ip', 'r15', 'cpsr'];
