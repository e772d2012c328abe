import { spawnSync } from 'node:child_process';
import { linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';

/** The tool as a user starts it. */
function usercopy(args: readonly string[], input = '') {
  const result = spawnSync(process.execPath, [packageFile('build/cli/main.js'), ...args], {
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 64 << 20,
    input,
  });
  return { status: result.status, out: result.stdout, err: result.stderr };
}

const BUG = `[    1.000000] usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!
[    1.000001] kernel BUG at mm/usercopy.c:102!
[    1.000002] CPU: 0 PID: 7 Comm: a Not tainted 6.5.0 #1
[    1.000003] RIP: 0010:usercopy_abort+0x1/0x2
[    1.000004] ---[ end trace 0000000000000000 ]---
`;
const NO_MESSAGE =
  'kernel BUG at mm/usercopy.c:102!\nCPU: 0 PID: 7 Comm: a Not tainted 6.5.0 #1\n---[ end trace 0 ]---\n';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'usercopy-repro-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe('usercopy repro --report', () => {
  it('tells the verdict first: refused, what, by how much, who, why', () => {
    const log = BUG.replace(
      '[    1.000004] ---',
      `[    1.000004] Call Trace:
[    1.000005]  __check_object_size+0x1/0x2
[    1.000006]  simple_read_from_buffer+0x3/0x4
[    1.000007]  widget_read+0x5/0x6 [widget]
[    1.000008] Modules linked in: widget(OE)
[    1.000009] ---`,
    );
    const path = file('verdict.txt', log);
    const [first] = usercopy(['repro', '--report', path]).out.split('\n');
    expect(first).toMatch(
      /^BUG: bad usercopy in widget_read\. A copy of 100 bytes to user memory .*kmalloc-64 \(64 bytes\) was refused: .* ends 44 bytes past it\. widget_read\(\) of module widget /,
    );
    expect(JSON.parse(usercopy(['repro', '--report', path, '--json']).out).verdict).toMatchObject({
      title: 'BUG: bad usercopy in widget_read',
      refused: true,
      object: 'object of kmalloc-64 (64 bytes)',
      caller: 'widget_read',
      module: 'widget',
      foreign: true,
      cause: 'out-of-tree module',
      known_cause: null,
    });
  });

  it('takes from --variant and --release what a log lacks, and nothing else', () => {
    const bare = file(
      'bare.txt',
      'usercopy: Kernel memory overwrite attempt detected to process stack (offset 0, size 4)!\n',
    );
    const given = (...more: string[]) => usercopy(['repro', '--report', bare, '--json', ...more]);
    expect(JSON.parse(given('--variant', 'arm64', '--release', '6.1.0').out)).toMatchObject({
      outcome: 'contradictory',
      variant: 'arm64',
      kernel: '6.1.0',
    });
    expect(JSON.parse(given('--release', '5.4.0').out)).toMatchObject({ outcome: 'consistent', kernel: '5.4.0' });
    for (const [wrong, words] of [
      [['--variant', 'pdp11'], 'x86_64'],
      [['--release', 'new'], 'release'],
    ] as const) {
      const { status, err } = given(...wrong);
      expect(status).toBe(2);
      expect(err).toContain(words);
    }
    const full = usercopy(['repro', '--report', file('full.txt', BUG), '--release', '5.4.0']);
    expect(full.status).toBe(2);
    expect(full.err).toContain('6.5.0');
  });

  it('prints the contract, every key there', () => {
    const { status, out } = usercopy(['repro', '--report', file('bug.txt', BUG), '--json']);
    expect(status).toBe(1);
    const found = JSON.parse(out);
    expect(found).toMatchObject({
      outcome: 'consistent',
      variant: 'x86_64',
      profile: '6.1,kmap-fixmap',
      kernel: '6.5.0',
      copy: { pointer: null, size: 100, direction: 'to_user' },
      report: {
        message:
          "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!",
        bug_line: 'kernel BUG at mm/usercopy.c:102!',
        region: 'kmalloc-64',
        region_kind: 'SLUB object',
        offset: 8,
        address: null,
      },
      explanation: { region: 'slab object', object: { size: 64, cache: 'kmalloc-64' }, field: null },
    });
    expect(Object.keys(found)).toEqual([
      'generator',
      'verdict',
      'outcome',
      'variant',
      'profile',
      'kernel',
      'copy',
      'report',
      'check',
      'replay',
      'explanation',
      'code',
    ]);
    expect(Object.keys(found.copy)).toEqual(['pointer', 'size', 'direction']);
    expect(found.explanation.copy_from).toEqual({ pointer: null, size: 'printed', direction: 'printed' });
    expect(found.check).toEqual({ message: found.report.message, refused: true, judged: 'scenario' });
    expect(found.replay.message).toBe(found.report.message);
  });

  it('writes the scenario, which plays as reported', () => {
    const path = join(directory, 'case.yaml');
    expect(usercopy(['repro', '--report', file('bug.txt', BUG), '-o', path]).status).toBe(1);
    expect(readFileSync(path, 'utf8')).toContain(
      '# usercopy: Kernel memory exposure attempt detected from SLUB object',
    );
    const { out } = usercopy(['run', path, '--json']);
    const [run] = [JSON.parse(out)].flat();
    expect(run).toMatchObject({ ok: true });
  });

  it('reads standard input, and tells a person', () => {
    const { status, out } = usercopy(['repro', '--report', '-'], BUG);
    expect(status).toBe(1);
    expect(out).toContain('x86_64, kernel 6.5.0, profile 6.1,kmap-fixmap: consistent');
    expect(out).toContain('44 bytes past it');
  });

  it('repeats in its next step what the verdict depends on', () => {
    const nextLineOf = (out: string): string => /^next: .*$/m.exec(out)?.[0] ?? '';
    const nextOf = (args: readonly string[], input?: string): string =>
      nextLineOf(usercopy(['repro', ...args], input).out);
    const path = file('next.txt', BUG);
    const more = ['--profile', '6.1', '--variant', 'x86_64', '--release', '6.5.0'];
    expect(nextOf(['--report', path, ...more])).toBe(
      `next: usercopy repro --report ${path} ${more.join(' ')} -o case.yaml  # writes the scenario that replays it`,
    );
    expect(nextOf(['--report', '-', ...more], BUG)).toMatch(/^next: usercopy repro --report FILE --profile 6\.1 /);
    const dump = join(directory, 'vmcore');
    writeFileSync(dump, gunzipSync(readFileSync(packageFile('test/fixtures/dumps/x86_64-6.1.UCX_FREED.vmcore.gz'))));
    const small = join(directory, 'small');
    expect(nextOf(['--dump', dump, '--profile', '6.1', '--shrink', small])).toMatch(
      new RegExp(`^next: usercopy repro --dump ${small} --profile 6\\.1 --html`),
    );
    const nextOfCheck = (...args: string[]) => nextLineOf(usercopy(['check', '--dump', dump, ...args]).out);
    expect(nextOfCheck('--profile', '6.1')).toMatch(/ --profile 6\.1 /);
    // `repro` has no such option.
    expect(nextOfCheck('--frames')).toBe('');
  });

  it('takes the first report with a message; all of them with --all, a line of JSON each', () => {
    const path = file('several.txt', NO_MESSAGE + BUG + BUG.replace('size 100', 'size 101'));
    expect(JSON.parse(usercopy(['repro', '--report', path, '--json']).out).copy.size).toBe(100);
    const lines = usercopy(['repro', '--report', path, '--json', '--all']).out.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).copy.size)).toEqual([null, 100, 101]);
    expect(lines.map((line) => JSON.parse(line).outcome)).toEqual(['unknown', 'consistent', 'consistent']);
  });

  it('keeps every digit of a size beyond 2^53', () => {
    const log = BUG.replace(
      "SLUB object 'kmalloc-64' (offset 8, size 100)",
      'wrapped address (offset 0, size 18446634686907596985)',
    );
    const { report } = JSON.parse(usercopy(['repro', '--report', '-', '--json'], log).out);
    expect(report.size).toBe('18446634686907596985');
  });

  it.each([
    ['no option at all', [], '--report FILE'],
    ['a report that is not there', ['--report', '/nonexistent/log'], 'can be read'],
    ['a directory', ['--report', '/'], 'a file or a pipe'],
    ['a log without a report', ['--report', '-'], 'a usercopy report'],
    ['half a copy', ['--report', '-', '--at', '0x1000'], 'missing: --size'],
    ['both directions', ['--report', '-', '--at', '1', '--size', '1', '--to-user', '--from-user'], 'one of'],
    ['an address that is none', ['--report', '-', '--at', 'here', '--size', '1', '--to-user'], '64-bit'],
    ['a profile that is none', ['--report', 'BUG', '--profile', '7.0'], 'profile'],
    ['a kernel without a dump', ['--report', 'BUG', '--kernel', 'vmlinuz'], '--dump'],
    ['registers without a dump', ['--report', 'BUG', '--regs', 'regs.txt'], '--dump'],
    ['a dump that is not there', ['--dump', '/nonexistent/vmcore'], 'ENOENT'],
    ['all reports beside a dump', ['--report', 'BUG', '--dump', 'x', '--all'], '--all'],
    ['an unknown option', ['--reprot', 'x'], '--reprot'],
    ['all reports in one scenario', ['--report', 'BUG', '--all', '-o', 'x.yaml'], '--all'],
  ])('refuses %s with one sentence and 2', (_name, args, words) => {
    const given = args.map((arg) => (arg === 'BUG' ? file('bug.txt', BUG) : arg));
    const { status, out, err } = usercopy(['repro', ...given]);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(words);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it('survives text that is none', () => {
    const noise = Buffer.from(Array.from({ length: 1 << 16 }, (_value, index) => (index * 7919) & 0xff)).toString(
      'latin1',
    );
    expect(usercopy(['repro', '--report', '-'], noise).status).toBe(2);
  });
});

