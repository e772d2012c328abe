/** The Code: line as instructions, and lines of source by a compiler's own debug information. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { parseReports } from '../../src/report/parse.js';
import { codeLinesOf } from '../../src/repro/code-lines.js';
import { askLines, openSourceLines, withCallLines, withSourceLines } from '../../src/repro/source-lines.js';

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

  // The branch of A64 adds its 26 bits, times 4, to its own address; ADRP adds pages to its page (DDI 0487, C6.2.34 and C6.2.12).
  it.each([
    ['arm64', '94000003 17ffffff (d4210000) d65f03c0', ['bl .+0xc', 'b .-0x4']],
    ['arm64', '90000020 (d4210000)', ['adrp x0, (. & ~0xfff)+0x4000']],
    ['x86_64', '90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 e8 fb 00 00 00 <0f> 0b', ['call .+0x100']],
    ['x86_64', '<0f> 0b 48 c7 c7 f0 6b 1b 82', ['mov rdi, 0xffffffff821b6bf0']],
  ])('of %s, %s, names places from where it stands: %j', async (arch, code, texts) => {
    const found = await codeLinesOf({ ...report!, arch, code });
    expect(found?.lines.map(({ text }) => text)).toEqual(expect.arrayContaining(texts));
  });

  it('of x86 leaves out what might not begin where an instruction does', async () => {
    // The first byte is the last of an instruction: read from it on, `00 05 …` and not `05 …`.
    const code = '00 05 10 20 30 40 b8 01 00 00 00 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90 <0f> 0b';
    const found = await codeLinesOf({ ...report!, arch: 'x86_64', code });
    expect(found?.lines.every(({ offset }) => offset >= -16)).toBe(true);
    expect(found?.lines.filter(({ text }) => text === 'nop').length).toBeGreaterThan(5);
  });

  it('that stands behind the registers of user mode, as up to 4.17, is that of BUG() alone', () => {
    const log = (code: string): string =>
      `${MESSAGE}\nkernel BUG at mm/usercopy.c:72!\nRIP: 0010:usercopy_abort+0x1/0x2\nCall Trace:\n __check_object_size+0x1/0x2\n` +
      `RIP: 0033:0x453e69\nRSP: 002b:00007f60c0a4fc68 EFLAGS: 00000246\nCode: ${code}\n`;
    const codes = ['49 89 c0 <0f> 0b 48', '05 c3 <48> 3d 01 f0'].map((code) => parseReports(log(code))[0]?.code);
    expect(codes).toEqual(['49 89 c0 <0f> 0b 48', null]);
  });

  it.each([
    ['loongarch64', '02c04063 <002a0001>', /nothing here does it for loongarch64/],
    ['x86_64', '0f XX <0f> 0b', /not all of it are groups of 2/],
    ['x86_64', '0f 0b48 89 <0f> 0b', /not all of it are groups of 2/],
    ['arm64', 'aa0003e3 9000 ea60 (d4210000)', /not all of it are groups of 8/],
    ['x86_64', '<0f> 0b 48 <0f> 0b', /several places/],
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
    expect(report.notes).toEqual([
      "functions of modules have no lines: widget; a module's own .ko.debug has them",
      `lines of source from ${object}: it does not know gone`,
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
  const build = (more = '', ...options: string[]): void => {
    writeFileSync(path, source + more);
    rmSync(object, { force: true });
    execFileSync('gcc', ['-g', '-O1', '-fno-toplevel-reorder', ...options, '-o', object, path]);
  };
  const everyByte = (count: number, symbol = 'widget_read') =>
    Array.from({ length: count }, (_, offset) => ({ symbol, offset, size: null, isCall: false }));

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
    const MANY = 20_000;
    build(`void widget_long(void) { asm(".skip ${MANY}, 0x90"); }\n`);
    standIn('exec "$real" "$@"', (runs) => {
      const opened = openSourceLines(object);
      const places = everyByte(MANY, 'widget_long');
      const found = opened.at(places);
      expect(found.filter((frames) => typeof frames === 'string' || frames.length === 0)).toEqual([]);
      expect(runs()).toBe(2);
      expect(found.slice(0, 12)).toEqual(openSourceLines(object).at(places.slice(0, 12)));
      expect(opened.at(places)).toEqual(found);
      expect(runs()).toBe(3);
    });
  });

  const functions = (): { name: string; start: number; size: number }[] =>
    [...execFileSync('nm', ['-nS', object], { encoding: 'utf8' }).matchAll(/^(\w+) (\w+) [tT] (\w+)$/gm)].map(
      ([, start = '', size = '', name = '']) => ({
        name,
        start: Number.parseInt(start, 16),
        size: Number.parseInt(size, 16),
      }),
    );
  /** A report of x86_64 whose trace has these frames behind the check's own. */
  const reportOf = (frames: readonly string[], release = '6.1.0-50') =>
    parseReports(
      `${MESSAGE}\nkernel BUG at mm/usercopy.c:102!\nCPU: 0 PID: 1 Comm: a Not tainted ${release} #1\n` +
        `RIP: 0010:usercopy_abort+0x1/0x2\nCall Trace:\n${frames.map((frame) => ` ${frame}\n`).join('')}---[ end trace 0000000000000000 ]---\n`,
    )[0]!;

  it('are not told of a place outside of its function', () => {
    build();
    const { size } = functions().find(({ name }) => name === 'widget_read')!;
    const frames = [`widget_read+0x${(size + 1).toString(16)}/0x${size.toString(16)}`, 'widget_read+0xfff0'];
    const { trace, notes } = withSourceLines(reportOf(frames), openSourceLines(object));
    expect(trace.map(({ source: where }) => where)).toEqual(trace.map(() => null));
    expect(notes.join()).toContain(`lie outside of their functions: widget_read+0x${(size + 1).toString(16)}`);
  });

  it('behind a call that does not return are those of the function that called', () => {
    // Nothing but the call: behind it the linker puts the next function.
    build(
      `__attribute__((noreturn, noinline)) void abort_it(void) { for (;;) sink++; }
__attribute__((noinline, optimize("align-functions=1"))) void widget_fail(void) { abort_it(); }
__attribute__((noinline, optimize("align-functions=1"))) void widget_next(void) { sink = 6; }
`,
      '-fcf-protection=none',
    );
    const all = functions();
    const next = all.find(({ name }) => name === 'widget_next')!;
    const before = all.find(({ name }) => name === 'widget_fail')!;
    expect(before.start + before.size).toBe(next.start);
    const report = reportOf([`widget_next+0x0/0x${next.size.toString(16)}`]);
    const { trace } = withSourceLines(report, openSourceLines(object));
    const line = source.split('\n').length + 1;
    expect(trace).toMatchObject([{ symbol: 'widget_fail', source: `${path}:${line}`, offset: null }]);
  });

  it('of two functions of one name are not told without a size, and a note says so', () => {
    build();
    const other = join(directory, 'other.c');
    writeFileSync(
      other,
      'static volatile int sink;\nstatic __attribute__((noinline)) void twin(void) { sink++; }\nvoid use_other(void) { twin(); }\n',
    );
    writeFileSync(
      path,
      `${source}static __attribute__((noinline)) void twin(void) { sink = 1; }\nvoid use_it(void) { twin(); }\n`,
    );
    execFileSync('gcc', ['-g', '-O1', '-o', object, path, other]);
    const report = { ...reportOf([]), trace: [{ ...reportOf(['twin+0x1/0x2']).trace[0]!, size: null }] };
    const { trace, notes } = withSourceLines(report, openSourceLines(object));
    expect([trace[0]?.source, notes.join()]).toEqual([null, expect.stringContaining('several functions named twin')]);
  });

  it('are not looked for in a file of another architecture or release', () => {
    build('const char linux_banner[] = "Linux version 6.1.0-50-widget (a@b) #1";\n');
    const report = reportOf(['widget_read+0x1/0x2'], '6.1.0-49-widget');
    expect(() => withSourceLines(report, openSourceLines(object))).toThrow(
      /expected debug information of kernel 6\.1\.0-49-widget, found that of 6\.1\.0-50-widget/,
    );
    const bytes = readFileSync(object);
    const EM_AARCH64 = 183;
    bytes.writeUInt16LE(EM_AARCH64, 18);
    writeFileSync(object, bytes);
    expect(() => withSourceLines(report, openSourceLines(object))).toThrow(
      /expected debug information of x86_64, as the kernel is, found arm64/,
    );
  });

  it('that a file lacks are said to be lacking', () => {
    build();
    execFileSync('strip', ['-g', object]);
    const { size } = functions().find(({ name }) => name === 'widget_read')!;
    const { notes } = withSourceLines(reportOf([`widget_read+0x5/0x${size.toString(16)}`]), openSourceLines(object));
    expect(notes).toEqual([
      `${object} has no lines of source (DWARF) in it`,
      `lines of source from ${object}: it has none for widget_read`,
    ]);
  });

  it('are those of a file that was split off with its segments in their places', () => {
    build();
    const bytes = readFileSync(object);
    // Segments as such files keep them: bytes that only the other file has.
    const [table, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(56)];
    for (let index = 0; index < count; index++) bytes.writeBigUInt64LE(1n << 30n, table + 56 * index + 32);
    writeFileSync(object, bytes);
    const { size } = functions().find(({ name }) => name === 'widget_read')!;
    const { trace } = withSourceLines(reportOf([`widget_read+0x5/0x${size.toString(16)}`]), openSourceLines(object));
    expect(trace.at(-1)).toMatchObject({ symbol: 'widget_read', source: expect.stringMatching(/widget\.c:\d+$/) });
  });

  it.each([
    ['text', () => writeFileSync(object, 'no ELF file'), /expected an ELF file/],
    ['no symbols', () => spawnSync('gcc', ['-s', '-o', object, path]), /stripped/],
    ['a packed file', () => writeFileSync(object, gzipSync(source)), /found a packed one: unpack it/],
    [
      'code that is not linked',
      () => spawnSync('gcc', ['-g', '-c', '-o', object, path]),
      /another file that is not linked/,
    ],
  ])('out of a file with %s is one sentence', (_name, make, words) => {
    writeFileSync(path, source);
    rmSync(object, { force: true });
    make();
    expect(() => openSourceLines(object)).toThrow(words);
  });
});

