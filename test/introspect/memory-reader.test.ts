import { describe, expect, it } from 'vitest';
import { MemoryReader } from '../../src/introspect/memory-reader.js';
import { BASE, kernelWith } from './memory.js';

const textIn = (bytes: string, at = 0, limit?: number): string | null =>
  new MemoryReader(kernelWith(Buffer.from(bytes, 'latin1'))).text(BASE + BigInt(at), limit);

describe('a text in memory', () => {
  it.each([1, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 200])('of %i bytes is read to its end', (length) => {
    const name = 'n'.repeat(length);
    // Memory may end right behind it, and it may begin anywhere.
    for (const before of [0, 1, 13, 31]) {
      expect(textIn(`${'.'.repeat(before)}${name}\0`, before)).toBe(name);
      expect(textIn(`${'.'.repeat(before)}${name}\0${'x'.repeat(500)}`, before)).toBe(name);
    }
  });

  it('whose end cannot be read is none, nor is one that goes on', () => {
    expect(textIn('a'.repeat(20))).toBeNull();
    expect(textIn('a'.repeat(600))).toBeNull();
    expect(textIn('')).toBeNull();
    expect(textIn('abcdefgh\0', 0, 8)).toBeNull();
    expect(textIn('abcdefgh\0', 0, 9)).toBe('abcdefgh');
    expect(textIn('\0')).toBe('');
  });
});
