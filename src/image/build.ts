/**
 * Kernels built from Debian's source, for architectures that Debian has no kernel of, and for configurations that it does not
 * ship. They are not booted: they judge at function level, as every kernel does here.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import type { ArchDriver, KernelBuild } from '../../arch/driver.js';
import { drivers as allDrivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { run, runByLine } from './apt.js';
import {
  BASE_CONFIG,
  type ConfigFragment,
  mergeFragments,
  parseFragment,
  printFragment,
  REQUIRED_OPTIONS,
  unmetOptions,
} from './build-config.js';
import { type KernelSource, kernelSource, type SourceRequest } from './build-source.js';
import { type BuildTools, buildTools } from './build-tools.js';
import { defaultCacheDirectory, type FetchedKernel, findImage, store } from './fetch.js';
import { readWhole } from './files.js';
import { loadKernel } from './load.js';
import { findPahole, runPahole } from './pahole.js';
import { alone, inWorkspace } from './workspace.js';

const DEFAULT_SUITE = 'bookworm';
const FRAGMENT_BYTES = 64 << 10;
const SHORT_LIMIT = 120_000;
const MOST_JOBS = 64;
/** What make said last, for an error. */
const KEPT_LINES = 200;

export interface BuildOptions {
  /** A suite (its own series) or a series (`5.10`, looked for in every suite); bookworm when absent. */
  readonly release?: string | undefined;
  /** Path of options that differ from the smallest configuration, in the form of a `.config`. */
  readonly config?: string | undefined;
  /** Compilers at a time; default: one. */
  readonly jobs?: number | undefined;
  /** Asks again which source is newest, although the cache has an answer. */
  readonly refresh?: boolean | undefined;
  readonly cacheDirectory?: string | undefined;
  readonly drivers?: readonly ArchDriver[] | undefined;
  /** Hears what is being done. */
  readonly onProgress?: ((what: string) => void) | undefined;
}

interface Plan {
  readonly variant: string;
  readonly facts: KernelBuild;
  readonly config: ConfigFragment;
  /** What the user asked for: all of it must come true. */
  readonly asked: ConfigFragment;
  readonly source: SourceRequest;
  readonly jobs: number;
  readonly cache: string;
  readonly say: (what: string) => void;
}

/**
 * Builds a kernel, or gives it out of the cache, where it lies by what went into it: source, compiler, configuration. A build
 * that was interrupted goes on where it was.
 * @throws UsercopyError `bad-input` for a variant, release or configuration that cannot be built, `missing-dependency` without apt,
 *   network, make or a C compiler, `unsupported` where the source does not compile, or comes to a kernel that nothing can be judged by.
 */
export async function buildKernel(variant: string, options: BuildOptions = {}): Promise<FetchedKernel> {
  const plan = await planOf(variant, options);
  const note = newestFile(plan);
  const before = options.refresh ? '' : (await fs.readFile(note, 'utf8').catch(() => '')).trim();
  const cached = before === '' ? null : await findImage(path.join(plan.cache, before), variant, before);
  if (cached !== null) return cached;
  return inWorkspace(plan.cache, async (workspace) => {
    const { cache, facts, say } = plan;
    const tools = await buildTools(cache, workspace, facts, say);
    const source = await kernelSource(cache, workspace, plan.source, facts.sourceFolder, tools.programs, say);
    const built = await buildOnce(plan, tools, source, workspace);
    await fs.writeFile(note, `${built.release}\n`);
    return source.warnings.length === 0 ? built : { ...built, warnings: source.warnings };
  });
}

async function planOf(variant: string, options: BuildOptions): Promise<Plan> {
  const facts = buildFactsOf(variant, options.drivers ?? allDrivers);
  const { release: wanted = DEFAULT_SUITE, jobs = 1 } = options;
  const isSeries = /^\d+\.\d+$/.test(wanted);
  if (!isSeries && !/^[a-z][a-z-]*$/.test(wanted))
    throw badInput('kernel build --release', 'a suite (bookworm, trixie) or a series (6.1, 5.10)', `'${wanted}'`);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > MOST_JOBS)
    throw badInput('kernel build --jobs', `a whole number from 1 to ${MOST_JOBS}`, `'${jobs}'`);
  const asked = options.config === undefined ? new Map() : readFragment(options.config);
  const own = parseFragment(facts.config, `the configuration of ${variant}`);
  return {
    variant,
    facts,
    config: mergeFragments(BASE_CONFIG, own, asked),
    asked,
    source: { suite: isSeries ? null : wanted, series: isSeries ? wanted : null, wanted },
    jobs,
    cache: options.cacheDirectory ?? (await defaultCacheDirectory()),
    say: options.onProgress ?? (() => undefined),
  };
}

