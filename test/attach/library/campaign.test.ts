/** A fuzzer finds a bad length in a real kernel: examples/harness/fuzz.c under AFL++, as its head says. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsercopyError } from '../../../src/errors.js';
import { fetchKernel } from '../../../src/image/fetch.js';
import { packageFile } from '../../../src/paths.js';
import { usercopy } from '../../cli/usercopy.js';
import { fuzzer, python, unicornEnvironment, unicornsHere } from '../../places.js';
import { compile, LIBRARY, runProgram } from './machine.js';

const folder = mkdtempSync(join(tmpdir(), 'campaign-'));
const place = (name: string): string => join(folder, name);
const [program, guest, prepared, seeds, out] = ['fuzz', 'guest', 'attach.json', 'in', 'out'].map(place) as [
  ...[string, string, string, string, string],
];
const build = unicornsHere.at(-1)!;
const OBJECT_BYTES = 1024;
/** The random numbers are the same each time, so that the crash is found after so many executions or not at all. */
const RANDOM_SEED = '1';
const MOST_EXECUTIONS = 400_000;
/** Of a machine that is busy with other things; executions are what ends a campaign. */
const MOST_SECONDS = 200;
/** What keeps afl-fuzz from running on machines that were not set up for it, and lets it end at the first crash. */
const AFL_SETTINGS = {
  AFL_NO_UI: '1',
  AFL_NO_AFFINITY: '1',
  AFL_SKIP_CPUFREQ: '1',
  AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES: '1',
  AFL_BENCH_UNTIL_CRASH: '1',
};
const NOT_RUN: ReturnType<typeof usercopy> = { status: null, out: '', err: 'not run' };
afterAll(() => rmSync(folder, { recursive: true }));

describe("AFL++ on Debian's kernel", () => {
  let absence: string | null = null;
  let image = '';
  let [written, made] = [NOT_RUN, NOT_RUN];

  beforeAll(async () => {
    const afl = fuzzer();
    if (typeof afl === 'string') {
      absence = afl;
      return;
    }
    try {
      image = (await fetchKernel('x86_64', { release: 'bookworm' })).path;
    } catch (error) {
      if (!(error instanceof UsercopyError && error.kind === 'missing-dependency')) throw error;
      absence = error.message;
      return;
    }
    compile(
      'cc',
      [
        ...['-Wall', '-Wextra', '-Werror', '-O2', `-I${packageFile('native')}`, `-I${build.include}`],
        ...[packageFile('examples/harness/fuzz.c'), afl.runtime, '-o', program, LIBRARY, `-L${build.lib}`, '-lunicorn'],
        ...[`-Wl,-rpath,${packageFile('build/Release')}`, `-Wl,-rpath,${build.lib}`],
      ],
      folder,
    );
    written = usercopy(['run', '--kernel', image, '--snapshot', guest, '--json']);
    made = usercopy(['prepare', '--kernel', image, '--snapshot', guest, '-o', prepared]);
  });

  it('has a guest that is set up and can be judged', (context) => {
    if (absence !== null) return context.skip(absence);
    expect([written.status, written.err]).toEqual([0, '']);
    const { places } = JSON.parse(written.out) as { places: { name: string; start: string }[] };
    expect(places.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['task', 'stack', 'user', 'return_address', 'kmalloc_1024', 'cred']),
    );
    expect([made.status, made.err]).toEqual([0, '']);
  });

  it.for(unicornsHere)(
    'is judged by a harness that brings its pages when they are asked for, on $version',
    (here, context) => {
      if (absence !== null) return context.skip(absence);
      const environment = unicornEnvironment(here);
      environment['PYTHONPATH'] = `${packageFile('python')}:${environment['PYTHONPATH']}`;
      const script = packageFile('test/attach/library/check_kernel.py');
      const { stdout, stderr, status } = runProgram(python(), [script, prepared, guest], '', environment);
      expect([stderr, status]).toEqual(['', 0]);
      const claims = stdout.trim().split('\n');
      expect(claims.filter((claim) => !claim.endsWith(': yes'))).toEqual([]);
      expect(claims.length).toBeGreaterThan(10);
    },
  );

  it('finds the length that is too large, and usercopy explains what AFL saved', (context) => {
    const afl = fuzzer();
    if (absence !== null || typeof afl === 'string') return context.skip(absence ?? String(afl));
    mkdirSync(seeds);
    writeFileSync(join(seeds, 'seed'), '7');
    expect(runProgram(program, [prepared, guest, join(seeds, 'seed')])).toMatchObject({
      status: 0,
      stdout: 'nothing was refused\n',
    });
    const campaign = runProgram(
      afl.program,
      [
        ...['-s', RANDOM_SEED, '-E', String(MOST_EXECUTIONS), '-V', String(MOST_SECONDS)],
        ...['-i', seeds, '-o', out, '--', program, prepared, guest],
      ],
      '',
      { ...process.env, ...AFL_SETTINGS, LD_LIBRARY_PATH: afl.lib },
    );
    expect(campaign.stdout).toContain('Persistent mode binary detected');
    const crashes = readdirSync(join(out, 'default', 'crashes')).filter((name) => name.startsWith('id:'));
    expect(crashes.length, campaign.stdout).toBeGreaterThan(0);
    const crash = join(out, 'default', 'crashes', crashes[0]!);
    // strtoul() of C's own library is the judge of the kernel's.
    const length = Number.parseInt(readFileSync(crash, 'latin1').split('\0')[0] ?? '', 10);
    expect(length).toBeGreaterThan(OBJECT_BYTES);
    const { status, stdout } = runProgram(program, [prepared, guest, crash]);
    expect(status).toBe(1);
    const copied = Math.min(length, 65536);
    const line = `usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-1k' (offset 0, size ${copied})!`;
    expect(stdout.split('\n').slice(0, 2)).toEqual(['BUG: bad usercopy in simple_read_from_buffer', line]);
    expect(stdout).toContain(`the copy ends ${copied - OBJECT_BYTES} bytes past it`);
    expect(stdout).toMatch(/^ simple_read_from_buffer\+0x/m);
    const report = place('report.txt');
    writeFileSync(report, stdout);
    const explained = usercopy(['repro', '--report', report]);
    expect(explained.out).toContain(
      `A copy of ${copied} bytes to user memory out of an object of kmalloc-1k (1024 bytes) was refused`,
    );
  });
});
