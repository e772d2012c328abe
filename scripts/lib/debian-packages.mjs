/**
 * Debian's packages without root: downloaded from a suite of Debian's archive with an apt state of our own, checked
 * against Debian's keys, and unpacked into the project's cache. Nothing is installed, no setting of the machine changes.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { cache, hasProgram, root, runLogged, sha256Of } from './step.mjs';

/** `src/image/apt.ts` reads the same file. */
export const archive = JSON.parse(readFileSync(join(root, 'scripts', 'lib', 'debian-archive.json'), 'utf8'));

/** Lists that this run of the set-up has fetched: suite (and foreign architecture) to apt's options, or to the reason why there are none. */
const opened = new Map();

const asRoot = process.getuid?.() === 0 ? ['-oAPT::Sandbox::User=root'] : [];
const patience = ['-oAcquire::Retries=2', '-oAcquire::http::Timeout=20', '-oAcquire::Languages=none'];

function output(program, args) {
  const { stdout } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, LC_ALL: 'C' },
  });
  return stdout ?? '';
}

/** The mirror that the machine uses, where it is a Debian; else Debian's own. */
function mirror() {
  const sites = output('apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages']).split('\n');
  return (
    sites.map((site) => site.trim().replace(/\/$/, '')).find((site) => /^https?:\/\/.*\/debian$/.test(site)) ??
    archive.main
  );
}

const keyringHere = () =>
  archive.keyringFolders
    .flatMap((folder) => archive.keyrings.map((name) => resolve(root, folder, name)))
    .find(existsSync);

/** Debian's keys: the machine's, or those that its own archive vouches for (Ubuntu has the package, but not installed). */
function keyring() {
  const folder = join(cache, 'apt', 'keyring');
  const found = keyringHere();
  if (found) return found;
  mkdirSync(folder, { recursive: true });
  const download = ['apt-get', ...asRoot, ...patience, 'download', 'debian-archive-keyring'];
  if (!runLogged('debian-keyring', [download], { cwd: folder, minutes: 2 })) return undefined;
  const file = readdirSync(folder).find((name) => name.endsWith('.deb'));
  if (!file || !runLogged('debian-keyring', [['dpkg-deb', '-x', join(folder, file), folder]])) return undefined;
  return keyringHere();
}

/** Folders with shared libraries below one. */
export function libraryFolders(path) {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true });
  const here = entries.some((entry) => /\.so(\.\d+)*$/.test(entry.name)) ? [path] : [];
  return [
    ...here,
    ...entries.filter((entry) => entry.isDirectory()).flatMap(({ name }) => libraryFolders(join(path, name))),
  ];
}

/** The suite of Debian that this machine runs, `trixie`; undefined on other machines. */
export function ownSuite() {
  const file = '/etc/os-release';
  const release = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return /^ID=debian$/m.test(release) ? /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1] : undefined;
}

/**
 * apt's options for a suite, its lists fetched once a run; a text where that cannot be had: why. `architecture`: Debian's name of another
 * than the machine's.
 */
function openSuite(suite, architecture) {
  const name = architecture === undefined ? suite : `${suite}-${architecture}`;
  const before = opened.get(name);
  if (before !== undefined) return before;
  const answer = fetchLists(suite, architecture, name);
  opened.set(name, answer);
  return answer;
}

function fetchLists(suite, architecture, key) {
  const missing = ['apt-get', 'apt-cache', 'dpkg-deb'].filter((name) => !hasProgram(name));
  if (missing.length > 0) return `this machine has no ${missing.join(', ')} to fetch Debian's packages with`;
  const keys = keyring();
  if (!keys) return "Debian's archive keys are not here (Ubuntu: apt-get install debian-archive-keyring)";
  const folder = join(cache, 'apt', key);
  for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, name), { recursive: true });
  const sources = join(folder, 'sources.list');
  const site = mirror();
  writeFileSync(sources, `deb [signed-by=${keys}] ${site} ${suite} main\n`);
  writeFileSync(join(folder, 'status'), '');
  const options = [
    ...asRoot,
    ...patience,
    `-oDir::Etc::sourcelist=${sources}`,
    '-oDir::Etc::sourceparts=/dev/null',
    `-oDir::State::Lists=${join(folder, 'lists')}`,
    `-oDir::State::status=${join(folder, 'status')}`,
    `-oDir::Cache=${join(folder, 'cache')}`,
    ...(architecture === undefined
      ? []
      : [`-oAPT::Architecture=${architecture}`, `-oAPT::Architectures=${architecture}`]),
  ];
  // `update` may complain and still work: what counts is whether the suite's packages are known.
  runLogged(`apt-${key}`, [['apt-get', ...options, 'update']], { minutes: 5 });
  return readdirSync(join(folder, 'lists')).some((name) => name.includes('_Packages'))
    ? options
    : `the package list of Debian's ${suite} could not be fetched from ${site}: see .cache/setup/apt-${key}.log`;
}

/** Forgets the lists: the next run of the set-up fetches them anew. */
export function closeSuites() {
  for (const suite of opened.keys()) rmSync(join(cache, 'apt', suite), { recursive: true, force: true });
  opened.clear();
}

