/** What a built-in guest's own check costs, verdict by verdict: seen at its first instruction and where it returns. */
import { type Attachment, attach } from '../attach/attach.js';
import type { CheckCosts, PathCost } from '../cycles/check-costs.js';
import { blockPricer, openCycleModel } from '../cycles/open.js';
import type { BlockPricer, Hook } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import type { Guest } from '../guest/guest.js';
import { GuestCall } from '../stack/call.js';
import { entryPointOf } from '../stack/entry-point.js';
import { chooseOwnProfile, loadOwnKernel, ownCases, startOwnGuest } from './own.js';
import type { TwinCase } from './twins.js';

interface Measured {
  readonly name: string;
  /** As `verdictKey` writes it; null when nothing was judged. */
  readonly verdict: string | null;
  /** The check alone. */
  readonly check: PathCost;
  /** The whole call that made the copy. */
  readonly total: PathCost;
}

/** Costs by verdict, for `arch/<arch>/check-costs.json`. */
export async function learnCheckCosts(variant: string, profile = '6.1'): Promise<CheckCosts> {
  const { core, rows } = await measureChecks(variant, profile);
  const sums = new Map<string, { count: number; instructions: number; cycles: number }>();
  for (const { verdict, check } of rows) {
    if (verdict === null) continue;
    const sum = sums.get(verdict) ?? { count: 0, instructions: 0, cycles: 0 };
    sums.set(verdict, {
      count: sum.count + 1,
      instructions: sum.instructions + check.instructions,
      cycles: sum.cycles + check.cycles,
    });
  }
  const verdicts: Record<string, PathCost> = {};
  for (const [key, { count, instructions, cycles }] of [...sums].sort(([a], [b]) => (a < b ? -1 : 1)))
    verdicts[key] = { instructions: Math.round(instructions / count), cycles: Math.round(cycles / count) };

  const good = new Map(rows.filter(({ verdict }) => verdict?.startsWith('good')).map((row) => [row.name, row]));
  const bare = await runCases(variant, 'nocheck', profile, (name) => good.has(name));
  const added = bare.rows.flatMap(({ name, total }) => {
    const built = good.get(name);
    return built === undefined ? [] : [between(total, between(built.check, built.total))];
  });
  const mean = (of: (cost: PathCost) => number) =>
    Math.round(added.reduce((sum, cost) => sum + of(cost), 0) / Math.max(1, added.length));
  const callSite = { instructions: mean(({ instructions }) => instructions), cycles: mean(({ cycles }) => cycles) };
  return { core, verdicts, callSite };
}

const measureChecks = (variant: string, profile: string) => runCases(variant, 'check', profile, () => true);

async function runCases(
  variant: string,
  build: 'check' | 'nocheck',
  profile: string,
  wanted: (name: string) => boolean,
): Promise<{ core: string; rows: Measured[] }> {
  const guest = await startOwnGuest(await loadOwnKernel(variant, build));
  const model = await openCycleModel(guest.variant);
  try {
    if (build === 'check') chooseOwnProfile(guest, profile);
    const { cases, declarations } = await ownCases(guest);
    const attachment = await attach(guest.engine, guest.kernel, {
      ...{ onViolation: 'record', memory: guest.check, profile, declarations },
    });
    const before = guest.snapshot();
    const rows: Measured[] = [];
    try {
      for (const twin of cases.filter(({ name }) => wanted(name))) {
        guest.restore(before);
        rows.push(await measure(guest, attachment, twin, blockPricer(model)));
      }
    } finally {
      attachment.detach();
    }
    return { core: model.table.core, rows };
  } finally {
    model.close();
    guest.close();
  }
}

async function measure(guest: Guest, attachment: Attachment, twin: TwinCase, cycles: BlockPricer): Promise<Measured> {
  const { engine, kernel, variant } = guest;
  const now = (): PathCost => ({ instructions: engine.instructionCount ?? 0, cycles: engine.cycleCount ?? 0 });
  let start: PathCost | null = null;
  let end: PathCost | null = null;
  const hooks: Hook[] = [];
  const check = entryPointOf(kernel, variant, '__check_object_size');
  if (check !== undefined) {
    const enter = () => {
      if (start !== null) return;
      start = now();
      const back = new GuestCall(variant, engine, guest.memory).returnAddress;
      hooks.push(
        engine.hookAddress(back, () => {
          end ??= now();
        }),
      );
    };
    hooks.push(engine.hookAddress(check, enter));
  }
  const before = verdictCounts(attachment);
  try {
    if (!twin.call)
      throw new UsercopyError('bad-input', `${twin.name}: expected a function that is called, found none`);
    const outcome = await guest.call(twin.call.symbol, twin.call.arguments, { countInstructions: true, cycles });
    const total: PathCost = { instructions: outcome.instructions ?? 0, cycles: outcome.cycles ?? 0 };
    const verdict = [...verdictCounts(attachment)].find(([key, count]) => count > (before.get(key) ?? 0))?.[0] ?? null;
    return { name: twin.name, verdict, check: between(start ?? total, end ?? total), total };
  } finally {
    for (const hook of hooks) hook.remove();
  }
}

const between = (from: PathCost, to: PathCost): PathCost => ({
  instructions: to.instructions - from.instructions,
  cycles: Math.round(to.cycles - from.cycles),
});

function verdictCounts(attachment: Attachment): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { outcome, by, count } of attachment.statistics().reasons) {
    const key = `${outcome}: ${by}`;
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  return counts;
}
