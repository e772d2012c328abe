import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import type { Outcome } from '../../src/diagnosis/outcome.js';
import { packageFile } from '../../src/paths.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';

const x86 = (release: string): string =>
  `CPU: 0 PID: 7 Comm: a Not tainted ${release} #1\nRIP: 0010:usercopy_abort+0x1/0x2\n`;
const sparc = (release: string): string =>
  `CPU: 0 PID: 7 Comm: a Not tainted ${release} #1\nTSTATE: 0000000080001607 TPC: 0000000000571f40 TNPC: 0000000000571f44\n`;
const i386 = (release: string): string =>
  `CPU: 0 PID: 7 Comm: a Not tainted ${release} #1\nEIP: usercopy_abort+0x1/0x2\nEAX: 00000000\n`;
const exposure = (place: string, offset: number | bigint, size: number | bigint): string =>
  `usercopy: Kernel memory exposure attempt detected from ${place} (offset ${offset}, size ${size})!\n`;
const overwrite = (place: string, offset: number, size: number): string =>
  `usercopy: Kernel memory overwrite attempt detected to ${place} (offset ${offset}, size ${size})!\n`;
const old = (address: string, type: string, size: number): string =>
  `usercopy: kernel memory exposure attempt detected from ${address} (${type}) (${size} bytes)\n`;
const warning = (cache: string, offset: number, size: number): string =>
  `Bad or missing usercopy whitelist? Kernel memory exposure attempt detected from SLUB object '${cache}' (offset ${offset}, size ${size})!\n`;
const outcomeOf = (log: string): Outcome => judgeReport(chooseReport(parseReports(log))!).reproduction.outcome;

