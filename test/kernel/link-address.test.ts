import { describe, expect, test } from 'vitest';
import { findLinkAddress } from '../../src/image/link-address.js';
import type { Bits, Endian } from '../../src/kernel/kernel.js';
import { SeededRandom } from '../../src/scenario/random.js';

const IMAGE = 4 << 20;

/** Symbols at random places, and an image of noise with a share of pointers to them. */
function make(bits: Bits, endian: Endian, address: bigint, share: number, seed: number) {
  const random = new SeededRandom(seed);
  const places = BigUint64Array.from({ length: 20_000 }, () => BigInt(random.below(IMAGE / 16)) * 16n).sort();
  const bytes = new Uint8Array(IMAGE);
  const view = new DataView(bytes.buffer);
  const word = bits / 8;
  for (let at = 0; at < IMAGE; at += word) {
    const isPointer = random.next() / 2 ** 32 < share;
    const value = isPointer
      ? address + places[random.below(places.length)]!
      : random.below(10) < 3
        ? BigInt(random.below(200_000) - 100_000)
        : (BigInt(random.next()) << 32n) | BigInt(random.next());
    if (bits === 64) view.setBigUint64(at, BigInt.asUintN(64, value), endian === 'little');
    else view.setUint32(at, Number(value & 0xffff_ffffn), endian === 'little');
  }
  return { bytes, places };
}

describe.each([
  [64, 'little', 0xffff_8000_8000_0000n],
  [64, 'little', 0xffff_c000_8001_0000n],
  // riscv64
  [64, 'little', 0xffff_ffff_8000_0000n],
  [64, 'big', 0x10_0000n],
  [64, 'big', 0x3ff_e000_0000n],
] as const)('an image of %s bits, %s endian, linked for %#', (bits, endian, address) => {
  test('tells its address by its pointers', () => {
    const { bytes, places } = make(bits, endian, address, 0.05, 3);
    expect(findLinkAddress(bytes, places, null, bits, endian)).toBe(address);
  });

  test('tells none where it has no pointers', () => {
    const { bytes, places } = make(bits, endian, address, 0, 4);
    expect(findLinkAddress(bytes, places, null, bits, endian)).toBeNull();
  });
});
