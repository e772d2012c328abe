import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { ArchDriver, UnpackedImage, Variant } from '../../arch/driver.js';
import { drivers } from '../../arch/index.js';
import { unpackS390Image } from '../../arch/s390/image.js';
import { loadKernel } from '../../src/image/load.js';
import type { Bits, Endian } from '../../src/kernel/kernel.js';
import { type SampleSection, sampleSymbols, Writer, writeElf, writeKallsyms } from './images.js';

const BASE = 0xffffffff81000000n;
const X86_64 = 62;
const BANNER = 'Linux version 6.1.0-50-amd64 (builder@host) (gcc-12) #1 SMP Debian 6.1.176-1 (2026-07-02)\n\0';

/** Memory of a small kernel: banner, kallsyms, configuration. */
function memory(bits: Bits = 64, endian: Endian = 'little', base = BASE): Uint8Array {
  const config = gzipSync('CONFIG_SLUB=y\nCONFIG_HZ=250\n# CONFIG_SLAB is not set\nCONFIG_LOCALVERSION="-50"\n');
  return new Writer(bits, endian)
    .bytes(new Uint8Array(0x10000))
    .bytes(Buffer.from(BANNER))
    .align(8)
    .bytes(writeKallsyms(bits, endian, '6.4', sampleSymbols(base), base, false))
    .bytes(Buffer.from('IKCFG_ST'))
    .bytes(config)
    .bytes(Buffer.from('IKCFG_ED'))
    .align(4096)
    .finish();
}

const load = (bytes: Uint8Array, name = 'image', from: readonly ArchDriver[] = drivers) =>
  loadKernel({ bytes, name }, { drivers: from });

/** Only what the loader asks of a variant. */
function variant(name: string, bits: Bits, endian: Endian, image: UnpackedImage['payload'] | null): ArchDriver {
  const part: Partial<Variant> = {
    name,
    bits,
    endian,
    elfMachine: 0xf00d,
    relativeRelocation: 0x403,
    symbolRelocations: [257],
    unpackImage: async () => image && { format: 'test', payload: image },
  };
  return { linuxArch: name, variants: [part as Variant] };
}

describe('an ELF kernel without a symbol table', () => {
  const kernel = load(writeElf(64, 'little', X86_64, BASE, memory(), 0x40000));

  test('gives symbols, version and configuration from its own memory', async () => {
    const { variant, symbols, version, config } = await kernel;
    expect(variant).toBe('x86_64');
    expect(symbols.source).toBe('kallsyms');
    expect(symbols.address('alias_of_last')).toBe(BASE + 0x10n + 699n * 0x24n);
    expect(version).toMatchObject({ release: '6.1.0-50-amd64', major: 6, minor: 1, patch: 176 });
    expect(config?.get('CONFIG_HZ')).toBe('250');
    expect(config?.get('LOCALVERSION')).toBe('-50');
    expect(config?.enabled('SLUB')).toBe(true);
    expect(config?.enabled('SLAB')).toBe(false);
  });

  test('reads its memory, zeroes in the bss, and nothing outside', async () => {
    const { read } = await kernel;
    expect(Buffer.from(read(BASE + 0x10000n, 13)!).toString()).toBe('Linux version');
    const end = memory().length;
    expect(read(BASE + BigInt(end) - 2n, 4)).toHaveLength(4);
    expect([...read(BASE + 0x3fffcn, 4)!]).toEqual([0, 0, 0, 0]);
    expect(read(BASE + 0x3fffcn, 5)).toBeUndefined();
    expect(read(BASE - 1n, 2)).toBeUndefined();
  });
});

test.each([
  ['gzip', (bytes: Uint8Array) => gzipSync(bytes)],
  ['gzip twice', (bytes: Uint8Array) => gzipSync(gzipSync(bytes))],
])('a kernel packed once more with %s is unpacked first', async (_, pack) => {
  const kernel = await load(new Uint8Array(pack(writeElf(64, 'little', X86_64, BASE, memory(), 0x40000))));
  expect(kernel.version.release).toBe('6.1.0-50-amd64');
});

test('relocations of an ELF kernel are applied, relative and by symbol, and the caller’s bytes stay as they were', async () => {
  const rela = new Writer(64, 'little');
  rela
    .word(BASE + 0x100n)
    .word(0x403)
    .word(BASE + 0x2000n);
  rela
    .word(BASE + 0x108n)
    .word((1n << 32n) | 257n)
    .word(0x10);
  rela
    .word(BASE + 0x110n)
    .word((1n << 32n) | 999n)
    .word(0x10);
  rela.word(0x1234).word(0x403).word(0x5678);
  const dynamicSymbols = new Writer(64, 'little')
    .bytes(new Uint8Array(24))
    .uint(0, 8)
    .word(BASE + 0x3000n)
    .word(0);
  const sections: SampleSection[] = [
    { name: '.dynsym', type: 11, flags: 2, address: 0n, bytes: dynamicSymbols.finish() },
    { name: '.rela.dyn', type: 4, flags: 2, address: 0n, bytes: rela.finish(), link: 1 },
  ];
  const bytes = Buffer.from(writeElf(64, 'little', 0xf00d, BASE, memory(), 0x40000, sections));
  const before = Buffer.from(bytes);
  const kernel = await load(bytes, 'vmlinux', [variant('test', 64, 'little', null)]);
  const word = (offset: bigint) => Buffer.from(kernel.read(BASE + offset, 8)!).readBigUInt64LE();
  expect(word(0x100n)).toBe(BASE + 0x2000n);
  expect(word(0x108n)).toBe(BASE + 0x3010n);
  expect(word(0x110n)).toBe(0n);
  expect(Buffer.compare(bytes, before)).toBe(0);
});

