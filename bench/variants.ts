/**
 * What one enforced copy costs on each variant: the built-in guest makes copies of its own stack, once with the check
 * attached and once without; the difference is the plugin's. The guest's own work is in both.
 */
import { attach } from '../src/attach.js';
import { UsercopyError } from '../src/errors.js';
import type { Guest } from '../src/guest/guest.js';
import { loadOwnKernel, ownVariants, startOwnGuest } from '../src/scenario/own.js';
import { measure, type Task } from './measure.js';
import type { Group } from './report.js';

const AIM = 1.5;
/** Copies in a sample, and bytes of each. */
const COPIES = 500;
const BYTES = 8n;
const TIME_LIMIT = 10_000;

export async function variantsGroup(): Promise<Group> {
  const title = 'One enforced stack copy, by variant (attached less detached, on our own guests)';
  const guests: Guest[] = [];
  try {
    const tasks: Task[] = [];
    for (const variant of ownVariants()) {
      const kernel = await loadOwnKernel(variant);
      const bare = await startOwnGuest(kernel);
      guests.push(bare);
      const attached = await startOwnGuest(kernel);
      guests.push(attached);
      const { check } = await attach(attached.engine, attached.kernel, { judge: 'kernel', memory: attached.check });
      copyMany(attached);
      const { checks } = check.statistics();
      if (checks !== COPIES) {
        throw new UsercopyError('guest', `${variant}: expected ${COPIES} judgements, found ${checks}`);
      }
      tasks.push({
        name: variant,
        unit: 'copy',
        units: COPIES,
        run: () => {
          const without = milliseconds(() => copyMany(bare));
          return milliseconds(() => copyMany(attached)) - without;
        },
      });
    }
    const measured = await measure(tasks);
    const cheapest = measured.reduce((least, line) => (line.nanoseconds < least.nanoseconds ? line : least));
    const lines = measured.map((line) => {
      const value = line.nanoseconds / cheapest.nanoseconds;
      return { ...line, ratio: { to: cheapest.name, value }, aim: { text: `≤ ${AIM} × any other`, met: value <= AIM } };
    });
    return { title, lines, notes: [], skipped: null };
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') {
      return { title, lines: [], notes: [], skipped: error.message };
    }
    throw error;
  } finally {
    for (const guest of guests) guest.close();
  }
}

function copyMany(guest: Guest): void {
  const pointer = guest.stackPointer + 64n;
  const { kind } = guest.callOnce(
    guest.symbol('copy_many'),
    [guest.user.address, pointer, BYTES, BigInt(COPIES)],
    TIME_LIMIT,
  );
  if (kind !== 'returned') throw new UsercopyError('guest', `copy_many: expected it to return, found ${kind}`);
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
