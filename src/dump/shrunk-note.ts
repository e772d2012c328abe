/** What a shrunk dump carries beside its pages: where the kernel was found, the registers, and a record of the kernel. */
import type { LinearMap } from '../../arch/driver.js';
import type { PageTables, RegisterValues } from '../../arch/dump.js';
import { badInput, hex, UsercopyError } from '../errors.js';
import { isCount } from '../options.js';
import type { Dump } from './dump.js';
import type { CoreNote } from './elf-core.js';
import type { KernelRecord } from './kernel-record.js';

export const NOTE_OWNER = 'USERCOPY';
export const NOTE_TYPE = 1;
const VERSION = 1;
const LARGEST_NOTE = 8 << 20;

export interface ShrunkNote {
  readonly tables: PageTables;
  /** Mappings that the tables do not show. */
  readonly hidden: readonly LinearMap[];
  readonly slide: bigint;
  readonly imageOffset: bigint;
  readonly inside: bigint;
  readonly registers: RegisterValues;
  readonly atCheck: boolean;
  /** As `Dump` has it. */
  readonly task?: Dump['task'];
  /** Absent in dumps of earlier versions of this program. */
  readonly calls?: readonly string[] | undefined;
  readonly kernel: KernelRecord;
}

export function encodeShrunkNote({
  tables,
  hidden,
  registers,
  task,
  slide,
  imageOffset,
  inside,
  ...rest
}: ShrunkNote): Uint8Array {
  const text = JSON.stringify({
    version: VERSION,
    tables: { ...tables, root: hex(tables.root) },
    hidden: hidden.map(({ virtual, size, physical }) => [virtual, size, physical].map(hex)),
    slide: hex(slide),
    imageOffset: hex(imageOffset),
    inside: hex(inside),
    registers: Object.fromEntries([...registers].map(([name, value]) => [name, hex(value)])),
    ...(task === undefined ? {} : { task: task && { task: hex(task.task), stack: hex(task.stack) } }),
    ...rest,
  });
  return new TextEncoder().encode(text);
}

/** null when the dump has no such note. @throws UsercopyError `bad-input` for one that makes no sense. */
export function shrunkNoteOf(notes: readonly CoreNote[], path: string): ShrunkNote | null {
  const note = notes.find(({ owner, type }) => owner === NOTE_OWNER && type === NOTE_TYPE);
  if (!note) return null;
  const wrong = (what: string): UsercopyError =>
    badInput(`${path}: the note of a shrunk dump`, `JSON of version ${VERSION}`, what);
  if (note.data.length > LARGEST_NOTE) throw wrong(`${note.data.length} bytes`);
  try {
    const value = JSON.parse(new TextDecoder().decode(note.data));
    if (value.version !== VERSION) throw wrong(`version ${value.version}`);
    checkRecord(value.kernel);
    const { pageShift, addressBits, format } = value.tables;
    if (![pageShift, addressBits].every((bits) => Number.isInteger(bits) && bits > 0 && bits <= 64)) {
      throw wrong('page tables of no known shape');
    }
    if (format !== undefined && !isText(format)) throw wrong('page tables of no known shape');
    return {
      tables: { root: addressOf(value.tables.root), pageShift, addressBits, format },
      hidden: (value.hidden ?? []).map(([virtual, size, physical]: string[]) => ({
        virtual: addressOf(virtual),
        size: addressOf(size),
        physical: addressOf(physical),
      })),
      slide: addressOf(value.slide),
      imageOffset: addressOf(value.imageOffset),
      inside: addressOf(value.inside),
      registers: new Map(Object.entries(value.registers).map(([name, word]) => [name, addressOf(word)])),
      atCheck: value.atCheck === true,
      ...taskOfNote(value.task),
      ...callsOfNote(value.calls),
      kernel: value.kernel,
    };
  } catch (error) {
    if (error instanceof UsercopyError) throw error;
    throw wrong('something else');
  }
}

/** Written only where the registers do not lead to it. */
function taskOfNote(value: { readonly task: unknown; readonly stack: unknown } | null | undefined): Pick<Dump, 'task'> {
  if (value === undefined) return {};
  return { task: value && { task: addressOf(value.task), stack: addressOf(value.stack), by: 'note' } };
}

const MOST_CALLS = 64;
const LONGEST_CALL = 1024;

function callsOfNote(value: unknown): Pick<Dump, 'calls'> {
  if (value === undefined) return {};
  const isCall = (call: unknown): call is string => typeof call === 'string' && /^[\x20-\x7e]*$/.test(call);
  if (!Array.isArray(value) || value.length > MOST_CALLS) throw new RangeError('calls');
  if (!value.every((call) => isCall(call) && call.length <= LONGEST_CALL)) throw new RangeError('calls');
  return { calls: value };
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isAddress = (value: unknown): value is string => typeof value === 'string' && /^0x[0-9a-f]{1,16}$/.test(value);

/** @throws RangeError when it is none. */
function addressOf(value: unknown): bigint {
  if (!isAddress(value)) throw new RangeError('address');
  return BigInt(value);
}

/** Enough that later questions meet numbers and texts where they expect them. */
function checkRecord(record: KernelRecord): void {
  const all = [
    typeof record.variant === 'string',
    record.bits === 32 || record.bits === 64,
    record.endian === 'little' || record.endian === 'big',
    isText(record.version.release),
    record.version.banner === null || isText(record.version.banner),
    [record.version.major, record.version.minor, record.version.patch].every(isCount),
    record.source === null || record.source === 'btf' || record.source === 'table',
    record.config === null || Object.values(record.config).every(isText),
    record.traits === undefined || [...record.traits.texts, ...record.traits.calls].every(isText),
    ['undefined', 'boolean'].includes(typeof record.traits?.callsAreAll),
    Object.values(record.symbols).every(isAddress),
    Object.entries(record.places).every(
      ([address, [name, start, type, size]]) => [address, start, size].every(isAddress) && [name, type].every(isText),
    ),
    Object.values(record.enumerators).every((value) => isText(value) && /^-?\d{1,20}$/.test(value)),
    Object.values(record.structs).every(
      ({ size, fields }) =>
        isCount(size) &&
        fields.every(
          ({ path, offset, bits, size: bytes, type }) =>
            [path, type].every(isText) &&
            [offset, bytes].every(isCount) &&
            (bits === null || [bits.offset, bits.size].every(isCount)),
        ),
    ),
  ];
  if (!all.every(Boolean)) throw new RangeError('kernel record');
}