describe('whether a report follows from its own numbers', () => {
  it.each<[string, string, Outcome]>([
    [
      'a copy past the end of a kmalloc object',
      exposure("SLUB object 'kmalloc-192'", 82, 499712) + x86('6.6.0'),
      'consistent',
    ],
    ['a copy inside a kmalloc object', exposure("SLUB object 'kmalloc-192'", 82, 110) + x86('6.6.0'), 'contradictory'],
    ['one byte more', exposure("SLUB object 'kmalloc-192'", 82, 111) + x86('6.6.0'), 'consistent'],
    ['inside kmalloc-1k', exposure("SLUB object 'kmalloc-1k'", 0, 1024) + x86('6.1.0'), 'contradictory'],
    ['past kmalloc-1k', exposure("SLUB object 'kmalloc-1k'", 0, 1025) + x86('6.1.0'), 'consistent'],
    ['inside kmalloc-cg-64', exposure("SLUB object 'kmalloc-cg-64'", 60, 4) + x86('6.1.0'), 'contradictory'],
    ['inside kmalloc-rcl-2k', exposure("SLUB object 'kmalloc-rcl-2k'", 60, 4) + x86('6.1.0'), 'contradictory'],
    ['past kmalloc-rnd-05-64', exposure("SLUB object 'kmalloc-rnd-05-64'", 60, 8) + x86('6.6.0'), 'consistent'],
    ['inside kmalloc-rnd-05-64', exposure("SLUB object 'kmalloc-rnd-05-64'", 8, 8) + x86('6.6.0'), 'contradictory'],
    [
      'inside a kmalloc object of a memory cgroup',
      exposure("SLUB object 'kmalloc-64(12:user.slice)'", 8, 8) + x86('5.4.0'),
      'contradictory',
    ],
    // The fallback warns of what the whitelist refuses, and that of a kmalloc cache is the whole object; those for DMA have one from 5.8 on.
    ['a warning of a copy inside a kmalloc object', warning('kmalloc-64', 8, 3) + x86('5.3.0'), 'contradictory'],
    ['a warning inside dma-kmalloc', warning('dma-kmalloc-64', 8, 3) + x86('5.3.0'), 'consistent'],
    ['the same since 5.8', warning('dma-kmalloc-64', 8, 3) + x86('5.8.0'), 'contradictory'],
    ['a warning past the end of dma-kmalloc', warning('dma-kmalloc-64', 8, 100) + x86('5.3.0'), 'contradictory'],
    [
      'inside dma-kmalloc, which had no whitelist',
      overwrite("SLUB object 'dma-kmalloc-1k'", 0, 11) + x86('5.3.0'),
      'consistent',
    ],
    [
      'a cache with a whitelist that is not told',
      exposure("SLUB object 'task_struct'", 2112, 16) + x86('6.1.0'),
      'consistent',
    ],
    [
      'an offset beyond every object of a kmalloc cache',
      exposure("SLUB object 'kmalloc-64'", 70000, 8) + x86('6.1.0'),
      'contradictory',
    ],
    // Of KFENCE's objects SLUB prints pointer minus object in 32 bits, SLAB in a word.
    [
      '4 bytes before a KFENCE object',
      exposure("SLUB object 'names_cache'", 4294967292, 8) + x86('6.1.0'),
      'consistent',
    ],
    ['a page before one', exposure("SLUB object 'kmalloc-64'", 4294963200, 8) + x86('6.1.0'), 'contradictory'],
    [
      'before an object, by 64 bits',
      exposure("SLUB object 'kmalloc-64'", 2n ** 64n - 4n, 8) + x86('6.1.0'),
      'contradictory',
    ],
    ['the same of SLAB', exposure("SLAB object 'kmalloc-64'", 2n ** 64n - 4n, 8) + x86('6.1.0'), 'consistent'],
    ['before KFENCE was there', exposure("SLUB object 'kmalloc-64'", 4294967292, 8) + x86('5.4.0'), 'contradictory'],
    ['in the guard page behind one', exposure("SLUB object 'kmalloc-64'", 8000, 8) + x86('6.1.0'), 'consistent'],
    ['behind that', exposure("SLUB object 'kmalloc-64'", 8192, 8) + x86('6.1.0'), 'contradictory'],
    ['a copy of no bytes', exposure("SLUB object 'task_struct'", 8, 0) + x86('6.1.0'), 'contradictory'],
    ['SLAB where it is gone', exposure("SLAB object 'kmalloc-64'", 0, 65) + x86('6.8.0'), 'contradictory'],
    ['SLAB before', exposure("SLAB object 'kmalloc-64'", 0, 65) + x86('5.0.0'), 'consistent'],
    [
      'a stack without an offset where real ones are printed',
      exposure('process stack', 0, 32) + x86('6.1.0-1-amd64'),
      'contradictory',
    ],
    [
      'the same where the architecture knows no stack pointer',
      exposure('process stack', 0, 32) + sparc('6.1.0'),
      'consistent',
    ],
    ['an offset there', exposure('process stack', 40, 32) + sparc('6.1.0'), 'contradictory'],
    ['a stack without an offset before 5.18', exposure('process stack', 0, 32) + x86('5.4.0'), 'consistent'],
    ['an offset before 5.18', exposure('process stack', 40, 32) + x86('5.4.0'), 'contradictory'],
    [
      "an offset before 5.18 in a vendor's tree",
      exposure('process stack', 40, 32) + x86('5.14.0-300.el9.x86_64'),
      'consistent',
    ],
    ['a negative offset', exposure('process stack', 18446744073709550368n, 32) + x86('6.1.0'), 'consistent'],
    ['a stack of gigabytes', exposure('process stack', 1n << 32n, 32) + x86('6.1.0'), 'contradictory'],
    ['a null pointer', exposure('null address', 16, 8) + x86('6.1.0'), 'consistent'],
    ['17, which is none', exposure('null address', 17, 8) + x86('6.1.0'), 'contradictory'],
    ['a wrapped address', exposure('wrapped address', 0, 18446634686907596985n) + x86('5.4.7'), 'consistent'],
    [
      'a wrapped address with an offset',
      exposure('wrapped address', 5, 18446634686907596985n) + x86('5.4.7'),
      'contradictory',
    ],
    [
      'a range that ends at the top, by the newer wrap rule',
      exposure('wrapped address', 0, 0) + x86('5.4.7'),
      'contradictory',
    ],
    ['a range that ends at the top, by the older one', exposure('wrapped address', 0, 0) + x86('5.1.0'), 'consistent'],
    ['a candidate of 5.3 between the two', exposure('wrapped address', 0, 0) + x86('5.3.0-rc2+'), 'consistent'],
    [
      'words of 64 bits on a machine of 32',
      exposure('wrapped address', 0, 18446634686907596985n) + i386('6.1.0'),
      'contradictory',
    ],
    ['kernel text', overwrite('kernel text', 5432, 4) + x86('5.8.0'), 'consistent'],
    [
      'text that ends before it begins',
      exposure('kernel text', 18446744073709551608n, 8) + x86('6.1.0'),
      'contradictory',
    ],
    ['text reached from before', exposure('kernel text', 18446744073709551608n, 9) + x86('6.1.0'), 'consistent'],
    ['terabytes of text', exposure('kernel text', 1n << 40n, 8) + x86('6.1.0'), 'contradictory'],
    ['vmalloc', exposure('vmalloc', 100, 16384) + x86('6.1.0'), 'consistent'],
    ['vmalloc before there was a rule', exposure('vmalloc', 100, 16384) + x86('5.10.0'), 'contradictory'],
    ['no area before there was a rule', exposure("vmalloc 'no area'", 0, 1) + x86('5.18.0'), 'contradictory'],
    ['no area in a build on the way to 5.19', exposure("vmalloc 'no area'", 0, 1) + x86('5.18.0+'), 'consistent'],
    ['no area', exposure("vmalloc 'no area'", 0, 1) + x86('5.19.0-rc1'), 'consistent'],
    ['no area, with an offset', exposure("vmalloc 'no area'", 7, 1) + x86('5.19.0-rc1'), 'contradictory'],
    ['a folio that the copy leaves', exposure('page alloc', 0, 4194560) + x86('6.2.0'), 'consistent'],
    ['no large folio is that small', exposure('page alloc', 0, 5000) + x86('6.2.0'), 'contradictory'],
    ['no power of two lies in it', exposure('page alloc', 8200, 8) + x86('6.2.0'), 'contradictory'],
    ['a kmap slot', exposure('kmap', 16, 8192) + i386('6.10.0'), 'consistent'],
    ['a kmap slot that the copy does not leave', exposure('kmap', 16, 4080) + i386('6.10.0'), 'contradictory'],
    ['kmap on 64 bits', exposure('kmap', 0, 8192) + x86('6.10.0'), 'contradictory'],
    ['a page span', overwrite('spans multiple pages', 0, 372) + x86('5.1.0'), 'consistent'],
    ['a page span when the rule is gone', overwrite('spans multiple pages', 0, 372) + x86('6.1.0'), 'contradictory'],
    [
      'a page span in a tree of RHEL 9 that took the check of 5.18',
      overwrite('spans multiple pages', 0, 372) + x86('5.14.0-162.6.1.el9_1.x86_64'),
      'consistent',
    ],
    [
      'a page span in 5.18, which cannot be configured so',
      overwrite('spans multiple pages', 0, 372) + x86('5.18.3'),
      'contradictory',
    ],
    ['one byte that spans pages', overwrite('spans multiple pages', 0, 1) + x86('5.1.0'), 'contradictory'],
    ['reading rodata', exposure('rodata', 0, 8) + x86('5.1.0'), 'contradictory'],
    ['writing rodata', overwrite('rodata', 0, 8) + x86('5.1.0'), 'consistent'],
    ['old wording, past the object', old('ffff88022a31aa00', 'kmalloc-64', 192) + x86('4.12.10'), 'consistent'],
    [
      'old wording, inside an object that begins at its own multiple',
      old('ffff88022a31aa08', 'kmalloc-64', 16) + x86('4.12.10'),
      'contradictory',
    ],
    ['old wording, across its end', old('ffff88022a31aa38', 'kmalloc-64', 16) + x86('4.12.10'), 'consistent'],
    ['old wording, a hash for an address', old('00000000d1c2b3a8', 'kmalloc-64', 16) + x86('4.15.0-rc5'), 'consistent'],
    ['old wording, wraps', old('fffffffffffff000', '<wrapped address>', 4096) + x86('4.14.76'), 'consistent'],
    [
      'old wording, does not wrap',
      old('ffffffffffff0000', '<wrapped address>', 4096) + x86('4.14.76'),
      'contradictory',
    ],
    ['old wording when it is gone', old('ffff88022a31aa00', 'kmalloc-64', 192) + x86('5.4.0'), 'contradictory'],
    ['new wording when it was not there', exposure("SLUB object 'kmalloc-64'", 0, 65) + x86('4.9.0'), 'contradictory'],
    [
      'a warning',
      `Bad or missing usercopy whitelist? ${exposure("SLUB object 'x'", 0, 4).slice(10)}${x86('5.3.0')}`,
      'consistent',
    ],
    [
      'a warning when it is gone',
      `Bad or missing usercopy whitelist? ${exposure("SLUB object 'x'", 0, 4).slice(10)}${x86('5.16.0')}`,
      'contradictory',
    ],
    ['a message that is cut off', "usercopy: Kernel memory exposure attempt detected from SLUB object 'km", 'unknown'],
    ['no message at all', `kernel BUG at mm/usercopy.c:102!\n${x86('6.5.0')}`, 'unknown'],
    ['words that no kernel prints', exposure('outer space', 0, 8) + x86('6.5.0'), 'unknown'],
    ['no release: some kernel prints it', exposure('vmalloc', 100, 16384), 'consistent'],
  ])('%s', (_name, log, outcome) => {
    expect(outcomeOf(log)).toBe(outcome);
  });

  it('holds a given copy against the message', () => {
    const report = chooseReport(parseReports(exposure("SLUB object 'kmalloc-64'", 0, 65) + x86('6.5.0')))!;
    const given = (size: bigint, direction: 'to_user' | 'from_user' = 'to_user') =>
      judgeReport(report, { given: { pointer: 0xffff888000000000n, size, direction } }).reproduction;
    expect(given(65n)).toMatchObject({ outcome: 'consistent', copy: { pointerFrom: 'given' } });
    expect(given(66n).outcome).toBe('contradictory');
    expect(given(65n, 'from_user').outcome).toBe('contradictory');
  });

  it('blames no rule of the message where its kernel does not print it', () => {
    const explained = (release: string) => {
      const log = exposure("SLUB object 'cpumask'", 0, 16) + x86(release);
      return judgeReport(chooseReport(parseReports(log))!).reproduction.explanation;
    };
    expect(explained('6.9.0-rc1')).toMatchObject({
      causes: [{ cause: 'whitelist missing or too small' }],
      known: { id: 'cpumask' },
    });
    expect(explained('4.9.0')).toMatchObject({ causes: [], known: null });
  });

  it('judges by a profile that is named', () => {
    const report = chooseReport(parseReports(exposure('vmalloc', 100, 16384) + x86('5.10.0')))!;
    expect(judgeReport(report, { profile: '6.1' }).reproduction).toMatchObject({
      outcome: 'consistent',
      profile: '6.1',
    });
  });
});

