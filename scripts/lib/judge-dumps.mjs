/**
 * Real dumps as judges: each was stopped at the first instruction of the kernel's own check, and what that kernel printed lies beside
 * it. A folder of a machine has `base.vmcore.zst`, and for each case a patch against it; `kernels/<release>/` has the images.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPlaces } from './places.mjs';

const ONE_DUMP = 300_000;

/** `{ name, release, variant, cases: [{ name, message, folder }] }` of each machine in a folder of dumps. */
export function dumpMachines(dumps) {
  return readdirSync(dumps)
    .filter((name) => existsSync(join(dumps, name, 'base.vmcore.zst')))
    .map((name) => {
      const folders = readdirSync(join(dumps, name)).map((entry) => join(dumps, name, entry));
      const cases = folders
        .filter((folder) => existsSync(join(folder, 'case.json')))
        .map((folder) => ({ folder, ...JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) }));
      const [{ arch, kernel }] = cases;
      return { name, variant: arch, release: kernel, cases };
    });
}

function expand(args) {
  const { program, libraries } = readPlaces().zstd ?? {};
  if (!program)
    throw new Error('dumps are expanded with zstd, which the set-up did not find (npm run build -- --test)');
  const { status, stderr } = spawnSync(program, ['-q', '-d', '-f', ...args], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') },
  });
  if (status !== 0) throw new Error(`zstd: ${stderr.trim()}`);
}

/** Image, types and configuration of a release, as arguments of the program. */
function imageOf(dumps, release) {
  const folder = join(dumps, 'kernels', release);
  const find = (pattern) => readdirSync(folder).find((name) => pattern.test(name));
  const [image, btf] = [find(/^(?:vmlinu|bzImage)/), find(/^BTF/)];
  return ['--kernel', join(folder, image), ...(btf ? ['--btf', join(folder, btf)] : [])];
}

/** Asks of every case what the check says: `{ same, different: [{ name, expected, found }] }`. */
export function judgeMachine(dumps, { name, release, cases }, cli) {
  const scratch = mkdtempSync(join(tmpdir(), 'usercopy-dumps-'));
  try {
    const base = join(scratch, 'base');
    const dump = join(scratch, 'case.vmcore');
    expand(['--long=27', join(dumps, name, 'base.vmcore.zst'), '-o', base]);
    const different = [];
    for (const { folder, trigger, message } of cases) {
      const patch = join(folder, 'vmcore-pre.zpatch');
      expand(['--long=29', '--memory=2048MB', `--patch-from=${base}`, patch, '-o', dump]);
      const of = ['--dump', dump, '--regs', join(folder, 'regs.txt'), ...imageOf(dumps, release)];
      const { stdout, stderr } = spawnSync(process.execPath, [cli, 'check', ...of, '--json'], {
        encoding: 'utf8',
        timeout: ONE_DUMP,
        maxBuffer: 64 << 20,
      });
      const found = stdout === '' ? `no answer: ${stderr.trim().split('\n')[0]}` : JSON.parse(stdout).message;
      if (found !== message) different.push({ name: trigger, expected: message, found });
    }
    return { same: cases.length - different.length, different };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
