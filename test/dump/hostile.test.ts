/**
 * Dumps that claim more memory than they have bytes. The judge is a source that counts: a search reads about as many bytes
 * as the file has, whatever its headers say.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readDumpFile } from '../../src/dump/dump-file.js';
import type { ByteExtent, ByteSource } from '../../src/dump/file.js';
import { disjointIntervals } from '../../src/dump/intervals.js';
import { findInMemory } from '../../src/dump/search.js';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { packageFile } from '../../src/paths.js';
import { buildCore, type CorePiece, randomNumbers, Scratch } from './core-builder.js';
import { buildFlattened, buildKdump } from './kdump-builder.js';

const scratch = new Scratch();
afterAll(() => scratch.remove());
const NEEDLE = Buffer.from('a needle in the memory');

class CountingSource implements ByteSource {
  readonly path = 'counted';
  bytesRead = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  read(offset: number, length: number): Uint8Array | undefined {
    if (offset + length > this.size) return undefined;
    this.bytesRead += length;
    return this.#bytes.subarray(offset, offset + length);
  }

  readInto(offset: number, target: Uint8Array): boolean {
    const bytes = this.read(offset, target.length);
    if (bytes) target.set(bytes);
    return bytes !== undefined;
  }

  extents(start: number, end: number): Iterable<ByteExtent> {
    return [{ start, end: Math.min(end, this.size) }];
  }

  close(): void {}
}

/** Where the needle is, and bytes of the file that were read for it. */
async function search(bytes: Uint8Array): Promise<{ found: bigint[]; read: number }> {
  const file = new CountingSource(bytes);
  const { memory } = await readDumpFile(file, nativeZlib);
  file.bytesRead = 0;
  return { found: [...findInMemory(memory, NEEDLE, 1000)], read: file.bytesRead };
}

const withNeedle = (size: number, at: number): Buffer => {
  const bytes = Buffer.alloc(size, 0x11);
  bytes.set(NEEDLE, at);
  return bytes;
};

describe('a search', () => {
  it('of a flattened dump that claims 4 PiB goes through the pieces that are there', async () => {
    const piece: CorePiece = {
      physical: 0x1000n,
      bytes: withNeedle(4096, 100),
      fileSize: 1n << 52n,
      memorySize: 1n << 52n,
    };
    const core = Buffer.from(buildCore([piece]));
    const far = 2 ** 51;
    const file = buildFlattened([
      { offset: 0, bytes: core },
      { offset: far, bytes: withNeedle(4096, 7) },
      { offset: 2 ** 52, bytes: Buffer.alloc(1) },
    ]);
    const { found, read } = await search(file);
    const inFile = core.indexOf(NEEDLE) - 100;
    expect(found).toEqual([0x1000n + 100n, 0x1000n + BigInt(far - inFile + 7)]);
    expect(read).toBeLessThan(2 * file.length);
  });

  it('of 60 000 segments over the same bytes looks at them once', async () => {
    const bytes = withNeedle(1 << 20, 4000);
    const many = Array.from({ length: 60_000 }, (_, index) => ({
      physical: BigInt(index + 1) << 20n,
      bytes: new Uint8Array(0),
      fileSize: BigInt(bytes.length),
      memorySize: BigInt(bytes.length),
    }));
    const head = buildCore([{ physical: 0n, bytes, fileSize: 1n }, ...many]);
    // All of them show the first one's bytes.
    const start = BigInt(Buffer.from(head).indexOf(NEEDLE) - 4000);
    const file = buildCore([
      { physical: 0n, bytes, fileSize: 1n },
      ...many.map((piece) => ({ ...piece, offset: start })),
    ]);
    const { found, read } = await search(file);
    expect(found).toEqual([(1n << 20n) + 4000n]);
    expect(read).toBeLessThan(2 * file.length);
  });

  it('of a compressed dump whose pages share their bytes unpacks them once', async () => {
    const page = withNeedle(4096, 10);
    const file = buildKdump(Array.from({ length: 3000 }, (_, number) => ({ number, bytes: page, flags: 1 })));
    const honest = await search(file);
    expect(honest.found).toHaveLength(1000);
    const descriptors = 4 * 4096;
    for (let number = 1; number < 3000; number++)
      file.copy(file, descriptors + number * 24, descriptors, descriptors + 24);
    const { found, read } = await search(file);
    expect(found).toEqual([10n]);
    expect(read).toBeLessThan(honest.read);
  });
});

