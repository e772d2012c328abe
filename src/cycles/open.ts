/** A variant's cycle model, and what an engine is told by it. */

import type { Variant } from '../../arch/driver.js';
import { driverOf, variantOf } from '../../arch/index.js';
import type { BlockPricer } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import { aVariant, having, requireValue } from '../options.js';
import { CycleModel } from './price.js';
import { otherCores, readCycleTable, tableOf } from './table.js';

/** What the estimate of a path does not know, for people. */
export const PATH_IGNORES = 'caches always hit and branches are always predicted';
/** The same of a sum of blocks. */
export const IGNORED = `${PATH_IGNORES}, and a block begins when the one before it has ended`;

/** Sentences about the variants, by name, that there is no table of a core of. */
export function withoutCycles(variants: readonly string[]): string[] {
  const names = [...new Set(variants)].filter((name) => variantOf(name).cycles === undefined);
  return names.length === 0 ? [] : [`no cycles of ${names.join(', ')}: this package has no table of such a core`];
}

/**
 * The model of the core that stands for a variant, or of any that there is a table of, by LLVM's name (`skylake`, `znver4`). Reads its table and loads
 * Capstone (a few MB, some 0.1 s).
 * @throws UsercopyError `unsupported` for a variant without a table, or a core that there is none of.
 */
export async function openCycleModel(variant: Variant, core?: string): Promise<CycleModel> {
  requireValue('openCycleModel: variant', variant, aVariant);
  const driver = driverOf(variant);
  if (variant.cycles === undefined || driver === null)
    throw new UsercopyError(
      'unsupported',
      `${variant.name}: no cycle table for this architecture; count instructions instead`,
    );
  const { table, llvm } = variant.cycles;
  const other = core === llvm?.cpu ? undefined : core;
  if (other !== undefined) {
    const cores = [llvm?.cpu ?? [], await otherCores(driver.linuxArch, table)].flat();
    if (!cores.includes(other))
      throw new UsercopyError(
        'unsupported',
        `${variant.name}: expected a core that there is a table of (${cores.join(', ') || 'only the usual one'}), found ${other}`,
      );
  }
  return CycleModel.open(variant.cycles, await readCycleTable(driver.linuxArch, tableOf(table, other)));
}

/**
 * For `RunOptions.cycles`: `price` less what filling and draining the pipeline takes, which happens once in a run and not
 * once a block. A block whose bytes cannot be read costs a cycle an instruction.
 */
export function blockPricer(model: CycleModel): BlockPricer {
  requireValue('blockPricer: model', model, having('a model, as openCycleModel() opens it', 'price', 'fill'));
  return ({ code, address, instructions, thumb }) =>
    code.length === 0 ? instructions : Math.max(1, model.price(code, address, { thumb }) - model.fill);
}
