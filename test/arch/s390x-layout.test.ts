/** Where s390x kernels map memory and themselves: __pa_nodebug() of arch/s390/include/asm/page.h. */
import { describe, expect, it } from 'vitest';
import { s390x } from '../../arch/s390/index.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { BIG, Words } from '../../src/kernel/words.js';
import { BASE, kernelWith } from '../introspect/memory.js';

const IMAGE = 0x3ff_e000_0000n;

/** `vm_layout`: by how much the image was moved, where it lies, where memory is mapped; its bytes may be missing. */
function kernelOf(places: readonly bigint[] | null): Kernel {
  const bytes = new Uint8Array(places === null ? 0 : 32);
  const words = new Words(bytes, BIG);
  for (const [index, value] of (places ?? []).entries()) words.setUint64(8 * index, value);
  const address = (name: string): bigint | undefined => (name === 'vm_layout' ? BASE : undefined);
  return {
    ...kernelWith(bytes, { endian: 'big' }),
    variant: 's390x',
    symbols: Object.assign(noSymbols(), { address }),
  };
}

/** The physical address behind a virtual one. */
function physical(kernel: Kernel, address: bigint): bigint | undefined {
  const map = s390x
    .layout(kernel)
    .linearMaps.find(({ virtual, size }) => address >= virtual && address - virtual < size);
  return map && map.physical + (address - map.virtual);
}

describe('an s390x kernel', () => {
  it.each([
    ['at its own address', 0n],
    ['elsewhere', 0x100_0000_0000n],
  ])('that runs has its image apart from memory, which is mapped %s', (_, identity) => {
    const kernel = kernelOf([IMAGE, 0x1_2300_0000n, identity]);
    expect(s390x.layout(kernel)).toMatchObject({ pageOffset: identity, imageOffset: IMAGE - 0x1_2300_0000n });
    expect(physical(kernel, identity + 0x5000n)).toBe(0x5000n);
    expect(physical(kernel, IMAGE + 0x10_0040n)).toBe(0x1_2310_0040n);
    if (identity > 0n) expect(physical(kernel, identity - 1n)).toBeUndefined();
  });

  it('that is not booted, or older, runs at real addresses', () => {
    for (const kernel of [kernelOf([0n, 0n, 0n]), { ...kernelOf(null), symbols: noSymbols() }]) {
      expect(s390x.layout(kernel)).toMatchObject({ pageOffset: 0n, imageOffset: 0n });
      expect(physical(kernel, 0x10_0040n)).toBe(0x10_0040n);
    }
  });

  it('whose dump lacks vm_layout is refused: older kernels are not like it', () => {
    expect(() => s390x.layout(kernelOf(null))).toThrow(/expected vm_layout in memory at 0xc0000000, found no bytes/);
  });
});
