/** A path of blocks → estimated cycles, the blocks overlapping as far as the core lets them. */
import type { CodeBlock } from '../engine/engine.js';
import type { CycleModel } from './price.js';
import { scoreboardOf } from './scoreboard.js';

/** Cycles of one pass through the blocks, one after the other, less what filling and draining the pipeline takes. */
export function pathCycles(model: CycleModel, path: readonly CodeBlock[]): number {
  const board = scoreboardOf(model.pipeline);
  for (const block of path) model.run(board, block);
  return board.cycles;
}
