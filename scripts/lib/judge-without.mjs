/** Kernels whose own check does not answer: one that is switched off, and one that is not there. */
import { oracle } from '../../build/js/bench/baseline/oracle.js';
import { attach } from '../../build/js/src/attach/attach.js';
import { rulesOf, withoutGate } from '../../build/js/src/attach/plan.js';
import { UsercopyError } from '../../build/js/src/errors.js';
import { Guest } from '../../build/js/src/guest/guest.js';
import { KernelObjects } from '../../build/js/src/guest/objects.js';
import { enableStaticKey } from '../../build/js/src/guest/static-key.js';
import { gateOf } from '../../build/js/src/introspect/gate.js';
import { withMemory } from '../../build/js/src/introspect/parameters.js';
import { formatMessage } from '../../build/js/src/report/format.js';
import { buildRandomWorld, randomCopy } from '../../build/js/src/scenario/differential.js';
import { lkdtmCases } from '../../build/js/src/scenario/lkdtm.js';
import { SeededRandom } from '../../build/js/src/scenario/random.js';
import { runTwins } from '../../build/js/src/scenario/twins.js';
import { loadTypedKernel } from '../../build/js/src/scenario/typed-kernel.js';

async function withGuest(image, work) {
  const guest = await Guest.create(await loadTypedKernel(image));
  try {
    return await work(guest);
  } finally {
    guest.close();
  }
}

/**
 * LKDTM's copies in a kernel whose key `hardened_usercopy=off` has turned: its own check lets all of them pass, and ours must. null for
 * kernels whose callers ask the key (6.15 on), and for those without one.
 */
export function judgeOff(image) {
  return withGuest(image, async (guest) => {
    const cases = lkdtmCases(guest, new KernelObjects(guest));
    const gate = gateOf(guest.kernel);
    if (gate?.askedBy !== 'inside') return null;
    enableStaticKey(guest, gate.address);
    const { rows } = await runTwins(guest, cases);
    return { same: rows.filter(({ identical, guest: line }) => identical && line === null).length, total: rows.length };
  });
}

/** Cases whose line tells how a kernel uses its stack, or how long its text is. */
const OF_ITS_OWN = /^(?:stack: |kernel text: across its end)/;

/**
 * A kernel without the check: it must copy what a check would refuse, `judge: 'kernel'` must say that there is nothing to judge by, and
 * `judge: 'all'` must judge every copy. Its judges are another kernel's own check, where the image with the same copies is
 * `sister`; where the line tells of the kernel itself, and for random copies, the check written by hand.
 */
export async function judgeUnchecked(image, sister, { copies, seed }) {
  const lines = await withGuest(sister, async (guest) => {
    const { rows } = await runTwins(guest, lkdtmCases(guest, new KernelObjects(guest)));
    return new Map(rows.map((row) => [row.case, row.guest]));
  });
  return withGuest(image, async (guest) => {
    const { engine, kernel, memory, variant } = guest;
    const objects = new KernelObjects(guest);
    const cases = lkdtmCases(guest, objects);
    const random = new SeededRandom(seed);
    const world = buildRandomWorld(guest, objects, random);
    await requireCopies(guest);
    await requireRefused(engine, kernel);
    const options = { judge: 'all', onViolation: 'record', memory: guest.check, keep: 1, backtrace: false };
    const attachment = await attach(engine, kernel, options);
    if (!attachment.notes.some((note) => note.includes('the kernel has no check of its own')))
      throw new Error(`expected a note that the kernel has no check, found: ${attachment.notes.join('; ')}`);
    const read = (address, length) => memory.tryRead(address, length);
    const { parameters, style } = withoutGate(rulesOf(withMemory(kernel, read), variant, {}));
    let registers = null;
    const base = variant.current.kind === 'memory' ? variant.current.base : null;
    const hooks = ['_copy_to_user', '_copy_from_user'].map((symbol) =>
      engine.hookAddress(guest.symbol(symbol), () => {
        registers = {
          stackPointer: engine.readRegister(variant.registers.sp),
          framePointer: engine.readRegister(variant.registers.fp),
          currentBase: base === null ? 0n : engine.readRegister(base),
        };
        // Behind ours, and before anything is copied: _copy_from_user() clears what it could not fill.
        engine.stop();
      }),
    );
    /** What ours says of a copy, and what the check written by hand does. */
    const judge = ({ pointer, size, direction }) => {
      const seen = attachment.statistics();
      const toUser = direction === 'to_user';
      const user = guest.user.address;
      const args = toUser ? [user, pointer, size] : [pointer, user, size];
      guest.callOnce(guest.symbol(toUser ? '_copy_to_user' : '_copy_from_user'), args, 10_000);
      const { checks, bad } = attachment.statistics();
      if (checks !== seen.checks + 1)
        throw new Error(`expected one judgement of a copy, found ${checks - seen.checks}`);
      const verdict = oracle(parameters, read, [], { pointer, size, direction }, registers);
      const ours = bad === seen.bad ? null : (attachment.violations.at(-1)?.message ?? 'unreadable');
      const byHand =
        verdict.outcome === 'unreadable' ? 'unreadable' : formatMessage(verdict, { pointer, size, direction }, style);
      return { ours, byHand };
    };
    const different = [];
    for (const { name, copy } of cases) {
      const { ours, byHand } = judge(copy);
      const expected = OF_ITS_OWN.test(name) ? byHand : lines.get(name);
      if (ours !== expected) different.push({ name, expected, found: ours });
    }
    let mismatches = 0;
    let refused = 0;
    for (let done = 0; done < copies; done++) {
      const { ours, byHand } = judge(randomCopy(random, world, kernel.bits).copy);
      if (byHand !== null) refused++;
      if (ours !== byHand && mismatches++ === 0)
        different.push({ name: `random copy ${done}`, expected: byHand, found: ours });
    }
    for (const hook of hooks) hook.remove();
    const { profile } = attachment;
    attachment.detach();
    return {
      profile,
      same: cases.length - different.filter(({ name }) => !name.startsWith('random')).length,
      total: cases.length,
      mismatches,
      refused,
      different,
    };
  });
}

/** The kernel itself gives its text to a user, without anybody who asks. */
async function requireCopies(guest) {
  const text = guest.symbol('_stext') + 64n;
  const { kind, value } = await guest.call('_copy_to_user', [guest.user.address, text, 64n]);
  const given = guest.memory.read(guest.user.address, 64);
  if (kind !== 'returned' || Buffer.compare(given, guest.memory.read(text, 64)) !== 0)
    throw new Error(`expected a kernel that copies its text to a user, found ${kind} (${value})`);
}

async function requireRefused(engine, kernel) {
  const error = await attach(engine, kernel, { judge: 'kernel' }).then(
    () => null,
    (reason) => reason,
  );
  if (!(error instanceof UsercopyError) || !/found none; it was built without HARDENED_USERCOPY/.test(error.message))
    throw new Error(`expected judge 'kernel' to be refused, found ${error?.message ?? 'an attachment'}`);
}
