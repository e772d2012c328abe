import { describe, expect, test } from 'vitest';
import { findKallsyms, searchKallsyms } from '../../src/kernel/kallsyms.js';
import { readKallsyms } from '../../src/kernel/kallsyms-decode.js';
import type { Bits, Endian } from '../../src/kernel/kernel.js';
import { type KallsymsEra, type SampleSymbol, sampleSymbols, writeKallsyms } from './images.js';

const ERAS: readonly KallsymsEra[] = ['4.0', '4.6', '4.20', '6.2', '6.4', '7.0', '7.0, not relocatable'];
/** Where the table stands in the image, bytes, and how far behind the text its rodata begins. */
const TABLE = 2048;
const RODATA = 0x10_0000n;
const SHAPES: readonly (readonly [Bits, Endian, bigint])[] = [
  [64, 'little', 0xffffffff81000000n],
  [64, 'big', 0x100000n],
  [32, 'little', 0xc0008000n],
  [32, 'big', 0xc0000000n],
];

/** The table among other data, as in a kernel's rodata. */
function inImage(table: Uint8Array): Uint8Array {
  const image = new Uint8Array(table.length + 5000);
  for (let i = 0; i < image.length; i++) image[i] = (i * 37) & 0xff;
  image.set(table, TABLE);
  return image;
}

function read(image: Uint8Array, bits: Bits, endian: Endian, origin = 0n) {
  const layout = findKallsyms(image, bits, endian);
  expect(layout).not.toBeNull();
  return readKallsyms(image, layout!, bits, endian, origin);
}

const cases = ERAS.flatMap((era) => SHAPES.map(([bits, endian, base]) => ({ era, bits, endian, base })));

describe.each(cases)('kallsyms as $era wrote it, $bits bit, $endian endian', ({ era, bits, endian, base }) => {
  const symbols = sampleSymbols(base);
  const origin = base + RODATA;
  const written = writeKallsyms(bits, endian, era, symbols, base, false, origin + BigInt(TABLE));
  const table = read(inImage(written), bits, endian, origin);

  test('gives every name, letter and address', () => {
    expect(table.source).toBe('kallsyms');
    expect([...table].map(({ name, type, address }) => ({ name, type, address }))).toEqual(
      symbols.map(({ name, type, address }) => ({ name, type, address })),
    );
  });

  test('finds a symbol by name and by an address inside it', () => {
    const wanted = symbols[333]!;
    expect(table.address(wanted.name)).toBe(wanted.address);
    expect(table.find(wanted.address + 5n)).toMatchObject({ symbol: { name: wanted.name, size: 0x24n }, offset: 5n });
    expect(table.address('no_such_symbol')).toBeUndefined();
    expect(table.find(base - 1n)).toBeUndefined();
  });

  test('keeps names of more than 127 characters whole', () => {
    expect(table.address(`zZ_${'K'.repeat(300)}`)).toBe(base + 0x9000n);
  });

  test('gives all symbols of one name in address order', () => {
    const twins = symbols.filter(({ name }) => name === 'static_twin');
    expect(twins.length).toBeGreaterThan(3);
    expect(table.all('static_twin').map(({ address }) => address)).toEqual(twins.map(({ address }) => address));
    expect(table.address('static_twin')).toBe(twins[0]!.address);
  });

  test('takes the first of several names of one address, as the kernel does', () => {
    const { symbol } = table.find(symbols[700]!.address)!;
    expect(symbol.name).toBe(symbols[700]!.name);
  });
});

test('per-cpu symbols of x86_64 keep their absolute values, the others count back from the base', () => {
  const base = 0xffffffff81000000n;
  const perCpu: SampleSymbol[] = [
    { type: 'A', name: 'fixed_percpu_data', address: 0n },
    { type: 'A', name: 'current_task', address: 0x1fbc0n },
  ];
  const symbols = [...perCpu, ...sampleSymbols(base)];
  const table = read(inImage(writeKallsyms(64, 'little', '4.20', symbols, base, true)), 64, 'little');
  expect(table.address('current_task')).toBe(0x1fbc0n);
  expect(table.address('_text')).toBe(base);
  expect(table.address('alias_of_last')).toBe(symbols.find(({ name }) => name === 'alias_of_last')!.address);
  // The gap between per-cpu data and the kernel belongs to no symbol.
  expect(table.find(0x7fff00000000n)).toBeUndefined();
});

test('a table that is not whole is known by the part that is missing', () => {
  const base = 0xffffffff81000000n;
  const whole = inImage(writeKallsyms(64, 'little', '4.20', sampleSymbols(base), base, false));
  const { names, tokenTable } = findKallsyms(whole, 64, 'little')!;
  const withoutTokens = whole.slice().fill(0, tokenTable, tokenTable + 256);
  const withoutNames = whole.slice().fill(0xff, names - 8, tokenTable);
  // Addresses stand before the names up to 6.3.
  const withoutAddresses = whole.slice((names - 8) & ~7);
  expect(searchKallsyms(withoutTokens, 64, 'little')).toMatch(/token table/);
  expect(searchKallsyms(withoutNames, 64, 'little')).toMatch(/its names/);
  expect(searchKallsyms(withoutAddresses, 64, 'little')).toMatch(/its addresses/);
});

test('an image without the table has none', () => {
  expect(findKallsyms(new Uint8Array(100_000), 64, 'little')).toBeNull();
  expect(
    findKallsyms(
      new TextEncoder().encode('0\u00001\u00002\u00003\u00004\u00005\u00006\u00007\u00008\u00009\u0000'),
      64,
      'little',
    ),
  ).toBeNull();
});
