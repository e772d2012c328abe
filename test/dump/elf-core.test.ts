import { execFileSync } from 'node:child_process';
import { truncateSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { readElfCore } from '../../src/dump/elf-core.js';
import { FileReader } from '../../src/dump/file.js';
import { SegmentMemory } from '../../src/dump/physical.js';
import { UsercopyError } from '../../src/errors.js';
import { buildCore, type CoreOptions, type CorePiece, randomNumbers, Scratch } from './core-builder.js';

const scratch = new Scratch();
afterAll(() => scratch.remove());

function open(pieces: readonly CorePiece[], options: CoreOptions = {}) {
  return openBytes(buildCore(pieces, options));
}

function openBytes(bytes: Uint8Array) {
  const file = FileReader.open(scratch.write(bytes));
  const core = readElfCore(file);
  return { file, core, memory: new SegmentMemory(file, core.segments) };
}

const pattern = (length: number, start: number) => Uint8Array.from({ length }, (_, index) => (start + index) & 0xff);

describe('an ELF core file', () => {
  for (const wide of [true, false]) {
    for (const little of [true, false]) {
      it(`of ${wide ? 64 : 32} bits, ${little ? 'little' : 'big'} endian, gives its segments and notes`, () => {
        const { core, memory } = open([{ physical: 0x1234n, bytes: pattern(100, 7) }], {
          wide,
          little,
          machine: 22,
          notes: [
            { owner: 'CORE', type: 1, data: pattern(10, 1) },
            { owner: 'VMCOREINFO', type: 0, data: Buffer.from('OSRELEASE=x\n') },
          ],
        });
        expect(core).toMatchObject({ bits: wide ? 64 : 32, littleEndian: little, machine: 22, warnings: [] });
        expect(core.notes.map((note) => [note.owner, note.type, note.data.length])).toEqual([
          ['CORE', 1, 10],
          ['VMCOREINFO', 0, 12],
        ]);
        expect(memory.read(0x1234n + 90n, 10)).toEqual(pattern(10, 97));
      });
    }
  }

  it('takes the number of program headers from section header 0 when e_phnum is 0xffff', () => {
    const { core } = open([{ physical: 0n, bytes: pattern(16, 0) }], { extended: true });
    expect(core.segments).toHaveLength(1);
  });

  it('joins segments that follow one another, and has nothing in the holes between others', () => {
    const { memory } = open([
      { physical: 0x3000n, bytes: pattern(0x100, 3) },
      { physical: 0x1000n, bytes: pattern(0x801, 1) },
      { physical: 0x1801n, bytes: pattern(0x10, 9) },
    ]);
    expect([...memory.read(0x17ffn, 4)!]).toEqual([0x00, 0x01, 9, 10]);
    expect(memory.read(0x1810n, 2)).toBeUndefined();
    expect(memory.read(0xfffn, 2)).toBeUndefined();
    expect(memory.read(0x30ffn, 2)).toBeUndefined();
    expect(memory.available(0x30f0n, 4096)).toBe(16);
  });

  it('lets the first of two overlapping segments win and tells how many bytes both claim', () => {
    const { memory } = open([
      { physical: 0x2000n, bytes: new Uint8Array(0x100).fill(1) },
      { physical: 0x1f80n, bytes: new Uint8Array(0x200).fill(2) },
    ]);
    expect([...memory.read(0x1fffn, 2)!]).toEqual([2, 1]);
    expect([...memory.read(0x20ffn, 2)!]).toEqual([1, 2]);
    expect(memory.overlapping).toBe(0x100n);
  });

  it('answers undefined for memory that a truncated file no longer holds', () => {
    const { core, memory } = open([{ physical: 0n, bytes: pattern(64, 0), fileSize: 1n << 40n }]);
    expect(core.warnings[0]).toMatch(/^segment 1 ends at offset \d+, the file at \d+: truncated\?$/);
    expect(memory.read(60n, 4)).toHaveLength(4);
    expect(memory.read(62n, 4)).toBeUndefined();
    expect(memory.read(1n << 39n, 8)).toBeUndefined();
  });

  it('answers undefined when the file shrinks after it was opened', () => {
    const bytes = buildCore([{ physical: 0n, bytes: new Uint8Array(1 << 20) }]);
    const path = scratch.write(bytes);
    const file = FileReader.open(path);
    const memory = new SegmentMemory(file, readElfCore(file).segments);
    truncateSync(path, 4096);
    expect(memory.read(0x80000n, 16)).toBeUndefined();
    expect(memory.readInto(0x80000n, new Uint8Array(1 << 18))).toBe(false);
  });

  const good = buildCore([{ physical: 0n, bytes: pattern(64, 0) }]);
  const patched = (at: number, ...values: number[]) => {
    const copy = Uint8Array.from(good);
    copy.set(values, at);
    return copy;
  };
  for (const [what, bytes, message] of [
    ['an empty file', new Uint8Array(0), /expected an ELF core file \(a vmcore\), found a file of 0 bytes/],
    ['a text', Buffer.from('Linux version 6.1 is here'), /expected an ELF core file/],
    ['a header cut short', good.slice(0, 40), /expected an ELF header, found a file of 40 bytes/],
    ['an executable', patched(16, 2), /type CORE \(4\), found type 2/],
    ['class 3', patched(4, 3), /ELF class 1 or 2/],
    ['byte order 0', patched(5, 0), /ELF data encoding 1 or 2/],
    ['no program headers', patched(56, 0, 0), /at least 1 program header/],
    [
      'more program headers than the file holds',
      patched(56, 0xfe, 0xff),
      /program headers: expected 65534 of 56 bytes/,
    ],
    ['a count in a section header that is not there', patched(56, 0xff, 0xff), /PN_XNUM/],
    ['small program headers', patched(54, 8, 0), /e_phentsize: expected at least 56, found 8/],
    ['program headers far past the end', patched(32, 0, 0, 0, 0, 0, 0, 0, 0xff), /program headers/],
  ] as const) {
    it(`refuses ${what} with one clear error`, () => {
      expect(() => openBytes(bytes)).toThrow(UsercopyError);
      expect(() => openBytes(bytes)).toThrow(message);
    });
  }

  it('refuses segments that wrap around the end of the address space', () => {
    expect(() => open([{ physical: (1n << 64n) - 16n, bytes: pattern(64, 0) }])).toThrow(/end below 2\^64/);
  });

  it('refuses a directory, a pipe and a file that does not exist', () => {
    const pipe = `${scratch.directory}/pipe`;
    execFileSync('mkfifo', [pipe]);
    expect(() => FileReader.open(pipe)).toThrow(/a regular file, found a device, pipe or socket/);
    expect(() => FileReader.open(scratch.directory)).toThrow(/a regular file, found a directory/);
    expect(() => FileReader.open(`${scratch.directory}/none`)).toThrow(/ENOENT/);
  });

  it('ends in a UsercopyError or a readable core for any corrupt header (2000 mutations, seed 0x5eed)', () => {
    const random = randomNumbers(0x5eed);
    const original = buildCore(
      [
        { physical: 0x1000n, bytes: pattern(256, 0) },
        { physical: 0x1080n, bytes: pattern(256, 5) },
      ],
      { notes: [{ owner: 'CORE', type: 1, data: pattern(64, 2) }], extended: true },
    );
    for (let round = 0; round < 2000; round++) {
      const copy = Uint8Array.from(original);
      for (let count = 1 + (random() % 6); count > 0; count--) {
        const interesting = [0, 1, 0x7f, 0x80, 0xff, random() & 0xff];
        copy[6 + (random() % 480)] = interesting[random() % interesting.length]!;
      }
      const bytes = random() % 4 === 0 ? copy.slice(0, random() % copy.length) : copy;
      try {
        const { core, file, memory } = openBytes(bytes);
        for (const range of memory.ranges) expect(range.end).toBeGreaterThan(range.start);
        for (const segment of core.segments) memory.read(segment.physical, 64);
        file.close();
      } catch (error) {
        expect(error, `round ${round}`).toBeInstanceOf(UsercopyError);
      }
    }
  });
});