describe('a flat image', () => {
  const base = 0xffff800008000000n;

  test('is placed by the relocation of its own symbol table’s base, as arm64’s are', async () => {
    const bytes = Buffer.from(memory(64, 'little', base + 0x10000n));
    const slot = bytes.lastIndexOf(Buffer.from(new Writer(64, 'little').word(base + 0x10000n).finish()));
    bytes.writeBigUInt64LE(0n, slot);
    const table = new Writer(64, 'little');
    for (let i = 0; i < 40; i++)
      table
        .word(base + BigInt(i * 8))
        .word(0x403)
        .word(base + BigInt(0x5000 + i));
    table
      .word(base + BigInt(slot))
      .word(0x403)
      .word(base + 0x10000n);
    const image = Buffer.concat([bytes, table.finish()]);
    const payload = { kind: 'flat', bytes: image, address: null, memorySize: 0x80000n } as const;
    const kernel = await load(image, 'Image', [variant('test', 64, 'little', payload)]);
    expect(kernel.segments[0]).toMatchObject({ address: base, size: 0x80000n });
    expect(kernel.symbols.address('_text')).toBe(base + 0x10000n);
    expect(Buffer.from(kernel.read(base + 0x18n, 8)!).readBigUInt64LE()).toBe(base + 0x5003n);
  });

  test('is placed by the base of its symbol table where nothing is relocated', async () => {
    const payload = { kind: 'flat', bytes: memory(64, 'big', 0x100000n), address: null, memorySize: null } as const;
    const kernel = await load(payload.bytes, 'Image', [variant('test', 64, 'big', payload)]);
    expect(kernel.segments[0]?.address).toBe(0x100000n);
    expect(kernel.endian).toBe('big');
  });

  test('without symbols and address is refused', async () => {
    const payload = { kind: 'flat', bytes: new Uint8Array(65536), address: null, memorySize: null } as const;
    await expect(load(payload.bytes, 'Image', [variant('test', 64, 'little', payload)])).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringContaining('Image: expected a symbol table'),
    });
  });
});

describe('what is no kernel', () => {
  test.each([
    ['an empty file', new Uint8Array(0), /an empty file/],
    ['text', Buffer.from('just some text that is long enough to be looked at'), /expected a kernel image/],
    ['the first bytes of an ELF file', Buffer.from('7f454c460201', 'hex'), /an ELF header/],
    ['an ELF file for another machine', writeElf(64, 'little', 258, BASE, memory(), 0x40000), /ELF machine 258/],
    [
      'a segment past the end',
      writeElf(64, 'little', X86_64, BASE, memory(), 0x40000).subarray(0, 9000),
      /of a segment/,
    ],
    ['a segment larger than memory', writeElf(64, 'little', X86_64, BASE, memory(), 2 ** 40), /a segment of/],
  ])('%s is one clear error', async (_, bytes, message) => {
    await expect(load(new Uint8Array(bytes))).rejects.toMatchObject({
      kind: 'bad-input',
      message: expect.stringMatching(message),
    });
  });

  test('a directory, a missing file and a device are one clear error', async () => {
    for (const path of [tmpdir(), '/no/such/file', '/dev/zero'])
      await expect(loadKernel({ path }, { drivers })).rejects.toMatchObject({ kind: 'bad-input' });
  });

  test('an s390 wrapper with nothing inside is one clear error', async () => {
    const bytes = new Uint8Array(0x20000);
    bytes.set(Buffer.from('S390EP'), 0x10008);
    const s390: ArchDriver = { linuxArch: 's390', variants: [{ unpackImage: unpackS390Image } as unknown as Variant] };
    await expect(load(bytes, 'image', [s390])).rejects.toThrow(/a compressed kernel inside/);
  });
});

test('a configuration beside the image is taken, as in /boot', async () => {
  const directory = await fs.mkdtemp(join(tmpdir(), 'usercopy-load-'));
  const withoutConfig = Buffer.from(memory());
  withoutConfig.write('IKCFG_NO', withoutConfig.indexOf('IKCFG_ST'));
  await fs.writeFile(join(directory, 'vmlinux'), writeElf(64, 'little', X86_64, BASE, withoutConfig, 0x40000));
  await fs.writeFile(join(directory, 'config-6.1.0-50-amd64'), 'CONFIG_HZ=1000\n');
  const kernel = await loadKernel({ path: join(directory, 'vmlinux') }, { drivers });
  expect(kernel.config?.get('HZ')).toBe('1000');
  await fs.rm(directory, { recursive: true });
});

describe.each(['x86_64', 'arm64'])('our own guest for %s', (name) => {
  const path = join(import.meta.dirname, '../../guests/elf', `${name}.elf`);
  const hasNm = (() => {
    try {
      execFileSync('nm', ['--version']);
      return existsSync(path);
    } catch {
      return false;
    }
  })();

  test.skipIf(!hasNm)('has the symbols that nm prints (needs nm)', async () => {
    const { symbols } = await load(new Uint8Array(readFileSync(path)), path);
    const lines = execFileSync('nm', ['--special-syms', path], { encoding: 'utf8' }).trim().split('\n');
    const expected = lines
      .map((line) => /^([0-9a-f]+) (\S) (\S+)$/.exec(line))
      .filter((match) => match !== null && !match[3]!.startsWith('$'))
      .map((match) => `${BigInt(`0x${match![1]}`)} ${match![2]} ${match![3]}`);
    expect([...symbols].map((symbol) => `${symbol.address} ${symbol.type} ${symbol.name}`).sort()).toEqual(
      expected.sort(),
    );
  });
});
