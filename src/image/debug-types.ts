/**
 * Types of a Debian kernel whose image has none: its package of debug symbols is fetched, and pahole makes BTF of the DWARF in
 * it. The BTF lies in the cache beside the image, where `loadKernel()` finds it.
 */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { drivers as allDrivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { readBtf } from '../kernel/btf.js';
import { packageFile } from '../paths.js';
import { type DebianProgram, debianArchive, everySuite, PrivateApt, run, unpackImages } from './apt.js';
import { debianKernelOf, defaultCacheDirectory } from './fetch.js';
import { typesFile } from './kernel-files.js';
import { nativeZlib } from './native-zlib.js';
import { inWorkspace } from './workspace.js';

/** Making BTF of a kernel takes a minute of CPU. */
const PAHOLE_LIMIT = 900_000;
const SHORT_LIMIT = 60_000;
/** Where the set-up leaves one for tests. */
const TEST_PAHOLE = '.cache/tools/bin/pahole';
const RELEASE = /^\d+\.\d+[\w.+~-]*$/;

export interface DebugTypesOptions {
  /** The variant that the release is of; asked of the cache when absent. */
  readonly variant?: string | undefined;
  /** Makes them again although the cache has them. */
  readonly refresh?: boolean | undefined;
  readonly cacheDirectory?: string | undefined;
  /** Hears what is being done. */
  readonly onProgress?: ((what: string) => void) | undefined;
}

export interface DebugTypes {
  readonly variant: string;
  readonly release: string;
  /** BTF, `btf-<release>` in the folder of the release. */
  readonly path: string;
  /** Indexes that could not be read. Absent: none. */
  readonly warnings?: readonly string[];
}

/**
 * Gets the types of a Debian kernel: some 700 MB are downloaded, three minutes in all; from then on the cache has them.
 * @throws UsercopyError `bad-input` for a release or variant that Debian has no debug symbols of, `missing-dependency` without
 *   apt, network or a program that makes BTF.
 */
export async function debugTypes(release: string, options: DebugTypesOptions = {}): Promise<DebugTypes> {
  if (!RELEASE.test(release) || release.includes('..'))
    throw badInput('kernel types', 'what uname -r says (6.1.0-50-armmp)', `'${release}'`);
  const cache = options.cacheDirectory ?? (await defaultCacheDirectory());
  const directory = path.join(cache, release);
  const variant = await variantOf(directory, release, options.variant);
  const { architecture } = debianKernelOf(variant, allDrivers);
  const target = typesFile(directory, release);
  if (!options.refresh && (await isThere(target))) return { variant, release, path: target };
  const say = options.onProgress ?? (() => undefined);
  return inWorkspace(cache, async (workspace) => {
    say("asking Debian's indexes");
    const apt = await PrivateApt.open(workspace, architecture, await everySuite(workspace));
    const warnings = apt.failures.map((failure) => `the index of ${failure}`);
    const image = await debugImage(apt, release, workspace, warnings, say);
    const btf = path.join(workspace, 'btf');
    const program = await findPahole(cache, workspace, say);
    say('making BTF of the debug symbols (a minute)');
    await runPahole(program, image, btf);
    await keep(btf, target, variant);
    return { variant, release, path: target, ...(warnings.length === 0 ? {} : { warnings }) };
  });
}

async function variantOf(directory: string, release: string, given: string | undefined): Promise<string> {
  const cached = (await fs.readFile(path.join(directory, 'variant'), 'utf8').catch(() => '')).trim();
  if (given !== undefined && cached !== '' && given !== cached)
    throw badInput(`kernel release ${release}`, `one of ${given}`, `one of ${cached}`);
  const variant = given ?? cached;
  if (variant !== '') return variant;
  throw badInput(`kernel types ${release}`, 'a kernel in the cache, or --variant NAME', 'neither');
}

/** The vmlinux with DWARF of a release, unpacked. */
async function debugImage(
  apt: PrivateApt,
  release: string,
  workspace: string,
  warnings: readonly string[],
  say: (what: string) => void,
): Promise<string> {
  const name = `linux-image-${release}-dbg`;
  const [newest] = await apt.versions(name);
  if (newest === undefined) {
    const others = (await apt.names('linux-image-')).filter((other) => /^linux-image-\d.*\d.*-dbg$/.test(other));
    const known = others.map((other) => other.replace(/^linux-image-|-dbg$/g, '')).sort();
    throw badInput(
      `kernel types ${release}`,
      `a release that Debian has debug symbols of${known.length === 0 ? '' : ` (${known.join(', ')})`}`,
      ['none of this name', ...warnings].join('; '),
    );
  }
  const total = newest.size === null ? '' : ` of ${megabytes(newest.size)}`;
  const { path: deb, reason } = await apt.download(name, (bytes) =>
    say(`downloading ${name}: ${megabytes(bytes)}${total}`),
  );
  if (deb === null)
    throw new UsercopyError('missing-dependency', `${name}: expected the mirror to have it, found: ${reason}`);
  say(`unpacking ${name}`);
  const directory = path.join(workspace, 'debug');
  await fs.mkdir(directory, { recursive: true });
  const said = await unpackImages(deb, directory);
  await fs.rm(deb);
  const image = await findDebugImage(directory);
  if (image === null)
    throw new UsercopyError('missing-dependency', `${name}: expected a vmlinux in it, found none (${said})`);
  return image;
}

async function findDebugImage(directory: string): Promise<string | null> {
  for (const name of await fs.readdir(directory, { recursive: true }))
    if (/^vmlinux(?:-|$)/.test(path.basename(name)) && (await fs.stat(path.join(directory, name))).isFile())
      return path.join(directory, name);
  return null;
}

interface Pahole {
  readonly program: string;
  readonly libraries: string | null;
}

/** pahole of this machine or of the set-up; else Debian's, unpacked into the cache. */
async function findPahole(cache: string, workspace: string, say: (what: string) => void): Promise<Pahole> {
  for (const program of ['pahole', packageFile(TEST_PAHOLE)])
    if (await answers({ program, libraries: null })) return { program, libraries: null };
  const directory = path.join(cache, 'pahole');
  const before = await unpackedPahole(directory);
  if (before !== null) return before;
  say('fetching pahole');
  const { output: architecture } = await run('dpkg', ['--print-architecture'], cache, SHORT_LIMIT);
  const place = path.join(workspace, 'pahole');
  await fs.mkdir(place, { recursive: true });
  // The machine's own libraries are of its own suite; a newer pahole may want newer ones.
  const apt = await PrivateApt.open(place, architecture.trim(), [await ownSuite()]);
  await fs.mkdir(directory, { recursive: true });
  const { package: names, libraries = [] } = debianPahole();
  const failures: string[] = [];
  for (const alternatives of [names, ...libraries]) {
    const { deb, reason } = await downloadAny(apt, alternatives);
    if (deb === null) failures.push(reason);
    else await run('dpkg-deb', ['-x', deb, directory], cache, SHORT_LIMIT);
  }
  const found = await unpackedPahole(directory);
  if (found !== null) return found;
  throw new UsercopyError(
    'missing-dependency',
    `pahole: expected it on this machine or in Debian's archive, found neither${failures.length === 0 ? '' : ` (${failures.join('; ')})`}; install the package pahole (dwarves)`,
  );
}

function debianPahole(): DebianProgram {
  const found = debianArchive().programs['pahole'];
  if (found === undefined) throw badInput('programs of Debian', 'pahole among them', 'none');
  return found;
}

async function unpackedPahole(directory: string): Promise<Pahole | null> {
  const program = path.join(directory, debianPahole().path);
  // Debian 12 has some libraries in /lib yet, which is no link to /usr/lib in an unpacked package.
  const homes = [path.join(directory, 'usr', 'lib'), path.join(directory, 'lib')];
  const folders = homes.map(async (home) =>
    (await fs.readdir(home).catch(() => [])).map((name) => path.join(home, name)),
  );
  const libraries = (await Promise.all(folders)).flat().join(':');
  return (await answers({ program, libraries })) ? { program, libraries } : null;
}

/** The first of several names of a package that the suite has. */
async function downloadAny(
  apt: PrivateApt,
  names: readonly string[],
): Promise<{ readonly deb: string | null; readonly reason: string }> {
  const reasons: string[] = [];
  for (const name of names) {
    const { path: deb, reason } = await apt.download(name);
    if (deb !== null) return { deb, reason };
    reasons.push(`${name}: ${reason}`);
  }
  return { deb: null, reason: reasons.join('; ') };
}

/** The suite of Debian that this machine runs; the one for other machines where it is none. */
async function ownSuite(): Promise<string> {
  const text = await fs.readFile('/etc/os-release', 'utf8').catch(() => '');
  const codename = /^ID=debian$/m.test(text) ? /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] : undefined;
  return codename ?? debianArchive().otherMachines;
}

