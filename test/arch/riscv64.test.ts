/** Debian's riscv64 kernel: the judge is its own check, run in the guest. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { riscv64 } from '../../arch/riscv/index.js';
import { fetchKernel } from '../../src/image/fetch.js';
import { loadKernel } from '../../src/image/load.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { debianKernel, judgesAsWeDo } from '../debian-kernel.js';

/** `usercopy run random` makes 100 000. */
const COPIES = 5000;

describe("Debian's riscv64 kernel of trixie", () => {
  let kernel: Kernel | string;
  beforeAll(async () => {
    kernel = await debianKernel('riscv64', 'trixie');
  });

  it('begins with _start, where the kernel is linked', (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    expect(kernel.segments[0]?.address).toBe(0xffff_ffff_8000_0000n);
    expect(kernel.symbols.address('_start')).toBe(0xffff_ffff_8000_0000n);
    expect(kernel.symbols.address('_text')).toBeGreaterThan(0xffff_ffff_8000_0000n);
    expect(kernel.types?.hasStruct('kmem_cache')).toBe(true);
  });

  it('is the same kernel inside of zboot', async (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const { path } = await fetchKernel('riscv64', { release: 'trixie' });
    const packed = gzipSync(readFileSync(path), { level: 1 });
    const head = Buffer.alloc(64);
    head.write('MZ\0\0zimg', 'latin1');
    head.writeUInt32LE(64, 8);
    head.writeUInt32LE(packed.length, 12);
    const wrapped = await loadKernel({ bytes: Buffer.concat([head, packed]), name: 'vmlinuz.efi' });
    expect([wrapped.version.release, wrapped.symbols.count]).toEqual([kernel.version.release, kernel.symbols.count]);
  });

  judgesAsWeDo(() => kernel, { copies: COPIES });
});

describe('the driver of riscv64', () => {
  it('writes jumps as the assembler does', () => {
    const jump = (distance: bigint) => [...riscv64.staticBranch.jump(0x1000n, 0x1000n + distance, new Uint8Array(8))];
    // j .+0x1a2b4, j .-4
    expect(jump(0x1a2b4n)).toEqual([0x6f, 0xa0, 0x41, 0x2b]);
    expect(jump(-4n)).toEqual([0x6f, 0xf0, 0xdf, 0xff]);
  });

  it('finds page tables by satp', () => {
    const tables = (satp: bigint) => riscv64.dump!.fromRegisters(new Map([['satp', satp]]));
    expect(tables(0xa000_5000_0008_2d22n)).toEqual([{ root: 0x82d2_2000n, pageShift: 12, addressBits: 57 }]);
    expect(tables(0x9000_0000_0008_0000n)).toEqual([{ root: 0x8000_0000n, pageShift: 12, addressBits: 48 }]);
    expect(tables(0x8000_0000_0008_0000n)).toEqual([{ root: 0x8000_0000n, pageShift: 12, addressBits: 39 }]);
    // Bare: nothing is translated.
    expect(tables(0n)).toEqual([]);
  });
});
