/** kdump-compressed and flattened files: built by hand, and made by the real makedumpfile of a real dump. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { drivers } from '../../arch/index.js';
import { readDumpFile } from '../../src/dump/dump-file.js';
import { FileReader } from '../../src/dump/file.js';
import { DumpJudge } from '../../src/dump/judge.js';
import { openDump } from '../../src/dump/open-dump.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { loadKernel } from '../../src/image/load.js';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { randomNumbers, Scratch } from './core-builder.js';
import { buildFlattened, buildKdump, type KdumpOptions, type KdumpPage } from './kdump-builder.js';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const open = (bytes: Uint8Array) => readDumpFile(FileReader.open(scratch.write(bytes)), nativeZlib);
const page = (fill: number) => Uint8Array.from({ length: 4096 }, (_, index) => (fill * 31 + (index >> 4)) & 0xff);

const hasZstd = !spawnSync('zstd', ['--version']).error;
const zstd = (bytes: Uint8Array) => execFileSync('zstd', ['-q', '-c'], { input: bytes });
/** A page of one byte, by the formats' own descriptions: a literal run, then copies of what is there. */
const SNAPPY_OF_SEVENS = Uint8Array.of(
  ...[0x80, 0x20],
  ...[0x00, 7],
  ...Array.from({ length: 63 }, () => [(63 << 2) | 2, 1, 0]).flat(),
  ...[(62 << 2) | 2, 1, 0],
);
/** Documentation/staging/lzo.rst: 4 literals, then a match of length 2 + 31 + 255 × 15 + 234 one byte back, then the end. */
const LZO_OF_SEVENS = Uint8Array.of(
  ...[17 + 4, 7, 7, 7, 7],
  ...[0x20, ...Array.from({ length: 15 }, () => 0), 234, 0, 0],
  ...[0x11, 0, 0],
);

describe('a kdump-compressed dump', () => {
  it('gives pages packed in every way, and what machine it is of', async () => {
    const sevens = new Uint8Array(4096).fill(7);
    const pages: KdumpPage[] = [
      { number: 1, bytes: page(1) },
      { number: 2, bytes: page(2), flags: 0x1 },
      { number: 9, bytes: sevens, flags: 0x2, packed: LZO_OF_SEVENS },
      { number: 10, bytes: sevens, flags: 0x4, packed: SNAPPY_OF_SEVENS },
      ...(hasZstd ? [{ number: 30, bytes: page(5), flags: 0x20, packed: zstd(page(5)) }] : []),
    ];
    const dump = await open(buildKdump(pages, { leftOut: [3] }));
    expect(dump).toMatchObject({ machine: 62, bits: 64, littleEndian: true, warnings: [] });
    for (const { number, bytes } of pages) {
      expect(Buffer.compare(dump.memory.read(BigInt(number) * 4096n, 4096)!, bytes), `page ${number}`).toBe(0);
    }
    const across = dump.memory.read(0x1ff0n, 32)!;
    expect([...across]).toEqual([...page(1).subarray(-16), ...page(2).subarray(0, 16)]);
    expect(dump.memory.ranges.slice(0, 2)).toEqual([
      { start: 0x1000n, end: 0x3000n },
      { start: 0x9000n, end: 0xb000n },
    ]);
  });

  it('tells a page that was left out from one that never was', async () => {
    const { memory } = await open(buildKdump([{ number: 1, bytes: page(1) }], { leftOut: [3] }));
    expect(memory.read(0x3000n, 8)).toBeUndefined();
    expect(memory.read(0x1ffcn, 8)).toBeUndefined();
    expect([0x1000n, 0x3000n, 0x4000n, 1n << 60n].map((address) => memory.absence(address))).toEqual([
      null,
      'left out',
      'no memory',
      'no memory',
    ]);
  });

  const shapes: KdumpOptions[] = [
    { machine: 's390x', little: false },
    { machine: 'i686', bits: 32 },
    { machine: 'armv7l', bits: 32 },
    { machine: 'aarch64' },
  ];
  for (const shape of shapes) {
    it(`of ${shape.machine} has its notes and VMCOREINFO found`, async () => {
      const bytes = buildKdump([{ number: 0, bytes: page(3) }], {
        ...shape,
        vmcoreinfo: Buffer.from('OSRELEASE=6.1\n'),
      });
      const dump = await open(bytes).catch((error: Error) => error);
      // Variants whose dumps are not read yet say so by name.
      if (dump instanceof Error) expect(dump.message).toContain(`"${shape.machine}"`);
      else {
        const note = dump.notes.find(({ owner }) => owner === 'VMCOREINFO');
        expect(Buffer.from(note!.data).toString()).toBe('OSRELEASE=6.1\n');
        expect(dump.littleEndian).toBe(shape.little ?? true);
      }
    });
  }

  it('and is hostile ends in one sentence: sizes, bitmaps, bombs', async () => {
    const one = [{ number: 1, bytes: page(1) }];
    const bomb = buildKdump([{ number: 1, bytes: page(1), flags: 1, packed: buildBomb() }]);
    const { memory } = await open(bomb);
    expect(() => memory.read(0x1000n, 8)).toThrow(/page 0x1: expected a page that unpacks to 4096 bytes/);
    const large = buildKdump(one);
    large.writeUInt32LE(1 << 20, 436);
    await expect(open(large)).rejects.toThrow(/bitmap_blocks: expected bitmaps of at most/);
    large.writeUInt32LE(1 << 10, 436);
    await expect(open(large)).rejects.toThrow(/bitmap: expected .* found a file of/);
    await expect(open(buildKdump(one).subarray(0, 300))).rejects.toThrow(/a kdump header/);
    await expect(open(buildKdump(one, { machine: 'vax' }))).rejects.toThrow(/dumps of "vax" are not read/);
    const version = buildKdump(one);
    version.writeUInt32LE(0xffff_ffff, 8);
    await expect(open(version)).rejects.toThrow(/header_version/);
  });

  it('of 64 GiB, nearly all of it sparse, is open in a second and a few megabytes', async () => {
    const pages = 64n << 18n;
    const bitmapBlocks = Number((pages / 8n / 4096n) * 2n);
    const path = scratch.write(buildKdump([{ number: 1, bytes: page(1) }], { bitmapBlocks, maximumPage: pages }));
    const descriptor = openSync(path, 'r+');
    ftruncateSync(descriptor, 64 * 2 ** 30);
    closeSync(descriptor);
    const before = process.memoryUsage.rss();
    const dump = await readDumpFile(FileReader.open(path), nativeZlib);
    expect(Buffer.compare(dump.memory.read(0x1000n, 4096)!, page(1))).toBe(0);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 << 20);
  });
});

