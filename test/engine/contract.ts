/**
 * What every `Engine` must do, as src/engine/engine.ts says it. The judges are the instruction counts and register
 * values that follow from the programs by hand.
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { Engine, EngineSpec, RunEvent, RunOptions, RunResult } from '../../src/engine/engine.js';
import { UsercopyError } from '../../src/errors.js';
import { collectGarbage } from '../garbage.js';
import { increments, type Machine, machines, type Program, variants } from './machines.js';
import { limitJudge, trappingJudge } from './wasm.js';

const code = 0x10_0000n;
const data = 0x20_0000n;
const stack = 0x30_0000n;

/** What an engine says of an architecture that it was built without; null where it has it. */
function lackOf(spec: EngineSpec, open: (spec: EngineSpec) => Engine): string | null {
  try {
    open(spec).close();
    return null;
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'unsupported') return error.message;
    throw error;
  }
}

/** @param slower how many times slower than libunicorn it is: what takes long there is that much shorter. */
export function engineContract(name: string, open: (spec: EngineSpec) => Engine, slower = 1): void {
  const engines: Engine[] = [];
  const opened = (spec: EngineSpec): Engine => {
    const engine = open(spec);
    engines.push(engine);
    return engine;
  };
  /** Builds of unicorn.js may have one architecture: a test of another is skipped with what the engine says. */
  const openedWhereBuilt = (spec: EngineSpec, skip: (note: string) => never): Engine => {
    const lacking = lackOf(spec, open);
    return lacking === null ? opened(spec) : skip(lacking);
  };
  /** Tests on each machine; those of one that the build lacks are skipped, and their name says why. */
  const onEachMachine = (what: string, tests: (machine: Machine) => void): void => {
    for (const machine of machines) {
      const lacking = lackOf(machine.spec, open);
      const label = lacking === null ? machine.variant : `${machine.variant} (${lacking})`;
      describe.skipIf(lacking !== null)(`${what}: ${label}`, () => tests(machine));
    }
  };
  afterEach(() => {
    for (const engine of engines.splice(0)) engine.close();
  });

  /** An engine with a program at `code`, a page of data and a stack. */
  const prepare = (machine: Machine, program: Program, counter = 1n): Engine => {
    const engine = opened(machine.spec);
    engine.map(code, 0x1000n, 'rwx');
    engine.map(data, 0x1000n, 'rw');
    engine.map(stack, 0x1000n, 'rw');
    engine.write(code, program.bytes);
    engine.writeRegisters({
      [machine.sum]: 0n,
      [machine.counter]: counter,
      [machine.variant === 'x86_64' ? 'rsp' : 'sp']: stack + 0x800n,
    });
    return engine;
  };
  const place = (program: Program, label: string): bigint => code + BigInt(program.at[label]!);
  const toEnd = (program: Program): RunOptions => ({ start: code, until: place(program, 'end') });

  describe(`${name}: opening`, () => {
    test.for(variants)(
      '%s opens, keeps a register, executes an instruction and knows its pc',
      ([variant, spec], { skip }) => {
        const engine = openedWhereBuilt(spec, skip);
        const [register, bytes] = increments[variant]!;
        engine.map(0x1_0000n, 0x2000n, 'rwx');
        engine.write(0x1_0000n, bytes);
        engine.writeRegister(register, 41n);
        expect(
          engine.readRegisters([register, variant === 'x86_64' ? 'rip' : variant === 'i386' ? 'eip' : 'pc']),
        ).toEqual([41n, expect.anything()]);
        // Fetching in real mode needs MSR.HV there, which is the driver's to set.
        if (variant.startsWith('ppc64')) return;
        const size = BigInt(bytes.length) - (variant.includes('86') ? 1n : variant === 's390x' ? 2n : 4n);
        const result = engine.runSync({ start: 0x1_0000n, until: 0x1_0000n + size, timeLimit: 5000 });
        expect(result).toMatchObject({ reason: 'until', pc: 0x1_0000n + size });
        expect(engine.readRegister(register)).toBe(42n);
      },
    );

    test('an unknown architecture, mode or register, or the CPU model of another architecture, is an error that says what exists', () => {
      const failing = (spec: EngineSpec) => () => opened(spec);
      expect(failing({ arch: 'IA64', mode: [] })).toThrow(/expected one of .*SPARC.*found IA64/);
      expect(failing({ arch: 'X86', mode: ['65'] })).toThrow(/expected any of .*64.*found 65/);
      expect(failing({ arch: 'X86', mode: ['64'], cpu: 'ARM64_A72' })).toThrow(UsercopyError);
      const engine = opened({ arch: 'X86', mode: ['64'] });
      expect(() => engine.readRegister('rxa')).toThrow(/near: .*rax.*found rxa/);
      expect(() => engine.readRegisters(['rax', 'x0'])).toThrow(UsercopyError);
    });

    test('an unknown CPU model is an error that says what exists', ({ skip }) => {
      const spec = { arch: 'ARM64', mode: ['ARM'] };
      openedWhereBuilt(spec, skip);
      expect(() => opened({ ...spec, cpu: 'A99' })).toThrow(/ARM64_A72.*found A99/);
    });

    test('a mode that libunicorn has no machine for is an error with its own name', ({ skip }) => {
      const refused = () => openedWhereBuilt({ arch: 'PPC', mode: ['PPC64'] }, skip);
      expect(refused).toThrow(/uc_open\(PPC PPC64\).*UC_ERR_MODE/);
    });

    test.for([
      [{ arch: 'ARM64', mode: ['ARM'], cpu: 'ARM64_A72' }, 'x0'],
      [{ arch: 'S390X', mode: ['BIG_ENDIAN'], cpu: 'S390X_Z13' }, 'r0'],
    ] as const)('a CPU model can be named: %o', ([spec, register], { skip }) => {
      expect(openedWhereBuilt(spec, skip).readRegister(register)).toBe(0n);
    });

    test('every call on a closed engine is an error, closing twice is not', () => {
      const engine = opened(machines[0]!.spec);
      const hook = engine.hookAddress(code, () => {});
      engine.close();
      engine.close();
      hook.remove();
      expect(() => engine.readRegister('rax')).toThrow(/closed/);
      expect(() => engine.map(0n, 0x1000n, 'r')).toThrow(/closed/);
      expect(() => engine.runSync({ start: 0n, until: 1n })).toThrow(/closed/);
    });
  });

  onEachMachine(name, (machine) => {
    const { countdown, caller, straight, sum, counter, pointer, value } = machine;

    test('registers are read and written one by one and in batches', () => {
      const engine = prepare(machine, straight);
      engine.writeRegister(sum, 0xffff_ffff_ffff_fffen);
      engine.writeRegisters({ [counter]: 7n, [pointer]: data });
      expect(engine.readRegister(sum)).toBe(0xffff_ffff_ffff_fffen);
      expect(engine.readRegisters([pointer, counter, sum])).toEqual([data, 7n, 0xffff_ffff_ffff_fffen]);
      expect(() => engine.writeRegister(sum, -1n)).toThrow(/expected a bigint/);
      expect(() => engine.writeRegister(sum, 1n << 64n)).toThrow(/expected a bigint/);
    });

    test('a register of 128 bits gives its low 64 and harms nothing', () => {
      const engine = prepare(machine, straight);
      const wide = machine.variant === 'x86_64' ? 'xmm1' : 'q1';
      engine.writeRegister(wide, 0x1234_5678_9abc_def0n);
      expect(engine.readRegisters([wide, sum])).toEqual([0x1234_5678_9abc_def0n, 0n]);
    });

    test('memory is mapped, listed, read, written and unmapped', () => {
      const engine = prepare(machine, straight);
      expect(engine.regions()).toEqual([
        { start: code, end: code + 0x1000n, permissions: 'rwx' },
        { start: data, end: data + 0x1000n, permissions: 'rw' },
        { start: stack, end: stack + 0x1000n, permissions: 'rw' },
      ]);
      engine.write(data + 0xffcn, Uint8Array.of(1, 2, 3, 4));
      expect([...engine.read(data + 0xffbn, 5)]).toEqual([0, 1, 2, 3, 4]);
      engine.unmap(data, 0x1000n);
      expect(engine.regions()).toHaveLength(2);
      expect(() => engine.read(data, 1)).toThrow(/uc_mem_read\(0x200000, 0x1\).*UC_ERR_READ_UNMAPPED/);
      expect(() => engine.write(data, Uint8Array.of(1))).toThrow(/uc_mem_write.*UC_ERR_WRITE_UNMAPPED/);
      expect(() => engine.map(code, 0x1000n, 'r')).toThrow(/uc_mem_map\(0x100000.*UC_ERR_MAP/);
      expect(() => engine.map(0x1n, 0x1000n, 'r')).toThrow(/multiples of 4096/);
      expect(() => engine.map(0xffff_ffff_ffff_f000n, 0x2000n, 'r')).toThrow(/end within 64 bits/);
      expect(() => engine.map(data, 0x1000n, 'rq')).toThrow(/letters of "rwx"/);
      expect(() => engine.read(code, 0x7fff_ffff)).toThrow(/UNMAPPED/);
    });

    test('what lies at the addresses of kernels is reached: code, hooks, loads, stores and faults', () => {
      const kernelCode = machine.variant === 'x86_64' ? 0xffff_ffff_8100_0000n : 0xffff_8000_0801_0000n;
      const kernelData = machine.variant === 'x86_64' ? 0xffff_8880_0010_0000n : 0xffff_0000_0010_0000n;
      const engine = opened(machine.spec);
      engine.map(kernelCode, 0x1000n, 'rx');
      engine.map(kernelData, 0x1000n, 'rw');
      const run = (program: Program): RunResult => {
        engine.write(kernelCode, program.bytes);
        return engine.runSync({ start: kernelCode, until: kernelCode + BigInt(program.at['end']!), timeLimit: 5000 });
      };
      const arrivals: bigint[] = [];
      engine.hookAddress(kernelCode, (pc) => arrivals.push(pc));
      const faults: bigint[] = [];
      engine.hookMemoryFault(({ address }) => faults.push(address) === 0);
      engine.writeRegisters({ [pointer]: kernelData + 8n, [sum]: 0xfedc_ba98_7654_3210n });
      expect(run(machine.store)).toMatchObject({ reason: 'until', error: null });
      expect([...engine.read(kernelData + 8n, 8)]).toEqual([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
      expect(run(machine.load).reason).toBe('until');
      expect(engine.readRegister(value)).toBe(0xfedc_ba98_7654_3210n);
      engine.writeRegister(pointer, kernelData + 0x1000n);
      expect(run(machine.load)).toMatchObject({ reason: 'error', error: { code: 'READ_UNMAPPED' } });
      expect([arrivals, faults]).toEqual([[kernelCode, kernelCode, kernelCode], [kernelData + 0x1000n]]);
    });

    test('memory that is mapped is zero, also where an emulator had bytes before', () => {
      const used = prepare(machine, straight);
      used.write(data, new Uint8Array(0x1000).fill(0x5a));
      used.unmap(data, 0x1000n);
      used.map(data, 0x1000n, 'rw');
      expect(used.read(data, 0x1000).every((byte) => byte === 0)).toBe(true);
      used.write(data, new Uint8Array(0x1000).fill(0x5a));
      used.close();
      const fresh = prepare(machine, straight);
      for (const start of [data, stack]) expect(fresh.read(start, 0x1000).every((byte) => byte === 0)).toBe(true);
    });

    test('a run ends before the instruction at until, wherever blocks begin, and can go on', () => {
      const engine = prepare(machine, straight);
      const third = place(straight, 'third');
      expect(engine.runSync({ start: code, until: third })).toMatchObject({
        reason: 'until',
        pc: third,
        instructions: null,
      });
      expect(engine.readRegister(sum)).toBe(2n);
      expect(engine.runSync({ start: third, until: place(straight, 'end') }).reason).toBe('until');
      expect(engine.readRegister(sum)).toBe(4n);
      // The old end is an address like any other now.
      expect(engine.runSync(toEnd(straight)).reason).toBe('until');
      expect(engine.readRegister(sum)).toBe(8n);
      expect(engine.runSync({ start: code, until: code })).toMatchObject({ reason: 'until', pc: code });
      expect(engine.readRegister(sum)).toBe(8n);
    });

    test('until may be an address where nothing is mapped', () => {
      const engine = prepare(machine, machine.jump);
      const faults: bigint[] = [];
      engine.hookMemoryFault(({ address }) => faults.push(address) === 0);
      engine.writeRegister(pointer, 0x7777_0000n);
      const result = engine.runSync({ start: code, until: 0x7777_0000n });
      expect(result).toMatchObject({ reason: 'until', pc: 0x7777_0000n, error: null });
      expect(faults).toEqual([]);
    });

    test('instructions are counted as they would be by hand', async () => {
      const engine = prepare(machine, countdown, 1000n);
      const counted = { ...toEnd(countdown), countInstructions: true };
      expect(engine.runSync(counted).instructions).toBe(3000);
      engine.writeRegister(counter, 10n);
      expect((await engine.run(counted)).instructions).toBe(30);
      engine.writeRegister(counter, 10n);
      expect(engine.runSync(toEnd(countdown)).instructions).toBeNull();
      engine.writeRegister(counter, 10n);
      const stop = engine.hookAddress(place(countdown, 'second'), () => engine.stop());
      // Only the first instruction has been executed when the second is stopped at.
      expect(engine.runSync(counted)).toMatchObject({
        reason: 'stopped',
        instructions: 1,
        pc: place(countdown, 'second'),
      });
      stop.remove();
      expect(engine.runSync({ ...counted, start: place(countdown, 'second') }).instructions).toBe(29);
    });

    test('a block limit ends the run before the block after the last', () => {
      const engine = prepare(machine, countdown, 100n);
      const limited = engine.runSync({ ...toEnd(countdown), blockLimit: 7 });
      expect(limited).toMatchObject({ reason: 'block limit', pc: code });
      expect(engine.readRegister(sum)).toBe(7n);
      expect(engine.runSync({ ...toEnd(countdown), start: limited.pc, blockLimit: 93 }).reason).toBe('until');
      expect(engine.readRegister(sum)).toBe(100n);
      expect(engine.runSync({ ...toEnd(countdown), blockLimit: 0 })).toMatchObject({ reason: 'block limit', pc: code });
      expect(() => engine.runSync({ ...toEnd(countdown), blockLimit: 1.5 })).toThrow(/blockLimit/);
      expect(() => engine.runSync({ ...toEnd(countdown), timeLimit: 0 })).toThrow(/timeLimit/);
    });

    test('a hook on code that has run already fires, and no more after its removal', () => {
      const engine = prepare(machine, caller, 5n);
      const callee = place(caller, 'callee');
      engine.runSync(toEnd(caller));
      const arrivals: bigint[] = [];
      const hook = engine.hookAddress(callee, (pc) => {
        arrivals.push(pc);
        expect(engine.readRegister(machine.pc)).toBe(callee);
      });
      engine.writeRegister(counter, 3n);
      engine.runSync(toEnd(caller));
      expect(arrivals).toEqual([callee, callee, callee]);
      hook.remove();
      hook.remove();
      engine.writeRegister(counter, 3n);
      engine.runSync(toEnd(caller));
      expect(arrivals).toHaveLength(3);
      expect(engine.readRegister(sum)).toBe(11n);
    });

    test('hooks in the middle of a block fire each time and see the pc', () => {
      const engine = prepare(machine, countdown, 5n);
      const second = place(countdown, 'second');
      const sums: bigint[] = [];
      engine.runSync(toEnd(countdown));
      engine.hookAddress(second, (pc) => {
        expect([pc, engine.readRegister(machine.pc)]).toEqual([second, second]);
        sums.push(engine.readRegister(sum));
      });
      engine.writeRegister(counter, 3n);
      engine.runSync(toEnd(countdown));
      expect(sums).toEqual([6n, 7n, 8n]);
    });

    test('several hooks at one address fire in the order in which they were added', () => {
      const engine = prepare(machine, caller, 2n);
      const order: string[] = [];
      engine.hookAddress(place(caller, 'callee'), () => order.push('first'));
      const second = engine.hookAddress(place(caller, 'callee'), () => order.push('second'));
      engine.hookAddress(place(caller, 'callee'), () => {
        order.push('third');
        second.remove();
      });
      engine.runSync(toEnd(caller));
      expect(order).toEqual(['first', 'second', 'third', 'first', 'third']);
    });

    test('a callback removes its own hook and adds others that fire from the next block on', () => {
      const engine = prepare(machine, caller, 4n);
      let own = 0;
      let added = 0;
      let blocks = 0;
      const hook = engine.hookAddress(place(caller, 'callee'), () => {
        own += 1;
        hook.remove();
        engine.hookAddress(place(caller, 'afterCall'), () => {
          added += 1;
        });
        engine.hookBlock(() => {
          blocks += 1;
        });
      });
      engine.runSync(toEnd(caller));
      expect([own, added]).toEqual([1, 4]);
      // Of the first turn the rest after the call; of the other three the call, the callee and the rest.
      expect(blocks).toBe(1 + 3 * 3);
      expect(engine.readRegister(sum)).toBe(4n);
    });

    test('block hooks see each block with its size', () => {
      const engine = prepare(machine, countdown, 3n);
      const blocks: [bigint, number][] = [];
      const hook = engine.hookBlock((address, size) => blocks.push([address, size]));
      engine.runSync(toEnd(countdown));
      expect(blocks).toEqual([code, code, code].map((address) => [address, countdown.at['end']]));
      hook.remove();
      engine.writeRegister(counter, 3n);
      engine.runSync(toEnd(countdown));
      expect(blocks).toHaveLength(3);
    });

    test('stop in a callback ends the run before the instruction, and a plain hook fires again when it goes on', () => {
      for (const label of ['callee', 'afterCall']) {
        const engine = prepare(machine, caller, 2n);
        const address = place(caller, label);
        let fired = 0;
        engine.hookAddress(address, () => {
          fired += 1;
          if (fired === 1) engine.stop();
        });
        expect(engine.runSync(toEnd(caller))).toMatchObject({ reason: 'stopped', pc: address });
        expect(engine.runSync({ ...toEnd(caller), start: address }).reason).toBe('until');
        expect([fired, engine.readRegister(sum)]).toEqual([3, 2n]);
      }
    });

    test('a callback that writes the pc sends the guest there', () => {
      const engine = prepare(machine, caller, 3n);
      const link = machine.variant === 'x86_64' ? null : 'x30';
      // The callee is skipped as a stub would be: its return address is taken, nothing is added.
      engine.hookAddress(place(caller, 'callee'), () => {
        if (link) {
          engine.writeRegister(machine.pc, engine.readRegister(link));
        } else {
          const sp = engine.readRegister('rsp');
          engine.writeRegister('rip', new DataView(engine.read(sp, 8).buffer).getBigUint64(0, true));
          engine.writeRegister('rsp', sp + 8n);
        }
      });
      expect(engine.runSync({ ...toEnd(caller), countInstructions: true })).toMatchObject({
        reason: 'until',
        instructions: 9,
      });
      expect(engine.readRegister(sum)).toBe(0n);
    });

    test('bytes that are written over code that has run are what runs next', () => {
      const engine = prepare(machine, straight);
      engine.runSync(toEnd(straight));
      engine.write(code, machine.addTwo);
      engine.runSync(toEnd(straight));
      expect(engine.readRegister(sum)).toBe(4n + 5n);
    });

    test.each([
      ['an address hook', (engine: Engine, fail: () => never) => engine.hookAddress(place(caller, 'callee'), fail)],
      ['a block hook', (engine: Engine, fail: () => never) => engine.hookBlock(fail)],
    ])('an exception in %s ends the run and is thrown to its caller', async (_what, hook) => {
      const engine = prepare(machine, caller, 2n);
      const error = new Error('from the callback');
      const installed = hook(engine, () => {
        throw error;
      });
      expect(() => engine.runSync(toEnd(caller))).toThrow(error);
      await expect(engine.run(toEnd(caller))).rejects.toBe(error);
      installed.remove();
      engine.writeRegisters({ [sum]: 0n, [counter]: 2n });
      expect(engine.runSync(toEnd(caller)).reason).toBe('until');
      expect(engine.readRegister(sum)).toBe(2n);
    });

    test('exceptions in fault and interrupt callbacks, and thrown values that are no objects, come through', () => {
      const engine = prepare(machine, machine.load);
      engine.writeRegister(pointer, 0x5000_0000n);
      const fault = engine.hookMemoryFault(() => {
        throw 'a string';
      });
      let thrown: unknown;
      try {
        engine.runSync(toEnd(machine.load));
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBe('a string');
      fault.remove();
      engine.write(code, machine.interrupt.bytes);
      engine.hookInterrupt((number) => {
        throw new RangeError(`interrupt ${number}`);
      });
      expect(() => engine.runSync(toEnd(machine.interrupt))).toThrow(`interrupt ${machine.interrupt.number}`);
    });

    test('a run inside a callback is refused with an error', async () => {
      const engine = prepare(machine, caller, 1n);
      engine.hookAddress(place(caller, 'callee'), () => {
        expect(() => engine.close()).toThrow(/running/);
        engine.runSync(toEnd(caller));
      });
      await expect(engine.run(toEnd(caller))).rejects.toThrow(/running already/);
      const forever = prepare(machine, machine.forever);
      const first = forever.run({ start: code, until: 0n, timeLimit: 120 });
      await expect(forever.run({ start: code, until: 0n })).rejects.toThrow(/running already/);
      expect((await first).reason).toBe('time limit');
    });

    test('an access to memory that a fault callback maps is tried again', () => {
      const engine = prepare(machine, machine.load);
      const target = 0x5000_0010n;
      engine.writeRegister(pointer, target);
      const faults: unknown[] = [];
      engine.hookMemoryFault((fault) => {
        faults.push(fault);
        engine.map(0x5000_0000n, 0x1000n, 'rw');
        engine.write(target, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
        return true;
      });
      expect(engine.runSync(toEnd(machine.load)).reason).toBe('until');
      expect(engine.readRegister(value)).toBe(0x0807_0605_0403_0201n);
      expect(faults).toEqual([{ kind: 'read', protection: false, address: target, size: 8 }]);
    });

    test('a fault that nobody mends ends the run with its constant', () => {
      const engine = prepare(machine, machine.store);
      engine.map(0x5000_0000n, 0x1000n, 'r');
      const kinds: string[] = [];
      engine.hookMemoryFault(({ kind, protection }) => kinds.push(`${kind} ${protection}`) === 0);
      const storeTo = (address: bigint): RunResult => {
        engine.writeRegister(pointer, address);
        return engine.runSync(toEnd(machine.store));
      };
      expect(storeTo(0x5000_0000n)).toMatchObject({ reason: 'error', error: { code: 'WRITE_PROT' } });
      expect(storeTo(0x6000_0000n)).toMatchObject({ reason: 'error', error: { code: 'WRITE_UNMAPPED' } });
      engine.write(code, machine.jump.bytes);
      engine.writeRegister(pointer, 0x7000_0000n);
      expect(engine.runSync({ start: code, until: 1n })).toMatchObject({ error: { code: 'FETCH_UNMAPPED' } });
      expect(kinds).toEqual(['write true', 'write false', 'fetch false']);
    });

    test('the very first fetch may fault: the callback is asked once', () => {
      const engine = opened(machine.spec);
      let asked = 0;
      const hook = engine.hookMemoryFault(() => {
        asked += 1;
        return false;
      });
      expect(engine.runSync({ start: code, until: 0n })).toMatchObject({ error: { code: 'FETCH_UNMAPPED' } });
      expect(asked).toBe(1);
      hook.remove();
      engine.hookMemoryFault(({ kind }) => {
        engine.map(code, 0x1000n, 'rx');
        engine.write(code, straight.bytes);
        return kind === 'fetch';
      });
      expect(engine.runSync(toEnd(straight)).reason).toBe('until');
      expect(engine.readRegister(sum)).toBe(4n);
    });

    test('code that was mapped when it was fetched sees late hooks and new bytes', () => {
      const engine = prepare(machine, machine.jump);
      const target = 0x5000_0000n;
      const end = target + BigInt(straight.at['end']!);
      engine.hookMemoryFault(() => {
        engine.map(target, 0x1000n, 'rwx');
        engine.write(target, straight.bytes);
        return true;
      });
      engine.writeRegister(pointer, target);
      expect(engine.runSync({ start: code, until: end }).reason).toBe('until');
      const arrivals: bigint[] = [];
      engine.hookAddress(target, (pc) => arrivals.push(pc));
      engine.write(target + BigInt(straight.at['third']!), machine.addTwo);
      expect(engine.runSync({ start: code, until: end }).reason).toBe('until');
      expect(arrivals).toEqual([target]);
      expect(engine.readRegister(sum)).toBe(4n + 5n);
    });

    test('loads are told to their hook, which costs nothing once it is removed', () => {
      const engine = prepare(machine, machine.load);
      engine.writeRegister(pointer, data + 8n);
      engine.runSync(toEnd(machine.load));
      const loads: [bigint, number][] = [];
      const hook = engine.hookMemoryRead((address, size) => loads.push([address, size]));
      engine.runSync(toEnd(machine.load));
      expect(loads).toEqual([[data + 8n, 8]]);
      hook.remove();
      engine.hookMemoryRead(() => {
        throw new Error('from a load');
      });
      expect(() => engine.runSync(toEnd(machine.load))).toThrow('from a load');
      expect(loads).toHaveLength(1);
    });

    test('interrupts reach their hook and the guest goes on; without a hook they end the run', () => {
      const engine = prepare(machine, machine.interrupt);
      const numbers: number[] = [];
      const hook = engine.hookInterrupt((number) => numbers.push(number));
      expect(engine.runSync(toEnd(machine.interrupt)).reason).toBe('until');
      expect(numbers).toEqual([machine.interrupt.number]);
      hook.remove();
      expect(engine.runSync(toEnd(machine.interrupt))).toMatchObject({ reason: 'error', error: { code: 'EXCEPTION' } });
    });

    test('an invalid instruction ends the run at its address', () => {
      const engine = prepare(machine, machine.invalid);
      const result = engine.runSync({ start: code, until: code + 8n });
      expect(result).toMatchObject({
        reason: 'error',
        error: { code: expect.stringMatching(/^(INSN_INVALID|EXCEPTION)$/) },
      });
    });

    test('a time limit ends code that never ends, in one block or several, with and without hooks', async () => {
      const engine = prepare(machine, machine.forever);
      const endless: RunOptions = { start: code, until: 0n, timeLimit: 20 };
      expect(engine.runSync(endless)).toMatchObject({ reason: 'time limit', pc: code });
      expect(await engine.run({ ...endless, timeLimit: 120 })).toMatchObject({ reason: 'time limit', pc: code });
      let fired = 0;
      engine.hookAddress(code, () => {
        fired += 1;
      });
      expect(engine.runSync(endless)).toMatchObject({ reason: 'time limit', pc: code });
      expect(engine.runSync({ ...endless, countInstructions: true })).toMatchObject({ reason: 'time limit', pc: code });
      expect(fired).toBeGreaterThan(0);
    });

    test('a run serves timers: an endless loop is aborted or stopped, and the engine is usable afterwards', async () => {
      const engine = prepare(machine, machine.forever);
      const endless: RunOptions = { start: code, until: 0n };
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 60);
      await expect(engine.run({ ...endless, signal: controller.signal })).rejects.toThrow(/abort/i);
      await expect(engine.run({ ...endless, signal: controller.signal })).rejects.toThrow(/abort/i);
      setTimeout(() => engine.stop(), 60);
      expect(await engine.run(endless)).toMatchObject({ reason: 'stopped', pc: code });
      setTimeout(() => engine.close(), 60);
      await expect(engine.run(endless)).rejects.toThrow(/closed/);
    });

    test.each([
      // Turns: enough for a timer that comes late, few where each calls JavaScript.
      ['without hooks', 6_000_000n, () => {}],
      ['with a hook elsewhere', 6_000_000n, (engine: Engine) => engine.hookAddress(data, () => {})],
      [
        'with a hook inside a block',
        300_000n,
        (engine: Engine) =>
          engine.hookAddress(place(caller, 'afterCall') + (machine.variant === 'x86_64' ? 3n : 4n), () => {}),
      ],
      ['with a block hook', 300_000n, (engine: Engine) => engine.hookBlock(() => {})],
    ] as const)('interrupting a run hundreds of times changes nothing: %s', (_what, most, hook) => {
      const turns = most / BigInt(slower);
      const engine = prepare(machine, caller, turns);
      hook(engine);
      let result = engine.runSync({ ...toEnd(caller), timeLimit: 0.05 });
      let interruptions = 0;
      while (result.reason === 'time limit') {
        interruptions += 1;
        result = engine.runSync({ ...toEnd(caller), start: result.pc, timeLimit: 0.2 });
      }
      expect(result).toMatchObject({ reason: 'until', error: null });
      expect(engine.readRegisters([sum, counter])).toEqual([turns, 0n]);
      expect(interruptions).toBeGreaterThan(0);
    });

    test('a context is saved and restored, and changes of its bytes count', () => {
      const engine = prepare(machine, straight);
      const magic = 0x1122_3344_5566_7788n;
      engine.writeRegisters({ [sum]: magic, [counter]: 3n });
      const saved = engine.saveContext();
      engine.runSync(toEnd(straight));
      engine.writeRegister(counter, 9n);
      engine.restoreContext(saved);
      expect(engine.readRegisters([sum, counter])).toEqual([magic, 3n]);
      // The magic number stands somewhere in the opaque bytes, in the host's byte order.
      const view = new DataView(saved.bytes.buffer, saved.bytes.byteOffset, saved.bytes.byteLength);
      let places = 0;
      for (let at = 0; at + 8 <= view.byteLength; at += 8) {
        if (view.getBigUint64(at, true) !== magic) continue;
        view.setBigUint64(at, 0x99n, true);
        places += 1;
      }
      expect(places).toBeGreaterThan(0);
      engine.restoreContext(saved);
      expect(engine.readRegister(sum)).toBe(0x99n);
      expect(() => prepare(machine, straight).restoreContext(saved)).toThrow(/this emulator saved/);
      saved.free();
      expect(() => engine.restoreContext(saved)).toThrow(/freed/);
    });

    test('a context that a callback saves continues at the hooked instruction', () => {
      const engine = prepare(machine, caller, 3n);
      let saved = engine.saveContext();
      const hook = engine.hookAddress(place(caller, 'callee'), () => {
        saved = engine.saveContext();
        engine.stop();
      });
      engine.runSync(toEnd(caller));
      hook.remove();
      engine.runSync({ ...toEnd(caller), start: place(caller, 'callee') });
      engine.restoreContext(saved);
      expect(engine.readRegisters([machine.pc, sum, counter])).toEqual([place(caller, 'callee'), 0n, 3n]);
    });
  });

  const shared = open(machines[0]!.spec);
  const { sharedMemory, directCheck } = shared.capabilities;
  shared.close();

  onEachMachine(`${name}: WASM memory`, (machine) => {
    const { caller, countdown, straight, sum, counter, pointer, value } = machine;

    test.runIf(sharedMemory)('guest and WASM see each other’s bytes, and dropCode makes the guest see new code', () => {
      const engine = prepare(machine, machine.load);
      const memory = new WebAssembly.Memory({ initial: 4 });
      engine.mapShared(0x8000_0000n, 0x2_0000n, 'rwx', memory, 0x1_0000);
      const view = new DataView(memory.buffer);
      view.setBigUint64(0x1_0008, 0xfeed_beefn, true);
      engine.writeRegister(pointer, 0x8000_0008n);
      engine.runSync(toEnd(machine.load));
      expect(engine.readRegister(value)).toBe(0xfeed_beefn);
      engine.write(code, machine.store.bytes);
      engine.writeRegister(sum, 0x77n);
      engine.runSync(toEnd(machine.store));
      expect(view.getBigUint64(0x1_0008, true)).toBe(0x77n);
      const program = new Uint8Array(memory.buffer, 0x1_1000);
      program.set(straight.bytes);
      const run = { start: 0x8000_1000n, until: 0x8000_1000n + BigInt(straight.at['end']!) };
      engine.writeRegister(sum, 0n);
      engine.runSync(run);
      program.set(machine.addTwo);
      engine.dropCode(0x8000_1000n, machine.addTwo.length);
      engine.runSync(run);
      expect(engine.readRegister(sum)).toBe(9n);
      memory.grow(1);
      engine.runSync(run);
      expect(engine.readRegister(sum)).toBe(14n);
      expect(() => engine.mapShared(0x9000_0000n, 0x10_0000n, 'r', memory, 0)).toThrow(/bytes at offset/);
      const threaded = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
      expect(() => engine.mapShared(0x9000_0000n, 0x1000n, 'r', threaded, 0)).toThrow(/not shared between threads/);
    });

    test.runIf(sharedMemory)('a WASM memory lives as long as it is mapped', async () => {
      const engine = prepare(machine, machine.load);
      const collected: string[] = [];
      const registry = new FinalizationRegistry((label: string) => collected.push(label));
      (() => {
        const memory = new WebAssembly.Memory({ initial: 1 });
        new DataView(memory.buffer).setBigUint64(0, 0x1234n, true);
        registry.register(memory, 'memory');
        engine.mapShared(0x8000_0000n, 0x1_0000n, 'rw', memory, 0);
      })();
      await collectGarbage(() => collected.length > 0);
      expect(collected).toEqual([]);
      engine.writeRegister(pointer, 0x8000_0000n);
      engine.runSync(toEnd(machine.load));
      expect(engine.readRegister(value)).toBe(0x1234n);
      engine.unmap(0x8000_0000n, 0x1_0000n);
      await collectGarbage(() => collected.length > 0);
      expect(collected).toEqual(['memory']);
    });

    /** Context at 0: calls, limit. Request at 64: sum, untouched, pc, counter. */
    const copyHook = (
      engine: Engine,
      address: bigint,
      limit: number,
      onVerdict: (code: number) => 'stop' | 'continue',
    ) => {
      const memory = new WebAssembly.Memory({ initial: 1 });
      const context = new Int32Array(memory.buffer, 0, 2);
      context[1] = limit;
      const request = new BigUint64Array(memory.buffer, 64, 4);
      request.fill(0xeeee_eeee_eeee_eeeen);
      const registers = [sum, null, machine.pc, counter];
      const hook = engine.hookCopy({
        address,
        memory,
        requestOffset: 64,
        contextOffset: 0,
        registers,
        judge: limitJudge(memory),
        onVerdict,
      });
      return { hook, context, request, memory };
    };

    test.runIf(directCheck)('a copy hook stores the registers and lets good copies pass', () => {
      const engine = prepare(machine, caller, 3n);
      engine.runSync({ start: code, until: code });
      const { context, request, hook } = copyHook(engine, place(caller, 'callee'), 1000, () => 'stop');
      expect(engine.runSync(toEnd(caller)).reason).toBe('until');
      expect(context[0]).toBe(3);
      expect([...request]).toEqual([2n, 0xeeee_eeee_eeee_eeeen, place(caller, 'callee'), 1n]);
      hook.remove();
      engine.writeRegister(counter, 2n);
      engine.runSync(toEnd(caller));
      expect(context[0]).toBe(3);
    });

    test.runIf(directCheck).each([['callee'], ['afterCall'], ['middle']])(
      'a stop at a copy hook (%s) comes before the instruction, and resuming does not judge the arrival again',
      async (label) => {
        const program = label === 'middle' ? countdown : caller;
        const address = label === 'middle' ? place(countdown, 'second') : place(caller, label);
        const engine = prepare(machine, program, 5n);
        const codes: number[] = [];
        const { context } = copyHook(engine, address, 2, (verdict) => {
          codes.push(verdict);
          return 'stop';
        });
        let result = await engine.run(toEnd(program));
        const sums: bigint[] = [];
        while (result.reason === 'stopped') {
          expect(result.pc).toBe(address);
          sums.push(engine.readRegister(sum));
          result = engine.runSync({ ...toEnd(program), start: result.pc, resume: true });
        }
        expect(result.reason).toBe('until');
        const before = label === 'callee' ? [3n, 4n] : [3n, 4n, 5n];
        expect(sums).toEqual(before);
        expect(codes).toEqual(before.map(() => 1));
        expect(context[0]).toBe(5);
        expect(engine.readRegister(sum)).toBe(5n);
      },
    );

    test('a run that says it resumes is a new one unless it goes on from where the last one ended', () => {
      const engine = prepare(machine, machine.straight, 1n);
      const { straight } = machine;
      const events: RunEvent[] = [];
      engine.hookRun((event) => events.push(event));
      const told = (options: RunOptions): RunEvent[] => {
        events.length = 0;
        engine.runSync(options);
        return [...events];
      };
      const third = place(straight, 'third');
      const half = { ...toEnd(straight), until: third };
      expect(told({ ...half, resume: true })).toEqual(['begin', 'end']);
      expect(told({ ...toEnd(straight), start: third, resume: true })).toEqual(['end']);
      expect(told({ ...half, resume: true })).toEqual(['begin', 'end']);
      expect(told({ ...toEnd(straight), start: third })).toEqual(['begin', 'end']);
      engine.runSync(half);
      engine.writeRegister(counter, 2n);
      expect(told({ ...toEnd(straight), start: third, resume: true })).toEqual(['begin', 'end']);
      engine.runSync(half);
      engine.restoreContext(engine.saveContext());
      expect(told({ ...toEnd(straight), start: third, resume: true })).toEqual(['begin', 'end']);
    });

    test.runIf(directCheck)('equal copies are judged again and again, wherever a run starts', () => {
      const engine = prepare(machine, caller, 1n);
      const callee = place(caller, 'callee');
      const { context } = copyHook(engine, callee, 10, () => 'stop');
      engine.writeRegister(sum, 11n);
      const saved = engine.saveContext();
      for (let round = 1; round <= 3; round++) {
        engine.restoreContext(saved);
        expect(engine.runSync(toEnd(caller)).reason).toBe('stopped');
        expect(engine.runSync({ ...toEnd(caller), start: callee }).reason).toBe('stopped');
        expect(context[0]).toBe(2 * round);
      }
    });

    describe.runIf(directCheck)('a run that resumes', () => {
      const callee = place(caller, 'callee');
      /** A guest that was stopped at its callee, whose first copy, and every later one, is bad. */
      const stopped = (turns = 1n, answer: () => 'stop' | 'continue' = () => 'stop') => {
        const engine = prepare(machine, caller, turns);
        const copy = copyHook(engine, callee, 10, answer);
        engine.writeRegister(sum, 11n);
        const { reason, pc } = engine.runSync(toEnd(caller));
        expect([reason, pc]).toEqual(['stopped', callee]);
        const resume = (options: Partial<RunOptions> = {}) =>
          engine.runSync({ ...toEnd(caller), start: pc, resume: true, ...options });
        return { engine, ...copy, resume };
      };

      test('goes on once: the next copy is judged, however equal', () => {
        const { engine, context, resume } = stopped(3n);
        for (let turn = 1; turn <= 2; turn++) {
          engine.writeRegister(sum, 11n);
          expect(engine.runSync({ ...toEnd(caller), start: callee }).reason).toBe('stopped');
          expect(resume().reason).toBe('stopped');
        }
        expect(resume().reason).toBe('until');
        expect(context[0]).toBe(5);
      });

      test.each<[what: string, happen: (engine: Engine) => void]>([
        ['a register was written, even with its own value', (engine) => engine.writeRegister(sum, 11n)],
        ['another register was written', (engine) => engine.writeRegister(value, 1n)],
        ['a context was restored', (engine) => engine.restoreContext(engine.saveContext())],
        [
          'another run arrived there',
          (engine) => {
            engine.runSync({ ...toEnd(caller), start: callee });
            engine.runSync({ ...toEnd(caller), start: callee });
          },
        ],
        [
          'another run was elsewhere',
          (engine) => {
            engine.write(code + 0x800n, machine.straight.bytes);
            const start = code + 0x800n;
            engine.runSync({ start, until: start + BigInt(machine.straight.at['third']!) });
            engine.writeRegister(sum, 11n);
          },
        ],
        [
          'another run resumed elsewhere',
          (engine) => {
            engine.write(code + 0x800n, machine.straight.bytes);
            const start = code + 0x800n;
            engine.runSync({ start, until: start + BigInt(machine.straight.at['third']!), resume: true });
          },
        ],
      ])('judges the arrival when %s', (what, happen) => {
        const { engine, context, resume } = stopped();
        happen(engine);
        const before = context[0]!;
        if (what.includes('another run arrived')) {
          // The last of those runs was stopped there: it is that one which is resumed.
          expect([resume().reason, context[0]]).toEqual(['until', before]);
          return;
        }
        expect([resume().reason, context[0]]).toEqual(['stopped', before + 1]);
      });

      test('judges the arrival when it was hooked anew', () => {
        const { engine, hook, context, resume } = stopped();
        hook.remove();
        const again = copyHook(engine, callee, 10, () => 'stop');
        expect([resume().reason, context[0], again.context[0]]).toEqual(['stopped', 1, 1]);
      });

      test('judges the arrival when the callback that stopped it has written a register', () => {
        let engine: Engine | null = null;
        const guest = stopped(1n, () => {
          engine?.writeRegister(value, 5n);
          return 'stop';
        });
        engine = guest.engine;
        expect(guest.engine.runSync({ ...toEnd(caller), start: callee }).reason).toBe('stopped');
        expect([guest.resume().reason, guest.context[0]]).toEqual(['stopped', 3]);
      });

      test('keeps its pass where the run ends before it arrives, and counts what is executed', () => {
        const { context, resume } = stopped();
        expect(resume({ blockLimit: 0 }).reason).toBe('block limit');
        expect(resume({ countInstructions: true })).toMatchObject({ reason: 'until', instructions: 4 });
        expect(context[0]).toBe(1);
      });

      test('keeps its pass where a limit ends the run right there', () => {
        const { context, resume } = stopped();
        expect(resume({ instructionLimit: 0 })).toMatchObject({ reason: 'instruction limit', pc: callee });
        expect(resume().reason).toBe('until');
        expect(context[0]).toBe(1);
      });

      test('is judged by the hooks that were not asked yet: two stops in a row', () => {
        const engine = prepare(machine, caller, 1n);
        const asked: string[] = [];
        const hooks = ['check', 'raw'].map((label) =>
          copyHook(engine, callee, 10, () => {
            asked.push(label);
            return 'stop';
          }),
        );
        engine.writeRegister(sum, 11n);
        const resume = { ...toEnd(caller), start: callee, resume: true };
        expect(engine.runSync(toEnd(caller)).reason).toBe('stopped');
        expect(engine.runSync(resume).reason).toBe('stopped');
        expect(engine.runSync(resume).reason).toBe('until');
        expect(asked).toEqual(['check', 'raw']);
        expect(hooks.map(({ context }) => context[0])).toEqual([1, 1]);
      });

      test('meets plain hooks at the same address, which may send the guest elsewhere', () => {
        const { engine, context, resume } = stopped();
        let sent = 0;
        engine.hookAddress(callee, () => {
          sent += 1;
          engine.writeRegister(machine.pc, place(caller, 'end'));
        });
        expect(resume().reason).toBe('until');
        expect([sent, context[0], engine.readRegister(sum)]).toEqual([1, 1, 11n]);
        expect(engine.runSync({ ...toEnd(caller), start: callee, resume: true }).reason).toBe('stopped');
        expect(context[0]).toBe(2);
      });
    });

    test.runIf(directCheck)('onVerdict may let a bad copy go on', () => {
      const engine = prepare(machine, caller, 5n);
      let bad = 0;
      copyHook(engine, place(caller, 'callee'), 2, () => {
        bad += 1;
        return 'continue';
      });
      expect(engine.runSync(toEnd(caller)).reason).toBe('until');
      expect([bad, engine.readRegister(sum)]).toEqual([2, 5n]);
    });

    test.runIf(directCheck)('each arrival is judged once however often the run is interrupted', () => {
      const turns = 200_000;
      const engine = prepare(machine, caller, BigInt(turns));
      const { context } = copyHook(engine, place(caller, 'callee'), turns + 1, () => 'stop');
      let result = engine.runSync({ ...toEnd(caller), timeLimit: 0.05 });
      let interruptions = 0;
      while (result.reason === 'time limit') {
        interruptions += 1;
        result = engine.runSync({ ...toEnd(caller), start: result.pc, timeLimit: 0.2, resume: true });
      }
      expect(result.reason).toBe('until');
      expect(context[0]).toBe(turns);
      expect(interruptions).toBeGreaterThan(0);
    });

    test.runIf(directCheck)('a trap in the judge, an exception in onVerdict and a wrong answer end the run', () => {
      const engine = prepare(machine, caller, 5n);
      const address = place(caller, 'callee');
      const memory = new WebAssembly.Memory({ initial: 1 });
      const spec = { address, memory, requestOffset: 64, contextOffset: 0, registers: [sum] };
      const trap = engine.hookCopy({ ...spec, judge: trappingJudge(memory), onVerdict: () => 'stop' });
      expect(() => engine.runSync(toEnd(caller))).toThrow(WebAssembly.RuntimeError);
      trap.remove();
      const error = new Error('from onVerdict');
      const failing = engine.hookCopy({
        ...spec,
        judge: () => 1,
        onVerdict: () => {
          throw error;
        },
      });
      expect(() => engine.runSync({ ...toEnd(caller), start: address })).toThrow(error);
      failing.remove();
      engine.hookCopy({ ...spec, judge: () => 1, onVerdict: () => 'perhaps' as 'stop' });
      expect(() => engine.runSync({ ...toEnd(caller), start: address })).toThrow(/'stop' or 'continue'/);
    });

    test.runIf(directCheck)('a copy hook outside its memory, with an unknown or a wide register, is refused', () => {
      const engine = prepare(machine, caller);
      const memory = new WebAssembly.Memory({ initial: 1 });
      const spec = {
        address: code,
        memory,
        requestOffset: 64,
        contextOffset: 0,
        registers: [sum],
        judge: () => 0,
        onVerdict: () => 'stop' as const,
      };
      expect(() => engine.hookCopy({ ...spec, requestOffset: 0x1_0000 - 4 })).toThrow(/inside the memory/);
      expect(() => engine.hookCopy({ ...spec, registers: Array(17).fill(sum) })).toThrow(/at most 16/);
      expect(() => engine.hookCopy({ ...spec, registers: ['nothing'] })).toThrow(/found nothing/);
      const wide = machine.variant === 'x86_64' ? 'ymm0' : 'q0';
      expect(() => engine.hookCopy({ ...spec, registers: [wide] })).toThrow(/wider than 64 bits/);
    });

    test.runIf(directCheck)('a copy hook survives the growth of its memory', () => {
      const engine = prepare(machine, caller, 3n);
      const { memory } = copyHook(engine, place(caller, 'callee'), 1000, () => 'stop');
      engine.runSync(toEnd(caller));
      memory.grow(3);
      engine.writeRegister(counter, 2n);
      engine.runSync(toEnd(caller));
      expect(new Int32Array(memory.buffer, 0, 1)[0]).toBe(5);
    });
  });

  test(`${name}: a string instruction that runs for long can be interrupted and finishes exactly`, () => {
    const engine = opened({ arch: 'X86', mode: ['64'] });
    const bytes = (0x2000n / BigInt(slower)) * 0x1000n;
    engine.map(code, 0x1000n, 'rwx');
    engine.map(0x100_0000n, bytes, 'rw');
    engine.write(code, Uint8Array.of(0xf3, 0xaa, 0x90)); // rep stosb; nop
    engine.writeRegisters({ rax: 0x5an, rcx: bytes, rdi: 0x100_0000n });
    let result = engine.runSync({ start: code, until: code + 2n, timeLimit: 1 });
    let interruptions = 0;
    while (result.reason === 'time limit') {
      interruptions += 1;
      result = engine.runSync({ start: result.pc, until: code + 2n, timeLimit: 20 });
    }
    expect(result.reason).toBe('until');
    expect(interruptions).toBeGreaterThan(0);
    expect(engine.readRegisters(['rcx', 'rdi'])).toEqual([0n, 0x100_0000n + bytes]);
    expect(engine.read(0x100_0000n, Number(bytes)).every((byte) => byte === 0x5a)).toBe(true);
  });

  test(`${name}: a CPU that halts is told apart from one that arrived`, () => {
    const engine = opened({ arch: 'X86', mode: ['64'] });
    engine.map(code, 0x1000n, 'rwx');
    engine.write(code, Uint8Array.of(0xf4)); // hlt
    expect(engine.runSync({ start: code, until: code + 8n })).toMatchObject({
      reason: 'error',
      error: { code: 'HALTED' },
    });
  });
}
