/** Blocks worked out by hand from the cores' manuals, and the scoreboard's own rules. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { variants } from '../../arch/index.js';
import { Disassembler } from '../../src/cycles/disassembler.js';
import { openCycleModel } from '../../src/cycles/open.js';
import { type Hazards, pathCycles } from '../../src/cycles/path.js';
import { CycleModel } from '../../src/cycles/price.js';
import { IDLE, type Scoreboard, scoreboardOf, type Timing } from '../../src/cycles/scoreboard.js';
import type { CodeBlock } from '../../src/engine/engine.js';
import { loadOwnKernel } from '../../src/scenario/own.js';

const models = new Map<string, CycleModel>();
const open = async (name: string, core?: string) =>
  openCycleModel(variants.find((variant) => variant.name === name)!, core);
/** Another core of x86_64, whose renaming does away with moves. */
const ZEN = 'znver5';
/** One whose fetch and divisions are described. */
const ZEN_3 = 'znver3';

beforeAll(async () => {
  for (const name of ['x86_64', 'arm64', 'arm', 'sparc', 'sparc64', 's390x']) models.set(name, await open(name));
  for (const core of [ZEN, ZEN_3]) models.set(core, await open('x86_64', core));
});
afterAll(() => {
  for (const model of models.values()) model.close();
});

/** Cycle at which each instruction issues, from words in the order in which a manual prints them. */
function issues(variant: string, ...words: readonly string[]): number[] {
  const timings: Timing[] = [];
  models.get(variant)!.price(Buffer.from(words.join('').replaceAll(' ', ''), 'hex'), 0x1000n, { timings });
  return timings.map(({ issued }) => issued);
}
const apart = (cycles: readonly number[]) => cycles.slice(1).map((cycle, index) => cycle - cycles[index]!);

describe('Cortex-A53: two instructions a cycle, in order', () => {
  const mul = (to: number, from: number) => hex32(0x9b007c00 | (1 << 16) | (from << 5) | to);
  const add = (to: number, from: number) => hex32(0x8b020000 | (from << 5) | to);
  test('a chain of additions takes one cycle a link', () => {
    expect(apart(issues('arm64', add(0, 0), add(0, 0), add(0, 0)))).toEqual([1, 1]);
  });
  test('two additions that do not depend on each other go together', () => {
    expect(apart(issues('arm64', add(0, 3), add(4, 5)))).toEqual([0]);
  });
  test('multiplications have one unit: independent ones go one a cycle', () => {
    expect(apart(issues('arm64', mul(0, 3), mul(4, 5), mul(6, 7)))).toEqual([1, 1]);
  });
  test('an addition waits longer for a multiplication than for an addition, a load longer still', () => {
    const [afterMul] = apart(issues('arm64', mul(0, 3), add(4, 0)));
    const [afterLoad] = apart(issues('arm64', hex32(0xf9400060), add(4, 0)));
    expect(afterMul).toBeGreaterThan(1);
    expect(afterLoad).toBeGreaterThan(afterMul!);
  });
});

describe('Zen 5: moves are done away with', () => {
  const multiply = '480fafc0'; // imul rax, rax
  test('what is moved is there when what it was moved from is (AMD 58455: a move takes no time, its value does)', () => {
    // mov ebx, eax; add ebx, ebx beside add eax, eax: both wait for the multiplication.
    const [, , moved] = issues(ZEN, multiply, '89c3', '01db');
    const [, direct] = issues(ZEN, multiply, '01c0');
    expect(moved).toBe(direct);
  });
  test('an idiom that clears a register waits for nothing', () => {
    // xor eax, eax; add eax, eax
    const [first, , last] = issues(ZEN, multiply, '31c0', '01c0');
    expect(last! - first!).toBeLessThan(3);
  });
  test('a plain load comes after four cycles, one with an index after five', () => {
    const waits = (load: string) => apart(issues(ZEN, load, '4801c0'))[0]; // add rax, rax
    expect(waits('488b07')).toBe(4); // mov rax, [rdi]
    expect(waits('488b0437')).toBe(5); // mov rax, [rdi + rsi]
  });
});

