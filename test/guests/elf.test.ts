import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const guests = join(import.meta.dirname, '../../guests');

/** Just enough of ELF64, little endian, to hold the project's own reader to account. */
function readElf(name: string) {
  const file = readFileSync(join(guests, 'elf', `${name}.elf`));
  const word = (offset: number) => file.readBigUInt64LE(offset);
  const text = (offset: number) => file.toString('latin1', offset, file.indexOf(0, offset));
  const sections = Array.from({ length: file.readUInt16LE(60) }, (_, i) => {
    const at = Number(word(40)) + i * 64;
    return {
      name: file.readUInt32LE(at),
      type: file.readUInt32LE(at + 4),
      offset: Number(word(at + 24)),
      size: Number(word(at + 32)),
      link: file.readUInt32LE(at + 40),
    };
  });
  const names = sections[file.readUInt16LE(62)]!.offset;
  const symtab = sections.find((section) => section.type === 2)!;
  const symbols = new Map<string, bigint>();
  for (let at = symtab.offset; at < symtab.offset + symtab.size; at += 24)
    symbols.set(text(sections[symtab.link]!.offset + file.readUInt32LE(at)), word(at + 8));
  const loads = Array.from({ length: file.readUInt16LE(56) }, (_, i) => Number(word(32)) + i * 56)
    .filter((at) => file.readUInt32LE(at) === 1)
    .map((at) => ({ virtual: word(at + 16), physical: word(at + 24) }));
  return { file, symbols, loads, sections: sections.map((section) => text(names + section.name)) };
}

const image = {
  x86_64: 0xffffffff81000000n,
  arm64: 0xffff800008000000n,
  riscv64: 0xffffffff80000000n,
  mips64el: 0xffffffff81000000n,
};

describe.each(Object.entries(image))('the guest for %s', (variant, base) => {
  it('lies at physical 16 MiB and at the address where Linux 6.1 puts its image', () => {
    const { symbols, loads } = readElf(variant);
    expect(symbols.get('_stext')).toBe(base);
    expect(loads).toHaveLength(3);
    for (const load of loads) expect(load.virtual - load.physical).toBe(base - 0x1000000n);
  });

  it('carries types and symbols, and no debug information', () => {
    const { sections, symbols, file } = readElf(variant);
    expect(sections).toContain('.BTF');
    expect(sections.filter((name) => name.startsWith('.debug'))).toEqual([]);
    for (const name of ['__check_object_size', 'usercopy_abort', 'mem_map', 'init_task', '_copy_to_user'])
      expect(symbols.has(name), name).toBe(true);
    expect(file.length).toBeLessThan(200_000);
  });

  it('has no check at all when built without', () => {
    const { symbols } = readElf(`${variant}-nocheck`);
    expect([...symbols.keys()].filter((name) => /check_object|usercopy_abort|report_usercopy/.test(name))).toEqual([]);
    expect(symbols.has('_copy_to_user')).toBe(true);
  });
});

const compilers = [
  'x86_64',
  'i686',
  'aarch64',
  'powerpc',
  'powerpc64',
  'powerpc64le',
  'sparc64',
  's390x',
  'riscv64',
  'mipsel',
];
const tools = {
  'arm-linux-gnueabihf-gcc': '12.2',
  'mips64el-linux-gnuabi64-gcc': '12.2',
  ...Object.fromEntries(compilers.map((target) => [`${target}-linux-gnu-gcc`, '12.2'])),
  pahole: 'v1.24',
  make: 'GNU Make',
};
const missing = Object.entries(tools)
  .filter(([tool, version]) => {
    const option = tool.endsWith('gcc') ? '-dumpfullversion' : '--version';
    return !spawnSync(tool, [option], { encoding: 'utf8' }).stdout?.startsWith(version);
  })
  .map(([tool, version]) => `${tool} ${version}`);

it.skipIf(missing.length > 0)(
  `is what its sources give, wherever they are built${missing.length > 0 ? ` (skipped: needs ${missing.join(', ')})` : ''}`,
  () => {
    const copy = mkdtempSync(join(tmpdir(), 'guests-'));
    try {
      cpSync(guests, copy, { recursive: true, filter: (path) => !/\/(elf|build)$/.test(path) });
      execFileSync('make', ['-s', '-C', copy], { stdio: 'pipe' });
      for (const name of readdirSync(join(guests, 'elf')))
        expect(readFileSync(join(copy, 'elf', name)).equals(readFileSync(join(guests, 'elf', name))), name).toBe(true);
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  },
  60_000,
);
