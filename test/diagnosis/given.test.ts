/** What the user says of a report that its log lacks, and addresses of kernels that print them as they are. */
import { describe, expect, it } from 'vitest';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { withGiven } from '../../src/diagnosis/given.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import type { UsercopyReport } from '../../src/report/report.js';

const read = (lines: readonly string[]): UsercopyReport => chooseReport(parseReports(`${lines.join('\n')}\n`))!;
const MESSAGE = "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!";
const BUG = 'kernel BUG at mm/usercopy.c:102!';
const OPCODE = 'invalid opcode: 0000 [#1] SMP';

describe('an architecture that is given', () => {
  it.each(['i386', 'x86_64'])('is taken where a log of x86 leaves it open: %s', (variant) => {
    const open = read([MESSAGE, BUG, OPCODE]);
    const { arch, bits, archFrom, notes } = withGiven(open, { variant });
    expect([arch, bits, archFrom, notes]).toEqual([variant, variant === 'i386' ? 32 : 64, 'given', []]);
  });

  it.each([
    ['another architecture', [MESSAGE, BUG, OPCODE], 'arm'],
    ['32 bits where the log shows 64', [MESSAGE, BUG, OPCODE, 'RAX: 0000000000000065'], 'i386'],
    ['64 bits where the log shows 32', [MESSAGE, BUG, OPCODE, 'EAX: 00000065 EBX: 00000000'], 'x86_64'],
  ])('is refused where the log shows %s', (_name, lines, variant) => {
    expect(() => withGiven(read(lines), { variant })).toThrow(/which the log shows by|that the log shows/);
  });

  it('is taken where the crash leaves it open and the rest of the log does too', () => {
    const lines = [OPCODE, 'something else', '---[ end trace 0000000000000000 ]---', MESSAGE, BUG];
    expect(withGiven(read(lines), { variant: 'i386' }).arch).toBe('i386');
  });
});

describe('an address with zeros above', () => {
  const said = (release: string): string => {
    const report = read([
      'usercopy: kernel memory exposure attempt detected from 00000000a1b2c3d4 (kmalloc-1024) (1200 bytes)',
      `CPU: 0 PID: 1 Comm: a Not tainted ${release} #1`,
      'RIP: 0010:__check_object_size+0x10/0x20',
    ]);
    return judgeReport(report).reproduction.explanation.lines.join('\n');
  };

  // ad67b74d2469 "printk: hash addresses printed with %p" is of 4.15.
  it.each(['4.8.0', '4.9.5-100', '4.11.12', '4.12.0'])('is no hash of kernel %s', (release) => {
    expect(said(release)).not.toContain('this kernel hashes');
    expect(said(release)).toContain('prints addresses as they are');
  });

  it('is one of 4.15', () => {
    expect(said('4.15.0')).toContain('the address is a hash: this kernel hashes %p');
  });
});
