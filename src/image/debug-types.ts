/**
 * Types of a Debian kernel whose image has none: its package of debug symbols is fetched, and pahole makes BTF of the DWARF in
 * it. The BTF lies in the cache beside the image, where `loadKernel()` finds it.
 */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { drivers as allDrivers } from '../../arch/index.js';
import { badInput, UsercopyError } from '../errors.js';
import { everySuite, PrivateApt, unpackImages } from './apt.js';
import { debianKernelOf, defaultCacheDirectory } from './fetch.js';
import { typesFile } from './kernel-files.js';
import { findPahole, runPahole } from './pahole.js';
import { inWorkspace } from './workspace.js';

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
