/** Debian's kernel source, unpacked into the cache: of it what a kernel of one architecture with hardly a driver is built from. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { badInput, UsercopyError } from '../errors.js';
import { everySuite, PrivateApt, run } from './apt.js';
import { hostArchitecture } from './build-tools.js';
import { compareVersions } from './debian-version.js';

const UNPACK_LIMIT = 900_000;
/** Packages are named by the series that they hold: linux-source-6.1. */
const PACKAGE = 'linux-source';

export interface KernelSource {
  readonly folder: string;
  /** The package and its version. */
  readonly package: string;
  /** What could not be read of the indexes, so that there may be a newer one. */
  readonly warnings: readonly string[];
}

/**
 * What is unpacked: the whole tree's Kconfig and make files, which name each other, and the sources of these folders. Drivers
 * and file systems that no kernel here has are most of the tree. Folders with parts that architectures select (bus, rtc, …) stay.
 */
const TOP = ['Kbuild', 'Kconfig', 'Makefile'];
const FOLDERS = [
  ...[
    'block',
    'certs',
    'crypto',
    'Documentation',
    'drivers',
    'fs',
    'include',
    'init',
    'io_uring',
    'ipc',
    'kernel',
    'lib',
  ],
  ...['LICENSES', 'mm', 'net', 'rust', 'samples', 'scripts', 'security', 'sound', 'tools', 'usr', 'virt'],
];
const LEFT_OUT = [
  ...['Documentation/*.rst', 'Documentation/*.txt', 'Documentation/*.yaml', 'Documentation/*.svg', 'LICENSES/*'],
  ...['tools/testing/*', 'tools/perf/*', 'sound/*.[ch]', 'net/*/*.c', 'samples/*.[ch]', 'arch/*.dts', 'arch/*.dtsi'],
  ...[
    ...['accel', 'accessibility', 'android', 'ata', 'atm', 'bluetooth', 'comedi', 'crypto', 'cxl', 'dma', 'edac'],
    ...['extcon', 'fpga', 'gpu', 'greybus', 'hid', 'hv', 'hwmon', 'hwtracing', 'iio', 'infiniband'],
    ...['isdn', 'leds', 'md', 'media', 'memstick', 'message', 'mfd', 'misc', 'mmc', 'mtd', 'net', 'nfc', 'ntb', 'nvme'],
    ...['pinctrl', 'platform', 'regulator', 'scsi', 'soundwire', 'spi', 'staging', 'target'],
    ...['thermal', 'thunderbolt', 'usb', 'vdpa', 'vfio', 'virtio', 'watchdog', 'xen'],
  ].map((name) => `drivers/${name}/*.[ch]`),
];

/** The newest source that `wanted` stands for: `null` is what bookworm installs. */
export interface SourceRequest {
  /** A suite, or null: every suite. */
  readonly suite: string | null;
  /** `6.1`, or null: the one that the suite installs. */
  readonly series: string | null;
  /** As it was asked for. */
  readonly wanted: string;
}

/**
 * The source, out of the cache or fetched into it: some 150 MB to download.
 * @param architecture the folder under arch/ that is unpacked
 * @throws UsercopyError `bad-input` for a suite or series that Debian has no source of, `missing-dependency` where it cannot be had.
 */
