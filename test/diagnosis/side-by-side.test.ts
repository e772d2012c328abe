/** A report's copy under every era's rules; the judges are lines that kernels printed, and the rules of 4.16's usercopy_warn(). */
import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { Check } from '../../src/check/check.js';
import { judgeReport, type ReportJudgement } from '../../src/diagnosis/from-report.js';
import { remedies, type SideBySide, sideBySide } from '../../src/diagnosis/side-by-side.js';
import { printedLine } from '../../src/diagnosis/small-memory.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { packageFile } from '../../src/paths.js';
import { parseReports } from '../../src/report/parse.js';

let check: Check;
beforeAll(async () => {
  check = await Check.create({ source: builtCheck, guestBytes: 0, executor: 'v8' });
});

const LOGS = ['test/report/logs', 'test/report/cases'].flatMap((folder) =>
  readdirSync(packageFile(folder))
    .filter((name) => name.endsWith('.log'))
    .map((name) => `${folder}/${name}`),
);

function judgedOf(log: string): { judgement: ReportJudgement; found: SideBySide | string }[] {
  return parseReports(log).map((report) => {
    const judgement = judgeReport(report);
    return { judgement, found: sideBySide(judgement, check) };
  });
}

it('the row of the reported kernel has the line that it printed', () => {
  const printed: string[] = [];
  const expected: string[] = [];
  for (const path of LOGS) {
    for (const { judgement, found } of judgedOf(readFileSync(packageFile(path), 'utf8'))) {
      const message = judgement.whole?.message;
      if (typeof found === 'string' || message === undefined) continue;
      const own = found.rows.find(({ isOwn }) => isOwn);
      // The address of an old line may be hashed, or told by nothing.
      if (own === undefined || (message.format === 'old' && message.address === null)) continue;
      printed.push(`${path}: ${printedLine(own.verdict)}`);
      expected.push(`${path}: ${message.canonical}`);
    }
  }
  expect(printed).toEqual(expected);
  expect(printed.length).toBeGreaterThan(20);
});

const warned = (cache: string, offset: number, size: number, allocator = 'SLUB'): string =>
  `Bad or missing usercopy whitelist? Kernel memory exposure attempt detected from ${allocator} object '${cache}' (offset ${offset}, size ${size})!`;
const KERNEL = '\nCPU: 0 PID: 7 Comm: a Not tainted 4.19.0 #1\nRIP: 0010:usercopy_warn+0x1/0x2\n';

it.each([
  ['task_struct', 8, 64, 'SLUB'],
  ['gadget', 0, 1, 'SLUB'],
  ['gadget', 4095, 7, 'SLAB'],
])("a warning of %s is its own kernel's line, and no length is called too long", (cache, offset, size, allocator) => {
  const line = warned(cache, offset, size, allocator);
  const [{ judgement, found }] = judgedOf(line + KERNEL) as [ReturnType<typeof judgedOf>[number]];
  if (typeof found === 'string') throw new Error(found);
  const row = (kernels: string) => found.rows.find((one) => one.kernels.startsWith(kernels))!;
  expect(row('4.16')).toMatchObject({ isOwn: true, verdict: { message: null, warning: line } });
  // Without the fallback the same offset and size are refused; before whitelists nothing looks inside an object.
  expect(printedLine(row('5.0 ').verdict)).toBe(line.replace('Bad or missing usercopy whitelist?', 'usercopy:'));
  expect(printedLine(row('4.8').verdict)).toBe('nothing: the copy passes');
  const offered = remedies(judgement, found, check);
  expect(offered.map(({ text }) => text).join('\n')).toContain(`useroffset ${offset}, usersize ${size}`);
  expect(offered.map(({ code }) => code).join('\n')).not.toMatch(/size </);
});
