/**
 * `npm run bench:harness`: what the check costs harnesses in C and Python, on each libunicorn that is here. One function of
 * Debian's kernel with the same arguments, with and without the check in turns, median of ten.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readPlaces } from './lib/places.mjs';
import { root } from './lib/step.mjs';

const { values } = parseArgs({
  options: {
    c: { type: 'string', default: '20000' },
    python: { type: 'string', default: '2000' },
    kernel: { type: 'string' },
  },
});
const { unicorns = [], python } = readPlaces();
const folder = mkdtempSync(join(tmpdir(), 'usercopy-measure-'));
const usercopy = [process.execPath, join(root, 'build/cli/main.js')];

function run([program, ...args], env = process.env) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.trim() || `exit status ${status}`}`);
  return stdout;
}

try {
  const kernel =
    values.kernel ??
    JSON.parse(run([...usercopy, 'kernel', 'fetch', 'x86_64', '--release', 'bookworm', '--json'])).path;
  const [guest, prepared] = [join(folder, 'guest'), join(folder, 'attach.json')];
  run([...usercopy, 'run', '--kernel', kernel, '--snapshot', guest]);
  run([...usercopy, 'prepare', '--kernel', kernel, '--snapshot', guest, '-o', prepared]);
  for (const build of unicorns.filter(({ absence }) => absence === null)) {
    const program = join(folder, `measure-${build.version}`);
    const library = join(root, 'build/Release');
    run([
      ...[
        'cc',
        '-O2',
        `-I${join(root, 'native')}`,
        `-I${build.include}`,
        join(root, 'bench/harness/measure.c'),
        '-o',
        program,
      ],
      ...[
        `-L${library}`,
        '-lusercopy',
        `-L${build.lib}`,
        '-lunicorn',
        `-Wl,-rpath,${library}`,
        `-Wl,-rpath,${build.lib}`,
      ],
    ]);
    const environment = {
      ...process.env,
      LD_LIBRARY_PATH: build.lib,
      PYTHONPATH: [join(root, 'python'), build.python].join(':'),
    };
    const results = [[program, prepared, guest, values.c]];
    if (python) results.push([python.program, join(root, 'bench/harness/measure.py'), prepared, guest, values.python]);
    for (const command of results)
      console.log(JSON.stringify({ unicorn: build.version, ...JSON.parse(run(command, environment)) }));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
