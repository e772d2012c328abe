import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { packageFile } from '../../src/paths.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import { playReport } from '../../src/repro/play-report.js';
import { playScenario } from '../../src/scenario/play.js';
import { parseScenario } from '../../src/scenario/read.js';
import { writeScenario } from '../../src/scenario/write.js';

/** Lines that only these architectures print. */
const OOPS: Readonly<Record<string, string>> = {
  x86_64: 'RIP: 0010:usercopy_abort+0x1/0x2',
  i386: 'EIP: usercopy_abort+0x1/0x2',
  arm64: 'pstate: 60400005 (nZCv daif)',
  arm: 'Flags: nZCv  IRQs on  FIQs off  Mode SVC_32  ISA ARM  Segment none',
  s390x: 'Krnl PSW : 0704c00180000000 0000000000a1b052 (usercopy_abort+0xa2/0xa8)',
  ppc64le:
    'LE PAGE_SIZE=64K MMU=Radix SMP\nNIP [c0000000005991d0] usercopy_abort+0xa0/0xb0\nLR [c0000000005991cc] usercopy_abort+0x9c/0xb0\nREGS: c0000000148c76a0 TRAP: 0700 Not tainted (6.5.0)\nMSR:  8000000000029033 <SF,EE,ME,IR,DR,RI,LE>\nGPR00: c0000000005991cc c0000000148c7940',
  sparc64: 'TSTATE: 0000000080001607 TPC: 0000000000571f40 TNPC: 0000000000571f44',
  riscv64: 'epc : ffffffff803b5120 ra : ffffffff803b5120 sp : ff20000000c0bd30',
  mips64el: '$ 0   : 0000000000000000 0000000000000001 0000000000000052 ffffffff80d50000',
  arc: '[ECR   ]: 0x00220100 => Invalid Read @ 0x00000010 by insn @ 0x902a3c30',
};

const report = (variant: string, release: string, message: string) =>
  chooseReport(parseReports(`${message}\nCPU: 0 PID: 7 Comm: a Not tainted ${release} #1\n${OOPS[variant]}\n`))!;

describe('playing what a report describes', () => {
  it.each([
    [
      'x86_64',
      '6.6.0',
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-192' (offset 82, size 499712)!",
    ],
    ['x86_64', '6.1.0', 'usercopy: Kernel memory exposure attempt detected from process stack (offset 40, size 64)!'],
    ['arm64', '6.2.0', "usercopy: Kernel memory overwrite attempt detected to SLUB object 'pid' (offset 24, size 24)!"],
    ['i386', '6.10.0', 'usercopy: Kernel memory exposure attempt detected from null address (offset 7, size 8192)!'],
    ['arm', '6.3.0', 'usercopy: Kernel memory exposure attempt detected from wrapped address (offset 0, size 1000)!'],
    ['s390x', '6.1.0', 'usercopy: Kernel memory exposure attempt detected from page alloc (offset 6144, size 4096)!'],
    ['ppc64le', '6.9.0', 'usercopy: Kernel memory overwrite attempt detected to kernel text (offset 16, size 4)!'],
    ['riscv64', '6.6.0', 'usercopy: Kernel memory overwrite attempt detected to wrapped address (offset 0, size 100)!'],
    [
      'mips64el',
      '6.1.0-50-5kc-malta',
      'usercopy: Kernel memory exposure attempt detected from null address (offset 0, size 8)!',
    ],
    ['sparc64', '6.5.0', 'usercopy: Kernel memory exposure attempt detected from process stack (offset 0, size 64)!'],
  ])("%s %s: the guest's own check prints the reported line, and so do we", async (variant, release, message) => {
    const { reproduction } = await playReport(judgeReport(report(variant, release, message)));
    expect(reproduction).toMatchObject({
      outcome: 'consistent',
      variant,
      check: { message, refused: true, judged: 'scenario' },
      replay: { message, refused: true },
    });
    expect(reproduction.replay!.instructions).toBeGreaterThan(100);
  });

  it.each([
    [
      'x86_64',
      '5.10.0',
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'zio_buf' (offset 4629, size 28139)!",
    ],
    [
      'x86_64',
      '6.1.0',
      'usercopy: Kernel memory exposure attempt detected from process stack (offset 18446744073709550368, size 32)!',
    ],
    ['x86_64', '6.2.0', 'usercopy: Kernel memory exposure attempt detected from vmalloc (offset 975108, size 249596)!'],
    ['arm64', '5.19.0', "usercopy: Kernel memory exposure attempt detected from vmalloc 'no area' (offset 0, size 1)!"],
    [
      'x86_64',
      '5.1.0',
      'usercopy: Kernel memory overwrite attempt detected to spans multiple pages (offset 0, size 372)!',
    ],
  ])('%s %s: rules or objects that only we know print it too', async (variant, release, message) => {
    const { reproduction } = await playReport(judgeReport(report(variant, release, message)));
    expect(reproduction).toMatchObject({ outcome: 'consistent', check: { message }, replay: null });
  });

  it.each([
    ['loongarch64', 'x86_64', true],
    ['parisc64', 'x86_64', true],
    ['m68k', 'i386', true],
    // Of kernels whose rules the guests' own check does not know.
    ['ia64', 'x86_64', false],
    ['mips', 'i386', false],
  ])(
    'a report of %s, which has no guest, is played where all guests of its width print its line',
    async (name, player, replays) => {
      const log = readFileSync(packageFile(`test/report/logs/${name}.log`), 'utf8');
      const message =
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 60, size 8)!";
      const other = log.replace(parseReports(log)[0]!.message!.text, message);
      const { reproduction } = await playReport(judgeReport(chooseReport(parseReports(other))!));
      expect(reproduction).toMatchObject({ outcome: 'consistent', variant: name, check: { message } });
      expect(reproduction.replay?.message ?? null).toBe(replays ? message : null);
      const [note] = reproduction.explanation.lines.filter((line) => line.includes('there is no built-in guest of'));
      expect(note).toMatch(
        new RegExp(`guest of ${name}: all \\d built-in guests' rules print this line, ${player} played it`),
      );
    },
  );

  it('writes the scenario so that reading it back gives the same', async () => {
    const message =
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-cg-64' (offset 60, size 8)!";
    const { scenario } = await playReport(judgeReport(report('x86_64', '6.1.0', message)));
    const text = writeScenario(scenario!.scenario, [message]);
    const run = await playScenario(parseScenario(text, 'case.yaml'));
    expect(run).toMatchObject({ ok: true, rows: [{ ours: message, guest: message, ends: 'bug' }] });
  });

  it.each([
    [
      'arc',
      '6.1.0',
      'usercopy: Kernel memory exposure attempt detected from process stack (offset 40, size 64)!',
      'no built-in guest of arc, and',
    ],
    [
      'x86_64',
      '6.1.0',
      'usercopy: Kernel memory exposure attempt detected from kernel text (offset 3447136, size 100)!',
      'text has only',
    ],
    [
      'x86_64',
      '6.1.0',
      'usercopy: Kernel memory exposure attempt detected from null address (offset 99, size 8)!',
      'contradictory',
    ],
  ])('%s %s: says why there is none', async (variant, release, message, words) => {
    const { scenario, why, reproduction } = await playReport(judgeReport(report(variant, release, message)));
    expect([scenario, reproduction.check]).toEqual([null, null]);
    expect(why).toContain(words);
  });
});
