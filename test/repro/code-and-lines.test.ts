/** The Code: line as instructions, and lines of source by a compiler's own debug information. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseReports } from '../../src/report/parse.js';
import { codeLinesOf } from '../../src/repro/code-lines.js';
import { askLines, linesNotTold, openSourceLines, withSourceLines } from '../../src/repro/source-lines.js';

const directory = mkdtempSync(join(tmpdir(), 'usercopy-lines-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const MESSAGE = "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!";

/** Code lines of kernels as they were printed, and the instruction of BUG() on each architecture. */
const CODES = [
  ['x86_64', '49 0f 45 f3 e8 4d 5e ff ff <0f> 0b 48 89 f1', 'ud2'],
  ['x86_64', '5e ff ff e8 4d 5e ff ff <0f> 0b', 'ud2'],
  ['i386', 'e8 88 e6 fe ff <0f> 0b 48', 'ud2'],
  ['arm64', 'aa0003e3 b00014e0 912e8000 97fff1a6 (d4210000)', 'brk #0x800'],
  ['arm', 'e59f0010 e58d3000 ebffffff (e7f001f2)', 'udf #0x12'],
  ['ppc64le', '38638d00 4bcbf211 60000000 <0fe00000> 60000000', 'twui r0, 0'],
  ['riscv64', 'e036 86aa c517 008f 0513 e365 c097 ffff 80e7 42e0 (9002) 1141', 'c.ebreak'],
  // The first halfword is the second of an instruction.
  ['riscv64', '008f 0513 e365 c097 ffff 80e7 42e0 (9002) 1141', 'c.ebreak'],
  ['ppc64', '38638d00 4bcbf211 60000000 <0fe00000> 60000000', 'twui r0, 0'],
] as const;

describe('the code of a report', () => {
  const [report] = parseReports(`${MESSAGE}\nkernel BUG at mm/usercopy.c:102!\nRIP: 0010:usercopy_abort+0x1/0x2\n`);

  it.each(CODES)('of %s, %s, is instructions up to the one that the CPU stopped at', async (arch, code, text) => {
    const found = await codeLinesOf({ ...report!, arch, code });
    expect(found?.note).toBeNull();
    expect(found?.lines.find(({ stopped }) => stopped)).toMatchObject({ offset: 0, text });
  });

  it.each([
    ['loongarch64', '02c04063 <002a0001>', /nothing here does it for loongarch64/],
    ['x86_64', '0f XX <0f> 0b', /not all of its bytes/],
    ['x86_64', '0f 0b', /does not say where/],
  ])('of %s, %s, is not disassembled, and a note says why', async (arch, code, note) => {
    expect((await codeLinesOf({ ...report!, arch, code }))?.note).toMatch(note);
  });
});

describe('the code of powerpc', () => {
  const words = '38638d00 4bcbf211 60000000 <0fe00000> 60000000';
  // One line since the heading is that of other architectures; before that several, under one of its own.
  it.each([
    ['Code: ', words],
    ['Instruction dump:\n', words.replace(' 6', '\n6')],
  ])('is found behind the registers of user mode, headed %j', (heading, code) => {
    const [report] = parseReports(
      `${MESSAGE}\nkernel BUG at mm/usercopy.c:102!\nCPU: 0 PID: 1 Comm: a Not tainted 6.5.0 #1\n` +
        'NIP:  c000000000479a40 LR: c000000000479a3c CTR: 0000000000000000\n' +
        'Call Trace:\n[c000000003a37b80] [c000000000479a3c] usercopy_abort+0x7c/0xb0 (unreliable)\n' +
        `--- interrupt: 3000 at 0x7fff8b1a1c44\nNIP:  00007fff8b1a1c44 LR: 0000000000000000\n${heading}${code}\n`,
    );
    expect(report?.code).toBe(words);
  });
});

