/** Requests that hooks append to a ring: judged once each, in order, when the ring is full, at the end of a run and on demand. */
import { afterEach, describe, expect, it } from 'vitest';
import { Check, type CheckOptions, executors } from '../../src/check/check.js';
import { parseProfile } from '../../src/check/profiles.js';
import { builtCheck } from '../../src/engine/built-check.js';
import type { Engine, RequestRing } from '../../src/engine/engine.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';

const CODE = 0x10_0000n;
/** nop; inc rdi; dec ecx; jnz to the nop; nop */
const LOOP = Uint8Array.of(0x90, 0x48, 0xff, 0xc7, 0xff, 0xc9, 0x75, 0xf8, 0x90);
const END = CODE + 8n;
const OBJECT = 0xffff_8880_0000_1000n;
const CAPACITY = 4;

const available = executors(builtCheck)
  .filter((executor) => executor.available)
  .map(({ name }) => name);

describe.each(available)('a ring that %s judges', (executor) => {
  const engines: Engine[] = [];
  afterEach(() => {
    for (const engine of engines.splice(0)) engine.close();
  });

  /** The guest asks about 64 bytes from OBJECT on, then from OBJECT + 1, … of a slab of objects of 64 bytes. */
  async function start(
    answer: (pointers: bigint[]) => 'stop' | 'continue',
    options: Partial<Omit<CheckOptions, 'source'>> = {},
  ) {
    const check = await Check.create({
      source: builtCheck,
      guestBytes: 0,
      ringCapacity: CAPACITY,
      executor,
      ...options,
    });
    const none = { text: null, linearText: null, rodata: null, data: null, bss: null, introspection: null };
    check.configure({
      ...{ bits: 64, endian: 'little', pageShift: 12, switches: parseProfile('6.1').switches, taskSize: 1n << 47n },
      ...none,
      stack: { threadSize: 0x4000n, current: { kind: 'declared' }, depthOfCheck: 0n, depthOfPrint: 0n, frames: null },
    });
    check.declare({
      kind: 'slab',
      cache: 'c',
      start: OBJECT,
      end: OBJECT + 0x1000n,
      objectStride: 64n,
      objectSize: 64n,
    });
    const engine = openUnicorn({ arch: 'X86', mode: ['64'] });
    engines.push(engine);
    engine.map(CODE, 0x1000n, 'rwx');
    engine.write(CODE, LOOP);
    const { native, checkBatch, check: judge } = await check.executorFor('auto');
    const told: bigint[] = [];
    let failure: Error | null = null;
    const ring: RequestRing = engine.openRing!({
      memory: check.memory,
      ...check.takeRing(),
      requestBytes: check.requestBytes,
      contextOffset: check.contextOffset,
      judge: checkBatch,
      native: native && { check: native, outermost: false },
      onVerdicts: (count) => {
        const pointers = check.noteworthyOfRing(count).map((offset) => check.copyOf(offset).pointer);
        told.push(...pointers);
        if (failure) throw failure;
        return answer(pointers);
      },
    });
    const hook = engine.hookCopy({
      address: CODE,
      memory: check.memory,
      requestOffset: check.createRequest({ direction: 'to_user' }),
      contextOffset: check.contextOffset,
      registers: ['rdi', 'rsi', null, null, 'rsp', null, null],
      judge,
      onVerdict: () => 'stop',
      ring,
    });
    const run = (rounds: number) => {
      engine.writeRegisters({ rdi: OBJECT, rsi: 64n, rcx: BigInt(rounds) });
      return engine.runSync({ start: CODE, until: END });
    };
    const fail = (error: Error | null) => {
      failure = error;
    };
    return { check, engine, ring, hook, run, told, fail };
  }

  const from = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, i) => OBJECT + BigInt(first + i));

  it('tells every bad copy once, in order, those left at the end of the run too', async () => {
    const { check, run, told, ring } = await start(() => 'continue');
    expect(run(10).reason).toBe('until');
    expect(told).toEqual(from(1, 9));
    ring.flush();
    expect(told).toEqual(from(1, 9));
    expect(check.statistics()).toMatchObject({ checks: 10, good: 1, bad: 9 });
    run(3);
    expect(told).toEqual([...from(1, 9), ...from(1, 2)]);
  });

  it('does not ask again about a place of the ring that held a bad copy in the round before', async () => {
    const { check, engine, run, told } = await start(() => 'continue');
    run(5);
    expect(told).toEqual(from(1, 4));
    for (const size of [1n, 1n]) {
      engine.writeRegisters({ rdi: OBJECT, rsi: size, rcx: 4n });
      engine.runSync({ start: CODE, until: END });
    }
    expect(told).toEqual(from(1, 4));
    expect(check.statistics().checks).toBe(13);
  });

  it('stops a run when it is full and somebody says so, and goes on from there', async () => {
    let answer: 'stop' | 'continue' = 'stop';
    const { check, engine, run, told } = await start(() => answer);
    const { reason, pc } = run(10);
    expect([reason, pc, engine.readRegister('rdi')]).toEqual(['stopped', CODE, OBJECT + BigInt(CAPACITY - 1)]);
    expect(told).toEqual(from(1, CAPACITY - 1));
    answer = 'continue';
    engine.runSync({ start: pc, until: END, resume: true });
    expect(told).toEqual(from(1, 9));
    expect(check.statistics().checks).toBe(10);
  });

  it('judges what waits when it is flushed by a callback in the middle of a run', async () => {
    const { engine, run, told, ring } = await start(() => 'continue', { ringCapacity: 1000 });
    const seen: number[] = [];
    engine.hookAddress(CODE + 4n, () => {
      ring.flush();
      seen.push(told.length);
    });
    run(5);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect(told).toEqual(from(1, 4));
  });

  it('hands on an exception of the callback', async () => {
    const { run, fail, told } = await start(() => 'continue');
    fail(new RangeError('thrown in the callback'));
    expect(() => run(10)).toThrow('thrown in the callback');
    fail(null);
    expect(run(2).reason).toBe('until');
    expect(told).toEqual([...from(1, CAPACITY - 1), ...from(1, 1)]);
  });

  it('judges slice by slice in a run that takes long', async () => {
    const { check, engine, told } = await start(() => 'continue', { ringCapacity: 10_000 });
    engine.writeRegisters({ rdi: OBJECT, rsi: 64n, rcx: 25_000n });
    expect((await engine.run({ start: CODE, until: END })).reason).toBe('until');
    expect(check.statistics().checks).toBe(25_000);
    expect(new Set(told).size).toBe(told.length);
  });
});