describe('a file that is written', () => {
  it('is none of those that are read, under whatever name, nor one of the others', () => {
    const log = file('read.txt', BUG);
    const [link, hard] = [join(directory, 'link'), join(directory, 'hard')];
    symlinkSync(log, link);
    linkSync(log, hard);
    for (const [args, message] of [
      [['repro', '--report', log, '-o', log], 'repro --output: expected a file of its own, found the one of --report'],
      [
        ['repro', '--dump', log, '--shrink', link],
        'repro --shrink: expected a file of its own, found the one of --dump',
      ],
      [['repro', '--dump', log, '--log', hard], 'repro --log: expected a file of its own, found the one of --dump'],
      [
        ['overhead', '--kernel', log, '--html', hard],
        'overhead --html: expected a file of its own, found the one of --kernel',
      ],
      [['prepare', log, '-o', hard], `prepare --output: expected a file of its own, found the one of ${log}`],
      [
        ['repro', '--dump', log, '--shrink', 'new', '--html', './new'],
        'repro --html: expected a file of its own, found the one of --shrink',
      ],
      [
        ['repro', '--report', log, '-o', '-'],
        "repro --output: expected a file: the answer goes to standard output, found '-'",
      ],
    ] as const) {
      const { status, out, err } = usercopy(args);
      expect([status, out, err]).toEqual([2, '', `usercopy: ${message}\n`]);
    }
    expect(readFileSync(log, 'utf8')).toBe(BUG);
  });
});

