import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CAUSES } from '../../src/diagnosis/causes-found.js';
import { isInternalCache, knownCauseOf } from '../../src/diagnosis/known-causes.js';
import { packageFile } from '../../src/paths.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';

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
      expect(['certain', 'likely']).toContain(confidence);
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