/** The newest version of a package that begins with `prefix`; undefined when the suite has none. */
function versionOf(options, name, prefix) {
  const versions = output('apt-cache', [...options, 'madison', name])
    .split('\n')
    .map((line) => line.split('|').map((part) => part.trim()))
    .filter(([found]) => found === name)
    .map(([, version]) => version);
  return versions.find(
    (version) => prefix === '' || (version.startsWith(prefix) && !/^\d/.test(version.slice(prefix.length))),
  );
}

/**
 * Unpacks a package and everything that it needs and this machine, which must run the suite, has not got installed, as
 * `unpackDebianPackages` does. `whole`: everything that it needs, whatever the machine has and runs.
 */
export function unpackWithNeeds(suite, name, folder, { whole = false } = {}) {
  const options = openSuite(suite);
  if (typeof options === 'string') return { reason: options };
  const status = whole ? [] : ['-oDir::State::status=/var/lib/dpkg/status'];
  const plan = output('apt-get', [...options, ...status, '--simulate', '--no-install-recommends', 'install', name]);
  const found = [...plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+) /gm)].map((match) => ({
    name: match[1],
    version: match[2],
  }));
  if (!found.some((one) => one.name === name))
    return { reason: `Debian's ${suite} has no ${name} that fits this machine` };
  // The package itself first: the log goes by its name.
  return unpack(options, suite, [...found].reverse(), folder);
}

/**
 * Unpacks packages of one suite into `folder` (its `usr` and so on), which appears whole or not at all.
 * `packages`: `{ names, version }` each: the first of the names that the suite has in a version that begins so
 * (a number that begins so is another version: 2.1.1 is not 2.1.11). `architecture`: Debian's name of another than the machine's.
 * Answers `{ packages: [{ name, version, sha256 }] }`, or `{ reason }` where they cannot be had.
 */
export function unpackDebianPackages(suite, packages, folder, architecture) {
  const options = openSuite(suite, architecture);
  if (typeof options === 'string') return { reason: options };
  const found = [];
  for (const { names, version = '' } of packages) {
    const name = names.find((candidate) => versionOf(options, candidate, version));
    if (!name) return { reason: `Debian's ${suite} has no ${names.join(' or ')} ${version}`.trim() };
    found.push({ name, version: versionOf(options, name, version) });
  }
  return unpack(options, suite, found, folder);
}

/** apt's own downloader, which knows the machine's proxies and compares digests. */
const APT_HELPER = '/usr/lib/apt/apt-helper';

/**
 * Unpacks a package whose file and digest are known beforehand, as `unpackDebianPackages` does: a second, where fetching and reading a suite's lists
 * takes twenty. Debian's archive drops a file once a newer version takes its place: then, as for all else, there is a reason.
 * `pinned`: `{ name, version, path, sha256 }` of debian-archive.json, the digest by Debian's name of the architecture.
 */
export function unpackPinned({ name, version, path, sha256 }, folder) {
  const architecture = output('dpkg', ['--print-architecture']).trim();
  const digest = sha256[architecture];
  if (digest === undefined || !existsSync(APT_HELPER))
    return { reason: `no file of ${name} is known for this machine` };
  const found = [{ name, version }];
  const file = `${name}_${version}_${architecture}.deb`;
  const address = `${mirror()}/${path.replace('ARCHITECTURE', architecture)}`;
  const download = [APT_HELPER, ...asRoot, ...patience, 'download-file', address, file, `SHA256:${digest}`];
  return unpackFiles(download, found, `debian-${name}-pinned`, 'archive', folder);
}

function unpack(options, suite, found, folder) {
  const wanted = found.map(({ name, version }) => `${name}=${version}`);
  const download = ['apt-get', ...options, 'download', ...wanted];
  return unpackFiles(download, found, `debian-${found[0].name}-${suite}`, suite, folder);
}

/** Runs a command that downloads packages into the folder where it runs, and unpacks them. */
function unpackFiles(download, found, log, suite, folder) {
  mkdirSync(dirname(folder), { recursive: true });
  const workspace = mkdtempSync(join(dirname(folder), '.unpack-'));
  try {
    const wanted = found.map(({ name, version }) => `${name}=${version}`);
    if (!runLogged(log, [download], { cwd: workspace, minutes: 5 }))
      return {
        reason: `${wanted.join(', ')} of Debian's ${suite} could not be downloaded: see .cache/setup/${log}.log`,
      };
    const archives = readdirSync(workspace).filter((name) => name.endsWith('.deb'));
    const unpacked = join(workspace, 'root');
    const commands = archives.map((name) => ['dpkg-deb', '-x', join(workspace, name), unpacked]);
    if (!runLogged(`${log}-unpack`, commands))
      return { reason: `dpkg-deb could not unpack ${wanted.join(', ')}: see .cache/setup/${log}-unpack.log` };
    const hashed = found.map(({ name, version }) => {
      const archive = archives.find((file) => file.startsWith(`${name}_`));
      return { name, version, sha256: sha256Of(join(workspace, archive)) };
    });
    rmSync(folder, { recursive: true, force: true });
    renameSync(unpacked, folder);
    return { packages: hashed };
  } finally {
    rmSync(workspace, { recursive: true, force: true });
  }
}
