/** The machine's own apt with state of its own: no root, nothing installed, signatures checked as always. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { UsercopyError } from '../errors.js';
import { packageFile } from '../paths.js';

const QUERY_LIMIT = 60_000;
const UPDATE_LIMIT = 180_000;
const DOWNLOAD_LIMIT = 900_000;
const OUTPUT_LIMIT = 64 << 20;

export interface PackageVersion {
  readonly name: string;
  readonly version: string;
  /** Names in its Depends field. */
  readonly depends: readonly string[];
  /** Bytes of the package; null where the index does not say. */
  readonly size: number | null;
}

/** A version of a package, and a suite that offers it. */
export interface OfferedVersion {
  readonly name: string;
  readonly version: string;
  readonly suite: string;
}

/** Releases by their roles: what they are called changes every two years, and the archive says it. */
const ROLES = ['oldoldstable', 'oldstable', 'stable', 'testing'] as const;
const APT_HELPER = '/usr/lib/apt/apt-helper';

/**
 * Every suite that the archive has, by its own name: mirrors keep what a role points to less well than the suite itself.
 * A role that the archive does not tell is asked for as such.
 */
export async function everySuite(directory: string): Promise<string[]> {
  const { main } = await systemMirrors(debianArchive());
  const names = await Promise.all(
    ROLES.map(async (role) => {
      const file = path.join(directory, `InRelease-${role}`);
      await run(APT_HELPER, ['download-file', `${main}/dists/${role}/InRelease`, file], directory, QUERY_LIMIT);
      const text = await fs.readFile(file, 'latin1').catch(() => '');
      return /^Codename: ([a-z]+)$/m.exec(text)?.[1] ?? role;
    }),
  );
  return [...names, 'sid', 'experimental', ...names.slice(1).map((name) => `${name}-backports`)];
}

/** Suites that have none for security: they are mended by newer versions, as the ones with a dash are. */
const WITHOUT_SECURITY = /^(?:unstable|sid|experimental|rc-buggy)$|-/;

interface DebianArchive {
  readonly main: string;
  readonly security: string;
  readonly keyrings: readonly string[];
  /** Of this machine, and where the set-up unpacks them. */
  readonly keyringFolders: readonly string[];
  /** The suite whose programs are taken where the machine is no Debian. */
  readonly otherMachines: string;
  /** The suite whose compilers build kernels, on every machine. */
  readonly buildTools: string;
  readonly programs: Readonly<Record<string, DebianProgram>>;
}

/** A program of Debian's. What is called by another name in another suite has all its names, tried in turn. */
export interface DebianProgram {
  /** Below the folder that its package is unpacked into. */
  readonly path: string;
  readonly package: readonly string[];
  /** What a small system lacks of what it is linked to; absent for programs that are only taken of the machine's own suite. */
  readonly libraries?: readonly (readonly string[])[];
}

/** What the set-up knows of Debian's archive too, before anything is compiled. */
export const debianArchive = (): DebianArchive =>
  JSON.parse(readFileSync(packageFile('scripts/lib/debian-archive.json'), 'utf8'));

/** @throws UsercopyError `missing-dependency` where Debian's keys are not here. */
function keyringOf({ keyrings, keyringFolders }: DebianArchive): string {
  const files = keyringFolders.flatMap((folder) =>
    keyrings.map((name) => path.resolve(packageFile('.'), folder, name)),
  );
  const found = files.find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new UsercopyError(
    'missing-dependency',
    `Debian's archive keys: expected one of ${files.join(', ')}, found none; install the package debian-archive-keyring, or give a kernel image of your own`,
  );
}

export class PrivateApt {
  private constructor(
    readonly directory: string,
    readonly options: readonly string[],
    readonly what: string,
    /** Indexes that could not be read, and why: what they list is not known. */
    readonly failures: readonly string[],
  ) {}