/** 4 MiB of zeroes in a few KiB. */
function buildBomb(): Uint8Array {
  const packed = buildKdump([{ number: 0, bytes: new Uint8Array(3 << 20), flags: 1 }]);
  return packed.subarray(-3200);
}

describe('a flattened dump', () => {
  const whole = buildKdump([
    { number: 1, bytes: page(1), flags: 1 },
    { number: 5, bytes: page(5) },
  ]);
  const cut = (from: number, to: number) => ({ offset: from, bytes: whole.subarray(from, to) });

  it('is put together from pieces in any order, the last writer winning', async () => {
    const stale = { offset: 0, bytes: new Uint8Array(600).fill(0xee) };
    const pieces = [stale, cut(8000, whole.length), cut(0, 5000), cut(4096, 8000)];
    const { memory } = await open(buildFlattened(pieces));
    expect(Buffer.compare(memory.read(0x1000n, 4096)!, page(1))).toBe(0);
    expect(Buffer.compare(memory.read(0x5000n, 4096)!, page(5))).toBe(0);
  });

  it('that breaks off is used as far as it came', async () => {
    const bytes = buildFlattened([cut(0, whole.length)]);
    const { memory } = await open(bytes.subarray(0, bytes.length - 16 - 100));
    expect(Buffer.compare(memory.read(0x1000n, 4096)!, page(1))).toBe(0);
    expect(memory.read(0x5000n, 4096)).toBeUndefined();
  });

  it('with senseless pieces ends in one sentence', async () => {
    const bytes = buildFlattened([cut(0, whole.length)]);
    bytes.writeBigInt64BE(-5n, 4096);
    await expect(open(bytes)).rejects.toThrow(/piece at byte 4096: expected an offset and a size, found -5/);
  });
});

