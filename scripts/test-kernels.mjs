#!/usr/bin/env node
/**
 * Debian's kernels, one after the other: LKDTM's copies and random ones, judged by each kernel itself and by us. What was found is
 * kept in docs/kernels.json, by variant and release, and docs/kernels.md is made of it: a run replaces the rows that it judged.
 *
 *     node scripts/test-kernels.mjs                 the newest of every series and flavour that Debian has
 *     node scripts/test-kernels.mjs --dumps FOLDER  real dumps instead, judged by what their kernels printed (scripts/lib/judge-dumps.mjs)
 *     node scripts/test-kernels.mjs --built         kernels built from source instead (scripts/kernels/list.json), 100000 random copies of each
 *     node scripts/test-kernels.mjs --quick 240     the newest and the oldest of each variant, for at most so many seconds
 *     --config NAME …    with --built: only kernels with these fragments (scripts/kernels/NAME.config)
 *     --variant NAME …   only these     --copies N   random copies of each (20000)     --seed N   (7)     --cached   no network     --jobs N   compilers at a time (1)
 *
 * With --quick nothing is written. Exit status 1 when a kernel cannot be loaded, does not run, or says something else than we do. A kernel that cannot be had,
 * or whose types are not known, is said and does not fail.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drivers } from '../build/js/arch/index.js';
import { buildKernel } from '../build/js/src/image/build.js';
import { cachedKernels, fetchKernel, remoteKernels } from '../build/js/src/image/fetch.js';
import { loadKernel } from '../build/js/src/image/load.js';
import { dumpMachines, judgeMachine } from './lib/judge-dumps.mjs';
import { judgeOff, judgeUnchecked } from './lib/judge-without.mjs';
import { keepRows, seriesOf, today } from './lib/kernel-table.mjs';

const { values } = parseArgs({
  options: {
    variant: { type: 'string', multiple: true },
    copies: { type: 'string' },
    seed: { type: 'string', default: '7' },
    quick: { type: 'string' },
    dumps: { type: 'string' },
    built: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
    config: { type: 'string', multiple: true },
    cached: { type: 'boolean', default: false },
  },
});
const copies = Number(values.copies ?? (values.built ? 100_000 : 20_000));
const isWanted = (variant) => values.variant?.includes(variant) ?? true;
const began = Date.now();
const limit = values.quick === undefined ? Number.POSITIVE_INFINITY : Number(values.quick) * 1000;
const root = fileURLToPath(new URL('..', import.meta.url));
const kernelsFolder = join(root, 'scripts', 'kernels');
const cli = join(root, 'build/cli/main.js');
const ONE_KERNEL = 300_000;
const variants = drivers
  .flatMap((driver) => driver.variants)
  .filter(({ name, debianKernel }) => debianKernel !== null && isWanted(name))
  .map(({ name }) => name);
const left = () => limit - (Date.now() - began);
const oneLine = (text) =>
  text
    .trim()
    .replace(/^usercopy: /, '')
    .split('\n')[0]
    .replaceAll('|', '\\|');

/** What to judge: `{ variant, release, suites }`; what cannot even be asked is a row with its error. */
async function* wanted() {
  if (values.built) {
    const isBuilt = ({ built }) => values.config === undefined || values.config.includes(built.config);
    for (const kernel of builtKernels().filter((one) => isWanted(one.variant) && isBuilt(one)))
      yield { ...kernel, suites: [kernel.built.release], judge: judgeOf(kernel) };
    return;
  }
  for (const variant of variants) {
    if (values.cached) {
      // What was built is judged by --built, which knows how.
      const isDebians = (kernel) => kernel.variant === variant && !kernel.release.includes('-built-');
      for (const { release } of await cachedKernels().then((all) => all.filter(isDebians)))
        yield { variant, release, suites: [] };
    } else if (values.quick !== undefined) {
      // The first suite that has one: bullseye lacks some architectures, and i386 has no kernel after bookworm.
      yield { variant, suites: ['bullseye', 'bookworm'] };
      yield { variant, suites: ['sid', 'trixie-backports', 'trixie', 'bookworm'] };
    } else {
      const { kernels, warnings } = await remoteKernels(variant);
      for (const warning of warnings) console.error(`${variant}: ${warning}`);
      const newest = new Map();
      for (const kernel of kernels) newest.set(`${kernel.flavour} ${seriesOf(kernel.release)}`, kernel);
      yield* newest.values();
    }
  }
}

