/** A path of blocks → estimated cycles, the blocks overlapping as far as the core lets them. */
import type { CodeBlock } from '../engine/engine.js';
import { Caches, type CoreMemory, type Load, type Range } from './memory.js';
import type { CycleModel } from './price.js';
import { scoreboardOf } from './scoreboard.js';

/** What holds a path up beyond its instructions. */
export interface Hazards {
  /** Instructions of the path that ran: where it ends in the middle of a block, fewer than the blocks have. All when absent. */
  readonly instructions?: number;
  /** Cycles by which a load is late, by the number of its instruction in the path. */
  readonly late?: (instruction: number) => number;
  /**
   * What a division leaves in the register of quotients, by the number of its instruction in the path; null where that is not
   * known, so that its class says what it takes.
   */
  readonly left?: (instruction: number) => bigint | null;
  /** Blocks, by their number in the path, at whose end a branch was foreseen wrongly, and what that costs. */
  readonly mispredicted?: { readonly blocks: ReadonlySet<number>; readonly cycles: number };
}

/** Cycles of one pass through the blocks, one after the other, less what filling and draining the pipeline takes. */
export function pathCycles(model: CycleModel, path: readonly CodeBlock[], hazards: Hazards = {}): number {
  const { late, left, mispredicted } = hazards;
  const board = scoreboardOf(model.pipeline);
  let remaining = hazards.instructions ?? Number.POSITIVE_INFINITY;
  let before = 0;
  for (const [index, block] of path.entries()) {
    const first = before;
    const next = path[index + 1]?.address;
    model.run(board, block, {
      most: remaining,
      ...(late === undefined ? {} : { late: (instruction) => late(first + instruction) }),
      ...(left === undefined ? {} : { left: (instruction) => left(first + instruction) }),
      ...(next === undefined ? {} : { next }),
    });
    before += block.instructions;
    remaining -= block.instructions;
    if (remaining <= 0) break;
    if (mispredicted?.blocks.has(index)) board.refetch(mispredicted.cycles);
  }
  return board.cycles;
}

/**
 * Blocks of `path` that are left in a direction in which no path of `usual` leaves them: what a branch predictor that has
 * seen those foresees wrongly. Only a branch that goes on or not has a rare way; where a block ends in a return, or in a
 * jump through a register, it is left for any address, and those are taken to be foreseen.
 */
export function rareTurns(usual: readonly (readonly CodeBlock[])[], path: readonly CodeBlock[]): Set<number> {
  const endOf = ({ address, code }: CodeBlock): bigint => address + BigInt(code.length);
  const seen = new Map<bigint, Set<bigint>>();
  for (const blocks of usual) {
    for (const [index, block] of blocks.entries()) {
      const next = blocks[index + 1];
      if (next === undefined) continue;
      const turns = seen.get(endOf(block)) ?? new Set();
      seen.set(endOf(block), turns.add(next.address));
    }
  }
  const rare = new Set<number>();
  for (const [index, block] of path.entries()) {
    const next = path[index + 1];
    const end = endOf(block);
    const turns = seen.get(end);
    if (next === undefined || turns === undefined || turns.size !== 1 || turns.has(next.address)) continue;
    if (next.address === end || turns.has(end)) rare.add(index);
  }
  return rare;
}

/** A path with the loads that it made, by the number of the instruction in it. */
export interface LoadingPath {
  readonly path: readonly CodeBlock[];
  readonly instructions: number;
  readonly loads: ReadonlyMap<number, readonly Load[]>;
}

/**
 * Cycles of a path with a range of memory in no cache and its translation not in the TLB, and everything else that it loads in the
 * caches from the pass before. A branch that goes the rare way, as seen from the `usual` paths, costs what the core's documents
 * say; where there are none, and nothing of the range is loaded, it is `pathCycles()` of the path.
 */
export function coldCycles(
  model: CycleModel,
  core: CoreMemory,
  { path, instructions, loads }: LoadingPath,
  {
    range,
    usual,
  }: {
    readonly range: Range;
    readonly usual: readonly (readonly CodeBlock[])[];
  },
): number {
  const caches = new Caches(core, range);
  // In the order of the path, whatever order the core issues them in.
  const inOrder = [...loads].sort(([one], [two]) => one - two);
  const pass = (): Map<number, number> =>
    new Map(
      inOrder.map(([instruction, mine]) => [instruction, Math.max(...mine.map((load) => caches.load(load)))] as const),
    );
  pass();
  caches.evict(range);
  const late = pass();
  return pathCycles(model, path, {
    instructions,
    mispredicted: { blocks: rareTurns(usual, path), cycles: core.mispredict },
    late: (instruction) => late.get(instruction) ?? 0,
  });
}
