/**
 * The kernel's log in memory. Rings of 5.10 and later are judged by real dumps (test/dump); these are made by hand, as
 * kernel/printk/printk.c of 5.4 lays them out, since no kernel of that age is at hand.
 */
import { describe, expect, it } from 'vitest';
import { logText, printkLogLayout, readLogBuffer } from '../../src/introspect/printk.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { NO_VERSION } from '../../src/kernel/version.js';

const BASE = 0xffff_8880_0000_0000n;
const HEADER = 16;

function kernelWith(bytes: Uint8Array, endian: 'little' | 'big'): Kernel {
  return {
    variant: 'x86_64',
    bits: 64,
    endian,
    segments: [],
    symbols: noSymbols(),
    types: null,
    version: NO_VERSION,
    config: null,
    read: (address, length) => {
      const at = Number(address - BASE);
      return at >= 0 && at + length <= bytes.length ? bytes.subarray(at, at + length) : undefined;
    },
  };
}

/** u64 ts_nsec; u16 len, text_len, dict_len; u8 facility, flags: then the text and a dictionary, padded to 8. */
function record(nanoseconds: bigint, text: string, endian: 'little' | 'big', dictionary = ''): Buffer {
  const length = Math.ceil((HEADER + text.length + dictionary.length) / 8) * 8;
  const bytes = Buffer.alloc(length);
  const little = endian === 'little';
  if (little) bytes.writeBigUInt64LE(nanoseconds, 0);
  else bytes.writeBigUInt64BE(nanoseconds, 0);
  for (const [index, value] of [length, text.length, dictionary.length].entries()) {
    if (little) bytes.writeUInt16LE(value, 8 + 2 * index);
    else bytes.writeUInt16BE(value, 8 + 2 * index);
  }
  bytes.write(text + dictionary, HEADER, 'latin1');
  return bytes;
}

describe.each(['little', 'big'] as const)('a log of before 5.10, %s endian', (endian) => {
  const lines = ['Linux version 4.19.0', 'usercopy: Kernel memory exposure attempt', 'kernel BUG at mm/usercopy.c:99!'];
  const records = lines.map((line, index) => record(BigInt(index) * 1_500_000_000n, line, endian, 'SUBSYSTEM=x'));

  it('is read from its first record to its last, without dictionaries', () => {
    const bytes = new Uint8Array(Buffer.concat([...records, Buffer.alloc(512)]));
    const kernel = kernelWith(bytes, endian);
    const next = records.reduce((sum, { length }) => sum + length, 0);
    const log = readLogBuffer(kernel, { address: BASE, length: bytes.length, first: 0, next }, printkLogLayout(kernel));
    expect(log?.records.map(({ text }) => text)).toEqual(lines);
    expect(logText(log!).split('\n')[1]).toMatch(/^\[ {4}1\.500000\] usercopy: Kernel memory /);
    expect(log?.layout).toContain('before 5.10');
  });

  it('goes on at its start behind a record without a length', () => {
    const [first, second, third] = records as [Buffer, Buffer, Buffer];
    const bytes = new Uint8Array(Buffer.concat([third, Buffer.alloc(64), first, second, Buffer.alloc(HEADER)]));
    const buffer = { address: BASE, length: bytes.length, first: third.length + 64, next: third.length };
    const kernel = kernelWith(bytes, endian);
    const texts = readLogBuffer(kernel, buffer, printkLogLayout(kernel))?.records.map(({ text }) => text);
    expect(texts?.[0]).toBe(lines[0]);
    expect(texts?.[2]).toBe(lines[2]);
    expect(texts).toHaveLength(3);
  });

  it.each([
    ['lengths that lead nowhere', (bytes: Buffer) => bytes.fill(0xff, 8, 12)],
    ['noise', (bytes: Buffer) => bytes.fill(0xa5)],
  ])('of %s ends, and gives what was whole before', (_name, harm) => {
    const bytes = Buffer.concat([...records]);
    harm(bytes.subarray(records[0]!.length));
    const kernel = kernelWith(new Uint8Array(bytes), endian);
    const buffer = { address: BASE, length: bytes.length, first: 0, next: bytes.length };
    expect(readLogBuffer(kernel, buffer, printkLogLayout(kernel))?.records.map(({ text }) => text)).toEqual([lines[0]]);
  });
});
