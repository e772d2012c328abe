/** Harnesses on real kernels: the kernel's own error path is the judge of a copy that is made to fail. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { drivers } from '../../../arch/index.js';
import { attach } from '../../../src/attach/attach.js';
import { prepareHarness } from '../../../src/attach/harness.js';
import { harnessText } from '../../../src/attach/harness-file.js';
import { UsercopyError } from '../../../src/errors.js';
import { Guest } from '../../../src/guest/guest.js';
import { KernelObjects } from '../../../src/guest/objects.js';
import { writeSnapshot } from '../../../src/guest/snapshot.js';
import { fetchKernel } from '../../../src/image/fetch.js';
import { loadKernel } from '../../../src/image/load.js';
import { packageFile } from '../../../src/paths.js';
import { python, unicornBuild, unicornEnvironment, unicornInUse } from '../../places.js';
import { runProgram } from './machine.js';

const folder = mkdtempSync(join(tmpdir(), 'decisions-'));
afterAll(() => rmSync(folder, { recursive: true }));
const build = unicornBuild(unicornInUse().version);
const EFAULT = 14;
const FUNCTION = 'simple_read_from_buffer';

async function pathOf(variant: string, release: string): Promise<{ readonly path: string } | string> {
  try {
    return await fetchKernel(variant, { release });
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') return error.message;
    throw error;
  }
}

describe.each([
  ['x86_64', 'trixie'],
  ['arm64', 'trixie'],
  ['i386', 'bookworm'],
  ['arm', 'bookworm'],
  ['ppc64le', 'bookworm'],
  ['s390x', 'bookworm'],
  ['riscv64', 'trixie'],
])("a harness on Debian's %s kernel of %s", (variant, release) => {
  it('stops, fails, crashes, brings pages in, and tells who called', async (context) => {
    const image = await pathOf(variant, release);
    if (typeof image === 'string') return context.skip(image);
    const guest = await Guest.create(await loadKernel(image, { drivers }));
    const [snapshot, prepared] = [join(folder, variant), join(folder, `${variant}.json`)];
    try {
      const objects = new KernelObjects(guest);
      const slab = objects.makeSlab({ name: 'own', objectSize: 64, size: 64, useroffset: 0, usersize: 64 });
      const args = [guest.user.address, 65n, guest.memory.allocate(4096n), slab.object(2), 4096n];
      const attachment = await attach(guest, { stackDepth: { check: 0n, print: 0n } });
      expect(await guest.call(FUNCTION, args)).toMatchObject({ kind: 'stopped' });
      const [violation] = attachment.violations;
      attachment.detach();

      guest.stand(FUNCTION, args);
      writeSnapshot(guest.engine, guest.variant, snapshot, {
        kernel: guest.kernel.version.release,
        places: [{ name: 'return_address', start: guest.returnAddress, end: guest.returnAddress + 1n }],
        memoryOffset: (start) => guest.memory.offsetOfRegion(start),
      });
      writeFileSync(prepared, harnessText(await prepareHarness(guest.kernel)));
      const environment = unicornEnvironment(build);
      environment['PYTHONPATH'] = `${packageFile('python')}:${environment['PYTHONPATH']}`;
      const script = packageFile('test/attach/library/check_decisions.py');
      const needed = `0x${objects.structPage(slab.start).toString(16)}`;
      const { stdout, stderr } = runProgram(python(), [script, variant, prepared, snapshot, needed], '', environment);
      const TOLD = /^usercopy: warning: the emulator no longer has the snapshot's memory at 0x[0-9a-f]+: .*$/gm;
      const comparedLate = variant === 'x86_64';
      expect(stderr.match(TOLD)?.length).toBe(comparedLate ? 2 : 1);
      expect(stderr.replaceAll(TOLD, '').trim()).toBe('');
      const message = "usercopy: Kernel memory exposure attempt detected from SLUB object 'own' (offset 0, size 65)!";
      expect(JSON.parse(stdout)).toEqual({
        ...{ good: 64, stopped: true, failed: -EFAULT, crashed: true },
        ...{ 'good again': 64, 'good after a crash': 64 },
        ...{ message, title: `BUG: bad usercopy in ${FUNCTION}`, caller: FUNCTION },
        method: violation?.backtraceMethod,
        backtrace: violation?.backtrace.map(({ symbol, address, offset, reliable }) => [
          symbol ?? `0x${address.toString(16)}`,
          Number(offset),
          reliable,
        ]),
        statistics: [6, 3, 3],
        ...{ asked: [true], messages: [message], judged: [1, 1, 0], 'in place': true },
        ...{ 'taken away, refused': [1, [true], 1], 'taken away, passed': comparedLate ? [1, [true], 1] : [0, [], 0] },
      });
      expect(violation?.backtrace[0]).toMatchObject({ symbol: FUNCTION, reliable: true });
    } finally {
      guest.close();
    }
  }, 60_000);
});
