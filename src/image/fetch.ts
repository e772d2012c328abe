/** Debian's kernels: which package, downloaded once, kept in a cache that is used without network from then on. */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ArchDriver, Variant } from '../../arch/driver.js';
import { drivers as allDrivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { PrivateApt, unpackBoot } from './apt.js';

/** Suites and the kernel series that each carries. */
const SUITES: Readonly<Record<string, string>> = { bookworm: '6.1', bullseye: '5.10', trixie: '6.12' };
const DEFAULT_SUITE = 'bookworm';

export interface FetchOptions {
  /** A suite (`trixie`), a series (`6.12`) or a full release (`6.1.0-50-cloud-amd64`); bookworm's newest when absent. */
  readonly release?: string;
  /** Where to look for a full release whose series does not tell. */
  readonly suite?: string;
  readonly cacheDirectory?: string;
  readonly drivers?: readonly ArchDriver[];
}

export interface FetchedKernel {
  readonly variant: string;
  /** As `uname -r` says it. */
  readonly release: string;
  /** The boot image; its configuration lies beside it as `config-<release>`. */
  readonly path: string;
}

interface Request {
  readonly variant: string;
  readonly architecture: string;
  readonly metaPackage: string;
  readonly suite: string;
  /** Full release; null: the suite's newest. */
  readonly release: string | null;
  readonly cache: string;
}

/**
 * Gets a Debian kernel of a variant. A suite's newest stays what it was when first asked for, until the cache is deleted.
 * Errors: `bad-input` for a variant or release that Debian lacks, `missing-dependency` without apt or network.
 */
export async function fetchKernel(variant: string, options: FetchOptions = {}): Promise<FetchedKernel> {
  const request = await readRequest(variant, options);
  const cached = await lookUp(request);
  if (cached !== null) return cached;
  await fs.mkdir(request.cache, { recursive: true });
  const workspace = await fs.mkdtemp(path.join(request.cache, '.fetch-'));
  try {
    const apt = await PrivateApt.open(workspace, request.architecture, request.suite);
    const { deb, release } = await download(apt, request);
    const fetched = await store(workspace, deb, request, release);
    if (request.release === null) await fs.writeFile(newestFile(request), `${release}\n`);
    return fetched;
  } finally {
    await fs.rm(workspace, { recursive: true, force: true });
  }
}

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
  const series = /^(\d+\.\d+)(\.\d+\S*)?$/.exec(wanted);
  const suite =
    options.suite ?? (wanted in SUITES ? wanted : Object.keys(SUITES).find((key) => SUITES[key] === series?.[1]));
  if (suite === undefined || !(suite in SUITES))
    throw badInput(
      'kernel release',
      `a suite (${Object.keys(SUITES).join(', ')}), a series (${Object.values(SUITES).join(', ')}) or a full release of one of these, such as 6.1.0-50-cloud-amd64`,
      options.suite !== undefined && !(options.suite in SUITES) ? options.suite : wanted,
    );
  const isFull = series?.[2] !== undefined;
  if (isFull && !/^[\w.+-]+$/.test(wanted))
    throw badInput('kernel release', 'letters, digits, dots and dashes', wanted);
  if (!isFull && wanted !== suite && wanted !== SUITES[suite])
    throw badInput('kernel release', `${SUITES[suite]} or a full release in suite ${suite}`, wanted);
  const cache = options.cacheDirectory ?? (await defaultCacheDirectory());
  return { variant: name, architecture, metaPackage, suite, release: isFull ? wanted : null, cache };
}

function debianKernelOf(name: string, drivers: readonly ArchDriver[]): NonNullable<Variant['debianKernel']> {
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
async function findImage(directory: string, variant: string, release: string): Promise<FetchedKernel | null> {
  const owner = (await fs.readFile(path.join(directory, 'variant'), 'utf8').catch(() => '')).trim();
  if (owner === '') return null;
  if (owner !== variant) throw badInput(`kernel release ${release}`, `one of ${variant}`, `one of ${owner}`);
  for (const name of ['vmlinuz', 'vmlinux']) {
    const file = path.join(directory, `${name}-${release}`);
    if (await exists(file)) return { variant, release, path: file };
  }
  return null;
}

/** Finds the package behind the request and downloads it: of the newest that the mirror really has. */
async function download(apt: PrivateApt, request: Request): Promise<{ deb: string; release: string }> {
  const candidates = request.release === null ? await newestReleases(apt, request) : [request.release];
  let reason = '';
  for (const release of candidates) {
    // Signed for secure boot, or built so that somebody else may sign it.
    for (const name of [`linux-image-${release}`, `linux-image-${release}-unsigned`]) {
      if ((await apt.versions(name)).length === 0) continue;
      const result = await apt.download(name);
      if (result.path !== null) return { deb: result.path, release };
      reason = result.reason;
    }
  }
  if (reason !== '')
    throw new UsercopyError(
      'missing-dependency',
      `kernel ${candidates[0]}: expected the mirror to have its package, found: ${reason}`,
    );
  const flavour = request.metaPackage.replace(/^linux-image-/, '');
  const available = (await apt.names('^linux-image-[0-9]'))
    .map((name) => name.replace(/^linux-image-/, ''))
    .filter((release) => !/-dbg$|-unsigned$/.test(release) && release.endsWith(flavour));
  throw badInput(
    `kernel release ${request.release ?? request.suite}`,
    available.length > 0
      ? `one that ${request.suite} has for ${request.variant} (${available.join(', ')})`
      : `a suite that has kernels for ${request.variant}`,
    'none of this name',
  );
}

/** Releases that the suite's meta package has pointed at, newest first: security updates come before point releases. */
async function newestReleases(apt: PrivateApt, request: Request): Promise<string[]> {
  const versions = await apt.versions(request.metaPackage);
  const images = versions.flatMap(({ depends }) => depends.filter((name) => /^linux-image-\d/.test(name)));
  return [...new Set(images.map((name) => name.replace(/^linux-image-|-unsigned$/g, '')))];
}

/** Unpacks boot image and configuration; the cache's directory appears whole or not at all. */
async function store(workspace: string, deb: string, request: Request, release: string): Promise<FetchedKernel> {
  const unpacked = path.join(workspace, 'unpacked');
  const kept = path.join(workspace, 'kept');
  await fs.mkdir(unpacked);
  await fs.mkdir(kept);
  await unpackBoot(deb, unpacked);
  for (const name of await fs.readdir(path.join(unpacked, 'boot')))
    if (/^(vmlinu[xz]|config)-/.test(name)) await fs.rename(path.join(unpacked, 'boot', name), path.join(kept, name));
  await fs.writeFile(path.join(kept, 'variant'), `${request.variant}\n`);
  const target = path.join(request.cache, release);
  // Another process may have been quicker; its files are the same.
  await fs.rename(kept, target).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  const fetched = await findImage(target, request.variant, release);
  if (fetched === null)
    throw new UsercopyError('missing-dependency', `${path.basename(deb)}: expected a boot image in it, found none`);
  return fetched;
}

function newestFile({ cache, variant, suite }: Request): string {
  return path.join(cache, `newest-${suite}-${variant}`);
}

function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}
