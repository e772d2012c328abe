/** Marks in a report's text; the judge is what stands before them in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { markedText } from '../../page/marks.js';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { packageFile } from '../../src/paths.js';
import { parseReports } from '../../src/report/parse.js';

const FOLDER = 'test/report/logs';

const markedIn = (log: string) =>
  parseReports(log).map((report) => {
    const { copy } = judgeReport(report).reproduction;
    const found = markedText(log, report, copy);
    const of = (field: string) => found.marks.find((mark) => mark.field === field);
    return { copy, found, of };
  });

const only = (log: string) => {
  const [first] = markedIn(log);
  if (first === undefined) throw new Error('there is no report in it');
  return first;
};

const crash = (registers: string): string =>
  `kernel BUG at mm/usercopy.c:102!\nCPU: 16 PID: 10 Comm: a Not tainted 6.1.0 #1\n${registers}Call Trace:\n __check_object_size+0x10/0x20\n a_read+0x10/0x20 [a]\n`;

describe('marks', () => {
  it('do not overlap, and a register that is marked has the value', () => {
    let registers = 0;
    for (const name of readdirSync(packageFile(FOLDER)).filter((file) => file.endsWith('.log'))) {
      for (const { found, copy, of } of markedIn(readFileSync(packageFile(`${FOLDER}/${name}`), 'utf8'))) {
        found.marks.reduce((end, mark) => {
          expect(mark.start).toBeGreaterThanOrEqual(end);
          return mark.end;
        }, 0);
        const mark = of('pointer');
        if (copy.pointerFrom !== 'registers' || mark === undefined) continue;
        expect(BigInt(`0x${found.text.slice(mark.start, mark.end)}`)).toBe(copy.pointer);
        expect(found.text.slice(0, mark.start)).toMatch(/\b(?:r|x)[0-9a-z]{1,3} ?:\s*$/i);
        registers++;
      }
    }
    expect(registers).toBeGreaterThan(10);
  });

  it('are behind a register, not wherever the digits of its value stand', () => {
    const { copy, found, of } = only(
      crash(
        'RIP: 0010:usercopy_abort+0x10/0x20\nRSP: 0018:ffffc90000123a88 EFLAGS: 00010246\nRAX: 0000000000000010 RBX: ffff888104000008 RCX: ffff888104000018\n',
      ),
    );
    expect(copy).toMatchObject({ size: 16n, sizeFrom: 'registers', pointer: 0xffff888104000008n });
    expect(found.text.slice(0, of('size')?.start)).toMatch(/RAX: $/);
    expect(found.text.slice(0, of('pointer')?.start)).toMatch(/RBX: $/);
  });

  it.each([
    [
      'powerpc',
      'NIP:  c000000000599000 LR: c000000000598ffc CTR: 0000000000000000\nGPR00: c0000000005991cc c0000000148c7940 c000000002b15a00 0000000000000069 \nGPR04: 0000000000000001 c000000010000008 0000000000000010 c000000010000018 \n',
      'GPR04: 0000000000000001 ',
    ],
    [
      's390',
      '[    1.000001] Krnl GPRS: 0000000000000001 001c000018090e00 000000000000005c 0000000000000000\n[    1.000002]            0000000010000008 0000000000000010 0000000010000018 0000000000000000\n[    1.000003]            0000000000000000 0000000000000000 0000000000000000 0000000000000000\n[    1.000004]            0000000000000000 0000000000000000 0000000000000000 0000000000000000\n',
      '0000000000000000\n[    1.000002]            ',
    ],
  ])('are in their place of a row, as %s prints them', (_name, registers, before) => {
    const { copy, found, of } = only(crash(registers));
    expect(copy).toMatchObject({ size: 16n, pointerFrom: 'registers' });
    expect(found.text.slice(0, of('pointer')?.start).endsWith(before)).toBe(true);
  });

  it('that another one covers are told', () => {
    // One place that is both: the release is the task's name.
    const { found } = only(crash('').replace('Comm: a Not tainted 6.1.0', 'Comm: 6.1.0 Not tainted 6.1.0'));
    const fields = found.marks.map(({ field }) => field);
    expect(['task', 'release'].filter((field) => fields.includes(field))).toHaveLength(1);
    expect(['task', 'release'].filter((field) => found.unmarked.includes(field))).toHaveLength(1);
  });
});