const readFragment = (file: string): ConfigFragment =>
  parseFragment(readWhole(file, FRAGMENT_BYTES).toString('utf8'), file);

/** Names of the variants whose kernels can be built. */
export const buildableVariants = (drivers: readonly ArchDriver[] = allDrivers): string[] =>
  drivers.flatMap(({ variants }) => variants.filter(({ kernelBuild }) => kernelBuild).map(({ name }) => name));

function buildFactsOf(name: string, drivers: readonly ArchDriver[]): KernelBuild {
  const facts = drivers.flatMap(({ variants }) => variants).find((variant) => variant.name === name)?.kernelBuild;
  if (facts !== undefined) return facts;
  const able = buildableVariants(drivers).join(', ');
  throw badInput('kernel build', `a variant that can be built (${able})`, `'${name}'`);
}

const hashOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8);

/** Which kernel the newest source of a suite or series came to, with this configuration. */
function newestFile({ cache, variant, facts, config, source }: Plan): string {
  const key = hashOf(printFragment(config), ...(facts.compilerOptions ?? []));
  return path.join(cache, `newest-built-${source.wanted}-${variant}-${key}`);
}

async function buildOnce(
  plan: Plan,
  tools: BuildTools,
  source: KernelSource,
  workspace: string,
): Promise<FetchedKernel> {
  const { variant, facts, config, cache, say } = plan;
  const key = hashOf(
    variant,
    source.package,
    ...tools.packages,
    printFragment(config),
    ...(facts.compilerOptions ?? []),
  );
  const objects = path.join(cache, 'build', `objects-${key}`);
  const suffix = `-built-${key}`;
  const release = `${await versionOf(source)}${suffix}`;
  const before = await findImage(path.join(cache, release), variant, release);
  if (before !== null) return before;
  return alone(objects, `the kernel ${release}`, async () => {
    const meanwhile = await findImage(path.join(cache, release), variant, release);
    if (meanwhile !== null) return meanwhile;
    const make = (targets: readonly string[], environment: NodeJS.ProcessEnv, onLine: (line: string) => void) =>
      runMake(
        [`-j${plan.jobs}`, ...makeArguments(facts, tools, source, objects, suffix), ...targets],
        tools,
        environment,
        onLine,
      );
    await configure(plan, objects, make, release);
    let done = 0;
    say(`compiling ${release} (some minutes)`);
    await make(['vmlinux'], {}, (line) => {
      const [, what] = /^ {2}(?:CC|AS|LD|AR)\s+(\S+)/.exec(line) ?? [];
      if (what !== undefined) say(`compiling ${release}: ${++done} files (${what})`);
    });
    const image = await withTypes(path.join(objects, 'vmlinux'), facts, tools, plan, workspace);
    await requireJudge(image, plan, release);
    const files = { release, image, name: 'vmlinux' as const, config: path.join(objects, '.config') };
    const stored = await store(files, { variant, cache }, release, workspace);
    await fs.rm(objects, { recursive: true, force: true });
    return stored;
  });
}

/** `6.1.192`: what the source's own Makefile says. */
async function versionOf({ folder }: KernelSource): Promise<string> {
  const text = await fs.readFile(path.join(folder, 'Makefile'), 'utf8');
  const part = (name: string): string => new RegExp(`^${name} = *(\\S*)$`, 'm').exec(text)?.[1] ?? '';
  return `${part('VERSION')}.${part('PATCHLEVEL')}.${part('SUBLEVEL')}${part('EXTRAVERSION')}`;
}

function makeArguments(
  facts: KernelBuild,
  { hostOptions }: BuildTools,
  source: KernelSource,
  objects: string,
  suffix: string,
): string[] {
  return [
    ...['-C', source.folder, `O=${objects}`, `ARCH=${facts.makeArchitecture}`, `CROSS_COMPILE=${facts.triplet}-`],
    'HOSTCC=gcc',
    ...(facts.hostLibraries === undefined
      ? []
      : [`HOSTCFLAGS=${hostOptions.compiler}`, `HOSTLDFLAGS=${hostOptions.linker}`]),
    `LOCALVERSION=${suffix}`,
    // Newer compilers warn of much in older kernels, and some of their folders take warnings for errors.
    `KCFLAGS=${['-w', ...(facts.compilerOptions ?? [])].join(' ')}`,
    // Not of this machine or this day: the same kernel for everybody.
    ...['KBUILD_BUILD_USER=usercopy', 'KBUILD_BUILD_HOST=usercopy', 'KBUILD_BUILD_TIMESTAMP=1970-01-01'],
  ];
}