describe('lines of source', () => {
  const source = `static volatile int sink;
__attribute__((noinline)) void __check_object_size(void) { sink++; }
static inline __attribute__((always_inline)) void copy_it(void) {
  __check_object_size();
  sink++;
}
__attribute__((noinline)) void widget_read(void) {
  copy_it();
  sink = 4;
}
int main(void) { widget_read(); return 0; }
`;
  const object = join(directory, 'widget');
  const path = join(directory, 'widget.c');

  it('and inlined functions are those of the compiler, found by the symbol and its offset alone', () => {
    writeFileSync(path, source);
    execFileSync('gcc', ['-g', '-O1', '-o', object, path]);
    // Where the call returns to, by the disassembler of the compiler's own tools.
    const listing = execFileSync('objdump', ['-d', '--no-show-raw-insn', object], { encoding: 'utf8' });
    const [, start = '', body = ''] = /^([0-9a-f]+) <widget_read>:\n([\s\S]*?)\n\n/m.exec(listing) ?? [];
    const lines = body.split('\n');
    const call = lines.findIndex((line) => line.includes('<__check_object_size>'));
    const behind = /^\s*([0-9a-f]+):/.exec(lines[call + 1] ?? '')?.[1] ?? '';
    const offset = Number.parseInt(behind, 16) - Number.parseInt(start, 16);
    const sizes = execFileSync('nm', ['-S', object], { encoding: 'utf8' });
    const sizeOf = (name: string): number =>
      Number.parseInt(new RegExp(`^[0-9a-f]+ ([0-9a-f]+) T ${name}$`, 'm').exec(sizes)?.[1] ?? '', 16);
    const traced = (widgetBytes: number) => {
      const [report] = parseReports(
        `${MESSAGE}\nkernel BUG at mm/usercopy.c:102!\nRIP: 0010:usercopy_abort+0x1/0x2\nCall Trace:\n` +
          ` __check_object_size+0x1/0x${sizeOf('__check_object_size').toString(16)}\n` +
          ` widget_read+0x${offset.toString(16)}/0x${widgetBytes.toString(16)}\n gone+0x1/0x2\n` +
          ' widget_write+0x1/0x2 [widget]\n---[ end trace 0000000000000000 ]---\n',
      );
      return report!;
    };
    const opened = openSourceLines(object);
    const report = withSourceLines(traced(sizeOf('widget_read')), opened);
    const { trace } = report;
    expect(linesNotTold(report, opened)).toEqual([
      'functions of modules have no lines: widget',
      `${object} does not know gone`,
    ]);
    // The kernel counts a function up to the next symbol: with the padding in between, and never less.
    const padded = withSourceLines(traced(sizeOf('widget_read') + 15), opened).trace;
    expect(padded.map(({ source: where }) => where)).toEqual(trace.map(({ source: where }) => where));
    for (const other of [sizeOf('widget_read') - 1, sizeOf('widget_read') + 64]) {
      expect(() => withSourceLines(traced(other), opened)).toThrow(
        /expected debug information of the report's own kernel, found another build's: widget_read has 0x[0-9a-f]+ bytes in the report/,
      );
    }
    const toldOf = (entries: typeof trace) =>
      entries.slice(1).map(({ symbol, source: where, inlined }) => [symbol, where, inlined]);
    expect(toldOf(trace)).toEqual([
      ['copy_it', `${path}:4`, true],
      ['widget_read', `${path}:8`, false],
      ['gone', null, false],
      ['widget_write', null, false],
    ]);
    // The other program says the same, and is asked once, however many reports and places there are.
    const { PATH = '' } = process.env;
    const real = execFileSync('sh', ['-c', 'command -v addr2line'], { encoding: 'utf8' }).trim();
    const runs = join(directory, 'runs');
    writeFileSync(
      join(directory, 'addr2line'),
      `#!/bin/sh\n[ "$1" = --version ] || echo >> '${runs}'\nexec '${real}' "$@"\n`,
      { mode: 0o755 },
    );
    try {
      process.env['PATH'] = directory;
      const others = openSourceLines(object);
      expect(others.by).toBe('addr2line');
      const reports = [traced(sizeOf('widget_read')), traced(sizeOf('widget_read') + 15)];
      askLines(reports, others);
      for (const each of reports) expect(toldOf(withSourceLines(each, others).trace)).toEqual(toldOf(trace));
    } finally {
      process.env['PATH'] = PATH;
    }
    expect(readFileSync(runs, 'utf8')).toBe('\n');
  });

  /** Has `addr2line` be a script that has the true one under `$real`, and hands `use` how often it was run. */
  const standIn = (script: string, use: (runs: () => number) => void): void => {
    const { PATH = '' } = process.env;
    const real = execFileSync('sh', ['-c', 'command -v addr2line'], { encoding: 'utf8' }).trim();
    const folder = mkdtempSync(join(directory, 'bin-'));
    const runs = join(folder, 'runs');
    writeFileSync(runs, '');
    const prologue = `#!/bin/sh\nPATH=/usr/bin:/bin\nreal='${real}'\n[ "$1" = --version ] && exec "$real" "$@"\necho >> '${runs}'\n`;
    writeFileSync(join(folder, 'addr2line'), `${prologue}${script}\n`, { mode: 0o755 });
    try {
      process.env['PATH'] = folder;
      use(() => readFileSync(runs, 'utf8').length);
    } finally {
      process.env['PATH'] = PATH;
    }
  };
  const build = (): void => {
    writeFileSync(path, source);
    execFileSync('gcc', ['-g', '-O1', '-o', object, path]);
  };
  const everyByte = (count: number) =>
    Array.from({ length: count }, (_, offset) => ({ symbol: 'widget_read', offset, size: null, isCall: false }));

  it('belong to the address that the program names, in whatever order it answers', () => {
    build();
    const places = everyByte(12);
    const straight: unknown[] = [];
    standIn('exec "$real" "$@"', () => straight.push(...openSourceLines(object).at(places)));
    expect(new Set(straight.map((frames) => JSON.stringify(frames))).size).toBeGreaterThan(1);
    standIn('tac | "$real" "$@"', () => expect(openSourceLines(object).at(places)).toEqual(straight));
    standIn('head -n 11 | "$real" "$@"', () =>
      expect(() => openSourceLines(object).at(places)).toThrow(
        /expected addr2line to name each address before its lines, found nothing for 0x/,
      ),
    );
  });

  it('of very many places are asked for in parts', () => {
    build();
    const MANY = 20_000;
    standIn('exec "$real" "$@"', (runs) => {
      const opened = openSourceLines(object);
      const found = opened.at(everyByte(MANY));
      expect(found).toHaveLength(MANY);
      expect(runs()).toBe(2);
      expect(found.slice(0, 12)).toEqual(openSourceLines(object).at(everyByte(12)));
      expect(opened.at(everyByte(MANY))).toEqual(found);
      expect(runs()).toBe(3);
    });
  });

  it.each([
    ['text', () => writeFileSync(object, 'no ELF file'), /expected an ELF file/],
    ['no symbols', () => spawnSync('gcc', ['-s', '-o', object, path]), /stripped/],
  ])('out of a file with %s is one sentence', (_name, make, words) => {
    writeFileSync(path, source);
    rmSync(object, { force: true });
    make();
    expect(() => openSourceLines(object)).toThrow(words);
  });
});
