/** Debian's mips kernels: the judge is their own check, run in the guest. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { prepareCpu } from '../../arch/mips/machine.js';
import { mips64el } from '../../arch/mips/mips64el.js';
import { mipsel } from '../../arch/mips/mipsel.js';
import type { Engine } from '../../src/engine/engine.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { Guest } from '../../src/guest/guest.js';
import { parseConfig } from '../../src/kernel/config.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { loadOwnKernel } from '../../src/scenario/own.js';
import { scenarioInMemory } from '../../src/scenario/read.js';
import { snapshotScenario } from '../../src/scenario/snapshot.js';
import { debianKernel, judgesAsWeDo } from '../debian-kernel.js';

/** `usercopy run random` makes 100 000. */
const COPIES = 5000;

const KERNELS = [
  ['mips64el', '6.1.0-50-5kc-malta', 0xffff_ffff_8010_0000n],
  ['mipsel', '6.1.0-50-4kc-malta', 0x8010_0000n],
] as const;

describe.each(KERNELS)("Debian's %s kernel of bookworm", (variant, release, address) => {
  let kernel: Kernel | string;
  beforeAll(async () => {
    kernel = await debianKernel(variant, release);
  });

  it('is unpacked to where it was linked, with its bss', (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    const [image] = kernel.segments;
    expect(image?.address).toBe(address);
    // head.S: room for exception vectors, then the first function.
    expect(kernel.symbols.address('_stext')).toBe(address + 0x400n);
    expect(image?.size).toBeGreaterThan(BigInt(image?.bytes.length ?? 0));
    expect(kernel.types?.hasStruct('kmem_cache')).toBe(true);
  });

  judgesAsWeDo(() => kernel, { copies: COPIES });
});

describe('the drivers of mips', () => {
  it('write jumps and read calls as the assembler does', () => {
    // j 0x80b174bc
    expect([...mipsel.staticBranch.jump(0x80100400n, 0x80b174bcn, new Uint8Array(4))]).toEqual([
      0x2f, 0x5d, 0x2c, 0x08,
    ]);
    // ffffffff80421bb8: jal ffffffff80b40fec
    const call = Uint8Array.of(0xfb, 0x03, 0x2d, 0x0c);
    expect(mips64el.directBranch.target(call, 0, 0xffff_ffff_8042_1bb8n)).toBe(0xffff_ffff_80b4_0fecn);
    // jr ra
    expect(mips64el.directBranch.target(Uint8Array.of(0x08, 0, 0xe0, 0x03), 0, 0n)).toBeNull();
  });

  it('lay kernels out by the size of their pages and the bits of their addresses', async () => {
    const kernel = await loadOwnKernel('mips64el');
    const end = (text: string): bigint =>
      mips64el.layout({ ...kernel, config: parseConfig(text) }).vmallocEnd - 0xc000_0000_0000_0000n + (1n << 32n);
    // A 5KEF has addresses of 42 bits.
    expect(end('CONFIG_PAGE_SIZE_4KB=y\n')).toBe(1n << 40n);
    expect(end('CONFIG_PAGE_SIZE_16KB=y\n')).toBe(1n << 42n);
    expect(end('CONFIG_PAGE_SIZE_4KB=y\nCONFIG_MIPS_VA_BITS_48=y\n')).toBe(1n << 42n);
  });

  it('refuse kernels for CPUs that nobody emulates', async () => {
    const kernel = await loadOwnKernel('mips64el');
    const octeon = { ...kernel, config: parseConfig('CONFIG_CPU_CAVIUM_OCTEON=y\n') };
    await expect(Guest.create(octeon)).rejects.toThrow(/CONFIG_CPU_CAVIUM_OCTEON: no emulated CPU has/);
  });

  it('refuse highmem', async () => {
    const kernel = await loadOwnKernel('mipsel');
    expect(() => mipsel.layout({ ...kernel, config: parseConfig('CONFIG_HIGHMEM=y\n') })).toThrow(/CONFIG_HIGHMEM/);
  });
});

it('a guest of mips is not written down for harnesses, which would run it wrongly', async () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'usercopy-mips-')), 'guest');
  const scenario = scenarioInMemory({ guest: { variant: 'mipsel' }, steps: [{ call: 'do_copy(user, _stext, 8, 1)' }] });
  await expect(snapshotScenario(scenario, folder)).rejects.toThrow(/^mipsel: .*No snapshot is written/);
  expect(existsSync(folder)).toBe(false);
});

describe.each([
  ['mipsel', mipsel, 0x8000_0000n],
  ['mips64el', mips64el, 0xffff_ffff_8000_0000n],
] as const)('the emulated CPU of %s', (_name, variant, segment) => {
  let engine: Engine;
  afterEach(() => engine.close());

  const start = (...words: number[]): { at: bigint; end: bigint } => {
    if ('unsupported' in variant.engine) throw new Error('expected an emulator');
    engine = openUnicorn(variant.engine);
    prepareCpu(engine, null, variant.bits);
    engine.map(0n, 0x10000n, 'rwx');
    const code = Buffer.alloc(0x2000);
    for (const [index, word] of [...words, 0x1000ffff, 0].entries()) code.writeUInt32LE(word >>> 0, index * 4);
    engine.write(0x1000n, code);
    return { at: segment + 0x1000n, end: segment + 0x1000n + BigInt(words.length * 4) };
  };

  it('takes a jump once whose delay slot meets a page for the first time', () => {
    // jal next; sb $0, 0($9); next: addiu $10, $10, 1
    const { at, end } = start(0x0c000402, 0xa1200000, 0x254a0001);
    engine.writeRegister('9', segment + 0x8000n);
    engine.writeRegister('10', 0n);
    expect(engine.runSync({ start: at, until: end, blockLimit: 10 }).reason).toBe('until');
    expect(engine.readRegister('10')).toBe(1n);
  });

  it('tells where BUG() is, with the pc behind it', () => {
    // addiu $10, $10, 1; break 12
    const { at, end } = start(0x254a0001, 0x000c000d);
    const seen: [number, bigint][] = [];
    engine.hookInterrupt((number) => {
      seen.push([number, engine.readRegister('pc')]);
      engine.stop();
    });
    const { pc, instructions } = engine.runSync({ start: at, until: end + 8n, countInstructions: true });
    expect([pc, instructions, seen]).toEqual([end, 2, [[18, end]]]);
  });

  it('shows memory at translated addresses, too', () => {
    // lbu $10, 0($9)
    const { at, end } = start(0x912a0000);
    engine.write(0x9000n, Uint8Array.of(0x5a));
    engine.writeRegister('9', (variant.bits === 32 ? 0xc000_0000n : 0xc000_0000_0000_0000n) + 0x9000n);
    expect(engine.runSync({ start: at, until: end, blockLimit: 10 }).reason).toBe('until');
    expect(engine.readRegister('10')).toBe(0x5an);
  });
});
