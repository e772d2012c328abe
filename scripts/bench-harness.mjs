/**
 * `npm run bench:harness`: what the check costs harnesses in C and Python, on each libunicorn that is here. One function of
 * Debian's kernel with the same arguments, with and without the check in turns, median of ten; in C with its sanitizers, too. And the
 * executions per second of afl-fuzz when examples/harness/fuzz.c takes every input for the same one.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readPlaces } from './lib/places.mjs';
import { root } from './lib/step.mjs';

const { values } = parseArgs({
  options: {
    c: { type: 'string', default: '20000' },
    python: { type: 'string', default: '2000' },
    /** Seconds of a campaign, of which there are six. */
    afl: { type: 'string', default: '5' },
    kernel: { type: 'string' },
  },
});
const { unicorns = [], python, fuzzer } = readPlaces();
const folder = mkdtempSync(join(tmpdir(), 'usercopy-measure-'));
const usercopy = [process.execPath, join(root, 'build/cli/main.js')];

const includesOf = (build) => [`-I${join(root, 'native')}`, `-I${build.include}`];
const library = join(root, 'build/Release');
const librariesOf = (build) => [
  ...[`-L${library}`, '-lusercopy', `-L${build.lib}`, '-lunicorn'],
  ...[`-Wl,-rpath,${library}`, `-Wl,-rpath,${build.lib}`],
];
/** Odd: the median is one of them. */
const AFL_ROUNDS = 3;
/** What lets afl-fuzz run on machines that were not set up for it. */
const AFL_SETTINGS = {
  ...{ AFL_NO_UI: '1', AFL_NO_AFFINITY: '1', AFL_SKIP_CPUFREQ: '1', AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES: '1' },
};

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
  const aflPath = (checks) => [...(checks ? [] : ['--no-check']), prepared, guest];
  const rates = { without: [], with: [] };
  if (fuzzer?.absence === null) {
    const build = unicorns.filter(({ absence }) => absence === null).at(-1);
    const program = join(folder, 'fuzz');
    const seeds = join(folder, 'in');
    mkdirSync(seeds);
    writeFileSync(join(seeds, 'seed'), '7');
    run([
      ...[
        'cc',
        '-O2',
        '-DFIXED_INPUT="7"',
        ...includesOf(build),
        join(root, 'examples/harness/fuzz.c'),
        fuzzer.runtime,
      ],
      ...['-o', program, ...librariesOf(build)],
    ]);
    for (let round = 0; round < AFL_ROUNDS; round++) {
      for (const [name, checks] of [
        ['without', false],
        ['with', true],
      ]) {
        const out = join(folder, `out-${name}-${round}`);
        const words = ['-V', values.afl, '-i', seeds, '-o', out, '--', program, ...aflPath(checks)];
        run([fuzzer.program, ...words], { ...process.env, ...AFL_SETTINGS, LD_LIBRARY_PATH: fuzzer.lib });
        rates[name].push(
          Number(/^execs_per_sec *: *([\d.]+)/m.exec(readFileSync(join(out, 'default/fuzzer_stats'), 'utf8'))?.[1]),
        );
      }
    }
    const [without, withCheck] = [rates.without, rates.with].map((some) => some.sort((a, b) => a - b)[AFL_ROUNDS >> 1]);
    console.log(
      JSON.stringify({
        ...{ unicorn: build.version, fuzzer: 'AFL++', seconds: Number(values.afl), rounds: AFL_ROUNDS },
        ...{
          withoutPerSecond: without,
          withPerSecond: withCheck,
          costPercent: Number(((without / withCheck - 1) * 100).toFixed(1)),
        },
      }),
    );
  }
  for (const build of unicorns.filter(({ absence }) => absence === null)) {
    const program = join(folder, `measure-${build.version}`);
    const source = join(root, 'bench/harness/measure.c');
    run(['cc', '-O2', ...includesOf(build), source, '-o', program, ...librariesOf(build)]);
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
