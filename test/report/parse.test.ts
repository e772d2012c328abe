import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reportJson, reproductionJson } from '../../src/cli/repro-json.js';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { packageFile } from '../../src/paths.js';
import { chooseLastReport, chooseReport, parseReports } from '../../src/report/parse.js';
import type { UsercopyReport } from '../../src/report/report.js';
import { callerOf } from '../../src/report/trace.js';
import { SeededRandom } from '../../src/scenario/random.js';
import { reportFiles } from './files.js';

/** A report in the words of `--json`, with what a reader asks of it first. */
const told = (report: UsercopyReport): Record<string, unknown> => {
  const caller = callerOf(report.trace, report.pc);
  return {
    ...reportJson(report),
    caller,
    trace_length: report.trace.length,
    register_count: report.registers.size,
  };
};
const SETS = (['logs', 'cases', 'shared'] as const).map((folder) => [folder, reportFiles(folder)] as const);

describe.each(SETS)('reading the files of %s', (folder, files) => {
  it.skipIf(files.length === 0)(`has files (skipped where ../shared/reports is not there)`, () => {
    expect(files.length).toBeGreaterThan(20);
  });
  it.each(files)(`${folder}/$name: $about`, ({ log, reports, judged, says, saysNot }) => {
    const read = parseReports(log);
    expect(read.map(told)).toMatchObject(reports);
    expect(read.length).toBe(reports.length);
    const chosen = chooseReport(read);
    if (chosen === null || (judged === null && says.length === 0 && saysNot.length === 0)) return;
    const { reproduction } = judgeReport(chosen);
    if (judged !== null) expect(reproductionJson(reproduction)).toMatchObject(judged);
    const text = [
      ...reproduction.explanation.lines,
      ...reproduction.explanation.causes.map(({ cause, because }) => `${cause}: ${because}`),
    ].join('\n');
    for (const words of says) expect(text).toContain(words);
    for (const words of saysNot) expect(text).not.toContain(words);
  });
});

const logOf = (name: string): string => reportFiles('logs').find((file) => file.name === name)!.log;

describe('reading a report', () => {
  it('says what the kernel must have written where a terminal broke the line', () => {
    expect(parseReports(logOf('s390x-broken-at-80'))[0]!.message).toMatchObject({
      canonical: "usercopy: Kernel memory exposure attempt detected from vmalloc 'no area' (offset 0, size 1)!",
      refusal: 'vmalloc, no area',
    });
  });

  it('says which words of a missing message are left in registers', () => {
    const { registerText } = parseReports(logOf('message-missing'))[0]!;
    expect(Object.fromEntries(registerText!.pieces)).toMatchObject({
      x17: 'malloc (',
      x16: 'd from v',
      x15: ' detecte',
    });
    expect(registerText).toMatchObject({ direction: 'to_user', region: 'vmalloc' });
  });

  it('prefers the crash to a subject that quotes its message', () => {
    const subject = `Subject: BUG: usercopy: Kernel memory exposure attempt detected from SLUB object 'widget-a' (offset 8, size 120)!`;
    const reports = parseReports(`${subject}\n\n${logOf('x86_64')}`);
    expect(reports).toHaveLength(1);
    expect(chooseReport(reports)!.comm).toBe('two words');
  });

  it.each([
    ['a warning', 'WARNING: CPU: 0 PID: 77 at kernel/rcu/tree.c:1234 rcu_note_context_switch+0x4a/0x5d0'],
    ['a BUG() of another place', 'kernel BUG at fs/ext4/inode.c:1234!'],
  ])('of a dump takes the crash, not %s behind it with the check left over on its stack', (_, line) => {
    const tail = [
      line,
      'CPU: 0 PID: 77 Comm: later Tainted: G      D            6.5.0 #1',
      'RIP: 0010:rcu_note_context_switch+0x4a/0x5d0',
      'RSP: 0018:ffffc90000453d38 EFLAGS: 00010246',
      'RAX: 0000000000000000 RBX: ffff888003f10000 RCX: 0000000000000000',
      'Call Trace:',
      ' <TASK>',
      ' ? __check_object_size+0x1a3/0x2b0',
      ' __schedule+0x9a/0x9d0',
      ' schedule+0x5e/0xd0',
      ' </TASK>',
      '---[ end trace 0000000000000000 ]---',
    ];
    const reports = parseReports(`${logOf('x86_64')}\n${tail.map((text) => `[   99.123456] ${text}`).join('\n')}\n`);
    expect(reports).toHaveLength(2);
    expect(reports[1]).toMatchObject({ comm: 'later', message: null });
    expect(chooseLastReport(reports)!.comm).toBe('two words');
    // Where it is all there is, it is taken.
    expect(chooseLastReport(reports.slice(1))!.comm).toBe('later');
  });

  it('does not take user registers for those of the kernel', () => {
    const report = parseReports(logOf('x86_64'))[0]!;
    expect(report.registers.get('rax')).toBe(0x61n);
    expect(report.trace.map((entry) => entry.symbol)).not.toContain('somewhere_else');
  });
});