/** Runs pahole; null where it is missing. */
async function pahole({ program, libraries }: Pahole, args: readonly string[], limit: number): Promise<string | null> {
  try {
    const { output, failed } = await run(
      program,
      args,
      '/',
      limit,
      libraries === null ? {} : { LD_LIBRARY_PATH: libraries },
    );
    return failed && args.includes('--version') ? null : output;
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') return null;
    throw error;
  }
}

const answers = async (of: Pahole): Promise<boolean> => (await pahole(of, ['--version'], SHORT_LIMIT)) !== null;

async function runPahole(of: Pahole, image: string, btf: string): Promise<void> {
  const said = await pahole(of, [`--btf_encode_detached=${btf}`, image], PAHOLE_LIMIT);
  // What pahole does not understand it says, and goes on: that the file can be read is what counts.
  const bytes = await fs.readFile(btf).catch(() => null);
  if (bytes === null)
    throw new UsercopyError(
      'missing-dependency',
      `pahole: expected BTF of ${path.basename(image)}, found: ${said?.trim() || 'nothing'}`,
    );
  await readBtf(bytes, `BTF of ${path.basename(image)}`, nativeZlib);
}

/** The folder of a release may hold nothing else: its image can come later. */
async function keep(btf: string, target: string, variant: string): Promise<void> {
  const directory = path.dirname(target);
  await fs.mkdir(directory, { recursive: true });
  await fs.writeFile(path.join(directory, 'variant'), `${variant}\n`);
  await fs.copyFile(btf, `${target}.part`);
  await fs.rename(`${target}.part`, target);
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB`;

const isThere = (file: string): Promise<boolean> =>
  fs.access(file).then(
    () => true,
    () => false,
  );
