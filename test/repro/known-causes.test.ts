import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CAUSES } from '../../src/diagnosis/causes-found.js';
import { isInternalCache, knownCauseOf } from '../../src/diagnosis/known-causes.js';
import { packageFile } from '../../src/paths.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';

const SHARED_REPORTS = packageFile('../shared/reports/reports.jsonl');
/** Public reports, which are not part of the project. */
const sharedReportsAreThere = existsSync(SHARED_REPORTS);
const CLASSES = readFileSync(packageFile('docs/causes.md'), 'utf8');

describe('known causes', () => {
  it.each(CAUSES)(
    '$id has a class of docs/causes.md, a pattern that compiles, a source',
    ({ cause, pattern, was, source, fix, confidence }) => {
      expect(CLASSES).toContain(`| ${cause} |`);
      for (const part of ['cache', 'region', 'refusal', 'caller', 'trace', 'modules', 'comm', 'variant'] as const) {
        const expression = pattern[part];
        if (typeof expression === 'string') expect(() => new RegExp(expression)).not.toThrow();
      }
      expect(Object.keys(pattern).length).toBeGreaterThan(0);
      expect([was.length > 20, source.length > 5]).toEqual([true, true]);
      expect(['certain', 'likely', 'possible']).toContain(confidence);
      if (fix === null) return;
      expect(fix).toMatchObject({ title: expect.any(String), version: expect.stringMatching(/^\d+\.\d+/) });
      expect(fix.commit ?? '0123456789ab').toMatch(/^[0-9a-f]{12}$/);
    },
  );

  it('are known by one name each', () => {
    const ids = CAUSES.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  const known = (message: string, release: string, more = '') => {
    const log = `usercopy: Kernel memory ${message}\nCPU: 0 PID: 1 Comm: a Not tainted ${release} #1\nRIP: 0010:usercopy_abort+0x1/0x2\n${more}`;
    return knownCauseOf(chooseReport(parseReports(log))!);
  };
  const DMA = "overwrite attempt detected to SLUB object 'dma-kmalloc-1k' (offset 0, size 11)!";
  const NO_AREA = "exposure attempt detected from vmalloc 'no area' (offset 0, size 1)!";

  it.each([
    ['a kernel that has it', DMA, '5.3.0', 'dma-kmalloc'],
    ['the first that is mended', DMA, '5.8.0', undefined],
    ['one of the last candidates', NO_AREA, '5.19.0-rc2+', 'vm_map_ram'],
    ['the candidate that is mended', NO_AREA, '5.19.0-rc3', undefined],
    ['between 5.18 and the first candidate', NO_AREA, '5.18.0+', 'vm_map_ram'],
  ])('by release: %s', (_name, message, release, id) => {
    expect(known(message, release)?.id).toBe(id);
  });

  // Where the threads of these reports found the cause, by what docs/causes.md counts; each is the source of an entry.
  const FOUND: Readonly<Record<string, string>> = {
    'next-20240325-cpumask-x86': 'cpumask-without-message',
    'ppc64le-cpumask-6.9rc1-next': 'cpumask',
    'ppc64le-rseq-auxv-6.2rc3-next': 'rseq-auxv-without-message',
    'nfs4_listxattr-arm64-6.6': 'nfs4_listxattr',
    'syzbot-ld_usb-stack-5.4rc3': 'ld_usb',
    'rtas_flash-6.5rc3-nomsg': 'rtas_flash-without-message',
    'dtl-pseries-6.10rc3-nomsg': 'dtl-without-message',
    'rds-recvmsg-warn': 'rds',
    'io_kiocb-openat2-6.4': 'io_kiocb',
  };
  it.skipIf(!sharedReportsAreThere)('are found in the reports that they were found by', () => {
    const reports = readFileSync(SHARED_REPORTS, 'utf8').trim().split('\n');
    const found = reports.map((line) => {
      const { id, dmesg } = JSON.parse(line) as { id: string; dmesg: string };
      return [id, knownCauseOf(chooseReport(parseReports(`${dmesg}\n`))!)?.id] as const;
    });
    expect(Object.fromEntries(found.filter(([id]) => id in FOUND))).toEqual(FOUND);
  });

  it.each([
    [
      'a copy past the end of its object',
      "overwrite attempt detected to SLUB object 'dma-kmalloc-64' (offset 0, size 100)!",
      '5.3.0',
    ],
    [
      'a copy past the end of any such object',
      "overwrite attempt detected to SLUB object 'io_kiocb' (offset 24, size 4096)!",
      '6.4.0',
    ],
    ['the other direction', "exposure attempt detected from SLUB object 'io_kiocb' (offset 24, size 24)!", '6.4.0'],
    [
      'numbers of poison',
      "overwrite attempt detected to SLUB object 'io_kiocb' (offset 24, size 1802201963)!",
      '6.4.0',
    ],
    [
      'a copy that begins before its object',
      "exposure attempt detected from SLUB object 'cpumask' (offset 4294967288, size 8)!",
      '6.9.0-rc1',
    ],
  ])('are not blamed for %s', (_name, message, release) => {
    expect(known(message, release)).toBeNull();
  });

  it('are less sure in a kernel that was damaged before', () => {
    const log = (taint: string): string =>
      `usercopy: Kernel memory ${DMA}\nkernel BUG at mm/usercopy.c:99!\nCPU: 0 PID: 1 Comm: a ${taint} 5.3.0 #1\nRIP: 0010:usercopy_abort+0x1/0x2\n`;
    const sure = ['Not tainted', 'Tainted: G      D'].map(
      (taint) => knownCauseOf(chooseReport(parseReports(log(taint)))!)?.confidence,
    );
    expect(sure).toEqual(['certain', 'likely']);
  });

  it('are less sure on a vendor tree', () => {
    expect(known(DMA, '5.3.0')?.confidence).toBe('certain');
    expect(known(DMA, '5.3.18-57-default')?.confidence).toBe('likely');
  });

  it('tell caches that nobody copies from, cgroup or not', () => {
    expect(['anon_vma', 'anon_vma_chain(49:syz4)', 'bio-120'].map(isInternalCache)).toEqual([true, true, true]);
    expect(['kmalloc-64', 'task_struct', 'names_cache', 'widget'].map(isInternalCache)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});