export async function kernelSource(
  cache: string,
  workspace: string,
  { suite, series, wanted }: SourceRequest,
  architecture: string,
  programs: string,
  say: (what: string) => void,
): Promise<KernelSource> {
  say("asking Debian's indexes for the kernel's source");
  const place = path.join(workspace, 'apt-source');
  await fs.mkdir(place, { recursive: true });
  const suites = suite === null ? await everySuite(place) : [suite];
  const apt = await PrivateApt.open(place, await hostArchitecture(workspace), suites);
  const name = series === null ? await installedSource(apt) : `${PACKAGE}-${series}`;
  const [newest] = name === null ? [] : await apt.versions(name);
  if (newest === undefined) {
    const others = (await apt.names(`${PACKAGE}-`))
      .map((other) => other.slice(PACKAGE.length + 1))
      .sort(compareVersions);
    throw badInput(
      `kernel source ${wanted}`,
      others.length > 0 ? `a series that there is (${others.join(', ')})` : 'a suite with a linux-source package',
      ['none of this name', ...apt.failures].join('; '),
    );
  }
  const version = `${newest.name}_${newest.version.replaceAll(/[^\w.+~-]/g, '_')}`;
  // What is unpacked is part of the name: a source that lacks what a later release of this package wants is another one.
  const parts = createHash('sha256')
    .update([...FOLDERS, ...LEFT_OUT].join('\0'))
    .digest('hex')
    .slice(0, 6);
  const folder = path.join(cache, 'build', `${version}-${architecture}-${parts}`);
  const source = { folder, package: `${newest.name}=${newest.version}`, warnings: apt.failures };
  if (await isThere(path.join(folder, 'Makefile'))) return source;
  const total = newest.size === null ? '' : ` of ${megabytes(newest.size)}`;
  const { path: deb, reason } = await apt.download(newest.name, (bytes) =>
    say(`downloading ${newest.name}: ${megabytes(bytes)}${total}`),
  );
  if (deb === null)
    throw new UsercopyError('missing-dependency', `${newest.name}: expected the mirror to have it, found: ${reason}`);
  say(`unpacking ${newest.name} (half a minute)`);
  const unpacked = await unpack(deb, newest.name, architecture, path.join(workspace, 'source'), programs);
  await fs.rm(deb);
  await fs.mkdir(path.dirname(folder), { recursive: true });
  // Another process may have been quicker; its files are the same.
  const error: unknown = await fs.rename(unpacked, folder).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error === null || (await isThere(path.join(folder, 'Makefile')))) return source;
  throw error;
}

/** What `linux-source` depends on; null where the suite has none. */
async function installedSource(apt: PrivateApt): Promise<string | null> {
  const [newest] = await apt.versions(PACKAGE);
  return newest?.depends.find((name) => name.startsWith(`${PACKAGE}-`)) ?? null;
}

/** Gives the source's own folder. */
async function unpack(
  deb: string,
  name: string,
  architecture: string,
  directory: string,
  programs: string,
): Promise<string> {
  await fs.mkdir(directory, { recursive: true });
  // Drivers ask for Kconfig files of other architectures.
  const configs = ['arch/Kconfig', 'arch/*/Kconfig*'];
  const members = [...TOP, ...FOLDERS, ...configs, `arch/${architecture}`].map((member) => `${name}/${member}`);
  const script = `deb=$1; shift
(dpkg-deb --fsys-tarfile "$deb" || echo '!dpkg-deb' >&2) |
  (tar -xO --wildcards '*/linux-source-*.tar.xz' || echo '!tar' >&2) | (xz -dc || echo '!xz' >&2) | tar -x --wildcards "$@"`;
  const { output } = await run(
    'sh',
    ['-c', script, 'sh', deb, ...LEFT_OUT.map((pattern) => `--exclude=${name}/${pattern}`), ...members],
    directory,
    UNPACK_LIMIT,
    { PATH: `${programs}:${process.env['PATH'] ?? ''}` },
  );
  // Not every series has all folders, which tar takes for a failure; nothing else may fail.
  const failure = output
    .split('\n')
    .find(
      (line) =>
        line.trim() !== '' &&
        !/: Not found in archive$|: Exiting with failure status due to previous errors$/.test(line),
    );
  if (failure !== undefined)
    throw new UsercopyError(
      'missing-dependency',
      `${name}: expected its source to be unpacked, found: ${failure.trim()}`,
    );
  const folder = path.join(directory, name);
  for (const file of ['Makefile', 'Kconfig', `arch/${architecture}/Makefile`, 'mm/usercopy.c', 'virt/Makefile'])
    if (!(await isThere(path.join(folder, file))))
      throw new UsercopyError(
        'missing-dependency',
        `${name}: expected ${file} in its source, found none (${output.trim().split('\n').at(-1) ?? ''})`,
      );
  return folder;
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB`;

const isThere = (file: string): Promise<boolean> =>
  fs.access(file).then(
    () => true,
    () => false,
  );
