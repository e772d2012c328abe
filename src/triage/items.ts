/** Files of a folder that triage looks at: logs, and memory dumps with what lies beside them. */
import { closeSync, type Dirent, openSync, readdirSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { isDump } from '../dump/dump-file.js';
import { badInput, codeOf } from '../errors.js';
import { LITTLE, Words } from '../kernel/words.js';
import { looksLikeText } from '../report/encoding.js';
import { ownOutput } from '../report/own-output.js';
import { A_SCENARIO, isScenario, LONGEST_SCENARIO, mayBeScenario } from '../repro/hand-written.js';
import { isPacked, unpackedHead } from '../repro/read-log.js';

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
export async function itemsIn(directory: string): Promise<Found> {
  const items: Item[] = [];
  const skipped: Skipped[] = [];
  const root = realFolder(directory);
  const nameOf = (path: string): string => relative(directory, path);
  const skip = (path: string, reason: string, harmless: boolean): void => {
    skipped.push({ name: nameOf(path), reason, harmless });
  };
  const walk = async (folder: string, depth: number): Promise<void> => {
    const files: FoundFile[] = [];
    const folders: string[] = [];
    for (const entry of entriesOf(folder, (reason) => skip(folder, reason, false))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) files.push(await lookAt(path));
      else if (entry.isSymbolicLink()) skipLink(path, root, skip);
      else skip(path, 'expected a file, found a pipe, a socket or a device', false);
    }
    const { pairs, taken } = paired(files);
    const stamps = new Map(files.map(({ path, stamp }) => [path, stamp]));
    for (const { path, kind, stamp, reason, harmless } of files) {
      if (taken.has(path)) continue;
      if (kind !== 'log' && kind !== 'dump') skip(path, reason, harmless);
      else if (items.length >= MOST_FILES) skip(path, `more than ${MOST_FILES} files`, false);
      else if (kind === 'log') items.push({ kind, path, name: nameOf(path), stamp });
      else items.push({ kind, path, name: nameOf(path), ...withStamps(stamp, pairs.get(path), stamps) });
    }
    for (const path of folders) {
      if (depth < MOST_DEPTH) await walk(path, depth + 1);
      else skip(path, `folders are looked into ${MOST_DEPTH} deep`, false);
    }
  };
  await walk(directory, 0);
  return { items: items.sort((left, right) => (left.name < right.name ? -1 : 1)), skipped };
}