  /**
   * Downloads the package indexes of suites and their security suites into `directory`.
   * Errors: `missing-dependency` without apt, Debian's keys or a reachable mirror.
   */
  static async open(directory: string, architecture: string, suites: readonly string[]): Promise<PrivateApt> {
    const archive = debianArchive();
    const keyring = keyringOf(archive);
    const mirrors = await systemMirrors(archive);
    const sources = suites.flatMap((suite) => [
      `${mirrors.main} ${suite}`,
      ...(WITHOUT_SECURITY.test(suite) ? [] : [`${mirrors.security} ${suite}-security`]),
    ]);
    await fs.mkdir(path.join(directory, 'lists', 'partial'), { recursive: true });
    await fs.mkdir(path.join(directory, 'cache', 'archives', 'partial'), { recursive: true });
    const list = path.join(directory, 'sources.list');
    await fs.writeFile(list, sources.map((source) => `deb [signed-by=${keyring}] ${source} main\n`).join(''));
    const status = path.join(directory, 'status');
    await fs.writeFile(status, '');
    const options = [
      `Dir::Etc::sourcelist=${list}`,
      'Dir::Etc::sourceparts=/dev/null',
      `Dir::State=${directory}`,
      `Dir::State::Lists=${path.join(directory, 'lists')}`,
      `Dir::State::status=${status}`,
      `Dir::Cache=${path.join(directory, 'cache')}`,
      // Container images switch them off; without them every question reads all the indexes again.
      'Dir::Cache::pkgcache=pkgcache.bin',
      'Dir::Cache::srcpkgcache=srcpkgcache.bin',
      `APT::Architecture=${architecture}`,
      `APT::Architectures=${architecture}`,
      'Acquire::Languages=none',
      'Acquire::Retries=1',
      'Acquire::http::Timeout=20',
      ...(process.getuid?.() === 0 ? ['APT::Sandbox::User=root'] : []),
    ].flatMap((option) => ['-o', option]);
    const what = `${suites.join(', ')} for ${architecture}`;
    // Exit code 100 also means that one of several indexes is missing: what counts is whether packages are known.
    const update = await run('apt-get', ['-q', ...options, 'update'], directory, UPDATE_LIMIT);
    const lists = await fs.readdir(path.join(directory, 'lists'));
    if (!lists.some((name) => name.includes('_Packages')))
      throw new UsercopyError(
        'missing-dependency',
        `Debian's package index of ${what}: expected an answer from ${mirrors.main}, found: ${lastLine(update.output)}; check the network and that there are packages of ${what}, or give a kernel image of your own`,
      );
    return new PrivateApt(directory, options, what, failedIndexes(update.output));
  }

  /** Every version of a package that is offered, newest first. */
  async versions(name: string): Promise<PackageVersion[]> {
    const { output } = await run('apt-cache', [...this.options, 'show', name], this.directory, QUERY_LIMIT);
    return output
      .split(/\n\n+/)
      .filter((stanza) => field(stanza, 'Package') === name)
      .map((stanza) => ({
        name,
        version: field(stanza, 'Version'),
        size: Number(field(stanza, 'Size')) || null,
        depends: field(stanza, 'Depends')
          .split(/[,|]/)
          .map((dependency) => dependency.trim().split(' ')[0] ?? ''),
      }));
  }

  /** Names of packages that begin with `start`. */
  async names(start: string): Promise<string[]> {
    const { output } = await run('apt-cache', [...this.options, 'pkgnames', start], this.directory, QUERY_LIMIT);
    return output.split('\n').filter((name) => name.startsWith(start));
  }

  /** The versions of packages with the suites that have them. */
  async offers(names: readonly string[]): Promise<OfferedVersion[]> {
    if (names.length === 0) return [];
    const { output } = await run('apt-cache', [...this.options, 'madison', ...names], this.directory, QUERY_LIMIT);
    return output.split('\n').flatMap((line) => {
      const [name, version, source] = line.split('|').map((part) => part.trim());
      const suite = / (\S+)\/main /.exec(` ${source}`)?.[1];
      return name && version && suite ? [{ name, version, suite }] : [];
    });
  }

  /**
   * Downloads a package's newest version; its path, or null with the reason when the mirror does not have it.
   * @param onBytes hears every second how many bytes are there
   */
  async download(
    name: string,
    onBytes?: (bytes: number) => void,
  ): Promise<{ readonly path: string | null; readonly reason: string }> {
    const before = new Set(await fs.readdir(this.directory));
    const watch = onBytes && setInterval(() => void this.#tellSize(before, onBytes), 1000);
    const { output } = await run(
      'apt-get',
      ['-q', ...this.options, 'download', name],
      this.directory,
      DOWNLOAD_LIMIT,
    ).finally(() => clearInterval(watch));
    const file = (await fs.readdir(this.directory)).find((entry) => entry.endsWith('.deb') && !before.has(entry));
    return { path: file === undefined ? null : path.join(this.directory, file), reason: lastLine(output) };
  }

  async #tellSize(before: ReadonlySet<string>, onBytes: (bytes: number) => void): Promise<void> {
    const file = (await fs.readdir(this.directory)).find((entry) => entry.includes('.deb') && !before.has(entry));
    const status = file === undefined ? null : await fs.stat(path.join(this.directory, file)).catch(() => null);
    if (status !== null) onBytes(status.size);
  }
}