describe('Zen 3, as AMD’s guide tells it (56665)', () => {
  /** Blocks of a path by address and bytes. */
  const path = (...blocks: readonly (readonly [address: bigint, hex: string])[]): CodeBlock[] =>
    blocks.map(([address, hex]) => {
      const code = Buffer.from(hex, 'hex');
      return { address, code, instructions: models.get(ZEN_3)!.analyse(code, address).length, thumb: false };
    });
  const cycles = (core: string, blocks: readonly CodeBlock[], hazards?: Hazards) =>
    pathCycles(models.get(core)!, blocks, hazards);
  const sixteen = Array.from({ length: 16 }, (_, index) => BigInt(0x1000 * (index + 1)));

  test('a division takes 8 cycles and one for every 9 bits of the quotient; what is not known takes the longest', () => {
    const division = path([0x1000n, '48f7f748f7f7']); // div rdi, twice
    const [shortest, ...longer] = [0n, 0x1ffn, 0x200n, 0x3ffffn, 0x40000n, (1n << 63n) | 1n].map((quotient) =>
      cycles(ZEN_3, division, { left: () => quotient }),
    );
    expect(shortest).toBe(2 * 9);
    expect(longer).toEqual([9, 10, 10, 11, 16].map((one) => 2 * one));
    expect(cycles(ZEN_3, division, { left: () => null })).toBe(cycles(ZEN_3, division));
    expect(cycles(ZEN_3, division)).toBeGreaterThanOrEqual(2 * 16);
    // Of a negative quotient (idiv edi) its digits count.
    const signed = path([0x1000n, 'f7ff']);
    expect(cycles(ZEN_3, signed, { left: () => 0xfffffe00n })).toBe(10);
    // Skylake's table has no such rule.
    expect(cycles('x86_64', division, { left: () => 0n })).toBe(cycles('x86_64', division));
  });

  test('one branch is taken a cycle: no bubble after a plain jump, one after a call, a return or a jump through a register', () => {
    const far = (hex: string) => path(...sixteen.map((address) => [address, hex] as const));
    // jmp, to anywhere.
    expect(cycles(ZEN_3, far('eb10'))).toBe(16);
    // call rax, and jmp rax.
    for (const late of ['ffd0', 'ffe0']) expect(cycles(ZEN_3, far(late))).toBe(2 * 16 - 1);
    // As many that are not taken: two branch units.
    expect(cycles(ZEN_3, path([0x1000n, '7410'.repeat(16)]))).toBe(8);
    // Nothing is said of Skylake's fetch: what llvm-mca prices goes on as if nothing was taken.
    expect(cycles('x86_64', far('eb10'))).toBe(cycles('x86_64', path([0x1000n, 'eb10'.repeat(16)])));
  });

  test('what lies behind a taken branch is fetched in the next cycle, however few there are', () => {
    const eight = sixteen.slice(0, 8);
    expect(cycles(ZEN_3, path(...eight.map((address) => [address, '9090eb10'] as const)))).toBe(8);
    expect(cycles(ZEN_3, path([0x1000n, '9090eb10'.repeat(8)]))).toBeLessThan(6);
  });

  test('two stores go in a cycle, and what was pushed is popped after 8 cycles', () => {
    expect(apart(issues(ZEN_3, '50', '53', '51', '52'))).toEqual([0, 1, 0]);
    // pop rax; add rax, rax
    expect(apart(issues(ZEN_3, '58', '4801c0'))).toEqual([8]);
    expect(apart(issues(ZEN_3, '488b07', '4801c0'))).toEqual([4]);
  });
});

describe('Skylake: out of order', () => {
  test('pushes and pops do not wait for the stack pointer, popcnt and what is popped into it do', () => {
    const lea = '488da42400010000'; // lea rsp, [rsp + 0x100]
    // Three of them in a chain, each a cycle; then what needs its result, or does not.
    const behind = (code: string) => apart(issues('x86_64', lea, lea, lea, code))[2];
    expect(behind('f3480fb8c4')).toBe(1); // popcnt rax, rsp
    expect(behind('58')).toBeLessThanOrEqual(0); // pop rax
    // popcnt rsp, rax; mov rbx, rsp: later. pop rsp; mov rbx, rsp: later by a load.
    expect(apart(issues('x86_64', 'f3480fb8e0', '4889e3'))[0]).toBeGreaterThanOrEqual(1);
    expect(apart(issues('x86_64', '5c', '4889e3'))[0]).toBeGreaterThanOrEqual(4);
    expect(apart(issues('x86_64', '58', '4889e3'))).toEqual([0]);
  });
  test('a dependent multiplication comes three cycles later (Intel optimization manual: latency 3)', () => {
    expect(apart(issues('x86_64', '480fafc0', '480fafc0', '480fafc0'))).toEqual([3, 3]);
  });
  test('the address of a load is waited for five cycles after a load (pointer chasing)', () => {
    expect(apart(issues('x86_64', '488b00', '488b00'))).toEqual([5]);
  });
  test('xor of a register with itself needs nothing and breaks the chain', () => {
    const [, zeroed, next] = issues('x86_64', '480fafc0', '31c0', '4883c001');
    expect(zeroed).toBe(0);
    expect(next).toBeLessThan(3);
  });
  test('four additions a cycle, the fifth waits: four units', () => {
    const cycles = issues('x86_64', '4883c001', '4883c301', '4883c101', '4883c201', '4883c601');
    expect(apart(cycles)).toEqual([0, 0, 0, 1]);
  });
});

