import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { readReports } from '../../src/report/excerpts.js';
import { readLog } from '../../src/repro/read-log.js';
import { writeScenario } from '../../src/scenario/write.js';
import { type HereProgram, zstd } from '../places.js';

const log = readFileSync(packageFile('test/report/logs/x86_64.log'), 'utf8');
const other = readFileSync(packageFile('test/report/logs/i386.log'), 'utf8');
const TEXT = "usercopy: Kernel memory exposure attempt detected from SLUB object 'widget-a' (offset 8, size 120)!";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'usercopy-log-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string, bytes: Uint8Array | string): string => {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
};
const bigEndian = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();
/** zstd is the one that the set-up brought; the others are the machine's. */
const programOf = (tool: string): HereProgram | string =>
  tool === 'zstd' ? zstd() : { program: tool, env: process.env };

/** Packed by a tool itself; why not, where a machine has not got it. */
function packedBy(tool: string, text: string): Buffer | string {
  const found = programOf(tool);
  if (typeof found === 'string') return found;
  const { status, stdout, error } = spawnSync(found.program, ['-c'], {
    input: text,
    maxBuffer: 1 << 24,
    env: found.env,
  });
  if (error !== undefined) return `${tool}: ${error.message}`;
  expect(status).toBe(0);
  return stdout;
}

describe('what this program wrote and another one put into other lines', () => {
  const MESSAGE = { messages: { to_user: TEXT } };
  it.each([
    ['an attachment', { usercopyHarness: 1, attachment: MESSAGE }, 'an attachment of usercopy prepare'],
    ['a line of a state file', { path: 'a', stamp: 'b', rows: [MESSAGE] }, 'a state file of usercopy triage'],
  ])('%s is no log', (name, value, what) => {
    for (const blanks of [0, 1, '\t']) {
      const path = file(`${name.replaceAll(' ', '-')}.json`, `${JSON.stringify(value, null, blanks)}\n`);
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [packageFile('build/cli/main.js'), 'repro', '--report', path],
        { encoding: 'utf8' },
      );
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toContain(`expected a log, found ${what}`);
    }
  });
});

describe('a log on a disk', () => {
  it.each<[string, Uint8Array]>([
    ['as it is', Buffer.from(log)],
    ['packed by gzip', gzipSync(log)],
    ['in UTF-16 with a mark', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(log, 'utf16le')])],
    ['in UTF-16 without', Buffer.from(log, 'utf16le')],
    ['in UTF-16, the other way round', Buffer.concat([Buffer.from([0xfe, 0xff]), bigEndian(log)])],
    ['in UTF-8 with a mark', Buffer.from(`\ufeff${log}`)],
    ['behind the zeros of a lost power supply', Buffer.concat([Buffer.alloc(8192), Buffer.from(log)])],
    ['with zeros in the middle', Buffer.from(log.replace('Call Trace', `${'\0'.repeat(4096)}Call Trace`))],
    ['in UTF-16, packed', gzipSync(Buffer.from(log, 'utf16le'))],
  ])('%s is read', async (name, bytes) => {
    const [report] = await readLog(file(name.replaceAll(' ', '-'), bytes));
    expect(report).toMatchObject({ message: { text: TEXT }, comm: 'two words', lines: { first: 1 } });
    expect(report!.registers.get('r15')).toBe(0xffff888104000008n);
  });

  it.for(['gzip', 'xz', 'zstd', 'bzip2'])(
    'in two pieces, one behind the other, of %s is read whole',
    async (tool, { skip }) => {
      const [first, second] = [packedBy(tool, log), packedBy(tool, other)];
      if (typeof first === 'string' || typeof second === 'string') return skip(String(first));
      const reports = await readLog(file(`two.${tool}`, Buffer.concat([first, second])));
      expect(reports.map(({ arch }) => arch)).toEqual(['x86_64', 'i386']);
    },
  );

  it('of zstd is read behind frames of its writer, which come first in what pzstd writes', async ({ skip }) => {
    const packed = packedBy('zstd', log);
    if (typeof packed === 'string') return skip(packed);
    // RFC 8878, 3.1.2: 0x184d2a50 to 0x184d2a5f, the length, so many bytes.
    const skipped = [0x50, 0x5f].flatMap((low) => [low, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
    const path = file('skipped.zst', Buffer.concat([Buffer.from(skipped), packed]));
    expect((await readLog(path)).map(({ arch }) => arch)).toEqual(['x86_64']);
  });

  it.each<[string, () => string, RegExp]>([
    ['a folder', () => directory, /a directory/],
    ['a device', () => '/dev/zero', /a device/],
    ['nothing', () => join(directory, 'nothing'), /ENOENT/],
    ['half of a packed log', () => file('half.gz', gzipSync(log).subarray(0, 300)), /whole/],
    [
      'a scenario of ours',
      () => file('case.yaml', writeScenario({ guest: { variant: 'x86_64' }, steps: [] }, ['Reported:', TEXT])),
      /a scenario of usercopy run/,
    ],
    ['a broken packed log', () => file('broken.gz', gzipSync(log).fill(0x55, 40, 200)), /whole|read/],
  ])('%s is refused in a sentence', async (_name, path, words) => {
    await expect(readLog(path())).rejects.toMatchObject({ kind: 'bad-input', message: expect.stringMatching(words) });
  });
});

describe('a log that is too long to be read at once', () => {
  const LINE = 'Jan  5 12:00:00 host1 daemon[77]: something ordinary happened, and nothing more\n';
  const filler = LINE.repeat(4096);
  const pieces = function* (between: number) {
    for (let round = 0; round < between; round++) yield filler;
    yield log;
    for (let round = 0; round < between; round++) yield filler;
    yield other;
    yield filler;
  };

  it('gives the same reports with the lines of the whole', async () => {
    const ROUNDS = 60;
    const reports = await readReports(pieces(ROUNDS));
    expect(reports.map(({ arch }) => arch)).toEqual(['x86_64', 'i386']);
    const before = ROUNDS * 4096;
    const lines = log.trimEnd().split('\n').length;
    expect(reports.map(({ lines: { first } }) => first)).toEqual([before + 1, 2 * before + lines + 1]);
  });

  it('does not mind where the pieces end', async () => {
    const text = `${filler}${log}${filler}`;
    for (const size of [1000, 4093, 65_537]) {
      const cut = function* () {
        // Long enough to leave the way in which short texts are read.
        for (let round = 0; round < 110; round++) yield filler;
        for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
      };
      const [report, ...more] = await readReports(cut());
      expect(more).toEqual([]);
      expect(report).toMatchObject({ message: { text: TEXT }, comm: 'two words', lines: { first: 111 * 4096 + 1 } });
    }
  });
});
