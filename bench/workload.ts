/** What a guest pays for its copies: nothing attached, a bare hook, the check attached in every way, its own check. */
import { attach } from '../src/attach/attach.js';
import type { AttachOptions } from '../src/attach/options.js';
import { entriesOf } from '../src/attach/plan.js';
import { SANITIZERS } from '../src/attach/sanitizers.js';
import { type ExecutorName, executors } from '../src/check/check.js';
import { builtCheck } from '../src/engine/built-check.js';
import { UsercopyError } from '../src/errors.js';
import type { Guest } from '../src/guest/guest.js';
import { entryPointOf } from '../src/stack/entry-point.js';
import { copyRoutine } from './copy-routine.js';
import { type Effort, measure, type Task } from './measure.js';
import { present } from './present.js';
import type { Measurement } from './report.js';
import { type MixedCopy, mixedCopies, objectsOf, type Source, startGuest } from './world.js';

const TIME_LIMIT = 60_000;

/** Measured ways of copying; null where a way does not exist here. */
export interface CopyTimes {
  readonly detached: Measurement;
  /** A hook that does nothing, in JavaScript, at every entry point that an attachment hooks. */
  readonly bareHook: Measurement;
  readonly enforce: Record<ExecutorName, Measurement | null>;
  readonly audit: Measurement;
  /** Enforced, and both sanitizers look at what passes. */
  readonly sanitize: Measurement;
  /** Nothing attached, instructions counted. */
  readonly counting: Measurement;
  readonly inGuest: Measurement;
}

/** One round of the workload, in a guest. */
type Round = (countInstructions: boolean) => void;

/**
 * Measures the workload in a guest. The built-in one copies in a loop of its own; of a real kernel its copy routine is
 * called, so that starting and ending the emulator is in every figure.
 * @throws UsercopyError `guest` when the copies cannot be made.
 */
export async function timeCopies(source: Source, effort: Effort): Promise<CopyTimes> {
  const guest = await startGuest(source, 'nocheck');
  const checked = source.kind === 'own' ? await startGuest(source, 'check') : guest;
  try {
    const copies = mixedCopies(guest, objectsOf(guest, source));
    const perRound = copies.reduce((sum, { count }) => sum + count, 0);
    const round = source.kind === 'own' ? loopRound(guest, copies) : callRound(guest, copies, false);
    const inGuest =
      source.kind === 'own'
        ? loopRound(checked, mixedCopies(checked, objectsOf(checked, source)))
        : callRound(guest, copies, true);
    const task = (way: string, run: Round, enter?: Task['enter'], counting = false): Task => ({
      ...{ name: `${guest.variant.name}: ${way}`, unit: 'copy', units: perRound },
      // A round answers nothing that a measurement takes for its units.
      run: () => run(counting) as undefined,
      ...(enter === undefined ? {} : { enter }),
    });
    const attached = (options: AttachOptions) => async () => {
      const attachment = await attach(guest.engine, guest.kernel, {
        ...{ judge: 'all', memory: guest.check, ...options },
        ...(source.profile === undefined ? {} : { profile: source.profile }),
      });
      try {
        attachment.check.resetStatistics();
        round(false);
        attachment.flush();
        const { checks } = attachment.statistics();
        if (checks !== perRound) {
          throw new UsercopyError('guest', `${guest.variant.name}: expected ${perRound} judgements, found ${checks}`);
        }
      } catch (error) {
        attachment.detach();
        throw error;
      }
      return () => attachment.detach();
    };
    const addresses = new Set(
      entriesOf(guest.kernel, guest.variant)
        .filter(({ role }) => role !== 'judge')
        .map(({ symbol }) => entryPointOf(guest.kernel, guest.variant, symbol)),
    );
    const hookBare = () => {
      const hooks = [...addresses].map((address) => guest.engine.hookAddress(present(address), () => {}));
      return () => {
        for (const hook of hooks) hook.remove();
      };
    };

    const usable = executors(builtCheck).filter(({ available }) => available);
    const [detached, bareHook, audit, sanitize, counting, own, ...enforced] = await measure(
      [
        task('detached', round),
        task('bare hook', round, hookBare),
        task('audit', round, attached({ mode: 'audit' })),
        task('sanitize', round, attached({ sanitize: SANITIZERS, onFinding: 'stop' })),
        task('counting', round, undefined, true),
        task('in the guest', inGuest),
        ...usable.map(({ name: executor }) => task(`enforce, ${executor}`, round, attached({ executor }))),
      ],
      effort,
    );
    const enforce = Object.fromEntries(
      executors(builtCheck).map(({ name }) => [name, enforced[usable.findIndex((one) => one.name === name)] ?? null]),
      // Every executor has its entry.
    ) as CopyTimes['enforce'];
    return {
      detached: present(detached),
      bareHook: present(bareHook),
      enforce,
      audit: present(audit),
      sanitize: present(sanitize),
      counting: present(counting),
      inGuest: present(own),
    };
  } finally {
    guest.close();
    checked.close();
  }
}

function loopRound(guest: Guest, copies: readonly MixedCopy[]): Round {
  const address = guest.symbol('copy_many');
  return (counting) => {
    for (const { pointer, size, count } of copies) {
      call(guest, address, [guest.user.address, pointer, size, BigInt(count)], counting);
    }
  };
}

function callRound(guest: Guest, copies: readonly MixedCopy[], checkFirst: boolean): Round {
  const routine = copyRoutine(guest);
  const check = guest.symbol('__check_object_size');
  return (counting) => {
    for (const { pointer, size, count } of copies) {
      const args = routine.arguments(pointer, size);
      for (let index = 0; index < count; index++) {
        if (checkFirst) guest.callOnce(check, [pointer, size, 1n], TIME_LIMIT);
        call(guest, routine.address, args, counting);
      }
    }
  };
}

function call(guest: Guest, address: bigint, args: readonly bigint[], counting: boolean): void {
  const outcome = guest.callOnce(address, args, TIME_LIMIT, counting);
  if (outcome.kind === 'returned' && outcome.value === 0n) return;
  const found = outcome.kind === 'returned' ? `${outcome.value} bytes left` : outcome.kind;
  throw new UsercopyError('guest', `${guest.variant.name}: expected a copy to be made whole, found ${found}`);
}
