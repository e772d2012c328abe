/**
 * The part of the engine's contract that is about counts. The judge is one firing of a hook on every instruction, in an
 * emulator of its own; prices and limits are worked out by hand.
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { CodeBlock, Engine, EngineSpec, RunOptions, RunResult } from '../../src/engine/engine.js';
import { type Machine, machines, type Program, x86_64 } from './machines.js';

const code = 0x10_0000n;
const data = 0x20_0000n;

export function countingContract(name: string, open: (spec: EngineSpec) => Engine): void {
  const engines: Engine[] = [];
  afterEach(() => {
    for (const engine of engines.splice(0)) engine.close();
  });

  const prepare = (machine: Machine, bytes: Uint8Array, registers: Readonly<Record<string, bigint>> = {}): Engine => {
    const engine = open(machine.spec);
    engines.push(engine);
    engine.map(code, 0x4000n, 'rwx');
    engine.map(data, 0x4000n, 'rw');
    engine.write(code, bytes);
    engine.writeRegisters({ [machine.variant === 'x86_64' ? 'rsp' : 'sp']: data + 0x3000n, ...registers });
    return engine;
  };
  const place = (program: Program, label: string): bigint => code + BigInt(program.at[label]!);
  /** Its bytes before a place. */
  const bytesBefore = (program: Program, label: string): Uint8Array => program.bytes.subarray(0, program.at[label]);
  const toEnd = (program: Program): RunOptions => ({ start: code, until: place(program, 'end') });

  /** Firings of a hook on every instruction, where another emulator runs the same. */
  const firings = (engine: Engine, options: RunOptions): number => {
    let count = 0;
    engine.hookInstruction(() => {
      count += 1;
    });
    engine.runSync(options);
    return count;
  };

  describe.each(machines.map((machine) => [machine.variant, machine] as const))(`${name}: %s`, (_, machine) => {
    const { countdown, caller, straight, counter, sum, pointer } = machine;

    test('a run ends after exactly as many instructions as its limit says, and can go on', () => {
      const engine = prepare(machine, caller.bytes);
      for (let limit = 0; limit <= 16; limit += 1) {
        engine.writeRegisters({ [counter]: 3n, [sum]: 0n });
        const first = engine.runSync({ ...toEnd(caller), instructionLimit: limit });
        expect(first).toMatchObject({
          reason: limit < 15 ? 'instruction limit' : 'until',
          instructions: Math.min(limit, 15),
          instructionsRange: null,
        });
        const rest = engine.runSync({ ...toEnd(caller), start: first.pc, countInstructions: true });
        expect(rest).toMatchObject({ reason: 'until', instructions: 15 - Math.min(limit, 15) });
        expect(engine.readRegister(sum)).toBe(3n);
      }
    });

    test('the limit also ends straight code, at any of its instructions', () => {
      const engine = prepare(machine, straight.bytes);
      const size = (place(straight, 'third') - code) / 2n;
      for (const limit of [3, 1, 2, 2, 0]) {
        engine.writeRegister(sum, 0n);
        expect(engine.runSync({ ...toEnd(straight), instructionLimit: limit })).toMatchObject({
          reason: 'instruction limit',
          pc: code + BigInt(limit) * size,
          instructions: limit,
        });
        expect(engine.readRegister(sum)).toBe(BigInt(limit));
      }
    });

    test('a long run in slices stops at its limit exactly', async () => {
      const engine = prepare(machine, countdown.bytes, { [counter]: 1n << 40n });
      const result = await engine.run({ ...toEnd(countdown), instructionLimit: 50_000_000 });
      expect(result).toMatchObject({ reason: 'instruction limit', instructions: 50_000_000 });
      // Three instructions a turn; the limit comes after the second of one.
      expect(engine.readRegister(counter)).toBe((1n << 40n) - 16_666_667n);
    });

    test('the count can be read in callbacks, before the instruction that they are for', () => {
      const engine = prepare(machine, caller.bytes, { [counter]: 2n });
      const seen: (number | null)[] = [];
      const note = () => seen.push(engine.instructionCount);
      engine.hookAddress(place(caller, 'callee'), note);
      engine.hookAddress(place(caller, 'afterCall') + (machine.variant === 'x86_64' ? 3n : 4n), note);
      engine.runSync({ ...toEnd(caller), countInstructions: true });
      expect(seen).toEqual([1, 4, 6, 9]);
      expect(engine.instructionCount).toBe(10);
      seen.length = 0;
      engine.writeRegister(counter, 1n);
      engine.runSync(toEnd(caller));
      expect(seen).toEqual([null, null]);
    });

    test('counting changes nothing about hooks in the middle of blocks, nor they about the count', () => {
      const engine = prepare(machine, straight.bytes);
      const third = place(straight, 'third');
      const stop = engine.hookAddress(third, () => engine.stop());
      expect(engine.runSync({ ...toEnd(straight), countInstructions: true })).toMatchObject({
        reason: 'stopped',
        pc: third,
        instructions: 2,
      });
      stop.remove();
      engine.hookAddress(third, () => engine.writeRegister(machine.pc, place(straight, 'end')));
      expect(engine.runSync({ ...toEnd(straight), countInstructions: true })).toMatchObject({
        reason: 'until',
        instructions: 2,
      });
    });

    test('after a memory fault the count is a range that holds the truth', () => {
      const bytes = Uint8Array.from([
        ...bytesBefore(straight, 'third'),
        ...bytesBefore(machine.load, 'end'),
        ...straight.bytes,
      ]);
      const run = { start: code, until: code + BigInt(bytes.length), countInstructions: true };
      const result = prepare(machine, bytes, { [pointer]: 0xdead_0000n }).runSync(run);
      const truth = firings(prepare(machine, bytes, { [pointer]: 0xdead_0000n }), run);
      expect(truth).toBe(3);
      expect(result.reason).toBe('error');
      expect(result.instructions).toBe(result.instructionsRange?.least);
      expect(result.instructionsRange?.least).toBeLessThanOrEqual(truth);
      expect(result.instructionsRange?.most).toBeGreaterThanOrEqual(truth);
      expect(result.instructionsRange?.most).toBeLessThanOrEqual(8);
    });

    test('a fault that a callback mends leaves the count exact', () => {
      const engine = prepare(machine, machine.load.bytes, { [pointer]: 0xdead_0000n });
      engine.hookMemoryFault(({ address }) => {
        engine.map(address, 0x4000n, 'rw');
        return true;
      });
      expect(engine.runSync({ ...toEnd(machine.load), countInstructions: true })).toMatchObject({
        reason: 'until',
        instructions: 1,
        instructionsRange: null,
      });
    });

    test('an invalid instruction and a system call are counted', () => {
      const run = { start: code, until: code + 0x100n, countInstructions: true };
      expect(prepare(machine, machine.invalid.bytes).runSync(run)).toMatchObject({ reason: 'error', instructions: 1 });
      const engine = prepare(machine, machine.interrupt.bytes);
      const seen: (number | null)[] = [];
      engine.hookInterrupt(() => seen.push(engine.instructionCount));
      const end = place(machine.interrupt, 'end');
      expect(engine.runSync({ ...run, until: end })).toMatchObject({ reason: 'until', instructions: 1 });
      expect(seen).toEqual([1]);
    });

    test('a block is priced once, by its bytes, and each time it is entered its price is added', () => {
      const engine = prepare(machine, countdown.bytes, { [counter]: 1000n });
      const priced: CodeBlock[] = [];
      const cycles = (block: CodeBlock): number => {
        priced.push(block);
        return 2.5 * block.instructions;
      };
      expect(engine.runSync({ ...toEnd(countdown), cycles })).toMatchObject({ instructions: 3000, cycles: 7500 });
      const loop = priced.find((block) => block.address === code)!;
      expect(loop).toMatchObject({ instructions: 3, thumb: false });
      expect(loop.code).toEqual(bytesBefore(countdown, 'end'));
      const asked = priced.length;
      engine.writeRegister(counter, 1000n);
      expect(engine.runSync({ ...toEnd(countdown), cycles })).toMatchObject({ cycles: 7500 });
      expect(priced).toHaveLength(asked);
      // Another pricer is asked anew; without one there are no cycles.
      engine.writeRegister(counter, 1000n);
      expect(engine.runSync({ ...toEnd(countdown), cycles: () => 1 })).toMatchObject({ cycles: 1000 });
      engine.writeRegister(counter, 1n);
      expect(engine.runSync({ ...toEnd(countdown), countInstructions: true }).cycles).toBeNull();
    });

    test('code that changes is priced again', () => {
      const engine = prepare(machine, straight.bytes);
      const first: number[] = [];
      const cycles = (block: CodeBlock): number => {
        first.push(block.code[0]!, block.code[2]!);
        return 1;
      };
      engine.runSync({ ...toEnd(straight), cycles });
      const asked = first.length;
      engine.write(code, machine.addTwo);
      engine.runSync({ ...toEnd(straight), cycles });
      expect(first.length).toBeGreaterThan(asked);
      expect(first.slice(-2)).toEqual([machine.addTwo[0], machine.addTwo[2]]);
    });

    test('cycles can be charged and limited; a block left early costs its part', () => {
      const engine = prepare(machine, countdown.bytes, { [counter]: 1n << 40n });
      const cycles = (block: CodeBlock): number => block.instructions;
      const limited = engine.runSync({ ...toEnd(countdown), cycles, cycleLimit: 3000 });
      expect(limited).toMatchObject({ reason: 'cycle limit', cycles: 3000, instructions: 3000, pc: code });
      let seen: number | null = null;
      const hook = engine.hookAddress(place(countdown, 'second'), () => {
        seen = engine.cycleCount;
        engine.chargeCycles(100.5);
        engine.stop();
      });
      expect(engine.runSync({ ...toEnd(countdown), cycles })).toMatchObject({ reason: 'stopped', cycles: 101.5 });
      expect(seen).toBe(1);
      hook.remove();
      expect(engine.runSync({ ...toEnd(countdown), instructionLimit: 1 }).cycles).toBeNull();
      expect(engine.cycleCount).toBeNull();
    });

    test('limits and prices that are none are refused', () => {
      const engine = prepare(machine, countdown.bytes, { [counter]: 3n });
      const refused = (options: Partial<RunOptions>): (() => RunResult) => {
        return () => engine.runSync({ ...toEnd(countdown), ...options });
      };
      expect(refused({ instructionLimit: -1 })).toThrow(/instructionLimit.*integer of 0 or more/);
      expect(refused({ instructionLimit: 1.5 })).toThrow(/instructionLimit/);
      expect(refused({ cycleLimit: 5 })).toThrow(/cycleLimit.*cycles/);
      expect(refused({ cycles: () => 1, cycleLimit: Number.NaN })).toThrow(/cycleLimit/);
      for (const price of [-1, Number.NaN, Infinity, '1' as unknown as number]) {
        expect(refused({ cycles: () => price })).toThrow(/price of the block at 0x100000.*number of 0 or more/);
      }
      const thrown = new Error('no price');
      expect(
        refused({
          cycles: () => {
            throw thrown;
          },
        }),
      ).toThrow(thrown);
      expect(() => engine.chargeCycles(-1)).toThrow(/0 or more/);
      engine.writeRegister(counter, 3n);
      expect(engine.runSync({ ...toEnd(countdown), cycles: () => 1 })).toMatchObject({ reason: 'until', cycles: 3 });
    });

    test('block hooks and limits see every arrival, also when a slice ended at one', async () => {
      const engine = prepare(machine, countdown.bytes, { [counter]: 400_000n });
      let blocks = 0;
      engine.hookBlock(() => {
        blocks += 1;
      });
      const result = await engine.run({ ...toEnd(countdown), countInstructions: true });
      expect(result).toMatchObject({ reason: 'until', instructions: 1_200_000 });
      // The block at the end may be told, too.
      expect([400_000, 400_001]).toContain(blocks);
    });
  });

  describe(`${name}: nasty x86-64 code is counted as a hook on every instruction fires`, () => {
    const nop = 0x90;
    const rep = (...instruction: number[]) => [nop, ...instruction, nop];
    const smcLoop = [
      ...[0x48, 0xff, 0xc9], //                            dec rcx
      ...[0xc6, 0x05, 0x02, 0, 0, 0, 0x90], //             mov byte [rip + 2], 0x90: into this block
      ...[nop, nop, nop, nop],
    ];
    test.each<[string, number[], Record<string, bigint>]>([
      ['rep stosb', rep(0xf3, 0xaa), { rcx: 5n, rdi: data }],
      ['rep stosb, nothing to do', rep(0xf3, 0xaa), { rcx: 0n, rdi: data }],
      ['rep movsq', rep(0xf3, 0x48, 0xa5), { rcx: 100n, rdi: data, rsi: data + 0x100n }],
      ['repe cmpsb', rep(0xf3, 0xa6), { rcx: 7n, rdi: data, rsi: data + 8n }],
      ['repne scasb that finds nothing', rep(0xf2, 0xae), { rcx: 7n, rdi: data, rax: 1n }],
      ['ud2 after others', [nop, nop, 0x0f, 0x0b], {}],
      ['a division by zero in the middle of a block', [nop, nop, 0x48, 0xf7, 0xf1, nop, nop], { rcx: 0n }],
      ['sti, which ends a block', [nop, 0xfb, nop, nop], {}],
      ['a store into the next instructions', [nop, 0xc6, 0x05, 0x02, 0, 0, 0, 0x90, nop, nop, nop], {}],
      ['a store into its own instruction', [nop, 0xc6, 0x05, 0xf9, 0xff, 0xff, 0xff, 0x90, nop, nop], {}],
      ['a block that begins with a store into itself', [0xc6, 0x05, 0x02, 0, 0, 0, 0x90, nop, nop, nop], {}],
      ['a loop that writes into itself', [...smcLoop, 0x75, 0x100 - smcLoop.length - 2], { rcx: 10n }],
      ['more instructions than fit into a block', new Array(3000).fill(nop), {}],
      ['a jump to itself, conditionally', [0xe2, 0xfe], { rcx: 50n }],
      ['halt', [nop, nop, 0xf4], {}],
    ])('%s', (_what, program, registers) => {
      const bytes = Uint8Array.from([...program, nop]);
      const run = { start: code, until: code + BigInt(program.length), countInstructions: true };
      const expected = firings(prepare(x86_64, bytes, registers), run);
      expect(prepare(x86_64, bytes, registers).runSync(run)).toMatchObject({
        instructions: expected,
        instructionsRange: null,
      });
      const half = Math.floor(expected / 2);
      const limited = prepare(x86_64, bytes, registers).runSync({ ...run, instructionLimit: half });
      expect(limited).toMatchObject({ reason: 'instruction limit', instructions: half });
    });
  });

  /** Code of other machines that a count by block could get wrong, with the firings worked out by hand. */
  interface Nasty {
    readonly spec: EngineSpec;
    readonly bytes: string;
    readonly end: number;
    readonly instructions: number;
    /** What the code changes: the same at the end wherever a limit stopped it in between. */
    readonly changed: readonly string[];
    readonly registers?: Readonly<Record<string, bigint>>;
    readonly thumb?: boolean;
    /** Instructions by which a limit may come early. */
    readonly coarse: number;
  }
  const nasty: Readonly<Record<string, Nasty>> = {
    // movs r0,4; 1: cmp r0,2; ite gt; addgt r1,1; addle r1,2; add.w r2,r2,1; itt ne; addne.w r3,r3,1; addne r4,1; subs r0,1; bne 1b
    'Thumb with IT blocks': {
      spec: { arch: 'ARM', mode: ['THUMB'] },
      bytes: '0420 0228 ccbf 0131 0231 02f10102 1cbf 03f10103 0134 0138 f3d1 00bf',
      end: 0x1a,
      instructions: 1 + 4 * 10,
      changed: ['r0', 'r1', 'r2', 'r3', 'r4'],
      thumb: true,
      coarse: 2,
    },
    // lghi r1,3; lghi r5,7; 1: ahi r2,1; ex r5,(r6); exrl r5,2f; aghi r2,1; brctg r1,1b; nopr; j 3f; 2: mvc (1,r3),(r4); 3:
    's390x with EX and EXRL': {
      spec: { arch: 'S390X', mode: ['BIG_ENDIAN'] },
      bytes: 'a7190003 a7590007 a72a0001 44506000 c6500000000a a72b0001 a717fff7 0700 a7f40005 d20030004000 0700',
      end: 0x2a,
      instructions: 2 + 3 * 5 + 2,
      changed: ['r1', 'r2'],
      registers: { pswm: 0x1_8000_0000n, r6: code + 0x24n, r3: data, r4: data + 0x100n },
      coarse: 4,
    },
    // lghi r1,3; 1: cgr r1,r5; nopr; nopr; ipm r4; agr r2,r4; brctg r1,1b: the condition code crosses the middle of a block
    's390x with a condition code inside a block': {
      spec: { arch: 'S390X', mode: ['BIG_ENDIAN'] },
      bytes: 'a7190003 b9200015 0707 0707 b2220040 b9080024 a717fff8 0700',
      end: 0x18,
      instructions: 1 + 3 * 6,
      changed: ['r1', 'r2', 'r4'],
      registers: { pswm: 0x1_8000_0000n, r5: 2n },
      coarse: 6,
    },
    // li a1,3; 1: addi a2,a2,1000; addi a3,1; lui t0,…; nop; bge a3,a1,2f; addi a4,1; 2: addi a1,-1; bnez a1,1b: half of them are of two bytes
    'RISC-V with compressed instructions': {
      spec: { arch: 'RISCV', mode: ['RISCV64'] },
      bytes: '8d45 1306863e 8506 b7523412 0100 63d3b600 0507 fd15 f5f5 0100',
      end: 0x18,
      instructions: 1 + 8 + 7 + 7,
      changed: ['a1', 'a2', 'a3', 'a4'],
      coarse: 0,
    },
    // li 3,3; mtctr 3; 1: addi 4,4,1; twgti 4,2; addi 5,5,1; bdnz 1b: the trap is taken in the third turn
    'powerpc with a trap in the middle of a block': {
      spec: { arch: 'PPC', mode: ['PPC32', 'BIG_ENDIAN'] },
      bytes: '38600003 7c6903a6 38840001 0d040002 38a50001 4200fff4 60000000',
      end: 0x18,
      instructions: 2 + 3 * 4,
      changed: ['3', '4', '5'],
      coarse: 0,
    },
    // mov 3,g2; 1: subcc g2,1,g2; bne,a 1b; add g3,1,g3; be 2f; add g4,1,g4; nop; 2: call 3f; add g5,1,g5; 3: ba,a 4f; nop; 4:
    'SPARC with delay slots, annulled and not': {
      spec: { arch: 'SPARC', mode: ['SPARC32', 'BIG_ENDIAN'] },
      bytes:
        '84102003 84a0a001 32bfffff 8600e001 02800003 88012001 01000000 40000002 8a016001 30800002 01000000 01000000',
      end: 0x2c,
      instructions: 1 + 2 * 3 + 2 + 5,
      changed: ['g2', 'g3', 'g4', 'g5'],
      coarse: 1,
    },
  };
  test.each(Object.entries(nasty))(`${name}: %s is counted, and stopped anywhere without harm`, (_, machine) => {
    const { spec, end, instructions, changed, coarse } = machine;
    const until = code + BigInt(end);
    const start = machine.thumb ? code + 1n : code;
    const ready = (): Engine => {
      const engine = open(spec);
      engines.push(engine);
      engine.map(code - 0x4000n, 0x8000n, 'rwx');
      engine.map(data, 0x4000n, 'rw');
      engine.write(code, Uint8Array.from(Buffer.from(machine.bytes.replaceAll(' ', ''), 'hex')));
      engine.writeRegisters(machine.registers ?? {});
      engine.hookInterrupt(() => {});
      return engine;
    };
    const whole = ready();
    // The condition code that would be lost is the only reason to end early there.
    const allowed = spec.arch === 'S390X' && whole.quirks?.().length === 0 ? 0 : coarse;
    whole.write(code - 4n, Uint8Array.of(0x40, 0, 0, 2)); // call, on SPARC
    expect(whole.runSync({ start, until, instructionLimit: 0 })).toMatchObject({ instructions: 0, pc: code });
    expect(whole.runSync({ start, until, countInstructions: true })).toMatchObject({ reason: 'until', instructions });
    for (let limit = 0; limit < instructions; limit += 1) {
      const engine = ready();
      const first = engine.runSync({ start, until, instructionLimit: limit });
      expect(first.reason).toBe('instruction limit');
      expect(first.instructions).toBeLessThanOrEqual(limit);
      expect(first.instructions).toBeGreaterThanOrEqual(limit - allowed);
      const rest = engine.runSync({
        start: first.instructions === 0 ? start : first.pc,
        until,
        countInstructions: true,
      });
      expect(rest.instructions).toBe(instructions - first.instructions!);
      expect(engine.readRegisters(changed)).toEqual(whole.readRegisters(changed));
      engine.close();
    }
  });
}