describe('lines of a module', () => {
  const path = join(directory, 'gadget.c');
  const source = `static volatile int sink;
#define INFO(text) static const char text##_info[] __attribute__((section(".modinfo"), used))
INFO(name) = "name=gadget_core";
INFO(vermagic) = "vermagic=6.1.0-50-widget SMP mod_unload";
__attribute__((noinline)) void gadget_first(void) { sink++; }
static inline __attribute__((always_inline)) void copy_it(void) {
  sink++;
  sink = 2;
}
__attribute__((noinline)) void gadget_read(void) {
  copy_it();
}
__attribute__((noinline, section(".text.unlikely"))) void gadget_cold(void) {
  sink = 3;
}
`;
  const build = (object: string): string => {
    const file = join(directory, object);
    writeFileSync(path, source);
    execFileSync('gcc', ['-g', '-O1', '-fcf-protection=none', '-c', '-o', file, path]);
    return file;
  };
  const sizeOf = (file: string, name: string): string =>
    new RegExp(`^[0-9a-f]+ 0*([0-9a-f]+) T ${name}$`, 'm').exec(
      execFileSync('nm', ['-S', file], { encoding: 'utf8' }),
    )?.[1] ?? '';
  const reportOf = (frames: readonly string[], release = '6.1.0-50-widget') =>
    parseReports(
      `${MESSAGE}\nkernel BUG at mm/usercopy.c:102!\nCPU: 0 PID: 1 Comm: a Not tainted ${release} #1\n` +
        `RIP: 0010:usercopy_abort+0x1/0x2\nCall Trace:\n __check_object_size+0x1/0x2\n${frames.map((frame) => ` ${frame}\n`).join('')}---[ end trace 0000000000000000 ]---\n`,
    )[0]!;
  const framesOf = (file: string): string[] => [
    `gadget_read+0x1/0x${sizeOf(file, 'gadget_read')} [gadget_core]`,
    `gadget_cold+0x1/0x${sizeOf(file, 'gadget_cold')} [gadget_core]`,
    'vfs_read+0x1/0x2',
    'other_read+0x1/0x2 [other]',
  ];
  const told = (file: string) => {
    const { trace, notes } = withSourceLines(reportOf(framesOf(file)), openSourceLines(file));
    return { lines: trace.slice(1).map(({ symbol, source: where, inlined }) => [symbol, where, inlined]), notes };
  };

  // Sections of a module begin at 0, each of them.
  it.each([
    ['a module', 'gadget-core.ko', []],
    ['its .ko.debug, whose name tells the module', 'gadget-core.ko.debug', ['--only-keep-debug']],
  ])('are told out of %s, whichever section a function lies in', (_name, name, options) => {
    const file = build(name);
    const frames = framesOf(file);
    if (options.length > 0) execFileSync('objcopy', [...options, file]);
    const { trace, notes } = withSourceLines(reportOf(frames), openSourceLines(file));
    expect(trace.slice(1).map(({ symbol, source: where, inlined }) => [symbol, where, inlined])).toEqual([
      ['copy_it', `${path}:7`, true],
      ['gadget_read', `${path}:11`, false],
      ['gadget_cold', `${path}:14`, false],
      ['vfs_read', null, false],
      ['other_read', null, false],
    ]);
    expect(notes).toEqual([
      `lines of source are those of module gadget_core, which ${file} is of`,
      "functions of modules have no lines: other; a module's own .ko.debug has them",
    ]);
  });

  it("are not those of another build or release, or of a trace without the module's functions", () => {
    const file = build('gadget-core.ko');
    const read = (frames: readonly string[], release?: string) =>
      withSourceLines(reportOf(frames, release), openSourceLines(file));
    expect(() => read(['gadget_read+0x1/0x999 [gadget_core]'])).toThrow(
      /expected that of the report's own gadget_core, found another build's: gadget_read has 0x999 bytes/,
    );
    expect(() => read([], '6.1.0-49-widget')).toThrow(/expected debug information of kernel 6\.1\.0-49-widget/);
    expect(read(['vfs_read+0x1/0x2']).notes.join()).toContain('no function of gadget_core is in the trace');
    expect(told(file).lines[0]).toEqual(['copy_it', `${path}:7`, true]);
  });
});