/** What a terminal or a mailer does to a line: everything is still there, the line ends are not the kernel's. */
describe('a message that is broken', () => {
  const MESSAGES = [
    "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-128' (offset 127, size 3)!",
    "usercopy: Kernel memory overwrite attempt detected to SLAB object 'task_struct' (offset 1432, size 1600)!",
    'usercopy: Kernel memory overwrite attempt detected to spans multiple pages (offset 0, size 372)!',
    'usercopy: Kernel memory exposure attempt detected from process stack (offset 18446744073709550368, size 32)!',
    'usercopy: kernel memory exposure attempt detected from ffff880000090000 (dma-kmalloc-256) (4096 bytes)',
    'usercopy: kernel memory overwrite attempt detected to c01155dc (<process stack>) (88 bytes)',
    "Bad or missing usercopy whitelist? Kernel memory exposure attempt detected from SLUB object 'widget' (offset 8, size 16)!",
  ];
  const AFTER = ['kernel BUG at mm/usercopy.c:102!', 'CPU: 0 PID: 77 Comm: app Not tainted 5.10.0 #1'];
  const stamped = (line: string): string => `[   51.418954] ${line}`;
  const breaks = MESSAGES.flatMap((message) =>
    Array.from({ length: message.length - 1 }, (_, index) => [message, index + 1] as const),
  );

  it.each([
    ['with stamps', stamped],
    ['without', (line: string) => line],
  ])('at any column is whole again, %s', (_name, prefix) => {
    const wrong = breaks.filter(([message, column]) => {
      const first = message.slice(0, column);
      const log = [prefix(first), message.slice(column), ...AFTER.map(prefix)].join('\n');
      const reports = parseReports(log);
      const { message: read, bugLine } = { ...reports[0]! };
      return reports.length !== 1 || read?.canonical !== message || read.text !== message || bugLine !== AFTER[0];
    });
    expect(wrong).toEqual([]);
  });

  it('at a space that a mailer took away is whole again', () => {
    const wrong = breaks
      .filter(([message, column]) => message[column] === ' ')
      .filter(([message, column]) => {
        const log = `> ${stamped(message.slice(0, column))}\n> ${message.slice(column + 1)}\n> ${stamped(AFTER[0]!)}`;
        const { message: read } = { ...parseReports(log)[0]! };
        return read?.canonical !== message || read.text !== message;
      });
    expect(wrong).toEqual([]);
  });

  it.each([20, 33, 40, 64, 80])('by a terminal of %i columns is whole again, and its registers too', (columns) => {
    const [message] = MESSAGES;
    const lines = [
      message!,
      ...AFTER,
      'RIP: 0010:usercopy_abort+0x74/0x76',
      'RAX: 0000000000000066 RBX: 0000000000000003 RCX: 0000000000000000',
    ];
    const folded = lines.map(stamped).flatMap((line) => line.match(new RegExp(`.{1,${columns}}`, 'g'))!);
    const report = parseReports(folded.join('\n'))[0]!;
    expect(report.message).toMatchObject({ canonical: message, text: message });
    expect(Object.fromEntries(report.registers)).toMatchObject({ rax: 0x66n, rbx: 3n, rcx: 0n });
    expect(report).toMatchObject({ comm: 'app', kernelVersion: '5.10.0', returnLength: { use: 'agrees' } });
  });

  /** Narrower ones break most lines twice; a column of each width that terminals and mailers have, and some between. */
  const COLUMNS = [44, 49, 55, 61, 66, 72, 76, 78, 80, 97, 100, 120];

  it.each([
    'x86_64',
    'arm64',
    'arm',
    'ppc64le',
    'riscv64',
    'mips',
    'i386',
    'ia64',
    'no-timestamps',
    'arc',
    'loongarch64',
    'parisc64',
    'm68k',
  ])('in all lines of a crash: %s tells nothing else than whole', (name) => {
    const lines = logOf(name).split('\n');
    const whole = parseReports(lines.join('\n'))[0]!;
    const symbols = whole.trace.map(({ symbol }) => symbol);
    const caller = callerOf(whole.trace, whole.pc)?.symbol;
    for (const columns of COLUMNS) {
      const folded = lines.flatMap((line) => line.match(new RegExp(`.{1,${columns}}`, 'g')) ?? ['']);
      const read = parseReports(folded.join('\n'))[0]!;
      expect(read.message?.canonical).toBe(whole.message?.canonical);
      expect([caller, undefined]).toContain(callerOf(read.trace, read.pc)?.symbol);
      expect(symbols).toEqual(expect.arrayContaining(read.trace.map(({ symbol }) => symbol)));
      for (const field of ['kernelVersion', 'comm', 'pid', 'hardware', 'bugLine'] as const)
        expect([whole[field], null]).toContain(read[field]);
      for (const [register, value] of read.registers) expect(value).toBe(whole.registers.get(register));
    }
  });

  it('cut off at the end of a file, it tells no part of a release, and no width that its registers do not show', () => {
    const log = logOf('ppc64le');
    const whole = parseReports(log)[0]!;
    for (let end = 60; end < Math.min(log.length, 1200); end += 3) {
      const read = parseReports(log.slice(0, end))[0];
      expect([whole.arch, null, undefined]).toContain(read?.arch);
      expect([whole.kernelVersion, null, undefined]).toContain(read?.kernelVersion);
    }
  });

  it.each(['x86_64', 'arm64', 'arm', 'ppc64le', 'ppc64-dots', 'riscv64', 's390x-broken-at-80', 'sparc64'])(
    'cut off at any character, %s tells nothing that is not whole',
    (name) => {
      const log = logOf(name);
      const whole = parseReports(log)[0]!;
      for (let end = 60; end < log.length; end++) {
        const read = parseReports(log.slice(0, end))[0];
        if (read === undefined) continue;
        for (const field of ['arch', 'kernelVersion', 'comm', 'pid', 'cpu', 'taint', 'hardware', 'bugLine'] as const)
          expect([whole[field], null], `${field} of the first ${end} characters`).toContain(read[field]);
        for (const [register, value] of read.registers) expect(value).toBe(whole.registers.get(register));
        expect(whole.modules ?? []).toEqual(expect.arrayContaining([...(read.modules ?? [])]));
      }
    },
  );

  it.each(['[10:31:05]', '<10:31:05>', '(10:31:05)'])('takes no time of day for the place of a BUG(): %s', (time) => {
    const [report] = parseReports(`${MESSAGES[0]}\nkernel BUG at ${time} mm/usercopy.c:102!\n`);
    expect(report?.bugLine).toBeNull();
  });

  it('a paragraph behind an empty line is no end of the line before it', () => {
    const log = [...[MESSAGES[0]!, ...AFTER].map(stamped), stamped('Hardware name: QEMU'), '', 'Any idea?'];
    expect(parseReports(log.join('\n'))[0]).toMatchObject({ hardware: 'QEMU' });
  });

  it('keeps the blanks that a terminal broke a line at', () => {
    const line = 'Hardware name: Example Corp. (i440FX + PIIX, 1996), BIOS 1.10.2-1 04/01/2014';
    const code = `Code: ${'0f 1f 44 00 00 48 '.repeat(6)}<0f> 0b`;
    for (let columns = 40; columns < 72; columns++) {
      const log = [MESSAGES[0]!, ...AFTER, line, code].flatMap(
        (each) => each.match(new RegExp(`.{1,${columns}}`, 'g'))!,
      );
      const read = parseReports(log.join('\n'))[0]!;
      expect(read.hardware).toBe(line.slice('Hardware name: '.length));
      expect(read.code).toBe(code.slice('Code: '.length));
    }
  });

  it('by a mailer: the question mark stays with its frame', () => {
    const log = [
      MESSAGES[0]!,
      ...AFTER,
      'Call Trace:',
      ' __check_object_size+0x1d2/0x2a0',
      ' ?',
      ' stale_frame+0x10/0x20',
      ' widget_read+0x30/0x40',
    ];
    const read = parseReports(log.join('\n'))[0]!;
    expect(read.trace.map(({ symbol, reliable }) => [symbol, reliable])).toEqual([
      ['__check_object_size', true],
      ['stale_frame', false],
      ['widget_read', true],
    ]);
  });

  it('and cut has no value that is not whole', () => {
    for (const [message, column] of breaks) {
      const log = `${stamped(message.slice(0, column))}\n\nAny idea what this could be?\nThanks in advance (offset 1)\n`;
      const read = parseReports(log)[0]?.message;
      const whole = parseReports(message)[0]!.message!;
      if (read == null) continue;
      for (const field of ['cache', 'address', 'offset', 'size'] as const)
        expect([whole[field], null]).toContain(read[field]);
      expect(message.startsWith(read.text)).toBe(true);
    }
  });
});

