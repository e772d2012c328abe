import { describe, expect, it } from 'vitest';
import { drivers, variants } from '../../arch/index.js';
import { Guest } from '../../src/guest/guest.js';
import { loadKernel } from '../../src/image/load.js';
import type { Kernel } from '../../src/kernel/kernel.js';

const ia64 = variants.find(({ name }) => name === 'ia64')!;

/** What a layout asks a kernel for: no variable of it can be read, and its configuration has one option. */
const kernelWith = (option: string | null): Kernel =>
  ({
    symbols: { address: (name: string) => (name === 'mem_section' ? 0n : undefined) },
    config: { enabled: (name: string) => name === option, get: () => undefined },
    read: () => undefined,
    version: { release: '6.1.0', major: 6, minor: 1 },
  }) as unknown as Kernel;

/** An ELF file of one segment at KERNEL_START, little endian, whose machine is IA-64. */
function smallElf(): Uint8Array {
  const bytes = Buffer.alloc(0x200);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeUInt16LE(2, 16);
  bytes.writeUInt16LE(50, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(0xa000000100000000n, 24);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  // PT_LOAD, readable and executable.
  bytes.writeUInt32LE(1, 64);
  bytes.writeUInt32LE(5, 68);
  bytes.writeBigUInt64LE(0x100n, 72);
  bytes.writeBigUInt64LE(0xa000000100000000n, 80);
  bytes.writeBigUInt64LE(0x4000000n, 88);
  bytes.writeBigUInt64LE(0x100n, 96);
  bytes.writeBigUInt64LE(0x100n, 104);
  bytes.write('Linux version 6.1.0-ia64 (somebody) #1', 0x100, 'latin1');
  return bytes;
}

describe('ia64', () => {
  it('has the kernel and vmalloc in region 5, memory in region 7, users below', () => {
    const layout = ia64.layout(kernelWith('IA64_PAGE_SIZE_16KB'));
    expect(layout).toMatchObject({ pageShift: 14, pageOffset: 0xe000000000000000n, taskSize: 0xa000000000000000n });
    expect(layout.vmallocStart).toBe(0xa000000200000000n);
    // 2^(4 * 14 - 10): the other half of what three levels of tables map is the vmemmap.
    expect(layout.vmallocEnd).toBe(0xa000400000000000n);
    expect(layout.vmemmap).toBe(layout.vmallocEnd);
    // __pa() of KERNEL_START, which only clears the region.
    expect(0xa000000100000000n - layout.imageOffset).toBe(0x100000000n);
  });

  it('gives a stack 32 KiB with pages of 4 to 16 KiB, and a whole page of 64 KiB', () => {
    const sizes = ['4KB', '8KB', '16KB', '64KB'].map((size) => ia64.threadSize(kernelWith(`IA64_PAGE_SIZE_${size}`)));
    expect(sizes).toEqual([0x8000n, 0x8000n, 0x8000n, 0x10000n]);
  });

  it('is read and not run, and the error says why', async () => {
    const kernel = await loadKernel({ bytes: smallElf(), name: 'vmlinux' }, { drivers });
    expect(kernel.variant).toBe('ia64');
    await expect(Guest.create(kernel)).rejects.toThrow('ia64 cannot run: Unicorn has no IA-64 target');
  });
});