describe('a kernel that its dump tells the build id of', () => {
  const object = join(directory, 'identified');
  const id = '00112233445566778899aabbccddeeff00112233';
  const dumped = (buildId: string | null) => ({
    variant: 'x86_64',
    kernel: null,
    report: null,
    explanation: { surroundings: { calls: ['widget_read+0x1'], buildId } },
  });

  it('has lines of that build alone', () => {
    const path = join(directory, 'identified.c');
    writeFileSync(
      path,
      'static volatile int sink;\nvoid widget_read(void) { sink++; }\nint main(void) { return 0; }\n',
    );
    execFileSync('gcc', ['-g', '-O1', '-fcf-protection=none', `-Wl,--build-id=0x${id}`, '-o', object, path]);
    const lines = openSourceLines(object);
    // Of a dump's answer only this is read.
    const callsFor = (buildId: string | null) =>
      withCallLines(dumped(buildId) as never, lines).explanation.surroundings?.calls;
    expect(callsFor(id)).toEqual([`widget_read+0x1 (${path}:2)`]);
    expect(callsFor(null)).toEqual([`widget_read+0x1 (${path}:2)`]);
    expect(() => callsFor(id.replace('0', '1'))).toThrow(
      new RegExp(`expected debug information of the kernel with build id ${id.replace('0', '1')}, found that of ${id}`),
    );
  });
});
