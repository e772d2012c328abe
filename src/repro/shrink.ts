/** A dump reduced to the pages that a question needed, as an ELF vmcore that other tools open too. */
import type { CoreNote } from '../dump/elf-core.js';
import type { Dump } from '../dump/open-dump.js';
import { encodeShrunkNote, NOTE_OWNER, NOTE_TYPE } from '../dump/shrunk-note.js';
import { writeWhole } from '../image/files.js';
import { Words, wordFormat } from '../kernel/words.js';
import { PAGE, type RecordedDump } from './touched-memory.js';

const ET_CORE = 4;
const PT_LOAD = 1;
const PT_NOTE = 4;
const READ_WRITE_EXECUTE = 7;
const HEADER_SIZE = 64;
const ENTRY_SIZE = 56;

interface Run {
  readonly physical: bigint;
  readonly bytes: Uint8Array;
}

export interface ShrinkTold {
  /** Blanks every byte that nobody read. */
  readonly redact: boolean;
  /** Who called the check: a log tells it, or modules, which the pages do not have. */
  readonly calls: readonly string[];
}

/** Writes the file; gives its size in bytes. */
export function writeShrunkDump(path: string, recorded: RecordedDump, original: Dump, told: ShrinkTold): number {
  const bytes = shrunkDump(recorded, original, told);
  writeWhole(path, bytes);
  return bytes.length;
}

/** An ELF core of 64 bits, in the guest's byte order: the notes as they were, ours, and a PT_LOAD for each run of pages. */
export function shrunkDump(recorded: RecordedDump, original: Dump, { redact, calls }: ShrinkTold): Uint8Array {
  const { variant, located, registers, atCheck, file, task } = original;
  const little = file.littleEndian;
  const own: CoreNote = {
    owner: NOTE_OWNER,
    type: NOTE_TYPE,
    data: encodeShrunkNote({
      tables: located.memory.tables,
      hidden: located.memory.hidden,
      slide: located.slide,
      imageOffset: located.imageOffset,
      inside: located.inside,
      registers,
      atCheck,
      task,
      calls: calls.length === 0 ? undefined : calls,
      kernel: recorded.kernel,
    }),
  };
  const kept = file.notes.filter(({ owner, type }) => owner !== NOTE_OWNER || type !== NOTE_TYPE);
  const notes = encodeNotes([...kept, own], little);
  const runs = runsOf(recorded, original, redact);
  const table = HEADER_SIZE + (runs.length + 1) * ENTRY_SIZE;
  const start = Math.ceil((table + notes.length) / PAGE) * PAGE;
  const bytes = new Uint8Array(start + runs.reduce((sum, run) => sum + run.bytes.length, 0));
  const view = new Words(bytes, wordFormat(64, little));
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, little ? 1 : 2, 1]);
  view.setUint16(16, ET_CORE);
  view.setUint16(18, variant.elfMachine);
  view.setUint32(20, 1);
  view.setUint64(32, BigInt(HEADER_SIZE));
  view.setUint16(52, HEADER_SIZE);
  view.setUint16(54, ENTRY_SIZE);
  view.setUint16(56, runs.length + 1);
  const entry = (
    index: number,
    type: number,
    offset: number,
    virtual: bigint,
    physical: bigint,
    size: number,
  ): void => {
    const at = HEADER_SIZE + index * ENTRY_SIZE;
    view.setUint32(at, type);
    view.setUint32(at + 4, type === PT_LOAD ? READ_WRITE_EXECUTE : 0);
    [BigInt(offset), virtual, physical, BigInt(size), BigInt(size)].forEach((value, position) => {
      view.setUint64(at + 8 + position * 8, BigInt.asUintN(64, value));
    });
  };
  entry(0, PT_NOTE, table, 0n, 0n, notes.length);
  bytes.set(notes, table);
  const linear = variant.layout(original.kernel).linearMaps[0];
  let offset = start;
  runs.forEach(({ physical, bytes: memory }, index) => {
    const virtual = linear ? physical - linear.physical + linear.virtual : 0n;
    entry(index + 1, PT_LOAD, offset, virtual, physical, memory.length);
    bytes.set(memory, offset);
    offset += memory.length;
  });
  return bytes;
}

/** Touched pages in address order, those that follow one another together. */
function runsOf({ pages }: RecordedDump, { physical }: Dump, redact: boolean): Run[] {
  const runs: { physical: bigint; pages: Uint8Array[] }[] = [];
  for (const [number, used] of [...pages].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const bytes = physical.read(number * BigInt(PAGE), PAGE)?.slice();
    // The last page of a segment may be cut short.
    if (!bytes) continue;
    if (redact) {
      for (let at = 0; at < PAGE; at++) if (used[at] === 0) bytes[at] = 0;
    }
    const last = runs.at(-1);
    const address = number * BigInt(PAGE);
    if (last && last.physical + BigInt(last.pages.length * PAGE) === address) last.pages.push(bytes);
    else runs.push({ physical: address, pages: [bytes] });
  }
  return runs.map((run) => ({ physical: run.physical, bytes: Buffer.concat(run.pages) }));
}

const align4 = (size: number): number => Math.ceil(size / 4) * 4;

function encodeNotes(notes: readonly CoreNote[], little: boolean): Uint8Array {
  return Buffer.concat(
    notes.map(({ owner, type, data }) => {
      const name = Buffer.from(`${owner}\0`, 'latin1');
      const at = 12 + align4(name.length);
      const note = new Uint8Array(at + align4(data.length));
      const view = new Words(note, wordFormat(64, little));
      view.setUint32(0, name.length);
      view.setUint32(4, data.length);
      view.setUint32(8, type);
      note.set(name, 12);
      note.set(data, at);
      return note;
    }),
  );
}
