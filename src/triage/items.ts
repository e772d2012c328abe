/** Files of a folder that triage looks at: logs, and memory dumps with what lies beside them. */
import { closeSync, type Dirent, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badInput } from '../errors.js';
import { BIG, LITTLE, Words } from '../kernel/words.js';
import { looksLikeText } from '../report/encoding.js';
import { isPacked } from '../repro/read-log.js';

export interface Item {
  readonly kind: 'log' | 'dump';
  readonly path: string;
  /** Bytes and time of the last change, by which a file is known again. */
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

export interface Found {
  readonly items: readonly Item[];
  /** Files that are neither: images, archives, what cannot be read. */
  readonly skipped: number;
}

const MOST_DEPTH = 32;
const MOST_FILES = 1_000_000;
const HEAD = 4096;
const ET_CORE = 4;

/** Walks a folder; links are not followed. @throws UsercopyError `bad-input` when it is none. */
export function itemsIn(directory: string): Found {
  const items: Item[] = [];
  let skipped = 0;
  const walk = (folder: string, depth: number): void => {
    const files: string[] = [];
    for (const entry of entriesOf(folder, depth === 0)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && depth < MOST_DEPTH) walk(path, depth + 1);
      else if (entry.isFile()) files.push(path);
    }
    const kinds = new Map(files.map((path) => [path, kindOf(path)]));
    const dumps = files.filter((path) => kinds.get(path)?.kind === 'dump');
    const beside = dumps.length === 1 ? companions(files) : {};
    const taken = new Set(dumps.length === 1 ? Object.values(beside) : []);
    for (const path of files) {
      const { kind, stamp } = kinds.get(path)!;
      if (taken.has(path)) continue;
      if (kind === null || items.length >= MOST_FILES) skipped++;
      else items.push({ kind, path, stamp, ...(kind === 'dump' && dumps.length === 1 ? { beside } : {}) });
    }
  };
  walk(directory, 0);
  return { items, skipped };
}

function entriesOf(folder: string, top: boolean): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((left, right) => (left.name < right.name ? -1 : 1));
  } catch (error) {
    if (!top) return [];
    throw badInput(folder, 'a folder that can be read', (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

function kindOf(path: string): { kind: Item['kind'] | null; stamp: string } {
  let stamp = '';
  try {
    const { size, mtimeMs } = statSync(path);
    stamp = `${size} ${Math.floor(mtimeMs)}`;
    const head = headOf(path);
    if (isDump(head)) return { kind: 'dump', stamp };
    return { kind: size > 0 && (isPacked(head) || looksLikeText(head)) ? 'log' : null, stamp };
  } catch {
    return { kind: null, stamp };
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

/** An ELF core, a kdump-compressed dump or a flattened one. */
function isDump(head: Buffer): boolean {
  if (head.length >= 18 && head.toString('latin1', 0, 4) === '\x7fELF') {
    const big = head[5] === 2;
    return new Words(head, big ? BIG : LITTLE).uint16(16) === ET_CORE;
  }
  const start = head.toString('latin1', 0, 16);
  return start.startsWith('KDUMP   ') || start.startsWith('DISKDUMP') || start.startsWith('makedumpfile');
}

/** What lies beside a folder's only dump, by the names that people use; nothing where two files could be meant. */
function companions(files: readonly string[]): NonNullable<Item['beside']> {
  const one = (pattern: RegExp): string | undefined => {
    const matching = files.filter((path) => pattern.test(path));
    return matching.length === 1 ? matching[0] : undefined;
  };
  const found = {
    kernel: one(/[\\/](?:vmlinu[xz]|bzImage|z?Image)[^\\/]*$/),
    btf: one(/(?:\.btf|[\\/]BTF)$/i),
    config: one(/[\\/](?:\.config|config(?:-[^\\/]*)?)$/),
    regs: one(/[\\/]regs(?:\.txt)?$/),
    report: one(/[\\/](?:dmesg|vmcore-dmesg|log)(?:\.txt|\.log)?$/),
  };
  return Object.fromEntries(Object.entries(found).filter(([, path]) => path !== undefined));
}