type Make = (
  targets: readonly string[],
  environment: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
) => Promise<void>;

/**
 * What was asked for, what every kernel needs, and what its architecture does; SLUB_DEBUG is no matter of kernels with SLAB. Names that
 * only some series have may go unmet.
 */
function requiredOf({ config, asked, facts }: Plan): ConfigFragment {
  const own = parseFragment(facts.config, 'the configuration of the architecture');
  const names = new Set<string>([...asked.keys(), ...own.keys(), ...REQUIRED_OPTIONS]);
  if (!asked.has('SLAB')) names.add('SLUB_DEBUG');
  for (const name of facts.optional ?? []) if (!asked.has(name)) names.delete(name);
  return new Map([...config].filter(([name]) => names.has(name)));
}

/** Writes `.config`, unless an interrupted build has left it; what it says is looked at in any case. */
async function configure(plan: Plan, objects: string, make: Make, release: string): Promise<void> {
  const file = path.join(objects, '.config');
  const fragment = path.join(objects, 'usercopy.config');
  if (!(await fs.readFile(file).catch(() => null))) {
    plan.say(`configuring ${release}`);
    await fs.writeFile(fragment, printFragment(plan.config));
    await make(['allnoconfig'], { KCONFIG_ALLCONFIG: fragment }, () => undefined);
  }
  const unmet = unmetOptions(requiredOf(plan), await fs.readFile(file, 'utf8'));
  if (unmet.length === 0) return;
  await fs.rm(objects, { recursive: true, force: true });
  throw badInput(
    `kernel build --config of ${release}`,
    'options that this kernel has, with what they depend on',
    unmet.join('; '),
  );
}

/** The image with BTF in the place of DWARF. */
async function withTypes(
  image: string,
  facts: KernelBuild,
  tools: BuildTools,
  { cache, say }: Plan,
  workspace: string,
): Promise<string> {
  const btf = path.join(workspace, 'btf');
  const pahole = await findPahole(cache, workspace, say);
  say('making BTF of the debug symbols');
  await runPahole(pahole, image, btf);
  const target = path.join(workspace, 'vmlinux');
  const { failed, output } = await run(
    path.join(tools.programs, `${facts.triplet}-objcopy`),
    ['--strip-debug', `--add-section=.BTF=${btf}`, image, target],
    workspace,
    SHORT_LIMIT,
  );
  if (!failed) return target;
  throw new UsercopyError('unsupported', `objcopy: expected it to put the types into vmlinux, found: ${output.trim()}`);
}

/** A kernel without types, names or the check is none that can judge; that there be no check may have been asked for. */
async function requireJudge(image: string, { variant, asked }: Plan, release: string): Promise<void> {
  const wantsCheck = asked.get('HARDENED_USERCOPY') !== 'n';
  const kernel = await loadKernel(image);
  const lacks = [
    ...(kernel.variant === variant ? [] : [`${variant}, but ${kernel.variant}`]),
    ...(kernel.types?.hasStruct('task_struct') ? [] : ['types of its own']),
    ...(wantsCheck && kernel.symbols.address('__check_object_size') === undefined ? ['__check_object_size()'] : []),
  ];
  if (lacks.length > 0)
    throw new UsercopyError(
      'unsupported',
      `kernel build of ${release}: expected a kernel of ${variant} with types and the check, found no ${lacks.join(', no ')}`,
    );
}

/** Runs make; what it says goes to `onLine` line by line. @throws UsercopyError `unsupported` with its last words when it fails. */
async function runMake(
  args: readonly string[],
  { programs }: BuildTools,
  environment: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
): Promise<void> {
  const { PATH = '', HOME, TMPDIR } = process.env;
  // Nothing else of the environment: what somebody set for his own builds would change this one.
  const env: NodeJS.ProcessEnv = { PATH: `${programs}${path.delimiter}${PATH}`, HOME, TMPDIR, LC_ALL: 'C' };
  const lines: string[] = [];
  const how = await runByLine('make', args, { ...env, ...environment }, (line) => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    onLine(line);
  });
  if (how === null) return;
  // What make says of its own, between stars, repeats that something failed; only that there is no rule is news.
  const why = lines.filter((line) =>
    line.includes('***')
      ? /No rule to make target/.test(line)
      : /\berror\b|undefined reference|No such file|not found|can't open/i.test(line),
  );
  const said = (why.length > 0 ? why.slice(0, 3) : lines.slice(-3)).join(' / ');
  throw new UsercopyError(
    'unsupported',
    `kernel build: expected make to end well, found ${how}: ${said || 'it said nothing'} (on ${os.arch()})`,
  );
}
