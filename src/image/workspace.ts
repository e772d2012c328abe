/** Folders of the cache in which something is made; what interrupted runs left of theirs is swept. */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { codeOf, UsercopyError } from '../errors.js';

const PREFIX = '.fetch-';
/** Milliseconds after which a folder whose maker cannot be asked is nobody's: fetching takes minutes. */
const ABANDONED = 24 * 60 * 60 * 1000;

/** What a file system says that takes no more. */
const REFUSED = ['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'EEXIST'];

/** `.fetch-HOST.PID.XXXXXX`: whose it is can be asked on the same host. */
const hostPrefix = (): string => `${PREFIX}${os.hostname().replace(/[^\w-]/g, '-')}.`;
const nameOf = (): string => `${hostPrefix()}${process.pid}.`;

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

const LOCK = '.usercopy-lock';
/** How often one asks again while others ask at the same moment, and the milliseconds between. */
const ATTEMPTS = 25;
const PAUSE = 10;

/**
 * Runs while no other process works in a folder, which is there then, as far as that can be asked: of one on this host.
 *
 * Everybody leaves a ticket beside the folder, under a name of its own, then looks; who sees no other's ticket works. Of two the later one
 * sees the earlier one's, so both can never work. Nobody's name is used twice, so a dead process's ticket can be
 * removed at any moment without taking a living one's.
 * @throws UsercopyError `bad-input` when another does; `what` is named.
 */
export async function alone<Result>(folder: string, what: string, work: () => Promise<Result>): Promise<Result> {
  const [beside, kind] = [path.dirname(folder), `${LOCK}-${path.basename(folder)}`];
  await fs.mkdir(beside, { recursive: true });
  const ours = `${kind}${nameOf()}${randomUUID()}`;
  const ticket = path.join(beside, ours);
  try {
    for (let attempt = 0; ; attempt++) {
      await fs.writeFile(ticket, '');
      const [first] = await othersTickets(beside, kind, ours);
      if (first === undefined) break;
      if (attempt === ATTEMPTS)
        throw new UsercopyError(
          'bad-input',
          `${what}: process ${pidOf(first)} makes it already; wait for it, then ask again`,
        );
      // Of those who ask at the same moment only the one whose name is the smallest stays, so that one of them gets it.
      if (first < ours) await fs.rm(ticket, { force: true });
      await setTimeout(PAUSE);
    }
    // Whoever worked in it may have taken it away.
    await fs.mkdir(folder, { recursive: true });
    return await work();
  } finally {
    await fs.rm(ticket, { force: true });
  }
}

/** Tickets of living processes of this host but one's own, sorted; those of dead ones are removed. */
async function othersTickets(folder: string, kind: string, ours: string): Promise<string[]> {
  const living: string[] = [];
  for (const name of (await fs.readdir(folder)).sort()) {
    if (name === ours || !name.startsWith(`${kind}${hostPrefix()}`)) continue;
    if (isAlive(pidOf(name))) living.push(name);
    else await fs.rm(path.join(folder, name), { force: true });
  }
  return living;
}

const pidOf = (name: string): number => Number(/\.(\d+)\.[^.]*$/.exec(name)?.[1]);

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
  if (pid !== undefined && hostPrefix() === `${PREFIX}${host}.`) return !isAlive(Number(pid));
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
