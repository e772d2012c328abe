/**
 * What builds a kernel, of Debian's archive: a cross compiler and the programs that the kernel's Makefile calls. All of it is
 * unpacked into the cache, whatever the machine has, so that everybody's kernels come of the same compiler. Only make, a
 * compiler for this machine, and what every Debian has are the machine's.
 */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { KernelBuild } from '../../arch/driver.js';
import { UsercopyError } from '../errors.js';
import { debianArchive, type PackageVersion, PrivateApt, run } from './apt.js';

const SHORT_LIMIT = 60_000;
/** Beside the compiler: what reads grammars (bison, flex, m4), timeconst.bc (bc) and Debian's archive of the source (xz). */
const PROGRAMS = ['bison', 'flex', 'm4', 'bc', 'xz-utils'];
/** Packages that need not be unpacked: of every machine with a compiler, or libraries of the target, which a kernel is not linked to. */
const PASSED_OVER =
  /^(?:libc6|libc6-dev|libc-dev|libc-bin|libgcc-s1|libstdc\+\+6|libcc1-0|libcrypt1|gcc-\d+-base|dpkg|install-info|debconf.*|perl.*|sensible-utils)$|^lib(?!gcc-\d+-dev-).*-cross$/;
const MOST_PACKAGES = 60;
const LIST = 'packages';

export interface BuildTools {
  /** A folder with scripts that call the programs. */
  readonly programs: string;
  /** Options with which this machine's compiler finds headers and libraries beside them. */
  readonly hostOptions: { readonly compiler: string; readonly linker: string };
  /** `name=version` of each package, sorted. */
  readonly packages: readonly string[];
}

/** The architecture of this machine's packages. */
export async function hostArchitecture(directory: string): Promise<string> {
  const { output } = await run('dpkg', ['--print-architecture'], directory, SHORT_LIMIT);
  return output.trim();
}

/**
 * The programs for one target, out of the cache or fetched into it: some 60 MB.
 * @param target `triplet` is GNU's name of it: `sparc64-linux-gnu`; `hostLibraries` are packages with what its kernels' own tools want
 * @throws UsercopyError `missing-dependency` where something cannot be had, or does not run here.
 */
export async function buildTools(
  cache: string,
  workspace: string,
  { triplet, hostLibraries = [] }: Pick<KernelBuild, 'triplet' | 'hostLibraries'>,
  say: (what: string) => void,
): Promise<BuildTools> {
  await requireMachine(workspace);
  const folder = path.join(cache, 'build', ['tools', triplet, ...hostLibraries].join('-'));
  const before = await toolsIn(folder);
  if (before !== null) return before;
  const place = path.join(workspace, 'apt-tools');
  await fs.mkdir(place, { recursive: true });
  say(`asking Debian's index for ${triplet}-gcc`);
  const suite = debianArchive().buildTools;
  const apt = await PrivateApt.open(place, await hostArchitecture(workspace), [suite]);
  const packages = await withDependencies(apt, [`gcc-${triplet}`, ...PROGRAMS, ...hostLibraries], suite);
  const unpacked = path.join(workspace, 'tools');
  await fs.mkdir(unpacked, { recursive: true });
  for (const [index, { name }] of packages.entries()) {
    say(`fetching the compiler: ${name} (${index + 1} of ${packages.length})`);
    const { path: deb, reason } = await apt.download(name);
    if (deb === null) throw new UsercopyError('missing-dependency', `${name} of Debian's ${suite}: ${reason}`);
    const { failed, output } = await run('dpkg-deb', ['-x', deb, unpacked], workspace, SHORT_LIMIT);
    if (failed)
      throw new UsercopyError('missing-dependency', `${name}: dpkg-deb could not unpack it: ${output.trim()}`);
    await fs.rm(deb);
  }
  await writeScripts(unpacked);
  const list = packages.map(({ name, version }) => `${name}=${version}`).sort();
  await fs.writeFile(path.join(unpacked, LIST), list.map((line) => `${line}\n`).join(''));
  await requireRuns(unpacked, triplet);
  await fs.mkdir(path.dirname(folder), { recursive: true });
  // Another process may have been quicker; its files are the same.
  await fs.rename(unpacked, folder).catch(() => undefined);
  const found = await toolsIn(folder);
  if (found !== null) return found;
  throw new UsercopyError('missing-dependency', `${folder}: expected the unpacked compiler, found none`);
}