const REPORTS = packageFile('../shared/reports/reports.jsonl');
const MORE_REPORTS = packageFile('../shared/reports/reports-2.jsonl');
const DUMPS = packageFile('../shared/dumps');

/** Fields that were read off the report's source, where the excerpt itself does not have them. */
const NOT_IN_THE_EXCERPT: Readonly<Record<string, readonly string[]>> = {
  // The direction was told by put_cmsg() in the trace.
  'rds-recvmsg-warn': ['direction'],
  // The line was posted elsewhere in the thread; registers keep words of it.
  'arm64-iptables-vmalloc-hwtag-5.19rc1': ['message', 'direction', 'region', 'region_kind', 'offset', 'size'],
  // The line with the release was cut.
  'gh-chipsec-224': ['kernel_version'],
  'qcom-kmap-wrapped-4.14.76': ['kernel_version'],
  // Nothing but a 64-bit address, or a message and a WARNING, is there.
  'm95-backport-kernel-text': ['arch'],
  'syzbot-anon_vma_chain-slab-warn-5.3rc3': ['arch'],
  // Typed `off set`: the canonical line mends it, the text is what was posted.
  'lkp-scsi-spans-pages': ['message'],
  // The line is cut before its number.
  'onyx-epdc-arm64-pstore': ['bug_line'],
  // syzbot adds the source behind it, as in its other warnings.
  'syzbot-corrupted2-interleaved-4.20': ['bug_line'],
  // Told elsewhere.
  'android-task_struct-configfs': ['arch'],
};

