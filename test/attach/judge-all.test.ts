import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import { type Attachment, attach } from '../../src/attach/attach.js';
import type { AttachOptions } from '../../src/attach/options.js';
import type { Violation } from '../../src/attach/violation.js';
import { UsercopyError } from '../../src/errors.js';
import { Guest, type GuestSnapshot } from '../../src/guest/guest.js';
import { usercopyLine } from '../../src/guest/log.js';
import { KernelObjects, type SlabObjects } from '../../src/guest/objects.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import { SeededRandom } from '../../src/scenario/random.js';
import type { StackDepth } from '../../src/stack/depth.js';
import { measureStackDepth } from '../../src/stack/depth.js';

const OBJECT = 64n;
/** More of them, and others, for whoever wants to look longer. */
const RANDOM_CALLS = Number(process.env['USERCOPY_CALLS'] ?? 48);
const SEED = Number(process.env['USERCOPY_SEED'] ?? 20160720);

/** The judge is the kernel's own check: it runs in the guest, and ends in BUG() after its line. */
describe.each(['x86_64', 'arm64', 'i386', 's390x'])("judge 'all' on Debian's %s kernel", (variant) => {
  let absence: string | null = null;
  let guest: Guest;
  let slab: SlabObjects;
  let depth: StackDepth | null;
  let position: bigint;
  let state: GuestSnapshot;
  let attachment: Attachment | null = null;

  beforeAll(async () => {
    try {
      const { path } = await fetchKernel(variant, {});
      guest = await Guest.create(await loadKernel({ path }, { drivers }));
    } catch (error) {
      if (!(error instanceof UsercopyError && error.kind === 'missing-dependency')) throw error;
      absence = error.message;
      return;
    }
    slab = new KernelObjects(guest).makeSlab({ name: 'own', objectSize: 64, size: 64, useroffset: 0, usersize: 64 });
    depth = await measureStackDepth(guest);
    position = guest.memory.allocate(4096n);
    guest.memory.write(guest.user.address, new Uint8Array(4096).fill(0x41));
    state = guest.snapshot();
  }, 120_000);
  afterEach(() => {
    attachment?.detach();
    attachment = null;
  });
  afterAll(() => {
    if (absence === null) guest.close();
  });

  const start = async (options: AttachOptions): Promise<Attachment> => {
    attachment = await attach(guest.engine, guest.kernel, {
      memory: guest.check,
      stackDepth: depth ?? undefined,
      onViolation: 'record',
      ...options,
    });
    return attachment;
  };
  const play = async (symbol: string, args: readonly bigint[]) => {
    const known = attachment?.violations.length ?? 0;
    attachment?.check.resetStatistics();
    guest.memory.writeUnsigned(position, 8, 0n);
    const outcome = await guest.call(symbol, args);
    const line = outcome.kind === 'bug' ? usercopyLine(guest) : null;
    // printk and BUG() leave locks and counters behind.
    if (outcome.kind === 'bug') guest.restore(state);
    return {
      kind: outcome.kind,
      line,
      violations: attachment?.violations.slice(known) ?? [],
      checks: attachment?.statistics().checks ?? 0,
    };
  };
  /** Functions that ask the check, by how a kernel pointer and a size are put into their arguments. */
  const checking: Record<string, (pointer: bigint, size: bigint) => bigint[]> = {
    // ssize_t simple_read_from_buffer(void __user *to, size_t count, loff_t *ppos, const void *from, size_t available)
    simple_read_from_buffer: (pointer, size) => [guest.user.address, size, position, pointer, size],
    // ssize_t simple_write_to_buffer(void *to, size_t available, loff_t *ppos, const void __user *from, size_t count)
    simple_write_to_buffer: (pointer, size) => [pointer, size, position, guest.user.address, size],
    // long strncpy_from_user(char *dst, const char __user *src, long count)
    strncpy_from_user: (pointer, size) => [pointer, guest.user.address, size],
  };

  it("finds what the kernel's check refuses, in its words and once, and passes what it passes", async (context) => {
    if (absence !== null) return context.skip(absence);
    for (const judge of ['kernel', 'all'] as const) {
      await start({ judge });
      for (const [symbol, argumentsOf] of Object.entries(checking)) {
        const good = await play(symbol, argumentsOf(slab.object(2), OBJECT));
        expect(good).toMatchObject({ kind: 'returned', line: null, violations: [], checks: 1 });
        for (const pointer of [slab.object(2), guest.symbol('_stext')]) {
          const bad = await play(symbol, argumentsOf(pointer, OBJECT + 1n));
          expect(bad.line).toMatch(/^usercopy: Kernel memory /);
          expect(bad).toMatchObject({ kind: 'bug', checks: 1 });
          expect(bad.violations).toMatchObject([
            { message: bad.line, entry: '__check_object_size', kernelJudges: true, copy: { pointer } },
          ]);
        }
      }
      attachment?.detach();
    }
  });

  it('counts a copy once that passes the check and the functions that copy, and tells it once when it is bad', async (context) => {
    if (absence !== null) return context.skip(absence);
    // The check is left out of the guest's way, so that a bad copy arrives at what copies too.
    const all = await start({ judge: 'all', onViolation: 'fail' });
    const good = await play('simple_read_from_buffer', checking['simple_read_from_buffer']!(slab.object(2), OBJECT));
    expect(good).toMatchObject({ kind: 'returned', checks: 1, violations: [] });
    const bad = await play('simple_read_from_buffer', checking['simple_read_from_buffer']!(slab.object(2), 65n));
    expect(bad.violations).toHaveLength(1);
    expect(all.statistics()).toMatchObject({ checks: 1, bad: 1, good: 0 });
  });

  it('judges copies that reach no check, and says that the kernel does not', async (context) => {
    if (absence !== null) return context.skip(absence);
    await start({ judge: 'all' });
    const { address } = guest.user;
    const toUser = guest.kernel.symbols.address('_copy_to_user') === undefined ? 'raw_copy_to_user' : '_copy_to_user';
    expect(await play(toUser, [address, slab.object(2), OBJECT])).toMatchObject({ checks: 1, violations: [] });
    const read = await play(toUser, [address, slab.object(2), OBJECT + 1n]);
    expect(read).toMatchObject({ kind: 'returned', checks: 1 });
    expect(read.violations).toMatchObject([{ entry: toUser, kernelJudges: false, copy: { direction: 'to_user' } }]);
    const write = await play('_copy_from_user', [slab.object(2), address, OBJECT + 1n]);
    expect(write.violations).toMatchObject([{ entry: '_copy_from_user', kernelJudges: false }]);
  });

  it('holds a range that the check was asked about against its parts, and no part of it twice', async (context) => {
    if (absence !== null) return context.skip(absence);
    const { address } = guest.user;
    const word = BigInt(guest.kernel.bits / 8);
    const iovec = position + 1024n;
    const iterator = position + 512n;
    [address, 40n, address + 256n, 40n].forEach((value, index) => {
      guest.memory.writeWord(iovec + BigInt(index) * word, value);
    });
    // void iov_iter_init(struct iov_iter *i, unsigned int direction, const struct iovec *iov, unsigned long nr_segs, size_t count)
    await guest.call('iov_iter_init', [iterator, 0n, iovec, 2n, 80n]);
    const before = state;
    state = guest.snapshot();
    try {
      await start({ judge: 'all' });
      // static size_t simple_copy_to_iter(const void *addr, size_t bytes, void *data, struct iov_iter *i)
      const good = await play('simple_copy_to_iter', [slab.object(2), OBJECT, 0n, iterator]);
      expect(good).toMatchObject({ kind: 'returned', violations: [] });
      // The iterator has advanced.
      guest.restore(state);
      const bad = await play('simple_copy_to_iter', [slab.object(2), OBJECT + 1n, 0n, iterator]);
      expect(bad).toMatchObject({ kind: 'bug', checks: 1 });
      expect(bad.violations).toMatchObject([{ message: bad.line, kernelJudges: true }]);
      // Two segments, 40 bytes and the rest: only the second leaves the object.
      const unasked = await play('_copy_to_iter', [slab.object(2), OBJECT + 1n, iterator]);
      expect(unasked).toMatchObject({ kind: 'returned', checks: 2 });
      expect(unasked.violations).toMatchObject([{ kernelJudges: false, copy: { size: 25n } }]);
    } finally {
      state = before;
    }
  });

  it(`agrees with the kernel on ${RANDOM_CALLS} random calls, stack objects above all`, async (context) => {
    if (absence !== null) return context.skip(absence);
    const random = new SeededRandom(SEED);
    await start({ judge: 'all' });
    const entry = guest.stackPointerAtEntry;
    const outcomes = { bug: 0, returned: 0 };
    for (let count = 0; count < RANDOM_CALLS; count++) {
      const size = BigInt(random.between(1, 96));
      // What is copied into the stack or the text would end the guest in other ways.
      const onStack = random.below(3) > 0;
      const symbol = onStack ? 'simple_read_from_buffer' : random.pick(Object.keys(checking));
      const pointer = onStack
        ? entry - 320n + BigInt(random.below(700))
        : random.pick([slab.object(2), guest.symbol('_stext'), guest.symbol('_etext') - 32n]) +
          BigInt(random.below(72));
      const { kind, line, violations } = await play(symbol, checking[symbol]!(pointer, size));
      const what = `${symbol} ${pointer.toString(16)} ${size}`;
      expect([kind, violations.map(({ message }) => message)], what).toEqual(
        line === null ? ['returned', []] : ['bug', [line]],
      );
      outcomes[kind as keyof typeof outcomes]++;
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(RANDOM_CALLS / 8);
  }, 600_000);

  it("judges at what copies as the kernel's check would, asked by the same caller", async (context) => {
    if (absence !== null) return context.skip(absence);
    const random = new SeededRandom(SEED + 1);
    const toUser = guest.kernel.symbols.address('_copy_to_user') === undefined ? 'raw_copy_to_user' : '_copy_to_user';
    const entry = guest.stackPointerAtEntry;
    await start({ judge: 'all' });
    for (let count = 0; count < RANDOM_CALLS; count++) {
      const size = BigInt(random.between(1, 96));
      const pointer =
        random.pick([entry - 160n, entry, slab.object(2), guest.symbol('_stext')]) + BigInt(random.below(160));
      const asked = await play('__check_object_size', [pointer, size, 1n]);
      const { violations } = await play(toUser, [guest.user.address, pointer, size]);
      expect(
        violations.map(({ message }: Violation) => message),
        `${pointer.toString(16)} ${size}`,
      ).toEqual(asked.line === null ? [] : [asked.line]);
    }
  }, 600_000);

  it("says, at the end of a run by 'kernel', that copies passed and the check was never asked", async (context) => {
    if (absence !== null) return context.skip(absence);
    const told: string[] = [];
    const kernelOnly = await start({ onBlindSpot: (spot) => told.push(spot) });
    expect(kernelOnly.judge).toBe('kernel');
    await play('_copy_from_user', [slab.object(2), guest.user.address, OBJECT + 1n]);
    await play('_copy_from_user', [slab.object(2), guest.user.address, OBJECT + 1n]);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/_copy_from_user.*never asked its check.*judge 'all'/);
    expect(kernelOnly.notes).toContain(told[0]);
    kernelOnly.detach();
    const other = await start({ onBlindSpot: (spot) => told.push(spot) });
    await play('strncpy_from_user', checking['strncpy_from_user']!(slab.object(2), OBJECT));
    await play('_copy_from_user', [slab.object(2), guest.user.address, OBJECT + 1n]);
    expect(told).toHaveLength(1);
    expect(other.notes).not.toContain(told[0]);
  });
});
