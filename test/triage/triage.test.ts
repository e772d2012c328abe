import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { memoryPage } from '../../src/diagnosis/memory-page.js';
import { packageFile } from '../../src/paths.js';
import { parseReports } from '../../src/report/parse.js';
import { readLog } from '../../src/repro/read-log.js';
import { itemsIn } from '../../src/triage/items.js';
import { type TriageAnswer, triageItems } from '../../src/triage/pool.js';

const bug = (size: number, caller = 'widget_read', cgroup = ''): string =>
  `usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64${cgroup}' (offset 8, size ${size})!
kernel BUG at mm/usercopy.c:102!
CPU: 0 PID: 7 Comm: a Not tainted 6.5.0 #1
RIP: 0010:usercopy_abort+0x1/0x2
Call Trace:
 __check_object_size+0x1/0x2
 ${caller}+0x3/0x4
---[ end trace 0000000000000000 ]---
`;

const CLI = 'build/cli/main.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'usercopy-triage-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** An ELF core without anything in it. */
function emptyCore(): Uint8Array {
  const core = Buffer.alloc(64);
  core.write('\x7fELF\x02\x01', 'latin1');
  core.writeUInt16LE(4, 16);
  return core;
}

let folders = 0;
function folder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const path = join(directory, `folder-${folders++}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

function triage(...args: string[]) {
  const result = spawnSync(process.execPath, [packageFile(CLI), 'triage', ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { status: result.status, out: result.stdout, err: result.stderr };
}

describe('usercopy triage', () => {
  it('groups reports by region, cache, offset and caller, whatever their sizes and cgroups', () => {
    const path = folder({
      'a.txt': bug(100),
      'sub/b.log': bug(200) + bug(60, 'gadget_read'),
      'c.txt': bug(300, 'widget_read', '(12:x)'),
      'notes.md': 'nothing of a kernel',
      'image.png': Uint8Array.of(0x89, 0x50, 0, 0),
    });
    const { status, out, err } = triage(path, '--json', '--jobs', '2');
    expect(status).toBe(1);
    expect(err).toBe('');
    const found = JSON.parse(out);
    expect(found).toMatchObject({ files: 4, skipped: 0, reports: 4, failed: 1, failures: [{ file: 'image.png' }] });
    expect(found.groups.map((group: { count: number; caller: string }) => [group.count, group.caller])).toEqual([
      [3, 'widget_read'],
      [1, 'gadget_read'],
    ]);
    expect(found.groups[0]).toMatchObject({
      region: 'slab object',
      cache: 'kmalloc-64',
      offset: '8',
      direction: 'to_user',
      outcomes: { consistent: 3 },
      kernels: ['6.5.0'],
    });
    expect(triage(path).out).toContain('4 reports in 2 groups');
  });

  it('tells the same in the same order, whoever is done first', () => {
    const slow = `${'[    1.000000] nothing of interest\n'.repeat(200_000)}${bug(100)}`;
    const path = folder({
      'a.txt': slow,
      'b.txt': bug(100),
      'c.png': Uint8Array.of(0x89, 0x50, 0, 0),
      'd.txt': bug(60),
    });
    const state = join(directory, 'in-order.jsonl');
    const first = triage(path, '--json', '--jobs', '4', '--state', state).out;
    const [group] = JSON.parse(first).groups;
    expect(group.examples).toEqual(['a.txt:200001', 'b.txt:1', 'd.txt:1']);
    // From the state file, whose lines are in the order in which files were done; and from one process.
    expect(triage(path, '--json', '--state', state).out).toBe(first);
    expect(triage(path, '--json', '--jobs', '1').out).toBe(first);
  });

  it('goes on from a state file: what is done is not read again, what has changed is', () => {
    const path = folder({ 'a.txt': bug(100), 'b.txt': bug(200) });
    const state = join(path, 'state.jsonl');
    const reports = (): number => JSON.parse(triage(path, '--json', '--state', state).out).reports;
    expect(reports()).toBe(2);
    const lines = (): string[] =>
      readFileSync(state, 'utf8')
        .trim()
        .split('\n')
        .filter((line) => line !== '');
    expect(lines()).toHaveLength(2);
    expect(reports()).toBe(2);
    expect(lines()).toHaveLength(2);
    // A run that was cut off in the middle of a line.
    appendFileSync(state, '{"path": "/x", "sta');
    writeFileSync(join(path, 'b.txt'), bug(200) + bug(300));
    expect(reports()).toBe(3);
    expect(lines()).toHaveLength(4);
  });

  it.each([
    ['a folder that is not there', ['/nonexistent/folder'], 'a folder'],
    ['no folder', [], 'folder'],
    ['no jobs', ['.', '--jobs', '0'], '--jobs'],
    ['a timeout that is none', ['.', '--timeout', 'soon'], '--timeout'],
    ['a state file of something else', ['.', '--state', 'SELF'], 'state file'],
    ['a state file whose rows are none', ['.', '--state', 'NULL'], 'state file'],
    ['a state file that is a folder', ['.', '--state', '/'], 'state file'],
  ])('refuses %s with one sentence and 2', (_name, args, words) => {
    const rows = join(
      folder({ 'state.jsonl': '{"path":"a","stamp":"b","rows":[null],"error":null}\n' }),
      'state.jsonl',
    );
    const paths: Readonly<Record<string, string>> = { SELF: packageFile('package.json'), NULL: rows };
    const given = args.map((arg) => paths[arg] ?? arg);
    const { status, err } = triage(...given);
    expect(status).toBe(2);
    expect(err).toContain(words);
    expect(err).not.toMatch(/\n\s+at |unexpected/);
  });

  it('exits with 0 when nothing is found', () => {
    expect(triage(folder({ 'a.txt': 'hello' }), '--json').status).toBe(0);
  });

  it('reads the log of a dump that cannot be judged, and says what was not read', () => {
    const path = folder({ 'case/vmcore': emptyCore(), 'case/dmesg.txt': bug(100) + bug(200, 'gadget_read') });
    const { status, out } = triage(path, '--json');
    expect(status).toBe(1);
    const found = JSON.parse(out);
    expect(found).toMatchObject({ files: 1, reports: 2, failed: 1 });
    expect(found.groups.map((group: { caller: string }) => group.caller).sort()).toEqual([
      'gadget_read',
      'widget_read',
    ]);
    expect(found.failures[0].file).toBe('case/vmcore');
  });

  it('exits with 1 when nothing is found but something could not be read, and names all of it with its reason', () => {
    const path = folder({
      'deep/vmcore': emptyCore(),
      'deep/empty.txt': '',
      'other/vmcore.gz': gzipSync(emptyCore()),
      'other/noise.bin': Uint8Array.of(1, 0, 2, 0),
      'other/vmlinux': Buffer.from('\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0', 'latin1'),
      'cut.gz': gzipSync(bug(100)).subarray(0, 60),
      'vmcore.incomplete': '',
    });
    symlinkSync('/nowhere', join(path, 'dangling'));
    symlinkSync(join(path, 'deep'), join(path, 'inside'));
    const { status, out } = triage(path, '--json');
    expect(status).toBe(1);
    const found = JSON.parse(out);
    expect(Object.fromEntries(found.failures.map(({ file, error }: Record<string, string>) => [file, error]))).toEqual({
      'deep/vmcore': expect.stringMatching(/vmcore/),
      'other/vmcore.gz': expect.stringMatching(/memory dump: unpack it/),
      'other/noise.bin': 'neither text nor a dump',
      'cut.gz': expect.stringMatching(/packed data that is whole/),
      'vmcore.incomplete': 'a dump without a byte in it',
      dangling: 'a link that leads nowhere',
    });
    expect(found.skipped_files.map(({ file }: { file: string }) => file).sort()).toEqual([
      'deep/empty.txt',
      'inside',
      'other/vmlinux',
    ]);
  });
});

it('does not take for a report what this program wrote of one', () => {
  const path = folder({ 'dmesg.txt': bug(100) });
  const log = join(path, 'dmesg.txt');
  const file = (name: string): string => join(path, name);
  const ask = (...args: string[]): string =>
    spawnSync(process.execPath, [packageFile(CLI), ...args], { encoding: 'utf8', timeout: 120_000 }).stdout;
  writeFileSync(file('answer.json'), ask('repro', '--report', log, '--json', '-o', file('case.yaml')));
  writeFileSync(file('all.jsonl'), ask('repro', '--report', log, '--all', '--json'));
  writeFileSync(file('answer.txt'), ask('repro', '--report', log));
  writeFileSync(file('all.txt'), ask('repro', '--report', log, '--all'));
  ask('new', '--yes', file('new.yaml'));
  ask('prepare', file('new.yaml'), '-o', file('attach.json'));
  writeFileSync(file('groups.json'), ask('triage', path, '--json', '--state', file('state.jsonl')));
  const [report] = parseReports(bug(100));
  writeFileSync(
    file('page.html'),
    memoryPage(judgeReport(report!).reproduction, () => undefined),
  );
  writeFileSync(file('browser.html'), readFileSync(packageFile('page/index.html')));
  const call = ['run', '--variant', 'x86_64', '--call', '__check_object_size(_stext + 64, 1024, 1)'];
  writeFileSync(file('run.txt'), ask(...call));
  writeFileSync(file('run.md'), ask(...call, '--markdown'));
  writeFileSync(file('run.jsonl'), ask(...call, '--json'));
  for (const name of ['run.txt', 'run.md', 'run.jsonl'])
    expect(readFileSync(file(name), 'utf8')).toContain(': Kernel memory');
  const dump = join(directory, 'vmcore');
  writeFileSync(dump, gunzipSync(readFileSync(packageFile('test/fixtures/dumps/x86_64-6.1.UCX_FREED.vmcore.gz'))));
  writeFileSync(file('check.txt'), ask('check', '--dump', dump));
  writeFileSync(file('check.json'), ask('check', '--dump', dump, '--json'));
  for (const name of ['check.txt', 'check.json'])
    expect(readFileSync(file(name), 'utf8')).toContain('usercopy: Kernel');
  const { status, out } = triage(path, '--json');
  expect(status).toBe(1);
  const found = JSON.parse(out);
  expect(found).toMatchObject({ files: 1, reports: 1, failed: 0 });
  expect(
    Object.fromEntries(found.skipped_files.map(({ file: name, reason }: Record<string, string>) => [name, reason])),
  ).toEqual({
    'all.jsonl': 'an answer of usercopy in JSON',
    'all.txt': 'an answer of usercopy repro',
    'answer.json': 'an answer of usercopy in JSON',
    'answer.txt': 'an answer of usercopy repro',
    'attach.json': 'an attachment of usercopy prepare',
    'browser.html': 'a page of usercopy',
    'case.yaml': 'a scenario of usercopy run',
    'check.json': 'an answer of usercopy in JSON',
    'check.txt': 'an answer of usercopy check',
    'groups.json': 'an answer of usercopy in JSON',
    'new.yaml': 'a scenario of usercopy run',
    'page.html': 'a page of usercopy',
    'run.jsonl': 'an answer of usercopy in JSON',
    'run.md': 'an answer of usercopy run',
    'run.txt': 'an answer of usercopy run',
    'state.jsonl': 'a state file of usercopy triage',
  });
});

it('takes a scenario without a mark for one, and a report of a person with such headings for a report', async () => {
  const scenario = `name: by hand
guest:
  variant: x86_64
steps:
  - copy: { pointer: 0x1000, size: 8, direction: to_user }
    expect: { message: "${bug(7).split('\n')[0]}" }
`;
  const json = { guest: { variant: 'x86_64' }, steps: [{ call: 'f()', expect: { message: bug(8).split('\n')[0] } }] };
  const log = (size: number): string => bug(size).replaceAll(/^(?=.)/gm, '[   12.345678] ');
  const path = folder({
    'by-hand.yaml': scenario,
    'by-hand.json': JSON.stringify(json, null, 2),
    'kvm.txt': `host: Fedora 38\nguest: Debian 12, 6.1.0\nsteps: boot, run test\n${log(1)}`,
    'kvm-below.txt': `guest:\n  kernel: 6.1.0\nobjects: none\nsteps:\n  - boot\n  - run test\n\n${log(2)}`,
    'indented.txt': `guest:\n  kernel: 6.1.0\nsteps:\n  - boot\n${log(3).replaceAll(/^(?=.)/gm, '  ')}`,
    'tracker.json': `{"guest": {"kernel": "6.1.0"}, "steps": []}\n${log(4)}`,
    // Behind more than is read to tell what a file is.
    'long.txt': `guest:\n  kernel: 6.1.0\nsteps:\n${'  - something was done\n'.repeat(400)}${log(5)}`,
  });
  const { items, skipped } = await itemsIn(path);
  expect(skipped.map(({ name, reason }) => [name, reason])).toEqual([
    ['by-hand.json', 'a scenario of usercopy run'],
    ['by-hand.yaml', 'a scenario of usercopy run'],
  ]);
  const read = await Promise.all(items.map((item) => readLog(item.path)));
  expect(read.map((reports) => reports.map(({ message }) => message?.size))).toEqual(
    ['indented', 'kvm-below', 'kvm', 'long', 'tracker'].map((name) => [
      { kvm: 1n, 'kvm-below': 2n, indented: 3n, tracker: 4n, long: 5n }[name],
    ]),
  );
  expect(items.map(({ name }) => name)).toEqual([
    'indented.txt',
    'kvm-below.txt',
    'kvm.txt',
    'long.txt',
    'tracker.json',
  ]);
  for (const name of ['by-hand.yaml', 'by-hand.json']) {
    await expect(readLog(join(path, name))).rejects.toThrow('a scenario of usercopy run');
  }
});

/** EFI's boot image. */
const IMAGE = Buffer.from('MZ\0\0\xff\xfe', 'latin1');

describe('the files of a folder', () => {
  it('are known by what is in them: a log that is named as a kernel is read', async () => {
    const { items, skipped } = await itemsIn(
      folder({
        'vmlinux-6.1-oops.txt': bug(1),
        'Image-crash.log': bug(2),
        'vmlinuz-dmesg.txt.gz': gzipSync(bug(3)),
        'config-crash.txt': bug(4),
        'BTF.gz': gzipSync(Uint8Array.of(0x9f, 0xeb, 1, 0, 24, 0, 0, 0)),
        'vmlinuz-6.1.gz': gzipSync(IMAGE),
        zImage: Uint8Array.of(0, 0, 0xa0, 0xe1, 1, 2, 3, 0x81),
        'vmlinuz-cut.gz': gzipSync(bug(5)).subarray(0, 12),
      }),
    );
    expect(items.map(({ kind, name }) => [kind, name])).toEqual([
      ['log', 'Image-crash.log'],
      ['log', 'config-crash.txt'],
      ['log', 'vmlinux-6.1-oops.txt'],
      ['log', 'vmlinuz-cut.gz'],
      ['log', 'vmlinuz-dmesg.txt.gz'],
    ]);
    expect(skipped.map(({ name, harmless }) => [name, harmless]).sort()).toEqual([
      ['BTF.gz', true],
      ['vmlinuz-6.1.gz', true],
      ['zImage', true],
    ]);
  });

  it('beside a dump are its kernel only when they are one', async () => {
    const path = folder({
      vmcore: emptyCore(),
      'vmlinux-oops.txt': bug(1),
      'vmlinuz-6.1.gz': gzipSync(IMAGE),
      tool: '\x7fELF\x02',
    });
    const { items } = await itemsIn(path);
    expect(items.map(({ name, beside }) => [name, beside?.kernel && relative(path, beside.kernel)])).toEqual([
      ['vmcore', 'vmlinuz-6.1.gz'],
      ['vmlinux-oops.txt', undefined],
    ]);
  });

  it('cannot be had from a link that leads to itself, which is one sentence', async () => {
    const path = join(folder({}), 'loop');
    symlinkSync(path, path);
    await expect(itemsIn(path)).rejects.toThrow(/loop: expected a folder that can be read, found ELOOP$/);
  });

  it('takes a dump with what lies beside it, and follows no link', async () => {
    const path = folder({
      'case/vmcore': emptyCore(),
      'case/vmlinuz-6.1': IMAGE,
      'case/dmesg.txt': bug(1),
      'case/regs.txt': 'RAX=0',
      'log.txt': bug(1),
    });
    symlinkSync(path, join(path, 'case', 'loop'));
    const { items } = await itemsIn(path);
    expect(items.map(({ kind, path: file }) => [kind, file.slice(path.length)])).toEqual([
      ['dump', '/case/vmcore'],
      ['log', '/log.txt'],
    ]);
    expect(Object.keys(items[0]!.beside!).sort()).toEqual(['kernel', 'regs', 'report']);
  });
});

describe('the layouts of crash folders', () => {
  /** Of each item what `role` beside it is. */
  const beside = async (
    files: Readonly<Record<string, string | Uint8Array>>,
    role: 'report' | 'regs' = 'report',
  ): Promise<Record<string, string | undefined>> => {
    const path = folder(files);
    const { items } = await itemsIn(path);
    return Object.fromEntries(items.map(({ name, beside }) => [name, beside?.[role] && relative(path, beside[role])]));
  };

  it.each([
    ['RHEL', 'r/vmcore', 'r/vmcore-dmesg.txt', 'r/kexec-dmesg.log'],
    ['Debian', 'd/dump.202401011200', 'd/dmesg.202401011200', 'd/notes.txt'],
    ['SUSE', 's/vmcore', 's/dmesg.txt.gz', 's/README.txt'],
  ])('of %s are a dump with its log', async (_name, dump, log, other) => {
    expect(await beside({ [dump]: emptyCore(), [log]: bug(1), [other]: 'x' })).toEqual({
      [dump]: log,
      [other]: undefined,
    });
  });

  it('of several dumps in one folder are told apart by their names', async () => {
    const files = { 'vmcore.1': emptyCore(), 'vmcore.2': emptyCore(), 'dmesg.1': bug(1), 'dmesg.2.txt': bug(2) };
    expect(await beside(files)).toEqual({ 'vmcore.1': 'dmesg.1', 'vmcore.2': 'dmesg.2.txt' });
  });

  it('give a file one role: registers are no log, and a word that only begins like theirs is none of them', async () => {
    const files = {
      'a.vmcore': emptyCore(),
      'a.dmesg.txt': bug(1),
      'a.regs.txt': 'RAX=0',
      'regression-1.vmcore': emptyCore(),
      'regression-1.dmesg.txt': bug(2),
      'score.vmcore': emptyCore(),
      's.txt': bug(3),
    };
    expect(await beside(files)).toEqual({
      'a.vmcore': 'a.dmesg.txt',
      'regression-1.vmcore': 'regression-1.dmesg.txt',
      'score.vmcore': undefined,
      's.txt': undefined,
    });
    expect(await beside(files, 'regs')).toMatchObject({ 'a.vmcore': 'a.regs.txt', 'regression-1.vmcore': undefined });
  });

  it('take registers of no name for the only dump, and leave a log that has a word of theirs in its name to itself', async () => {
    const one = (registers: string) => beside({ vmcore: emptyCore(), [registers]: 'RAX=0' }, 'regs');
    for (const name of ['regs.txt', 'registers.log', 'reg.txt', 'info-registers.txt']) {
      expect(await one(name)).toEqual({ vmcore: name });
    }
    for (const name of ['reg-2024-17.log', 'regs-of-widget.txt', 'windows.reg.txt']) {
      expect(await one(name)).toEqual({ vmcore: undefined, [name]: undefined });
    }
    expect(await beside({ 'vmcore.17': emptyCore(), 'regs.17.txt': 'RAX=0' }, 'regs')).toEqual({
      'vmcore.17': 'regs.17.txt',
    });
  });

  it('leave a log that two dumps could have to itself', async () => {
    const files = { 'a.vmcore': emptyCore(), 'a.core': emptyCore(), 'a.dmesg': bug(1) };
    expect(await beside(files)).toEqual({ 'a.vmcore': undefined, 'a.core': undefined, 'a.dmesg': undefined });
  });
});

describe('parts of a folder for many workers', () => {
  const LOGS = 30;
  const crashes = (): string =>
    folder(Object.fromEntries(Array.from({ length: LOGS }, (_, index) => [`case-${index}/dmesg.txt`, bug(index + 1)])));
  const shardOptions = (path: string, states: string, part: number): string[] => {
    return [path, '--jobs', '1', '--shard', `${part}/3`, '--state', join(states, `${part}.jsonl`)];
  };

  it('are all of it, each item once, also when a worker is killed half way and does its part again', () => {
    const path = crashes();
    const states = folder({});
    for (const part of [1, 2, 3]) expect(triage(...shardOptions(path, states, part)).status).toBe(0);
    // What a worker leaves that is killed while it writes: some lines, and a part of the next.
    const killed = join(states, '2.jsonl');
    const [first, second = '', third = ''] = readFileSync(killed, 'utf8').split('\n').filter(Boolean);
    expect(third).not.toBe('');
    writeFileSync(killed, `${first}\n${second}\n${third.slice(0, third.length / 2)}`);
    const files = [1, 2, 3].map((part) => join(states, `${part}.jsonl`));
    const merge = (): Record<string, unknown> & { failures: { error: string }[] } => {
      const { status, out } = triage(path, '--json', '--merge', ...files, files[0]!);
      return { status, ...JSON.parse(out) };
    };
    const half = merge();
    expect(half['status']).toBe(1);
    expect(Number(half['reports']) + Number(half['failed'])).toBe(LOGS);
    expect(half['failed']).toBeGreaterThan(0);
    expect(half.failures[0]!.error).toBe('none of the merged files has it as it is now');
    expect(triage(...shardOptions(path, states, 2)).status).toBe(0);
    expect(merge()).toMatchObject({ reports: LOGS, failed: 0, files: LOGS, groups: [{ count: LOGS }] });
    expect(merge()).toEqual(merge());
  });

  it.each([
    [['--shard', '0/3', '--state', 'x'], /--shard: expected I\/N/],
    [['--shard', '4/3', '--state', 'x'], /--shard: expected I\/N/],
    [['--shard', '1/3'], /--state FILE/],
    [['--merge', '/nowhere'], /\/nowhere: expected a state file/],
    [
      ['--merge', 'x', '--shard', '1/2', '--state', 'y'],
      /triage --merge: expected no options but those that it uses .*found --shard/,
    ],
  ])('refuse %s with one sentence', (options, words) => {
    const { status, err } = triage(folder({ 'a.txt': bug(1) }), ...options);
    expect(status).toBe(2);
    expect(err).toMatch(words);
  });
});

describe('processes of triage', () => {
  const answers = async (program: string, names: readonly string[]): Promise<Map<string, TriageAnswer>> => {
    const child = join(folder({ 'child.mjs': program }), 'child.mjs');
    const found = new Map<string, TriageAnswer>();
    await triageItems(
      names.map((path) => ({ kind: 'log' as const, path, name: path, stamp: '' })),
      { jobs: 2, logLimit: 10_000, dumpLimit: 10_000, child },
      (item, answer) => found.set(item.path, answer),
    );
    return found;
  };

  it('lose one file, not the run, when one crashes or hangs', async () => {
    const program = `process.on('message', ({ item: { path } }) => {
      if (path === 'crash') process.kill(process.pid, 'SIGSEGV');
      else if (path === 'exit') process.exit(3);
      else if (path === 'hang') for (;;);
      else process.send({ kind: 'answer', answer: { rows: [], error: null } });
    });`;
    const found = await answers(program, ['good', 'crash', 'fine', 'hang', 'exit', 'well']);
    expect(found.size).toBe(6);
    for (const name of ['good', 'fine', 'well']) expect(found.get(name)?.error).toBeNull();
    expect(found.get('crash')?.error).toContain('SIGSEGV');
    expect(found.get('exit')?.error).toContain('exit code 3');
    expect(found.get('hang')?.error).toContain('longer than');
  });
});
