/** Logs of which one line is broken once, at any column: each value is the unbroken log's, or is left out, and a note says so. */
import { describe, expect, it } from 'vitest';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import type { UsercopyReport } from '../../src/report/report.js';
import { reportFiles } from './files.js';

const MODULES = 'Modules linked in: foo(OE) widget_helper snd_hda_codec_hdmi crc32_pclmul xfs libcrc32c nvidia(PO)';
const HARDWARE = 'Hardware name: Example Corp. Model 12/Board 1, BIOS 1.23 01/02/2020';
const CODE = 'Code: 48 c7 c7 f0 6b 1b 82 4c 89 d2 e8 63 2b df ff <0f> 0b 49 c7 c1 44 c8 14 82';
const TASK = 'CPU: 1 PID: 77 Comm: widget-writer Tainted: P OE 6.1.0-50-amd64 #1 Debian';
const FRAME = ' widget_helper_read_iter+0x12c/0x340 [widget_helper]';
/** Longer than any other line: no mailer broke them, or this would be broken too. */
const LONG = `[drm] ${'a line that nobody broke '.repeat(5)}`;
const LINES = [
  "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!",
  'kernel BUG at mm/usercopy.c:102!',
  'invalid opcode: 0000 [#1] PREEMPT SMP',
  MODULES,
  TASK,
  HARDWARE,
  'RIP: 0010:usercopy_abort+0x6c/0x80',
  CODE,
  'RAX: 0000000000000065 RBX: ffff888100000008 RCX: 0000000000000000',
  LONG,
  'Call Trace:',
  ' __check_object_size+0x1d2/0x1f0',
  FRAME,
  ' vfs_read+0x99/0x160',
  '---[ end trace 0000000000000000 ]---',
];
const read = (lines: readonly string[]): UsercopyReport => chooseReport(parseReports(`${lines.join('\n')}\n`))!;
const whole = read(LINES);
const brokenAt = (line: string, column: number): UsercopyReport =>
  read(LINES.flatMap((each) => (each === line ? [line.slice(0, column), line.slice(column)] : [each])));
const columns = (line: string, from: number): number[] =>
  Array.from({ length: line.length - from }, (_, index) => from + index);

describe('a line that is broken once, at any column', () => {
  it('has names of modules whole, or a note that some are left out', () => {
    for (const column of columns(MODULES, 'Modules linked in: '.length)) {
      const { modules, notes } = brokenAt(MODULES, column);
      const strange = modules?.filter((name) => !whole.modules?.includes(name));
      const missing = whole.modules?.filter((name) => !modules?.includes(name)) ?? [];
      const said = notes.some((note) => note.includes('modules is broken'));
      expect([column, strange, missing.length === 0 || said]).toEqual([column, [], true]);
    }
  });

  it("has the hardware's and the task's names whole, or null with a note", () => {
    for (const [line, from, name] of [
      [HARDWARE, 'Hardware name: E'.length, 'hardware'],
      [TASK, 'CPU: 1 PID: 77 Comm: w'.length, 'comm'],
    ] as const) {
      for (const column of columns(line, from)) {
        const report = brokenAt(line, column);
        const isWhole = report[name] === whole[name];
        const isLeftOut = report[name] === null && report.notes.some((note) => note.includes('is broken'));
        expect([name, column, isWhole || isLeftOut]).toEqual([name, column, true]);
      }
    }
  });

  it('has all bytes of the code, which have two digits each', () => {
    for (const column of columns(CODE, 'Code: 4'.length)) expect(brokenAt(CODE, column).code).toBe(whole.code);
  });

  it('has its frame, by the name of the function that made the copy', () => {
    for (const column of columns(FRAME, 2)) {
      const { trace } = brokenAt(FRAME, column);
      const [, found] = trace;
      expect([column, found?.symbol, found?.offset]).toEqual([column, 'widget_helper_read_iter', 0x12c]);
      expect([0x340, null]).toContain(found?.size);
      expect(['widget_helper', null]).toContain(found?.module);
    }
  });

  it.each([
    [' foo_read+0x12/0x', { symbol: 'foo_read', offset: 0x12, size: null }],
    [' foo_read+0x12/', { symbol: 'foo_read', offset: 0x12, size: null }],
    [' foo_read+0x1', { symbol: 'foo_read', offset: null, size: null }],
    // Where the text ends, digits may be missing.
    [' foo_read+0x12/0x3', { symbol: 'foo_read', offset: 0x12, size: null }],
  ])('that ends with %j tells of the frame what is sure', (end, expected) => {
    const text = `${[...LINES.slice(0, 12), end].join('\n')}`;
    expect(chooseReport(parseReports(text))?.trace.at(-1)).toMatchObject(expected);
  });
});

