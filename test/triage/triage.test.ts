import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
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
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

function triage(...args: string[]) {
  const result = spawnSync(process.execPath, [packageFile('build/js/src/cli/main.js'), 'triage', ...args], {
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
    expect(found).toMatchObject({ files: 4, skipped: 1, reports: 4, failed: 0, failures: [] });
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
    expect(found.failures[0].file).toBe(join(path, 'case/vmcore'));
  });

  it('exits with 2 when nothing is found but something could not be read', () => {
    expect(triage(folder({ vmcore: emptyCore() }), '--json').status).toBe(2);
  });
});

describe('the files of a folder', () => {
  it('takes a dump with what lies beside it, and follows no link', () => {
    const path = folder({
      'case/vmcore': emptyCore(),
      'case/vmlinuz-6.1': 'x\0',
      'case/dmesg.txt': bug(1),
      'case/regs.txt': 'RAX=0',
      'log.txt': bug(1),
    });
    symlinkSync(path, join(path, 'case', 'loop'));
    const { items } = itemsIn(path);
    expect(items.map(({ kind, path: file }) => [kind, file.slice(path.length)])).toEqual([
      ['dump', '/case/vmcore'],
      ['log', '/log.txt'],
    ]);
    expect(Object.keys(items[0]!.beside!).sort()).toEqual(['kernel', 'regs', 'report']);
  });
});

describe('processes of triage', () => {
  const answers = async (program: string, names: readonly string[]): Promise<Map<string, TriageAnswer>> => {
    const child = join(folder({ 'child.mjs': program }), 'child.mjs');
    const found = new Map<string, TriageAnswer>();
    await triageItems(
      names.map((path) => ({ kind: 'log' as const, path, stamp: '' })),
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
