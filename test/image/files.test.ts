/** Files and folders that are not what they should be: pipes, full disks, a cache that cannot be written. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { readWhole, writeWhole } from '../../src/image/files.js';
import { alone, inWorkspace } from '../../src/image/workspace.js';
import { packageFile } from '../../src/paths.js';

const directory = mkdtempSync(join(tmpdir(), 'usercopy-files-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const folder = (name: string): string => {
  const path = join(directory, name);
  mkdirSync(path);
  return path;
};

const PROGRAM = packageFile('build/cli/main.js');
const shell = (command: string, ...args: string[]) =>
  spawnSync('bash', ['-c', command, 'bash', process.execPath, PROGRAM, ...args], { encoding: 'utf8', timeout: 60_000 });

describe('a file that is read whole', () => {
  it.each([
    ['a pipe', 'mkfifo', /expected a regular file, found a device, pipe or socket/],
    ['a folder', 'mkdir', /expected a regular file, found a directory/],
  ])('is not %s', (_what, program, message) => {
    const path = join(directory, program);
    execFileSync(program, [path]);
    expect(() => readWhole(path, 100)).toThrow(message);
  });

  it('is not larger than believed', () => {
    const path = join(directory, 'large');
    writeFileSync(path, Buffer.alloc(101));
    expect(() => readWhole(path, 100)).toThrow(/large: expected at most 100 bytes, found 101 bytes/);
    expect(readWhole(path, 101)).toHaveLength(101);
  });
});

describe('a file that is written whole', () => {
  it('keeps its mode, and the link that leads to it', () => {
    const path = folder('linked');
    writeFileSync(join(path, 'file'), 'old');
    chmodSync(join(path, 'file'), 0o640);
    symlinkSync('file', join(path, 'link'));
    writeWhole(join(path, 'link'), 'new');
    expect(readFileSync(join(path, 'file'), 'utf8')).toBe('new');
    expect(statSync(join(path, 'file')).mode & 0o777).toBe(0o640);
    expect(readdirSync(path).sort()).toEqual(['file', 'link']);
  });

  it('is still the old one when there is no room for the new one', () => {
    const path = folder('full');
    const file = join(path, 'case.yaml');
    writeFileSync(file, 'old');
    // No file may have a byte: what a full disk says of every write.
    const { status, stderr } = shell('ulimit -f 0; exec "$1" "$2" new "$3" --force --yes', file);
    expect(stderr).toMatch(/^usercopy: .*case\.yaml: expected a file that can be written, found EFBIG\n$/);
    expect(status).toBe(2);
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect(readdirSync(path)).toEqual(['case.yaml']);
  });

  it('may be a device', () => {
    expect(() => writeWhole('/dev/full', 'x')).toThrow(
      /\/dev\/full: expected a file that can be written, found ENOSPC/,
    );
    writeWhole('/dev/null', 'x');
    expect(statSync('/dev/null').isFile()).toBe(false);
  });
});

describe('standard output', () => {
  it('on a full disk is one sentence and status 2', () => {
    const { status, stderr } = shell('exec "$1" "$2" profiles --json > /dev/full');
    expect(stderr).toBe('usercopy: standard output: expected room for what is printed, found ENOSPC\n');
    expect(status).toBe(2);
  });

  it('whose reader has gone is no success, and nothing is said', () => {
    const { stdout, stderr } = shell('set -o pipefail; "$1" "$2" profiles --json | exec 0<&-; echo $?');
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('141');
  });

  it('and standard error may both be closed', () => {
    expect(shell('"$1" "$2" check --dump /nowhere 2>/dev/full').status).toBe(2);
  });
});

describe('a folder that one works in at a time', () => {
  const host = hostname().replace(/[^\w-]/g, '-');
  /** The judge is the file system: a file that is there already cannot be made again. */
  const worker = `
    const { alone } = await import(process.argv[1]);
    const { closeSync, openSync, rmdirSync, unlinkSync, writeFileSync } = await import('node:fs');
    const [place, gone, inside] = process.argv.slice(2);
    let worked = 0;
    for (let round = 0; round < 12; round++) {
      writeFileSync(gone + process.pid + '-' + round, '');
      const calls = Array.from({ length: 3 }, () =>
        alone(place, 'the kernel', async () => {
          closeSync(openSync(inside, 'wx'));
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
          // Some take the folder away when they are done.
          if (worked % 2) rmdirSync(place);
          unlinkSync(inside);
          worked++;
        }).catch((error) => {
          if (!/makes it already; wait for it/.test(error.message)) throw error;
        }),
      );
      await Promise.all(calls);
    }
    console.log(worked);`;

  it('is one’s alone, however many ask in however many processes, and whatever dead ones have left', async () => {
    const { pid } = spawnSync('true');
    const beside = folder('contended');
    const place = join(beside, 'objects');
    const outputs = await Promise.all(
      Array.from({ length: 4 }, () =>
        promisify(execFile)(process.execPath, [
          '--input-type=module',
          '--eval',
          worker,
          packageFile('build/js/src/image/workspace.js'),
          place,
          join(beside, `.usercopy-lock-objects.fetch-${host}.${pid}.`),
          join(directory, 'inside'),
        ]),
      ),
    );
    const worked = outputs.reduce((sum, { stdout }) => sum + Number(stdout), 0);
    expect(worked).toBeGreaterThan(12);
    expect(readdirSync(beside).filter((name) => name !== 'objects')).toEqual([]);
  });

  it('is refused while another works, with its process named', async () => {
    const beside = folder('busy');
    const place = join(beside, 'objects');
    await alone(place, 'the kernel', () =>
      expect(alone(place, 'the other', async () => undefined)).rejects.toThrow(
        `the other: process ${process.pid} makes it already; wait for it, then ask again`,
      ),
    );
    expect(readdirSync(beside)).toEqual(['objects']);
    expect(readdirSync(place)).toEqual([]);
  });
});

describe('a workspace in the cache', () => {
  it('is gone afterwards, and sweeps what interrupted runs left', async () => {
    const cache = folder('cache');
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    const host = hostname().replace(/[^\w-]/g, '-');
    const old = new Date(Date.now() - 48 * 60 * 60 * 1000);
    const make = (name: string): string => {
      mkdirSync(join(cache, name));
      return join(cache, name);
    };
    make(`.fetch-${host}.${gone}.abcdef`);
    make(`.fetch-${host}.${process.pid}.ghijkl`);
    make('.fetch-elsewhere.1.mnopqr');
    utimesSync(make('.fetch-elsewhere.2.stuvwx'), old, old);
    utimesSync(make('.fetch-oldstyle'), old, old);
    make('6.1.0-1-amd64');
    let during: string[] = [];
    await inWorkspace(cache, async (workspace) => {
      expect(existsSync(workspace)).toBe(true);
      during = readdirSync(cache);
    });
    expect(during).toHaveLength(4);
    expect(readdirSync(cache).sort()).toEqual(
      ['.fetch-elsewhere.1.mnopqr', `.fetch-${host}.${process.pid}.ghijkl`, '6.1.0-1-amd64'].sort(),
    );
  });

  it('that cannot be made is one sentence', async () => {
    const file = join(directory, 'no-folder');
    writeFileSync(file, '');
    await expect(inWorkspace(join(file, 'cache'), () => Promise.resolve())).rejects.toMatchObject({
      kind: 'missing-dependency',
      message: `kernel cache ${join(file, 'cache')}: expected a folder that can be written, found ENOTDIR; XDG_CACHE_HOME may name another place`,
    });
  });
});
