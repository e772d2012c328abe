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

/** The kernel that printed the reports above, and another one. */
const X86_64 = { release: '6.5.0', variant: 'x86_64' };
/** The same crash of another kernel: of i386, an address has eight digits. */
const crashOf = ({ release, variant }: typeof X86_64): string =>
  CRASH.replace('6.5.0', release).replace('RIP: 0010:', variant === 'i386' ? 'EIP: ' : 'RIP: 0010:');
const at415 = (variant: string) => ({ release: '4.15.0', variant });

describe('check, replay and report', () => {
  it.each(EXPECTED)('a report that is there %s', (name, ofBad, ofGood) => {
    const report = REPORTS[name];
    expect(outcomeOf(bad, { message: LINE, end: 'bug' }, report, X86_64)).toBe(ofBad);
    expect(outcomeOf(good, { message: null, end: 'returned' }, report, X86_64)).toBe(ofGood);
    // A replay that could not be had takes nothing back: a report of BUG() is never clean.
    expect(outcomeOf(good, null, report, X86_64)).toBe(ofGood);
    expect(outcomeOf({ ...bad, verdict: { outcome: 'unreadable', address: 0n } }, null, report, X86_64)).toBe(
      'unknown',
    );
  });

  it('that do not agree are different, with any report', () => {
    for (const report of Object.values(REPORTS)) {
      expect(outcomeOf(bad, { message: null, end: 'returned' }, report, X86_64)).toBe('different');
      expect(outcomeOf(good, { message: LINE, end: 'bug' }, report, X86_64)).toBe('different');
      expect(outcomeOf(bad, { message: LINE.replace('100', '99'), end: 'bug' }, report, X86_64)).toBe('different');
    }
  });

  it.each([
    // Of each: a hash, and the address that it stands for.
    ['x86_64', '00000000f2a1b3c4', 'ffff888012345678'],
    // Its addresses begin at 0: zeros do not tell them from hashes.
    ['s390x', '00000000f2a1b3c4', '0000000012345678'],
    ['i386', 'f2a1b3c4', 'c2345678'],
  ])('say the same where 4.15 printed a hash of the address: %s', (variant, hash, address) => {
    const kernel = at415(variant);
    const judged = { ...bad, message: OLD(address) };
    const crash = crashOf(kernel);
    const report = reportIn(`${OLD(hash)}\n${crash}`);
    expect(outcomeOf(judged, { message: OLD(hash), end: 'bug' }, report, kernel)).toBe('identical');
    const other = reportIn(`${OLD(hash, 101)}\n${crash}`);
    expect(outcomeOf(judged, { message: OLD(hash), end: 'bug' }, other, kernel)).toBe('different');
    expect(outcomeOf(judged, { message: OLD(hash, 101), end: 'bug' }, report, kernel)).toBe('different');
  });

  it.each([
    ['x86_64', 'ffff888012345680', 'ffff888012345678'],
    ['s390x', '0000000012345680', '0000000012345678'],
    ['sparc64', '0000000000412345', '0000000000412346'],
    ['i386', 'c2345680', 'c2345678'],
  ])('must have the same address where %s printed it as it is', (variant, printed, address) => {
    const kernel = { release: '4.14.0', variant };
    const judged = { ...bad, message: OLD(address) };
    expect(outcomeOf(judged, { message: OLD(printed), end: 'bug' }, null, kernel)).toBe('different');
    expect(outcomeOf(judged, { message: OLD(address), end: 'bug' }, null, kernel)).toBe('identical');
    const report = reportIn(`${OLD(printed)}\n${crashOf(kernel)}`);
    expect(outcomeOf(judged, { message: OLD(address), end: 'bug' }, report, kernel)).toBe('different');
  });

  // What is left of a line that is cut off, and whether it may be the line of the copy (`LINE`).
  it.each([
    ['usercopy: Kernel memory exposure attempt detected from', 'identical'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'kma", 'identical'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, si", 'identical'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 10", 'identical'],
    ['usercopy: Kernel memory overwrite attempt detected to', 'different'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'den", 'different'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-96' (offset 8, si", 'different'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 9, si", 'different'],
    ["usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 7", 'different'],
    ['usercopy: Kernel memory exposure attempt detected from process stack (offset 8, si', 'different'],
  ] as const)('of a line of which there is %s', (line, expected) => {
    const report = reportIn(`${line}\n${CRASH}`);
    expect(report.message).toMatchObject({ canonical: null });
    expect(outcomeOf(bad, { message: LINE, end: 'bug' }, report, X86_64)).toBe(expected);
    expect(outcomeOf(bad, null, report, X86_64)).toBe(expected === 'identical' ? 'unknown' : 'different');
  });

  it('of a warning without its line agree with a copy that the fallback lets through, and no other', () => {
    const report = reportIn(
      CRASH.replace(
        'kernel BUG at mm/usercopy.c:102!',
        'WARNING: CPU: 0 PID: 7 at mm/usercopy.c:75 usercopy_warn+0x1/0x2',
      ),
    );
    expect(report.message).toBeNull();
    const fallback = { ...good, verdict: { outcome: 'good', by: 'slab object by fallback', object } } as typeof bad;
    expect(outcomeOf(fallback, null, report, X86_64)).toBe('identical');
    expect(outcomeOf(good, null, report, X86_64)).toBe('different');
    expect(outcomeOf(bad, null, report, X86_64)).toBe('different');
  });
});