/** `{ variant, built: { release, config? } }`: what is built, and the fragment of a configuration that it is built with. */
function builtKernels() {
  const list = JSON.parse(readFileSync(join(kernelsFolder, 'list.json'), 'utf8'));
  return list.map(({ variant, ...built }) => ({ variant, built }));
}

const fragmentOf = (name) => join(kernelsFolder, `${name}.config`);

/** What judges, where it is no kernel of Debian's: how it was built, and with which options besides the smallest set. */
function judgeOf({ variant, built }) {
  const { kernelBuild } = drivers.flatMap((driver) => driver.variants).find(({ name }) => name === variant);
  const options =
    built.config === undefined
      ? []
      : readFileSync(fragmentOf(built.config), 'utf8')
          .split('\n')
          .flatMap((line) => {
            const [, on, off] = /^(?:CONFIG_(\w+)=y|# CONFIG_(\w+) is not set)$/.exec(line) ?? [];
            return on ?? (off === undefined ? [] : `no ${off}`);
          });
  return ['built', ...(kernelBuild?.compilerOptions ?? []), ...options].join(', ');
}

async function fetchFirst({ variant, release, suites, built }) {
  if (built !== undefined) {
    const config = built.config === undefined ? {} : { config: fragmentOf(built.config) };
    const minute = { last: 0 };
    const onProgress = (what) => {
      if (Date.now() - minute.last < 60_000) return;
      minute.last = Date.now();
      console.error(`${variant}: ${what}`);
    };
    return buildKernel(variant, { release: built.release, jobs: Number(values.jobs), ...config, onProgress });
  }
  if (release !== undefined) return fetchKernel(variant, { release });
  let failure;
  for (const suite of suites) {
    try {
      return await fetchKernel(variant, { release: suite });
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** One question to one kernel, in a process of its own. */
function ask(args, directory) {
  const child = spawnSync(process.execPath, [cli, 'run', ...args, '--json'], {
    cwd: directory,
    encoding: 'utf8',
    timeout: ONE_KERNEL,
    maxBuffer: 64 << 20,
  });
  try {
    return { answer: [JSON.parse(child.stdout)].flat()[0], error: null };
  } catch {
    return { answer: null, error: oneLine(child.stderr || `no answer (exit status ${child.status}, ${child.signal})`) };
  }
}

const rows = [];

const sayRow = ({ variant, release, profile, lkdtm, random, off, error }) =>
  console.log([variant, release, profile, lkdtm, random, off && `off: ${off}`, error].filter(Boolean).join('  '));

const lacksCheck = async (path) => (await loadKernel(path)).symbols.address('__check_object_size') === undefined;

/** A kernel without the check, beside one of its series that has it. */
async function judgeWithout(row, path) {
  const series = seriesOf(row.release);
  const sister = (await cachedKernels()).find(
    ({ variant, release }) => variant === row.variant && seriesOf(release) === series && !release.includes('-built-'),
  );
  if (sister === undefined)
    throw new Error(
      `expected a kernel of ${row.variant} ${series} with the check in the cache (usercopy kernel fetch), found none`,
    );
  const found = await judgeUnchecked(path, sister.path, { copies, seed: Number(values.seed) });
  row.unchecked = true;
  row.profile = found.profile;
  row.lkdtm = `${found.same} of ${found.total}, by ${sister.release}`;
  row.random = `${found.mismatches} of ${copies} differ, by hand`;
  row.failed = found.same !== found.total || found.mismatches > 0;
  for (const { name, expected, found: ours } of found.different)
    console.error(
      `${row.variant} ${row.release}, ${name}: expected ${expected ?? 'that it passes'}; the check: ${ours ?? 'passes'}`,
    );
  sayRow(row);
}

async function judgeKernels() {
  const directory = mkdtempSync(join(tmpdir(), 'usercopy-kernels-'));
  try {
    const seen = new Set();
    for await (const kernel of wanted()) {
      if (left() <= 0) {
        rows.push({
          ...kernel,
          release: kernel.release ?? kernel.suites[0],
          error: 'not judged: the time was up',
          skipped: true,
        });
        continue;
      }
      const row = {
        variant: kernel.variant,
        release: kernel.release ?? kernel.suites[0],
        profile: '',
        lkdtm: '',
        random: '',
        judge: kernel.judge,
        wanted: kernel.suites[0],
        error: null,
      };
      rows.push(row);
      try {
        const { release, path, warnings = [] } = await fetchFirst(kernel);
        for (const warning of warnings) console.error(`${kernel.variant}: ${warning}`);
        row.release = release;
        if (seen.has(release)) {
          rows.pop();
          continue;
        }
        seen.add(release);
        if (await lacksCheck(path)) {
          await judgeWithout(row, path);
          continue;
        }
        const twins = ask(['lkdtm', '--kernel', path], directory);
        if (twins.answer === null) throw new Error(twins.error);
        const same = twins.answer.rows.filter(({ identical }) => identical).length;
        row.profile = twins.answer.profile;
        row.lkdtm = `${same} of ${twins.answer.rows.length}`;
        const random = ask(['random', '--kernel', path, '--copies', String(copies), '--seed', values.seed], directory);
        if (random.answer === null) throw new Error(random.error);
        row.random = `${random.answer.mismatchCount} of ${random.answer.copies} differ`;
        const off = await judgeOff(path);
        row.off = off === null ? '' : `${off.same} of ${off.total}`;
        row.kfence = twins.answer.rows.some((twin) => twin.case.startsWith('kfence'));
        row.failed =
          same !== twins.answer.rows.length ||
          random.answer.mismatchCount > 0 ||
          (off !== null && off.same !== off.total);
      } catch (error) {
        row.error = oneLine(error.message);
        // None is a verdict: a mirror that does not answer, a kernel whose types nobody has given, one for a CPU that is not emulated.
        row.skipped =
          error.kind === 'missing-dependency' ||
          /expected a kernel (?:with types|whose types are known)|no emulated CPU has/.test(row.error);
      }
      sayRow(row);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What was found of kernels, for the table. */
function kept({ variant, release, judge, wanted, skipped, ...row }) {
  const { profile, lkdtm, random, off, kfence, unchecked, error } = row;
  const found = {
    ...{ profile, lkdtm, random },
    ...(off === undefined ? {} : { off }),
    ...(kfence ? { kfence } : {}),
    ...(unchecked ? { unchecked } : {}),
    ...{ copies, seed: Number(values.seed), error, judged: today() },
  };
  return { variant, release, judge, wanted, skipped, found };
}

/** The rows of dumps tell of dumps alone: what else is known of their kernels stays. */
async function judgeDumps(folder) {
  for (const machine of dumpMachines(folder)) {
    const { variant } = machine;
    if (!isWanted(variant)) continue;
    const { release, judge, profile, options, same, different } = await judgeMachine(folder, machine, cli);
    for (const { name, expected, found } of different)
      console.error(`${machine.name}, ${name}: the kernel: ${expected ?? 'passes'}; the check: ${found ?? 'passes'}`);
    rows.push({ failed: different.length > 0, error: null });
    const dumps = `${same} of ${machine.cases.length}`;
    console.log(`${variant}  ${release}  dumps: ${dumps}`);
    // A machine takes a minute: what is known by now is kept.
    keepRows([
      { variant, release, judge, found: (old) => ({ profile, options, ...old, dumps, dumpsJudged: today() }) },
    ]);
  }
}

if (values.dumps === undefined) await judgeKernels();
else await judgeDumps(values.dumps);
for (const row of rows.filter(({ error, profile }) => error?.startsWith('not judged') && !profile))
  console.log(`${row.variant}  ${row.release}  ${row.error}`);

if (values.quick === undefined && values.dumps === undefined) keepRows(rows.map(kept));
process.exitCode = rows.some(({ error, failed, skipped }) => failed || (error && !skipped)) ? 1 : 0;
