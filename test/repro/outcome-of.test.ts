/** What check, replay and report come to together, over every kind of each. */
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/diagnosis/outcome.js';
import { parseReports } from '../../src/report/parse.js';
import type { UsercopyReport } from '../../src/report/report.js';
import { outcomeOf } from '../../src/repro/outcome-of.js';

const LINE = "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!";
const CRASH = `kernel BUG at mm/usercopy.c:102!
CPU: 0 PID: 7 Comm: a Not tainted 6.5.0 #1
RIP: 0010:usercopy_abort+0x1/0x2
Call Trace:
 __check_object_size+0x1/0x2
 widget_read+0x3/0x4
---[ end trace 0000000000000000 ]---
`;
/** 4.15's line with its address as a hash, and with the address itself. */
const OLD = (address: string, size = 100) =>
  `usercopy: kernel memory exposure attempt detected from ${address} (kmalloc-64) (${size} bytes)`;

const reportIn = (text: string): UsercopyReport => {
  const [report] = parseReports(text);
  if (report === undefined) throw new Error('no report in it');
  return report;
};

const REPORTS = {
  none: null,
  whole: reportIn(`${LINE}\n${CRASH}`),
  'of another copy': reportIn(`${LINE.replace('100', '101')}\n${CRASH}`),
  'with its line cut': reportIn(`${LINE.slice(0, 70)}\n${CRASH}`),
  'without its line': reportIn(CRASH),
  'of a warning': reportIn(
    `Bad or missing usercopy whitelist? Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!\n${CRASH.replace('kernel BUG at mm/usercopy.c:102!', 'WARNING: CPU: 0 PID: 7 at mm/usercopy.c:75 usercopy_warn+0x1/0x2')}`,
  ),
} satisfies Record<string, UsercopyReport | null>;

/** Of each what is to come out where the check refuses the copy, where it lets it pass, and where it cannot read. */
const EXPECTED: readonly (readonly [keyof typeof REPORTS, Outcome, Outcome])[] = [
  ['none', 'identical', 'clean'],
  ['whole', 'identical', 'different'],
  ['of another copy', 'different', 'different'],
  ['with its line cut', 'identical', 'different'],
  ['without its line', 'identical', 'different'],
  ['of a warning', 'different', 'different'],
];

const object = null;
const bad = {
  verdict: { outcome: 'bad', by: 'slab object', offset: 8n, size: 100n, object },
  message: LINE,
} as Parameters<typeof outcomeOf>[0];
const good = { verdict: { outcome: 'good', by: 'slab object', object }, message: null } as typeof bad;

describe('check, replay and report', () => {
  it.each(EXPECTED)('a report that is there %s', (name, ofBad, ofGood) => {
    const report = REPORTS[name];
    expect(outcomeOf(bad, { message: LINE, end: 'bug' }, report)).toBe(ofBad);
    expect(outcomeOf(good, { message: null, end: 'returned' }, report)).toBe(ofGood);
    // A replay that could not be had takes nothing back: a report of BUG() is never clean.
    expect(outcomeOf(good, null, report)).toBe(ofGood);
    expect(outcomeOf({ ...bad, verdict: { outcome: 'unreadable', address: 0n } }, null, report)).toBe('unknown');
  });

  it('that do not agree are different, with any report', () => {
    for (const report of Object.values(REPORTS)) {
      expect(outcomeOf(bad, { message: null, end: 'returned' }, report)).toBe('different');
      expect(outcomeOf(good, { message: LINE, end: 'bug' }, report)).toBe('different');
      expect(outcomeOf(bad, { message: LINE.replace('100', '99'), end: 'bug' }, report)).toBe('different');
    }
  });

  it('say the same where 4.15 printed a hash of the address', () => {
    const [hash, address] = ['00000000f2a1b3c4', 'ffff888012345678'];
    const judged = { ...bad, message: OLD(address) };
    const report = reportIn(`${OLD(hash)}\n${CRASH.replace('6.5.0', '4.15.0')}`);
    expect(outcomeOf(judged, { message: OLD(hash), end: 'bug' }, report)).toBe('identical');
    const other = reportIn(`${OLD(hash, 101)}\n${CRASH.replace('6.5.0', '4.15.0')}`);
    expect(outcomeOf(judged, { message: OLD(hash), end: 'bug' }, other)).toBe('different');
    // Two addresses that are none of them hashed must be the same one.
    expect(outcomeOf(judged, { message: OLD('ffff888012345680'), end: 'bug' }, report)).toBe('different');
  });
});