interface Catalogued {
  readonly id: string;
  readonly dmesg: string;
  readonly [field: string]: string | number | null;
}

describe.skipIf(!existsSync(REPORTS))('real reports (skipped where ../shared/reports is not there)', () => {
  const catalogue: Catalogued[] = existsSync(REPORTS)
    ? [REPORTS, MORE_REPORTS]
        .flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'))
        // Sizes beyond 2^53 lose digits in JSON.parse.
        .map((line) => JSON.parse(line.replace(/"(offset|size)": (\d{16,})/g, '"$1": "$2"')))
    : [];

  it.each(catalogue)('reads $id as a person did', (expected) => {
    const report = chooseReport(parseReports(expected.dmesg))!;
    const { message } = report;
    const got: Record<string, string | number | null> = {
      message: message?.text ?? null,
      direction: message?.direction ?? null,
      region: message?.region ?? null,
      region_kind: message?.regionKind ?? null,
      address: message?.address?.toString(16).padStart(message.addressDigits ?? 16, '0') ?? null,
      offset: message?.offset?.toString() ?? null,
      size: message?.size?.toString() ?? null,
      bug_line: report.bugLine,
      kernel_version: report.kernelVersion,
      arch: report.arch,
    };
    const skipped = NOT_IN_THE_EXCERPT[expected.id] ?? [];
    for (const field of Object.keys(got).filter((name) => !skipped.includes(name))) {
      const value = expected[field];
      expect([field, got[field]]).toEqual([field, typeof value === 'number' ? String(value) : value]);
    }
  });
});