describe('what the numbers mean', () => {
  const lines = (log: string): string =>
    judgeReport(chooseReport(parseReports(log))!).reproduction.explanation.lines.join('\n');

  it.each([
    ['a wrapped address', exposure('wrapped address', 0, 18446634686907596985n) + x86('5.4.7'), 'pointer + size'],
    [
      'a stack above its pointer',
      exposure('process stack', 18446744073709550368n, 32) + x86('6.1.0'),
      '1248 bytes above',
    ],
    ['freed memory', exposure("SLUB object 'kmalloc-512'", 0, 1802201963) + x86('5.4.125'), 'POISON_FREE'],
    ['a hash', old('00000000d1c2b3a8', 'kmalloc-64', 16) + x86('4.15.0-rc5'), 'hash'],
    ['pointer tags', exposure('vmalloc', 2882303761517129920n, 11) + x86('5.19.0'), 'tags'],
    [
      'an error number',
      exposure("SLUB object 'kmalloc-512'", 0, 18446744073709551594n) + x86('6.1.0'),
      'the size is -22',
    ],
    [
      'a copy that begins before its object',
      exposure("SLUB object 'kmalloc-64'", 4294967280, 64) + x86('6.1.0'),
      '4294967280 is -16, so the copy begins 16 bytes before the object',
    ],
    ['a memory cgroup', exposure("SLUB object 'inode(12:a)'", 0, 8) + x86('5.4.0'), 'memory cgroup'],
  ])('explains %s', (_name, log, words) => {
    expect(lines(log)).toContain(words);
  });
});

