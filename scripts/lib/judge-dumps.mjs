/**
 * Real dumps as judges: each was stopped at the first instruction of the kernel's own check, and what that kernel printed lies beside
 * it. A folder of a machine has `base.vmcore.zst`, and for each case a patch against it; `kernels/<release>/` has the images.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadKernel } from '../../build/js/src/image/load.js';
import { notedOptions, optionsText } from './kernel-table.mjs';
import { readPlaces } from './places.mjs';

const ONE_DUMP = 300_000;

/** `{ name, kernel, variant, cases: [{ name, message, folder }] }` of each machine in a folder of dumps; `kernel` names the folder of its image. */
export function dumpMachines(dumps) {
  return readdirSync(dumps)
    .filter((name) => existsSync(join(dumps, name, 'base.vmcore.zst')))
    .map((name) => {
      const folders = readdirSync(join(dumps, name)).map((entry) => join(dumps, name, entry));
      const cases = folders
        .filter((folder) => existsSync(join(folder, 'case.json')))
        .map((folder) => ({ folder, ...JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) }));
      const [{ arch, kernel }] = cases;
      return { name, variant: arch, kernel, cases };
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

/** Image, types and configuration of a machine's kernel. */
function filesOf(dumps, kernel) {
  const folder = join(dumps, 'kernels', kernel);
  const find = (pattern) => readdirSync(folder).find((name) => pattern.test(name));
  const [image, btf, config] = [find(/^(?:vmlinu|bzImage)/), find(/^BTF/), find(/^config/)];
  return {
    path: join(folder, image),
    ...(btf ? { btf: join(folder, btf) } : {}),
    ...(config ? { config: join(folder, config) } : {}),
  };
}

/** What the table says of a kernel: its release, and, where its folder has another name, that it was built, and with what. */
async function kernelOf(kernel, { path, ...sides }, profile) {
  const { version, config } = await loadKernel({ path }, sides);
  const { release } = version;
  return {
    ...{ release, profile },
    ...(config === null ? {} : { options: optionsText(config) }),
    ...(release === kernel ? {} : { judge: ['built', ...(config === null ? [] : notedOptions(config))].join(', ') }),
  };
}

/** Asks of every case what the check says: `{ same, different: [{ name, expected, found }] }`, with what the table says of the kernel. */
export async function judgeMachine(dumps, { name, kernel, cases }, cli) {
  const scratch = mkdtempSync(join(tmpdir(), 'usercopy-dumps-'));
  try {
    const base = join(scratch, 'base');
    const dump = join(scratch, 'case.vmcore');
    const files = filesOf(dumps, kernel);
    const image = [
      '--kernel',
      files.path,
      ...['btf', 'config'].flatMap((side) => (files[side] ? [`--${side}`, files[side]] : [])),
    ];
    expand(['--long=27', join(dumps, name, 'base.vmcore.zst'), '-o', base]);
    const different = [];
    let profile = '';
    for (const { folder, trigger, message } of cases) {
      const patch = join(folder, 'vmcore-pre.zpatch');
      expand(['--long=29', '--memory=2048MB', `--patch-from=${base}`, patch, '-o', dump]);
      const of = ['--dump', dump, '--regs', join(folder, 'regs.txt'), ...image];
      const { stdout, stderr } = spawnSync(process.execPath, [cli, 'check', ...of, '--json'], {
        encoding: 'utf8',
        timeout: ONE_DUMP,
        maxBuffer: 64 << 20,
      });
      const answer = stdout === '' ? { message: `no answer: ${stderr.trim().split('\n')[0]}` } : JSON.parse(stdout);
      profile = answer.profile ?? profile;
      if (answer.message !== message) different.push({ name: trigger, expected: message, found: answer.message });
    }
    return { ...(await kernelOf(kernel, files, profile)), same: cases.length - different.length, different };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
