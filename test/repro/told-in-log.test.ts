/** A log inside a dump, of a copy that was named otherwise: what it tells is the copy's, another's, or not enough to say. */
import { describe, expect, it } from 'vitest';
import { machineOf } from '../../src/diagnosis/machine.js';
import { parseReports } from '../../src/report/parse.js';
import { toldInLog } from '../../src/repro/told-in-log.js';

const COPY = { pointer: 0xffff888012345678n, size: 100n, direction: 'to_user' } as const;
const CRASH = `kernel BUG at mm/usercopy.c:102!
CPU: 0 PID: 7 Comm: a Not tainted 6.5.0 #1
RIP: 0010:usercopy_abort+0x1/0x2
Call Trace:
 __check_object_size+0x1/0x2
 widget_read+0x3/0x4
---[ end trace 0000000000000000 ]---
`;
const SLAB = "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, ";

describe('of a copy, a log', () => {
  it.each<[string, string, 'maybe' | 'none']>([
    ['without an address may be', `${SLAB}size 100)!`, 'maybe'],
    ['without a size may be', `${SLAB}si`, 'maybe'],
    ['with the first digits of its size may be', `${SLAB}size 10`, 'maybe'],
    ['without a line may be', '', 'maybe'],
    ['with the first digits of another size is not', `${SLAB}size 9`, 'none'],
    ['of another size is not', `${SLAB}size 101)!`, 'none'],
    [
      'of the other direction, without a size, is not',
      SLAB.replace('exposure', 'overwrite').replace('from', 'to'),
      'none',
    ],
  ])('%s', (_, line, expected) => {
    const found = toldInLog(parseReports(`${line}\n${CRASH}`), COPY, machineOf(64, null));
    expect(found.report).toBeNull();
    expect(found.maybe === null ? 'none' : 'maybe').toBe(expected);
  });

  it('of another crash, with the check as a leftover on its stack, is not', () => {
    const other = CRASH.replace('mm/usercopy.c:102', 'fs/ext4/inode.c:1234')
      .replace('usercopy_abort', 'ext4_writepages')
      .replace(' __check', ' ? __check');
    const reports = parseReports(other);
    expect(reports).toHaveLength(1);
    expect(toldInLog(reports, COPY, machineOf(64, null))).toEqual({ report: null, maybe: null });
  });
});