describe('a log', () => {
  it('that bzip2 packed is read without a word of Node.js', () => {
    // Four lines of a report of 6.1.0, packed by bzip2.
    const packed =
      'QlpoOTFBWSZTWYW6o54AAE/fgHAQaOf/kB6vXgo/P99wMADW2RE1GRAxqbUAZMNJoeUeUA0MQaphkptT0Q0GgAADQAMamg1BT1GIMh6j1GmQ2hGjENMJiaIyAQAY0WVgQbQCndgSibmnxyyK+Qr9TWj2Nd+ihES9S8R0cOSUwGC9dG4gic2oIFsAwICmAx8zKAUfjkKGgwsrwt2cIojmeJyYoqTNArjBAeZnQEGUqAC9NswrTah8nwJ10DCB8I6i5TugpDkvD/qWNrof4pUb0/ZAQOtEHMCjFkSBbNlBZyWG3nor1RkoRCpAtqUEtU0oayyXKcp3amGw+IEfxdyRThQkIW6o54A=';
    const path = join(directory, 'log.bz2');
    writeFileSync(path, Buffer.from(packed, 'base64'));
    const { status, out, err } = usercopy(['repro', '--report', path]);
    expect([status, err]).toEqual([1, '']);
    expect(out).toContain('kernel 6.1.0');
  });

  it('is none where a mail quotes our answer alone; what stands behind the answer is read', () => {
    const answer = usercopy(['repro', '--report', file('bug.log', BUG)]).out.replace(/^/gm, '> ');
    const quoted = usercopy(['repro', '--report', '-'], `Hi,\n\n${answer}\nThanks\n`);
    expect([quoted.status, quoted.out]).toEqual([2, '']);
    expect(quoted.err).toContain('found none in it');
    const both = usercopy(
      ['repro', '--report', '-', '--json'],
      `Hi,\n\n${answer}${BUG.replace('size 100', 'size 101')}`,
    );
    expect(JSON.parse(both.out).report).toMatchObject({ size: 101 });
  });
});
