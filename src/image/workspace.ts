/** Folders of the cache in which something is made; what interrupted runs left of theirs is swept. */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { codeOf, UsercopyError } from '../errors.js';

const PREFIX = '.fetch-';
/** Milliseconds after which a folder whose maker cannot be asked is nobody's: fetching takes minutes. */
const ABANDONED = 24 * 60 * 60 * 1000;

/** What a file system says that takes no more. */
const REFUSED = ['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'EEXIST'];

/** `.fetch-HOST.PID.XXXXXX`: whose it is can be asked on the same host. */
const nameOf = (): string => `${PREFIX}${os.hostname().replace(/[^\w-]/g, '-')}.${process.pid}.`;

/**
 * Runs with a folder of its own in the cache, which is gone afterwards.
 * @throws UsercopyError `missing-dependency` when the cache cannot be written, or no longer; and what `work` throws.
 */
export async function inWorkspace<Result>(
  cache: string,
  work: (directory: string) => Promise<Result>,
): Promise<Result> {
  const workspace = await (async () => {
    await fs.mkdir(cache, { recursive: true });
    return fs.mkdtemp(path.join(cache, nameOf()));
  })().catch((error) => Promise.reject(notWritable(cache, error)));
  await sweep(cache);
  try {
    return await work(workspace);
  } catch (error) {
    throw error instanceof UsercopyError ? error : notWritable(cache, error);
  } finally {
    await fs.rm(workspace, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * Runs while no other process works in a folder, as far as that can be asked: of one on this host.
 * @throws UsercopyError `bad-input` when one does; `what` is named.
 */
export async function alone<Result>(folder: string, what: string, work: () => Promise<Result>): Promise<Result> {
  const lock = path.join(folder, '.usercopy-lock');
  await fs.mkdir(folder, { recursive: true });
  for (let attempt = 0; !(await take(lock)); attempt++) {
    const holder = await fs.readFile(lock, 'utf8').catch(() => '');
    const pid = Number(/\.(\d+)\.$/.exec(holder)?.[1] ?? Number.NaN);
    if (attempt > 0 || (holder.startsWith(nameOf().replace(/\d+\.$/, '')) && isAlive(pid)))
      throw new UsercopyError('bad-input', `${what}: process ${pid} makes it already; wait for it, then ask again`);
    await putAside(lock, holder);
  }
  try {
    return await work();
  } finally {
    await fs.rm(lock, { force: true });
  }
}

/** Whether the lock is ours now. It appears with its holder's name in it, never empty. */
async function take(lock: string): Promise<boolean> {
  const ours = `${lock}${nameOf()}${randomUUID()}`;
  await fs.writeFile(ours, nameOf());
  try {
    await fs.link(ours, lock);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await fs.rm(ours, { force: true });
  }
}

/** Takes a dead holder's lock away. Of two that found it one gets it; the other may have moved the first one's new lock, and puts it back. */
async function putAside(lock: string, holder: string): Promise<void> {
  const aside = `${lock}${nameOf()}${randomUUID()}`;
  try {
    await fs.rename(lock, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if ((await fs.readFile(aside, 'utf8')) !== holder) await fs.link(aside, lock).catch(() => undefined);
  await fs.rm(aside, { force: true });
}

/** An error of the file system as a sentence; any other as it is. */
function notWritable(cache: string, error: unknown): unknown {
  const code = codeOf(error);
  if (!REFUSED.includes(code)) return error;
  return new UsercopyError(
    'missing-dependency',
    `kernel cache ${cache}: expected a folder that can be written, found ${code}; XDG_CACHE_HOME may name another place`,
  );
}

/** Folders of processes that are no more, and old ones of other hosts. */
async function sweep(cache: string): Promise<void> {
  for (const name of await fs.readdir(cache).catch(() => [])) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = path.join(cache, name);
    if (await isAbandoned(folder, name)) await fs.rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isAbandoned(folder: string, name: string): Promise<boolean> {
  const [, host, pid] = /^\.fetch-([\w-]+)\.(\d+)\./.exec(name) ?? [];
  if (pid !== undefined && nameOf().startsWith(`${PREFIX}${host}.`)) return !isAlive(Number(pid));
  const status = await fs.stat(folder).catch(() => null);
  return status !== null && Date.now() - status.mtimeMs > ABANDONED;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
