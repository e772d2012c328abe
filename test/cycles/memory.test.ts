/** Caches and the rare way of a branch, worked out by hand. */
import { expect, test } from 'vitest';
import { Caches, type CoreMemory } from '../../src/cycles/memory.js';
import { rareTurns } from '../../src/cycles/path.js';
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