describe('a dump file', () => {
  it('whose notes are claimed many times over is refused', async () => {
    const notes = Array.from({ length: 8 }, () => ({ owner: 'CORE', type: 7, data: new Uint8Array(12 << 20) }));
    await expect(search(buildCore([{ physical: 0n, bytes: Buffer.alloc(16) }], { notes }))).rejects.toThrow(/notes/);
  });

  it('with thousands of segments behind its end warns in a few sentences', async () => {
    const pieces = Array.from({ length: 5000 }, (_, index) => ({
      physical: BigInt(index) << 20n,
      bytes: new Uint8Array(0),
      fileSize: 1n << 30n,
    }));
    const { warnings } = await readDumpFile(new CountingSource(buildCore(pieces)), nativeZlib);
    expect(warnings.length).toBeLessThan(20);
    expect(warnings.join('\n')).toContain('5000 segments');
  });

  it('of 100 000 pieces on top of each other is read as the last of them wrote it', async () => {
    const core = buildCore([{ physical: 0n, bytes: withNeedle(65_536, 0) }]);
    const pieces = Array.from({ length: 100_000 }, (_, index) => ({
      offset: core.length - 1000 + (index % 100),
      bytes: Buffer.alloc(50, index & 0xff),
    }));
    const file = new CountingSource(buildFlattened([{ offset: 0, bytes: core }, ...pieces]));
    const { memory } = await readDumpFile(file, nativeZlib);
    // The last hundred pieces are those that show: each byte belongs to the last one that begins at most 49 before it.
    const last = memory.read(65_536n - 1000n, 100)!;
    expect([...last]).toEqual(Array.from({ length: 100 }, (_, index) => (99_900 + index) & 0xff));
  });
});

describe('intervals on top of each other', () => {
  it('belong byte by byte to the claim of the least rank', () => {
    const random = randomNumbers(11);
    for (let round = 0; round < 200; round++) {
      const claims = Array.from({ length: random() % 12 }, (_, rank) => {
        const start = random() % 40;
        return { start, end: start + (random() % 15), rank };
      });
      const owned = disjointIntervals<number, (typeof claims)[number]>(claims);
      for (let at = 0; at < 60; at++) {
        const here = claims.filter(({ start, end }) => start <= at && at < end);
        const found = owned.filter(({ start, end }) => start <= at && at < end);
        expect(found.map(({ owner, contested }) => [owner.rank, contested])).toEqual(
          here.length === 0 ? [] : [[here[0]!.rank, here.length > 1]],
        );
      }
    }
  });
});

const HOSTILE = resolve('../shared/hostile/dump-search-hang-4KB.flat');

describe('usercopy check', () => {
  const check = (...args: string[]) =>
    spawnSync(process.execPath, [packageFile('build/cli/main.js'), 'check', '--dump', ...args], {
      encoding: 'utf8',
      timeout: 100_000,
    });
  const copy = ['--at', '0xffff888000000000', '--size', '8', '--to-user'];

  it.skipIf(!existsSync(HOSTILE))('of 4 KiB that claim 4 PiB ends with one sentence (../shared/hostile)', () => {
    const { status, stderr, signal } = check(HOSTILE, ...copy);
    expect(signal).toBeNull();
    expect(status).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it('takes a time limit for the reading', () => {
    const path = join(scratch.directory, 'core');
    writeFileSync(path, buildCore([{ physical: 0n, bytes: Buffer.alloc(16) }]));
    expect(check(path, ...copy, '--timeout', 'soon').stderr).toMatch(/--timeout: expected a number/);
  });
});