describe.skipIf(!existsSync(DUMPS))('logs of real crashes (skipped where ../shared/dumps is not there)', () => {
  const cases = existsSync(DUMPS)
    ? readdirSync(DUMPS, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('dmesg.txt'))
    : [];

  it.each(cases)('reads %s', (path) => {
    const folder = join(DUMPS, path, '..');
    const { message, kernel, arch, args } = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8'));
    const report = chooseReport(parseReports(readFileSync(join(DUMPS, path), 'utf8')));
    expect(report?.message?.canonical ?? null).toBe(message);
    if (report === null) return;
    expect(report.arch).toBe(arch);
    expect(report.message!.direction).toBe(args.to_user ? 'to_user' : 'from_user');
    // The kernel that was built here is known by another name there.
    if (kernel !== 'own-slab') expect(report.kernelVersion).toBe(kernel);
    expect(report.bugLine).toMatch(/usercopy\.c:\d+!$/);
    expect(report.registers.size).toBeGreaterThan(8);
    expect(report.pc?.symbol).toBe('usercopy_abort');
  });
});

describe('hostile text', () => {
  const samples = [...reportFiles('logs'), ...reportFiles('cases')].map(({ log }) => log);
  const MUTATIONS = 1500;

  it('never makes the parser throw, whatever happens to a log', () => {
    const random = new SeededRandom(20160719);
    const pick = (size: number): number => random.below(size);
    for (let round = 0; round < MUTATIONS; round++) {
      let text = samples[pick(samples.length)]!;
      for (let change = 0; change < 1 + pick(6); change++) {
        const at = pick(text.length + 1);
        const length = pick(60);
        const other = samples[pick(samples.length)]!;
        const from = pick(other.length);
        const insert = [
          '',
          other.slice(from, from + length),
          String.fromCharCode(pick(256)).repeat(length),
          '\n',
          '>'.repeat(length),
          '&lt;',
          '('.repeat(length),
          ' (offset 99999999999999999999, size 0)!',
        ][pick(8)]!;
        text = text.slice(0, at) + insert + text.slice(pick(2) === 0 ? at : at + length);
      }
      for (const report of parseReports(text)) {
        expect(report.lines.first).toBeLessThanOrEqual(report.lines.last);
        expect(report.message === null || report.message.text.length > 0).toBe(true);
      }
    }
  });

  const MIB = 1 << 20;
  const BEGUN =
    "[    1.000000] usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 65)!";
  it.each<[name: string, unit: string, before?: string]>([
    ['quotation marks', '>'],
    ['brackets', '('],
    ['spaces', ' '],
    ['blanks and quotes', '> '],
    ['digits', '1'],
    ['timestamps', '[    1.000000] '],
    ['threads', '[1.0][  T1]'],
    ['entities', '&amp;lt;'],
    ['beginnings of a message', 'usercopy: Kernel memory exposure attempt '],
    ['beginnings of a message, a line each', 'usercopy: Kernel memory exposure attempt detected from x\n'],
    ['old messages without an end', 'usercopy: kernel memory exposure attempt detected from (a) (b) '],
    ['trace entries', 'usercopy_abort+0x1/0x2 '],
    ['trace lines', ' usercopy_abort+0x1/0x2\n'],
    ['register lines', 'GPR00: 0000000000000000 0000000000000000\n'],
    ['GPRS', 'Krnl GPRS: 0000 '],
    ['wrapped lines', 'kernel BUG at mm/usercopy.c:1!\nand more\n'],
    ['CPU lines', 'CPU: 1 PID: 1 Comm: a Tainted: G G G G G G\n'],
    ['tags', '<a '],
    ['module lists', 'Modules linked in: a b c d\n'],
    ['soft line breaks', '=3D=\n'],
    ['empty lines', '\n'],
    ['dashes', '-'],
    ['heads that are none, of a page', '<header '],
    ['numbers with dots, behind a crash', '1.', BEGUN],
    ['errors of ARM, behind a crash', 'Internal error: ', BEGUN],
    ['broken frames, behind a crash', ' from\n usercopy_abort+0x1/0x2\n?\n [<c0301000>] (f) from\n', BEGUN],
    ['ends of lines, behind a crash', `${'x'.repeat(BEGUN.length)}\n`, BEGUN],
  ])(
    'a megabyte of %s takes time in proportion',
    (_name, unit, before = '') => {
      const small = `${before}\n${unit.repeat(Math.ceil(MIB / 16 / unit.length))}`;
      const large = `${before}\n${unit.repeat(Math.ceil(MIB / unit.length))}`;
      const blocks = (text: string): number => parseReports(text).length;
      expect(blocks(small)).toBeLessThanOrEqual(blocks(large));
    },
    // What is not linear needs hours.
    60_000,
  );
});
