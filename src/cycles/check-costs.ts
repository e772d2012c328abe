/**
 * What the kernel's own check costs, by the verdict that it comes to: what `charge` adds to a guest's clock. Made by
 * scripts/make-check-costs.mjs, which runs the check of the built-in guests.
 */

import * as fs from 'node:fs/promises';
import type { Variant } from '../../arch/driver.js';
import { driverOf } from '../../arch/index.js';
import type { Verdict } from '../check/verdict.js';
import { UsercopyError } from '../errors.js';
import { aVariant, requireValue } from '../options.js';
import { packageFile } from '../paths.js';

export interface PathCost {
  readonly instructions: number;
  readonly cycles: number;
}

export interface CheckCosts {
  /** The core that the cycles are of. */
  readonly core: string;
  /** Per verdict (`good: slab object`): from the check's first instruction to its caller's next, or to BUG(). */
  readonly verdicts: Readonly<Record<string, PathCost>>;
  /** What calling the check adds to its caller. */
  readonly callSite: PathCost;
}

/** Costs by variant; in `arch/<arch>/check-costs.json`. */
export type CheckCostFile = Readonly<Record<string, CheckCosts>>;

export const verdictKey = (verdict: Verdict): string =>
  verdict.outcome === 'unreadable' ? 'unreadable' : `${verdict.outcome}: ${verdict.by}`;

/** @throws UsercopyError `unsupported` for a variant without them. */
export async function readCheckCosts(variant: Variant): Promise<CheckCosts> {
  requireValue('readCheckCosts: variant', variant, aVariant);
  const driver = driverOf(variant);
  const file = packageFile(`arch/${driver?.linuxArch ?? variant.name}/check-costs.json`);
  const bytes = await fs.readFile(file, 'utf8').catch(() => '{}');
  const all: CheckCostFile = JSON.parse(bytes);
  const costs = all[variant.name];
  if (costs === undefined)
    throw new UsercopyError(
      'unsupported',
      `${variant.name}: nothing is known of what the kernel's check costs there; attach without charge`,
    );
  return costs;
}

/**
 * Cycles that the kernel's check takes to come to a verdict. A verdict that the built-in guests never come to costs what
 * those of its outcome cost on average.
 */
export function cyclesOf(costs: CheckCosts, verdict: Verdict): number {
  const known = costs.verdicts[verdictKey(verdict)];
  if (known !== undefined) return known.cycles + costs.callSite.cycles;
  const outcome = verdict.outcome === 'good' ? 'good' : 'bad';
  const alike = Object.entries(costs.verdicts).filter(([key]) => key.startsWith(outcome));
  const sum = alike.reduce((total, [, { cycles }]) => total + cycles, 0);
  return (alike.length === 0 ? 0 : sum / alike.length) + costs.callSite.cycles;
}