const DUMPS = packageFile('../shared/dumps');

describe.skipIf(!existsSync(DUMPS))('the copy of a real crash (skipped where ../shared/dumps is not there)', () => {
  const cases = existsSync(DUMPS)
    ? readdirSync(DUMPS, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('dmesg.txt'))
    : [];

  it.each(cases)('%s: consistent, and never a wrong pointer', (path) => {
    const { message, args } = JSON.parse(readFileSync(join(DUMPS, path, '..', 'case.json'), 'utf8'));
    const report = chooseReport(parseReports(readFileSync(join(DUMPS, path), 'utf8')));
    if (message === null) {
      expect(report).toBeNull();
      return;
    }
    const { outcome, copy } = judgeReport(report!).reproduction;
    expect(outcome).toBe('consistent');
    expect(copy.size).toBe(BigInt(args.n));
    expect([null, BigInt(args.ptr)]).toContain(copy.pointer);
  });

  it('finds the pointer where the kernel left its end in a register too, as x86_64 does', () => {
    const found = cases
      .filter((path) => path.startsWith('x86_64'))
      .map((path) => {
        const report = chooseReport(parseReports(readFileSync(join(DUMPS, path), 'utf8')));
        return report === null || judgeReport(report).reproduction.copy.pointer !== null;
      });
    expect(found).not.toContain(false);
  });
});
