/** What is said of a copy when the check, or the dump's own kernel, refuses it without a line, or cannot tell. */
import { describe, expect, it } from 'vitest';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { memoryPage } from '../../src/diagnosis/memory-page.js';
import { NO_EXPLANATION, type Reproduction } from '../../src/diagnosis/outcome.js';
import { sceneOf } from '../../src/diagnosis/scene.js';
import { summaryOf } from '../../src/diagnosis/summary.js';
import { chooseLastReport, parseReports } from '../../src/report/parse.js';

const given = { pointerFrom: 'given', sizeFrom: 'given', directionFrom: 'given' } as const;
const OF_DUMP: Reproduction = {
  outcome: 'unknown',
  variant: 'x86_64',
  profile: '6.1',
  kernel: '6.1.0',
  copy: { pointer: 0xffff888000001000n, size: 8n, direction: 'to_user', ...given },
  report: null,
  check: { message: null, refused: null, judged: 'dump' },
  replay: null,
  explanation: NO_EXPLANATION,
};
const good = { message: null, refused: false, judged: 'dump' } as const;
const ownKernel = { message: null, instructions: 100, kernel: '6.1.0' };

describe('a copy in a dump of which no kernel printed a line', () => {
  it.each<[string, Partial<Reproduction>, boolean | null, string, string]>([
    ['whose memory cannot be read', {}, null, 'usercopy, verdict not known', 'cannot tell: memory'],
    [
      'that a rule without a line refuses',
      { check: { message: null, refused: true, judged: 'dump' } },
      true,
      'BUG: bad usercopy',
      'refuses the copy, without a line',
    ],
    [
      "that passes here, and is the end of the dump's own kernel",
      { outcome: 'different', check: good, replay: { ...ownKernel, refused: true } },
      true,
      'BUG: bad usercopy',
      'passes',
    ],
    [
      'that passes everywhere',
      { outcome: 'clean', check: good, replay: { ...ownKernel, refused: false } },
      false,
      'usercopy allowed',
      'passes',
    ],
  ])('%s', (_, found, refused, title, said) => {
    const reproduction = { ...OF_DUMP, ...found };
    expect(summaryOf(reproduction)).toMatchObject({ refused, title });
    expect(sceneOf(reproduction)).toMatchObject({ refused: refused === true });
    const page = memoryPage(reproduction, () => undefined);
    expect(page).toContain(`<th>check of this project</th><td>${said}`);
    expect(page).toContain(`<span class="badge ${refused === null ? 'unknown' : refused ? 'refused' : 'allowed'}">`);
  });
});

describe('a copy in a dump of which nothing is decided', () => {
  it.each<[string, Partial<Reproduction>, string, RegExp]>([
    [
      'since memory cannot be read',
      {},
      'usercopy, verdict not known',
      /Memory that its verdict needs cannot be read\.$/,
    ],
    [
      'since the log inside may be of it',
      { check: good, replay: { ...ownKernel, refused: false } },
      'usercopy, verdict not known',
      /But the log in the dump may be of this copy, or of another one\.$/,
    ],
    [
      'since no code of the dump could be run',
      { check: { message: null, refused: true, judged: 'dump' } },
      'BUG: bad usercopy',
      /it could not be run\.$/,
    ],
  ])('%s says so, and nothing of a message', (_, found, title, text) => {
    const summary = summaryOf({ ...OF_DUMP, ...found });
    expect(summary.title).toBe(title);
    expect(summary.text).toMatch(text);
    expect(summary.text).not.toContain('message');
  });
});

describe('a report whose message is missing', () => {
  const TRACE = [
    'CPU: 0 PID: 7 Comm: a Not tainted 5.10.0 #1',
    'Call Trace:',
    ' usercopy_XXX+0x6c/0x80',
    ' __check_object_size+0x1a3/0x2b0',
    ' foo_read+0x5e/0xd0 [foo]',
  ].join('\n');
  const ofReport = (line: string, end: string) =>
    judgeReport(parseReports(`${line}\n${TRACE.replace('XXX', end)}\n`)[0]!).reproduction;

  it('is no refusal where the kernel warned', () => {
    const warned = ofReport('WARNING: CPU: 0 PID: 7 at mm/usercopy.c:83 usercopy_warn+0x7e/0xa0', 'warn');
    expect(warned.report).toMatchObject({ message: null });
    expect(summaryOf(warned)).toMatchObject({ refused: false, title: 'WARNING: bad usercopy in foo_read' });
    expect(summaryOf(warned).text).toContain('was let through with a warning');
    expect(memoryPage(warned, () => undefined)).toContain('<span class="badge warned">');
  });

  it.each([
    ['where it came to BUG()', 'kernel BUG at mm/usercopy.c:99!'],
    ['where that line is missing too', ''],
  ])('is one %s', (_, line) => {
    expect(summaryOf(ofReport(line, 'abort'))).toMatchObject({ refused: true, title: 'BUG: bad usercopy in foo_read' });
  });

  // Leftovers of the check on a stack are marked by '?'.
  const LEFT_OVER = TRACE.replace('usercopy_XXX', 'ext4_writepages').replace(' __check', ' ? __check');
  it.each([
    ['another BUG()', 'kernel BUG at fs/ext4/inode.c:1234!'],
    [
      'a warning of LKDTM',
      'WARNING: CPU: 0 PID: 7 at drivers/misc/lkdtm/usercopy.c:83 do_usercopy_slab_size+0x7e/0xa0',
    ],
  ])('tells of no refusal where the check is a leftover on the stack of %s', (_, line) => {
    const [report] = parseReports(`${line}\n${LEFT_OVER}\n`);
    const found = summaryOf(judgeReport(report!).reproduction);
    expect(found).toMatchObject({ refused: null });
    expect(found.title).toMatch(/^usercopy, verdict not known/);
  });

  it.each([
    ['of a kernel without source lines', 'kernel BUG at .usercopy_abort+0x6c/0x80 [verbose debug info unavailable]'],
    ['whose path is of a build', 'kernel BUG at /build/linux-5.10/mm/usercopy.c:99!'],
  ])('is a refusal by its BUG line alone, %s', (_, line) => {
    const [report] = parseReports(`${line}\n${LEFT_OVER}\n`);
    expect(summaryOf(judgeReport(report!).reproduction)).toMatchObject({ refused: true });
  });

  it('gives way to one of the check, as the report of a dump', () => {
    const text = `kernel BUG at mm/usercopy.c:99!\n${TRACE.replace('XXX', 'abort')}\n---[ end trace 0 ]---\nkernel BUG at fs/ext4/inode.c:1234!\n${LEFT_OVER}\n---[ end trace 0 ]---\n`;
    const reports = parseReports(text);
    expect(reports.map(({ bugLine }) => bugLine)).toHaveLength(2);
    expect(chooseLastReport(reports)).toBe(reports[0]);
  });
});
