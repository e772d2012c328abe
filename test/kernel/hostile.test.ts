/**
 * Damaged images, from a fixed seed: whatever happens to the bytes, the loader answers or gives one `UsercopyError`,
 * soon and within memory. A damaged field may still make a kernel that loads; then its tables must be usable.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { drivers } from '../../arch/index.js';
import { UsercopyError } from '../../src/errors.js';
import { loadKernel } from '../../src/image/load.js';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { parseBtf } from '../../src/kernel/btf.js';
import { findKallsyms } from '../../src/kernel/kallsyms.js';
import { readKallsyms } from '../../src/kernel/kallsyms-decode.js';
import { decompress } from '../../src/kernel/payload/decompress.js';
import { BtfWriter, sampleSymbols, writeElf, writeKallsyms } from './images.js';

const SEED = 0x5eed;
const BASE = 0xffffffff81000000n;

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}

/** A copy with a few bytes changed, mostly to values at the edges of integers, or cut short. */
function damage(bytes: Uint8Array, random: Random, within = bytes.length): Uint8Array {
  const damaged = new Uint8Array(bytes);
  for (let changes = 1 + random.below(6); changes > 0; changes--) {
    const at = random.below(within);
    const value = [0x00, 0xff, 0x7f, 0x80, 0x01, random.below(256)][random.below(6)]!;
    damaged.fill(value, at, at + [1, 1, 2, 4, 8][random.below(5)]!);
  }
  return random.below(8) === 0 ? damaged.subarray(0, random.below(damaged.length)) : damaged;
}

/** Runs `use` on damaged copies; anything but an answer or a UsercopyError fails the test. */
async function fuzz(
  bytes: Uint8Array,
  rounds: number,
  use: (bytes: Uint8Array) => unknown,
  within = bytes.length,
): Promise<void> {
  const random = new Random(SEED);
  for (let round = 0; round < rounds; round++) {
    const damaged = damage(bytes, random, within);
    try {
      await use(damaged);
    } catch (error) {
      if (error instanceof UsercopyError) continue;
      throw new Error(`seed ${SEED}, round ${round}: ${error}`, { cause: error });
    }
  }
}

function btf(): Uint8Array {
  const writer = new BtfWriter(64, 'little');
  const int = writer.int('int', 4);
  const pointer = writer.type(2, '', 4);
  const array = writer.type(3, '', 0, 0, false, [pointer, int, 8]);
  writer.struct(4, 'page', 64, [
    ['flags', int, 0],
    ['', 5, 64],
    ['list', array, 128],
  ]);
  writer.struct(5, '', 8, [['next', pointer, 0]]);
  writer.type(8, 'page_t', 4);
  writer.type(6, 'flags', 4, 2, false, [writer.name('A'), 0, writer.name('B'), 1]);
  return writer.finish();
}

test('damaged BTF', () =>
  fuzz(btf(), 4000, (bytes) => {
    const types = parseBtf(bytes, 'types');
    for (const name of ['page', 'page_t'])
      if (types.hasStruct(name))
        expect(types.struct(name).members.length + Number(types.struct(name).has('next.x'))).toBeGreaterThanOrEqual(0);
    types.enumerator('B');
  }));

test('damaged kallsyms', () => {
  const table = writeKallsyms(64, 'little', '6.2', sampleSymbols(BASE), BASE, false);
  return fuzz(table, 1500, (bytes) => {
    const layout = findKallsyms(bytes, 64, 'little');
    if (layout === null) return;
    const symbols = readKallsyms(bytes, layout, 64, 'little', 0n);
    symbols.address('no such symbol');
    symbols.find(BASE + 0x1000n);
  });
});

test('a damaged ELF kernel', () => {
  const memory = new Uint8Array(0x3000);
  memory.set(btf(), 0x2000);
  const sections = [{ name: '.BTF', type: 1, flags: 2, address: 0n, bytes: btf() }];
  const elf = writeElf(64, 'little', 62, BASE, memory, 0x4000, sections);
  return fuzz(elf, 2000, (bytes) => loadKernel({ bytes, name: 'vmlinux' }, { drivers }), 128);
});

describe('our own guests, damaged', () => {
  const directory = join(import.meta.dirname, '../../guests/elf');
  const guests = existsSync(directory)
    ? readdirSync(directory).filter((name) => /^(x86_64|arm64)\.elf$/.test(name))
    : [];
  test.each(guests)('%s', (name) => {
    const bytes = new Uint8Array(readFileSync(join(directory, name)));
    return fuzz(bytes, 150, async (damaged) => {
      const kernel = await loadKernel({ bytes: damaged, name }, { drivers });
      kernel.symbols.address('__check_object_size');
    });
  });
});

describe('damaged payloads', () => {
  const directory = join(import.meta.dirname, 'fixtures');
  // lzma1 cannot be stopped early, so a damaged stream costs its whole bound: fewer rounds.
  const rounds = (name: string) => (name.endsWith('.lzma') ? 15 : 150);
  test.each(readdirSync(directory).filter((name) => name.startsWith('sample.')))('%s', (name) => {
    const bytes = new Uint8Array(readFileSync(join(directory, name)));
    return fuzz(bytes, rounds(name), (damaged) => decompress(damaged, 0, 1 << 18, nativeZlib));
  });
});

test('a bzImage whose payload lies outside the file', async () => {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x020f, true);
  view.setUint32(0x248, 0xfffffff0, true);
  view.setUint32(0x24c, 0xfffffff0, true);
  await expect(loadKernel({ bytes, name: 'bzImage' }, { drivers })).rejects.toThrow(
    /bzImage: expected a payload of bytes/,
  );
  view.setUint32(0x248, 0, true);
  view.setUint32(0x24c, 64, true);
  await expect(loadKernel({ bytes, name: 'bzImage' }, { drivers })).rejects.toThrow(
    /gzip, bzip2, lzma, xz, lzo, lz4 or zstd/,
  );
  view.setUint16(0x206, 0x0202, true);
  await expect(loadKernel({ bytes, name: 'bzImage' }, { drivers })).rejects.toThrow(/boot protocol 2.08/);
});

describe('images made to cost time or memory', () => {
  test('ten thousand segments that are all the same bytes', async () => {
    const elf = Buffer.from(writeElf(64, 'little', 62, BASE, new Uint8Array(600_000), 600_000));
    const header = elf.subarray(64, 64 + 56);
    for (let i = 0; i < 10_000; i++) header.copy(elf, 8192 + i * 56);
    elf.writeBigUInt64LE(8192n, 32);
    elf.writeUInt16LE(10_000, 56);
    await expect(loadKernel({ bytes: elf, name: 'vmlinux' }, { drivers })).rejects.toThrow(
      /segments that share no bytes/,
    );
  });

  test('rows of digits from end to end', () => {
    const row = Buffer.from('0\u00001\u00002\u00003\u00004\u00005\u00006\u00007\u00008\u00009\u0000', 'latin1');
    expect(findKallsyms(new Uint8Array(Buffer.alloc(16 << 20, row)), 64, 'little')).toBeNull();
  });

  test('more enumerators than any kernel has', () => {
    const writer = new BtfWriter(64, 'little');
    writer.type(6, 'many', 4, 65_535, false, new Array(131_070).fill(1));
    expect(parseBtf(writer.finish(), 'types').enumerator('none')).toBeUndefined();
  });
});
