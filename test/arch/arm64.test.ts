/** arm64: where memory lies by arch/arm64/include/asm/memory.h of 6.9 and later, worked out by hand; instructions as GNU as encodes them. */
import { describe, expect, it } from 'vitest';
import { variant as arm64 } from '../../arch/arm64/index.js';
import { instructions } from '../../arch/common.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { parseBanner } from '../../src/kernel/version.js';
import { BASE, kernelWith } from '../introspect/memory.js';

/** A kernel for 52 bits whose configuration is not at hand, with `memstart_addr` as booting left it. */
function kernelOf(memstart: bigint): Kernel {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, memstart, true);
  const addresses = new Map([
    ['memstart_addr', BASE],
    ['_text', 0xffff_8000_8000_0000n],
  ]);
  return {
    ...kernelWith(bytes),
    variant: 'arm64',
    symbols: Object.assign(noSymbols(), { address: (name: string) => addresses.get(name) }),
    version: parseBanner('Linux version 7.3.4 (a@b) #1')!,
  };
}

const RAM = 0x4000_0000n;
const running = (memstart: bigint, addressBits: number) =>
  arm64.dump!.runningLayout!(kernelOf(memstart), { root: 0n, pageShift: 12, addressBits });

describe('a kernel for 52 bits', () => {
  it('has its linear map at the lowest of them on hardware that has as many', () => {
    const { pageOffset, vmallocEnd } = running(RAM, 52);
    expect(pageOffset).toBe(0xfff0_0000_0000_0000n);
    // VMEMMAP_END - (PAGE_END - PAGE_OFFSET >> 12) * 64 - SZ_8M
    expect(vmallocEnd).toBe(0xffff_c1ff_bf80_0000n);
  });

  it('leaves the struct pages of what hardware of 48 bits cannot reach to vmalloc', () => {
    // arm64_memblock_init() takes the distance of the two linear maps off.
    const { pageOffset, vmallocEnd } = running(RAM - (0xffff_0000_0000_0000n - 0xfff0_0000_0000_0000n), 48);
    expect(pageOffset).toBe(0xfff0_0000_0000_0000n);
    expect(vmallocEnd).toBe(0xffff_fdff_bf80_0000n);
  });

  it('is no other than one for 48 bits where nothing was taken off', () => {
    expect(running(RAM, 48).pageOffset).toBe(0xffff_0000_0000_0000n);
  });
});

describe('frames of arm64', () => {
  const paciasp = 0xd503233f;
  const ofCode = (...code: number[]) => arm64.frames.recordToEntry!(instructions('little', ...code));

  it.each([
    ['stp x29, x30, [sp, #-80]!', 80n, [0xa9bb7bfd]],
    ['sub sp, sp, #0x150; stp x29, x30, [sp, #176]', 0xa0n, [0xd10543ff, 0xa90b7bfd]],
    ['sub sp, sp, #1, lsl #12; stp x29, x30, [sp, #-32]!', 4128n, [0xd14007ff, 0xa9be7bfd]],
  ])('begin below the record with %s', (_, distance, code) => {
    expect(ofCode(paciasp, ...code)).toBe(distance);
  });

  it('are not told by a function that saves no record', () => {
    // stp x19, x20, [sp, #-80]!; ret
    expect(ofCode(paciasp, 0xa9bb53f3, 0xd65f03c0)).toBeNull();
  });

  it('keep return addresses that are signed in the bits which all of the kernel have set', () => {
    const saved = (address: bigint) => arm64.savedAddress!(address, kernelOf(RAM));
    expect(saved(0x3fd2_8000_8058_7508n)).toBe(0xffff_8000_8058_7508n);
    expect(saved(0xffff_8000_8058_7508n)).toBe(0xffff_8000_8058_7508n);
    // Bit 55 is clear in user addresses, however they are signed.
    expect(saved(0x3f52_aaaa_8058_7508n)).toBe(0x3f52_aaaa_8058_7508n);
  });
});

it('code that a kernel has on hardware with atomic instructions runs', () => {
  if ('unsupported' in arm64.engine) throw new Error(arm64.engine.unsupported);
  const engine = openUnicorn(arm64.engine);
  try {
    engine.map(0x1000n, 4096n, 'rwx');
    // casa w0, w1, [x2]
    engine.write(0x1000n, instructions('little', 0x88e07c41));
    engine.write(0x1800n, Uint8Array.of(7, 0, 0, 0));
    engine.writeRegister('x0', 7n);
    engine.writeRegister('x1', 9n);
    engine.writeRegister('x2', 0x1800n);
    expect(engine.runSync({ start: 0x1000n, until: 0x1004n }).reason).toBe('until');
    expect([...engine.read(0x1800n, 4)]).toEqual([9, 0, 0, 0]);
  } finally {
    engine.close();
  }
});
