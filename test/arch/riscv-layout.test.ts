/** Where riscv64 kernels put things, by Documentation/arch/riscv/vm-layout.rst of their versions. */
import { describe, expect, it } from 'vitest';
import { riscv64 } from '../../arch/riscv/index.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { noSymbols } from '../../src/kernel/symbols.js';
import { parseBanner } from '../../src/kernel/version.js';
import { BASE, kernelWith } from '../introspect/memory.js';

/** A kernel that is not booted, its variables in order: of one byte, but for `phys_ram_base` and `vmemmap_start_pfn`. */
function kernelOf(release: string, variables: Readonly<Record<string, bigint>>): Kernel {
  const bytes = new Uint8Array(64);
  const names = Object.keys(variables);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of Object.values(variables).entries()) view.setBigUint64(8 * index, value, true);
  const address = (name: string): bigint | undefined =>
    names.includes(name) ? BASE + BigInt(8 * names.indexOf(name)) : name === 'mem_section' ? 1n : undefined;
  return {
    ...kernelWith(bytes),
    variant: 'riscv64',
    symbols: Object.assign(noSymbols(), { address }),
    version: parseBanner(`Linux version ${release} (a@b) #1`)!,
  };
}

const RAM = 0x8000_0000n;

describe('a riscv64 kernel', () => {
  it.each([
    ['6.10.0', { pgtable_l4_enabled: 0n, pgtable_l5_enabled: 0n }, 0xffff_ffd8_0000_0000n, 0xffff_ffc8_0000_0000n],
    ['6.11.0', { pgtable_l4_enabled: 0n, pgtable_l5_enabled: 0n }, 0xffff_ffd6_0000_0000n, 0xffff_ffc6_0000_0000n],
    ['6.1.0', { pgtable_l4_enabled: 1n, pgtable_l5_enabled: 0n }, 0xffff_af80_0000_0000n, 0xffff_8f80_0000_0000n],
    ['6.1.0', { pgtable_l4_enabled: 1n, pgtable_l5_enabled: 1n }, 0xff60_0000_0000_0000n, 0xff20_0000_0000_0000n],
    // Five levels came with 5.18.
    ['5.17.0', { pgtable_l4_enabled: 1n }, 0xffff_af80_0000_0000n, 0xffff_8f80_0000_0000n],
  ])('%s with %o has its linear map and vmalloc where the document says', (release, variables, pageOffset, vmalloc) => {
    const layout = riscv64.layout(kernelOf(release, { ...variables, phys_ram_base: RAM }));
    expect([layout.pageOffset, layout.vmallocStart, layout.vmallocEnd]).toEqual([pageOffset, vmalloc, pageOffset]);
  });

  it.each([
    // a11dd49dcb93 is in the lists of "Linux 6.1.81", "Linux 6.6.21" and "Linux 6.7.9" on lore.kernel.org, and in 6.8.
    ['6.1.80', {}, 0n],
    ['6.1.81', {}, RAM >> 12n],
    ['6.5.13', {}, 0n],
    ['6.6.20', {}, 0n],
    ['6.6.21', {}, RAM >> 12n],
    ['6.7.8', {}, 0n],
    ['6.7.9', {}, RAM >> 12n],
    ['6.8.0', {}, RAM >> 12n],
    // Whatever the version: the variable is there.
    ['6.6.72', { vmemmap_start_pfn: 0x7_8000n }, 0x7_8000n],
  ])('%s with %o counts struct pages from frame %s', (release, variables, frame) => {
    const four = { pgtable_l4_enabled: 1n, pgtable_l5_enabled: 0n, phys_ram_base: RAM };
    const { vmemmap } = riscv64.layout(kernelOf(release, { ...four, ...variables }));
    expect(vmemmap).toBe(BigInt.asUintN(64, 0xffff_8d80_0000_0000n - frame * 64n));
  });

  it('is refused where nothing says which frame comes first', () => {
    expect(() => riscv64.layout(kernelOf('6.12.1', {}))).toThrow(/vmemmap_start_pfn or phys_ram_base.*found neither/);
    expect(() => riscv64.layout(kernelOf('6.1.80', {}))).not.toThrow();
  });

  it('before 5.17 is refused', () => {
    expect(() => riscv64.layout(kernelOf('5.16.0', {}))).toThrow('5.17 or later, found 5.16.0');
  });
});
