/** pahole, which makes BTF of DWARF: the machine's, or Debian's unpacked into the cache. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { badInput, UsercopyError } from '../errors.js';
import { readBtf } from '../kernel/btf.js';
import { packageFile } from '../paths.js';
import { type DebianProgram, debianArchive, PrivateApt, run } from './apt.js';
import { nativeZlib } from './native-zlib.js';

/** Making BTF of a kernel takes a minute of CPU. */
const PAHOLE_LIMIT = 900_000;
const SHORT_LIMIT = 60_000;
/** Where the set-up leaves one for tests. */
const TEST_PAHOLE = '.cache/tools/bin/pahole';

export interface Pahole {
  readonly program: string;
  readonly libraries: string | null;
}

/** pahole of this machine or of the set-up; else Debian's, unpacked into the cache. */
export async function findPahole(cache: string, workspace: string, say: (what: string) => void): Promise<Pahole> {
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
async function pahole(
  { program, libraries }: Pahole,
  args: readonly string[],
  limit: number,
): Promise<{ readonly output: string; readonly failed: boolean } | null> {
  try {
    const { output, failed } = await run(
      program,
      args,
      '/',
      limit,
      libraries === null ? {} : { LD_LIBRARY_PATH: libraries },
    );
    return failed && args.includes('--version') ? null : { output, failed };
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') return null;
    throw error;
  }
}

const answers = async (of: Pahole): Promise<boolean> => (await pahole(of, ['--version'], SHORT_LIMIT)) !== null;

/** Writes the BTF of an image with DWARF to `btf`. @throws UsercopyError `missing-dependency` when none came out that can be read. */
export async function runPahole(of: Pahole, image: string, btf: string): Promise<void> {
  const said = await pahole(of, [`--btf_encode_detached=${btf}`, image], PAHOLE_LIMIT);
  // What pahole does not understand it says, and goes on: that the file can be read is what counts.
  const bytes = said?.failed ? null : await fs.readFile(btf).catch(() => null);
  if (bytes === null)
    throw new UsercopyError(
      'missing-dependency',
      `pahole: expected BTF of ${path.basename(image)}, found: ${said?.output.trim() || 'nothing'}`,
    );
  await readBtf(bytes, `BTF of ${path.basename(image)}`, nativeZlib);
}
