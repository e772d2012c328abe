/** Caches and the rare way of a branch, worked out by hand. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { x86_64Cycles } from '../../arch/x86/cycles.js';
import { Disassembler } from '../../src/cycles/disassembler.js';
import { Caches, type CoreMemory } from '../../src/cycles/memory.js';
import { coldCycles, pathCycles, rareTurns } from '../../src/cycles/path.js';
import { CycleModel } from '../../src/cycles/price.js';
import type { CycleTable } from '../../src/cycles/table.js';
import type { CodeBlock } from '../../src/engine/engine.js';

/** Two sets of two lines of 64 bytes, and behind them eight sets of two. */
const CORE: CoreMemory = {
  caches: [
    { name: 'L1D', bytes: 256, ways: 2, line: 64, latency: 4 },
    { name: 'L2', bytes: 1024, ways: 2, line: 64, latency: 14 },
  ],
  memory: 104,
  tlb: { entries: 2, covers: 4096, refill: 20 },
  mispredict: 15,
  sources: 'made up',
};
const at = (address: number, size = 8) => ({ address: BigInt(address), size });

test('the first load of a line is from memory and its translation is new; the next is from the nearest cache', () => {
  const caches = new Caches(CORE);
  expect(caches.load(at(0))).toBe(100 + 20);
  expect(caches.load(at(56))).toBe(0);
  expect(caches.load(at(64))).toBe(100);
});

test('a third line of one set drives out the one that was used longest ago, into the next level', () => {
  const caches = new Caches(CORE);
  for (const address of [0, 128, 256]) caches.load(at(address));
  expect(caches.load(at(128))).toBe(0);
  expect(caches.load(at(0))).toBe(10);
});

test('a load over the end of a line waits for both', () => {
  const caches = new Caches(CORE);
  caches.load(at(0));
  expect(caches.load(at(60, 8))).toBe(100);
});

test('translations leave by least recent use, too', () => {
  const caches = new Caches(CORE);
  for (const address of [0, 4096, 8192]) caches.load(at(address));
  // All three lines are of one set in both levels.
  expect(caches.load(at(0))).toBe(100 + 20);
});

test('what is evicted is gone from every level with its translation, and nothing else is', () => {
  const caches = new Caches(CORE);
  for (const address of [0, 64, 4096]) caches.load(at(address));
  caches.evict({ start: 64n, end: 65n });
  expect(caches.load(at(64))).toBe(100 + 20);
  expect(caches.load(at(4096))).toBe(0);
});

test('memory apart has translations of its own, so that evicting it costs its neighbours nothing', () => {
  const range = { start: 64n, end: 128n };
  const caches = new Caches(CORE, range);
  for (const address of [0, 64]) caches.load(at(address));
  caches.evict(range);
  expect(caches.load(at(0))).toBe(0);
  expect(caches.load(at(64))).toBe(100 + 20);
});

const block = (address: number, bytes = 16): CodeBlock => ({
  ...{ address: BigInt(address), code: new Uint8Array(bytes), instructions: 4, thumb: false },
});

test('a branch goes the rare way where no usual path left its block that way', () => {
  // 0x100 ends at 0x110 and usually goes on there; or jumps to 0x200.
  expect(rareTurns([[block(0x100), block(0x110)]], [block(0x100), block(0x200)])).toEqual(new Set([0]));
  expect(rareTurns([[block(0x100), block(0x200)]], [block(0x100), block(0x110)])).toEqual(new Set([0]));
  expect(rareTurns([[block(0x100), block(0x110)]], [block(0x100), block(0x110)])).toEqual(new Set());
});

test('where usual paths went both ways, or a block ends in a return, nothing is rare', () => {
  const both = [
    [block(0x100), block(0x110)],
    [block(0x100), block(0x200)],
  ];
  expect(rareTurns(both, [block(0x100), block(0x200)])).toEqual(new Set());
  // Returns to two callers: neither is what follows the block.
  expect(rareTurns([[block(0x100), block(0x900)]], [block(0x100), block(0x800)])).toEqual(new Set());
  // Never seen at all: nothing is known.
  expect(rareTurns([[block(0x300), block(0x310)]], [block(0x100), block(0x200)])).toEqual(new Set());
});

/** Four at once, out of order: everything takes a cycle, and what is loaded comes after the four of CORE's L1D. */
const TABLE: CycleTable = {
  ...{ core: 'made up', source: 'by hand', order: 'out', width: 4, buffer: 64, loadLatency: 4 },
  ...{ units: ['a', 'b', 'c', 'd'], groups: { any: [0, 1, 2, 3] } },
  costs: [
    { latency: 1, throughput: 0.25, microOps: 1, uses: { any: 1 } },
    { latency: 4, throughput: 0.25, microOps: 1, uses: { any: 1 }, flags: 'l' },
  ],
  classes: { '?': 0, mov: 1 },
};

describe('a pass with hazards, every cycle counted by hand', () => {
  let model: CycleModel;
  beforeAll(async () => {
    model = new CycleModel(x86_64Cycles, TABLE, await Disassembler.open(x86_64Cycles));
  });
  afterAll(() => model.close());

  const code = (address: number, hex: string, instructions: number): CodeBlock => ({
    ...{ address: BigInt(address), code: Buffer.from(hex, 'hex'), instructions, thumb: false },
  });
  const nothing = { start: 0n, end: 0n };

  test('after a branch that went the rare way nothing enters until it has ended and the core has begun again', () => {
    // test eax, eax; jne 0x200, and at 0x108 and 0x200: inc ecx
    const branch = code(0x100, '85c00f85f8000000', 2);
    const [next, target] = [code(0x108, 'ffc1', 1), code(0x200, 'ffc1', 1)];
    const path = { path: [branch, target], instructions: 3, loads: new Map() };
    // All three enter at 0. The test works in cycle 1, the jump in 2, inc beside the test; a lone instruction is one cycle.
    const foreseen = 2;
    expect(pathCycles(model, path.path)).toBe(foreseen);
    expect(coldCycles(model, CORE, path, { range: nothing, usual: [[branch, target]] })).toBe(foreseen);
    // The jump has ended at 3, inc enters 15 later, at 18, and works in 19: the nineteenth of the working cycles.
    expect(coldCycles(model, CORE, path, { range: nothing, usual: [[branch, next]] })).toBe(19);
  });

  test('what needs a late load waits for it, and what does not need it goes on', () => {
    // mov rax, [rbx]; inc rax; inc ecx
    const block = code(0x100, '488b0348ffc0ffc1', 3);
    const load = at(0x5000);
    const path = { path: [block], instructions: 3, loads: new Map([[0, [load]]]) };
    // The load works in cycles 1 to 4, inc rax in 5.
    const near = 5;
    expect(pathCycles(model, path.path)).toBe(near);
    expect(coldCycles(model, CORE, path, { range: nothing, usual: [] })).toBe(near);
    // From memory it comes 100 later, and its translation takes 20 more.
    const range = { start: 0x5000n, end: 0x6000n };
    expect(coldCycles(model, CORE, path, { range, usual: [] })).toBe(near + 100 + 20);
    const alone = { path: [code(0x100, '488b0b48ffc0ffc2', 3)], instructions: 3, loads: new Map([[0, [load]]]) };
    // mov rcx, [rbx]: nobody needs it, but it must come before the path has ended.
    expect(coldCycles(model, CORE, alone, { range, usual: [] })).toBe(near - 1 + 100 + 20);
  });
});