describe('damaged dumps', () => {
  it('are read, refused or unreadable, and never anything else', async () => {
    const random = randomNumbers(20_161);
    const kdump = buildKdump(
      [
        { number: 1, bytes: page(1), flags: 1 },
        { number: 2, bytes: page(2), flags: 2, packed: LZO_OF_SEVENS },
        { number: 3, bytes: page(3), flags: 4, packed: SNAPPY_OF_SEVENS },
        ...(hasZstd ? [{ number: 4, bytes: page(4), flags: 0x20, packed: zstd(page(4)) }] : []),
      ],
      { notes: new Uint8Array(64).fill(4), vmcoreinfo: Buffer.from('OSRELEASE=6.1\n') },
    );
    const flat = buildFlattened([{ offset: 0, bytes: kdump }]);
    const path = scratch.write(new Uint8Array(0));
    for (let round = 0; round < 400; round++) {
      const bytes = Buffer.from(round % 2 === 0 ? kdump : flat);
      for (let count = 1 + (random() % 8); count > 0; count--) {
        // Most damage goes where headers, descriptors and packed pages are.
        const limit = random() % 3 === 0 ? 600 : bytes.length;
        bytes[random() % limit] = random() % 4 === 0 ? 0xff : random() & 0xff;
      }
      writeFileSync(path, random() % 5 === 0 ? bytes.subarray(0, random() % bytes.length) : bytes);
      const file = FileReader.open(path);
      try {
        const { memory } = await readDumpFile(file, nativeZlib);
        for (let number = 0n; number < 6n; number++) memory.read(number * 4096n, 4096);
      } catch (error) {
        expect((error as Error).name, `round ${round}: ${(error as Error).stack}`).toBe('UsercopyError');
      } finally {
        file.close();
      }
    }
  });
});

const SHARED = resolve('../shared/dumps');
const CASE = 'USERCOPY_SLAB_WHITELIST_FROM';
const missing = !existsSync(SHARED)
  ? 'the shared dumps are not there (../shared/dumps)'
  : spawnSync('makedumpfile', ['--help']).error
    ? 'makedumpfile is not installed'
    : hasZstd
      ? null
      : 'zstd is not installed, which expands the dumps';

describe.skipIf(missing !== null)(`makedumpfile's own${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const machine = join(SHARED, 'x86_64-6.1');
  const kernels = join(SHARED, 'kernels', '6.1.0-50-cloud-amd64');

  /** The dump with its program headers where makedumpfile takes them to be: right behind the ELF header. */
  function expand(): string {
    const base = join(scratch.directory, 'base');
    const path = join(scratch.directory, 'case');
    execFileSync('zstd', ['-q', '-d', '-f', '--long=27', join(machine, 'base.vmcore.zst'), '-o', base]);
    const patch = join(machine, CASE, 'vmcore-pre.zpatch');
    execFileSync('zstd', ['-q', '-d', '-f', '--long=29', '--memory=2048MB', `--patch-from=${base}`, patch, '-o', path]);
    rmSync(base);
    execFileSync('chmod', ['u+w', path]);
    const head = readFileSync(path).subarray(0, 4096);
    const table = head.subarray(Number(head.readBigUInt64LE(32)));
    const fixed = Buffer.from(head.subarray(0, 64));
    fixed.writeBigUInt64LE(64n, 32);
    fixed.writeBigUInt64LE(0n, 40);
    fixed.writeUInt16LE(64, 52);
    fixed.fill(0, 60, 64);
    const descriptor = openSync(path, 'r+');
    writeSync(descriptor, Buffer.concat([fixed, table.subarray(0, 56 * head.readUInt16LE(56))]), 0, undefined, 0);
    closeSync(descriptor);
    return path;
  }

  it('files give the same verdict as the dump that they were made of', async () => {
    const source = expand();
    const image = await loadKernel(
      { path: join(kernels, 'vmlinuz-6.1.0-50-cloud-amd64') },
      { drivers, config: join(kernels, 'config-6.1.0-50-cloud-amd64.zst') },
    );
    const registers = join(machine, CASE, 'regs.txt');
    for (const way of ['-c', '-l', '-p', '-F -c']) {
      const path = join(scratch.directory, `made${way.replaceAll(' ', '')}`);
      if (way.startsWith('-F')) {
        writeFileSync(path, execFileSync('makedumpfile', ['-F', '-c', '-d', '31', source], { maxBuffer: 1 << 30 }));
      } else execFileSync('makedumpfile', [way, '-d', '31', source, path], { stdio: 'ignore' });
      const dump = await openDump(path, {
        image,
        registers: { text: readFileSync(registers, 'latin1'), path: registers },
      });
      const judge = await DumpJudge.create(dump, { source: builtCheck });
      const { message } = await judge.judge(judge.copyFromRegisters());
      expect(message, way).toBe(JSON.parse(readFileSync(join(machine, CASE, 'case.json'), 'utf8')).message);
      dump.close();
      rmSync(path);
    }
  });
});