describe('a log of any architecture of which one line is broken once, behind its first twenty columns', () => {
  const logs = reportFiles('logs');
  it.each(['x86_64', 'i386', 'arm', 'arm64', 'mips', 'ppc64le', 'sparc64', 's390x-broken-at-80'])(
    'has each value of %s whole, or not at all',
    (name) => {
      const log = logs.find((file) => file.name === name)!.log;
      const lines = log.split('\n');
      const all = chooseReport(parseReports(log))!;
      const FIELDS = ['arch', 'kernelVersion', 'cpu', 'pid', 'comm', 'stackPointer', 'bugLine'] as const;
      for (const [index, line] of lines.entries()) {
        for (const column of columns(line, 20)) {
          const pieces = [line.slice(0, column).trimEnd(), line.slice(column).trimStart()];
          if (pieces.includes('')) continue;
          const told = read([...lines.slice(0, index), ...pieces, ...lines.slice(index + 1)]);
          const where = pieces.join(' | ');
          for (const field of FIELDS) expect([all[field], null], `${field} of ${where}`).toContain(told[field]);
          // A detail in quotation marks is as the log shows it.
          if (!all.message?.region.includes("'")) expect(told.message?.region, where).toBe(all.message?.region);
          for (const [register, value] of told.registers)
            expect([register, value], where).toEqual([register, all.registers.get(register)]);
          if (told.pc !== null) expect(told.pc, where).toEqual(all.pc);
          for (const { symbol, size } of told.trace) {
            const sizes = all.trace.flatMap((entry) => (entry.symbol === symbol ? [entry.size, null] : []));
            expect(sizes, `${symbol} of ${where}`).toContain(size);
          }
        }
      }
    },
  );
});

describe('what is no name of a module', () => {
  it.each([
    ['another line', `${MODULES} PU: 0 PID: 1 Comm: init Not tainted`, "ends before 'PU:'"],
    ['a number', `${MODULES} 10.00`, "ends before '10.00'"],
  ])('ends the list, %s, and a note says so', (_name, list, note) => {
    const { modules, notes } = read(LINES.map((line) => (line === MODULES ? list : line)));
    expect([modules, notes.join()]).toEqual([whole.modules, expect.stringContaining(note)]);
  });
});

describe('a log of x86 that ends before its registers', () => {
  const cut = [LINES[0]!, LINES[1]!, LINES[2]!];
  it('is taken for one of 64 bits, and a note says so', () => {
    const { arch, notes } = read(cut);
    expect([arch, notes]).toEqual([
      'x86_64',
      ['the log is one of x86 and does not tell of how many bits: x86_64 is taken'],
    ]);
  });

  it.each([
    ['x86_64', 'RIP: 0010:usercopy_abort+0x6c/0x80'],
    ['x86_64', 'CPU: 0 PID: 1 Comm: a Not tainted 6.1.0-50-amd64 #1 Debian'],
    ['i386', 'CPU: 0 PID: 1 Comm: a Not tainted 6.1.0-50-686-pae #1 Debian'],
    ['i386', 'EIP: usercopy_abort+0x58/0x67'],
  ])('is %s with the line %s', (arch, line) => {
    const told = read([...cut, line]);
    expect([told.arch, told.notes]).toEqual([arch, []]);
  });
});

describe('what stands behind every line', () => {
  it.each([
    ['a string of YAML', (line: string) => `  - ${JSON.stringify(line)}`],
    ['a field of CSV', (line: string) => `7,host,"${line.replaceAll('"', '""')}"`],
    ['an element of XML', (line: string) => `<line>${line.replaceAll('<', '&lt;').replaceAll('>', '&gt;')}</line>`],
    ['a paragraph of RTF', (line: string) => `${line.replace(/[\\{}]/g, '\\$&')}\\par`],
  ])('is no part of it: %s', (_name, form) => {
    const { hardware, modules, code, message, trace } = read(LINES.map((line) => form(line)));
    expect({ hardware, modules, code, canonical: message?.canonical, trace }).toEqual({
      hardware: whole.hardware,
      modules: whole.modules,
      code: whole.code,
      canonical: whole.message?.canonical,
      trace: whole.trace,
    });
  });

  it('is no quotation mark of a string in Python', () => {
    const text = `'${LINES.join('\\n').replaceAll("'", "\\'")}'`;
    expect(chooseReport(parseReports(text))?.message?.canonical).toBe(whole.message?.canonical);
  });
});
