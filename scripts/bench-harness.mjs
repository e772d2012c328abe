/**
 * `npm run bench:harness`: what the check costs harnesses in C and Python, on each libunicorn that is here. One function of
 * Debian's kernel with the same arguments: without the check, with it, with it reading memory in place, and in C with its
 * sanitizers, in turns, median of ten. And the executions per second of afl-fuzz where examples/harness/fuzz.c takes every
 * input for the same one.
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
    c: { type: 'string', default: '5000' },
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
  AFL_NO_UI: '1',
  AFL_NO_AFFINITY: '1',
  AFL_SKIP_CPUFREQ: '1',
  AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES: '1',
};

function run([program, ...args], env = process.env) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.trim() || `exit status ${status}`}`);
  return stdout;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Executions per second with the check and without, in turns. */
function campaigns(build, guest, prepared) {
  const [program, seeds] = [join(folder, 'fuzz'), join(folder, 'in')];
  mkdirSync(seeds);
  writeFileSync(join(seeds, 'seed'), '7');
  const sources = [join(root, 'examples/harness/fuzz.c'), fuzzer.runtime];
  run(['cc', '-O2', '-DFIXED_INPUT="7"', ...includesOf(build), ...sources, '-o', program, ...librariesOf(build)]);
  const environment = { ...process.env, ...AFL_SETTINGS, LD_LIBRARY_PATH: fuzzer.lib };
  const perSecond = (out, options) => {
    const harness = [program, ...options, prepared, guest];
    run([fuzzer.program, '-V', values.afl, '-i', seeds, '-o', out, '--', ...harness], environment);
    const said = /^execs_per_sec *: *([\d.]+)/m.exec(readFileSync(join(out, 'default/fuzzer_stats'), 'utf8'));
    return Number(said[1]);
  };
  const rounds = Array.from({ length: AFL_ROUNDS }, (_, round) => ({
    without: perSecond(join(folder, `without-${round}`), ['--no-check']),
    with: perSecond(join(folder, `with-${round}`), []),
  }));
  return {
    ...{ unicorn: build.version, fuzzer: 'AFL++', seconds: Number(values.afl), rounds: AFL_ROUNDS },
    withoutPerSecond: median(rounds.map((round) => round.without)),
    inPlacePerSecond: median(rounds.map((round) => round.with)),
    inPlacePercent: Number(median(rounds.map((round) => (round.without / round.with - 1) * 100)).toFixed(1)),
  };
}

try {
  const kernel =
    values.kernel ??
    JSON.parse(run([...usercopy, 'kernel', 'fetch', 'x86_64', '--release', 'bookworm', '--json'])).path;
  const [guest, prepared] = [join(folder, 'guest'), join(folder, 'attach.json')];
  run([...usercopy, 'run', '--kernel', kernel, '--snapshot', guest]);
  run([...usercopy, 'prepare', '--kernel', kernel, '--snapshot', guest, '-o', prepared]);
  const builds = unicorns.filter(({ absence }) => absence === null);
  if (fuzzer?.absence === null) console.log(JSON.stringify(campaigns(builds.at(-1), guest, prepared)));
  for (const build of builds) {
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
