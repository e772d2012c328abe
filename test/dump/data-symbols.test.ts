/** Variables of a dump without names, in memory written by hand as mm/kfence/core.c leaves it. */
import { expect, it } from 'vitest';
import { hiddenVariables } from '../../src/dump/data-symbols.js';
import type { PhysicalMemory } from '../../src/dump/physical.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { NO_VERSION } from '../../src/kernel/version.js';
import { BASE, kernelWith } from '../introspect/memory.js';

const RECORD = 48;
const ADDRESS = 24;
const RECORDS = 0x6000;
const POINTER = 0x4010;
const POOL_POINTER = 0x4108;
const IMAGE_END = 0x5000;
const POOL = BASE + 0x10_0000n;
const PAGE = 4096n;

interface Made {
  readonly bits: 32 | 64;
  readonly endian: 'little' | 'big';
  /** Since 6.6 records lie behind a pointer. */
  readonly minor: number;
  /** Where within its page each object begins. */
  readonly objects: readonly bigint[];
}

function dumpOf({ bits, endian, minor, objects }: Made) {
  const bytes = new Uint8Array(0x8000);
  const view = new DataView(bytes.buffer);
  const isLittle = endian === 'little';
  const word = (at: number, value: bigint): void => {
    if (bits === 64) view.setBigUint64(at, value, isLittle);
    else view.setUint32(at, Number(value), isLittle);
  };
  const isPointer = minor >= 6;
  // An array is part of the image.
  const records = isPointer ? RECORDS : POINTER + 0x200;
  objects.forEach((offset, index) => {
    word(records + index * RECORD + ADDRESS, POOL + BigInt(2 * index + 2) * PAGE + offset);
  });
  if (isPointer) word(POINTER, BASE + BigInt(RECORDS));
  word(POOL_POINTER, POOL);
  const kernel = kernelWith(bytes, {
    bits,
    endian,
    structs: { kfence_metadata: { size: RECORD, members: { addr: [ADDRESS, bits / 8] } } },
  });
  const addresses: Readonly<Record<string, bigint>> = { kfence_object_start: BASE, _etext: BASE + 0x4000n };
  const symbols = { ...kernel.symbols, get: () => undefined, address: (name: string) => addresses[name] };
  const dump: Kernel = { ...kernel, symbols, version: { ...NO_VERSION, major: 6, minor } };
  const segment = { address: BASE, physical: 0n, bytes: bytes.subarray(0, IMAGE_END), size: BigInt(IMAGE_END) };
  const entry = { relative: true, size: 16, addressBytes: 4, keyAt: 8, keyBytes: 8 };
  const none = { read: () => undefined, searched: () => [] } as unknown as PhysicalMemory;
  return {
    found: hiddenVariables(dump, () => segment, none, entry, [12]),
    place: BASE + BigInt(isPointer ? POINTER : records),
  };
}

const CASES = [
  ['an array, 64 bits', { bits: 64, endian: 'little', minor: 1 }],
  ['behind a pointer, 64 bits', { bits: 64, endian: 'big', minor: 12 }],
  ['behind a pointer, 32 bits', { bits: 32, endian: 'little', minor: 12 }],
] as const;

it.each(CASES)("KFENCE's records are found by the pages that they name: %s", (_, made) => {
  // Half of the objects lie at the end of their page; a record without an object names the page.
  const { found, place } = dumpOf({ ...made, objects: [0n, 4096n - 72n, 0n, 4096n - 8n, 0n, 0n] });
  expect(found).toEqual(
    new Map([
      ['__kfence_pool', BASE + BigInt(POOL_POINTER)],
      ['kfence_metadata', place],
    ]),
  );
});

it.each(CASES)('other records are not taken for them: %s', (_, made) => {
  // The third one lies in a page that has none.
  const { found } = dumpOf({ ...made, objects: [0n, 0n, PAGE, 0n, 0n, 0n] });
  expect([...found]).toEqual([]);
});
