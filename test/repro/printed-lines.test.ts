import { describe, expect, it } from 'vitest';
import { attach } from '../../src/attach/attach.js';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import { runDifferential } from '../../src/scenario/differential.js';
import { chooseOwnProfile, loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';
import { buildOwnWorld } from '../../src/scenario/own-world.js';
import { SeededRandom } from '../../src/scenario/random.js';

/** A copy of the very frame of the check: no caller has one there, and a report of it is not believed. */
const OF_THE_CHECK_ITSELF = /process stack \(offset 0,/;
const SEED = 20161205;

/** Lines that a built-in guest's own check prints for random copies: ours are held against each of them. */
async function printedLines(variant: string, profile: string): Promise<readonly string[]> {
  const guest = await startOwnGuest(await loadOwnKernel(variant));
  try {
    chooseOwnProfile(guest, profile);
    const random = new SeededRandom(SEED);
    const { declarations, ...boundaries } = await buildOwnWorld(guest, random);
    const lines = new Set<string>();
    await attach(guest.engine, guest.kernel, {
      judge: 'kernel',
      profile,
      declarations,
      onBlindSpot: () => {},
      onViolation({ message }) {
        if (message !== null) lines.add(message);
        return 'continue';
      },
    });
    const { mismatchCount } = await runDifferential(guest, boundaries, random, {
      copies: 800,
      seed: SEED,
      declarations,
      profile,
    });
    expect(mismatchCount).toBe(0);
    return [...lines];
  } finally {
    guest.close();
  }
}

describe('a line that a kernel printed', () => {
  it.each([
    ['x86_64', '6.1'],
    ['i386', '6.1'],
    ['arm64', 'v3-cma'],
    ['ppc64', 'v3'],
  ])('follows from its numbers: %s, profile %s', async (variant, profile) => {
    const lines = await printedLines(variant, profile);
    expect(lines.length).toBeGreaterThan(100);
    for (const line of lines.filter((line) => !OF_THE_CHECK_ITSELF.test(line))) {
      const report = chooseReport(
        parseReports(`[   12.345678] ${line}\n[   12.345679] kernel BUG at mm/usercopy.c:102!\n`),
      );
      expect(report, line).not.toBeNull();
      if (report === null) continue;
      const { outcome } = judgeReport({ ...report, arch: variant }, { profile }).reproduction;
      expect(outcome, line).toBe('consistent');
    }
  });
});