/**
 * The indexes that `apt-get update` could not read. That a suite does not exist, or not for this architecture, is no
 * failure: then nothing is missing.
 */
function failedIndexes(output: string): string[] {
  const lines = output.split('\n');
  return lines.flatMap((line, index) => {
    const [, site, suite, what = ''] = /^Err:\d+ (\S+) (\S+) (.*)$/.exec(line) ?? [];
    const reason = (lines[index + 1] ?? '').trim();
    if (site === undefined || (/Release$/.test(what) && reason.startsWith('404'))) return [];
    return [`${suite} could not be read (${reason || 'no reason told'})`];
  });
}

/**
 * Unpacks boot images and configurations out of a .deb, wherever in it they lie, into `directory`. Gives what the programs
 * said: a package without such files is no failure of theirs.
 */
export async function unpackImages(deb: string, directory: string): Promise<string> {
  const patterns = ['*/vmlinuz*', '*/vmlinux*', '*/config', '*/config-*'];
  const script = 'deb=$1; shift; dpkg-deb --fsys-tarfile "$deb" | tar -x --wildcards "$@"';
  const { output } = await run('sh', ['-c', script, 'sh', deb, ...patterns], directory, DOWNLOAD_LIMIT);
  return lastLine(output);
}

/** The mirrors that the machine uses, where it is a Debian; else Debian's own. */
async function systemMirrors(archive: DebianArchive): Promise<{ main: string; security: string }> {
  const targets = ['indextargets', '--format', '$(SITE)', 'Created-By: Packages'];
  const { output } = await run('apt-get', targets, '/', QUERY_LIMIT);
  const sites = output.split('\n').map((line) => line.trim().replace(/\/$/, ''));
  return {
    main: sites.find((site) => /^https?:\/\/.*\/debian$/.test(site)) ?? archive.main,
    security: sites.find((site) => /^https?:\/\/.*\/debian-security$/.test(site)) ?? archive.security,
  };
}

/**
 * Runs a program to its end, with more in its environment where that is given; its output and whether it failed.
 * @throws UsercopyError `missing-dependency` for a program that is missing.
 */
export async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  timeout: number,
  environment: NodeJS.ProcessEnv = {},
): Promise<{ output: string; failed: boolean }> {
  const options = { cwd, timeout, maxBuffer: OUTPUT_LIMIT, env: { ...process.env, LC_ALL: 'C', ...environment } };
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, options);
    return { output: stderr + stdout, failed: false };
  } catch (error) {
    // What execFile() rejects with.
    const { code, stdout, stderr, killed } = error as NodeJS.ErrnoException & {
      stdout?: string;
      stderr?: string;
      killed?: boolean;
    };
    if (code === 'ENOENT')
      throw new UsercopyError(
        'missing-dependency',
        `${program}: expected the package tools of Debian or Ubuntu, found none; give a kernel image of your own instead`,
      );
    const output = `${stdout ?? ''}\n${stderr ?? ''}`;
    return { output: killed ? `${output}\nno end after ${timeout / 1000} s` : output, failed: true };
  }
}

/** Runs a program as long as it takes; what it says goes to `onLine` at once. Gives null when it ended well, else how it ended. */
export function runByLine(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
): Promise<string | null> {
  const hear = (text: string): void => {
    for (const line of text.split('\n')) if (line !== '') onLine(line);
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        const whole = rest + chunk;
        const end = whole.lastIndexOf('\n') + 1;
        rest = whole.slice(end);
        hear(whole.slice(0, end));
      });
      stream.on('end', () => hear(rest));
    }
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code === 0 ? null : (signal ?? `exit status ${code}`)));
  });
}

function field(stanza: string, name: string): string {
  return new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
}

function lastLine(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => line.startsWith('E:') || line.startsWith('Err:')) ?? lines.at(-1) ?? 'nothing')
    .trim()
    .replace(/\.$/, '');
}
