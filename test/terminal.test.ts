/** What a terminal obeys never reaches it from outside: logs, dumps, state files, file names, errors. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { packageFile } from '../src/paths.js';

const directory = mkdtempSync(join(tmpdir(), 'usercopy-terminal-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const EVIL = '\u001b]0;title\u0007\u001b[31mred\u009b5m\u202eflipped\u2066\u200f\u0000\u007f\r';
const NO_ZERO = EVIL.replace('\0', '');
/** Anything but text, tabs and newlines; colours of our own are asked for in one test alone. */
const OBEYED = /[^\P{C}\t\n]/u;

function usercopy(args: readonly string[], more: { input?: string; colours?: boolean } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [packageFile('build/cli/main.js'), ...args], {
    encoding: 'utf8',
    input: more.input ?? '',
    timeout: 100_000,
    env: { ...process.env, FORCE_COLOR: more.colours ? '1' : '0', NO_COLOR: '' },
  });
  return { status, stdout, stderr };
}

const report = (evil: string): string =>
  `usercopy: Kernel memory exposure attempt detected from SLUB object 'cache${evil}' (offset 8, size 100)!
kernel BUG at mm/usercopy.c:102!
CPU: 0 PID: 7 Comm: ${evil} Not tainted 6.5.0${evil} #1
RIP: 0010:usercopy_abort+0x1/0x2
Call Trace:
 __check_object_size+0x1/0x2
 widget_read${evil}+0x3/0x4
---[ end trace 0000000000000000 ]---
`;

const state = (evil: string, log: string): string => {
  const { size, mtimeMs } = statSync(log);
  const row = {
    ...{ outcome: evil, region: evil, cache: evil, causes: [evil], file: evil, line: null, message: null },
    ...{ offset: evil, size: null, caller: evil, direction: null, kernel: evil, variant: null },
  };
  return `${JSON.stringify({ path: basename(log), stamp: `${size} ${Math.floor(mtimeMs)}`, rows: [row], error: evil })}\n`;
};

function expectClean({ stdout, stderr }: { stdout: string; stderr: string }): void {
  expect(stdout).not.toMatch(OBEYED);
  expect(stderr).not.toMatch(OBEYED);
}

describe('a terminal', () => {
  it('gets no escapes out of a log', () => {
    for (const args of [
      ['repro', '--report', '-'],
      ['repro', '--report', '-', '--all'],
    ]) {
      const shown = usercopy(args, { input: report(NO_ZERO.replace('\r', '')) });
      expect(shown.stdout).toContain('usercopy');
      expectClean(shown);
    }
  });

  it('gets no escapes out of a state file, nor colours of somebody else among our own', () => {
    const folder = join(directory, 'state');
    mkdirSync(folder);
    const log = join(folder, 'a.txt');
    writeFileSync(log, 'x');
    writeFileSync(join(directory, 'state.jsonl'), state(EVIL, log));
    const args = ['triage', folder, '--state', join(directory, 'state.jsonl')];
    const shown = usercopy(args);
    expect(shown.stdout).toContain('\\u001b');
    expectClean(shown);
    expectClean(usercopy(args, { colours: true }));
  });

  it('gets no escapes out of file names and option values, in one line', () => {
    const name = join(directory, `${NO_ZERO}\nsecond line`);
    for (const args of [
      ['run', name],
      ['check', '--dump', name],
      ['repro', '--report', name],
      ['triage', name],
      ['repro', '--report', '-', '--profile', name],
    ]) {
      const shown = usercopy(args, { input: report('') });
      expect(shown.status).toBe(2);
      expect(shown.stderr.trim().split('\n')).toHaveLength(1);
      expectClean(shown);
    }
    const unknown = usercopy([`--${NO_ZERO}`]);
    expect(unknown.status).toBe(2);
    expectClean(unknown);
  });

  it('gets our own colours where they are wanted', () => {
    const { stdout } = usercopy(['doctor'], { colours: true });
    const sequences = [31, 32, 33, 39].map((number) => `\u001b[${number}m`);
    expect(sequences.filter((sequence) => stdout.includes(sequence)).length).toBeGreaterThan(1);
    expect(sequences.reduce((text, sequence) => text.replaceAll(sequence, ''), stdout)).not.toMatch(OBEYED);
  });
});

