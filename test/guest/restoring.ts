/**
 * What `Guest.snapshot()` and `saveMachine()` must do on every libunicorn. The judges are the guest itself, which does
 * the same again from the same state, and programs whose sums follow by hand.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import type { Engine, EngineSpec } from '../../src/engine/engine.js';
import type { Guest, GuestSnapshot } from '../../src/guest/guest.js';
import { readLog } from '../../src/guest/log.js';
import { saveMachine } from '../../src/guest/machine-state.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';
import { machines } from '../engine/machines.js';

const VARIANTS = ['x86_64', 'ppc64le', 'sparc64', 's390x'];

/** Where a page of RAM is shown a second time. */
const SEEN_AGAIN = 0x2000_0000n;

export function restoringContract(name: string, open: (spec: EngineSpec) => Engine): void {
  const opened: { close(): void }[] = [];
  afterEach(() => {
    for (const thing of opened.splice(0)) thing.close();
  });
  const startGuest = async (variant: string, build: 'check' | 'nocheck' = 'check'): Promise<Guest> => {
    const guest = await startOwnGuest(await loadOwnKernel(variant, build));
    opened.push(guest);
    return guest;
  };

  describe.each(VARIANTS)(`${name}: a snapshot of a %s guest`, (variant) => {
    it('brings back registers, memory and what was taken of RAM, so that all goes the same way again', async () => {
      const guest = await startGuest(variant);
      const registers = () => guest.engine.readRegisters(guest.variant.registers.all);
      const saved = guest.snapshot();
      const round = async () => {
        const before = registers();
        const page = guest.memory.allocate(8192n);
        guest.memory.write(page, new Uint8Array(8192).fill(0x5a));
        guest.memory.mapRam(SEEN_AGAIN, page - guest.memory.linearAddress + guest.memory.ram.physicalBase, 8192n);
        const seen = guest.engine.read(SEEN_AGAIN, 4);
        const object = await guest.callForValue('kmalloc', [64n], { countInstructions: true });
        const outcome = await guest.call('__check_object_size', [0n, 8n, 1n], { countInstructions: true });
        return { before, page, seen, object, outcome, log: readLog(guest) };
      };
      const first = await round();
      expect(first.outcome.kind).toBe('bug');
      expect(first.log).toHaveLength(1);
      expect([...first.seen]).toEqual([0x5a, 0x5a, 0x5a, 0x5a]);
      for (let again = 0; again < 2; again++) {
        guest.restore(saved);
        expect(readLog(guest)).toEqual([]);
        expect(guest.memory.isMapped(SEEN_AGAIN)).toBe(false);
        expect(() => guest.engine.read(SEEN_AGAIN, 1)).toThrow(/UNMAPPED/);
        expect(await round()).toEqual(first);
      }
    });
  });

  describe(`${name}: snapshots of guests`, () => {
    it('one that a callback takes goes on at the hooked instruction', async () => {
      const guest = await startGuest('x86_64');
      let saved: GuestSnapshot | undefined;
      const hook = guest.engine.hookAddress(guest.symbol('kmalloc'), () => {
        saved ??= guest.snapshot();
      });
      const object = await guest.callForValue('kmalloc', [64n]);
      hook.remove();
      expect(await guest.callForValue('kmalloc', [64n])).not.toBe(object);
      guest.restore(saved!);
      expect(guest.engine.readRegister('rip')).toBe(guest.symbol('kmalloc'));
      expect(await guest.resume()).toMatchObject({ kind: 'returned', value: object });
    });

    it('may be put back in any order, with what was mapped in each', async () => {
      const guest = await startGuest('x86_64');
      const PAGE = 4096n;
      const address = 0x7000_0000n;
      const fill = (value: number) => guest.memory.write(address, new Uint8Array(16).fill(value));
      const seen = () => [
        guest.engine.read(address, 1)[0],
        guest.memory.read(address, 1)[0],
        guest.check.read(address, 1)?.[0],
      ];
      const without = guest.snapshot();
      const physical = guest.memory.ram.physicalBase + guest.memory.ram.bytes - 2n * PAGE;
      guest.memory.mapRam(address, physical, PAGE);
      fill(0x11);
      const one = guest.snapshot();
      guest.restore(without);
      expect(guest.memory.isMapped(address)).toBe(false);
      expect(() => guest.engine.read(address, 1)).toThrow();
      guest.memory.mapRam(address, physical, 2n * PAGE);
      fill(0x22);
      const two = guest.snapshot();
      for (const [snapshot, value, pages] of [
        [one, 0x11, 1n],
        [two, 0x22, 2n],
        [one, 0x11, 1n],
      ] as const) {
        guest.restore(snapshot);
        expect(seen()).toEqual([value, value, value]);
        expect(guest.memory.isMapped(address + PAGE)).toBe(pages === 2n);
        fill(0x33);
      }
    });

    it('an attachment judges what comes after a restore afresh', async () => {
      const guest = await startGuest('x86_64', 'nocheck');
      const object = await guest.callForValue('kmalloc', [64n]);
      const attachment = await attach(guest, { judge: 'all' });
      const saved = guest.snapshot();
      const copy = (bytes: bigint) => guest.call('do_copy', [guest.user.address, object, bytes, 1n]);
      for (const round of [1, 2, 3]) {
        expect(await copy(65n)).toMatchObject({ kind: 'stopped' });
        expect(attachment.violations).toHaveLength(round);
        guest.restore(saved);
        expect(await copy(64n)).toMatchObject({ kind: 'returned' });
        expect(attachment.violations).toHaveLength(round);
      }
    });

    it('an audit judges what waits by the memory that it was noted in', async () => {
      const guest = await startGuest('x86_64', 'nocheck');
      const empty = guest.snapshot();
      const object = await guest.callForValue('kmalloc', [64n]);
      const attachment = await attach(guest, { judge: 'all', mode: 'audit' });
      // The copy is noted; before the run ends the callback goes back to where the object did not exist.
      const bad = async (goBack: boolean) => {
        const hook = guest.engine.hookAddress(guest.symbol('do_copy'), () => {});
        const seen = attachment.violations.length;
        let done = false;
        const end = guest.engine.hookBlock(() => {
          if (!goBack || done || attachment.statistics().checks > 0) return;
          const [copied] = guest.memory.read(guest.user.address, 1);
          if (copied !== 0x77) return;
          done = true;
          guest.restore(empty);
          guest.engine.stop();
        });
        guest.memory.write(object, new Uint8Array(64).fill(0x77));
        await guest.call('do_copy', [guest.user.address, object, 65n, 1n]);
        end.remove();
        hook.remove();
        attachment.flush();
        return { done, found: attachment.violations.slice(seen).map(({ message }) => message) };
      };
      const gone = await bad(true);
      expect(gone.done).toBe(true);
      expect(gone.found).toHaveLength(1);
      expect(gone.found[0]).toMatch(/SLUB object 'kmalloc-64' \(offset 0, size 65\)/);
    });

    it('of another guest, and of a closed one, are refused in a sentence', async () => {
      const [one, other] = [await startGuest('x86_64'), await startGuest('x86_64')];
      const saved = one.snapshot();
      expect(() => other.restore(saved)).toThrow(/expected a snapshot of this guest/);
      one.close();
      expect(() => one.restore(saved)).toThrow(/closed/);
      expect(() => one.snapshot()).toThrow(/closed/);
    });

    it('keep memory that somebody mapped into the emulator himself', async () => {
      const guest = await startGuest('x86_64');
      guest.engine.map(0x7000_0000n, 0x1000n, 'rw');
      guest.engine.write(0x7000_0000n, Uint8Array.of(1, 2, 3));
      const saved = guest.snapshot();
      guest.engine.write(0x7000_0000n, Uint8Array.of(9));
      guest.engine.map(0x7100_0000n, 0x1000n, 'rw');
      guest.restore(saved);
      expect([...guest.engine.read(0x7000_0000n, 4)]).toEqual([1, 2, 3, 0]);
      expect(() => guest.engine.read(0x7100_0000n, 1)).toThrow(/UNMAPPED/);
    });
  });

  describe.each(machines.map((machine) => [machine.variant, machine] as const))(
    `${name}: saveMachine on %s`,
    (_, machine) => {
      const code = 0x10_0000n;
      const data = 0x20_0000n;
      const { straight, sum, pointer } = machine;

      it('brings back registers, bytes and code, takes away what was mapped since, and refuses where memory went', () => {
        const engine = open(machine.spec);
        opened.push(engine);
        engine.map(code, 0x1000n, 'rwx');
        engine.map(data, 0x4000n, 'rw');
        engine.write(code, straight.bytes);
        engine.write(data, Uint8Array.of(1, 2, 3));
        engine.writeRegisters({ [sum]: 0n, [pointer]: data });
        const run = () => {
          engine.runSync({ start: code, until: code + BigInt(straight.at['end']!) });
          return engine.readRegister(sum);
        };
        const saved = saveMachine(engine);
        for (let round = 0; round < 2; round++) {
          expect(run()).toBe(4n);
          engine.write(code, machine.addTwo);
          engine.writeRegister(sum, 0n);
          expect(run()).toBe(5n);
          engine.write(data + 0x3ffen, Uint8Array.of(7, 7));
          engine.map(0x30_0000n, 0x2000n, 'rw');
          saved.restore();
          expect(engine.readRegisters([sum, pointer])).toEqual([0n, data]);
          expect([...engine.read(data + 0x3ffen, 2)]).toEqual([0, 0]);
          expect(engine.regions().map(({ start }) => start)).toEqual([code, data]);
        }
        engine.unmap(data + 0x1000n, 0x1000n);
        engine.writeRegister(sum, 9n);
        expect(() => saved.restore()).toThrow(/memory at 0x201000 to 0x202000 was unmapped since/);
        expect(engine.readRegister(sum)).toBe(9n);
        engine.map(data + 0x1000n, 0x1000n, 'r');
        expect(() => saved.restore()).toThrow(/memory at 0x201000 has other permissions than in the snapshot, now r/);
        engine.unmap(data + 0x1000n, 0x1000n);
        engine.map(data + 0x1000n, 0x1000n, 'rw');
        saved.restore();
        expect(engine.readRegister(sum)).toBe(0n);
      });
    },
  );
}
