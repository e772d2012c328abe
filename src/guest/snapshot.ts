/**
 * Snapshots of a machine as Unicorn's dumpers write them (`unicorn_dumper_*.py` of AFL++, for gdb, IDA and others): a
 * folder with `_index.json`, which holds registers and segments, and a zlib file for the bytes of each segment. So a run
 * can start where a debugger stopped.
 *
 *     { "arch": { "arch": "x64" },
 *       "regs": { "rip": 18446744071578845184, … },
 *       "segments": [ { "start": …, "end": …, "name": "…", "permissions": { "r": true, "w": true, "x": false },
 *                       "content_file": "….bin" } ] }
 *
 * Numbers may also be strings of 0x…: JSON's own end at 2^53. An empty `content_file` is memory that was not dumped: it is
 * mapped and zero.
 *
 * Of our own are two members that other readers pass over. `usercopy_memory` of a segment: its place in the guest's physical
 * memory, for guests that see the same bytes at several addresses; segments whose places overlap share them. `usercopy` of
 * the whole: the guest's kernel and variant, and `places`, [start, end) by name.
 */

import { mkdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';
import { parse } from 'yaml';
import type { Variant } from '../../arch/driver.js';
import type { Engine } from '../engine/engine.js';
import { badInput, codeOf, hex, messageOf, UsercopyError } from '../errors.js';
import { readWhole, writeWhole } from '../image/files.js';
import { countBefore } from '../kernel/sorted.js';
import { anEngine, aText, aVariant, requireValue } from '../options.js';

export const INDEX_NAME = '_index.json';
const PAGE = 4096n;
const LARGEST_INDEX = 16 << 20;
/** Regions are dear in Unicorn: a thousand take two seconds. */
const MOST_SEGMENTS = 4096;
/** Registers, and places. */
const MOST_NAMES = 4096;
/** Of one segment, and of all; bytes. */
const LARGEST_SEGMENT = 1 << 30;
const LARGEST_SNAPSHOT = 4n << 30n;
/** zlib makes nothing larger by more than this: a header, and 5 bytes for each block of 16 KiB and more. */
const ZLIB_OVERHEAD = 1 << 20;

export interface SnapshotSegment {
  readonly start: bigint;
  /** First byte after; start and end are multiples of 4096. */
  readonly end: bigint;
  readonly permissions: string;
  /** null: not dumped. */
  readonly bytes: Uint8Array | null;
  /** Its place in the guest's memory: segments whose places overlap share the bytes. null: it has bytes of its own. */
  readonly memory: bigint | null;
}

/** An address range with a name. */
export interface SnapshotPlace {
  readonly name: string;
  readonly start: bigint;
  /** First byte after. */
  readonly end: bigint;
}

export interface Snapshot {
  /** What the dumper called the architecture: `x64`, `arm64le`, …; null when it did not say. */
  readonly arch: string | null;
  /** By the names of the dumper, lower case. */
  readonly registers: ReadonlyMap<string, bigint>;
  /** In the order of the file; at least one, and none overlap. */
  readonly segments: readonly SnapshotSegment[];
  /** What `usercopy run --snapshot` names; empty where another dumper wrote it. */
  readonly places: readonly SnapshotPlace[];
}

/** Reads a snapshot's folder, or its `_index.json`. @throws UsercopyError `bad-input` that names the field. */
export function readSnapshot(path: string): Snapshot {
  requireValue('readSnapshot: path', path, aText);
  const index = statSync(path, { throwIfNoEntry: false })?.isDirectory() ? join(path, INDEX_NAME) : path;
  const content = readIndex(index);
  const segments = content['segments'];
  if (!Array.isArray(segments)) throw badInput(index, 'a list of segments', typeof segments);
  if (segments.length > MOST_SEGMENTS) throw badInput(index, `at most ${MOST_SEGMENTS} segments`, `${segments.length}`);
  const registers = new Map<string, bigint>();
  for (const [name, value] of namedOf(content['regs'], `${index}: regs`)) {
    registers.set(name.toLowerCase(), wordOf(value, `${index}: regs.${name}`));
  }
  const arch = recordOf(content['arch'] ?? {}, `${index}: arch`)['arch'] ?? null;
  if (arch !== null && typeof arch !== 'string') throw badInput(`${index}: arch.arch`, 'a name', typeof arch);
  return { arch, registers, segments: readSegments(segments, index), places: readPlaces(content['usercopy'], index) };
}

function readPlaces(about: unknown, index: string): SnapshotPlace[] {
  const where = `${index}: usercopy`;
  const places = namedOf(recordOf(about ?? {}, where)['places'], `${where}.places`);
  return places.map(([name, range]) => {
    const place = `${where}.places.${name}`;
    if (!Array.isArray(range) || range.length !== 2) throw badInput(place, '[start, end)', typeof range);
    return { name, start: wordOf(range[0], place), end: wordOf(range[1], place) };
  });
}

/** Members of an object that may be missing. */
function namedOf(value: unknown, where: string): [string, unknown][] {
  const members = Object.entries(recordOf(value ?? {}, where));
  if (members.length <= MOST_NAMES) return members;
  throw badInput(where, `at most ${MOST_NAMES} names`, String(members.length));
}

function readIndex(path: string): Record<string, unknown> {
  try {
    const text = readWhole(path, LARGEST_INDEX).toString('utf8');
    JSON.parse(text);
    // JSON is YAML; that reader keeps integers beyond 2^53. Of equal names the last one counts, as in JSON.
    const options = { intAsBigInt: true, maxAliasCount: 0, logLevel: 'error', uniqueKeys: false } as const;
    return recordOf(parse(text, options), path);
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(path, 'the index of a snapshot (JSON)', messageOf(error).split('\n')[0] ?? '');
  }
}

function recordOf(value: unknown, where: string): Record<string, unknown> {
  // Whatever lies under its names is looked at where it is used.
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw badInput(where, 'an object', Array.isArray(value) ? 'a list' : String(value).slice(0, 40));
}

function wordOf(value: unknown, where: string): bigint {
  const word = typeof value === 'string' && /^(0x[0-9a-fA-F]{1,16}|\d{1,20})$/.test(value) ? BigInt(value) : value;
  if (typeof word === 'bigint' && word >= -(1n << 63n) && word < 1n << 64n) return BigInt.asUintN(64, word);
  throw badInput(where, 'a number of 64 bits', String(value).slice(0, 40));
}

function readSegments(values: readonly unknown[], index: string): SnapshotSegment[] {
  const files = new SegmentFiles(dirname(index));
  let total = 0n;
  const segments = values.map((value, at) => {
    const where = `${index}: segments[${at}]`;
    const segment = readSegment(value, files, where, LARGEST_SNAPSHOT - total);
    total += segment.end - segment.start;
    return segment;
  });
  if (segments.length === 0) throw badInput(`${index}: segments`, 'one segment at least', 'none');
  const sorted = inAddressOrder(segments);
  const overlapping = sorted.find(({ start }, at) => start < (sorted[at - 1]?.end ?? 0n));
  if (overlapping === undefined) return segments;
  throw badInput(`${index}: segments`, 'such that do not overlap', `two at ${hex(overlapping.start)}`);
}

/** Contents of segments: files of the snapshot's own folder. Dumpers name them by their contents, so that several segments may share one. */
class SegmentFiles {
  readonly #folder: string;
  readonly #inflated = new Map<string, Uint8Array>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws UsercopyError `bad-input` when it lies elsewhere, by its name or through a link, or does not have `size` bytes. */
  read(name: string, size: number, where: string): Uint8Array {
    const path = this.#inside(name, where);
    let bytes = this.#inflated.get(path);
    if (bytes?.length !== size) {
      bytes = inflate(path, size);
      this.#inflated.set(path, bytes);
    }
    return bytes;
  }

  #inside(name: string, where: string): string {
    const path = join(this.#folder, name);
    try {
      const real = realpathSync(path);
      if (real.startsWith(join(realpathSync(this.#folder), sep))) return real;
    } catch (error) {
      throw badInput(path, 'a file that can be read', codeOf(error));
    }
    throw badInput(`${where}.content_file`, "a file in the snapshot's own folder", name.slice(0, 80));
  }
}

function readSegment(value: unknown, files: SegmentFiles, where: string, left: bigint): SnapshotSegment {
  const segment = recordOf(value, where);
  const start = wordOf(segment['start'], `${where}.start`);
  const end = wordOf(segment['end'], `${where}.end`);
  if (end <= start || start % PAGE !== 0n || end % PAGE !== 0n) {
    throw badInput(where, 'whole pages from start to end', `${hex(start)} to ${hex(end)}`);
  }
  const size = end - start;
  if (size > BigInt(LARGEST_SEGMENT)) throw badInput(where, `at most ${LARGEST_SEGMENT} bytes`, String(size));
  if (size > left) throw badInput(where, `at most ${LARGEST_SNAPSHOT} bytes in all segments`, 'more');
  const granted = recordOf(segment['permissions'] ?? {}, `${where}.permissions`);
  const permissions = ['r', 'w', 'x'].filter((letter) => granted[letter] === true).join('');
  const file = segment['content_file'] ?? '';
  if (typeof file !== 'string') throw badInput(`${where}.content_file`, 'a file name', typeof file);
  return {
    start,
    end,
    permissions,
    bytes: file === '' ? null : files.read(file, Number(size), where),
    memory: readMemoryPlace(segment['usercopy_memory'] ?? null, size, where),
  };
}

export const inAddressOrder = (segments: readonly SnapshotSegment[]): SnapshotSegment[] =>
  [...segments].sort((a, b) => (a.start < b.start ? -1 : 1));

function readMemoryPlace(value: unknown, size: bigint, where: string): bigint | null {
  if (value === null) return null;
  const place = wordOf(value, `${where}.usercopy_memory`);
  if (place % PAGE === 0n && place <= LARGEST_SNAPSHOT - size) return place;
  throw badInput(`${where}.usercopy_memory`, 'whole pages within 4 GiB', hex(place));
}

function inflate(path: string, size: number): Uint8Array {
  try {
    const bytes = inflateSync(readWhole(path, size + (size >> 8) + ZLIB_OVERHEAD), { maxOutputLength: size });
    if (bytes.length === size) return bytes;
    throw badInput(path, `${size} bytes, as the segment has`, String(bytes.length));
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw badInput(path, `${size} bytes in zlib's format`, messageOf(error));
  }
}

/** Reads a snapshot's memory: the bytes at an address, undefined where some are in no segment. Such that were not dumped are zero. */
export function snapshotReader({ segments }: Snapshot): (address: bigint, length: number) => Uint8Array | undefined {
  const sorted = inAddressOrder(segments);
  const covering = (address: bigint): SnapshotSegment | undefined => {
    const segment = sorted[countBefore(sorted, ({ start }) => start <= address) - 1];
    return segment !== undefined && address < segment.end ? segment : undefined;
  };
  return (address, length) => {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const segment = covering(address + BigInt(done));
      if (segment === undefined) return undefined;
      const offset = Number(address + BigInt(done) - segment.start);
      const count = Math.min(length - done, Number(segment.end - segment.start) - offset);
      if (segment.bytes !== null) bytes.set(segment.bytes.subarray(offset, offset + count), done);
      done += count;
    }
    return bytes;
  };
}

/** What Unicorn's dumpers call a machine. */
export const dumperNameOf = ({ dumperName, name }: Variant): string => dumperName ?? name;

export interface SnapshotDetails {
  /** Release of the guest's kernel. */
  readonly kernel: string;
  readonly places: readonly SnapshotPlace[];
  /** Where the memory of the region that starts at this address begins among the guest's bytes; undefined: it has its own. */
  readonly memoryOffset: (start: bigint) => number | undefined;
}

/** JSON whose bigints are integers: what dumpers write, and readers of theirs compute with. */
function jsonWithIntegers(value: unknown): string {
  const marked = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${INTEGER}${part}` : part), 1);
  return marked.replace(new RegExp(`"${INTEGER}(\\d+)"`, 'g'), '$1');
}

/** Begins no other text: a character that stands for nothing. */
const INTEGER = '\uffff';

/**
 * Writes what an emulator holds as a snapshot into `folder`, with the registers that a person wants to see.
 * @throws UsercopyError `bad-input` when the folder cannot be written.
 */
export function writeSnapshot(engine: Engine, variant: Variant, folder: string, details?: SnapshotDetails): void {
  requireValue('writeSnapshot: engine', engine, anEngine);
  requireValue('writeSnapshot: variant', variant, aVariant);
  requireValue('writeSnapshot: folder', folder, aText);
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw badInput(folder, 'a folder that can be made', codeOf(error));
  }
  const segments = engine.regions().map(({ start, end, permissions }) => {
    const file = `${start.toString(16)}.bin`;
    writeWhole(join(folder, file), deflateSync(engine.read(start, Number(end - start)), { level: 1 }));
    const granted = Object.fromEntries(['r', 'w', 'x'].map((letter) => [letter, permissions.includes(letter)]));
    const segment = { start, end, name: '', permissions: granted, content_file: file };
    const offset = details?.memoryOffset(start);
    return offset === undefined ? segment : { ...segment, usercopy_memory: BigInt(offset) };
  });
  const { registers } = variant;
  const names = new Set([registers.pc, registers.sp, registers.fp, ...registers.arguments, ...registers.all]);
  const { current } = variant;
  if (current.kind === 'register') names.add(current.register);
  if (current.kind === 'memory' && current.base !== null) names.add(current.base);
  if (registers.link !== null) names.add(registers.link);
  const read = [...names].map((name) => [name, engine.readRegister(name)] as const);
  const regs = Object.fromEntries([...read, ...(variant.preparedRegisters ?? [])]);
  const places = details?.places.map(({ name, start, end }) => [name, [start, end]]);
  const about = details && {
    variant: variant.name,
    kernel: details.kernel,
    places: Object.fromEntries(places ?? []),
  };
  const index = { arch: { arch: dumperNameOf(variant) }, regs, segments, usercopy: about };
  writeWhole(join(folder, INDEX_NAME), `${jsonWithIntegers(index)}\n`);
}
