/** Jump tables written by hand, as include/linux/jump_label.h says. */
import { describe, expect, it } from 'vitest';
import type { JumpEntry } from '../../src/introspect/jump-entry.js';
import { findJumpTable, hiddenKeys } from '../../src/introspect/jump-table.js';
import type { Kernel, KernelSymbol } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { Words } from '../../src/kernel/words.js';
import { BASE, kernelWith } from './memory.js';

const TEXT_BYTES = 0x4000;
const TABLE_AT = 0x5000;
const IMAGE_BYTES = 0x9000;
const KEY = { bypass: 0x8000, debug: 0x8020, huge: 0x8040, other: 0x8060 } as const;
const FUNCTIONS = { __check_heap_object: 0x1000, __check_object_size: 0x1100, kfree: 0x1200 };
const FUNCTION_BYTES = 0x100n;
/** Entries of other functions than these, so that it looks like a table. */
const OTHERS = 200;

const RELATIVE: JumpEntry = { relative: true, size: 16, addressBytes: 4, keyAt: 8, keyBytes: 8 };
const RELATIVE_32: JumpEntry = { relative: true, size: 12, addressBytes: 4, keyAt: 8, keyBytes: 4 };
const ABSOLUTE_32: JumpEntry = { relative: false, size: 12, addressBytes: 4, keyAt: 8, keyBytes: 4 };
const ABSOLUTE_64: JumpEntry = { relative: false, size: 24, addressBytes: 8, keyAt: 16, keyBytes: 8 };

type Asked = readonly [by: keyof typeof FUNCTIONS, key: keyof typeof KEY];

function kernelOf(
  asked: readonly Asked[],
  entry: JumpEntry,
  variables: Readonly<Record<string, number>> = {},
  cleared: (index: number) => boolean = () => false,
): Kernel {
  const bytes = new Uint8Array(IMAGE_BYTES);
  const bits = entry.keyBytes === 8 ? 64 : 32;
  const kernel = kernelWith(bytes, { bits, endian: entry === ABSOLUTE_32 ? 'big' : 'little' });
  const words = new Words(bytes, kernel);
  const put = (at: number, length: number, target: number): void => {
    const value = entry.relative ? BigInt(target - at) : BASE + BigInt(target);
    if (length === 8) words.setUint64(at, BigInt.asUintN(64, value));
    else words.setUint32(at, Number(BigInt.asUintN(32, value)));
  };
  const entries = [
    ...asked.map(([by, key], index) => ({ code: FUNCTIONS[by] + 8 * index, key: KEY[key] })),
    ...Array.from({ length: OTHERS }, (_, index) => ({ code: 0x2000 + 8 * index, key: KEY.other })),
  ];
  entries.forEach(({ code, key }, index) => {
    const at = TABLE_AT + index * entry.size;
    if (!cleared(index)) put(at, entry.addressBytes, code);
    put(at + entry.addressBytes, entry.addressBytes, code + 4);
    // The lowest bit says that the branch is likely.
    put(at + entry.keyAt, entry.keyBytes, key + (index % 2));
  });
  const places: Readonly<Record<string, number>> = { _stext: 0, _etext: TEXT_BYTES, ...FUNCTIONS, ...variables };
  const get = (name: string): KernelSymbol | undefined => {
    const at = places[name];
    return at === undefined ? undefined : { name, address: BASE + BigInt(at), type: 'T', size: FUNCTION_BYTES };
  };
  return {
    ...kernel,
    segments: [{ address: BASE, physical: 0n, bytes, size: BigInt(bytes.length) }],
    symbols: Object.assign(noSymbols(), { get, address: (name: string) => get(name)?.address }),
  };
}

const keysOf = (kernel: Kernel, entry: JumpEntry): Record<string, bigint> => {
  const table = findJumpTable(kernel, entry);
  return table === null ? {} : Object.fromEntries(hiddenKeys(kernel, table));
};

const bypass = BASE + BigInt(KEY.bypass);
const debug = BASE + BigInt(KEY.debug);

describe.each([
  ['relative, 64 bits', RELATIVE],
  ['relative, 32 bits', RELATIVE_32],
  ['absolute, 32 bits', ABSOLUTE_32],
])('a jump table that no symbol marks (%s)', (_, entry) => {
  it('is found where it lies, with what each branch asks', () => {
    const kernel = kernelOf([['__check_object_size', 'bypass']], entry);
    const table = findJumpTable(kernel, entry);
    const start = BASE + BigInt(TABLE_AT);
    expect(table).toMatchObject({ start, end: start + BigInt((OTHERS + 1) * entry.size) });
    const code = BASE + BigInt(FUNCTIONS.__check_object_size);
    expect(table?.branches[0]).toEqual({ code, target: code + 4n, key: bypass, likely: false });
    expect(table?.branches[1]).toMatchObject({ key: BASE + BigInt(KEY.other), likely: true });
  });

  it('names the keys of the check and of its allocator', () => {
    const asked: Asked[] = [
      ['__check_heap_object', 'debug'],
      ['__check_object_size', 'bypass'],
      ['__check_object_size', 'huge'],
      ['kfree', 'huge'],
      ['kfree', 'debug'],
    ];
    expect(keysOf(kernelOf(asked, entry), entry)).toEqual({
      bypass_usercopy_checks: bypass,
      slub_debug_enabled: debug,
    });
  });
});

it.each([
  ['32 bits', ABSOLUTE_32],
  ['64 bits', ABSOLUTE_64],
])('a table of 4.16 to 4.19 is whole where booting has cleared entries of code that is gone (%s)', (_, entry) => {
  const asked: Asked[] = [
    ['__check_object_size', 'bypass'],
    ['__check_heap_object', 'debug'],
  ];
  // No 128 of those that are left are neighbours.
  const kernel = kernelOf(asked, entry, {}, (index) => index > 2 && index % 40 === 0);
  const table = findJumpTable(kernel, entry);
  const start = BASE + BigInt(TABLE_AT);
  expect(table).toMatchObject({ start, end: start + BigInt((OTHERS + 2) * entry.size) });
  expect(keysOf(kernel, entry)).toEqual({ bypass_usercopy_checks: bypass, slub_debug_enabled: debug });
});

describe('a key that is not the one', () => {
  it('of hardened_usercopy is one that other code asks, too, though the check asks no other', () => {
    const asked: Asked[] = [
      ['__check_object_size', 'huge'],
      ['kfree', 'huge'],
    ];
    expect(keysOf(kernelOf(asked, RELATIVE), RELATIVE)).toEqual({});
  });

  it('of hardened_usercopy is any that the check asks where its callers ask', () => {
    const kernel = kernelOf([['__check_object_size', 'huge']], RELATIVE, { validate_usercopy_range: KEY.bypass });
    expect(keysOf(kernel, RELATIVE)).toEqual({});
  });

  it('of SLUB debugging is one of several', () => {
    const asked: Asked[] = [
      ['__check_heap_object', 'debug'],
      ['__check_heap_object', 'other'],
    ];
    expect(keysOf(kernelOf(asked, RELATIVE), RELATIVE)).toEqual({});
  });
});