describe('JSON', () => {
  it('has the exact values, escaped', () => {
    const folder = join(directory, 'json');
    mkdirSync(folder);
    const log = join(folder, 'a.txt');
    writeFileSync(log, 'x');
    writeFileSync(join(directory, 'json.jsonl'), state(EVIL, log));
    const shown = usercopy(['triage', folder, '--state', join(directory, 'json.jsonl'), '--json']);
    expectClean(shown);
    const { groups, failures } = JSON.parse(shown.stdout);
    expect(groups[0]).toMatchObject({ region: EVIL, cache: EVIL, causes: [EVIL] });
    expect(failures).toEqual([{ file: 'a.txt', error: EVIL }]);
  });
});

const HOSTILE = resolve('../shared/hostile');
describe.skipIf(!existsSync(HOSTILE))('the hostile inputs (../shared/hostile)', () => {
  it('print nothing that a terminal obeys', () => {
    const log = join(HOSTILE, 'dmesg-c1.txt');
    expect(readFileSync(log, 'latin1')).toContain('\u001b');
    for (const args of [
      ['repro', '--report', log],
      ['check', '--dump', join(HOSTILE, 'dump-escape-in-cache-name.vmcore')],
      ['repro', '--dump', join(HOSTILE, 'dump-escape-in-cache-name.vmcore')],
    ]) {
      const shown = usercopy(args);
      expect(shown.stdout + shown.stderr).not.toBe('');
      expectClean(shown);
    }
  });
});

/** Runs a program in a terminal of 80 columns, and prints what came to it as JSON: the terminal is the kernel's own. */
const TERMINAL = `
import fcntl, json, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 80, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b''
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    shown += part
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({'shown': shown.decode().replace('\\r\\n', '\\n'), 'status': status}))
`;

describe('in a terminal of 80 columns', () => {
  const dump = join(directory, 'vmcore');
  writeFileSync(dump, gunzipSync(readFileSync(packageFile('test/fixtures/dumps/x86_64-6.1.UCX_STACK_OVER.vmcore.gz'))));
  const log = join(directory, 'dmesg.txt');
  writeFileSync(log, report(''));
  const scenario = join(directory, 'case.yaml');
  it.each([
    ['run own --variant arm64', true, 0],
    ['run random --variant x86_64 --copies 100 --seed 1', true, 0],
    [`new ${scenario} --yes`, false, 0],
    [`run ${scenario}`, true, 0],
    [`repro --dump ${dump}`, true, 1],
    [`check --dump ${dump}`, true, 1],
    [`identify 0xff2d6d76c0013fe8 --dump ${dump}`, true, 0],
    [`repro --report ${log}`, true, 1],
    [`triage ${directory}`, true, 1],
    ['overhead --variant s390x', true, 0],
    [`kernel symbols ${packageFile('guests/elf/x86_64.elf')} __check_object_size`, true, 0],
    ['arch', false, 0],
    ['profiles', false, 0],
  ])('usercopy %s ends in the next step, its tables fit, and what takes long says so', (line, isLong, expected) => {
    const args = ['-c', TERMINAL, process.execPath, packageFile('build/cli/main.js'), ...line.split(' ')];
    const env = { ...process.env, NO_COLOR: '1', COLUMNS: '' };
    const { stdout, stderr } = spawnSync('python3', args, { encoding: 'utf8', timeout: 100_000, env });
    expect(stderr).toBe('');
    const { shown, status }: { shown: string; status: number } = JSON.parse(stdout);
    expect(status, shown).toBe(expected);
    expect(shown.includes('\r\u001b[K')).toBe(isLong);
    // What a line of progress leaves behind when it has gone away.
    const lines = shown
      .split('\n')
      .map((text) => text.slice(text.lastIndexOf('\r\u001b[K') + 1).replace('\u001b[K', ''));
    for (const text of lines.filter((one) => /^[│┌├└]/.test(one))) expect(text.length).toBeLessThanOrEqual(80);
    expect(lines.filter((text) => text !== '').at(-1)).toMatch(/^next: usercopy /);
  });
});
