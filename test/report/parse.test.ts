import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import { callerOf } from '../../src/report/trace.js';
import { SeededRandom } from '../../src/scenario/random.js';
import { sampleLogs } from './logs.js';

describe('reading a report', () => {
  it.each(sampleLogs)('reads $name', ({ log, reports }) => {
    const read = parseReports(log);
    expect(read.map((report) => report.message?.text ?? null)).toEqual(reports.map((expected) => expected.text));
    for (const [index, expected] of reports.entries()) {
      const report = read[index]!;
      const got: Record<string, unknown> = {
        text: report.message?.text ?? null,
        direction: report.message?.direction,
        region: report.message?.region,
        address: report.message?.address,
        offset: report.message?.offset,
        size: report.message?.size ?? null,
        bugLine: report.bugLine,
        arch: report.arch,
        release: report.kernelVersion,
        comm: report.comm,
        taint: report.taint,
        pc: report.pc?.symbol,
        caller: callerOf(report.trace, report.pc)?.symbol,
        registers: Object.fromEntries(
          Object.keys(expected.registers ?? {}).map((name) => [name, report.registers.get(name)]),
        ),
      };
      for (const [field, value] of Object.entries(expected)) expect([field, got[field]]).toEqual([field, value]);
    }
  });

  it('says what the kernel must have written where a terminal broke the line', () => {
    const log = sampleLogs.find(({ name }) => name.startsWith('s390x'))!.log;
    expect(parseReports(log)[0]!.message).toMatchObject({
      canonical: "usercopy: Kernel memory exposure attempt detected from vmalloc 'no area' (offset 0, size 1)!",
      refusal: 'vmalloc, no area',
    });
  });

  it('says which words of a missing message are left in registers', () => {
    const log = sampleLogs.find(({ name }) => name.startsWith('the message line missing'))!.log;
    const { registerText } = parseReports(log)[0]!;
    expect(Object.fromEntries(registerText!.pieces)).toMatchObject({
      x17: 'malloc (',
      x16: 'd from v',
      x15: ' detecte',
    });
    expect(registerText).toMatchObject({ direction: 'to_user', region: 'vmalloc' });
  });

  it('prefers the crash to a subject that quotes its message', () => {
    const { log } = sampleLogs[0]!;
    const subject = `Subject: BUG: usercopy: Kernel memory exposure attempt detected from SLUB object 'widget-a' (offset 8, size 120)!`;
    expect(chooseReport(parseReports(`${subject}\n\n${log}`))!.comm).toBe('two words');
  });

  it('does not take user registers for those of the kernel', () => {
    const report = parseReports(sampleLogs[0]!.log)[0]!;
    expect(report.registers.get('rax')).toBe(0x61n);
    expect(report.trace.map((entry) => entry.symbol)).not.toContain('somewhere_else');
  });
});

const REPORTS = packageFile('../shared/reports/reports.jsonl');
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
};

interface Catalogued {
  readonly id: string;
  readonly dmesg: string;
  readonly [field: string]: string | number | null;
}

describe.skipIf(!existsSync(REPORTS))('real reports (skipped where ../shared/reports is not there)', () => {
  const catalogue: Catalogued[] = existsSync(REPORTS)
    ? readFileSync(REPORTS, 'utf8')
        .trim()
        .split('\n')
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
      address: message?.address?.toString(16).padStart(16, '0') ?? null,
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
  const samples = sampleLogs.map(({ log }) => log);
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
  it.each([
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
  ])(
    'a megabyte of %s takes time in proportion',
    (_name, unit) => {
      const small = unit.repeat(Math.ceil(MIB / 16 / unit.length));
      const large = unit.repeat(Math.ceil(MIB / unit.length));
      const blocks = (text: string): number => parseReports(text).length;
      expect(blocks(small)).toBeLessThanOrEqual(blocks(large));
    },
    // What is not linear needs hours.
    60_000,
  );
});