async function toolsIn(folder: string): Promise<BuildTools | null> {
  const list = await fs.readFile(path.join(folder, LIST), 'utf8').catch(() => null);
  if (list === null) return null;
  const libraries = (await libraryFolders(folder)).map((name) => path.join(folder, name));
  return {
    programs: path.join(folder, 'bin'),
    packages: list.trim().split('\n'),
    hostOptions: {
      compiler: `-isystem ${path.join(folder, 'usr/include')}`,
      linker: libraries.flatMap((name) => [`-L${name}`, `-Wl,-rpath,${name}`]).join(' '),
    },
  };
}

/** Folders with this machine's libraries, below the unpacked packages. */
async function libraryFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const home of ['usr/lib', 'lib'])
    for (const entry of await fs.readdir(path.join(root, home), { withFileTypes: true }).catch(() => []))
      if (entry.isDirectory() && /-linux-gnu/.test(entry.name)) found.push(`${home}/${entry.name}`);
  return found;
}

/** Programs that a kernel is built with and that are the machine's own. */
async function requireMachine(directory: string): Promise<void> {
  const missing: string[] = [];
  for (const program of ['make', 'gcc'])
    if ((await run('sh', ['-c', `command -v ${program}`], directory, SHORT_LIMIT)).failed) missing.push(program);
  // The kernel's own tools are compiled for this machine: a compiler without headers is none.
  const trial = `printf '#include <stdio.h>\\nint main(void) { return 0; }\\n' | gcc -x c -o trial -`;
  if (missing.length === 0 && (await run('sh', ['-c', trial], directory, SHORT_LIMIT)).failed)
    missing.push('C compiler that has the headers of the C library');
  if (missing.length > 0)
    throw new UsercopyError(
      'missing-dependency',
      `kernel build: expected make and a C compiler for this machine, found no ${missing.join(', no ')} (Debian, Ubuntu: apt-get install gcc libc6-dev make)`,
    );
}

/** The packages, and what they depend on, of one suite. */
async function withDependencies(apt: PrivateApt, names: readonly string[], suite: string): Promise<PackageVersion[]> {
  const found = new Map<string, PackageVersion>();
  const queue = [...names];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (found.has(name) || PASSED_OVER.test(name)) continue;
    if (found.size >= MOST_PACKAGES)
      throw new UsercopyError(
        'missing-dependency',
        `${names[0]} of Debian's ${suite}: expected at most ${MOST_PACKAGES} packages that it needs, found more`,
      );
    const [newest] = await apt.versions(name);
    if (newest === undefined) {
      // Virtual packages are among the dependencies; what was asked for is none.
      if (!names.includes(name)) continue;
      throw new UsercopyError('missing-dependency', `${name}: expected it in Debian's ${suite}, found no such package`);
    }
    found.set(name, newest);
    queue.push(...newest.depends.filter((other) => other !== ''));
  }
  return [...found.values()];
}

/** One script a program, which finds libraries and data beside itself: nothing of them reaches the machine's own programs. */
async function writeScripts(root: string): Promise<void> {
  const folders = (await libraryFolders(root)).map((name) => `$root/${name}`);
  await fs.mkdir(path.join(root, 'bin'), { recursive: true });
  const programs = path.join(root, 'usr', 'bin');
  for (const name of await fs.readdir(programs)) {
    const script = [
      '#!/bin/sh',
      `root=\${0%/*}/..`,
      `export LD_LIBRARY_PATH="${folders.join(':')}" BISON_PKGDATADIR="$root/usr/share/bison" M4="$root/bin/m4"`,
      `exec "$root/usr/bin/${name}" "$@"`,
      '',
    ].join('\n');
    await fs.writeFile(path.join(root, 'bin', name), script, { mode: 0o755 });
  }
}

async function requireRuns(root: string, triplet: string): Promise<void> {
  for (const program of [`${triplet}-gcc`, `${triplet}-ld`, 'bison', 'flex', 'm4', 'bc', 'xz']) {
    const { failed, output } = await run(path.join(root, 'bin', program), ['--version'], root, SHORT_LIMIT);
    if (failed)
      throw new UsercopyError(
        'missing-dependency',
        `${program} of Debian's ${debianArchive().buildTools}: expected it to run on this machine, found: ${output.trim().split('\n').at(-1)}`,
      );
  }
}
