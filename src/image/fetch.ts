/** Debian's kernels: which package, downloaded once, kept in a cache that is used without network from then on. */

import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ArchDriver, Variant } from '../../arch/driver.js';
import { drivers as allDrivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { aBoolean, anArray, aText, type OptionRule, requireOptions, requireValue } from '../options.js';
import { everySuite, PrivateApt, unpackImages } from './apt.js';
import { compareVersions } from './debian-version.js';
import { findFiles, type KernelFiles } from './kernel-files.js';
import { inWorkspace } from './workspace.js';

const DEFAULT_SUITE = 'bookworm';
/** `7.3`, `6.1.0`, `6.1.0-50-cloud-amd64`: not a suite. */
const NUMBERED = /^\d/;
const SERIES = /^\d+\.\d+(?:\.\d+)?$/;

export interface FetchOptions {
  /**
   * A suite (`trixie`, `sid`, `trixie-backports`: the newest kernel of the series that it installs), a series (`7.3`) or a
   * full release (`6.1.0-50-cloud-amd64`); bookworm when absent. Series and releases are looked for in every suite.
   */
  readonly release?: string;
  /** Where to look for a series or a full release; every suite when absent. */
  readonly suite?: string | undefined;
  /** Asks the index again what is newest, although the cache has an answer. */
  readonly refresh?: boolean;
  readonly cacheDirectory?: string;
  readonly drivers?: readonly ArchDriver[];
}

const FETCH_RULES: Readonly<Record<keyof FetchOptions, OptionRule>> = {
  release: aText,
  suite: aText,
  refresh: aBoolean,
  cacheDirectory: aText,
  drivers: anArray,
};

export interface FetchedKernel {
  readonly variant: string;
  /** As `uname -r` says it. */
  readonly release: string;
  /** The boot image; its configuration lies beside it as `config-<release>`. */
  readonly path: string;
  /** What could not be read or had, so that this may not be the newest, or lacks something. Absent: nothing. */
  readonly warnings?: readonly string[];
}

/** A kernel that a suite offers. */
export interface RemoteKernel {
  readonly variant: string;
  readonly release: string;
  /** What the kernel is built for: `cloud-amd64`, `arm64-16k`. */
  readonly flavour: string;
  readonly version: string;
  readonly suites: readonly string[];
}

interface Request {
  readonly variant: string;
  readonly architecture: string;
  /** The flavour that a suite or a series stands for. */
  readonly flavour: string;
  /** What was asked for: a suite, a series or a release. */
  readonly wanted: string;
  /** null: every suite. */
  readonly suite: string | null;
  /** Full release; null: the newest of `suite` and `series`. */
  readonly release: string | null;
  readonly series: string | null;
  readonly cache: string;
}

/**
 * Gets a Debian kernel of a variant. What is newest of a suite or a series stays what it was when first asked for, until
 * `refresh` or until the cache is deleted.
 * Errors: `bad-input` for a variant or release that Debian lacks, `missing-dependency` without apt or network.
 */
export async function fetchKernel(variant: string, options: FetchOptions = {}): Promise<FetchedKernel> {
  requireValue('fetchKernel: variant', variant, aText);
  requireOptions('fetchKernel', options, FETCH_RULES);
  const request = await readRequest(variant, options);
  const cached = options.refresh ? null : await lookUp(request);
  if (cached !== null) return cached;
  return inWorkspace(request.cache, async (workspace) => {
    const apt = await openApt(workspace, request);
    const { release, files, warnings } = await download(apt, request, workspace);
    const fetched = await store(files, request, release, workspace);
    if (request.release === null) await fs.writeFile(newestFile(request), `${release}\n`);
    return warnings.length === 0 ? fetched : { ...fetched, warnings };
  });
}

/** What suites offer for a variant, oldest first, and the indexes that could not be read. */
export async function remoteKernels(
  variant: string,
  options: Pick<FetchOptions, 'suite' | 'cacheDirectory' | 'drivers'> = {},
): Promise<{ readonly kernels: readonly RemoteKernel[]; readonly warnings: readonly string[] }> {
  const { suite, cacheDirectory, drivers } = FETCH_RULES;
  requireValue('remoteKernels: variant', variant, aText);
  requireOptions('remoteKernels', options, { suite, cacheDirectory, drivers });
  const request = await readRequest(variant, { ...options, release: options.suite ?? '0.0' });
  return inWorkspace(request.cache, async (workspace) => {
    const apt = await openApt(workspace, request);
    return { kernels: await offered(apt, variant), warnings: apt.failures.map(unread) };
  });
}

async function openApt(workspace: string, { architecture, suite }: Request): Promise<PrivateApt> {
  return PrivateApt.open(workspace, architecture, suite === null ? await everySuite(workspace) : [suite]);
}

const unread = (failure: string): string =>
  `the index of ${failure}: there may be kernels, and newer ones, that are not known`;

/** `.cache/kernels` of a source tree; the user's cache directory when installed as a package. */
export async function defaultCacheDirectory(): Promise<string> {
  let directory = path.dirname(fileURLToPath(import.meta.url));
  while (!directory.split(path.sep).includes('node_modules') && directory !== path.dirname(directory)) {
    if (await exists(path.join(directory, 'tsconfig.json'))) return path.join(directory, '.cache', 'kernels');
    directory = path.dirname(directory);
  }
  const base = process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache');
  return path.join(base, 'unicorn-usercopy', 'kernels');
}

/** The kernels in the cache, by variant and release. */
export async function cachedKernels(cacheDirectory?: string): Promise<FetchedKernel[]> {
  if (cacheDirectory !== undefined) requireValue('cachedKernels: folder', cacheDirectory, aText);
  const cache = cacheDirectory ?? (await defaultCacheDirectory());
  const kernels: FetchedKernel[] = [];
  for (const release of await fs.readdir(cache).catch(() => [])) {
    const variant = (await fs.readFile(path.join(cache, release, 'variant'), 'utf8').catch(() => '')).trim();
    const found = variant === '' ? null : await findImage(path.join(cache, release), variant, release);
    if (found !== null) kernels.push(found);
  }
  const key = ({ variant, release }: FetchedKernel): string => `${variant} ${release}`;
  return kernels.sort((left, right) => key(left).localeCompare(key(right), 'en', { numeric: true }));
}

async function readRequest(name: string, options: FetchOptions): Promise<Request> {
  const { architecture, metaPackage } = debianKernelOf(name, options.drivers ?? allDrivers);
  const wanted = options.release ?? options.suite ?? DEFAULT_SUITE;
  if (!/^[\w][\w.+~-]*$/.test(wanted) || !/^[a-z-]*$/.test(options.suite ?? ''))
    throw badInput(
      'kernel release',
      'a suite (trixie, sid, trixie-backports), a series (6.12) or a full release (6.1.0-50-cloud-amd64): letters, digits, dots and dashes',
      options.suite ?? wanted,
    );
  const isNumbered = NUMBERED.test(wanted);
  const isSeries = isNumbered && SERIES.test(wanted);
  const suite = options.suite ?? (isNumbered ? null : wanted);
  return {
    variant: name,
    architecture,
    flavour: metaPackage.replace(/^linux-image-/, ''),
    wanted,
    suite,
    release: isNumbered && !isSeries ? wanted : null,
    series: isSeries ? wanted : null,
    cache: options.cacheDirectory ?? (await defaultCacheDirectory()),
  };
}

export function debianKernelOf(name: string, drivers: readonly ArchDriver[]): NonNullable<Variant['debianKernel']> {
  const variants = drivers.flatMap((driver) => driver.variants);
  const kernel = variants.find((variant) => variant.name === name)?.debianKernel;
  if (kernel) return kernel;
  const available = variants.filter((variant) => variant.debianKernel !== null).map((variant) => variant.name);
  throw badInput('variant', `one that Debian has a kernel for (${available.join(', ')})`, name);
}

async function lookUp(request: Request): Promise<FetchedKernel | null> {
  const release = request.release ?? (await fs.readFile(newestFile(request), 'utf8').catch(() => '')).trim();
  if (release === '') return null;
  return findImage(path.join(request.cache, release), request.variant, release);
}

/** The kernel in a directory of the cache; null when it is not there. Error: it belongs to another variant. */
export async function findImage(directory: string, variant: string, release: string): Promise<FetchedKernel | null> {
  const owner = (await fs.readFile(path.join(directory, 'variant'), 'utf8').catch(() => '')).trim();
  if (owner === '') return null;
  if (owner !== variant) throw badInput(`kernel release ${release}`, `one of ${variant}`, `one of ${owner}`);
  for (const name of ['vmlinuz', 'vmlinux']) {
    const file = path.join(directory, `${name}-${release}`);
    if (await exists(file)) return { variant, release, path: file };
  }
  return null;
}

/** Every kernel that the suites offer, by package names alone. */
async function offered(apt: PrivateApt, variant: string): Promise<RemoteKernel[]> {
  // What is built, by the packages that always depend on the newest of it: linux-image-cloud-amd64.
  const all = (await apt.names('linux-image-')).filter((name) => !/-dbg$|-template$/.test(name));
  const flavours = all
    .map((name) => name.replace(/^linux-image-/, ''))
    .filter((name) => /^[a-z0-9-]+$/.test(name) && !/-unsigned$/.test(name))
    .sort((left, right) => right.length - left.length);
  const names = all.filter((name) => /^linux-image-\d+\./.test(name));
  const kernels = new Map<string, RemoteKernel>();
  for (const { name, version, suite } of await apt.offers(names)) {
    const release = name.replace(/^linux-image-|-unsigned$/g, '');
    const flavour = flavours.find((candidate) => release.endsWith(`-${candidate}`));
    if (flavour === undefined) continue;
    const known = kernels.get(release);
    kernels.set(release, {
      variant,
      release,
      flavour,
      version: known !== undefined && compareVersions(known.version, version) > 0 ? known.version : version,
      suites: [...new Set([...(known?.suites ?? []), suite])],
    });
  }
  return [...kernels.values()].sort(
    (left, right) => compareVersions(left.version, right.version) || (left.release < right.release ? -1 : 1),
  );
}

/** Downloads what the request asks for: of the newest kernels the first that the mirror really has. */
async function download(
  apt: PrivateApt,
  request: Request,
  workspace: string,
): Promise<{ release: string; files: KernelFiles; warnings: readonly string[] }> {
  const warnings = apt.failures.map(unread);
  const kernels = await offered(apt, request.variant);
  const series = request.series ?? (request.release === null ? await installedSeries(apt, request.flavour) : null);
  const wanted = kernels.filter(({ release, flavour }) =>
    request.release !== null
      ? release === request.release
      : flavour === request.flavour && (series === null || isOfSeries(release, series)),
  );
  const passedOver: PassedOver[] = [];
  for (const { release } of wanted.reverse()) {
    const packages = await packagesOf(apt, release);
    if (packages === null) continue;
    const { files, failures } = await unpackAll(apt, packages, release, path.join(workspace, `unpacked-${release}`));
    if (files !== null) return { release, files, warnings: [...warnings, ...toldOnce(passedOver), ...failures] };
    passedOver.push({ release, reason: failures[0] ?? 'its packages hold no boot image' });
  }
  if (passedOver.length > 0)
    throw new UsercopyError(
      'missing-dependency',
      `kernel ${request.wanted}: expected the mirror to have it, found: ${toldOnce(passedOver).join('; ')}`,
    );
  const others = [
    ...new Set(kernels.filter(({ flavour }) => flavour === request.flavour).map(({ release }) => release)),
  ];
  throw badInput(
    `kernel release ${request.wanted}`,
    others.length > 0
      ? `one that there is for ${request.variant} (${others.slice(-12).join(', ')}; all: usercopy kernel list --remote ${request.variant})`
      : `a suite that has kernels for ${request.variant}`,
    ['none of this name', ...warnings].join('; '),
  );
}

interface PassedOver {
  readonly release: string;
  readonly reason: string;
}

/** One sentence for all kernels that an index lists and the mirror did not give, with the first one's reason. */
function toldOnce(passedOver: readonly PassedOver[]): string[] {
  const [first] = passedOver;
  if (first === undefined) return [];
  const releases = passedOver.map(({ release }) => release).join(', ');
  return passedOver.length === 1
    ? [`${releases} is listed but could not be had: ${first.reason}`]
    : [`${passedOver.length} newer kernels are listed but could not be had: ${releases} (the first: ${first.reason})`];
}

/**
 * The series that a suite installs, which its linux-image-<flavour> depends on: bookworm's is 6.1, although its security
 * updates have a 6.12 too. null where no package says.
 */
async function installedSeries(apt: PrivateApt, flavour: string): Promise<string | null> {
  const [newest] = await apt.versions(`linux-image-${flavour}`);
  const release = newest?.depends.find((name) => /^linux-image-\d/.test(name));
  return release === undefined ? null : (/^linux-image-(\d+\.\d+)/.exec(release)?.[1] ?? null);
}

/** `6.1` is the series of 6.1.0-50-…, `6.12.95` of 6.12.95+deb12-…; `6.1` is not that of 6.12. */
const isOfSeries = (release: string, series: string): boolean =>
  release.startsWith(series) && !/[\d]/.test(release[series.length] ?? '');

/**
 * The packages of a release: its image, and what that depends on of the same release. From 6.19 on Debian keeps the image in
 * linux-binary-…, and from 7.2 the configuration in linux-base-…. null for a package that only depends on another kernel.
 */
async function packagesOf(apt: PrivateApt, release: string): Promise<string[][] | null> {
  // Signed for secure boot, or built so that somebody else may sign it.
  const names = [`linux-image-${release}`, `linux-image-${release}-unsigned`];
  const versions = (await Promise.all(names.map((name) => apt.versions(name)))).map(([newest]) => newest);
  const found = versions.filter((version) => version !== undefined);
  const depends = [...new Set(found.flatMap((version) => version.depends))];
  if (depends.some((name) => /^linux-image-\d/.test(name) && !names.includes(name))) return null;
  const parts = depends.filter((name) => /^linux-(?:binary|base)-/.test(name) && name.includes(release));
  return [...parts.map((name) => [name]), found.map(({ name }) => name)];
}

/** Of each group of packages the first that the mirror has. Failures that leave the kernel without an image are told by `null`. */
async function unpackAll(
  apt: PrivateApt,
  groups: readonly (readonly string[])[],
  release: string,
  directory: string,
): Promise<{ files: KernelFiles | null; failures: string[] }> {
  await fs.mkdir(directory, { recursive: true });
  const failures: string[] = [];
  const find = async (): Promise<KernelFiles | null> =>
    (await findFiles(directory)).find((files) => files.release === release || files.release === '') ?? null;
  for (const group of groups) {
    const before = await find();
    if (before !== null && before.config !== null) break;
    let reason = '';
    for (const name of group) {
      const { path: deb, reason: why } = await apt.download(name);
      reason ||= `${name}: ${why}`;
      if (deb === null) continue;
      await unpackImages(deb, directory);
      await fs.rm(deb);
      reason = '';
      break;
    }
    if (reason !== '') failures.push(reason);
  }
  const files = await find();
  if (files !== null && files.config === null && failures.length > 0)
    return { files, failures: [`the configuration of ${release} could not be had (${failures.join('; ')})`] };
  return { files, failures: files === null ? failures : [] };
}

/** Keeps image and configuration; the cache's directory appears whole or not at all. */
export async function store(
  files: KernelFiles,
  request: Pick<Request, 'variant' | 'cache'>,
  release: string,
  workspace: string,
) {
  const kept = await fs.mkdtemp(path.join(workspace, 'kept-'));
  await fs.copyFile(files.image, path.join(kept, `${files.name}-${release}`));
  if (files.config !== null) await fs.copyFile(files.config, path.join(kept, `config-${release}`));
  await fs.writeFile(path.join(kept, 'variant'), `${request.variant}\n`);
  const target = path.join(request.cache, release);
  // Types may have been there before the image.
  for (const name of await fs.readdir(target).catch(() => []))
    if (name.startsWith('btf-')) await fs.copyFile(path.join(target, name), path.join(kept, name));
  if ((await findImage(target, request.variant, release)) === null)
    await fs.rm(target, { recursive: true, force: true });
  // Another process may have been quicker; its files are the same.
  await fs.rename(kept, target).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  const fetched = await findImage(target, request.variant, release);
  if (fetched === null)
    throw new UsercopyError('missing-dependency', `${release}: expected a boot image in ${target}, found none`);
  return fetched;
}

function newestFile({ cache, variant, wanted }: Request): string {
  return path.join(cache, `newest-${wanted}-${variant}`);
}

function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}
