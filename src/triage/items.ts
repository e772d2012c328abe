/** Files of a folder that triage looks at: logs, and memory dumps with what lies beside them. */
import { closeSync, type Dirent, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { isDump } from '../dump/dump-file.js';
import { badInput, codeOf } from '../errors.js';
import { LITTLE, Words } from '../kernel/words.js';
import { looksLikeText } from '../report/encoding.js';
import { isPacked } from '../repro/read-log.js';

export interface Item {
  readonly kind: 'log' | 'dump';
  /** As it can be opened. */
  readonly path: string;
  /** Relative to the folder: the same wherever that is mounted. */
  readonly name: string;
  /** Bytes and time of the last change of all that belongs to it, by which it is known again. */
  readonly stamp: string;
  /** Of a dump: files in the same folder that go with it. */
  readonly beside?: {
    readonly kernel?: string;
    readonly btf?: string;
    readonly config?: string;
    readonly regs?: string;
    readonly report?: string;
  };
}

/** A file that is no item. */
export interface Skipped {
  /** Relative to the folder. */
  readonly name: string;
  readonly reason: string;
  /** It cannot hold a report: an image of a kernel, an empty file, a link to what is read anyway. Else a report may be lost. */
  readonly harmless: boolean;
}

export interface Found {
  readonly items: readonly Item[];
  readonly skipped: readonly Skipped[];
}

const MOST_DEPTH = 32;
const MOST_FILES = 1_000_000;
const HEAD = 4096;

/** Walks a folder; links are not followed. @throws UsercopyError `bad-input` when it is none. */
export function itemsIn(directory: string): Found {
  const items: Item[] = [];
  const skipped: Skipped[] = [];
  const root = realpathSync.native(existingFolder(directory));
  const nameOf = (path: string): string => relative(directory, path);
  const skip = (path: string, reason: string, harmless: boolean): void => {
    skipped.push({ name: nameOf(path), reason, harmless });
  };
  const walk = (folder: string, depth: number): void => {
    const files: FoundFile[] = [];
    const folders: string[] = [];
    for (const entry of entriesOf(folder, (reason) => skip(folder, reason, false))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) files.push(lookAt(path));
      else if (entry.isSymbolicLink()) skipLink(path, root, skip);
      else skip(path, 'expected a file, found a pipe, a socket or a device', false);
    }
    const { pairs, taken } = paired(files);
    for (const { path, kind, stamp, reason } of files) {
      if (taken.has(path)) continue;
      if (kind === 'other') skip(path, reason, reason === KERNEL || reason === EMPTY);
      else if (items.length >= MOST_FILES) skip(path, `more than ${MOST_FILES} files`, false);
      else if (kind === 'log') items.push({ kind, path, name: nameOf(path), stamp });
      else items.push({ kind, path, name: nameOf(path), ...withStamps(stamp, pairs.get(path), files) });
    }
    for (const path of folders) {
      if (depth < MOST_DEPTH) walk(path, depth + 1);
      else skip(path, `folders are looked into ${MOST_DEPTH} deep`, false);
    }
  };
  walk(directory, 0);
  return { items: items.sort((left, right) => (left.name < right.name ? -1 : 1)), skipped };
}

function existingFolder(path: string): string {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isDirectory()) return path;
  throw badInput(path, 'a folder that can be read', status === undefined ? 'nothing' : 'something else');
}

function skipLink(path: string, root: string, skip: (path: string, reason: string, harmless: boolean) => void): void {
  try {
    const target = realpathSync.native(path);
    if (target === root || target.startsWith(root + sep)) skip(path, 'a link to what is looked at anyway', true);
    else skip(path, 'a link that leads out of the folder', false);
  } catch {
    skip(path, 'a link that leads nowhere', false);
  }
}

function entriesOf(folder: string, fail: (reason: string) => void): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((left, right) => (left.name < right.name ? -1 : 1));
  } catch (error) {
    fail(`expected a folder that can be read, found ${codeOf(error)}`);
    return [];
  }
}

const KERNEL = 'an image or the types of a kernel';
const EMPTY = 'empty';

interface FoundFile {
  readonly path: string;
  readonly kind: Item['kind'] | 'other';
  readonly stamp: string;
  /** Why it is neither log nor dump. */
  readonly reason: string;
}

function lookAt(path: string): FoundFile {
  try {
    const { size, mtimeMs } = statSync(path);
    const stamp = `${size} ${Math.floor(mtimeMs)}`;
    const other = (reason: string): FoundFile => ({ path, kind: 'other', stamp, reason });
    if (size === 0) return other(DUMP_NAME.test(basename(path)) ? 'a dump without a byte in it' : EMPTY);
    const head = headOf(path);
    if (isDump(head)) return { path, kind: 'dump', stamp, reason: '' };
    if (isPacked(head) && !KERNEL_NAME.test(basename(path))) return { path, kind: 'log', stamp, reason: '' };
    if (isOfKernel(head) || KERNEL_NAME.test(basename(path))) return other(KERNEL);
    if (looksLikeText(head)) return { path, kind: 'log', stamp, reason: '' };
    return other('neither text nor a dump');
  } catch (error) {
    const code = codeOf(error);
    return { path, kind: 'other', stamp: '', reason: `expected a file that can be read, found ${code}` };
  }
}