describe('Cortex-A9 (ARM DDI 0388I)', () => {
  test('a load of eight registers takes the load unit four cycles (table B-3)', () => {
    // pop {r4-r11}; ldr r0, [r1]: the load waits for the unit.
    expect(apart(issues('arm', 'f00fbde8', '000091e5'))).toEqual([4]);
  });
});

describe('SPARC: one instruction a cycle, in order', () => {
  const load = 'd0024000'; // ld [%o1], %o0
  const use = '92020008'; // add %o0, %o0, %o1
  const other = '9402a001'; // add %o2, 1, %o2
  test('LEON4: the word after a load costs one cycle more when it uses it at once', () => {
    expect(apart(issues('sparc', load, use))).toEqual([2]);
    expect(apart(issues('sparc', load, other))).toEqual([1]);
  });
  test('UltraSPARC T2: load to use is three cycles', () => {
    expect(apart(issues('sparc64', load, use))).toEqual([3]);
  });
  test('%g0 is no dependency', () => {
    // smul %o0, %o0, %g0; add %g0, 1, %o1
    expect(apart(issues('sparc', '805a0008', '92002001'))).toEqual([1]);
  });
});

describe('a path', () => {
  test.each([['x86_64'], ['x86_64', ZEN_3], ['arm64'], ['s390x'], ['ppc64le']])(
    '%s %s: put away and taken up again after any instruction, it takes as many cycles',
    async (name, core?: string) => {
      const model = await open(name, core);
      const kernel = await loadOwnKernel(name);
      const start = kernel.symbols.address('__check_object_size')!;
      const { operations } = model.operations(kernel.read(start, 256)!, start);
      const whole = scoreboardOf(model.pipeline);
      // Now and then it goes on elsewhere.
      const turn = (board: Scoreboard, index: number) => {
        if (index % 3 === 2) board.turn(index % 2 === 0);
      };
      for (const [index, operation] of operations.entries()) {
        whole.add(operation);
        turn(whole, index);
      }
      const states = new Map([[IDLE, 0]]);
      let sum = 0;
      let state = IDLE;
      for (const [index, operation] of operations.entries()) {
        const piece = scoreboardOf(model.pipeline);
        piece.restore(state);
        piece.add(operation);
        turn(piece, index);
        sum += piece.cycles;
        state = piece.save();
        states.set(state, sum);
      }
      expect(operations.length).toBeGreaterThan(20);
      expect(sum).toBe(whole.cycles);
      expect(states.size).toBeGreaterThan(5);
      model.close();
    },
  );

  test('blocks overlap out of order: a second chain costs less than as much again', () => {
    const model = models.get('x86_64')!;
    // imul rax, rax and imul rbx, rbx, three of each.
    const [a, b] = ['480fafc0', '480fafdb'].map((word) => Buffer.from(word.repeat(3), 'hex'));
    const alone = model.price(a!, 0n);
    expect(model.price(Buffer.concat([a!, b!]), 0n) - alone).toBeLessThan(3);
  });
});

describe('a table against what it cannot know', () => {
  test('an unknown class is priced, and counted by its key', async () => {
    const { traits, table } = models.get('x86_64')!;
    const bare = new CycleModel(traits, { ...table, classes: { '?': 0 } }, await Disassembler.open(traits));
    expect(bare.price(Buffer.from('4801d8', 'hex'), 0n)).toBeGreaterThan(0);
    expect([...bare.unknown]).toEqual([['add r64,r64', 1]]);
    bare.close();
  });
  test('bytes that are no instruction cost something and do not throw', () => {
    for (const model of models.values()) expect(model.price(new Uint8Array(16).fill(0xff), 0n)).toBeGreaterThan(0);
  });
  test('an empty block costs nothing', () => {
    for (const model of models.values()) expect(model.price(new Uint8Array(0), 0n)).toBe(0);
  });
  test('a longer block is never cheaper than its start', () => {
    const model = models.get('x86_64')!;
    const code = Buffer.from('554889e54889fb488b07480fafc04801c3e8000000005bc3', 'hex');
    let last = 0;
    for (const length of [1, 4, 7, 10, 14, 17, 22, 23, 24]) {
      const cycles = model.price(code.subarray(0, length), 0n);
      expect(cycles).toBeGreaterThanOrEqual(last);
      last = cycles;
    }
  });
});

/** A little-endian word as hexadecimal digits. */
function hex32(word: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(word >>> 0);
  return bytes.toString('hex');
}