/** Where a folder is without links. */
function realFolder(path: string): string {
  try {
    if (statSync(path).isDirectory()) return realpathSync.native(path);
  } catch (error) {
    throw badInput(path, 'a folder that can be read', codeOf(error));
  }
  throw badInput(path, 'a folder', 'something else');
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

interface FoundFile {
  readonly path: string;
  /** By what is in it: `kernel` and `btf` are its image and its types, `config` its configuration. */
  readonly kind: Item['kind'] | 'kernel' | 'btf' | 'config' | 'other';
  readonly stamp: string;
  /** Why it is neither log nor dump. */
  readonly reason: string;
  readonly harmless: boolean;
}

async function lookAt(path: string): Promise<FoundFile> {
  try {
    const { size, mtimeMs } = statSync(path);
    const found = { path, stamp: `${size} ${Math.floor(mtimeMs)}`, reason: '', harmless: true };
    const name = basename(path);
    if (size === 0) {
      const isDumpByName = DUMP_NAME.test(name);
      const reason = isDumpByName ? 'a dump without a byte in it' : 'empty';
      return { ...found, kind: 'other', reason, harmless: !isDumpByName };
    }
    const packed = headOf(path);
    const isOfKernel = KERNEL_NAME.test(name) || CONFIG_NAME.test(name);
    const head = isPacked(packed) && isOfKernel ? await unpackedHead(path).catch(() => packed) : packed;
    const kind = isPacked(head) ? 'log' : kindOf(head, name);
    if (kind === 'other') return { ...found, kind, reason: 'neither text nor a dump', harmless: false };
    // A packed dump is an error of whoever reads it as a log.
    if (kind === 'dump' && head !== packed) return { ...found, kind: 'log' };
    const own = kind === 'log' ? await ownIn(head, path, size) : null;
    if (own !== null) return { ...found, kind: 'other', reason: own };
    return { ...found, kind, reason: kind === 'kernel' || kind === 'btf' ? 'an image or the types of a kernel' : '' };
  } catch (error) {
    const reason = `expected a file that can be read, found ${codeOf(error)}`;
    return { path, kind: 'other', stamp: '', reason, harmless: false };
  }
}

/** Which of this program's forms a text has, or a scenario that a person wrote; null for a log. */
async function ownIn(head: Uint8Array, path: string, size: number): Promise<string | null> {
  const text = new TextDecoder().decode(head);
  const own = ownOutput(text);
  if (own !== null || size > LONGEST_SCENARIO || !mayBeScenario(text)) return own;
  return (await isScenario(readFileSync(path, 'utf8'))) ? A_SCENARIO : null;
}

/** What is in a file decides; its name only for what is no text. */
function kindOf(head: Buffer | Uint8Array, name: string): FoundFile['kind'] {
  if (isDump(head)) return 'dump';
  if (isTypes(head)) return 'btf';
  if (isImage(head)) return 'kernel';
  if (looksLikeText(head)) return CONFIG_NAME.test(name) && isConfiguration(head) ? 'config' : 'log';
  if (!KERNEL_NAME.test(name)) return 'other';
  return /btf/i.test(name) ? 'btf' : 'kernel';
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

const uint16 = (head: Uint8Array): number => (head.length < 4 ? 0 : new Words(head, LITTLE).uint16(0));
const latin1 = (head: Uint8Array, start: number, end?: number): string =>
  Buffer.from(head.subarray(start, end)).toString('latin1');

/** Programs (a core is told before) and boot images (HdrS, EFI's MZ). */
const isImage = (head: Uint8Array): boolean =>
  latin1(head, 0, 4) === '\x7fELF' || latin1(head, 0x202, 0x206) === 'HdrS' || uint16(head) === 0x5a4d;

/** BTF of either byte order. */
const isTypes = (head: Uint8Array): boolean => uint16(head) === 0xeb9f || uint16(head) === 0x9feb;

const isConfiguration = (head: Uint8Array): boolean => /^(?:# )?CONFIG_\w+(?:=| is not set$)/m.test(latin1(head, 0));

const PACKED = '(?:\\.(?:gz|xz|zst|bz2))?';
/** As distributions, QEMU and people call dumps: vmcore, dump.202401011200 (Debian), vmcore.flat, crash.core. */
const DUMP_NAME = /^(?:vmcore|dump[.-]?\d|core\.)|\.(?:vmcore|core|dump)$/i;
/** As the kernel's build spells them: image.png is none. */
const KERNEL_NAME = new RegExp(`^(?:vmlinu[xz]|bzImage|z?Image)[^/]*$|^(?:BTF|[^/]*\\.btf)${PACKED}$`);
const CONFIG_NAME = new RegExp(`^(?:\\.config|config(?:-[^/]*)?)${PACKED}$`);
/** RHEL: vmcore-dmesg.txt, Debian: dmesg.202401011200, SUSE: dmesg.txt. */
const LOG_NAME = new RegExp(
  `^(?:vmcore-)?(?:dmesg|log|console)(?:-incomplete)?(?:[.-]\\d+)?(?:\\.txt|\\.log)?${PACKED}$`,
);

/** Words of a name that say what a file is, and not of which crash. */
const ROLE_WORD =
  /^(?:vmcore|dump|core|kdump|flat|elf|dmesg|kmsg|console|serial|log|info|registers|regs?|txt|incomplete|gz|xz|zst|bz2)(\d*)$/;
const REGISTERS_WORD = /^(?:registers|regs?)\d*$/;
const LOG_WORD = /^(?:dmesg|kmsg|console|serial|log)\d*$/;

const wordsOf = (path: string): string[] =>
  basename(path)
    .toLowerCase()
    .split(/[^a-z0-9]+/);

/** What is left of a name without the words that say what a file is. */
const keyOf = (path: string): string =>
  wordsOf(path)
    .map((word) => ROLE_WORD.exec(word)?.[1] ?? word)
    .filter((word) => word !== '')
    .join('-');

/** What a file is to a dump, one thing only; `text` may be its log. */
type Role = 'kernel' | 'btf' | 'config' | 'regs' | 'report' | 'text';

function roleOf({ path, kind }: FoundFile): Role | null {
  // Of programs only what is named as a kernel is one.
  if (kind === 'kernel' || kind === 'btf') return KERNEL_NAME.test(basename(path)) ? kind : null;
  if (kind === 'config') return kind;
  if (kind !== 'log') return null;
  const words = wordsOf(path);
  if (words.some((word) => REGISTERS_WORD.test(word))) return 'regs';
  if (words.some((word) => LOG_WORD.test(word))) return 'report';
  return words.includes('txt') ? 'text' : null;
}

function groupedByKey<T extends { readonly path: string }>(files: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const file of files) {
    const key = keyOf(file.path);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  return groups;
}

type Beside = NonNullable<Item['beside']>;

/**
 * Dumps with what lies beside them, by the names that people use. A folder's only dump takes all that fits alone; of
 * several each takes what has its name (dump.1 and dmesg.1, a.vmcore and a.dmesg.txt), and the folder's only kernel.
 */
function paired(files: readonly FoundFile[]): { pairs: ReadonlyMap<string, Beside>; taken: ReadonlySet<string> } {
  const dumps = files.filter(({ kind }) => kind === 'dump');
  const others = dumps.length === 0 ? [] : files.map((file) => ({ path: file.path, role: roleOf(file) }));
  const only = (of: readonly (typeof others)[number][], role: Role): string | undefined => {
    const [first, ...more] = of.filter((other) => other.role === role);
    return more.length === 0 ? first?.path : undefined;
  };
  const byKey = groupedByKey(others);
  const dumpsOf = groupedByKey(dumps);
  const shared = { kernel: only(others, 'kernel'), btf: only(others, 'btf'), config: only(others, 'config') };
  // `reg-2024-17.log` may be a log of anything: of no dump's name, only `regs.txt` and the like are registers.
  const isUnnamed = ({ path, role }: (typeof others)[number]): boolean =>
    role === 'report' ? LOG_NAME.test(basename(path)) : role !== 'regs' || keyOf(path) === '';
  const unnamed = others.filter(isUnnamed);
  const pairs = new Map<string, Beside>();
  for (const { path } of dumps) {
    const key = keyOf(path);
    // What two dumps could have is no one's.
    const own = key !== '' && dumpsOf.get(key)?.length === 1 ? (byKey.get(key) ?? []) : [];
    const folder = dumps.length === 1 ? unnamed : [];
    const found = {
      ...shared,
      regs: only(folder, 'regs') ?? only(own, 'regs'),
      report: only(folder, 'report') ?? only(own, 'report') ?? only(own, 'text'),
    };
    pairs.set(path, Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)));
  }
  return { pairs, taken: new Set([...pairs.values()].flatMap((beside) => Object.values(beside))) };
}

function withStamps(
  stamp: string,
  beside: Beside | undefined,
  stampOf: ReadonlyMap<string, string>,
): { readonly stamp: string; readonly beside?: Beside } {
  if (beside === undefined || Object.keys(beside).length === 0) return { stamp };
  const stamps = Object.values(beside).map((path) => stampOf.get(path) ?? '');
  return { stamp: [stamp, ...stamps].join(', '), beside };
}

/** Which of `count` shards a name belongs to, from 0: by the name alone, so that all who look at the folder agree (FNV-1a). */
export function shardOf(name: string, count: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % count;
}