function headOf(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(HEAD);
    return buffer.subarray(0, readSync(file, buffer, 0, HEAD, 0));
  } finally {
    closeSync(file);
  }
}

/** Programs, boot images (HdrS, EFI's MZ), BTF. */
function isOfKernel(head: Buffer): boolean {
  // A core is told before.
  if (head.toString('latin1', 0, 4) === '\x7fELF') return true;
  const magic = head.length < 4 ? 0 : new Words(head, LITTLE).uint16(0);
  return head.toString('latin1', 0x202, 0x206) === 'HdrS' || magic === 0x5a4d || magic === 0xeb9f || magic === 0x9feb;
}

const PACKED = '(?:\\.(?:gz|xz|zst|bz2))?';
/** As distributions, QEMU and people call dumps: vmcore, dump.202401011200 (Debian), vmcore.flat, crash.core. */
const DUMP_NAME = /^(?:vmcore|dump[.-]?\d|core\.)|\.(?:vmcore|core|dump)$/i;
/** As the kernel's build spells them: image.png is none. */
const KERNEL_NAME = new RegExp(`^(?:vmlinu[xz]|bzImage|z?Image)[^/]*$|^(?:BTF|[^/]*\\.btf)${PACKED}$`);
const CONFIG_NAME = new RegExp(`^(?:\\.config|config(?:-[^/]*)?)${PACKED}$`);
const REGISTERS_NAME = /^regs(?:\.txt)?$/;
/** RHEL: vmcore-dmesg.txt, Debian: dmesg.202401011200, SUSE: dmesg.txt. */
const LOG_NAME = new RegExp(
  `^(?:vmcore-)?(?:dmesg|log|console)(?:-incomplete)?(?:[.-]\\d+)?(?:\\.txt|\\.log)?${PACKED}$`,
);

type Beside = NonNullable<Item['beside']>;

/**
 * Dumps with what lies beside them, by the names that people use. A folder's only dump takes all that fits alone; of
 * several each takes what has its name (dump.1 and dmesg.1, a.vmcore and a.dmesg.txt), and the folder's only kernel.
 */
function paired(files: readonly FoundFile[]): { pairs: ReadonlyMap<string, Beside>; taken: ReadonlySet<string> } {
  const pairs = new Map<string, Beside>();
  const dumps = files.filter(({ kind }) => kind === 'dump');
  const others = files.filter(({ kind }) => kind !== 'dump').map(({ path }) => path);
  const named = (pattern: RegExp): string[] => others.filter((path) => pattern.test(basename(path)));
  const only = (paths: readonly string[]): string | undefined => (paths.length === 1 ? paths[0] : undefined);
  const isBtf = (path: string): boolean => /btf/i.test(basename(path));
  const images = named(KERNEL_NAME);
  const shared = {
    kernel: only(images.filter((path) => !isBtf(path))),
    btf: only(images.filter(isBtf)),
    config: only(named(CONFIG_NAME)),
  };
  for (const { path } of dumps) {
    const alone = dumps.length === 1;
    const own = others.filter((other) => keyOf(other) !== '' && keyOf(other) === keyOf(path));
    const ownOnly = (pattern: RegExp): string | undefined => only(own.filter((other) => pattern.test(basename(other))));
    const found = {
      ...shared,
      regs: alone ? only(named(REGISTERS_NAME)) : ownOnly(/reg/),
      report: alone ? (only(named(LOG_NAME)) ?? ownOnly(/dmesg|log|txt|console/)) : ownOnly(/dmesg|log|txt|console/),
    };
    pairs.set(path, Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)));
  }
  return { pairs, taken: new Set([...pairs.values()].flatMap((beside) => Object.values(beside))) };
}

/** What is left of a name without the words that say what a file is. */
const keyOf = (path: string): string =>
  basename(path)
    .toLowerCase()
    .replace(/\b(?:gz|xz|zst|bz2)$/, '')
    .replace(/vmcore|dump|core|dmesg|console|serial|regs?|kdump|flat|elf|txt|log|incomplete/g, '')
    .replace(/[^a-z0-9]+/g, '');

function withStamps(
  stamp: string,
  beside: Beside | undefined,
  files: readonly FoundFile[],
): { readonly stamp: string; readonly beside?: Beside } {
  if (beside === undefined || Object.keys(beside).length === 0) return { stamp };
  const stamps = Object.values(beside).map((path) => files.find((file) => file.path === path)?.stamp ?? '');
  return { stamp: [stamp, ...stamps].join(', '), beside };
}

/** Which of `count` shards a name belongs to, from 0: by the name alone, so that all who look at the folder agree (FNV-1a). */
export function shardOf(name: string, count: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % count;
}
